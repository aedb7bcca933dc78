"""How long the server lives: as long as any process uses it, and not much longer, however the processes end.

Three files in the server's folder are locked, never written:

- `gate.lock`: whoever starts, joins, leaves or stops the server holds it meanwhile, so these never overlap;
- `users.lock`: every using process holds a share; the system drops the share of a process that dies, even by SIGKILL;
- `keeper.lock`: held by the one keeper, a small process that looks every second whether any share is left, and else
  stops the server.

Without a keeper (killed too, or the machine went down) a server may be left behind, or only its `postmaster.pid`; the
next start copes with both. This file is also the keeper's whole program, so it imports only the standard library.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LOOK_EVERY_SECONDS = 1.0
STOP_WITHIN_SECONDS = 60.0
PORT = 5432
UNKNOWN = "?"


@dataclass(frozen=True)
class Postmaster:
    """What `postmaster.pid` says of a server process that exists."""

    process_id: int
    sockets: Path
    is_ready: bool

    def answers(self) -> bool:
        """Whether it takes connections."""
        with socket.socket(socket.AF_UNIX) as caller:
            return self.is_ready and caller.connect_ex(str(self.sockets / f".s.PGSQL.{PORT}")) == 0


def find_postmaster(data: Path) -> Postmaster | None:
    """The live server of this data folder, or None."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
        process_id = int(lines[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    if not _is_postgres(process_id):
        return None
    words = dict(enumerate(lines))
    return Postmaster(process_id, Path(words.get(4, "")), words.get(7, "").strip() == "ready")


def forget_stranger(data: Path) -> None:
    """Remove a `postmaster.pid` from before a reboot whose number now belongs to a process that is no server.

    PostgreSQL itself would refuse to start then. If the number belongs to nobody, or to a server that is just dying,
    the file is left alone: PostgreSQL needs it to notice survivors of a killed server.
    """
    pid_file = data / "postmaster.pid"
    try:
        process_id = int(pid_file.read_text("utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if _exists(process_id) and _program(process_id)[0] not in {"postgres", UNKNOWN}:
        pid_file.unlink()


def _is_postgres(process_id: int) -> bool:
    if not _exists(process_id):
        return False
    name, state = _program(process_id)
    # Dead, but not yet collected by its parent: it serves nobody. Unknown: the file is trusted, as PostgreSQL does.
    return name in {"postgres", UNKNOWN} and state != "Z"


def _exists(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, PermissionError):  # another account's process is not our server
        return False
    return True


def _program(process_id: int) -> tuple[str, str]:
    """Name and state of a process where the system has /proc (Linux)."""
    try:
        words = Path(f"/proc/{process_id}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return UNKNOWN, ""
    name, _, rest = words.partition("(")[2].rpartition(")")
    return name, rest.split()[0]


def stop_server(data: Path) -> None:
    """Stop the server, if one runs, after rolling back what is open; return when it is gone."""
    deadline = time.monotonic() + STOP_WITHIN_SECONDS
    stop_signal = signal.SIGINT
    while server := find_postmaster(data):
        os.kill(server.process_id, stop_signal)
        _wait_gone(server.process_id, deadline)
        stop_signal, deadline = signal.SIGQUIT, time.monotonic() + STOP_WITHIN_SECONDS


def _wait_gone(process_id: int, deadline: float) -> None:
    while _is_postgres(process_id) and time.monotonic() < deadline:
        time.sleep(0.01)


@contextmanager
def gate(folder: Path) -> Iterator[None]:
    """Hold the gate, after whoever holds it now."""
    with _open_lock(folder / "gate.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Share:
    """One process's share in the server; take it, and ask whether it is the last one, with the gate held."""

    def __init__(self, folder: Path) -> None:
        self._file = _open_lock(folder / "users.lock")

    def take(self) -> None:
        """Become a user."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def is_last(self) -> bool:
        """Whether nobody else has a share. Gives up the own one."""
        return _try_lock(self._file.fileno())

    def close(self) -> None:
        """Use the server no more."""
        self._file.close()


def make_locks(folder: Path) -> None:
    """Before anything else. Nobody else may open them: a stranger could hold them for ever."""
    for name in ("gate.lock", "users.lock", "keeper.lock"):
        (folder / name).touch(mode=0o600)


def _open_lock(path: Path) -> IO[str]:
    """An existing file only: the keeper must not put files into a folder that is being deleted."""
    return path.open("r+")


def _try_lock(file_number: int) -> bool:
    try:
        fcntl.flock(file_number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start_keeper(folder: Path, data: Path) -> None:
    """See that there is a keeper. It belongs to no terminal, so that Ctrl-C reaches the users and not the keeper."""
    command = [sys.executable, "-I", "-S", __file__, str(folder), str(data)]
    # The shell leaves it behind, so that it is no child of ours that we would have to wait for.
    script = '"$@" </dev/null >/dev/null 2>&1 &'
    launch = ["/bin/sh", "-c", script, "keeper", *command]
    subprocess.run(launch, cwd="/", start_new_session=True, check=True)  # noqa: S603 (our own program)


def keep(folder: Path, data: Path) -> None:
    """Return when nobody uses the server and it is stopped; at once if there is another keeper."""
    with _open_lock(folder / "keeper.lock") as file:
        if not _try_lock(file.fileno()):
            return
        while not _stop_if_unused(folder, data, file):
            time.sleep(LOOK_EVERY_SECONDS)


def _stop_if_unused(folder: Path, data: Path, keeper_lock: IO[str]) -> bool:
    try:
        with gate(folder), closing(Share(folder)) as share:
            is_unused = share.is_last()
            if is_unused:
                stop_server(data)
                # Inside the gate: whoever starts the server next needs a keeper of its own.
                keeper_lock.close()
            return is_unused
    except FileNotFoundError:  # somebody deleted the folder
        stop_server(data)
        return True


if __name__ == "__main__":
    keep(Path(sys.argv[1]), Path(sys.argv[2]))
