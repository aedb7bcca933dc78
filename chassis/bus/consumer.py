"""The way in: facts from this service's queue to its desk, acknowledged when their effect is committed or parked.

What dies with its connection is delivered again, and the inbox knows it. At most a few batches of facts are in memory
as facts; what has arrived beyond them waits as bytes, and the broker keeps the rest.
"""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from chassis import metrics
from chassis.bus import poison, topology
from chassis.bus.line import Line
from chassis.bus.pack import unpacked
from chassis.bus.poison import Poison, Unknown
from chassis.db import Database
from chassis.desk import Desk
from chassis.message import Delivery
from contracts import catalogue

PREFETCH = 500
FACTS_MAX = 2_000
"""Facts with the desk at one time: ten batches."""
AGAIN_SECONDS = 0.1
INSPECT_SECONDS = 2.0

log = structlog.get_logger("bus")


class Consumer:
    """One hearer's line to its queue, and to the queue of its dead letters."""

    def __init__(self, url: str, names: topology.Names, database: Database) -> None:
        self.line = Line(url, "consumer", self._begin)
        self.database = database
        self.facts = 0
        """With the desk just now, of this connection and of those before it."""
        self.desk: Desk
        self._names = names
        self._trays: tuple[Tray, ...] = ()
        self._inspector: AbstractChannel | None = None

    def start(self, desk: Desk) -> None:
        self.desk = desk
        if desk.service in topology.HEARERS:
            self.line.start(desk.service)

    @property
    def connected(self) -> bool:
        return self.line.up.is_set() or self.desk.service not in topology.HEARERS

    async def stop(self) -> None:
        """Acknowledge what the desk is through with; the rest goes back to the queue."""
        trays, self._trays = self._trays, ()
        for tray in trays:
            await tray.close()
        await self.line.stop()

    async def quiet(self) -> bool:
        """Nothing waits in the queue, and nothing is on its way from it to the desk."""
        if self.desk.service not in topology.HEARERS:
            return True
        if not self.line.up.is_set() or self._inspector is None or any(tray.items for tray in self._trays):
            return False
        try:
            async with asyncio.timeout(INSPECT_SECONDS):
                queue = await self._inspector.declare_queue(self._names.queue(self.desk.service), passive=True)
        except (*CONNECTION_EXCEPTIONS, TimeoutError):
            return False
        return not queue.declaration_result.message_count and not any(tray.items for tray in self._trays)

    async def _begin(self, connection: AbstractConnection) -> None:
        self._inspector = await connection.channel(publisher_confirms=False)
        self._inspector.close_callbacks.add(self.line.drop)
        await topology.declare(self._inspector, self._names)
        for tray in self._trays:
            tray.forsake()
        service = self.desk.service
        self._trays = (
            await self._listen(connection, self._names.queue(service), PREFETCH, dead=False),
            # One at a time: whoever dies with this one in hand knows whom to blame.
            await self._listen(connection, self._names.dead_queue(service), 1, dead=True),
        )

    async def _listen(self, connection: AbstractConnection, name: str, prefetch: int, *, dead: bool) -> "Tray":
        channel = await connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(self.line.drop)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self.line.drop)  # The queue is gone: it is declared anew.
        await channel.set_qos(prefetch_count=prefetch)
        queue = await channel.get_queue(name, ensure=False)
        tray = Tray(self, queue, dead=dead)
        await tray.open()
        return tray


@dataclass(slots=True, eq=False)
class Item:
    """A message and how many of its facts are still to be heard; -1: it has not been read."""

    message: AbstractIncomingMessage
    left: int = -1


class Tray:
    """The messages of one channel, in the order of their arrival, which is the order of their acknowledgement."""

    def __init__(self, consumer: Consumer, queue: AbstractQueue, *, dead: bool) -> None:
        self.items: deque[Item] = deque()
        self._consumer = consumer
        self._queue = queue
        self._dead = dead
        self._tag = ""
        self._unread: deque[Item] = deque()
        self._unheard: deque[tuple[Delivery, Item]] = deque()
        """What the desk had no room for."""
        self._tidying = False
        self._forsaken = False
        self._acknowledge = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._begin(self._acknowledge_finished())
        self._tag = await self._queue.consume(self._arrive)

    def forsake(self) -> None:
        """Its connection is gone: the broker delivers again what has not been acknowledged."""
        self._forsaken = True
        self._unread.clear()
        self._unheard.clear()
        self.items.clear()
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
            async with asyncio.timeout(INSPECT_SECONDS):
                await self._queue.cancel(self._tag)
                await self._acknowledge_now()
        self.forsake()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- in ------------------------------------------------------------------------------------------------------

    async def _arrive(self, message: AbstractIncomingMessage) -> None:
        item = Item(message)
        self.items.append(item)
        self._unread.append(item)
        self._soon()

    def _soon(self) -> None:
        """Once for all that happens in one turn of the loop: a batch is one acknowledgement."""
        if not self._tidying:
            self._tidying = True
            asyncio.get_running_loop().call_soon(self._tidy)

    def _tidy(self) -> None:
        self._tidying = False
        if self._forsaken:
            return
        if self.items and not self.items[0].left:
            self._acknowledge.set()
        while self._unheard and self._consumer.facts < FACTS_MAX:
            if not self._hear(*self._unheard.popleft()):
                return
        while self._unread and not self._unheard and self._consumer.facts < FACTS_MAX:
            self._read(self._unread.popleft())

    def _read(self, item: Item) -> None:
        """Each fact of a message goes its own way: one that cannot be read holds up no other."""
        message = item.message
        try:
            envelopes = unpacked(message.body, message.content_type)
        except ValueError:
            self._set_aside([poison.unreadable(message.body, message.type)], item)
            return
        found = [poison.read(value, text) for value, text in envelopes]
        deliveries = [each for each in found if isinstance(each, Delivery)]
        bad = [each for each in found if isinstance(each, Poison)]
        for each in found:
            if isinstance(each, Unknown):
                self._count("unknown", "unknown")  # A type from outside must not become a label.
        if self._dead:
            log.error("dead_letter", service=self._consumer.desk.service, type=message.type, facts=len(found))
            if message.redelivered:
                # Given to the desk once more, it took the process with it, or its connection, once more.
                bad += [poison.dead(each, self._consumer.desk) for each in deliveries]
                deliveries = []
        item.left = len(deliveries)
        if bad:
            self._set_aside(bad, item)
        for delivery in deliveries:
            self._hear(delivery, item)
        if not item.left:
            self._soon()

    def _set_aside(self, bad: list[Poison], item: Item) -> None:
        item.left = max(item.left, 0) + 1
        self._begin(self._park(bad, item))

    async def _park(self, bad: list[Poison], item: Item) -> None:
        for each in bad:
            await poison.park(each, self._consumer.desk, self._consumer.database)
            known = each.type if each.type in catalogue.CATALOGUE else "unknown"
            self._count(known, "dead" if each.reason == "dead_letter" else "unreadable")
        self._finished(item)

    def _hear(self, delivery: Delivery, item: Item) -> bool:
        self._consumer.facts += 1
        heard = self._consumer.desk.hear(delivery, partial(self._heard, delivery, item))
        if not heard:
            self._consumer.facts -= 1
            self._unheard.append((delivery, item))
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._soon)
        return heard

    # --- out -----------------------------------------------------------------------------------------------------

    def _heard(self, delivery: Delivery, item: Item) -> None:
        self._consumer.facts -= 1
        born_ms = delivery.id.int >> 80  # A UUIDv7 begins with the system's milliseconds.
        metrics.EVENT_LAG.labels(self._consumer.desk.service).observe(max(0.0, time.time() - born_ms / 1000))
        self._count(delivery.fact.type, "ok")
        self._finished(item)

    def _finished(self, item: Item) -> None:
        item.left -= 1
        self._soon()

    def _count(self, fact_type: str, result: str) -> None:
        metrics.EVENTS_CONSUMED.labels(self._consumer.desk.service, fact_type, result).inc()

    async def _acknowledge_finished(self) -> None:
        while True:
            await self._acknowledge.wait()
            self._acknowledge.clear()
            try:
                await self._acknowledge_now()
            except CONNECTION_EXCEPTIONS as error:
                # The channel is gone and its messages will come again: the inbox knows them.
                log.warning("not_acknowledged", service=self._consumer.desk.service, error=type(error).__name__)

    async def _acknowledge_now(self) -> None:
        """One acknowledgement for all that is finished up to the first that is not."""
        last: AbstractIncomingMessage | None = None
        while self.items and not self.items[0].left:
            last = self.items.popleft().message
        if last:
            await last.ack(multiple=True)
