"""`make verify`: every invariant recomputed from the databases, inside each service and between them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chassis.db import Database
from chassis.verify import Check, history_violations, mailbox_violations
from contracts import catalogue
from contracts.catalogue import SERVICES
from onebox import world

CHUNK = 5_000
_ARRIVED = """
SELECT id FROM inbox WHERE id = ANY($1::bytea[]) UNION SELECT id FROM parked WHERE id = ANY($1::bytea[])
"""
SHOWN_MAX = 20


async def verify_world(folder: Path) -> bool:
    """Check a stopped or a running world and print the result; whether everything holds."""
    async with world.databases(folder) as databases, AsyncExitStack() as stack:
        for database in databases.values():
            await database.open()
            stack.push_async_callback(database.close)
        checks = await all_checks(databases)
    show(checks, title=str(folder))
    return all(check.holds for check in checks)


async def all_checks(databases: Mapping[str, Database]) -> list[Check]:
    """Each service's own invariants, then those between services."""
    checks: list[Check] = []
    for name, database in databases.items():
        package = world.PACKAGES[name]
        stores = import_module(f"{package}.store").STORES
        checks.append(Check(f"{name}: history is whole and chained", await history_violations(database, stores)))
        checks.append(Check(f"{name}: no message is stuck", await mailbox_violations(database)))
        if find_spec(f"{package}.verify"):
            checks += await import_module(f"{package}.verify").checks(database)
    checks.append(Check("every fact was heard by every hearer", [each async for each in _unheard(databases)]))
    checks.append(Check("orders and holds agree", [each async for each in _disagreeing(databases)]))
    return checks


async def _unheard(databases: Mapping[str, Database]) -> AsyncIterator[str]:
    """A sent fact has one inbox row, or one parked row, at each of its hearers; nothing else."""
    for producer in SERVICES:
        async for rows in _chunks(databases[producer], "SELECT id, type, sent_at FROM outbox", "id"):
            for hearer in SERVICES:
                meant = {
                    row["id"].bytes: row for row in rows if row["sent_at"] and hearer in catalogue.hearers(row["type"])
                }
                known = await databases[hearer].pool.fetch(_ARRIVED, list(meant))
                for missing in meant.keys() - {row["id"] for row in known}:
                    yield f"{meant[missing]['type']} {meant[missing]['id']} of {producer} never reached {hearer}"


_AGREES: Mapping[str, frozenset[str]] = {
    "placed": frozenset({"awaiting_payment"}),
    "paid": frozenset({"held"}),
    "shipped": frozenset({"held"}),
    "delivered": frozenset({"held"}),
    "received": frozenset({"released"}),
    "completed": frozenset({"released"}),
    "cancelled": frozenset({"void", "refunding", "refunded"}),
    "expired": frozenset({"void", "refunding", "refunded"}),
    "refunded": frozenset({"refunding", "refunded"}),
}
"""Where the money of an order may be once all is quiet, by the order's state."""


async def _disagreeing(databases: Mapping[str, Database]) -> AsyncIterator[str]:
    """Every order has exactly one hold, in a state that fits its own."""
    async for rows in _chunks(databases["order"], "SELECT order_id, state FROM orders", "order_id"):
        ids = [row["order_id"] for row in rows]
        found = await databases["escrow"].pool.fetch("SELECT order_id, state FROM holds WHERE order_id = ANY($1)", ids)
        holds = {row["order_id"]: row["state"] for row in found}
        for row in rows:
            hold = holds.get(row["order_id"], "missing")
            if hold not in _AGREES[row["state"]]:
                yield f"order {row['order_id']} is {row['state']}, its hold is {hold}"


async def _chunks(database: Database, select: str, key: str) -> AsyncIterator[Sequence[Any]]:
    """A table in pieces, by keyset, so that a million rows are never held at once."""
    after = None
    while True:
        where = f" WHERE {key} > $1" if after is not None else ""
        values = () if after is None else (after,)
        rows = await database.pool.fetch(f"{select}{where} ORDER BY {key} LIMIT {CHUNK}", *values)
        if not rows:
            return
        yield rows
        after = rows[-1][key]


def show(checks: Sequence[Check], *, title: str) -> None:
    """One line per invariant; a violated one names its rows."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1), show_header=False, title=title, title_justify="left")
    for check in checks:
        mark = "[green]ok[/]" if check.holds else "[bold red]violated[/]"
        table.add_row(mark, check.name)
        for violation in check.violations[:SHOWN_MAX]:
            table.add_row("", f"[red]{violation}[/]")
        if len(check.violations) > SHOWN_MAX:
            table.add_row("", f"[red]… and {len(check.violations) - SHOWN_MAX} more[/]")
    console.print(table)
    broken = sum(not check.holds for check in checks)
    console.print(f"{len(checks) - broken} invariants hold, {broken} violated")
