"""Facts that came too early wait in `parked`; a sweep brings them back, whichever replica applied their predecessor."""

from uuid import UUID

import structlog
from pydantic import ValidationError

from chassis import mailbox
from chassis.db import Database
from chassis.desk import Desk
from chassis.loops import Loop
from chassis.message import Delivery
from contracts import catalogue
from contracts.fact import Envelope

SWEEP_EVERY_SECONDS = 1.0

log = structlog.get_logger("parked")


class ParkedSweep:
    def __init__(self, desk: Desk, database: Database) -> None:
        self._desk = desk
        self._database = database
        self._loop = Loop(f"parked:{desk.service}", self._step, every_seconds=SWEEP_EVERY_SECONDS)

    async def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def sweep(self) -> int:
        """Bring back what is due for another try; how many."""
        rows = await self._database.pool.fetch(mailbox.TAKE_PARKED)
        for row in rows:
            self._bring_back(row["id"], row["body"])
        return len(rows)

    def _bring_back(self, id_: bytes, body: str) -> None:
        try:
            envelope = Envelope.model_validate_json(body)
            fact = catalogue.decode(envelope)
        except ValidationError:
            # It stays where it is, with its reason; the others must not wait for it.
            log.exception("parked_unreadable", service=self._desk.service, id=id_.hex())
            return
        if fact:
            self._desk.hear(Delivery(UUID(bytes=id_), fact, envelope.correlationid, body), lambda: None, parked=True)

    async def _step(self) -> None:
        await self.sweep()
        await self._desk.learn_poison()
