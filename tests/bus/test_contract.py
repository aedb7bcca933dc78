"""What every bus promises: at least once to every hearer, marked as sent only then, and nobody held up by a bad one."""

import asyncio
import json
from uuid import uuid4

import pytest

from chassis.bus.base import Bus
from contracts.fact import Envelope
from tests.bus.wires import Place, coins, settled, tell, unsent
from tests.chassis import toy
from tests.support import delivery_of


async def test_what_is_said_is_heard_once_and_marked_as_sent(place: Place) -> None:
    async with place.both() as (order, escrow):
        jars = await tell(order, 50)
        await settled(order, escrow)
        assert await coins(escrow, jars) == {1: 50}
        assert await unsent(order) == 0


async def test_what_is_said_before_a_hearer_has_ever_run_waits_for_it(place: Place) -> None:
    async with place.order() as order:
        jars = await tell(order, 100)
        async with place.escrow() as escrow:
            await settled(order, escrow)
            assert await coins(escrow, jars) == {1: 100}


async def test_what_was_committed_and_never_handed_over_is_found_by_the_next_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = place.order()
    monkeypatch.setattr(order.bus, "hand_off", lambda _: None)
    monkeypatch.setattr(order.bus, "start", _nothing)
    async with order:
        jars = await tell(order, 20)
        assert await unsent(order) == 40
    async with place.both() as (order, escrow):
        await settled(order, escrow)
        assert await coins(escrow, jars) == {1: 20}
        assert await unsent(order) == 0


async def _nothing(_: object) -> None:
    pass


async def test_a_hearer_that_comes_and_goes_misses_nothing_and_hears_nothing_twice(place: Place) -> None:
    async with place.order() as order:
        jars: list[str] = []
        for _ in range(4):
            async with place.escrow():
                jars += await tell(order, 25)
        async with place.escrow() as escrow:
            await settled(order, escrow)
            assert await coins(escrow, jars) == {1: 100}


async def test_a_fact_that_comes_too_early_waits_without_being_in_the_way(place: Place) -> None:
    async with place.both() as (order, escrow):
        early = toy.a_jar()
        await _say(order.bus, toy.completed(early))
        jars = await tell(order, 5)
        await toy.eventually(lambda: toy.count(escrow, "parked WHERE NOT poison"), 10)
        await _say(order.bus, toy.expired(early))
        await toy.eventually(lambda: toy.coins_in(escrow, early), 10)
        await settled(order, escrow)
        assert await coins(escrow, [*jars, early]) == {1: 6}


@pytest.mark.parametrize("reason", ["bug", "refused", "nul", "check", "too_large"])
async def test_a_poison_fact_is_parked_and_holds_up_no_other(place: Place, reason: str) -> None:
    async with place.both() as (order, escrow):
        (bad,) = await tell(order, 1)
        await toy.eventually(lambda: toy.coins_in(escrow, bad), 10)
        await _say(order.bus, toy.cancelled(bad, reason))
        jars = await tell(order, 20)
        await settled(order, escrow)
        assert await coins(escrow, jars) == {1: 20}
        assert await toy.count(escrow, "parked WHERE poison") == 1


async def test_a_row_of_a_newer_build_stays_unsent_and_the_others_go_on(place: Place) -> None:
    async with place.order() as order:
        body = json.loads(delivery_of(toy.expired(toy.a_jar())).body) | {"type": "order.unheard_of.v9"}
        await order.database.pool.execute(
            "INSERT INTO outbox (id, type, subject, sequence, body) VALUES ($1, $2, 's', 1, $3)",
            uuid4(), body["type"], json.dumps(body),
        )  # fmt: skip
        async with place.escrow() as escrow:
            jars = await tell(order, 5)
            await toy.eventually(lambda: _unsent_is(order, 1), 10)
            await toy.eventually(escrow.quiet, 10)
            assert await coins(escrow, jars) == {1: 5}


async def _unsent_is(order: object, count: int) -> bool:
    return await unsent(order) == count  # type: ignore[arg-type]


async def test_it_is_not_quiet_while_something_is_unheard(place: Place) -> None:
    async with place.order() as order, place.escrow() as escrow:
        await settled(order, escrow)
        held = escrow.desk.hear
        escrow.desk.hear = lambda *_, **__: False  # type: ignore[method-assign]
        await tell(order, 1)
        await asyncio.sleep(0.3)
        assert not (await order.bus.quiet() and await escrow.bus.quiet())
        escrow.desk.hear = held  # type: ignore[method-assign]
        await settled(order, escrow)


async def test_only_what_somebody_hears_is_to_be_carried(place: Place) -> None:
    bus = place.order().bus
    assert bus.heard("order.expired.v1")
    assert not bus.heard("gateway.person_erased.v1")


async def _say(bus: Bus, fact: object) -> None:
    """Hand a fact over as a desk does after its commit."""
    delivery = delivery_of(fact)  # type: ignore[arg-type]
    envelope = Envelope.model_validate_json(delivery.body)
    database = bus._database if hasattr(bus, "_database") else bus.relay._database  # type: ignore[attr-defined]
    await database.pool.execute(
        "INSERT INTO outbox (id, type, subject, sequence, body) VALUES ($1, $2, $3, 1, $4)",
        delivery.id, envelope.type, envelope.subject, delivery.body,
    )  # fmt: skip
    bus.hand_off([delivery])
