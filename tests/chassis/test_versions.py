"""Two desks on one database: versions checked in the save, the loser decides again on what is there now."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chassis import save
from chassis.decision import StateConflict
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Make, Open, Pour, Spend, completed, expired, tell_desk
from tests.support import delivery_of


def reruns() -> float:
    found = [REGISTRY.get_sample_value("buluo_desk_reruns_total", {"service": name}) for name in ("escrow", "order")]
    return sum(each or 0 for each in found)


@pytest.fixture
async def replica(service: Service) -> AsyncIterator[Service]:
    async with toy.build(service.database.url) as started:
        yield started


@pytest.fixture
async def jar(service: Service) -> str:
    made = toy.a_jar()
    await tell_desk(service, Open(BUYER, made))
    return made


async def hammer(desks: list[Service], jar: str, times: int) -> None:
    async def client(service: Service) -> None:
        for _ in range(times):
            await tell_desk(service, Add(BUYER, jar))

    await asyncio.gather(*(client(each) for each in desks for _ in range(4)))


async def test_two_desks_that_hammer_one_aggregate_lose_no_update(service: Service, replica: Service, jar: str) -> None:
    before = reruns()
    await hammer([service, replica], jar, 25)
    assert await toy.coins_in(service, jar) == 200
    assert reruns() > before, "they did meet"
    sequences = "SELECT array_agg(sequence ORDER BY sequence) FROM history WHERE key = $1"
    assert await service.database.pool.fetchval(sequences, jar) == list(range(1, 202))


async def test_mutant_without_the_version_check_updates_are_lost(
    service: Service, replica: Service, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the check is for. The history, whose sequence is unique, would notice too: it is left out."""
    checked = save._update

    def unchecked(*given: Any) -> str:
        return checked(*given).replace("AND t.row_version = d.was", "")

    monkeypatch.setitem(save._STEP, "UPDATE", unchecked)
    monkeypatch.setattr(save.Save, "history", lambda *_: None)
    save._compose.cache_clear()
    await hammer([service, replica], jar, 25)
    save._compose.cache_clear()
    assert (await toy.coins_in(service, jar) or 0) < 200


async def test_stock_that_two_desks_sell_is_never_sold_twice(service: Service, replica: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar, 10))
    answers = await asyncio.gather(
        *(tell_desk([service, replica][n % 2], Spend(BUYER, jar)) for n in range(32)), return_exceptions=True
    )
    assert sum(not isinstance(each, Exception) for each in answers) == 10
    assert {type(each) for each in answers if isinstance(each, Exception)} == {toy.Empty}
    assert await toy.coins_in(service, jar) == 0


async def test_jars_poured_to_and_fro_by_two_desks_neither_deadlock_nor_leak(
    service: Service, replica: Service
) -> None:
    jars = [toy.a_jar() for _ in range(4)]
    for jar in jars:
        await tell_desk(service, Open(BUYER, jar, 100))

    async def pourer(desk: Service, n: int) -> None:
        for step in range(15):
            source, target = jars[(n + step) % 4], jars[(n * 3 + step + 1) % 4]
            if source != target:
                await tell_desk(desk, Pour(BUYER, source, target))

    await asyncio.wait_for(asyncio.gather(*(pourer([service, replica][n % 2], n) for n in range(8))), 20)
    assert await service.database.pool.fetchval("SELECT sum(coins) FROM jars") == 400


async def test_a_batch_that_lost_a_race_runs_again_with_locks(service: Service, jar: str) -> None:
    """Between its load and its save somebody else is quicker: it decides again on what is there then."""
    pool = service.database.pool
    loads: list[str] = []
    taken = [await pool.acquire() for _ in range(4)]
    for connection in taken:
        connection.add_query_logger(
            lambda seen: loads.append(seen.query) if "FROM jars WHERE jar_id" in seen.query else None
        )
    async with toy.connected(service.database.url) as other:
        quicker = other.transaction()
        await quicker.start()
        await other.execute("UPDATE jars SET coins = 70, row_version = row_version + 1 WHERE jar_id = $1", jar)
        for connection in taken:
            await pool.release(connection)
        adding = asyncio.create_task(tell_desk(service, Add(BUYER, jar)))

        async def the_save_waits_for_the_row() -> bool:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
            return bool(await other.fetchval(waiting))

        await toy.eventually(the_save_waits_for_the_row)
        await quicker.commit()
        assert (await adding).body == b'{"coins": 71}'
    assert [query.endswith("FOR UPDATE") for query in loads] == [False, True]


async def test_two_desks_that_make_the_same_thing_make_it_once_and_the_second_sees_the_first(
    service: Service, replica: Service
) -> None:
    jars = [toy.a_jar() for _ in range(20)]
    answers = await asyncio.gather(*(tell_desk(desk, Make(BUYER, jar)) for jar in jars for desk in (service, replica)))
    assert sorted(answer.body for answer in answers) == [b'{"coins": 1}'] * 20 + [b'{"coins": 2}'] * 20


async def test_of_two_desks_that_open_the_same_thing_one_is_refused(service: Service, replica: Service) -> None:
    jar = toy.a_jar()
    answers = await asyncio.gather(
        tell_desk(service, Open(BUYER, jar)), tell_desk(replica, Open(BUYER, jar)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in answers) == ["Reply", StateConflict.__name__]


async def test_a_fact_that_makes_what_is_there_is_ignored_in_either_replica(service: Service, replica: Service) -> None:
    jar = toy.a_jar()
    deliveries = [delivery_of(expired(jar)) for _ in range(4)]
    for n, delivery in enumerate(deliveries):
        [service, replica][n % 2].desk.hear(delivery, lambda: None)

    async def all_heard() -> bool:
        return await toy.count(service, "inbox") == 4

    await toy.eventually(all_heard)
    outcomes = await service.database.pool.fetch("SELECT outcome FROM inbox")
    assert sorted(row["outcome"] for row in outcomes) == ["applied"] + ["ignored:already_there"] * 3


async def test_facts_heard_by_both_while_commands_change_their_keys_end_exact(
    service: Service, replica: Service, jar: str
) -> None:
    deliveries = [delivery_of(completed(jar)) for _ in range(40)]
    for delivery in deliveries:
        for each in (service, replica):
            each.desk.hear(delivery, lambda: None)
    await hammer([service, replica], jar, 5)

    async def exact() -> bool:
        return await toy.coins_in(service, jar) == 80

    await toy.eventually(exact)
    assert await toy.count(service, "coins") == 80
