"""Every invariant recomputed from the databases of a running deployment, as `make verify` does on one machine."""

import sys
from contextlib import AsyncExitStack

import uvloop

from chassis.db import Database
from deploy.databases import urls
from onebox import verify


async def hold() -> bool:
    """Whether all of them do; prints each. What holds only at rest is to be asked at rest."""
    async with AsyncExitStack() as stack:
        databases = {name: Database(url, pool_max=2) for name, url in urls().items()}
        for database in databases.values():
            await database.open()
            stack.push_async_callback(database.close)
        checks = await verify.all_checks(databases)
    verify.show(checks, title="")
    return all(check.holds for check in checks)


if __name__ == "__main__":
    sys.exit(0 if uvloop.run(hold()) else 1)
