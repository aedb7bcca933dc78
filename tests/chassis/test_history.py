"""Every change leaves one row, chained to the one before it, that nobody can take away."""

import asyncio
from typing import Any

import asyncpg
import pytest

from chassis import mailbox
from chassis.history import chain_hash
from chassis.rows import digest
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Arm, Jar, Open, Spend, completed, tell_desk
from tests.support import hear


@pytest.fixture
async def jar(service: Service) -> str:
    """A jar with a past: commands alone and in crowds, facts, refusals, replays, two replicas."""
    made = toy.a_jar()
    await tell_desk(service, Open(BUYER, made))
    await asyncio.gather(*(tell_desk(service, Add(BUYER, made, note="three")) for _ in range(3)))
    await hear(service, completed(made), completed(made))
    await asyncio.gather(tell_desk(service, Spend(BUYER, made, 1000)), return_exceptions=True)
    for _ in range(2):
        await tell_desk(service, Add(BUYER, made), key="once")
    await tell_desk(service, Arm(BUYER, made, toy.datetime(2999, 1, 1, tzinfo=toy.UTC)))
    async with toy.build(service.database.url) as replica:
        await tell_desk(replica, Add(BUYER, made))
    return made


async def chain(service: Service, jar: str) -> "list[asyncpg.Record]":
    names = ", ".join(name for name, _ in mailbox.HISTORY)
    return await service.database.pool.fetch(f"SELECT {names} FROM history WHERE key = $1 ORDER BY sequence", jar)


async def test_every_change_has_one_row_and_the_sequence_has_no_gap(service: Service, jar: str) -> None:
    rows = await chain(service, jar)
    assert [row["sequence"] for row in rows] == list(range(1, 10))
    reasons = ["opened", *["added"] * 3, *["heard"] * 2, "added", "armed", "added"]
    assert [row["reason"] for row in rows] == reasons
    version = await service.database.pool.fetchval("SELECT row_version FROM jars WHERE jar_id = $1", jar)
    assert version == len(rows)


async def test_the_chain_recomputes_from_its_rows(service: Service, jar: str) -> None:
    head = b""
    before: Any = None
    for row in await chain(service, jar):
        *columns, prev_hash, hash_ = row
        assert (prev_hash, row["before"]) == (head, before)
        assert hash_ == chain_hash(prev_hash, *columns)
        head, before = hash_, row["after"]
    assert await service.database.pool.fetchval("SELECT head FROM jars WHERE jar_id = $1", jar) == head


async def test_the_last_digest_is_that_of_the_row_as_it_is_stored(service: Service, jar: str) -> None:
    row = await service.database.pool.fetchrow(toy.JARS.load_sql, [jar])
    assert row
    codec = toy.JARS.codec
    stored = codec.decode(tuple(row)[: len(codec.fields)])
    assert isinstance(stored, Jar)
    assert (await chain(service, jar))[-1]["after"] == digest(codec.encode(stored))


async def test_a_row_says_who_did_what_in_which_request(service: Service, jar: str) -> None:
    rows = await chain(service, jar)
    assert rows[0]["actor"] == BUYER.person_id
    assert (rows[0]["source"], rows[0]["request_id"]) == ("Open", "a-request")
    assert (rows[4]["actor"], rows[4]["source"]) == ("order", "order.completed.v1")
    assert await toy.count(service, "history AS h WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE id = h.message)") == 0


@pytest.mark.parametrize("statement", ["UPDATE history SET reason = ''", "DELETE FROM history", "TRUNCATE history"])
async def test_the_database_refuses_to_change_the_past(service: Service, jar: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added"):
        await service.database.pool.execute(statement)
    assert len(await chain(service, jar)) == 9


async def test_facts_are_numbered_per_aggregate_without_a_gap(service: Service) -> None:
    jars = [toy.a_jar() for _ in range(3)]
    for jar in jars:
        await tell_desk(service, toy.Tell(BUYER, jar))
    await asyncio.gather(*(tell_desk(service, toy.TellMore(BUYER, jar)) for jar in jars for _ in range(4)))
    numbered = "SELECT subject, array_agg(sequence ORDER BY sequence) FROM outbox GROUP BY 1 ORDER BY 1"
    rows = await service.database.pool.fetch(numbered)
    assert [tuple(row) for row in rows] == [(jar, [1, 2, 3, 4, 5]) for jar in sorted(jars)]
