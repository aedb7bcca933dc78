"""The database goes away and comes back: callers are told in time, nobody is blamed, nothing is lost or done twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from chassis.caller import Command
from chassis.db import OUTAGE, is_outage
from chassis.decision import Instruction
from chassis.desk import Unavailable
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Open, Outside, completed, expired, tell_desk
from tests.support import admin_url, hear

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"


@pytest.fixture
async def admin() -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    async with toy.connected(admin_url()) as connection:
        yield connection


def name_of(service: Service) -> str:
    return urlsplit(service.database.url).path.removeprefix("/")


@asynccontextmanager
async def gone(service: Service, admin: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Every connection is cut, and none is to be had."""
    name = name_of(service)
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute(KILL, name)
    try:
        yield
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
async def service(url: str) -> AsyncIterator[Service]:
    async with toy.build(url, desk_answer_seconds=0.8) as started:
        yield started


@pytest.fixture
async def jar(service: Service) -> str:
    made = toy.a_jar()
    await tell_desk(service, Open(BUYER, made))
    return made


async def there_are(service: Service, jar: str, coins: int) -> bool:
    return await toy.coins_in(service, jar) == coins


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (asyncpg.AdminShutdownError(), True),
        (asyncpg.CannotConnectNowError(), True),
        (asyncpg.QueryCanceledError(), True),
        (asyncpg.LockNotAvailableError(), True),
        (asyncpg.DiskFullError(), True),
        (asyncpg.TooManyConnectionsError(), True),
        (asyncpg.ReadOnlySQLTransactionError(), True),
        (asyncpg.ConnectionDoesNotExistError(), True),
        (asyncpg.InterfaceError("the pool is closing"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (asyncpg.DataError(), False),
        (asyncpg.CheckViolationError(), False),
        (asyncpg.UndefinedColumnError(), False),
        (asyncpg.InsufficientPrivilegeError(), False),
        (asyncpg.ClientConfigurationError("no such setting"), False),
        (ValueError(), False),
        (ZeroDivisionError(), False),
    ],
    ids=lambda given: type(given).__name__,
)
def test_an_outage_says_nothing_of_the_statement(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage


async def test_without_a_database_a_command_is_503_in_time(
    service: Service, admin: "asyncpg.Connection[asyncpg.Record]", jar: str
) -> None:
    async with gone(service, admin):
        started = time.monotonic()
        answers = await asyncio.gather(*(tell_desk(service, Add(BUYER, jar)) for _ in range(5)), return_exceptions=True)
        assert time.monotonic() - started < 4
        assert {type(each) for each in answers} == {Unavailable}
        # Those that come while the desk is already trying wait no longer than the others.
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await tell_desk(service, Add(BUYER, jar))
        assert time.monotonic() - started < 4
        assert not await service.database.ready()


async def test_after_an_outage_the_service_goes_on_by_itself(
    service: Service, admin: "asyncpg.Connection[asyncpg.Record]", jar: str
) -> None:
    async with gone(service, admin):
        with pytest.raises(Unavailable):
            await tell_desk(service, Add(BUYER, jar), key="k")
        hearing = asyncio.create_task(hear(service, completed(jar)))
        await asyncio.sleep(0.3)
        assert not hearing.done(), "a fact waits, and its bus keeps it"
    await hearing
    assert (await tell_desk(service, Add(BUYER, jar), key="k")).body == b'{"coins": 2}'
    assert await toy.count(service, "parked") == 0
    assert await service.database.ready()
    # Its background work goes on too.
    late = toy.a_jar()
    await hear(service, completed(late), toy.cancelled(late, "early"))
    service.desk._sleeping.wake_all()
    await tell_desk(service, Open(BUYER, late))
    await tell_desk(service, toy.Arm(BUYER, jar, toy.datetime(2020, 1, 1, tzinfo=toy.UTC)))
    await toy.eventually(lambda: there_are(service, jar, 3))
    await toy.eventually(lambda: there_are(service, late, 1))


async def test_connections_cut_all_the_time_cost_retries_and_no_effect_twice(
    service: Service, admin: "asyncpg.Connection[asyncpg.Record]", jar: str
) -> None:
    stop_at = time.monotonic() + 1.5
    kills = 0

    async def killer() -> None:
        nonlocal kills
        while time.monotonic() < stop_at:
            kills += len(await admin.fetch(KILL, name_of(service)))
            await asyncio.sleep(0.02)

    async def client(n: int) -> int:
        step = 0
        while time.monotonic() < stop_at:
            step += 1
            while True:  # the same key until there is an answer
                try:
                    await tell_desk(service, Add(BUYER, jar), key=f"{n}-{step}")
                    break
                except Unavailable:
                    continue
        return step

    facts = [completed(jar) for _ in range(30)]
    *steps, _, _ = await asyncio.gather(*(client(n) for n in range(8)), killer(), hear(service, *facts))
    assert kills > 10
    assert await toy.coins_in(service, jar) == sum(steps) + len(facts)
    assert await toy.count(service, "parked") == 0


async def test_a_table_that_is_locked_for_a_while_makes_no_fact_poison(service: Service, jar: str) -> None:
    """As by a migration: the save waits for its lock in vain, and is tried again."""
    pool = service.database.pool
    taken = [await pool.acquire() for _ in range(4)]
    for connection in taken:
        await connection.execute("SET lock_timeout = '50ms'")
        await pool.release(connection)
    async with toy.connected(service.database.url) as migration:
        lock = migration.transaction()
        await lock.start()
        await migration.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        hearing = asyncio.create_task(hear(service, completed(jar)))
        with pytest.raises(Unavailable):
            await tell_desk(service, Add(BUYER, jar))
        assert not hearing.done()
        await lock.rollback()
    await hearing
    assert await toy.count(service, "parked") == 0
    assert await toy.count(service, "inbox WHERE source = 'order.completed.v1' AND outcome = 'applied'") == 1


async def test_what_takes_too_long_together_is_tried_in_halves(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = service.desk._run
    sizes: list[int] = []

    async def slow(messages: list[object], *, locked: bool) -> object:
        sizes.append(len(messages))
        if len(messages) > 10:
            raise asyncpg.QueryCanceledError
        return await run(messages, locked=locked)  # type: ignore[arg-type]

    monkeypatch.setattr(service.desk, "_run", slow)
    jars = [toy.a_jar() for _ in range(64)]
    await asyncio.gather(*(tell_desk(service, Open(BUYER, jar)) for jar in jars))
    assert max(sizes) > 10
    assert await toy.count(service, "jars") == 64


async def test_an_outage_while_poison_is_written_down_loses_neither_it_nor_its_neighbours(
    service: Service, admin: "asyncpg.Connection[asyncpg.Record]", jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = service.desk._poison

    async def cut(*given: object) -> None:
        await admin.execute(KILL, name_of(service))
        await poison(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(service.desk, "_poison", cut)
    other = toy.a_jar()
    await hear(service, expired(other), toy.cancelled(jar, "nul"), completed(other))
    assert await toy.coins_in(service, other) == 1
    assert await toy.count(service, "parked WHERE poison") == 1


async def test_an_answer_from_outside_waits_for_the_database(
    url: str, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The outside answers while the database is away: it is not asked a second time."""
    answered = asyncio.Event()
    outside = Outside()
    fetch = outside.fetch

    async def slow(instruction: Instruction, attempt: int) -> Command:
        await answered.wait()
        return await fetch(instruction, attempt)

    outside.fetch = slow  # type: ignore[method-assign]
    async with toy.build(url, outside=outside) as service:
        jar = toy.a_jar()
        await tell_desk(service, Open(BUYER, jar))
        await tell_desk(service, toy.Call(BUYER, jar, "one"))
        async with gone(service, admin):
            answered.set()
            await asyncio.sleep(0.3)
        await toy.eventually(lambda: there_are(service, jar, 5))
    assert outside.asked == [("one", 1)]


async def test_marks_that_could_not_be_made_are_made_later(
    url: str, admin: "asyncpg.Connection[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.bus.local.MARK_EVERY_SECONDS", 0.1)
    async with toy.build(url, "order") as service:
        await tell_desk(service, toy.Tell(BUYER, toy.a_jar()))
        async with gone(service, admin):
            await asyncio.sleep(0.3)
            assert len(service.bus._sent) == 1  # type: ignore[attr-defined]
        await toy.eventually(service.bus.quiet)


async def test_a_read_without_a_database_is_an_outage_in_every_word_the_server_finds_for_it(
    service: Service, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with gone(service, admin):
        for _ in range(6):
            with pytest.raises(OUTAGE):
                await service.database.read("SELECT 1")
    assert len(await service.database.read("SELECT 1")) == 1
