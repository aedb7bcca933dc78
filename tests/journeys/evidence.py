"""What the databases of a world say, when nobody asks the world itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.db import Database
from contracts import catalogue
from onebox import verify, world
from services.escrow.store import PROOF
from tests.journeys.people import until

BUSY = """
SELECT EXISTS (SELECT FROM outbox WHERE sent_at IS NULL) OR EXISTS (SELECT FROM parked WHERE NOT poison)
    OR EXISTS (SELECT FROM instructions WHERE state = 'due')
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Reads as each service's own role, straight from its tables."""

    databases: Mapping[str, Database]

    async def row(self, service: str, sql: str, *values: object) -> Any:
        return (await self.rows(service, sql, *values))[0]

    async def rows(self, service: str, sql: str, *values: object) -> list[Any]:
        return list(await self.databases[service].pool.fetch(sql, *values))

    async def at_rest(self) -> None:
        """Return when nothing is under way in any service; TimeoutError if that never comes."""

        async def busy() -> list[str]:
            asked = {name: self.databases[name].pool.fetchval(BUSY) for name in self.databases}
            answers = await asyncio.gather(*asked.values())
            return [name for name, is_busy in zip(asked, answers, strict=True) if is_busy]

        await until(busy, lambda names: not names)

    async def violations(self) -> list[str]:
        """Every row that breaks an invariant, in the words of `make verify`; call it at rest."""
        checks = await verify.all_checks(self.databases)
        return [f"{check.name}: {violation}" for check in checks for violation in check.violations]

    async def books(self) -> dict[str, int]:
        """The proof of the one currency there is, from postings."""
        rows = await self.rows("escrow", PROOF)
        return dict(rows[0].items()) if rows else {}

    async def state(self, order_id: str) -> tuple[str, str]:
        """(state of the order, state of its hold)."""
        order = await self.row("order", "SELECT state FROM orders WHERE order_id = $1", order_id)
        hold = await self.rows("escrow", "SELECT state FROM holds WHERE order_id = $1", order_id)
        return order["state"], hold[0]["state"] if hold else "none"

    async def entries(self, order_id: str) -> Counter[str]:
        """How many entries of each kind the ledger has about an order."""
        rows = await self.rows("escrow", "SELECT DISTINCT entry_id, kind FROM postings WHERE order_id = $1", order_id)
        return Counter(row["kind"] for row in rows)

    async def orders_of(self, person_id: str) -> list[str]:
        rows = await self.rows("order", "SELECT order_id FROM orders WHERE buyer = $1 ORDER BY 1", person_id)
        return [row["order_id"] for row in rows]

    async def hearings(self, order_id: str) -> dict[str, list[int]]:
        """Fact type -> how many inbox rows each of its hearers has, for every time it was said about this order."""
        found: dict[str, list[int]] = {}
        for producer in ("order", "escrow", "distribution"):
            for fact in await self.rows(
                producer, "SELECT id, type FROM outbox WHERE subject = $1 ORDER BY at", order_id
            ):
                for hearer in catalogue.hearers(fact["type"]):
                    count = await self.row(hearer, "SELECT count(*) AS n FROM inbox WHERE id = $1", fact["id"].bytes)
                    found.setdefault(fact["type"], []).append(count["n"])
        return found


@asynccontextmanager
async def evidence(folder: Path) -> AsyncIterator[Evidence]:
    """The databases of a world, running or stopped."""
    async with world.databases(folder, durable=False) as databases, AsyncExitStack() as stack:
        for database in databases.values():
            await database.open()
            stack.push_async_callback(database.close)
        yield Evidence(databases)
