"""An order from placing to completion. Pure rules over frozen values: no database, no clock, no network.

Amounts are integers in minor units of the order's one currency. A deadline takes effect at its due time, however late
anybody looks: `in_time` refuses what comes after it, and the deadline's own message carries the time it was due.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from chassis.decision import MoveRefused, find_move
from contracts.terms import Terms
from services.order.goods import DeliveryKind, MovementKind
from services.order.windows import Rules, days_end

OrderState = Literal[
    "placed", "paid", "shipped", "delivered", "received", "completed", "expired", "cancelled", "refunded"
]
EscrowState = Literal["awaiting_payment", "held", "released", "refunding", "refunded", "void"]
Side = Literal["buyer", "seller", "partner"]
By = Literal["buyer", "seller", "deadline", "escrow"]

MOVES: Mapping[tuple[str, str], str] = {
    ("placed", "pay"): "paid",
    ("placed", "cancel"): "cancelled",
    ("placed", "expire"): "expired",
    ("paid", "ship"): "shipped",
    ("paid", "cancel"): "cancelled",
    ("paid", "refund"): "refunded",
    ("shipped", "deliver"): "delivered",
    ("shipped", "confirm"): "received",
    ("shipped", "refund"): "refunded",
    ("delivered", "confirm"): "received",
    ("delivered", "refund"): "refunded",
    ("received", "complete"): "completed",
    ("received", "refund"): "refunded",
}
"""Every legal move of an order. Claims, pickup, campaigns join this table with their feature."""

DEADLINES: Mapping[str, tuple[str, str]] = {
    "placed": ("expire_at", "expire"),
    "paid": ("ship_by", "cancel"),
    "shipped": ("confirm_by", "confirm"),
    "delivered": ("confirm_by", "confirm"),
    "received": ("return_until", "complete"),
}
"""What happens by itself in a state: the column that says when, and the move."""

ACTIONS: Mapping[str, tuple[tuple[str, Side, str], ...]] = {
    "placed": (("pay", "buyer", "pay_by"), ("cancel", "buyer", "expire_at"), ("cancel", "seller", "expire_at")),
    "paid": (("cancel", "buyer", "ship_by"), ("ship", "seller", "ship_by"), ("cancel", "seller", "ship_by")),
    "shipped": (("confirm", "buyer", "confirm_by"), ("deliver", "seller", "confirm_by")),
    "delivered": (("confirm", "buyer", "confirm_by"),),
}
"""What people can do in a state: the move, whose it is, and the column that says until when."""

STOCK_ON_END: Mapping[str, MovementKind] = {"placed": "release", "paid": "return"}
"""How the pieces of an order that ends before it is shipped go back, by the state it ends in."""


@dataclass(frozen=True, slots=True)
class Line:
    """Pieces of one variant, bought by one offer. `amount` is the whole line's; what the product promised is pinned."""

    line_id: str
    offer_id: str
    product_id: str
    variant_id: str
    stock_id: str
    name: str
    quantity: int
    price: int
    amount: int
    return_days: int
    ship_by_hours: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order's timeline: the state it led to, when it took effect, and who made it."""

    state: OrderState
    at: datetime
    by: By


@dataclass(frozen=True, slots=True)
class Checkout:
    """One act of buying. Before payment its orders are cancelled or expire together."""

    checkout_id: str
    buyer: str
    order_ids: tuple[str, ...]
    amount: int
    currency: str
    pay_by: datetime
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """A purchase from one seller: its lines, its pinned terms, every deadline as a column, and its timeline."""

    order_id: str
    checkout_id: str
    buyer: str
    seller: str
    merchant_id: str
    partner_id: str | None
    partnership_id: str | None
    tribe_id: str | None
    content_id: str | None
    delivery_kind: DeliveryKind
    recipient_id: str | None
    region_code: str | None
    amount: int
    currency: str
    lines: tuple[Line, ...]
    terms: Terms
    placed_at: datetime
    pay_by: datetime
    expire_at: datetime
    state: OrderState = "placed"
    timeline: tuple[Step, ...] = ()
    shipment_ids: tuple[str, ...] = ()
    paid_at: datetime | None = None
    ship_by: datetime | None = None
    shipped_at: datetime | None = None
    confirm_by: datetime | None = None
    received_at: datetime | None = None
    confirmed_by: str | None = None
    return_until: datetime | None = None
    completed_at: datetime | None = None
    ended_by: str | None = None
    reason_code: str | None = None
    released_at: datetime | None = None
    refunded_amount: int = 0
    refunded_whole: bool = False

    @property
    def escrow_state(self) -> EscrowState:
        """Where the money is, as far as escrow has said; derived, so that it cannot contradict the order."""
        if self.refunded_whole:
            return "refunded"
        if self.released_at:
            return "released"
        if self.state in {"cancelled", "expired"}:
            return "refunding" if self.paid_at else "void"
        return "held" if self.paid_at else "awaiting_payment"

    @property
    def shipped_on_time(self) -> bool:
        return bool(self.shipped_at and self.ship_by and self.shipped_at < self.ship_by)

    @property
    def parties(self) -> tuple[str | None, ...]:
        """Who besides the buyer is told of this order."""
        return (self.seller, self.partner_id, self.merchant_id)


@dataclass(frozen=True, slots=True)
class Shipment:
    """A parcel, or how else the goods of an order left. `tracking` is written once."""

    shipment_id: str
    order_id: str
    carrier: str | None
    tracking: str | None
    shipped_at: datetime
    delivered_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class Relation:
    """A buyer and a seller: how many orders they have completed with each other."""

    relation_id: str
    buyer: str
    seller: str
    completed: int


def relation_id(buyer: str, seller: str) -> str:
    return f"{buyer}/{seller}"


def move(order: Order, name: str, at: datetime, by: By, **changes: Any) -> Order:
    """The order after a move that took effect at `at`; MoveRefused if MOVES does not list it."""
    state = find_move(MOVES, order.state, name)
    step = Step(state, at, by)  # type: ignore[arg-type]  # the values of MOVES are states
    return replace(order, state=state, timeline=(*order.timeline, step), **changes)  # type: ignore[arg-type]


def due(order: Order) -> datetime | None:
    """When the order moves by itself, if nobody moves it before."""
    column, _ = DEADLINES.get(order.state, (None, ""))
    return getattr(order, column) if column else None


def in_time(order: Order, name: str, now: datetime) -> None:
    """Refuse a move that comes after a deadline which nobody has swept yet: its outcome stands already."""
    due_at = due(order)
    if due_at and due_at <= now:
        after = MOVES[order.state, DEADLINES[order.state][1]]
        raise MoveRefused(after, name, tuple(move for state, move in MOVES if state == after))


def is_due(order: Order, name: str, due_at: datetime) -> bool:
    """Whether this deadline is still the one that the order waits for."""
    return due(order) == due_at and DEADLINES[order.state][1] == name


def placed(order: Order) -> Order:
    return replace(order, timeline=(Step("placed", order.placed_at, "buyer"),))


def paid(order: Order, now: datetime) -> Order:
    """The money is held: the strictest promise among the lines says when all of it must have left."""
    ship_by = now + timedelta(hours=min(line.ship_by_hours for line in order.lines))
    return move(order, "pay", now, "escrow", paid_at=now, ship_by=ship_by)


def shipped(order: Order, shipment_id: str, now: datetime, rules: Rules) -> Order:
    """All of it has left: the buyer's time to confirm runs."""
    confirm_by = days_end(now, rules.confirm_days(order.delivery_kind), rules.zone)
    return move(
        order, "ship", now, "seller", shipped_at=now, confirm_by=confirm_by, shipment_ids=(shipment_id,)
    )  # fmt: skip


def received(order: Order, at: datetime, by: By, rules: Rules) -> Order:
    """The buyer has the goods; the return window of the line that has the longest one runs, or none."""
    days = max(line.return_days for line in order.lines)
    until = days_end(at, days, rules.zone) if days else at
    return move(order, "confirm", at, by, received_at=at, confirmed_by=by, return_until=until)


def completed(order: Order, at: datetime) -> Order:
    return move(order, "complete", at, "deadline", completed_at=at)


def cancelled(order: Order, at: datetime, by: By, reason_code: str) -> Order:
    return move(order, "cancel", at, by, ended_by=by, reason_code=reason_code)


def expired(order: Order, at: datetime) -> Order:
    return move(order, "expire", at, "deadline", ended_by="deadline", reason_code="not_paid")


def ends_with(order: Order, siblings: Iterable[Order]) -> tuple[Order, ...]:
    """The orders that a cancellation ends: an unpaid checkout whole, a paid order alone."""
    together = tuple(siblings)
    return together if all(each.state == "placed" for each in together) else (order,)


def delivery_kind(kinds: Iterable[DeliveryKind]) -> DeliveryKind:
    """How an order goes out that has several kinds of goods: the slowest way among them."""
    found = frozenset(kinds)
    return "express" if "express" in found else "local" if "local" in found else "virtual"


def actions(order: Order, sides: frozenset[Side]) -> list[tuple[str, Side, datetime | None]]:
    """What somebody on these sides can do next: (move, as whom, until when)."""
    return [(name, by, getattr(order, until)) for name, by, until in ACTIONS.get(order.state, ()) if by in sides]


REACHED: Mapping[str, str] = {
    "paid": "paid_at",
    "shipped": "shipped_at",
    "received": "received_at",
    "released": "released_at",
    "completed": "completed_at",
}


def has_come_to(order: Order, name: str) -> bool:
    """Whether an order has come that far, or has ended on another way so that it never will."""
    if name == "refunded":
        return order.refunded_whole or order.state in {"completed", "expired"}
    return getattr(order, REACHED[name]) is not None or order.state in {"expired", "cancelled", "refunded"}
