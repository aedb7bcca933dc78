"""Checkouts, orders and shipments, as the API takes and gives them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from chassis.web import In, Out
from contracts.fact import ReasonCode, Token
from contracts.ids import ContentId, LineId, OfferId, VariantId
from contracts.money import Money, Quantity
from services.order import domain
from services.order.domain import EscrowState, Line, Order, OrderState, Shipment, Side
from services.order.goods import DeliveryKind
from services.order.schemas.goods import ShareOut
from services.order.split import planned

Tracking = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9-]{4,64}$")]
Carrier = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,31}$")]
RecipientToken = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-.]{1,2048}$")]


class CheckoutLineIn(In):
    offer_id: OfferId
    quantity: Quantity
    variant_id: VariantId | None = Field(None, description="needed where the product has several")


class CheckoutIn(In):
    """`expected_total` is what you were shown: if it costs something else by now, nothing is placed."""

    lines: Annotated[list[CheckoutLineIn], Field(min_length=1, max_length=50)]
    recipient_token: RecipientToken | None = Field(None, description="needed unless everything is virtual")
    touch_token: Token | None = None
    content_id: ContentId | None = None
    expected_total: Money


class PlacedOut(Out):
    id: str
    seller: str
    state: OrderState
    amount: Money


class CheckoutOut(Out):
    id: str
    amount: Money
    pay_by: datetime
    orders: list[PlacedOut]

    @classmethod
    def of(cls, known: tuple[domain.Checkout, Sequence[Order]]) -> "CheckoutOut":
        checkout, orders = known
        return cls(
            id=checkout.checkout_id,
            amount=Money(amount=checkout.amount, currency=checkout.currency),
            pay_by=checkout.pay_by,
            orders=[
                PlacedOut(id=each.order_id, seller=each.seller, state=each.state, amount=_money(each, each.amount))
                for each in orders
            ],
        )


class OrderMoveIn(In):
    reason_code: ReasonCode | None = Field(None, description="a seller who cancels says why")


class LineOut(Out):
    id: str
    offer_id: str
    product_id: str
    variant_id: str
    name: str
    quantity: int
    price: Money
    amount: Money


class PlannedShareOut(ShareOut):
    amount: Money


class LineTermsOut(Out):
    line_id: str
    shares: list[PlannedShareOut]


class StepOut(Out):
    state: OrderState
    at: datetime
    by: Literal["buyer", "seller", "deadline", "escrow"]


class DeadlinesOut(Out):
    """What happens by itself, and when; null while its time does not run."""

    pay_by: datetime
    expire_at: datetime
    ship_by: datetime | None
    confirm_by: datetime | None
    return_until: datetime | None


class ShipmentOut(Out):
    id: str
    order_id: str
    carrier: str | None
    tracking: str | None
    shipped_at: datetime
    delivered_at: datetime | None
    version: int

    @classmethod
    def of(cls, shipment: Shipment) -> "ShipmentOut":
        return cls(
            id=shipment.shipment_id,
            order_id=shipment.order_id,
            carrier=shipment.carrier,
            tracking=shipment.tracking,
            shipped_at=shipment.shipped_at,
            delivered_at=shipment.delivered_at,
            version=shipment.version,
        )


class ActionOut(Out):
    """A move that you can make, as whom, and until when."""

    move: str
    by: Side
    until: datetime | None


class OrderOut(Out):
    """An order as one reader sees it: a buyer sees the roles that share in it, not who they are."""

    id: str
    checkout_id: str
    buyer: str | None
    seller: str
    merchant_id: str
    partner_id: str | None
    partnership_id: str | None
    tribe_id: str | None
    content_id: str | None
    state: OrderState
    escrow_state: EscrowState
    delivery_kind: DeliveryKind
    recipient_id: str | None
    region_code: str | None
    amount: Money
    refunded: Money
    lines: list[LineOut]
    terms: list[LineTermsOut]
    timeline: list[StepOut]
    shipments: list[ShipmentOut]
    deadlines: DeadlinesOut
    placed_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    received_at: datetime | None
    confirmed_by: str | None
    completed_at: datetime | None
    reason_code: str | None
    next_actions: list[ActionOut]

    @classmethod
    def of(cls, view: tuple[Order, Sequence[Shipment], frozenset[Side]]) -> "OrderOut":
        order, shipments, sides = view
        return cls.model_validate(
            {
                **_plain(order),
                "id": order.order_id,
                "buyer": order.buyer if "buyer" in sides else None,
                "recipient_id": order.recipient_id if _is_to_ship(order, sides) else None,
                "escrow_state": order.escrow_state,
                "amount": _money(order, order.amount),
                "refunded": _money(order, order.refunded_amount),
                "lines": [_line(order, line) for line in order.lines],
                "terms": _terms(order, sides),
                "timeline": [StepOut(state=step.state, at=step.at, by=step.by) for step in order.timeline],
                "shipments": [ShipmentOut.of(each) for each in shipments],
                "deadlines": {name: getattr(order, name) for name in DeadlinesOut.model_fields},
                "next_actions": [
                    ActionOut(move=move, by=by, until=until) for move, by, until in domain.actions(order, sides)
                ],
            }
        )


def _is_to_ship(order: Order, sides: frozenset[Side]) -> bool:
    """Whoever reads the recipient's id here may be shown where that is: the seller, while the order is under way."""
    return "seller" in sides and order.state in {"paid", "shipped", "delivered"}


_PLAIN = tuple(name for name in OrderOut.model_fields if name in Order.__dataclass_fields__)


def _plain(order: Order) -> Mapping[str, Any]:
    return {name: getattr(order, name) for name in _PLAIN}


def _money(order: Order, amount: int) -> Money:
    return Money(amount=amount, currency=order.currency)


def _line(order: Order, line: Line) -> LineOut:
    return LineOut(
        id=line.line_id,
        offer_id=line.offer_id,
        product_id=line.product_id,
        variant_id=line.variant_id,
        name=line.name,
        quantity=line.quantity,
        price=_money(order, line.price),
        amount=_money(order, line.amount),
    )


def _terms(order: Order, sides: frozenset[Side]) -> list[LineTermsOut]:
    """The planned split of each line. Who is paid is the business of those who are: a buyer sees the roles."""
    amounts = {line.line_id: line.amount for line in order.lines}
    known = bool(sides - {"buyer"})
    return [
        LineTermsOut(
            line_id=terms.line_id,
            shares=[
                PlannedShareOut(
                    role=share.role,
                    payee=share.payee if known or share.role in {"seller", "platform"} else None,
                    bps=share.bps,
                    matures=share.matures,
                    amount=_money(order, amount),
                )
                for share, amount in zip(terms.shares, planned(amounts[terms.line_id], terms.shares), strict=True)
            ],
        )
        for terms in order.terms.lines
    ]


class ParcelLineIn(In):
    line_id: LineId
    quantity: Quantity


class ShipmentIn(In):
    """Without `lines`, the whole order; for now one parcel carries it."""

    lines: Annotated[list[ParcelLineIn], Field(min_length=1, max_length=50)] | None = None
    carrier: Carrier | None = Field(None, description="needed for express")
    tracking: Tracking | None = None


class TrackingIn(In):
    tracking: Tracking


class DeliveredIn(In):
    delivered: Literal[True]
