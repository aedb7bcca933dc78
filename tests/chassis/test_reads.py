"""Reads: a query knows its parameters, a window shares one statement among all who ask meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import bindparam, select

from chassis.db import Database, Query, Window
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Open, tell_desk

JARS = toy.JARS.table.c
ONE_JAR = Query(select(JARS.jar_id, JARS.coins).where(JARS.jar_id == bindparam("jar_id")))
FULL_JARS = Query(
    select(JARS.jar_id)
    .where(JARS.coins >= bindparam("at_least", 1), JARS.owner == BUYER.actor)
    .order_by(JARS.jar_id)
    .limit(bindparam("limit", 2))
)


@pytest.fixture
async def jars(service: Service) -> list[str]:
    made = sorted(toy.a_jar() for _ in range(5))
    await asyncio.gather(*(tell_desk(service, Open(BUYER, jar, n)) for n, jar in enumerate(made)))
    return made


async def test_a_query_fills_in_its_defaults_and_its_literals(service: Service, jars: list[str]) -> None:
    assert [row["jar_id"] for row in await FULL_JARS.rows(service.database)] == jars[1:3]
    assert [row["jar_id"] for row in await FULL_JARS.rows(service.database, at_least=3, limit=9)] == jars[3:]


async def test_a_query_gives_one_row_or_none(service: Service, jars: list[str]) -> None:
    row = await ONE_JAR.row(service.database, jar_id=jars[3])
    assert row
    assert row["coins"] == 3
    assert await ONE_JAR.row(service.database, jar_id="none") is None


async def test_a_query_refuses_a_name_too_many_and_one_too_few(service: Service) -> None:
    with pytest.raises(TypeError, match="needs: \\['jar_id'\\]"):
        await ONE_JAR.row(service.database)
    with pytest.raises(TypeError, match="not a parameter of this query: \\['order_id'\\]"):
        await ONE_JAR.row(service.database, jar_id="x", order_id="y")


class Counted(Database):
    """Counts its reads, and can fail them."""

    read_count = 0
    fails_with: Exception | None = None
    takes_seconds = 0.0

    async def read(self, sql: str, *values: object) -> "list[asyncpg.Record]":
        self.read_count += 1
        await asyncio.sleep(self.takes_seconds)
        if self.fails_with:
            raise self.fails_with
        return await super().read(sql, *values)


@pytest.fixture
async def database(service: Service) -> AsyncIterator[Counted]:
    made = Counted(service.database.url, pool_max=2)
    await made.open()
    yield made
    await made.close()


WINDOW = Window("SELECT jar_id, coins FROM jars WHERE jar_id = ANY($1::text[])")


async def test_a_window_reads_once_for_all_who_ask_meanwhile(database: Counted, jars: list[str]) -> None:
    found = await asyncio.gather(*(WINDOW.read(database, jar) for jar in [*jars, "none"] * 20))
    assert [row and row["coins"] for row in found] == [0, 1, 2, 3, 4, None] * 20
    assert database.read_count <= 2


async def test_whoever_asks_while_a_read_is_under_way_shares_the_next_one(database: Counted, jars: list[str]) -> None:
    database.takes_seconds = 0.05
    readers = []
    for n in range(50):
        readers.append(asyncio.create_task(WINDOW.read(database, jars[n % 5])))
        await asyncio.sleep(0)
    await asyncio.gather(*readers)
    assert database.read_count == 2


async def test_a_window_that_has_answered_answers_again(database: Counted, jars: list[str]) -> None:
    for n in range(10):
        row = await WINDOW.read(database, jars[n % 5])
        assert row
        assert row["coins"] == n % 5


async def test_a_reader_that_comes_in_any_moment_of_a_read_is_answered(database: Counted, jars: list[str]) -> None:
    async def after(steps: int) -> int:
        for _ in range(steps):
            await asyncio.sleep(0)
        row = await WINDOW.read(database, jars[steps % 5])
        assert row
        return int(row["coins"])

    answers = await asyncio.wait_for(asyncio.gather(*(after(steps) for steps in range(200))), 5)
    assert answers == [steps % 5 for steps in range(200)]


async def test_an_error_goes_to_all_who_waited_and_the_next_read_works(database: Counted, jars: list[str]) -> None:
    database.fails_with = asyncpg.InterfaceError("no connection")
    answers = await asyncio.gather(*(WINDOW.read(database, jar) for jar in jars), return_exceptions=True)
    assert {type(each) for each in answers} == {asyncpg.InterfaceError}
    database.fails_with = None
    row = await WINDOW.read(database, jars[2])
    assert row
    assert row["coins"] == 2


async def test_one_reader_that_goes_away_takes_no_answer_from_the_others(database: Counted, jars: list[str]) -> None:
    readers = [asyncio.create_task(WINDOW.read(database, jars[1])) for _ in range(3)]
    await asyncio.sleep(0)
    readers[0].cancel()
    assert [row and row["coins"] for row in await asyncio.gather(*readers[1:])] == [1, 1]


async def test_a_window_never_answers_from_another_database(database: Counted, jars: list[str]) -> None:
    async with toy.fresh_database() as url:
        other = Database(url, pool_max=2)
        await other.open()
        here, there = await asyncio.gather(WINDOW.read(database, jars[1]), WINDOW.read(other, jars[1]))
        await other.close()
    assert here
    assert there is None


async def test_a_reader_waits_only_so_long_for_a_connection(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.db.READ_SECONDS", 0.2)
    pool = service.database.pool
    taken = [await pool.acquire() for _ in range(4)]
    with pytest.raises(TimeoutError):
        await ONE_JAR.row(service.database, jar_id="x")
    for connection in taken:
        await pool.release(connection)
