"""Migrations: alembic, one history per service, run at start or by `make migrate`; expand, migrate, contract."""

from importlib import import_module
from pathlib import Path

from alembic import command
from alembic.config import Config

_HERE = Path(__file__).parent


def config(package: str, url: str) -> Config:
    """Alembic's configuration for a service: its versions lie in `<package>/migrations`, the environment is shared."""
    store = import_module(f"{package}.store")
    settings = Config()
    settings.set_main_option("script_location", str(_HERE / "migrations"))
    settings.set_main_option("version_locations", str(Path(str(store.__file__)).parent / "migrations"))
    settings.set_main_option("path_separator", "newline")
    settings.attributes["url"] = url
    settings.attributes["metadata"] = store.METADATA
    return settings


def upgrade(package: str, url: str) -> None:
    """Bring a service's database to its newest version. Safe to run twice, and by two processes at once."""
    command.upgrade(config(package, url), "head")


def propose(package: str, url: str, message: str) -> None:
    """Write the migration that leads from the database to the code's tables, for a person to read and mend."""
    command.revision(config(package, url), message, autogenerate=True)
