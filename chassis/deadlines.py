"""Deadlines: an indexed column, swept set-based; what is due becomes a message that takes effect at its due time.

Its message id is (aggregate, kind, due time), so whoever sweeps it, and however often, it fires once; no sweep needs a
leader or a lock.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.caller import Command
from chassis.db import Database
from chassis.desk import Desk
from chassis.loops import Loop

SWEEP_EVERY_SECONDS = 0.25
SWEEP_MAX = 500
AGAIN_AFTER_SECONDS = 5.0
"""A row that is still due after its message was decided has met a bug: it is tried again, but not at once."""


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
        """$1, $2: keys and due times that need not be found."""
        return (
            f"SELECT {self.key} AS key, {self.column} AS due_at FROM {self.table} "
            f"WHERE {self.condition} AND {self.column} <= business_now() "
            f"AND ({self.key}, {self.column}) NOT IN (SELECT * FROM unnest($1::text[], $2::timestamptz[])) "
            f"ORDER BY {self.column} LIMIT {SWEEP_MAX}"
        )

    @property
    def next_sql(self) -> str:
        return f"SELECT min({self.column}) AS due_at FROM {self.table} WHERE {self.condition}"


class Deadlines:
    """Sweeps a service's deadlines while the process runs, however busy the desk is."""

    def __init__(self, due: Sequence[Due], desk: Desk, database: Database) -> None:
        self._due = due
        self._desk = desk
        self._database = database
        self._under_way: dict[tuple[str, str, datetime], float] = {}
        """(kind, key, due time) -> when it may be swept again, in monotonic seconds; never while it is on the desk."""
        self._loop = Loop(f"deadlines:{desk.service}", self.sweep, every_seconds=SWEEP_EVERY_SECONDS)

    async def start(self) -> None:
        if self._due:
            self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def next_due_at(self) -> datetime | None:
        """The nearest deadline of this service, in business time."""
        if not self._due:
            return None
        union = " UNION ALL ".join(each.next_sql for each in self._due)
        found: datetime | None = await self._database.pool.fetchval(f"SELECT min(due_at) FROM ({union}) AS d")
        return found

    async def sweep(self) -> int:
        """Put the passed deadlines on the desk, each once; how many."""
        now = time.monotonic()
        self._under_way = {name: again_at for name, again_at in self._under_way.items() if again_at > now}
        if sum(again_at == math.inf for again_at in self._under_way.values()) >= SWEEP_MAX:
            return 0
        count = 0
        for each in self._due:
            known = [(key, due_at) for kind, key, due_at in self._under_way if kind == each.name]
            keys, due_times = [key for key, _ in known], [due_at for _, due_at in known]
            rows = await self._database.pool.fetch(each.passed_sql, keys, due_times)
            for row in rows:
                self._fall_due(each, row["key"], row["due_at"])
            count += len(rows)
        return count

    def _fall_due(self, due: Due, key: str, due_at: datetime) -> None:
        name = due.name, key, due_at
        self._under_way[name] = math.inf

        def done() -> None:
            self._under_way[name] = time.monotonic() + AGAIN_AFTER_SECONDS

        self._desk.fall_due(due.command(key, due_at), (key, due.name, due_at.isoformat()), done)
