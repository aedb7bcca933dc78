"""The outbox as a relay sees it: what is left in it, and which rows every hearer has got."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from uuid import UUID

import asyncpg

from chassis import mailbox, metrics
from chassis.bus.pack import Letter
from chassis.db import OUTAGE, Database
from chassis.loops import Loop

MARK_EVERY_SECONDS = 0.005

LEFTOVERS = """
SELECT id, type, body FROM outbox
WHERE sent_at IS NULL AND at < clock_timestamp() - $1 * interval '1 second'
  AND type <> ALL($2::text[]) AND id <> ALL($3::uuid[])
ORDER BY at LIMIT $4
"""
"""Unsent rows of age, without the types that are held back and the rows that are under way: lists, never a cursor."""

PENDING = """
SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 AS age
FROM outbox WHERE sent_at IS NULL
"""


async def leftovers(
    database: Database, older_than_seconds: float, *, held: Collection[str], known: Iterable[UUID], at_most: int
) -> list[Letter]:
    rows = await database.pool.fetch(LEFTOVERS, older_than_seconds, list(held), list(known), at_most)
    return [Letter(row["id"], row["type"], row["body"]) for row in rows]


async def anything_unsent(database: Database) -> bool:
    return bool(await database.pool.fetchval("SELECT EXISTS (SELECT 1 FROM outbox WHERE sent_at IS NULL)"))


async def measure(database: Database, service: str) -> None:
    """Set the gauges of the outbox: how many rows wait, and for how long the oldest."""
    row = await database.pool.fetchrow(PENDING)
    if row:
        metrics.OUTBOX_PENDING.labels(service).set(row["rows"])
        metrics.OUTBOX_AGE.labels(service).set(row["age"])


class Marks:
    """Marks rows as sent, all of some milliseconds at once, on the connection that does not wait for the disk: a mark
    that a crash loses is a fact sent twice, and the inbox knows it."""

    def __init__(self, database: Database, marked: Callable[[Iterable[UUID]], None]) -> None:
        self._database = database
        self._marked = marked
        self._sent: list[UUID] = []
        self._wake = asyncio.Event()
        self._loop: Loop | None = None

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, ids: Iterable[UUID]) -> None:
        self._sent.extend(ids)
        self._wake.set()

    def start(self, service: str) -> None:
        self._loop = Loop(f"marks:{service}", self._soon, every_seconds=0)
        self._loop.start()

    async def stop(self) -> None:
        if self._loop:
            await self._loop.stop()
        with suppress(*OUTAGE, asyncpg.PostgresError):
            await self._write()

    async def _soon(self) -> None:
        await self._wake.wait()
        await asyncio.sleep(MARK_EVERY_SECONDS)
        self._wake.clear()
        await self._write()

    async def _write(self) -> None:
        sent, self._sent = self._sent, []
        if not sent:
            return
        try:
            await self._database.lazy.execute(mailbox.MARK_SENT, sent)
        except BaseException:
            self._sent.extend(sent)
            self._wake.set()
            raise
        self._marked(sent)
