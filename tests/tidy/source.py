"""Where the source is: the files of this repository, by their path below its root."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("contracts", "chassis", "services", "gateway", "onebox", "sandbox", "deploy", "bench")
"""The packages that run. A folder that is not there yet has no files."""
HIDDEN_BUT_OURS = frozenset(
    {
        ".ci",
        ".github",
        ".importlinter",
        ".gitignore",
        ".gitattributes",
        ".python-version",
        ".env.example",
        ".dockerignore",
    }
)
MADE = frozenset({"__pycache__", "schemathesis-report", "node_modules"})


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in MADE or (path.name.startswith(".") and path.name not in HIDDEN_BUT_OURS):
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path


@cache
def files() -> dict[str, str]:
    """Path -> text of every text file that belongs to the repository."""
    found = {}
    for path in _walk(ROOT):
        try:
            found[path.relative_to(ROOT).as_posix()] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return found


def python(*under: str) -> dict[str, str]:
    """Path -> source of every Python file below one of these folders; of the product, if none is named."""
    roots = tuple(f"{folder}/" for folder in under or PRODUCT)
    return {path: text for path, text in files().items() if path.endswith(".py") and path.startswith(roots)}


def services() -> list[str]:
    """Folders of the services that are assembled: a service is one once it has its `service.py`."""
    return sorted(
        path.removesuffix("/service.py")
        for path in files()
        if path == "gateway/service.py" or (path.startswith("services/") and path.endswith("/service.py"))
    )


def in_migrations(path: str) -> bool:
    return "/migrations/" in path


def package_of(path: str) -> str:
    """`services/escrow/ledger.py` belongs to `services/escrow`, `gateway/store.py` to `gateway`."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "services" and len(parts) > 2 else parts[0]


def module_of(path: str) -> str:
    """The dotted name that `path` is imported by."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def none(found: list[str]) -> None:
    """A test's last line: fails with one finding a line."""
    assert not found, "\n".join(["", *found])
