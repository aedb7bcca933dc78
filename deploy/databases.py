"""Before the services start: a database and a role of its own for each, that can enter no other, and every migration.

Runs on every start and is safe to repeat: a service that is new gets its database, a password that has changed is set.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

from chassis import migrate
from chassis.settings import OwnSettings
from contracts.catalogue import SERVICES
from onebox.postgres.databases import close_to_strangers, ensure_database

PACKAGES: Final[dict[str, str]] = {name: "gateway" if name == "gateway" else f"services.{name}" for name in SERVICES}


def urls() -> dict[str, str]:
    """Each service's own database, as its role enters it."""
    return {
        name: OwnSettings(_env_prefix=f"BULUO_{name.upper()}_").database_url.get_secret_value() for name in SERVICES
    }


async def make(admin_url: str, of: Iterable[str]) -> None:
    """What the URLs name: each one's database, role and password."""
    await close_to_strangers(admin_url)
    for url in of:
        parts = urlsplit(url)
        role, password = unquote(parts.username or ""), unquote(parts.password or "")
        await ensure_database(admin_url, parts.path.lstrip("/"), role, password)


def main() -> None:
    """`BULUO_DATABASE_ADMIN_URL` is PostgreSQL's administrator: this process alone knows it."""
    of = urls()
    asyncio.run(make(os.environ["BULUO_DATABASE_ADMIN_URL"], of.values()))
    for name, url in of.items():
        migrate.upgrade(PACKAGES[name], url)
    sys.stdout.write(f"databases are there and migrated: {', '.join(of)}\n")


if __name__ == "__main__":
    main()
