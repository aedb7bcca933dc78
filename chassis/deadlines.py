"""Deadlines: an indexed column, swept set-based; what is due becomes a message that takes effect at its due time.

Its message id is (aggregate, kind, due time), so whoever sweeps it, and however often, it fires once; no sweep needs a
leader or a lock.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from chassis.caller import Command
from chassis.db import OUTAGE, Database
from chassis.desk import Desk

SWEEP_EVERY_SECONDS = 0.25
SWEEP_MAX = 500

log = structlog.get_logger("deadlines")


@dataclass(frozen=True)
class Due:
    """Rows of `table` whose `column` has passed while `condition` holds; `command(key, due_at)` is their message."""

    name: str
    table: str
    key: str
    column: str
    condition: str
    command: Callable[[str, datetime], Command]

    @property
    def passed_sql(self) -> str:
        return (
            f"SELECT {self.key} AS key, {self.column} AS due_at FROM {self.table} "  # noqa: S608 - names of the code
            f"WHERE {self.condition} AND {self.column} <= business_now() ORDER BY {self.column} LIMIT {SWEEP_MAX}"
        )

    @property
    def next_sql(self) -> str:
        return f"SELECT min({self.column}) AS due_at FROM {self.table} WHERE {self.condition}"  # noqa: S608


class Deadlines:
    """Sweeps a service's deadlines while the process runs."""

    def __init__(self, due: Sequence[Due], desk: Desk, database: Database) -> None:
        self._due = due
        self._desk = desk
        self._database = database
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._due:
            self._task = asyncio.create_task(self._loop(), name=f"deadlines:{self._desk.service}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def next_due_at(self) -> datetime | None:
        """The nearest deadline of this service, in business time."""
        if not self._due:
            return None
        union = " UNION ALL ".join(each.next_sql for each in self._due)
        found: datetime | None = await self._database.pool.fetchval(f"SELECT min(due_at) FROM ({union}) AS d")  # noqa: S608
        return found

    async def sweep(self) -> int:
        """Put every passed deadline on the desk; how many."""
        count = 0
        for each in self._due:
            for row in await self._database.pool.fetch(each.passed_sql):
                name = (row["key"], each.name, row["due_at"].isoformat())
                self._desk.fall_due(each.command(row["key"], row["due_at"]), name)
                count += 1
        return count

    async def _loop(self) -> None:
        while True:
            # A sweep while the last one's messages still wait would only put them there twice.
            if self._desk.quiet:
                try:
                    await self.sweep()
                except (*OUTAGE, asyncpg.PostgresError) as error:
                    log.warning("deadlines_delayed", service=self._desk.service, error=type(error).__name__)
            await asyncio.sleep(SWEEP_EVERY_SECONDS)
