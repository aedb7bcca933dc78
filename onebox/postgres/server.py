"""The server as the rest of the program sees it: a URL, databases to be had, and a way to let go."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from onebox.postgres import databases
from onebox.postgres.account import linked_folder, place_for, server_account, usable
from onebox.postgres.cluster import ADMIN, Cluster, join
from onebox.postgres.installation import Installation, choose_installation
from onebox.postgres.lifetime import PORT, Share, gate, make_locks, start_keeper, stop_server

EXTERNAL_URL = "BULUO_DATABASE_URL"
SOCKETS_PLACE = Path("/tmp")  # noqa: S108 (the name is unguessable; a socket's path must be short: 103 bytes on some systems)


class Postgres:
    """A server that is up. Also a context manager that stops it at its end."""

    def __init__(self, admin_url: str, leave: Callable[[], None] | None = None) -> None:
        self.admin_url = admin_url
        self._leave = leave
        self._is_embedded = leave is not None
        self._passwords: dict[str, str] = {}

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        preload: tuple[str, ...] = (),
        durable: bool = True,
        installation: Installation | None = None,
    ) -> Self:
        """Use the server of `BULUO_DATABASE_URL`, else start the one whose data lies in `folder`, or join it.

        The server stops with the last process that uses it: at its `stop()`, or a few seconds after its death of
        whatever kind. A process that joins takes the server as it is. `preload` names libraries to load at the start
        of the server, as far as they exist; `durable=False` trades safety against power cuts for speed. Blocks: about
        2 s for the first start, 0.2 s for later ones. PostgresFailed if no server can be had.
        """
        external_url = os.environ.get(EXTERNAL_URL)
        if external_url and installation is None:
            return cls(external_url)
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        make_locks(folder)
        with gate(folder), ExitStack() as on_failure:
            share = on_failure.enter_context(closing(Share(folder)))
            share.take()
            data, admin_url = _start_or_join(folder, installation, preload=preload, durable=durable)
            start_keeper(folder, data)
            on_failure.pop_all()
        return cls(admin_url, leave=lambda: _leave(folder, data, share))

    @classmethod
    @contextmanager
    def temporary(cls, *, preload: tuple[str, ...] = (), installation: Installation | None = None) -> Iterator[Self]:
        """A throw-away server for tests; nothing of it remains."""
        folder = Path(tempfile.mkdtemp(prefix="buluo-"))
        try:
            with cls.start(folder, preload=preload, durable=False, installation=installation) as server:
                yield server
        finally:
            remove(folder)

    def url(self, database: str, role: str) -> str:
        """How `role` reaches `database`; KeyError for a role that this object never ensured a database for."""
        return databases.url_for(self.admin_url, database, role, self._passwords[role])

    async def ensure_database(self, name: str, role: str, password: str) -> str:
        """Make sure of a database and of the role that owns it and can enter no other; return their URL. Repeatable.

        On a server of `BULUO_DATABASE_URL` the databases of others are left as open as they are.
        """
        if self._is_embedded:
            await databases.close_to_strangers(self.admin_url)
        await databases.ensure_database(self.admin_url, name, role, password)
        self._passwords[role] = password
        return self.url(name, role)

    def stop(self) -> None:
        """Let go of the server; the last one to do so stops it, and waits until it has. A second call does nothing."""
        leave, self._leave = self._leave, None
        if leave:
            leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def remove(folder: Path) -> None:
    """Delete a server's folder and what it keeps elsewhere. The server must be stopped."""
    for link in ("data", "sockets"):
        if (folder / link).is_symlink():
            shutil.rmtree((folder / link).readlink(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _start_or_join(
    folder: Path, installation: Installation | None, *, preload: tuple[str, ...], durable: bool
) -> tuple[Path, str]:
    account = server_account(folder / "data")
    if not account.is_self:
        folder.chmod(0o711)  # the account must pass through; what is private in here is 0600
    data = place_for(folder / "data", account)
    password = _admin_password(folder / "admin.password")
    server = join(data)
    if server:
        return data, _admin_url(server.sockets, password)
    sockets = linked_folder(folder / "sockets", SOCKETS_PLACE, account)
    binaries = usable(installation or choose_installation(data), account)
    cluster = Cluster(data, sockets, binaries, account)
    cluster.make(password, durable=durable)
    cluster.start(preload=preload, durable=durable)
    return data, _admin_url(sockets, password)


def _admin_password(file: Path) -> str:
    """Made once, and readable by ourselves only."""
    if not file.exists():
        unfinished = file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(32), "ascii")
        unfinished.rename(file)
    return file.read_text("ascii")


def _admin_url(sockets: Path, password: str) -> str:
    return f"postgresql://{ADMIN}:{password}@/postgres?host={quote(str(sockets))}&port={PORT}"


def _leave(folder: Path, data: Path, share: Share) -> None:
    with gate(folder):
        if share.is_last():
            stop_server(data)
        share.close()
