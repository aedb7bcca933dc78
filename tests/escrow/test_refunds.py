"""Money on its way back: never more than is left, once per cause, and under a new number only when the old one failed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.escrow import Refunded
from services.escrow.commands import RefundAnswered
from services.escrow.domain import CurrencyDiffers, MoreThanLeft, Refund
from services.escrow.refunds import AGAIN_WITHIN_SECONDS
from tests.escrow.memory import PROVIDER, MemoryDesk, check_books
from tests.escrow.orders import Order, an_order


def a_held(order: Order) -> MemoryDesk:
    desk = MemoryDesk()
    desk.hear(order.placed(), order.attributed(None))
    desk.pay(order)
    return desk


def test_a_part_goes_back_and_the_rest_is_released() -> None:
    order = an_order(8000, 2000)
    desk = a_held(order)
    desk.hear(order.lines_cancelled({0: 3000, 1: 500}))
    assert (desk.hold(order).state, desk.hold(order).left) == ("held", 6500)
    desk.hear(order.confirmed(net=6500))
    hold = desk.hold(order)
    assert (hold.state, hold.released, hold.refunded) == ("released", 6500, 3500)
    (fact,) = desk.said(Refunded)
    assert (fact.amount.amount, fact.complete) == (3500, False)
    assert [(line.line_id, line.amount.amount) for line in fact.lines] == [
        (order.lines[0][0], 3000),
        (order.lines[1][0], 500),
    ]
    check_books(desk)


def test_the_whole_goes_back_when_every_line_is_cancelled() -> None:
    order = an_order(8000, 2000)
    desk = a_held(order)
    desk.hear(order.lines_cancelled({0: 8000}), order.lines_cancelled({1: 2000}))
    assert desk.hold(order).state == "refunding"
    assert [fact.complete for fact in desk.said(Refunded)] == [False, True]
    desk.answer_refunds()
    assert desk.hold(order).state == "refunded"
    assert desk.balances() == {}


def test_a_refund_under_way_does_not_keep_the_rest_from_being_released() -> None:
    order = an_order(8000, 2000)
    desk = a_held(order)
    desk.hear(order.lines_cancelled({1: 2000}), order.confirmed(net=8000))
    assert (desk.hold(order).state, desk.hold(order).refunds_open) == ("released", 1)
    desk.answer_refunds()
    assert (desk.hold(order).state, desk.hold(order).refunds_open) == ("released", 0)
    check_books(desk)


@pytest.mark.parametrize("too_much", [{0: 8001}, {1: 1, 0: 8001}, {0: 10_000}])
def test_more_than_a_line_has_left_is_poison_and_moves_nothing(too_much: dict[int, int]) -> None:
    order = an_order(8000, 2000)
    desk = a_held(order)
    before, postings = desk.hold(order), len(desk.postings)
    desk.hear(order.lines_cancelled(too_much))
    assert isinstance(desk.poison[0][1], MoreThanLeft)
    assert (desk.hold(order), len(desk.postings)) == (before, postings)


def test_many_small_refunds_never_give_back_more_than_one_large_one() -> None:
    order = an_order(1000)
    desk = a_held(order)
    desk.hear(*(order.lines_cancelled({0: 300}) for _ in range(4)))
    assert desk.hold(order).refunded == 900
    assert isinstance(desk.poison[0][1], MoreThanLeft)


def test_a_line_of_another_order_or_in_another_currency_is_poison() -> None:
    order = an_order(8000)
    foreign = an_order(8000).lines_cancelled({0: 1}).model_copy(update={"order_id": order.order_id})
    desk = a_held(order)
    desk.hear(foreign)
    assert isinstance(desk.poison[0][1], MoreThanLeft)
    desk = a_held(order)
    desk.hear(order.lines_cancelled({0: 1}, currency="USD"))
    assert isinstance(desk.poison[0][1], CurrencyDiffers)
    assert desk.all(Refund) == []


def test_what_follows_a_poison_fact_waits_behind_it() -> None:
    order = an_order(8000)
    desk = a_held(order)
    desk.hear(order.lines_cancelled({0: 8001}), order.confirmed())
    assert desk.hold(order).state == "held"
    assert [message.source for message in desk.parked.values()] == ["order.delivery_confirmed.v1"]


def test_nothing_is_asked_of_the_provider_for_pieces_that_cost_nothing() -> None:
    order = an_order(8000, 0)
    desk = a_held(order)
    desk.hear(order.lines_cancelled({1: 0}))
    assert desk.all(Refund) == []
    assert desk.hold(order).refund_causes == ()


def test_one_change_of_lines_is_refunded_once() -> None:
    order = an_order(8000)
    desk = a_held(order)
    change = order.lines_cancelled({0: 100})
    desk.hear(change, change, change)
    assert desk.hold(order).refunded == 100


def test_a_line_cancelled_after_the_release_waits_and_is_not_forgotten() -> None:
    order = an_order(8000)
    desk = a_held(order)
    desk.hear(order.confirmed(), order.lines_cancelled({0: 100}))
    assert [message.source for message in desk.parked.values()] == ["order.lines_cancelled.v1"]


def test_the_release_waits_for_the_line_that_was_cancelled_before_it() -> None:
    order = an_order(8000)
    desk = a_held(order)
    desk.hear(order.confirmed(net=7900))
    assert desk.hold(order).state == "held"
    desk.hear(order.lines_cancelled({0: 100}))
    assert (desk.hold(order).state, desk.hold(order).released) == ("released", 7900)


def test_a_refund_that_fails_is_asked_for_again_under_a_new_number_and_given_back_once() -> None:
    order = an_order(8000)
    desk = a_held(order)
    desk.hear(order.cancelled())
    outcomes = iter(["failed", "failed", "succeeded"])
    desk.answer_refunds(lambda _: next(outcomes))
    refunds = desk.all(Refund)
    assert [refund.state for refund in refunds] == ["failed", "failed", "succeeded"]
    assert [refund.attempt for refund in refunds] == [1, 2, 3]
    assert len({refund.refund_id for refund in refunds}) == 3
    assert desk.hold(order).state == "refunded"
    assert desk.balances() == {}
    assert [fact.refund_id for fact in desk.said(Refunded)] == [refunds[0].refund_id]
    check_books(desk)


def test_each_failure_waits_twice_as_long_as_the_one_before_it() -> None:
    order = an_order(8000)
    desk = a_held(order)
    desk.hear(order.cancelled())
    outcomes = iter([*["failed"] * 40, "succeeded"])
    desk.answer_refunds(lambda _: next(outcomes))
    waits = [each.after_seconds for each in desk.instructions if each.kind == "refund"]
    assert waits[:5] == [0, 2, 4, 8, 16]
    assert max(waits) == AGAIN_WITHIN_SECONDS


@pytest.mark.parametrize("second", ["succeeded", "failed"])
def test_a_refund_answered_twice_is_given_back_once(second: str) -> None:
    order = an_order(8000)
    desk = a_held(order)
    desk.hear(order.cancelled())
    (refund,) = desk.all(Refund)
    desk.ask(RefundAnswered(PROVIDER, refund.refund_id, "succeeded"), key="the instruction's answer")
    postings = len(desk.postings)
    desk.ask(RefundAnswered(PROVIDER, refund.refund_id, second), key="the callback")  # type: ignore[arg-type]
    assert (len(desk.postings), len(desk.all(Refund))) == (postings, 1)
    assert desk.hold(order).refunds_open == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9000)), max_size=8), st.booleans())
def test_no_sequence_of_refunds_exceeds_what_was_captured(asked: list[tuple[int, int]], confirm: bool) -> None:
    order = an_order(8000, 2000)
    desk = a_held(order)
    for line, amount in asked:
        desk.hear(order.lines_cancelled({line: amount}))
        desk.poison.clear()
    if confirm:
        desk.hear(order.confirmed())
    desk.answer_refunds()
    hold = desk.hold(order)
    assert hold.refunded + hold.released + hold.left == 10_000
    check_books(desk)
