"""Any order and any duplication of an order's messages ends in the same state, through the desk's own batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.batch import Batch
from chassis.caller import Caller
from chassis.grants import Grant, grant_id
from chassis.message import Message, Times, message_id
from chassis.slots import Slot
from contracts.escrow import Held, Refunded, Released
from contracts.money import Money
from services.order import commands, service, store
from services.order.domain import Checkout, Order
from services.order.goods import Stock
from tests.order.samples import NOW, RULES, SELLER, an_order
from tests.order.world import old_id

STORES = {each.kind: each for each in store.STORES}
HANDLERS: dict[type, Any] = {**service.HEARS, **service.asked(RULES)}
STAFF = Caller(old_id("per"))


@dataclass
class Desk:
    """The desk without a database: the same batch decides, the inbox drops what was applied, refused clients retry."""

    order: Order

    def __post_init__(self) -> None:
        order, line = self.order, self.order.lines[0]
        checkout = Checkout(order.checkout_id, order.buyer, (order.order_id,), order.amount, "CNY", order.pay_by, NOW)
        stock = Stock(line.stock_id, line.variant_id, line.product_id, SELLER, 8, line.quantity, 0)
        grant = Grant(grant_id(SELLER, str(STAFF.person_id)), SELLER, str(STAFF.person_id), "owner", 1)
        self.batch = Batch("order", STORES, lambda _: True, Times(NOW, NOW))
        for value in (order, checkout, stock, grant):
            kind = type(value)
            self.batch.slots[kind, STORES[kind].key_of(value)] = Slot(value, 1, 1)  # type: ignore[union-attr]

    def run(self, payloads: Sequence[Any]) -> None:
        """Every message until it has its effect, or has none in any state that still comes."""
        waiting = [self._message(payload) for payload in payloads]
        for _ in range(len(waiting) + 1):
            waiting = [message for message in waiting if not self._settled(message)]

    def _settled(self, message: Message) -> bool:
        if message.id in {row[0] for row in self.batch.effects.inbox}:
            return True
        self.batch.refused.clear()
        undecided, wanted = self.batch.decide([message])
        while undecided:
            self.batch.slots.update(dict.fromkeys(wanted))
            undecided, wanted = self.batch.decide(undecided)
        return not self.batch.early and not self.batch.refused

    def _message(self, payload: Any) -> Message:
        name = payload.model_dump_json() if hasattr(payload, "model_dump_json") else repr(payload)
        origin: Any = "fact" if type(payload) in service.HEARS else "command"
        id_ = message_id(type(payload).__name__, name)
        return Message(id_, type(payload).__name__, origin, payload, HANDLERS[type(payload)], id_, "test", "")

    def now(self, kind: type, key: str) -> Any:
        slot = self.batch.slots[kind, key]
        assert slot is not None
        return slot.value


ORDER = an_order()
BUYER = Caller(ORDER.buyer)
MONEY = Money(amount=ORDER.amount, currency="CNY")


def refund(amount: int, *, complete: bool) -> Refunded:
    return Refunded(
        order_id=ORDER.order_id, refund_id=old_id("rfd"), cause_id=ORDER.order_id,
        amount=Money(amount=amount, currency="CNY"), lines=(), reversed=(), complete=complete,
    )  # fmt: skip


HELD = Held(
    order_id=ORDER.order_id, checkout_id=ORDER.checkout_id, payment_id=old_id("pay"), amount=MONEY, at=NOW
)  # fmt: skip
RELEASED = Released(order_id=ORDER.order_id, at=NOW, legs=())
SHIP = commands.Ship(STAFF, ORDER.order_id, None, "sf", None)
CONFIRM = commands.Confirm(BUYER, ORDER.order_id)
CANCEL = commands.Cancel(BUYER, ORDER.order_id, None)


def shuffled(*messages: Any) -> st.SearchStrategy[list[Any]]:
    """All of them, some of them twice, in any order."""
    return st.lists(st.sampled_from(messages), max_size=4).flatmap(
        lambda again: st.permutations([*messages, *again])
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(shuffled(HELD, SHIP, CONFIRM, RELEASED, refund(100, complete=False)))
def test_an_order_that_goes_well_ends_received_and_released(messages: list[Any]) -> None:
    desk = Desk(ORDER)
    desk.run(messages)
    order: Order = desk.now(Order, ORDER.order_id)
    assert (order.state, order.escrow_state, order.refunded_amount) == ("received", "released", 100)
    assert [step.state for step in order.timeline] == ["placed", "paid", "shipped", "received"]
    stock: Stock = desk.now(Stock, ORDER.lines[0].stock_id)
    assert (stock.available, stock.reserved, stock.sold) == (8, 0, 2)
    said = [row[1] for row in desk.batch.effects.outbox]
    assert said == ["order.paid.v1", "order.shipped.v1", "order.delivery_confirmed.v1"]


WHOLE = refund(ORDER.amount, complete=True)


@settings(max_examples=150, deadline=None)
@given(shuffled(HELD, CANCEL, WHOLE).filter(lambda each: each.index(CANCEL) < each.index(WHOLE)))
def test_an_order_that_is_cancelled_around_its_payment_ends_cancelled_and_refunded(messages: list[Any]) -> None:
    """The refund's cause is the cancellation; whether the payment was heard before either of them changes nothing."""
    desk = Desk(ORDER)
    desk.run(messages)
    order: Order = desk.now(Order, ORDER.order_id)
    assert (order.state, order.escrow_state, order.refunded_amount) == ("cancelled", "refunded", ORDER.amount)
    stock: Stock = desk.now(Stock, ORDER.lines[0].stock_id)
    assert (stock.available, stock.reserved, stock.sold) == (10, 0, 0)
    assert [row[1] for row in desk.batch.effects.outbox].count("order.cancelled.v1") == 1


@settings(max_examples=100, deadline=None)
@given(shuffled(HELD, SHIP, RELEASED, WHOLE))
def test_a_whole_refund_ends_the_order_whenever_it_is_heard(messages: list[Any]) -> None:
    desk = Desk(ORDER)
    desk.run(messages)
    order: Order = desk.now(Order, ORDER.order_id)
    assert (order.state, order.escrow_state, order.refunded_amount) == ("refunded", "refunded", ORDER.amount)
