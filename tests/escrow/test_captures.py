"""Money on its way in: held if it is exactly what is awaited, else in suspense and, where it is clear whose, given back."""

from typing import Any

import pytest

from chassis.caller import Caller
from chassis.decision import Forbidden, NotFound, Unauthenticated
from chassis.moment import Moment
from contracts.escrow import Held
from services.escrow.commands import ChargeOpened, CreatePayment
from services.escrow.domain import Checkout, Hold, Payment, Refund, Suspense
from services.escrow.handlers import AlreadyPaid, CheckoutClosed, ProviderUnknown, TooLate, capture
from tests.escrow.memory import PROVIDER, MemoryDesk, capture_message, capture_of, check_books
from tests.escrow.orders import BUYER, MERCHANT, Order, a_checkout, an_order
from tests.support import new_id


def an_open(*orders: Order) -> MemoryDesk:
    desk = MemoryDesk()
    desk.hear(*(order.placed() for order in orders))
    return desk


def the_suspense(desk: MemoryDesk) -> Suspense:
    (item,) = desk.suspense()
    return item


def test_exactly_what_is_awaited_is_held_order_by_order() -> None:
    first, second = a_checkout([5000, 100], [3000])
    desk = an_open(first, second)
    payment = desk.pay(first)
    assert [(each.order_id, each.amount) for each in payment.allocations] == [
        (first.order_id, 5100),
        (second.order_id, 3000),
    ]
    assert [desk.balance(f"hold:{order.order_id}") for order in (first, second)] == [5100, 3000]
    assert [(fact.order_id, fact.amount.amount) for fact in desk.said(Held)] == [
        (first.order_id, 5100),
        (second.order_id, 3000),
    ]
    assert desk.one(Payment, payment.payment_id).state == "captured"
    check_books(desk)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"amount": 7999}, "wrong_amount"),
        ({"amount": 8001}, "wrong_amount"),
        ({"amount": 10**15}, "wrong_amount"),
        ({"currency": "USD"}, "wrong_amount"),
        ({"payment_id": new_id("pay")}, "unknown_payment"),
        ({"payment_id": "not-even-an-id"}, "unknown_payment"),
        ({"provider": "another"}, "unknown_payment"),
    ],
)
def test_what_is_not_awaited_goes_to_suspense_for_a_person_to_look_at(wrong: dict[str, Any], reason: str) -> None:
    order = an_order(8000)
    desk = an_open(order)
    seen = desk.capture(desk.create_payment(order), **wrong)
    item = the_suspense(desk)
    assert (item.reason, item.state, item.amount, item.currency) == (reason, "open", seen.amount, seen.currency)
    assert desk.hold(order).state == "awaiting_payment"
    assert desk.balance(f"suspense:{item.suspense_id}") == seen.amount
    assert desk.all(Refund) == []
    check_books(desk)


def test_after_a_wrong_amount_the_right_one_is_still_held() -> None:
    order = an_order(8000)
    desk = an_open(order)
    payment = desk.create_payment(order)
    desk.capture(payment, amount=1, transaction_id="txn_wrong")
    desk.capture(payment)
    assert desk.hold(order).state == "held"
    check_books(desk)


def test_the_second_payment_of_a_checkout_is_given_back_in_full() -> None:
    order = an_order(8000)
    desk = an_open(order)
    first, second = desk.create_payment(order), desk.create_payment(order)
    desk.capture(second)
    desk.capture(first)
    desk.answer_refunds()
    assert (the_suspense(desk).reason, the_suspense(desk).state) == ("paid_twice", "refunded")
    assert [desk.one(Payment, each.payment_id).state for each in (first, second)] == ["suspended", "captured"]
    assert desk.hold(order).payment_id == second.payment_id
    assert desk.balances() == {"provider:sandbox": -8000, f"hold:{order.order_id}": 8000}
    check_books(desk)


def test_one_payment_paid_by_two_transactions_is_held_once_and_given_back_once() -> None:
    order = an_order(8000)
    desk = an_open(order)
    payment = desk.pay(order)
    desk.capture(payment, transaction_id="txn_another")
    desk.answer_refunds()
    assert desk.one(Payment, payment.payment_id).state == "captured"
    assert desk.balances() == {"provider:sandbox": -8000, f"hold:{order.order_id}": 8000}
    check_books(desk)


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_money_after_the_end_is_given_back_in_full_and_the_hold_stays_void(end: str) -> None:
    order = an_order(8000)
    desk = an_open(order)
    payment = desk.create_payment(order)
    desk.hear(getattr(order, end)())
    desk.capture(payment)
    assert the_suspense(desk).reason == "late"
    desk.answer_refunds()
    assert desk.hold(order).state == "void"
    assert [refund.amount for refund in desk.all(Refund)] == [8000]
    assert desk.balances() == {}
    assert desk.one(Payment, payment.payment_id).state == "suspended"
    assert desk.said(Held) == []


def test_when_one_order_of_a_checkout_has_ended_all_of_a_late_payment_goes_back() -> None:
    first, second = a_checkout([5000], [3000])
    desk = an_open(first, second)
    payment = desk.create_payment(first)
    desk.hear(second.cancelled())
    desk.capture(payment)
    desk.hear(first.cancelled())
    desk.answer_refunds()
    assert (the_suspense(desk).reason, the_suspense(desk).amount) == ("late", 8000)
    assert [desk.hold(order).state for order in (first, second)] == ["void", "void"]
    assert desk.balances() == {}


def test_a_payment_that_lost_its_race_is_a_second_one_though_the_checkout_was_read_before() -> None:
    """Another replica captured between the two reads: the checkout is old, its holds are new."""
    order = an_order(8000)
    desk = an_open(order)
    stale, loser = desk.one(Checkout, order.checkout.checkout_id), desk.create_payment(order)
    desk.pay(order)
    decided = capture(loser, stale, (desk.hold(order),), capture_of(loser), Moment(desk.now, desk.now, b"s" * 16))
    assert decided.reason == "paid_twice"


def test_the_same_transaction_told_many_times_in_one_batch_is_held_once() -> None:
    order = an_order(8000)
    desk = an_open(order)
    seen = capture_of(desk.create_payment(order))
    desk.deliver(*(capture_message(seen) for _ in range(50)))
    assert len(desk.said(Held)) == 1
    assert desk.balance(f"hold:{order.order_id}") == 8000


@pytest.mark.parametrize("late", [False, True])
def test_a_transaction_told_again_after_its_message_is_forgotten_is_no_second_payment(late: bool) -> None:
    """The inbox is purged after thirty days; what the money became is not, and is never given back for an echo."""
    order = an_order(8000)
    desk = an_open(order)
    payment = desk.create_payment(order)
    if late:
        desk.hear(order.expired())
    desk.capture(payment)
    desk.answer_refunds()
    before = desk.balances()
    desk.inbox.clear()
    desk.capture(payment)
    assert desk.balances() == before
    assert len(desk.suspense()) == int(late)


def test_a_capture_overtakes_the_news_that_its_charge_is_open() -> None:
    order = an_order(8000)
    desk = an_open(order)
    payment = desk.pay(order)
    desk.ask(ChargeOpened(PROVIDER, payment.payment_id, "https://pay"))
    assert desk.one(Payment, payment.payment_id).state == "captured"


# --- asking for a payment ------------------------------------------------------------------------------------------


def ask(order: Order, caller: Caller = Caller(person_id=BUYER), provider: str = "sandbox") -> CreatePayment:
    return CreatePayment(caller, order.checkout.checkout_id, provider, "page")


@pytest.mark.parametrize(
    ("caller", "refusal"),
    [
        (Caller(), Unauthenticated),
        (Caller(person_id=new_id("per")), NotFound),
        (Caller(party_id=MERCHANT, scopes=frozenset({"orders:write"})), Forbidden),
    ],
)
def test_only_the_buyer_pays(caller: Caller, refusal: type[Exception]) -> None:
    order = an_order()
    desk = an_open(order)
    with pytest.raises(refusal):
        desk.ask(ask(order, caller))
    assert desk.all(Payment) == []


def test_a_payment_may_be_asked_for_only_while_there_is_something_to_pay() -> None:
    order = an_order()
    desk = an_open(order)
    with pytest.raises(ProviderUnknown):
        desk.ask(ask(order, provider="another"))
    desk.pay(order)
    with pytest.raises(AlreadyPaid):
        desk.ask(ask(order))
    desk = an_open(order)
    desk.hear(order.expired())
    with pytest.raises(CheckoutClosed):
        desk.ask(ask(order))


def test_after_pay_by_nothing_new_can_be_paid() -> None:
    desk = MemoryDesk()
    order = an_order(pay_by=desk.now)
    desk.hear(order.placed())
    with pytest.raises(TooLate):
        desk.ask(ask(order))


def test_the_provider_is_told_how_much_time_is_left_on_its_own_clock() -> None:
    order = an_order(8000)
    desk = an_open(order)
    desk.create_payment(order)
    (told,) = desk.instructions
    assert told.body == {
        "provider": "sandbox",
        "amount": 8000,
        "currency": "CNY",
        "expires_at": order.pay_by.isoformat(),
    }


def test_a_checkout_whose_orders_do_not_add_up_cannot_be_paid() -> None:
    first, second = a_checkout([5000], [3000])
    desk = an_open(first)
    lines = second.placed().lines
    cheaper = lines[0].model_copy(update={"amount": lines[0].amount.model_copy(update={"amount": 2999})})
    desk.hear(second.placed(lines=(cheaper,)))
    assert (Hold, second.order_id) in desk.slots
    desk.deliver()
    before = len(desk.poison)
    desk.ask(ask(first))
    assert len(desk.poison) == before + 1
    assert desk.all(Payment) == []
