"""The way out: committed facts, handed over in memory or found in the outbox, published to every hearer and confirmed.

Nothing is lost on the way: a row is marked as sent when each of its hearers' copies has been confirmed; what is
returned, refused or not confirmed in time stays in the outbox and is tried again, and says so aloud.
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import DeliveryError, PublishError

from chassis import metrics
from chassis.bus import outbox, topology
from chassis.bus.line import Line
from chassis.bus.pack import Letter, message_of, packed
from chassis.db import Database
from chassis.loops import Loop
from chassis.message import Delivery
from contracts import catalogue

CONFIRM_SECONDS = 5.0
ROUND_FACTS_MAX = 2_000
QUEUE_FACTS_MAX = 10_000
LEFT_MAX = 20_000
SWEEP_EVERY_SECONDS = 2.0
LEFTOVER_AFTER_SECONDS = 5.0
PAGE = 1_000
HOLD_SECONDS = 1.0
HOLD_MAX_SECONDS = 30.0

Result = Literal["confirmed", "returned", "refused", "unconfirmed", "held"]
Copy = tuple[str, str]
"""Whose copies of which type: (hearer, type)."""

log = structlog.get_logger("bus")


@dataclass(frozen=True, slots=True)
class Hold:
    """Copies that the broker would not take are tried again after a while, and after twice that the next time."""

    until: float
    seconds: float


class Relay:
    """One producer's facts on their way to the broker."""

    def __init__(self, url: str, names: topology.Names, database: Database, *, leftover_after_seconds: float) -> None:
        self.line = Line(url, "relay", self._begin)
        self._names = names
        self._database = database
        self._leftover_after_seconds = leftover_after_seconds
        self._marks = outbox.Marks(database, self._forget)
        self._queue: deque[Letter] = deque()
        self._known: set[UUID] = set()
        """Waiting here, under way, or confirmed and not yet marked."""
        self._left: dict[UUID, frozenset[str]] = {}
        """Of facts that some hearers have got: the others."""
        self._holds: dict[Copy, Hold] = {}
        self._nobody_knows: set[str] = set()
        self._exchanges: dict[str, AbstractExchange] = {}
        self._wake = asyncio.Event()
        self._busy = False
        self._first = True
        self._service = ""
        self._loops: tuple[Loop, ...] = ()

    # --- facts in ------------------------------------------------------------------------------------------------

    def hand_off(self, deliveries: Sequence[Delivery]) -> None:
        """Never waits: what there is no room for is found in the outbox later."""
        self._take(Letter(delivery.id, delivery.fact.type, delivery.body) for delivery in deliveries)

    def _take(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            if letter.id not in self._known and len(self._queue) < QUEUE_FACTS_MAX:
                self._known.add(letter.id)
                self._queue.append(letter)
        self._wake.set()

    def _forget(self, ids: Iterable[UUID]) -> None:
        self._known.difference_update(ids)

    async def sweep(self, older_than_seconds: float) -> int:
        """Take up what is left in the outbox, page by page; how many."""
        count = 0
        while self.line.up.is_set() and len(self._queue) < PAGE:
            found = await outbox.leftovers(
                self._database, older_than_seconds, held=self._held_types(), known=self._known, at_most=PAGE
            )
            self._take(letter for letter in found if self._is_known_type(letter.type))
            count += len(found)
            if len(found) < PAGE:
                break
            await self._emptied()
        return count

    def _held_types(self) -> set[str]:
        now = time.monotonic()
        return self._nobody_knows | {fact_type for (_, fact_type), hold in self._holds.items() if hold.until > now}

    def _is_known_type(self, fact_type: str) -> bool:
        """A row of a newer build stays where it is, unsent, for that build to send."""
        if fact_type not in catalogue.CATALOGUE and fact_type not in self._nobody_knows:
            log.error("fact_unknown", service=self._service, type=fact_type)
            self._nobody_knows.add(fact_type)
        return fact_type in catalogue.CATALOGUE

    async def _emptied(self) -> None:
        while self.line.up.is_set() and len(self._queue) >= PAGE:  # noqa: ASYNC110 - the queue empties in milliseconds
            await asyncio.sleep(0.01)

    # --- lives ---------------------------------------------------------------------------------------------------

    def start(self, service: str) -> None:
        self._service = service
        self.line.start(service)
        self._marks.start(service)
        self._loops = (
            Loop(f"relay:{service}", self._step, every_seconds=0),
            Loop(f"sweep:{service}", self._sweep_leftovers, every_seconds=SWEEP_EVERY_SECONDS),
        )
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        """What has been committed is sent if the broker takes it now; else whoever runs next finds it."""
        give_up_at = time.monotonic() + CONFIRM_SECONDS
        while (self._queue or self._busy) and self.line.up.is_set() and time.monotonic() < give_up_at:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for loop in self._loops:
            await loop.stop()
        await self.line.stop()
        await self._marks.stop()

    async def quiet(self) -> bool:
        return not self._known and not await outbox.anything_unsent(self._database)

    async def _begin(self, connection: AbstractConnection) -> None:
        """A channel for each hearer: copies of one fact share its id, by which a channel tells what came back."""
        channel = await connection.channel(publisher_confirms=False)
        await topology.declare(channel, self._names)
        for hearer in topology.HEARERS:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            channel.close_callbacks.add(self.line.drop)
            self._exchanges[hearer] = await channel.get_exchange(self._names.exchange, ensure=False)

    async def _sweep_leftovers(self) -> None:
        await outbox.measure(self._database, self._service)
        await self.line.up.wait()
        await self.sweep(0 if self._first else self._leftover_after_seconds)
        self._first = False

    # --- facts out -----------------------------------------------------------------------------------------------

    async def _step(self) -> None:
        """One round: all that waits, up to a bound; what comes meanwhile is the next."""
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        await self.line.up.wait()
        letters = [self._queue.popleft() for _ in range(min(len(self._queue), ROUND_FACTS_MAX))]
        self._busy = True
        try:
            results = await self._publish(letters)
        except BaseException:
            self._queue.extendleft(reversed(letters))
            raise
        finally:
            self._busy = False
        self._settle(letters, results)

    async def _publish(self, letters: Sequence[Letter]) -> dict[tuple[str, UUID], Result]:
        """Send every missing copy, packed by hearer and type; what became of each."""
        copies: dict[Copy, list[Letter]] = defaultdict(list)
        for letter in letters:
            for hearer in self._hearers_left(letter):
                copies[hearer, letter.type].append(letter)
        now = time.monotonic()
        held = {copy for copy in copies if copy in self._holds and self._holds[copy].until > now}
        sending = [(copy, pack) for copy, all_ in copies.items() if copy not in held for pack in packed(all_)]
        results: dict[tuple[str, UUID], Result] = {}
        for (hearer, fact_type), all_ in copies.items():
            if (hearer, fact_type) in held:
                results.update({(hearer, letter.id): "held" for letter in all_})
        for (copy, pack), result in zip(sending, await self._send_all(sending), strict=True):
            results.update({(copy[0], letter.id): result for letter in pack})
        return results

    def _hearers_left(self, letter: Letter) -> frozenset[str]:
        return self._left.get(letter.id) or catalogue.hearers(letter.type)

    async def _send_all(self, sending: Sequence[tuple[Copy, list[Letter]]]) -> list[Result]:
        """Publish all at once and wait for the confirms together; the time-out is for a broker that says nothing."""
        if not sending:
            return []
        tasks = [asyncio.create_task(self._send(*each)) for each in sending]
        try:
            _, late = await asyncio.wait(tasks, timeout=CONFIRM_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        results: list[Result] = ["unconfirmed" if task in late or task.cancelled() else task.result() for task in tasks]
        self._report(sending, results)
        return results

    async def _send(self, copy: Copy, pack: list[Letter]) -> Result:
        exchange = self._exchanges[copy[0]]
        try:
            await exchange.publish(message_of(pack), topology.key(*copy), mandatory=True)
        except PublishError:
            return "returned"
        except DeliveryError:
            return "refused"
        except Exception as error:  # noqa: BLE001 - whatever the connection died of, it confirmed nothing
            log.warning("publish_failed", service=self._service, error=type(error).__name__)
            return "unconfirmed"
        return "confirmed"

    def _report(self, sending: Sequence[tuple[Copy, list[Letter]]], results: Sequence[Result]) -> None:
        """Count, hold back what was not taken, and replace a connection that does not answer."""
        failed: Counter[tuple[Copy, Result]] = Counter()
        for (copy, pack), result in zip(sending, results, strict=True):
            if result == "confirmed":
                self._holds.pop(copy, None)
            else:
                failed[copy, result] += len(pack)
        for ((hearer, fact_type), result), count in failed.items():
            metrics.EVENTS_UNSENT.labels(self._service, fact_type, result).inc(count)
            log.error("facts_not_taken", service=self._service, hearer=hearer, type=fact_type, why=result, facts=count)
            if result == "unconfirmed":
                self.line.drop()
            else:
                self._hold(hearer, fact_type)

    def _hold(self, hearer: str, fact_type: str) -> None:
        before = self._holds.get((hearer, fact_type))
        seconds = min(HOLD_MAX_SECONDS, before.seconds * 2) if before else HOLD_SECONDS
        self._holds[hearer, fact_type] = Hold(time.monotonic() + seconds, seconds)

    def _settle(self, letters: Sequence[Letter], results: dict[tuple[str, UUID], Result]) -> None:
        """Mark what every hearer has got; keep what only the connection failed; leave the rest to the sweep."""
        sent: list[Letter] = []
        again: list[Letter] = []
        for letter in letters:
            outcomes = {hearer: results[hearer, letter.id] for hearer in self._hearers_left(letter)}
            missing = frozenset(hearer for hearer, result in outcomes.items() if result != "confirmed")
            if not missing:
                self._left.pop(letter.id, None)
                sent.append(letter)
                continue
            self._remember(letter.id, missing)
            if "unconfirmed" in outcomes.values():
                again.append(letter)
            else:
                self._known.discard(letter.id)
        for fact_type, count in Counter(letter.type for letter in sent).items():
            metrics.EVENTS_PUBLISHED.labels(self._service, fact_type).inc(count)
        self._marks.add(letter.id for letter in sent)
        self._queue.extendleft(reversed(again))

    def _remember(self, fact_id: UUID, missing: frozenset[str]) -> None:
        """Who has not got it: forgotten where there are too many, and then sent to all again."""
        if len(self._left) >= LEFT_MAX:
            self._left.clear()
        self._left[fact_id] = missing
