"""Background loops outlive outages, defects, and rows that nobody can read."""

import asyncio

import asyncpg
import pytest

from chassis.loops import Loop
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Tell, expired, tell_desk
from tests.support import hear


@pytest.mark.parametrize("error", [ZeroDivisionError(), asyncpg.AdminShutdownError(), asyncpg.PostgresSyntaxError()],
                         ids=lambda error: type(error).__name__)  # fmt: skip
async def test_a_loop_outlives_whatever_its_step_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.loops.AFTER_FAILURE_SECONDS", 0.0)
    steps: list[int] = []

    async def step() -> None:
        steps.append(1)
        if len(steps) < 3:
            raise error

    loop = Loop("test", step, every_seconds=0)
    loop.start()

    async def five_steps() -> bool:
        return len(steps) >= 5

    await toy.eventually(five_steps)
    await loop.stop()
    steps_then = len(steps)
    await asyncio.sleep(0.01)
    assert len(steps) == steps_then, "it has stopped"


UNREADABLE = ['{"not": "an envelope"}', "not even JSON"]


@pytest.mark.parametrize("body", UNREADABLE)
async def test_an_unreadable_parked_row_stays_and_the_others_are_brought_back(service: Service, body: str) -> None:
    await service.parked.stop()
    jar = toy.a_jar()
    await hear(service, toy.completed(jar))
    service.desk._sleeping.wake_all()  # As after a restart: it is known to the database alone.
    await service.database.pool.execute(
        "INSERT INTO parked (id, type, keys, body, reason, poison, next_at) VALUES ($1, '', '[]', $2, '', false, $3)",
        b"0" * 16, body, toy.datetime(2020, 1, 1, tzinfo=toy.UTC),
    )  # fmt: skip
    await hear(service, expired(jar))
    assert await service.parked.sweep() == 2

    async def applied() -> bool:
        return await toy.coins_in(service, jar) == 1

    await toy.eventually(applied)
    assert await toy.count(service, "parked") == 1


@pytest.mark.parametrize("body", UNREADABLE)
async def test_an_unreadable_outbox_row_stays_and_the_others_are_carried(
    url: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with toy.build(url, "order") as service:
        with monkeypatch.context() as patch:
            patch.setattr(service.bus, "hand_off", lambda _: None)
            await tell_desk(service, Tell(BUYER, toy.a_jar()))
        await service.database.pool.execute(
            "INSERT INTO outbox (id, type, subject, sequence, body, at)"
            " VALUES (gen_random_uuid(), '', '', 1, $1, '2020-01-01')",
            body,
        )
        await service.bus.sweep(0)  # type: ignore[attr-defined]

        async def only_one_is_left() -> bool:
            return await toy.count(service, "outbox WHERE sent_at IS NULL") == 1

        await toy.eventually(only_one_is_left)
