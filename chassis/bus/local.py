"""The bus inside one process: same outbox, same inbox, facts handed straight to the hearers' desks.

A row is marked sent when every hearer's desk has committed (a parked fact counts as heard), so a crash loses nothing:
what was not marked is found by the sweep of whichever process runs next.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from uuid import UUID

import asyncpg
import structlog
from pydantic import ValidationError

from chassis import mailbox, metrics
from chassis.db import OUTAGE, Database
from chassis.desk import Desk
from chassis.loops import Loop
from chassis.message import Delivery
from contracts import catalogue
from contracts.fact import Envelope

MARK_EVERY_SECONDS = 0.005
SWEEP_EVERY_SECONDS = 2.0
LEFTOVER_AFTER_SECONDS = 5.0
SWEEP_MAX = 500

log = structlog.get_logger("bus")


class Hall:
    """The desks that share this process. `expected` are the services that belong here: a fact is carried only once
    every hearer among them is present, so that none of them misses what was said before it started."""

    def __init__(self, expected: Collection[str] = ()) -> None:
        self.desks: dict[str, Desk] = {}
        self._expected = frozenset(expected)
        self.complete = asyncio.Event()
        """Set once everybody expected has been here."""

    def enter(self, desk: Desk) -> None:
        self.desks[desk.service] = desk
        if self._expected <= self.desks.keys():
            self.complete.set()

    def hearers(self, fact_type: str) -> list[Desk] | None:
        """The desks that must hear this type; None while one of them has not started."""
        names = catalogue.hearers(fact_type)
        if any(name in self._expected and name not in self.desks for name in names):
            return None
        return [self.desks[name] for name in names if name in self.desks]


class LocalBus:
    """One producer's way to the desks of its Hall."""

    def __init__(
        self, hall: Hall, database: Database, *, leftover_after_seconds: float = LEFTOVER_AFTER_SECONDS
    ) -> None:
        self._hall = hall
        self._database = database
        self._leftover_after_seconds = leftover_after_seconds
        self._sent: list[UUID] = []
        self._carried: dict[UUID, list[Desk]] = {}
        """What is on its way, and on whose desks it lies."""
        self._wake = asyncio.Event()
        self._loops: tuple[Loop, ...] = ()
        self._desk: Desk | None = None
        self._first = True

    @property
    def connected(self) -> bool:
        return True

    def heard(self, fact_type: str) -> bool:
        return bool(catalogue.hearers(fact_type))

    def hand_off(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if self._is_under_way(delivery.id):
                continue
            desks = self._hall.hearers(delivery.fact.type)
            if desks is None:
                continue
            self._carried[delivery.id] = desks
            done = self._countdown(delivery.id, len(desks))
            heard = [desk.hear(delivery, done) for desk in desks]
            if not all(heard):
                del self._carried[delivery.id]

    def _is_under_way(self, fact_id: UUID) -> bool:
        """Carried, and by nobody who has ended: what lay on that desk undecided goes to the next one."""
        desks = self._carried.get(fact_id)
        return desks is not None and not any(desk.closed for desk in desks)

    def _countdown(self, fact_id: UUID, hearers: int) -> Callable[[], None]:
        left = hearers

        def done() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                self._sent.append(fact_id)
                self._wake.set()

        if not hearers:
            done()
        return done

    async def start(self, desk: Desk) -> None:
        self._desk = desk
        self._hall.enter(desk)
        self._loops = (
            Loop(f"marks:{desk.service}", self._mark_soon, every_seconds=0),
            Loop(f"sweep:{desk.service}", self._sweep_leftovers, every_seconds=SWEEP_EVERY_SECONDS),
        )
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        """The desk stays in the hall, closed: as long as it is the one that must hear, nothing counts as heard."""
        for loop in self._loops:
            await loop.stop()
        with suppress(*OUTAGE, asyncpg.PostgresError):
            await self._mark()

    async def quiet(self) -> bool:
        return not self._sent and not await self._database.pool.fetchval(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE sent_at IS NULL)"
        )

    async def _mark_soon(self) -> None:
        await self._wake.wait()
        await asyncio.sleep(MARK_EVERY_SECONDS)
        self._wake.clear()
        await self._mark()

    async def _mark(self) -> None:
        sent, self._sent = self._sent, []
        if not sent:
            return
        try:
            await self._database.lazy.execute(mailbox.MARK_SENT, sent)
        except BaseException:
            self._sent.extend(sent)
            self._wake.set()
            raise
        for fact_id in sent:
            self._carried.pop(fact_id, None)

    async def _sweep_leftovers(self) -> None:
        """Leftovers of a crash, as soon as everybody is there to hear them; then of a full desk, every 2 s. By id lists
        and never by a cursor."""
        await self._hall.complete.wait()
        await self.sweep(0 if self._first else self._leftover_after_seconds)
        self._first = False

    async def sweep(self, older_than_seconds: float) -> None:
        rows = await self._database.pool.fetch(mailbox.LEFT_IN_OUTBOX, older_than_seconds, SWEEP_MAX)
        if self._desk:
            metrics.OUTBOX_PENDING.labels(self._desk.service).set(len(rows))
        self.hand_off([delivery for row in rows if (delivery := read_delivery(row["body"]))])


def read_delivery(body: str) -> Delivery | None:
    """A delivery out of an envelope's JSON; None for what this build cannot read: it stays in the outbox, unsent."""
    try:
        envelope = Envelope.model_validate_json(body)
        fact = catalogue.decode(envelope)
    except ValidationError:
        log.exception("outbox_unreadable")
        return None
    return Delivery(envelope.id, fact, envelope.correlationid, body) if fact else None
