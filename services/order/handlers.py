"""What becomes of an order once it is placed. Pure functions: (rules, aggregates, message, at) -> decision."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, NamedTuple

from chassis.caller import Caller
from chassis.decision import Applied, Ignored, InvalidRequest, NotYet, Said, VersionStale, WrongRole, say
from chassis.grants import Grant
from chassis.moment import Moment
from chassis.policy import STAFF, acts_for, belongs_to, require_party
from contracts.escrow import Held, Refunded, Released
from contracts.money import Money
from contracts.order import (
    DeliveryConfirmed,
    OrderCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    OrderShipped,
    ShippedLine,
)
from services.order import domain
from services.order.commands import (
    Cancel,
    CancelUnshipped,
    Complete,
    Confirm,
    ConfirmSilent,
    Deliver,
    ExpireUnpaid,
    SetTracking,
    Ship,
)
from services.order.domain import Checkout, Order, Relation, Shipment, Side
from services.order.goods import Stock
from services.order.placing import move_goods
from services.order.refusals import TrackingFinal
from services.order.windows import Rules

SCOPE = "orders:write"
ENDED = frozenset({"expired", "cancelled", "refunded"})


class View(NamedTuple):
    """An order as somebody sees it, from the sides they are on."""

    order: Order
    shipments: tuple[Shipment, ...]
    sides: frozenset[Side]


# --- who asks ----------------------------------------------------------------------------------------------------


def sides(order: Order, caller: Caller, seller: Grant | None, partner: Grant | None) -> frozenset[Side]:
    """Every side of the order on which the caller may act: as its buyer, for its seller, for its partner."""
    found: set[Side] = set()
    if caller.person_id == order.buyer:
        found.add("buyer")
    if acts_for(caller, order.seller, seller, STAFF, SCOPE):
        found.add("seller")
    if order.partner_id and acts_for(caller, order.partner_id, partner, STAFF, SCOPE):
        found.add("partner")
    return frozenset(found)


def require_side(
    side: Side, order: Order, caller: Caller, seller: Grant | None, partner: Grant | None, at: Moment
) -> frozenset[Side]:
    """The caller must be on this side of the order; 404 for a stranger, 403 for somebody on another side."""
    found = sides(order, caller, seller, partner)
    if side in found:
        return found
    if found or (order.partner_id and belongs_to(caller, order.partner_id, partner)):
        raise WrongRole
    require_party(caller, order.seller, seller, scope=SCOPE, at=at)
    raise WrongRole


# --- ending ------------------------------------------------------------------------------------------------------


def cancel(
    order: Order,
    _checkout: Checkout,
    siblings: tuple[Order, ...],
    stocks: tuple[Stock, ...],
    shipments: tuple[Shipment, ...],
    seller: Grant | None,
    partner: Grant | None,
    command: Cancel,
    at: Moment,
) -> Applied:
    """Before shipping, buyer and seller can cancel; an unpaid order takes its checkout with it. A seller says why."""
    found = sides(order, command.caller, seller, partner)
    by: Literal["buyer", "seller"] = "buyer" if "buyer" in found else "seller"
    require_side(by, order, command.caller, seller, partner, at)
    if by == "seller" and command.reason_code is None:
        raise InvalidRequest.at("/reason_code", "a seller who breaks a promise says why")
    domain.in_time(order, "cancel", at.now)
    reason = command.reason_code or "buyer_cancelled"
    ended = {each.order_id: domain.cancelled(each, at.now, by, reason) for each in domain.ends_with(order, siblings)}
    changed = _end(list(ended.values()), siblings, stocks, at)
    facts = tuple(_cancelled(each, at.now) for each in ended.values())
    view = View(ended[order.order_id], shipments, found)
    return Applied(changed, facts, reply=view, reason=reason)


def cancel_unshipped(
    order: Order, stocks: tuple[Stock, ...], command: CancelUnshipped, at: Moment
) -> Applied | Ignored:
    """ship_by has passed and nothing has left: the promise is broken, the money goes back."""
    if not domain.is_due(order, "cancel", command.due_at):
        return Ignored(f"order_{order.state}")
    ended = domain.cancelled(order, command.due_at, "deadline", "ship_by_passed")
    return Applied(
        _end([ended], (order,), stocks, at), (_cancelled(ended, command.due_at),), reason="ship_by_passed"
    )  # fmt: skip


def expire_unpaid(order: Order, stocks: tuple[Stock, ...], command: ExpireUnpaid, at: Moment) -> Applied | Ignored:
    """Nobody has paid: the pieces are free again."""
    if not domain.is_due(order, "expire", command.due_at):
        return Ignored(f"order_{order.state}")
    ended = domain.expired(order, command.due_at)
    fact = OrderExpired(order_id=ended.order_id, checkout_id=ended.checkout_id, at=command.due_at)
    return Applied(_end([ended], (order,), stocks, at), (say(fact, *ended.parties),), reason="not_paid")


def _end(ended: Sequence[Order], before: Sequence[Order], stocks: Sequence[Stock], at: Moment) -> tuple[object, ...]:
    """The ended orders, and their pieces back in stock: reserved ones released, sold ones returned."""
    was = {order.order_id: order.state for order in before}
    kind = domain.STOCK_ON_END[was[ended[0].order_id]]
    return (*ended, *move_goods(_shelves(stocks), ended, kind, at))


def _shelves(stocks: Sequence[Stock]) -> Mapping[str, Stock]:
    return {stock.stock_id: stock for stock in stocks}


def _cancelled(order: Order, at: datetime) -> Said:
    fact = OrderCancelled(
        order_id=order.order_id,
        checkout_id=order.checkout_id,
        by=order.ended_by,  # set by domain.cancelled
        reason_code=order.reason_code or "",
        at=at,
    )
    return say(fact, *order.parties)


# --- shipping ----------------------------------------------------------------------------------------------------


def ship(rules: Rules, order: Order, seller: Grant | None, partner: Grant | None, command: Ship, at: Moment) -> Applied:
    """The seller sends the whole order as one parcel."""
    require_side("seller", order, command.caller, seller, partner, at)
    domain.in_time(order, "ship", at.now)
    if command.lines is not None and dict(command.lines) != {line.line_id: line.quantity for line in order.lines}:
        raise InvalidRequest.at("/lines", "one parcel carries the whole order")
    if order.delivery_kind == "express" and command.carrier is None:
        raise InvalidRequest.at("/carrier", "an express parcel has a carrier")
    shipment = Shipment(at.id("shp"), order.order_id, command.carrier, command.tracking, at.now, None, 1)
    order = domain.shipped(order, shipment.shipment_id, at.now, rules)
    fact = OrderShipped(
        order_id=order.order_id,
        shipment_id=shipment.shipment_id,
        lines=tuple(ShippedLine(line_id=line.line_id, quantity=line.quantity) for line in order.lines),
        last=True,
        on_time=order.shipped_on_time,
        confirm_by=order.confirm_by,
    )
    return Applied((order, shipment), (say(fact, *order.parties),), reply=shipment, reason="shipped")


def set_tracking(
    shipment: Shipment, order: Order, seller: Grant | None, partner: Grant | None, command: SetTracking, at: Moment
) -> Applied:
    """A tracking number is said once: a buyer must be able to rely on it."""
    require_side("seller", order, command.caller, seller, partner, at)
    _same_version(shipment, command.version)
    if shipment.tracking is not None:
        raise TrackingFinal
    shipment = replace(shipment, tracking=command.tracking, version=shipment.version + 1)
    return Applied((shipment,), reply=shipment, reason="tracking_set")


def deliver(
    shipment: Shipment, order: Order, seller: Grant | None, partner: Grant | None, command: Deliver, at: Moment
) -> Applied:
    """The seller says that the parcel has arrived. Nothing but the timeline follows: the buyer has not spoken."""
    require_side("seller", order, command.caller, seller, partner, at)
    _same_version(shipment, command.version)
    domain.in_time(order, "deliver", at.now)
    order = domain.move(order, "deliver", at.now, "seller")
    shipment = replace(shipment, delivered_at=at.now, version=shipment.version + 1)
    fact = OrderDelivered(order_id=order.order_id, at=at.now, evidence="seller")
    return Applied((shipment, order), (say(fact, *order.parties),), reply=shipment, reason="delivered")


def _same_version(shipment: Shipment, version: int) -> None:
    if shipment.version != version:
        raise VersionStale


# --- receipt and completion --------------------------------------------------------------------------------------


def confirm(
    rules: Rules,
    order: Order,
    shipments: tuple[Shipment, ...],
    seller: Grant | None,
    partner: Grant | None,
    command: Confirm,
    at: Moment,
) -> Applied:
    """The buyer has the goods: escrow may release. After confirm_by the deadline's receipt stands, not this one."""
    found = require_side("buyer", order, command.caller, seller, partner, at)
    domain.in_time(order, "confirm", at.now)
    order = domain.received(order, at.now, "buyer", rules)
    return Applied(
        (order,), (_confirmed(order, "buyer"),), reply=View(order, shipments, found), reason="confirmed_by_buyer"
    )  # fmt: skip


def confirm_silent(rules: Rules, order: Order, command: ConfirmSilent, _at: Moment) -> Applied | Ignored:
    """The buyer has kept silent until confirm_by: received at that moment, however late this is swept."""
    if not domain.is_due(order, "confirm", command.due_at):
        return Ignored(f"order_{order.state}")
    order = domain.received(order, command.due_at, "deadline", rules)
    return Applied((order,), (_confirmed(order, "deadline"),), reason="confirmed_by_deadline")


def _confirmed(order: Order, by: str) -> Said:
    fact = DeliveryConfirmed.model_validate(
        {
            "order_id": order.order_id,
            "confirmed_by": by,
            "confirmed_at": order.received_at,
            "return_until": order.return_until,
        }
    )
    return say(fact, *order.parties)


def complete(order: Order, relation: Relation | None, command: Complete, _at: Moment) -> Applied | Ignored:
    """The return window is over: what is not given back by now is not given back by return."""
    if not domain.is_due(order, "complete", command.due_at):
        return Ignored(f"order_{order.state}")
    order = domain.completed(order, command.due_at)
    relation = relation or Relation(domain.relation_id(order.buyer, order.seller), order.buyer, order.seller, 0)
    fact = OrderCompleted(
        order_id=order.order_id,
        completed_at=command.due_at,
        net_amount=Money(amount=order.amount - order.refunded_amount, currency=order.currency),
        shipped_on_time=order.shipped_on_time,
        repeat=relation.completed > 0,
    )
    known = replace(relation, completed=relation.completed + 1)
    return Applied((order, known), (say(fact, *order.parties),), reason="completed")


# --- what escrow says --------------------------------------------------------------------------------------------


def held(order: Order, stocks: tuple[Stock, ...], _fact: Held, at: Moment) -> Applied | Ignored:
    """The money is held: the seller's time to ship runs, and the reserved pieces are sold.

    Money for an order that has ended stays escrow's: it hears of the end and gives it back.
    """
    if order.state != "placed":
        return Ignored(f"order_{order.state}")
    order = domain.paid(order, at.now)
    sold = move_goods(_shelves(stocks), (order,), "sell", at)
    fact = OrderPaid(order_id=order.order_id, at=at.now)
    return Applied((order, *sold), (say(fact, *order.parties),), reason="paid")


def released(order: Order, fact: Released, _at: Moment) -> Applied | Ignored:
    """For whoever looks at the order: the money has reached the payees."""
    if order.state == "placed":
        raise NotYet("order_not_paid")
    if order.released_at or order.paid_at is None:
        return Ignored(f"order_{order.state}")
    return Applied((replace(order, released_at=fact.at),), reason="released")


def refunded(order: Order, stocks: tuple[Stock, ...], fact: Refunded, at: Moment) -> Applied | Ignored:
    """Money went back to the buyer; with the last of it an order that was still open ends."""
    if order.state == "placed":
        raise NotYet("order_not_paid")
    amount = min(order.amount, order.refunded_amount + fact.amount.amount)
    changed = replace(order, refunded_amount=amount, refunded_whole=order.refunded_whole or fact.complete)
    if not fact.complete or order.state in ENDED or order.state == "completed":
        return Applied((changed,), reason="refunded")
    changed = domain.move(changed, "refund", at.now, "escrow", ended_by="ruling", reason_code="refunded")
    back = move_goods(_shelves(stocks), (changed,), "return", at) if order.state == "paid" else ()
    return Applied((changed, *back), reason="refunded_whole")
