"""More than the desk can hold: commands are refused at the door, facts always enter or stay with their bus."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.desk import Overloaded
from chassis.service import Service
from tests.chassis import crash, toy
from tests.chassis.toy import BUYER, Add, Open, Tell, completed, expired, tell_desk
from tests.support import delivery_of


@pytest.fixture
async def service(url: str) -> AsyncIterator[Service]:
    async with toy.build(url, desk_commands_max=50, desk_facts_max=200, desk_batch_max=20) as started:
        yield started


@pytest.fixture
async def jar(service: Service) -> str:
    made = toy.a_jar()
    await tell_desk(service, Open(BUYER, made))
    return made


async def test_beyond_its_bound_a_command_is_refused_at_once_and_the_others_are_served(
    service: Service, jar: str
) -> None:
    answers = await asyncio.gather(*(tell_desk(service, Add(BUYER, jar)) for _ in range(80)), return_exceptions=True)
    refused = [each for each in answers if isinstance(each, Overloaded)]
    assert len(refused) == 30
    assert (refused[0].status, refused[0].code) == (503, "overloaded")
    assert await toy.coins_in(service, jar) == 50
    await tell_desk(service, Add(BUYER, jar))


async def test_facts_still_enter_where_commands_are_refused(service: Service, jar: str) -> None:
    crowd = asyncio.gather(*(tell_desk(service, Add(BUYER, jar)) for _ in range(60)), return_exceptions=True)
    await asyncio.sleep(0)
    heard = [service.desk.hear(delivery_of(completed(jar)), lambda: None) for _ in range(100)]
    with pytest.raises(Overloaded):
        await tell_desk(service, Add(BUYER, jar))
    assert all(heard)
    await crowd

    async def all_applied() -> bool:
        return await toy.coins_in(service, jar) == 50 + 100

    await toy.eventually(all_applied)


async def test_commands_that_wait_for_something_count_too(service: Service) -> None:
    waiting = [asyncio.create_task(tell_desk(service, Add(BUYER, toy.a_jar()))) for _ in range(50)]

    async def all_wait() -> bool:
        return len(service.desk._early) == 50

    await toy.eventually(all_wait)
    with pytest.raises(Overloaded):
        await tell_desk(service, Open(BUYER, toy.a_jar()))
    for each in waiting:
        each.cancel()


async def test_a_full_desk_leaves_a_copy_and_the_sweep_brings_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.bus.local.SWEEP_EVERY_SECONDS", 0.1)
    async with (
        toy.fresh_database() as order_url,
        toy.fresh_database() as escrow_url,
        crash.world(order_url, escrow_url) as (order, escrow),
    ):
        escrow.desk.settings = escrow.desk.settings.model_copy(update={"desk_facts_max": 3})
        jars = [toy.a_jar() for _ in range(40)]
        await asyncio.gather(*(tell_desk(order, Tell(BUYER, jar)) for jar in jars))
        await toy.eventually(order.bus.quiet)
        assert await toy.count(escrow, "jars") == 40
        assert not order.bus._carried  # type: ignore[attr-defined]


async def test_facts_are_bounded_and_the_bus_is_told(service: Service) -> None:
    entered = [service.desk.hear(delivery_of(expired(toy.a_jar())), lambda: None) for _ in range(250)]
    assert entered.count(True) == 200
