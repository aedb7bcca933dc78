"""The bus inside one process: every hearer hears, then the row is marked; what is not marked comes again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.bus.local import Hall
from chassis.service import Service
from tests.chassis import crash, toy
from tests.chassis.toy import BUYER, Tell, TellMore, tell_desk

Urls = tuple[str, str]


@pytest.fixture
async def urls() -> AsyncIterator[Urls]:
    async with toy.fresh_database() as order_url, toy.fresh_database() as escrow_url:
        yield order_url, escrow_url


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.bus.local.SWEEP_EVERY_SECONDS", 0.1)


async def unsent(service: Service) -> int:
    return await toy.count(service, "outbox WHERE sent_at IS NULL")


async def test_a_fact_is_marked_only_after_its_hearer_has_committed(urls: Urls) -> None:
    async with crash.world(*urls) as (order, escrow):
        async with toy.connected(urls[1]) as other:
            lock = other.transaction()
            await lock.start()
            await other.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
            await tell_desk(order, Tell(BUYER, toy.a_jar()))
            await asyncio.sleep(0.2)
            assert await unsent(order) == 1
            await lock.rollback()
        await toy.eventually(order.bus.quiet)
        assert await toy.count(escrow, "jars") == 1


async def test_a_fact_that_is_parked_counts_as_heard(urls: Urls) -> None:
    async with crash.world(*urls) as (order, escrow):
        jar = toy.a_jar()
        await tell_desk(order, toy.Open(BUYER, jar))
        await tell_desk(order, TellMore(BUYER, jar))
        await toy.eventually(order.bus.quiet)
        assert await toy.count(escrow, "parked") == 1


async def test_a_fact_whose_hearer_meets_a_bug_counts_as_heard_and_is_parked(urls: Urls) -> None:
    def crashes(*_: object) -> None:
        raise ZeroDivisionError

    hall = Hall(expected=("order", "escrow"))
    order = toy.build(urls[0], "order", hall=hall, hears={})
    hears = {**toy.HEARS, toy.OrderExpired: toy.hear(crashes, toy.new(toy.Jar, "order_id"))}
    escrow = toy.build(urls[1], "escrow", hall=hall, hears=hears)
    async with order, escrow:
        await tell_desk(order, Tell(BUYER, toy.a_jar()))
        await toy.eventually(order.bus.quiet)
        assert await toy.count(escrow, "parked WHERE poison") == 1


async def test_a_fact_waits_for_a_hearer_that_has_not_started(urls: Urls) -> None:
    hall = Hall(expected=("order", "escrow"))
    order = toy.build(urls[0], "order", hall=hall, hears={}, leftover_after_seconds=0)
    escrow = toy.build(urls[1], "escrow", hall=hall)
    async with order:
        await tell_desk(order, Tell(BUYER, toy.a_jar()))
        await asyncio.sleep(0.3)
        assert await unsent(order) == 1
        async with escrow:
            await toy.eventually(order.bus.quiet)
            assert await toy.count(escrow, "jars") == 1


async def test_a_fact_said_while_its_hearer_stops_waits_for_the_next_one(urls: Urls) -> None:
    hall = Hall(expected=("order", "escrow"))
    async with toy.build(urls[0], "order", hall=hall, hears={}, leftover_after_seconds=0) as order:
        async with toy.build(urls[1], "escrow", hall=hall) as stopping:
            await stopping.desk.stop()
            await tell_desk(order, Tell(BUYER, toy.a_jar()))
            await asyncio.sleep(0.1)
            assert not order.bus._carried  # type: ignore[attr-defined]
        await tell_desk(order, Tell(BUYER, toy.a_jar()))
        await asyncio.sleep(0.3)
        assert await unsent(order) == 2
        async with toy.build(urls[1], "escrow", hall=hall) as escrow:
            await toy.eventually(order.bus.quiet)
            assert await toy.count(escrow, "jars") == 2


async def test_a_fact_on_the_desk_of_a_hearer_that_ends_undecided_goes_to_the_next_one(urls: Urls) -> None:
    hall = Hall(expected=("order", "escrow"))
    async with toy.build(urls[0], "order", hall=hall, hears={}, leftover_after_seconds=0) as order:
        async with toy.build(urls[1], "escrow", hall=hall) as stopping, toy.connected(urls[1]) as other:
            lock = other.transaction()
            await lock.start()
            await other.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
            await tell_desk(order, Tell(BUYER, toy.a_jar()))
            await stopping.desk.stop(drain_seconds=0.1)
            await lock.rollback()
        assert await unsent(order) == 1
        async with toy.build(urls[1], "escrow", hall=hall) as escrow:
            await toy.eventually(order.bus.quiet)
            assert await toy.count(escrow, "jars") == 1


async def test_nothing_is_carried_for_ever(urls: Urls) -> None:
    async with crash.world(*urls) as (order, _):
        jars = [toy.a_jar() for _ in range(30)]
        await asyncio.gather(*(tell_desk(order, Tell(BUYER, jar)) for jar in jars))
        await toy.eventually(order.bus.quiet)
        assert not order.bus._carried  # type: ignore[attr-defined]


async def test_two_processes_worlds_on_one_database_hear_each_fact_once(urls: Urls) -> None:
    """Both sweep the same outbox; the hearers' inbox is one."""
    async with crash.world(*urls) as (one, escrow), crash.world(*urls) as (two, _):
        jars = [toy.a_jar() for _ in range(20)]
        await asyncio.gather(*(tell_desk([one, two][n % 2], Tell(BUYER, jar)) for n, jar in enumerate(jars)))
        await asyncio.gather(*(tell_desk([two, one][n % 2], TellMore(BUYER, jar)) for n, jar in enumerate(jars)))
        for _ in range(5):
            await asyncio.gather(one.bus.sweep(0), two.bus.sweep(0))  # type: ignore[attr-defined]
        await toy.eventually(one.bus.quiet)

        async def all_applied() -> bool:
            return await toy.count(escrow, "jars WHERE coins = 1") == 20

        await toy.eventually(all_applied)
        assert await toy.count(escrow, "coins") == 20
        assert await toy.count(escrow, "history") == 40


async def test_a_fact_that_nobody_hears_is_born_sent(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.bus, "heard", lambda _: False)
    await tell_desk(service, Tell(BUYER, toy.a_jar()))
    assert await unsent(service) == 0
    assert await toy.count(service, "outbox") == 1
