"""The desk: one writer loop that takes all waiting messages in one transaction. Every change of a service is made here.

Natural batching: no timer; an idle desk serves one message at once, a busy one finds the next batch waiting. The good
path takes no locks: states are loaded, decided in memory and saved by one statement that checks the loaded versions;
a batch that lost a race runs again with locks; a batch that the database refuses is halved until the culprit is alone;
an outage blames nobody, and the same batch runs again.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import Any, Protocol

import asyncpg
import structlog

from chassis import mailbox, metrics
from chassis.batch import Batch, Bug, why
from chassis.caller import SYSTEM, Command
from chassis.db import acquired, is_outage
from chassis.decision import NotYet, Refused
from chassis.early import Sleepers
from chassis.message import Delivery, Heard, Message, Origin, Reply, message_id
from chassis.settings import DeskSettings
from chassis.slots import Key, key_name, names_json, touched
from chassis.store import Keyed, Store
from chassis.touches import Handler
from chassis.transaction import Decided, decide_and_save
from chassis.watch import Watchers

RERUNS_MAX = 5
NOT_YET_WAIT_SECONDS = 2.0
RETRY_EARLY_SECONDS = 0.2
RETRY_OUTAGE_SECONDS = 0.2
SLEEPING_MAX = 10_000

log = structlog.get_logger("desk")


class Overloaded(Refused):
    status, code = 503, "overloaded"


class Unavailable(Refused):
    """The database cannot be reached: the effect is unknown until the same key is sent again."""

    status, code = 503, "unavailable"


class NotYetKnown(Refused):
    status, code = 409, "not_yet_known"


class KeyReused(Refused):
    status, code = 422, "idempotency_key_reused"


class Defect(Refused):
    status, code = 500, "internal_error"


class HandOff(Protocol):
    """What the desk needs of a bus."""

    def heard(self, fact_type: str) -> bool: ...
    def hand_off(self, deliveries: Sequence[Delivery]) -> None: ...


LOST_RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)
TOO_SLOW = (asyncpg.QueryCanceledError, TimeoutError)


class Desk:
    """`ask` a command, `hear` a fact, let a deadline `fall_due`, take the outside's `answered`: all are messages."""

    def __init__(
        self,
        service: str,
        *,
        stores: Sequence[Store],
        handlers: Mapping[type, Handler],
        bus: HandOff,
        settings: DeskSettings,
    ) -> None:
        self.service = service
        self.stores: dict[type, Store] = {store.kind: store for store in stores}
        self.handlers = dict(handlers)
        self.settings = settings
        self.bus = bus
        self.pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.instruct: Callable[[Sequence[Any]], None] = lambda _: None
        self._waiting: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._early = Sleepers()
        self._retry_early_at = 0.0
        self._sleeping = Sleepers(SLEEPING_MAX)
        self._poisoned: frozenset[str] = frozenset()
        self._watchers = Watchers()
        self._task: asyncio.Task[None] | None = None
        self._busy = False
        self.closed = False
        self._check_touches()

    def _check_touches(self) -> None:
        """What is touched can be loaded: a kind without a table would be looked for until the end of time."""
        for payload, handler in self.handlers.items():
            for touch in handler.touches:
                if not isinstance(self.stores.get(touch.kind), Keyed):
                    raise TypeError(f"{payload.__name__} touches {touch.kind.__name__}: no table of {self.service}")

    # --- messages in ---------------------------------------------------------------------------------------------

    async def ask(self, command: Command, *, operation: str, key: str | None, body: bytes = b"") -> Reply:
        """Decide a command and answer it. `key` is the caller's Idempotency-Key, or None where the operation is
        naturally idempotent; `body` is what a repeated key must repeat.

        Raises the Refused that the handler decided, KeyReused, NotYetKnown after 2 s, Overloaded or Unavailable.
        """
        if self.closed:
            raise Unavailable
        if len(self._waiting) + len(self._early) >= self.settings.desk_commands_max:
            raise Overloaded
        caller = command.caller
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        message = Message(
            id=message_id(caller.principal, operation, key) if key else secrets.token_bytes(16),
            source=operation,
            origin="command",
            payload=command,
            handler=self.handlers[type(command)],
            seed=secrets.token_bytes(16),
            actor=caller.actor,
            on_behalf_of=caller.party_id,
            correlation=caller.request_id,
            fingerprint=blake2b(body, digest_size=16).digest() if key else None,
            answer=answer,
            asked_at=time.monotonic(),
        )
        self._put(message)
        # The loop may itself be waiting for the database: a caller's patience does not hang on it.
        patience = loop.call_later(self.settings.desk_answer_seconds, message.give_up, Unavailable())
        try:
            return await answer
        finally:
            patience.cancel()

    def hear(self, delivery: Delivery, done: Callable[[], None], *, parked: bool = False) -> bool:
        """A fact has arrived. Never waits, never refuses; `done` is called after its effect is committed or parked.

        False where the desk is so full, or so closed, that it leaves this copy: the fact is durable, its bus brings it
        back.
        """
        if self.closed or (len(self._waiting) >= self.settings.desk_facts_max and not parked):
            return False
        handler = self.handlers.get(type(delivery.fact))
        if handler is None:
            done()
            return True
        fact = delivery.fact
        self._put(
            Message(
                id=delivery.id.bytes,
                source=fact.type,
                origin="parked" if parked else "fact",
                payload=Heard.of(delivery) if handler.whole else fact,
                handler=handler,
                seed=delivery.id.bytes,
                actor=fact.type.partition(".")[0],
                correlation=delivery.correlation,
                body=delivery.body,
                done=done,
            )
        )
        return True

    def fall_due(self, command: Command, name: tuple[str, ...], done: Callable[[], None] | None = None) -> None:
        """A deadline has passed. `name` is (aggregate, kind, due time): whoever sweeps it, it fires once.

        `done` is called when the desk is through with it, whatever became of it.
        """
        self._system("deadline", command, message_id("deadline", *name), name[1], done=done)

    def answered(self, command: Command, instruction_id: str) -> None:
        """The outside has answered an instruction: its effect and the instruction's end are one transaction."""
        id_ = message_id("answer", instruction_id)
        self._system("answer", command, id_, type(command).__name__, answers=instruction_id)

    def _system(
        self,
        origin: Origin,
        command: Command,
        id_: bytes,
        source: str,
        *,
        answers: str | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        self._put(
            Message(
                id=id_,
                source=source,
                origin=origin,
                payload=command,
                handler=self.handlers[type(command)],
                seed=secrets.token_bytes(16),
                actor=SYSTEM.actor,
                correlation=command.caller.request_id,
                answers=answers,
                done=done,
            )
        )

    def _put(self, message: Message) -> None:
        self._waiting.append(message)
        self._wake.set()

    # --- waiting for a change ------------------------------------------------------------------------------------

    async def until(
        self, kind: type, key: str, read: Callable[[], Awaitable[Any]], ok: Callable[[Any], bool], wait_s: float
    ) -> Any:
        """Read until `ok`, woken by changes of the aggregate; the last value read after `wait_s` seconds at most, or
        the first one where too many wait already."""
        return await self._watchers.until(key_name(kind, key), read, ok, wait_s)

    @property
    def quiet(self) -> bool:
        """Nothing waits and nothing is being decided."""
        return not (self._waiting or self._busy or self._early)

    # --- the loop ------------------------------------------------------------------------------------------------

    async def start(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.pool = pool
        await self.learn_poison()
        self._task = asyncio.create_task(self._loop(), name=f"desk:{self.service}")

    async def stop(self, drain_seconds: float = 5.0) -> None:
        """Decide what waits, then end; what comes meanwhile is for whoever runs next."""
        self.closed = True
        give_up_at = time.monotonic() + drain_seconds
        while not self.quiet and time.monotonic() < give_up_at:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.01)
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        _send_away([*self._waiting, *self._early.wake_all()])
        self._waiting.clear()

    async def learn_poison(self) -> None:
        """Facts of a poisoned key wait behind it. Other replicas park too, so this is read again with every sweep."""
        assert self.pool is not None  # noqa: S101
        before = self._poisoned
        found = frozenset(row["key"] for row in await self.pool.fetch(mailbox.POISON_KEYS))
        # What turned out to be poison while this was read stays, though the answer cannot know it.
        self._poisoned = found | (self._poisoned - before)

    async def _loop(self) -> None:
        while True:
            batch = await self._next()
            self._busy = True
            try:
                await self._serve(self._still_wanted(batch))
            except asyncio.CancelledError:
                _send_away(batch)
                raise
            except Exception:  # the loop outlives every defect
                log.exception("desk_defect", service=self.service)
                metrics.DESK_DEFECTS.labels(self.service).inc()
                self._put_back(batch)
                await asyncio.sleep(RETRY_OUTAGE_SECONDS)
            finally:
                self._busy = False

    async def _next(self) -> list[Message]:
        """All that waits, up to a batch. Only an idle desk waits, and only for early commands with a timer."""
        self._retry_early()
        while not self._waiting:
            self._wake.clear()
            timeout = max(0.0, self._retry_early_at - time.monotonic()) if self._early else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout)
            self._retry_early()
        size = min(len(self._waiting), self.settings.desk_batch_max)
        return [self._waiting.popleft() for _ in range(size)]

    def _retry_early(self) -> None:
        """Now and then without a change seen here: another replica may have made it, and patience may have ended."""
        now = time.monotonic()
        if self._early and now >= self._retry_early_at:
            self._retry_early_at = now + RETRY_EARLY_SECONDS
            self._again(self._early.wake_all())

    def _still_wanted(self, batch: Iterable[Message]) -> list[Message]:
        """Without the commands nobody waits for any more, and with duplicates behind their first."""
        first = dict[bytes, Message]()
        for message in batch:
            if not message.wanted:
                continue
            leader = first.setdefault(message.id, message)
            if leader is message:
                continue
            if message.fingerprint != leader.fingerprint:
                message.refuse(KeyReused())
                continue
            leader.followers.append(message)
            if message.origin == "parked":
                # A copy from the bus would only find that the fact is parked; the parked one is to be tried.
                leader.origin = "parked"
        return list(first.values())

    def _put_back(self, batch: Iterable[Message]) -> None:
        """After a defect of the desk itself: callers are told, facts are tried again, sweeps bring back the rest."""
        for message in batch:
            if message.is_fact and not message.settled:
                self._waiting.append(message)
            else:
                message.refuse(Defect())

    async def _serve(self, batch: list[Message]) -> None:
        """Until every message of the batch has its outcome: rerun, wait for the database, or halve."""
        reruns = 0
        while batch:
            try:
                with metrics.DESK_SECONDS.labels(self.service).time():
                    decided = await self._run(batch, locked=reruns > 0)
            except LOST_RACE as error:
                reruns += 1
                metrics.DESK_RERUNS.labels(self.service).inc()
                if reruns > RERUNS_MAX:
                    await self._divide(batch, error)
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, it is somebody's: halving finds out whose
                if not is_outage(error) or (isinstance(error, TOO_SLOW) and len(batch) > 1):
                    await self._divide(batch, error)
                    return
                log.warning("database_unreachable", service=self.service, error=type(error).__name__)
                await asyncio.sleep(RETRY_OUTAGE_SECONDS)
                batch = self._still_wanted(batch)
            else:
                self._settle(decided)
                return

    async def _divide(self, batch: list[Message], error: Exception) -> None:
        if len(batch) > 1:
            metrics.DESK_HALVINGS.labels(self.service).inc()
            middle = len(batch) // 2
            await self._serve(batch[:middle])
            await self._serve(batch[middle:])
            return
        (message,) = batch
        metrics.DESK_DEFECTS.labels(self.service).inc()
        # The database's own words may quote a row: its constraint says enough.
        by_database = isinstance(error, asyncpg.PostgresError)
        log.error(
            "message_refused",
            service=self.service,
            source=message.source,
            error=type(error).__name__,
            constraint=getattr(error, "constraint_name", None),
            exc_info=None if by_database else error,
        )
        if message.is_fact:
            await self._poison(message, why(error))
        else:
            message.refuse(Defect())

    # --- one batch, one transaction ------------------------------------------------------------------------------

    async def _run(self, messages: list[Message], *, locked: bool) -> Decided:
        assert self.pool is not None  # noqa: S101
        batch_of = partial(Batch, self.service, self.stores, self.bus.heard, poisoned=self._poisoned)
        async with acquired(self.pool) as connection:
            if locked:
                async with connection.transaction():
                    decided = await decide_and_save(connection, messages, batch_of, lock=" FOR UPDATE")
            else:
                decided = await decide_and_save(connection, messages, batch_of)
        metrics.DESK_BATCH.labels(self.service).observe(len(messages))
        return decided

    # --- after the commit ----------------------------------------------------------------------------------------

    def _settle(self, decided: Decided) -> None:
        batch = decided.batch
        if batch.effects.deliveries:
            self.bus.hand_off(batch.effects.deliveries)
        if at_once := [each for each in batch.effects.instructions if not each.after_seconds]:
            self.instruct(at_once)
        for message, reply in batch.replies:
            message.reply(reply)
        for message, row in decided.known:
            self._replay(message, row)
        for message, outcome in batch.outcomes:
            metrics.DESK_MESSAGES.labels(self.service, message.origin, outcome.partition(":")[0]).inc()
        for message, error in batch.refused:
            self._refuse(message, error)
        self._keep(batch)
        self._notify(batch.effects.changed)
        for message in decided.parked:
            metrics.PARKED.labels(self.service, "early").inc()
            message.refuse(NotYet())  # It is written down: the bus may forget it.

    def _replay(self, message: Message, row: Any) -> None:
        metrics.DESK_MESSAGES.labels(self.service, message.origin, "duplicate").inc()
        if row is not None and message.answer and row["fingerprint"] != message.fingerprint:
            message.refuse(KeyReused())
        else:
            message.reply(Reply((row["reply"] if row else None) or b"null", replayed=True))

    def _refuse(self, message: Message, error: Exception) -> None:
        if not isinstance(error, Bug):
            metrics.DESK_MESSAGES.labels(self.service, message.origin, "refused").inc()
            message.refuse(error)
            return
        metrics.DESK_DEFECTS.labels(self.service).inc()
        log.error("decision_failed", service=self.service, source=message.source, exc_info=error.error)
        if message.is_fact:
            metrics.PARKED.labels(self.service, "poison").inc()
            self._poisoned = self._poisoned.union(touched(message, {}))
        message.refuse(Defect())

    async def _poison(self, message: Message, reason: str) -> None:
        """Written down with its reason, outside any batch: never dropped, never in the way of the others."""
        assert self.pool is not None  # noqa: S101
        metrics.PARKED.labels(self.service, "poison").inc()
        names = touched(message, {})
        row = (message.id, message.source, names_json(names), message.body, reason)
        while True:
            try:
                async with acquired(self.pool) as connection:
                    await connection.execute(mailbox.POISON, *row)
            except Exception as error:
                if not is_outage(error):
                    raise
                await asyncio.sleep(RETRY_OUTAGE_SECONDS)
            else:
                break
        self._poisoned = self._poisoned.union(names)
        message.refuse(NotYet())

    def _keep(self, batch: Batch) -> None:
        """Early commands stay for a while without a connection; early facts are remembered by what they wait for."""
        for message, early in batch.early:
            names = touched(message, batch.slots)
            if message.is_fact:
                message.origin = "parked"
                self._sleeping.keep(message, names)
            elif message.origin != "command":
                message.refuse(early)  # A sweep brings it back.
            elif time.monotonic() - message.asked_at >= NOT_YET_WAIT_SECONDS:
                message.refuse(NotYetKnown({"reason": early.reason}))
            else:
                if not self._early:
                    self._retry_early_at = time.monotonic() + RETRY_EARLY_SECONDS
                self._early.keep(message, names)

    def _notify(self, changed: set[Key]) -> None:
        for kind, key in changed:
            name = key_name(kind, key)
            self._watchers.wake(name)
            self._again([*self._early.wake(name), *self._sleeping.wake(name)])

    def _again(self, messages: Sequence[Message]) -> None:
        if messages:
            self._waiting.extend(messages)
            self._wake.set()


def _send_away(messages: Iterable[Message]) -> None:
    """The desk ends without having decided: callers are told that the effect is unknown, facts stay with their bus."""
    for message in messages:
        if message.answer:
            message.refuse(Unavailable())
