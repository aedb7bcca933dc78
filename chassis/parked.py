"""Facts that came too early wait in `parked`; a sweep every second brings them back, whoever applied their predecessor."""

import asyncio
from uuid import UUID

import asyncpg
import structlog

from chassis import mailbox
from chassis.db import OUTAGE, Database
from chassis.desk import Desk
from chassis.message import Delivery
from contracts import catalogue
from contracts.fact import Envelope

SWEEP_EVERY_SECONDS = 1.0

log = structlog.get_logger("parked")


class ParkedSweep:
    def __init__(self, desk: Desk, database: Database) -> None:
        self._desk = desk
        self._database = database
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._loop(), name=f"parked:{self._desk.service}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> int:
        """Bring back what is due for another try; how many."""
        rows = await self._database.pool.fetch(mailbox.TAKE_PARKED)
        for row in rows:
            envelope = Envelope.model_validate_json(row["body"])
            fact = catalogue.decode(envelope)
            if fact:
                delivery = Delivery(UUID(bytes=row["id"]), fact, envelope.correlationid, row["body"])
                self._desk.hear(delivery, lambda: None, parked=True)
        return len(rows)

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_SECONDS)
            try:
                await self.sweep()
                await self._desk.learn_poison()
            except (*OUTAGE, asyncpg.PostgresError) as error:
                log.warning("parked_delayed", service=self._desk.service, error=type(error).__name__)
