"""Migrations: alembic, one history per service, run at start or by `make migrate`; expand, migrate, contract."""

from importlib import import_module
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

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


async def is_behind(package: str, url: str) -> bool:
    """Whether the database still has to be migrated for this code. One that is ahead serves it: migrations expand."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        version = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        version = None
    finally:
        await connection.close()
    scripts = ScriptDirectory.from_config(config(package, url))
    earlier = {script.revision for script in scripts.walk_revisions()} - {scripts.get_current_head()}
    return version is None or version in earlier


def propose(package: str, url: str, message: str) -> None:
    """Write the migration that leads from the database to the code's tables, for a person to read and mend."""
    command.revision(config(package, url), message, autogenerate=True)
