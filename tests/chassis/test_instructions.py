"""Calls to the outside: written down with the decision, performed after the commit, answered in one transaction."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from chassis.instructions import Unanswered
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Call, Open, Outside, tell_desk


async def calling(service: Service, number: str = "one") -> str:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    await tell_desk(service, Call(BUYER, jar, number))
    return jar


async def now_due(service: Service) -> None:
    """As if the time until the next attempt had passed."""
    await service.database.pool.execute("UPDATE instructions SET next_at = clock_timestamp() - interval '1 second'")


async def done(service: Service, number: str = "one") -> bool:
    state = await service.database.pool.fetchval("SELECT state FROM instructions WHERE id = $1", number)
    return state == "done"


async def test_an_instruction_is_performed_once_right_after_the_commit(url: str) -> None:
    outside = Outside()
    async with toy.build(url, outside=outside) as service:
        jar = await calling(service)
        await toy.eventually(lambda: done(service))
        await service.worker.sweep()
        assert await toy.coins_in(service, jar) == 5
    assert outside.asked == [("one", 1)]


async def test_an_answer_its_effect_and_the_end_of_the_instruction_are_one_transaction(service: Service) -> None:
    jar = await calling(service)
    await toy.eventually(lambda: done(service))
    writers = await service.database.pool.fetch(
        "SELECT xmin::text FROM jars WHERE jar_id = $1 UNION ALL SELECT xmin::text FROM instructions"
        " UNION ALL SELECT xmin::text FROM coins UNION ALL SELECT xmin::text FROM inbox WHERE source = 'Called'",
        jar,
    )
    assert len(writers) == 4
    assert len({row["xmin"] for row in writers}) == 1


async def test_what_is_not_answered_is_repeated_under_the_same_number_until_it_is(url: str) -> None:
    outside = Outside(lambda attempt: 5 if attempt == 3 else Unanswered("it hangs"))
    async with toy.build(url, outside=outside) as service:
        jar = await calling(service)
        for _ in range(2):
            await now_due(service)
            await asyncio.sleep(0.05)
            await service.worker.sweep()
        await toy.eventually(lambda: done(service))
        assert await toy.coins_in(service, jar) == 5
    assert [number for number, _ in outside.asked] == ["one"] * 3
    assert [attempt for _, attempt in outside.asked] == [1, 2, 3]


async def test_a_port_that_crashes_or_hangs_is_tried_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.instructions.PATIENCE_SECONDS", 0.05)
    outside = Outside(lambda attempt: [ZeroDivisionError(), TimeoutError(), 5][attempt - 1])
    hanging = Outside()

    async with toy.build(url, outside=outside) as service:
        jar = await calling(service)
        for _ in range(2):
            await now_due(service)
            await asyncio.sleep(0.05)
            await service.worker.sweep()
        await toy.eventually(lambda: done(service))
        assert await toy.coins_in(service, jar) == 5
        hanging.answers = None  # type: ignore[assignment]
        service.worker._ports = {"fetch": lambda *_: asyncio.sleep(3600)}  # type: ignore[dict-item, assignment]
        await calling(service, "two")
        await asyncio.sleep(0.1)
        assert not service.worker._under_way, "it is no longer waited for"


async def test_an_instruction_survives_a_restart(url: str) -> None:
    outside = Outside()
    async with toy.build(url, outside=Outside(lambda _: Unanswered("not today"))) as service:
        jar = await calling(service)
        await asyncio.sleep(0.05)
    async with toy.build(url, outside=outside) as service:
        await now_due(service)
        await service.worker.sweep()
        await toy.eventually(lambda: done(service))
        assert await toy.coins_in(service, jar) == 5
    assert outside.asked == [("one", 2)]


def troubles() -> list[float | None]:
    names = ("buluo_desk_reruns_total", "buluo_desk_defects_total")
    return [REGISTRY.get_sample_value(name, {"service": "escrow"}) for name in names]


async def test_two_answers_to_one_instruction_have_one_effect_and_cause_no_alarm(url: str) -> None:
    async with toy.build(url, outside=Outside(lambda _: Unanswered("later"))) as service:
        jar = await calling(service)
        before = troubles()
        for _ in range(3):
            service.desk.answered(toy.Called(toy.SYSTEM, jar, 5), "one")
        await toy.eventually(lambda: done(service))
        service.desk.answered(toy.Called(toy.SYSTEM, jar, 5), "one")
        await tell_desk(service, toy.Add(BUYER, jar))
        assert await toy.coins_in(service, jar) == 6
        assert troubles() == before


async def test_the_worker_survives_an_instruction_nobody_performs(url: str) -> None:
    async with toy.build(url) as service:
        service.worker._ports = {}
        await calling(service, "nobody")
        service.worker._ports = Outside().ports()
        await calling(service, "somebody")
        await toy.eventually(lambda: done(service, "somebody"))
        assert not await done(service, "nobody")
