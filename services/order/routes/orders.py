"""Checkouts, orders and shipments: for buyers, sellers and the partners who brought them together."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from joserfc.jwk import OKPKey

from chassis import signed
from chassis.caller import Caller
from chassis.decision import NotFound
from chassis.policy import require_person, require_reader
from chassis.web import AskAgain, AskOnce, CallerOf, IfMatch, Limit, Page, StartingAfter, page, version_in, who
from contracts.ids import OrderId, ShipmentId
from services.order import domain, store
from services.order.commands import Cancel, CheckOut, Confirm, Deliver, Recipient, SetTracking, Ship, Wanted
from services.order.domain import Order, OrderState, Shipment
from services.order.handlers import View
from services.order.routes.readers import GUARDED, database_of, reader_of
from services.order.schemas.orders import (
    CheckoutIn,
    CheckoutOut,
    DeliveredIn,
    OrderMoveIn,
    OrderOut,
    ShipmentIn,
    ShipmentOut,
    TrackingIn,
)

router = APIRouter()
WAIT_SECONDS = 9
"""Shorter than the ten seconds after which many clients hang up."""

As = Annotated[Literal["buyer", "seller"], Query(alias="as", description="on which side of the orders you stand")]
WaitFor = Literal["paid", "shipped", "received", "released", "completed", "refunded"]


class OrderMove(StrEnum):
    cancel = "cancel"
    confirm = "confirm"


@router.post(
    "/checkouts",
    operation_id="create_checkout",
    status_code=201,
    response_model=CheckoutOut,
    openapi_extra=who("person"),
)
async def create_checkout(body: CheckoutIn, ask: AskOnce, request: Request) -> Response:
    """Buy: everything is reserved until `pay_by`, or nothing is."""
    command = CheckOut(
        ask.caller,
        tuple(Wanted(each.offer_id, each.variant_id, each.quantity) for each in body.lines),
        _recipient(request.app.state.recipient_key, body.recipient_token),
        body.touch_token,
        body.content_id,
        body.expected_total,
    )
    return await ask(command, body)


def _recipient(key: OKPKey, token: str | None) -> Recipient | None:
    """The recipient that the gateway signed; None for what it did not. Whose it is, the decision asks."""
    if token is None:
        return None
    try:
        claims = signed.read(key, "recipient", token)
    except signed.NotSigned:
        return None
    return Recipient(claims["recipient_id"], claims["person_id"], claims["region_code"])


@router.get("/orders", operation_id="list_orders", openapi_extra=who("buyer", "seller", "partner"))
async def list_order(
    request: Request,
    caller: CallerOf,
    as_: As = "buyer",
    state: OrderState | None = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[OrderOut]:
    """Your orders, newest first: what you bought, or what the parties you act for sold or served."""
    require_reader(caller, "orders")
    filters = {"state": state, "after": starting_after, "limit": limit + 1}
    if as_ == "buyer":
        rows = await store.orders_of_buyer.rows(database_of(request), person_id=require_person(caller), **filters)
    else:
        rows = await store.orders_of_seller.rows(database_of(request), **reader_of(caller, "orders"), **filters)
    orders: list[Order] = [store.ORDERS.codec.decode(tuple(row)) for row in rows]
    views = await _views(request, caller, orders, as_)
    return page(views, limit, OrderOut.of)


@router.get("/orders/{order_id}", operation_id="get_order", openapi_extra=who("buyer", "seller", "partner"))
async def get_order(order_id: OrderId, request: Request, caller: CallerOf, wait: WaitFor | None = None) -> OrderOut:
    """An order of yours. With `wait`, as soon as it has come that far or ended otherwise, after 9 s at the latest."""
    require_reader(caller, "orders")
    if wait is None:
        return OrderOut.of(await _view(request, caller, order_id))
    desk = request.app.state.service.desk
    view = await desk.until(
        Order,
        order_id,
        lambda: _view(request, caller, order_id),
        lambda seen: domain.has_come_to(seen.order, wait),
        WAIT_SECONDS,
    )
    return OrderOut.of(view)


async def _view(request: Request, caller: Caller, order_id: str) -> View:
    key = f"{order_id}|{caller.person_id or ''}|{caller.party_id or ''}"
    row = await store.one_order.read(database_of(request), key)
    if row is None:
        raise NotFound
    width = len(store.ORDERS.codec.fields) + 1
    order: Order = store.ORDERS.codec.decode(row[1:width])
    sides = frozenset(side for side, seen in zip(store.SEEN_AS, row[width:], strict=True) if seen)
    shipments = await _shipments(request, [order])
    return View(order, tuple(shipments), sides)  # type: ignore[arg-type]  # SEEN_AS are the sides


async def _views(request: Request, caller: Caller, orders: Sequence[Order], as_: str) -> list[View]:
    """Orders of a list, each with the reader's sides and its shipments."""
    rows = await store.staffed_parties.rows(database_of(request), person_id=caller.person_id) if as_ == "seller" else []
    own = {row[0] for row in rows} | {caller.party_id}
    shipments = await _shipments(request, orders)
    views = []
    for order in orders:
        sides = {("buyer", order.buyer == caller.person_id), ("seller", order.seller in own)}
        sides.add(("partner", order.partner_id is not None and order.partner_id in own))
        parcels = tuple(each for each in shipments if each.order_id == order.order_id)
        views.append(View(order, parcels, frozenset(side for side, there in sides if there)))  # type: ignore[misc]
    return views


async def _shipments(request: Request, orders: Sequence[Order]) -> list[Shipment]:
    ids = [order.order_id for order in orders if order.shipment_ids]
    if not ids:
        return []
    rows = await database_of(request).pool.fetch(store.shipments_of_orders, ids)
    return [store.SHIPMENTS.codec.decode(tuple(row)) for row in rows]


# --- shipments ---------------------------------------------------------------------------------------------------


@router.post(
    "/orders/{order_id}/shipments",
    operation_id="create_shipment",
    status_code=201,
    response_model=ShipmentOut,
    openapi_extra=who("seller"),
)
async def create_shipment(order_id: OrderId, body: ShipmentIn, ask: AskOnce) -> Response:
    """The goods have left: the buyer's time to confirm runs."""
    lines = tuple((each.line_id, each.quantity) for each in body.lines) if body.lines is not None else None
    return await ask(Ship(ask.caller, order_id, lines, body.carrier, body.tracking), body, etag=True)


@router.patch(
    "/shipments/{shipment_id}",
    operation_id="update_shipment",
    response_model=ShipmentOut,
    responses=GUARDED,
    openapi_extra=who("seller"),
)
async def update_shipment(
    shipment_id: ShipmentId, body: TrackingIn | DeliveredIn, ask: AskAgain, if_match: IfMatch
) -> Response:
    """Say the tracking number, once; or say that it has arrived."""
    version = version_in(if_match)
    if isinstance(body, TrackingIn):
        return await ask(SetTracking(ask.caller, shipment_id, version, body.tracking), body, etag=True)
    return await ask(Deliver(ask.caller, shipment_id, version), body, etag=True)


# --- moves -------------------------------------------------------------------------------------------------------


# After `shipments`, which is no move: the first path that fits is taken.
@router.post(
    "/orders/{order_id}/{move}",
    operation_id="move_order",
    response_model=OrderOut,
    openapi_extra=who("buyer", "seller"),
)
async def move_order(order_id: OrderId, move: OrderMove, body: OrderMoveIn, ask: AskOnce) -> Response:
    """`confirm` that you have the goods: the seller is paid. `cancel` before they are sent: your money goes back."""
    if move is OrderMove.confirm:
        return await ask(Confirm(ask.caller, order_id), body)
    return await ask(Cancel(ask.caller, order_id, body.reason_code), body)
