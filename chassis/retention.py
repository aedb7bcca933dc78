"""What is over is purged: the mailbox keeps 30 days (decision 0014); the ledger and the histories are kept for ever."""

from chassis.db import Database
from chassis.loops import Loop

PURGE_EVERY_SECONDS = 600.0
CHUNK = 10_000
_PURGES = (
    f"""
    DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox WHERE sent_at < clock_timestamp() - $1 * interval '1 day' ORDER BY sent_at LIMIT {CHUNK})
    """,
    # A day later than the outbox: at no moment does a sent fact seem never to have arrived.
    f"""
    DELETE FROM inbox WHERE id IN (
        SELECT id FROM inbox WHERE at < clock_timestamp() - ($1 + 1) * interval '1 day' ORDER BY at LIMIT {CHUNK})
    """,
    f"""
    DELETE FROM instructions WHERE id IN (
        SELECT id FROM instructions
        WHERE state <> 'due' AND at < clock_timestamp() - $1 * interval '1 day' LIMIT {CHUNK})
    """,
)
"""Each deletes a bounded piece, so that no purge holds locks or fills the log for long. What waits is never touched."""


class Retention:
    """Purges a service's mailbox while the process runs; several processes may, at once."""

    def __init__(self, service: str, database: Database, days: int) -> None:
        self._database = database
        self._days = days
        self._loop = Loop(f"retention:{service}", self.purge, every_seconds=PURGE_EVERY_SECONDS)

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def purge(self) -> int:
        """One round, piece by piece until nothing old is left: how many rows are gone."""
        gone = 0
        for sql in _PURGES:
            piece = CHUNK
            while piece == CHUNK:
                status = await self._database.pool.execute(sql, self._days)
                piece = int(status.rpartition(" ")[2])
                gone += piece
        return gone
