"""The end: what waits is decided or sent away with an honest answer, and nothing is ever half done."""

import asyncio
from typing import Any

import pytest

from chassis.decision import Applied
from chassis.desk import Unavailable
from chassis.moment import Moment
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Jar, Misbehave, Open, completed, tell_desk
from tests.support import delivery_of, hear


async def test_stopping_decides_what_waits(url: str) -> None:
    async with toy.build(url, desk_batch_max=10) as service:
        jar = toy.a_jar()
        await tell_desk(service, Open(BUYER, jar))
        asked = [asyncio.create_task(tell_desk(service, Add(BUYER, jar))) for _ in range(100)]
        for _ in range(100):
            service.desk.hear(delivery_of(completed(jar)), lambda: None)
        await asyncio.sleep(0)
        await service.desk.stop()
        assert len(await asyncio.gather(*asked)) == 100
        assert await toy.coins_in(service, jar) == 200


async def test_a_stopped_desk_answers_at_once_and_leaves_facts_to_whoever_runs_next(service: Service) -> None:
    await service.desk.stop()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(tell_desk(service, Add(BUYER, toy.a_jar())), 0.5)
    assert service.desk.hear(delivery_of(completed(toy.a_jar())), lambda: None) is False


async def test_what_cannot_be_decided_in_time_is_answered_all_the_same(service: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    told: list[str] = []
    async with toy.connected(service.database.url) as other:
        lock = other.transaction()
        await lock.start()
        await other.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        in_flight = asyncio.create_task(tell_desk(service, Add(BUYER, jar)))
        await asyncio.sleep(0.05)
        service.desk.hear(delivery_of(completed(jar)), lambda: told.append("heard"))
        waiting = asyncio.create_task(tell_desk(service, Add(BUYER, jar)))
        early = asyncio.create_task(tell_desk(service, Add(BUYER, toy.a_jar())))
        await asyncio.sleep(0.05)
        await service.desk.stop(drain_seconds=0.1)
        await lock.rollback()
    answers = await asyncio.wait_for(asyncio.gather(in_flight, waiting, early, return_exceptions=True), 3)
    assert {type(each) for each in answers} == {Unavailable}
    assert told == [], "the bus keeps what was not heard"
    assert await toy.coins_in(service, jar) == 0


async def test_a_caller_that_went_away_before_the_decision_leaves_no_trace(service: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    deciding = asyncio.Event()
    run = service.desk._run

    async def slow(messages: list[Any], *, locked: bool) -> Any:
        await deciding.wait()
        return await run(messages, locked=locked)

    service.desk._run = slow  # type: ignore[method-assign]
    first = asyncio.create_task(tell_desk(service, Add(BUYER, jar)))
    await asyncio.sleep(0.01)
    gone = asyncio.create_task(tell_desk(service, Add(BUYER, jar, 10)))
    await asyncio.sleep(0.01)
    gone.cancel()
    deciding.set()
    await first
    await tell_desk(service, Add(BUYER, jar))
    assert await toy.coins_in(service, jar) == 2
    assert await toy.count(service, "inbox") == 3


async def test_a_caller_that_went_away_while_it_is_decided_is_applied_whole(service: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    asked: list[asyncio.Task[Any]] = []

    def cancel_the_caller(found: Jar | None, at: Moment) -> Applied:
        assert found
        asked[0].cancel()
        return Applied(toy.added(found, 1, at), reply={})

    asked.append(asyncio.create_task(tell_desk(service, Misbehave(BUYER, jar, cancel_the_caller), key="k")))
    with pytest.raises(asyncio.CancelledError):
        await asked[0]
    await tell_desk(service, Add(BUYER, jar))
    assert await toy.coins_in(service, jar) == 2
    assert await toy.count(service, "coins") == 2
    assert (await tell_desk(service, Misbehave(BUYER, jar, cancel_the_caller), key="k")).replayed


async def test_a_stopped_service_leaves_no_task_and_no_connection_behind(url: str) -> None:
    before = asyncio.all_tasks()
    async with toy.build(url) as service:
        jar = toy.a_jar()
        await tell_desk(service, Open(BUYER, jar))
        await tell_desk(service, toy.Call(BUYER, jar, "one"))
        await hear(service, completed(jar))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    async with toy.connected(url) as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

        async def alone() -> bool:
            return await connection.fetchval(others) == 0

        await toy.eventually(alone)


async def test_a_service_runs_again_after_it_was_stopped_and_goes_on_where_it_was(url: str) -> None:
    jar = toy.a_jar()
    async with toy.build(url) as service:
        await hear(service, completed(jar))
    async with toy.build(url) as service:
        await tell_desk(service, Open(BUYER, jar))

        async def applied() -> bool:
            return await toy.coins_in(service, jar) == 1

        await toy.eventually(applied)
