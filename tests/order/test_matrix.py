"""For every state and every fact heard there is an answer: Applied, Ignored or NotYet; never a refusal or a defect."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest

from chassis.clock import ClockOffset
from chassis.decision import Applied, Ignored, NotYet
from chassis.grants import Grant
from contracts import catalogue
from contracts.fact import Fact
from services.order import domain, goods, service
from services.order.domain import Order, OrderState
from services.order.goods import Content, Merchant, Partnership, Stock
from tests.order.samples import AT, NOW, RULES, an_order, sample_fact, stocks_of
from tests.order.world import old_id

STATES = get_args(OrderState)


def orders() -> Iterator[Order]:
    """An order in every state it can be in, and with every answer escrow may have given before."""
    fresh = an_order()
    paid = domain.paid(fresh, NOW)
    shipped = domain.shipped(paid, old_id("shp"), NOW, RULES)
    delivered = domain.move(shipped, "deliver", NOW, "seller")
    received = domain.received(delivered, NOW, "buyer", RULES)
    completed = domain.completed(received, NOW)
    yield from (fresh, domain.expired(fresh, NOW), domain.cancelled(fresh, NOW, "buyer", "changed_mind"))
    for order in (paid, shipped, delivered, received, completed, domain.cancelled(paid, NOW, "seller", "no_goods")):
        yield order
        yield replace(order, released_at=NOW)
        yield replace(order, refunded_amount=1)
        if order.state != "completed":
            gone = order if order.state == "cancelled" else domain.move(order, "refund", NOW, "escrow")
            yield replace(gone, refunded_amount=order.amount, refunded_whole=True)


def worlds(fact: type[Fact]) -> Iterator[tuple[Any, ...]]:
    """Every combination of aggregates that a handler of this fact may be given."""
    kinds = [touch.kind for touch in service.HEARS[fact].touches]
    if kinds == [Order]:
        yield from ((order,) for order in orders())
    elif kinds == [Order, Stock]:
        yield from ((order, stocks_of(order)) for order in orders())
    else:
        (kind,) = kinds
        yield (None,)
        yield from ((value,) for value in PROJECTIONS[kind])


AGREED = goods.Agreed(1, 1000, NOW - timedelta(days=9))
PROJECTIONS: dict[type, list[Any]] = {
    ClockOffset: [ClockOffset("sandbox", seconds, version) for seconds in (0, 10**6) for version in (0, 1, 99)],
    Grant: [Grant("a/b", "a", "b", role, version) for role in ("owner", None) for version in (0, 1, 99)],
    Merchant: [Merchant("m", state, v) for state in ("open", "suspended", "closed") for v in (0, 1, 99)],
    Partnership: [
        Partnership("p", "m", "q", state, AGREED, coming, version)
        for state in ("trial", "active", "suspended", "ended")
        for coming in (None, goods.Agreed(2, 500, NOW + timedelta(days=9)), goods.Agreed(2, 500, NOW))
        for version in (0, 1, 99)
    ],
    Content: [Content("c", published, version) for published in (True, False) for version in (0, 1, 99)],
}


def test_orders_of_every_state_are_walked() -> None:
    assert {order.state for order in orders()} == set(STATES)


def test_the_service_hears_what_the_catalogue_says() -> None:
    assert {fact.type for fact in service.HEARS} == catalogue.heard_by("order")


@pytest.mark.parametrize("fact", service.HEARS, ids=lambda fact: fact.type)
def test_every_state_has_an_answer_to_every_fact(fact: type[Fact]) -> None:
    handler = service.HEARS[fact]
    for aggregates in worlds(fact):
        for said in sample_fact(fact):
            try:
                outcome = handler.decide(*aggregates, said, AT)
            except NotYet:
                continue
            assert isinstance(outcome, Applied | Ignored), (aggregates, outcome)
