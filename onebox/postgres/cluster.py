"""One data folder and its server: made once, started when nobody runs it."""

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from onebox.postgres.account import Account
from onebox.postgres.failure import PostgresFailed
from onebox.postgres.installation import Installation
from onebox.postgres.lifetime import PORT, Postmaster, find_postmaster, forget_stranger

ADMIN = "buluo_admin"
CONFIGURATION = "buluo.conf"
# The same order of text everywhere: by code point. Since version 17 the server needs no locale of the system for it.
BUILTIN_LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SYSTEM_LOCALE = ("--locale=C.UTF-8",)
READY_WITHIN_SECONDS = 120
SURVIVORS_GONE_WITHIN_SECONDS = 10

SETTINGS = """\
# Written at every start; change nothing here.
cluster_name = 'buluo'
listen_addresses = ''                 # a socket only: no port to find, none to defend
port = {port}                           # only names the socket
unix_socket_directories = '{sockets}'
max_connections = 200
shared_preload_libraries = '{preload}'
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
jit = off                             # short statements: compiling them costs more than it saves
"""
FORGETFUL = """\
fsync = off                           # a throw-away server: fast, and broken after a power cut
synchronous_commit = off
full_page_writes = off
"""


@dataclass(frozen=True)
class Cluster:
    """Where the server lives: its data, its socket, its binaries, its account."""

    data: Path
    sockets: Path
    installation: Installation
    account: Account

    def make(self, password: str, *, durable: bool) -> None:
        """Create the data once; its superuser is `ADMIN`. Half-made data from a crash is thrown away."""
        if (self.data / "PG_VERSION").exists():
            return
        unfinished = self.data.with_name(f"{self.data.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self.account.own(unfinished)
        self._initdb(unfinished, password, *(() if durable else ("--no-sync",)))
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write(f"\ninclude_if_exists '{CONFIGURATION}'\n")
        unfinished.rename(self.data)

    def _initdb(self, data: Path, password: str, *more: str) -> None:
        password_file = self.sockets / "password"
        self.account.write(password_file, password)
        encoding = ("-E", "UTF8", *(BUILTIN_LOCALE if self.installation.major >= 17 else SYSTEM_LOCALE))
        access = ("-U", ADMIN, "-A", "scram-sha-256", f"--pwfile={password_file}")
        try:
            self._run("initdb", "-D", data, *encoding, *access, *more)
        finally:
            password_file.unlink()

    def start(self, *, preload: Iterable[str], durable: bool) -> None:
        """Start the server and return when it takes connections."""
        forget_stranger(self.data)
        self._configure(preload=preload, durable=durable)
        deadline = time.monotonic() + SURVIVORS_GONE_WITHIN_SECONDS
        while complaint := self._try_start():
            # What is left of a killed server takes a moment to go, and holds its memory and its lock files so long.
            survivors = "still in use" in complaint or "already exists" in complaint
            if not survivors or time.monotonic() > deadline:
                raise PostgresFailed(f"PostgreSQL does not start:\n{complaint}")
            time.sleep(0.2)

    def _try_start(self) -> str:
        """Empty if the server is up, else its own words about this attempt."""
        log = self.data / "server.log"
        already_said = log.stat().st_size if log.exists() else 0
        try:
            self._run("pg_ctl", "start", "-w", "-s", "-t", str(READY_WITHIN_SECONDS), "-D", self.data, "-l", log)
        except PostgresFailed as failed:
            return log.read_bytes()[already_said:].decode(errors="replace").strip() if log.exists() else str(failed)
        return ""

    def _configure(self, *, preload: Iterable[str], durable: bool) -> None:
        libraries = ",".join(name for name in preload if self.installation.has_library(name))
        text = SETTINGS.format(port=PORT, sockets=self.sockets, preload=libraries)
        self.account.write(self.data / CONFIGURATION, text if durable else text + FORGETFUL)

    def _run(self, program: str, *arguments: str | Path) -> None:
        result = self.account.run([self.installation.binaries / program, *arguments])
        if result.returncode != 0:
            raise PostgresFailed(f"{program} failed: {result.stderr.strip() or result.stdout.strip()}")


def join(data: Path) -> Postmaster | None:
    """The server that runs already, once it answers; None if there is none. PostgresFailed if it never answers."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while server := find_postmaster(data):
        if server.answers():
            return server
        if time.monotonic() > deadline:
            raise PostgresFailed(f"The server {server.process_id} of {data} runs but does not answer.")
        time.sleep(0.05)
    return None
