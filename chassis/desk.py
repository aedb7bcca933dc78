"""The desk: one writer loop that takes all waiting messages in one transaction. Every change of a service is made here.

Natural batching: no timer; an idle desk serves one message at once, a busy one finds the next batch waiting. The good
path takes no locks: states are loaded, decided in memory and saved by one statement that checks the loaded versions;
a batch that lost a race runs again with locks; a batch that the database refuses is halved until the culprit is alone.
"""

import asyncio
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import asyncpg
import structlog

from chassis import mailbox, metrics
from chassis.batch import Batch, Bug, Key, key_name, touched
from chassis.caller import SYSTEM, Command
from chassis.decision import NotYet, Refused
from chassis.message import Delivery, Heard, Message, Reply, Times, message_id
from chassis.save import Save
from chassis.settings import DeskSettings
from chassis.store import Keyed, Store
from chassis.touches import Handler

RERUNS_MAX = 5
NOT_YET_WAIT_SECONDS = 2.0
RETRY_EARLY_SECONDS = 0.2

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


OUTAGE = (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError,
          asyncpg.TooManyConnectionsError, TimeoutError)  # fmt: skip
LOST_RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)


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
        self._early: list[Message] = []
        self._sleeping: dict[str, list[Message]] = defaultdict(list)
        self._poisoned: frozenset[str] = frozenset()
        self._watchers: dict[str, list[asyncio.Event]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self._busy = False

    # --- messages in ---------------------------------------------------------------------------------------------

    async def ask(self, command: Command, *, operation: str, key: str | None, body: bytes = b"") -> Reply:
        """Decide a command and answer it. `key` is the caller's Idempotency-Key, or None where the operation is
        naturally idempotent; `body` is what a repeated key must repeat.

        Raises the Refused that the handler decided, KeyReused, NotYetKnown after 2 s, Overloaded or Unavailable.
        """
        if len(self._waiting) >= self.settings.desk_commands_max:
            raise Overloaded
        caller = command.caller
        now = time.monotonic()
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
            answer=asyncio.get_running_loop().create_future(),
            give_up_at=now + self.settings.desk_answer_seconds,
        )
        assert message.answer is not None  # noqa: S101
        self._put(message)
        return await message.answer

    def hear(self, delivery: Delivery, done: Callable[[], None], *, parked: bool = False) -> bool:
        """A fact has arrived. Never waits, never refuses; `done` is called after its effect is committed or parked.

        False where the desk is so full that it leaves this copy: the fact is durable, its bus brings it back.
        """
        if len(self._waiting) >= self.settings.desk_facts_max and not parked:
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

    def fall_due(self, command: Command, name: tuple[str, ...]) -> None:
        """A deadline has passed. `name` is (aggregate, kind, due time): whoever sweeps it, it fires once."""
        self._system("deadline", command, message_id("deadline", *name), name[1], None)

    def answered(self, command: Command, instruction_id: str) -> None:
        """The outside has answered an instruction: its effect and the instruction's end are one transaction."""
        self._system("answer", command, message_id("answer", instruction_id), type(command).__name__, instruction_id)

    def _system(self, origin: Any, command: Command, id_: bytes, source: str, answers: str | None) -> None:
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
            )
        )

    def _put(self, message: Message) -> None:
        self._waiting.append(message)
        self._wake.set()

    # --- waiting for a change ------------------------------------------------------------------------------------

    async def until(
        self, kind: type, key: str, read: Callable[[], Awaitable[Any]], ok: Callable[[Any], bool], wait_s: float
    ) -> Any:
        """Read until `ok`, woken by changes of the aggregate; the last value read after `wait_s` seconds at most."""
        give_up_at = time.monotonic() + wait_s
        name, event = key_name(kind, key), asyncio.Event()
        self._watchers[name].append(event)
        try:
            while True:
                event.clear()
                value = await read()
                left = give_up_at - time.monotonic()
                if ok(value) or left <= 0:
                    return value
                # Another replica may have made the change: look again now and then.
                try:
                    await asyncio.wait_for(event.wait(), min(left, 0.25))
                except TimeoutError:
                    continue
        finally:
            self._watchers[name].remove(event)
            if not self._watchers[name]:
                del self._watchers[name]

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
        """Decide what waits, then end."""
        give_up_at = time.monotonic() + drain_seconds
        while not self.quiet and time.monotonic() < give_up_at:
            await asyncio.sleep(0.01)
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for message in [*self._waiting, *self._early]:
            if message.answer:
                message.refuse(Unavailable())

    async def learn_poison(self) -> None:
        """Facts of a poisoned key wait behind it. Other replicas park too, so this is read again with every sweep."""
        assert self.pool is not None  # noqa: S101
        self._poisoned = frozenset(row["key"] for row in await self.pool.fetch(mailbox.POISON_KEYS))

    async def _loop(self) -> None:
        while True:
            if not self._waiting:
                self._wake.clear()
                timeout = RETRY_EARLY_SECONDS if self._early else None
                try:
                    await asyncio.wait_for(self._wake.wait(), timeout)
                except TimeoutError:
                    self._again(self._early)
                    continue
            size = min(len(self._waiting), self.settings.desk_batch_max)
            batch = [self._waiting.popleft() for _ in range(size)]
            self._busy = True
            try:
                await self._serve(self._still_wanted(batch))
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the loop outlives every defect
                log.exception("desk_defect", service=self.service)
                for message in batch:
                    message.refuse(Defect()) if message.answer else None
                metrics.DESK_DEFECTS.labels(self.service).inc()
                await asyncio.sleep(0.1 if isinstance(error, OUTAGE) else 0)
            finally:
                self._busy = False

    def _still_wanted(self, batch: Iterable[Message]) -> list[Message]:
        """Without the commands nobody waits for any more, and with duplicates behind their first."""
        now, first = time.monotonic(), dict[bytes, Message]()
        for message in batch:
            if message.answer and (message.answer.done() or message.give_up_at < now):
                message.refuse(Unavailable())
                continue
            leader = first.setdefault(message.id, message)
            if leader is message:
                continue
            if message.fingerprint != leader.fingerprint:
                message.refuse(KeyReused())
            else:
                leader.followers.append(message)
        return list(first.values())

    async def _serve(self, batch: list[Message]) -> None:
        """Until every message of the batch has its outcome: rerun, wait for the database, or halve."""
        reruns = 0
        while batch:
            try:
                with metrics.DESK_SECONDS.labels(self.service).time():
                    await self._run(batch, locked=reruns > 0)
                return
            except LOST_RACE as error:
                reruns += 1
                metrics.DESK_RERUNS.labels(self.service).inc()
                if reruns <= RERUNS_MAX:
                    continue
                await self._divide(batch, error)
                return
            except OUTAGE as error:
                log.warning("database_unreachable", service=self.service, error=type(error).__name__)
                await asyncio.sleep(0.2)
                batch = self._still_wanted(batch)
            except asyncpg.PostgresError as error:
                await self._divide(batch, error)
                return

    async def _divide(self, batch: list[Message], error: Exception) -> None:
        if len(batch) > 1:
            metrics.DESK_HALVINGS.labels(self.service).inc()
            middle = len(batch) // 2
            await self._serve(batch[:middle])
            await self._serve(batch[middle:])
            return
        (message,) = batch
        log.error("refused_by_database", service=self.service, source=message.source, error=repr(error))
        if message.is_fact:
            await self._poison(message, f"database: {type(error).__name__}")
        else:
            message.refuse(Defect())

    # --- one batch, one transaction ------------------------------------------------------------------------------

    async def _run(self, messages: list[Message], *, locked: bool) -> None:
        assert self.pool is not None  # noqa: S101
        async with self.pool.acquire(timeout=2) as connection:
            if not locked:
                batch = await self._decide(connection, messages, "")
                save = self._compose(batch)
                if not save.empty:
                    sql, values = save.statement()
                    await connection.execute(sql, *values)
            else:
                async with connection.transaction():
                    batch = await self._decide(connection, messages, " FOR UPDATE")
                    save = self._compose(batch)
                    if not save.empty:
                        sql, values = save.statement()
                        await connection.execute(sql, *values)
        metrics.DESK_BATCH.labels(self.service).observe(len(messages))
        await self._settle(batch)

    async def _decide(self, connection: Any, messages: list[Message], lock: str) -> "Decided":
        rows = await connection.fetch(mailbox.LOOK_UP, [message.id for message in messages])
        times = next(Times(row["now"], row["system_now"]) for row in rows if row["now"])
        inbox = {row["id"]: row for row in rows if row["id"] and not row["parked"]}
        parked = {row["id"] for row in rows if row["parked"]}
        batch = Batch(self.service, self.stores, self.bus.heard, times, self._poisoned)
        decided = Decided(batch)
        fresh = []
        for message in messages:
            if message.id in inbox:
                decided.known.append((message, inbox[message.id]))
                if message.id in parked:
                    decided.forgotten.append(message.id)
            elif message.origin == "fact" and message.id in parked:
                decided.known.append((message, None))
            elif message.origin == "parked" and message.id not in parked:
                decided.known.append((message, None))  # Somebody else applied or discarded it.
            else:
                fresh.append(message)
        while wanted := batch.wanted(fresh):
            await self._load(connection, batch, wanted, lock)
        undecided, wanted = batch.decide(fresh)
        while undecided:
            await self._load(connection, batch, wanted, lock)
            undecided, wanted = batch.decide(undecided)
        return decided

    async def _load(self, connection: Any, batch: Batch, wanted: Iterable[Key], lock: str) -> None:
        by_kind: dict[type, set[str]] = defaultdict(set)
        for kind, key in wanted:
            by_kind[kind].add(key)
        for store in self.stores.values():
            keys = by_kind.get(store.kind)
            if keys and isinstance(store, Keyed):
                batch.loaded(store, keys, await connection.fetch(store.load_sql + lock, sorted(keys)))

    def _compose(self, decided: "Decided") -> Save:
        batch = decided.batch
        facts = [(message, early.reason) for message, early in batch.early if message.origin == "fact"]
        decided.parked = [message for message, _ in facts]
        rows = [self._parked_row(batch, message, reason, poison=False) for message, reason in facts]
        for message, error in batch.refused:
            if message.origin == "fact":
                rows.append(self._parked_row(batch, message, _why(error), poison=True))
        return batch.save(rows, decided.forgotten)

    def _parked_row(self, batch: Batch, message: Message, reason: str, *, poison: bool) -> tuple[Any, ...]:
        names = ", ".join(f'"{name}"' for name in touched(message, batch.slots))
        return (message.id, message.source, f"[{names}]", message.body, reason, poison)

    # --- after the commit ----------------------------------------------------------------------------------------

    async def _settle(self, decided: "Decided") -> None:
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
            await self._refuse(message, error)
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

    async def _refuse(self, message: Message, error: Exception) -> None:
        if not isinstance(error, Bug):
            metrics.DESK_MESSAGES.labels(self.service, message.origin, "refused").inc()
            message.refuse(error)
            return
        metrics.DESK_DEFECTS.labels(self.service).inc()
        log.error("decision_failed", service=self.service, source=message.source, exc_info=error.error)
        if message.origin == "fact":
            metrics.PARKED.labels(self.service, "poison").inc()
            await self.learn_poison()
        elif message.origin == "parked":
            await self._poison(message, _why(error))
        message.refuse(Defect())

    async def _poison(self, message: Message, reason: str) -> None:
        """Written down with its reason, outside any batch: never dropped, never in the way of the others."""
        assert self.pool is not None  # noqa: S101
        metrics.PARKED.labels(self.service, "poison").inc()
        names = ", ".join(f'"{name}"' for name in touched(message, {}))
        await self.pool.execute(
            "INSERT INTO parked (id, type, keys, body, reason, poison) VALUES ($1, $2, $3::text::jsonb, $4, $5, true)"
            " ON CONFLICT (id) DO UPDATE SET poison = true, reason = excluded.reason",
            message.id, message.source, f"[{names}]", message.body, reason,
        )  # fmt: skip
        await self.learn_poison()
        message.refuse(NotYet())

    def _keep(self, batch: Batch) -> None:
        """Early commands stay for a while without a connection; early facts are remembered by what they wait for."""
        now = time.monotonic()
        for message, early in batch.early:
            if message.origin == "command":
                waited = message.give_up_at - self.settings.desk_answer_seconds + NOT_YET_WAIT_SECONDS
                if now >= waited:
                    message.refuse(NotYetKnown({"reason": early.reason}))
                elif message not in self._early:
                    self._early.append(message)
            elif message.is_fact and len(self._sleeping) < self.settings.desk_facts_max:
                message.origin = "parked"
                for name in touched(message, batch.slots):
                    if message not in self._sleeping[name]:
                        self._sleeping[name].append(message)

    def _notify(self, changed: set[Key]) -> None:
        if changed and self._early:
            self._again(self._early)
        for kind, key in changed:
            name = key_name(kind, key)
            for event in self._watchers.get(name, ()):
                event.set()
            if sleeping := self._sleeping.pop(name, None):
                self._again(sleeping)

    def _again(self, messages: list[Message]) -> None:
        self._waiting.extend(messages)
        messages.clear()
        self._wake.set()


class Decided:
    """A batch on its way from deciding to its answers."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.known: list[tuple[Message, Any]] = []
        self.forgotten: list[bytes] = []
        self.parked: list[Message] = []


def _why(error: Exception) -> str:
    inner = error.error if isinstance(error, Bug) else error
    code = inner.code if isinstance(inner, Refused) else ""
    return f"{type(inner).__name__}: {code}".rstrip(": ")
