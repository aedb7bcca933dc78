"""A service small enough to be read whole: jars of coins. It hears escrow's facts and says the order service's.

`OrderExpired` opens a jar, `OrderCompleted` adds coins to it, `OrderCancelled` does what its reason code says, badly.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from chassis import clock, mailbox, web
from chassis.bus.local import Hall, LocalBus
from chassis.caller import SYSTEM, Caller, Command
from chassis.db import Database
from chassis.deadlines import Due
from chassis.decision import Applied, Ignored, Instruction, NotYet, StateConflict, say
from chassis.instructions import Port
from chassis.message import Reply
from chassis.moment import Moment
from chassis.service import Service
from chassis.store import Appended, Keyed
from chassis.touches import Handler, ask, hear, many, maybe, new, one
from contracts.money import Money
from contracts.order import OrderCancelled, OrderCompleted, OrderExpired
from tests.support import admin_url, new_id, settings, url_of

BUYER = Caller(person_id="per_" + "1" * 32, request_id="a-request")


# --- domain


@dataclass(frozen=True, slots=True)
class Mark:
    coins: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Jar:
    jar_id: str
    owner: str
    coins: int
    note: str | None = None
    labels: tuple[str, ...] = ()
    ring_at: datetime | None = None
    rung_at: datetime | None = None
    last: Mark | None = None


@dataclass(frozen=True, slots=True)
class Coin:
    """One row for every coin movement, never changed."""

    coin_id: str
    jar_id: str
    coins: int


class Empty(StateConflict):
    status, code = 409, "sold_out"


@dataclass(frozen=True, slots=True)
class Open(Command):
    jar_id: str
    coins: int = 0


@dataclass(frozen=True, slots=True)
class Add(Command):
    jar_id: str
    coins: int = 1
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Spend(Command):
    jar_id: str
    coins: int = 1


@dataclass(frozen=True, slots=True)
class Pour(Command):
    """From one jar into another."""

    source: str
    target: str
    coins: int = 1


@dataclass(frozen=True, slots=True)
class Make(Command):
    """Open the jar, or add to it where it is there."""

    jar_id: str


@dataclass(frozen=True, slots=True)
class Misbehave(Command):
    """Whatever `how` returns or raises, given the jar and the moment."""

    jar_id: str
    how: Callable[[Jar | None, Moment], Any]


@dataclass(frozen=True, slots=True)
class Tell(Command):
    """Open a jar and say so, so that others open theirs."""

    jar_id: str


@dataclass(frozen=True, slots=True)
class TellMore(Command):
    jar_id: str


@dataclass(frozen=True, slots=True)
class Arm(Command):
    jar_id: str
    ring_at: datetime


@dataclass(frozen=True, slots=True)
class Ring(Command):
    jar_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Call(Command):
    """Ask the outside for coins."""

    jar_id: str
    number: str


@dataclass(frozen=True, slots=True)
class Called(Command):
    jar_id: str
    coins: int


# --- handlers


def coin(jar_id: str, coins: int, at: Moment) -> Coin:
    return Coin(at.id("coi", jar_id, coins), jar_id, coins)


def added(jar: Jar, coins: int, at: Moment) -> tuple[Jar, Coin]:
    return replace(jar, coins=jar.coins + coins, last=Mark(coins, at.now)), coin(jar.jar_id, coins, at)


def open_jar(command: Open, at: Moment) -> Applied:
    jar = Jar(command.jar_id, command.caller.actor, command.coins)
    return Applied((jar,), reply={"coins": jar.coins, "id": at.id("rpl")}, reason="opened")


def add(jar: Jar, command: Add, at: Moment) -> Applied:
    jar, row = added(jar, command.coins, at)
    return Applied((replace(jar, note=command.note or jar.note), row), reply={"coins": jar.coins}, reason="added")


def spend(jar: Jar, command: Spend, at: Moment) -> Applied:
    if jar.coins < command.coins:
        raise Empty
    jar, row = added(jar, -command.coins, at)
    return Applied((jar, row), reply={"coins": jar.coins}, reason="spent")


def pour(jars: tuple[Jar, ...], command: Pour, at: Moment) -> Applied:
    source, target = jars
    if source.coins < command.coins:
        raise Empty
    changed = (*added(source, -command.coins, at), *added(target, command.coins, at))
    return Applied(changed, reply={}, reason="poured")


def make(jar: Jar | None, command: Make, at: Moment) -> Applied:
    made = replace(jar, coins=jar.coins + 1) if jar else Jar(command.jar_id, command.caller.actor, 1)
    return Applied((made,), reply={"coins": made.coins}, reason="made")


def misbehave(jar: Jar | None, command: Misbehave, at: Moment) -> Any:
    return command.how(jar, at)


def tell(command: Tell, at: Moment) -> Applied:
    jar = Jar(command.jar_id, command.caller.actor, 0)
    return Applied((jar,), (say(expired(jar.jar_id)),), reply={}, reason="told")


def tell_more(jar: Jar, command: TellMore, at: Moment) -> Applied:
    jar, row = added(jar, 1, at)
    return Applied((jar, row), (say(completed(jar.jar_id)),), reply={}, reason="told")


def arm(jar: Jar, command: Arm, at: Moment) -> Applied:
    return Applied((replace(jar, ring_at=command.ring_at, rung_at=None),), reply={}, reason="armed")


def ring(jar: Jar, command: Ring, at: Moment) -> Applied | Ignored:
    """A deadline takes effect at its due time, however late it is swept."""
    return Ignored("not_armed") if jar.ring_at != command.due_at or jar.rung_at else rung(jar, command, at)


def rung(jar: Jar, command: Ring, at: Moment) -> Applied:
    jar, row = added(jar, 1, at)
    return Applied((replace(jar, rung_at=command.due_at), row), reason="rung")


def call(jar: Jar, command: Call, at: Moment) -> Applied:
    asked = Instruction(command.number, "fetch", {"jar_id": jar.jar_id})
    return Applied((replace(jar, note="calling"),), instructions=(asked,), reply={}, reason="called")


def called(jar: Jar, command: Called, at: Moment) -> Applied:
    jar, row = added(jar, command.coins, at)
    return Applied((replace(jar, note="called"), row), reason="answered")


def hear_opened(fact: OrderExpired, at: Moment) -> Applied:
    return Applied((Jar(fact.order_id, "heard", 0),), reason="heard")


def hear_added(jar: Jar, fact: OrderCompleted, at: Moment) -> Applied:
    return Applied(added(jar, fact.net_amount.amount, at), reason="heard")


def hear_badly(jar: Jar, fact: OrderCancelled, at: Moment) -> Applied | Ignored:
    match fact.reason_code:
        case "bug":
            raise ZeroDivisionError
        case "refused":
            raise Empty
        case "check":
            return Applied(added(jar, -1_000_000, at), reason="check")
        case "nul":
            return Applied((replace(jar, note="\x00"),), reason="nul")
        case "too_large":
            return Applied((replace(jar, coins=2**70),), reason="too_large")
        case "early":
            raise NotYet
    return Ignored("nothing_to_do")


# --- store and service

METADATA = MetaData()
mailbox.install(METADATA)
JARS = Keyed(
    Jar, "jars", "jar_id", METADATA,
    pinned=("owner",), checks=("coins BETWEEN -1000 AND 100000",), partial=(("ring_at", "rung_at IS NULL"),),
)  # fmt: skip
COINS = Appended(Coin, "coins", METADATA, row=Coin, primary_key=("coin_id",))
STORES = (clock.store(METADATA), JARS, COINS)

JAR = one(Jar, "jar_id")
HEARS: dict[type, Handler] = {
    **clock.HEARS,
    OrderExpired: hear(hear_opened, new(Jar, "order_id")),
    OrderCompleted: hear(hear_added, one(Jar, "order_id")),
    OrderCancelled: hear(hear_badly, one(Jar, "order_id")),
}
ASKED: dict[type, Handler] = {
    Open: ask(open_jar, new(Jar, "jar_id")),
    Add: ask(add, JAR),
    Spend: ask(spend, JAR),
    Pour: ask(pour, many(Jar, lambda command: (command.source, command.target))),
    Make: ask(make, maybe(Jar, "jar_id")),
    Misbehave: ask(misbehave, maybe(Jar, "jar_id")),
    Tell: ask(tell, new(Jar, "jar_id")),
    TellMore: ask(tell_more, JAR),
    Arm: ask(arm, JAR),
    Ring: ask(ring, JAR),
    Call: ask(call, JAR),
    Called: ask(called, JAR),
}
RINGS = Due("ring", "jars", "jar_id", "ring_at", "rung_at IS NULL", lambda key, due_at: Ring(SYSTEM, key, due_at))


class Outside:
    """The other side of instructions. `answers` says how each attempt ends; it remembers what it was asked."""

    def __init__(self, answers: Callable[[int], int | Exception] = lambda _: 5) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answers = answers

    async def fetch(self, instruction: Instruction, attempt: int) -> Command:
        self.asked.append((instruction.id, attempt))
        answer = self.answers(attempt)
        if isinstance(answer, Exception):
            raise answer
        return Called(SYSTEM, instruction.body["jar_id"], answer)

    def ports(self) -> Mapping[str, Port]:
        return {"fetch": self.fetch}


def build(
    url: str,
    name: str = "escrow",
    *,
    hall: Hall | None = None,
    pool_max: int = 4,
    outside: Outside | None = None,
    hears: Mapping[type, Handler] | None = None,
    asked: Mapping[type, Handler] | None = None,
    leftover_after_seconds: float = 5.0,
    **changes: Any,
) -> Service:
    database = Database(url, pool_max=pool_max)
    return Service(
        name,
        stores=STORES,
        hears=HEARS if hears is None else hears,
        asked=ASKED if asked is None else asked,
        router=web.router(),
        database=database,
        bus=LocalBus(hall or Hall(), database, leftover_after_seconds=leftover_after_seconds),
        settings=settings(**changes),
        deadlines=(RINGS,),
        ports=(outside or Outside()).ports(),
    )


@asynccontextmanager
async def running(**given: Any) -> AsyncIterator[Service]:
    async with fresh_database() as url, build(url, **given) as service:
        yield service


# --- databases


def schema() -> list[str]:
    """Every table, index and function of the toy, as statements."""
    statements = []
    for table in METADATA.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect())))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements.extend(str(CreateIndex(index).compile(dialect=dialect())) for index in indexes)
    return [*statements, *mailbox.FUNCTIONS]


_FREE: list[str] = []
_MADE: list[str] = []


@asynccontextmanager
async def fresh_database() -> AsyncIterator[str]:
    """The URL of an empty toy database: one that an earlier test left, emptied, or a new one."""
    url = _FREE.pop() if _FREE else await _make_database()
    try:
        yield url
    finally:
        await _empty(url)
        _FREE.append(url)


async def _make_database() -> str:
    name = f"buluo_toy_{uuid4().hex[:12]}"
    async with connected(admin_url()) as admin:
        await admin.execute(f"CREATE DATABASE {name}")
    _MADE.append(name)
    async with connected(url_of(name)) as connection:
        for statement in schema():
            await connection.execute(statement)
    return url_of(name)


async def _empty(url: str) -> None:
    async with connected(url) as connection, connection.transaction():
        # History refuses to be emptied; a replica's session does not ask its trigger.
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(";".join(f"DELETE FROM {table.name}" for table in METADATA.sorted_tables))


async def drop_databases() -> None:
    async with connected(admin_url()) as admin:
        for name in _MADE:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    _MADE.clear()
    _FREE.clear()


@asynccontextmanager
async def connected(url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


# --- asking and telling


def a_jar() -> str:
    return new_id("ord")


def old_jar() -> str:
    """An id that was born long ago: for a command, unknown means not found."""
    return "ord_" + "0" * 31 + "1"


async def tell_desk(service: Service, command: Command, key: str | None = None, body: bytes = b"") -> Reply:
    return await service.desk.ask(command, operation=type(command).__name__, key=key, body=body)


def expired(jar_id: str) -> OrderExpired:
    return OrderExpired(order_id=jar_id, checkout_id="chk_" + "0" * 32, at=datetime.now(UTC))


def completed(jar_id: str, coins: int = 1) -> OrderCompleted:
    return OrderCompleted(
        order_id=jar_id,
        completed_at=datetime.now(UTC),
        net_amount=Money(amount=coins, currency="CNY"),
        shipped_on_time=True,
        repeat=False,
    )


def cancelled(jar_id: str, reason: str) -> OrderCancelled:
    return OrderCancelled(
        order_id=jar_id, checkout_id="chk_" + "0" * 32, by="buyer", reason_code=reason, at=datetime.now(UTC)
    )


async def coins_in(service: Service, jar_id: str) -> int | None:
    return await service.database.pool.fetchval("SELECT coins FROM jars WHERE jar_id = $1", jar_id)


async def count(service: Service, what: str, *values: Any) -> int:
    """`count(service, "inbox WHERE id = $1", id)`."""
    return int(await service.database.pool.fetchval(f"SELECT count(*) FROM {what}", *values))


async def eventually(read: Callable[[], Awaitable[Any]], within_seconds: float = 20.0) -> None:
    """Wait until `read` gives something true; the test fails if it never does."""
    import asyncio
    import time

    give_up_at = time.monotonic() + within_seconds
    while not await read():
        assert time.monotonic() < give_up_at, "it never happened"
        await asyncio.sleep(0.01)
