"""The order service's operations: parse, then the desk or a read; no rules here."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from joserfc.jwk import OKPKey

from chassis import problems, signed, web
from chassis.caller import Caller
from chassis.db import Database
from chassis.decision import NotFound, Unauthenticated, WrongRole
from chassis.policy import require_person
from chassis.web import AskAgain, AskOnce, CallerOf, IfMatch, Limit, Page, StartingAfter, page, version_in, who
from contracts.ids import MerchantId, OfferId, OrderId, ProductId, SellerId, ShipmentId, TribeId
from contracts.money import Money
from services.order import domain, store
from services.order.commands import (
    Cancel,
    CheckOut,
    Confirm,
    CreateProduct,
    Deliver,
    MoveStock,
    NewVariant,
    PublishOffer,
    Recipient,
    SetTracking,
    Ship,
    UpdateProduct,
    Wanted,
    WithdrawOffer,
)
from services.order.domain import Order, OrderState, Shipment
from services.order.goods import Partnership, Product, ProductState, Stock
from services.order.handlers import View
from services.order.refusals import RailExceeded
from services.order.schemas import (
    CheckoutIn,
    CheckoutOut,
    DeliveredIn,
    OfferIn,
    OfferOut,
    OrderMoveIn,
    OrderOut,
    ProductIn,
    ProductOut,
    ProductPatch,
    ShipmentIn,
    ShipmentOut,
    StockMovementIn,
    StockOut,
    TrackingIn,
)
from services.order.split import shares_of

router = web.router()
WAIT_SECONDS = 10.0
READ_SCOPES = frozenset({"orders:read", "orders:write"})
GUARDED = problems.documented(412, 428)

As = Annotated[Literal["buyer", "seller"], Query(alias="as", description="on which side of the orders you stand")]
WaitFor = Literal["paid", "shipped", "received", "released", "completed", "refunded"]


class OrderMove(StrEnum):
    cancel = "cancel"
    confirm = "confirm"


def _database(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


# --- products and stock ------------------------------------------------------------------------------------------


@router.post(
    "/products",
    operation_id="create_product",
    status_code=201,
    response_model=ProductOut,
    openapi_extra=who("merchant"),
)
async def create_product(body: ProductIn, ask: AskOnce) -> Response:
    """Describe a product of a merchant of yours. Nobody else sees a draft."""
    command = CreateProduct(
        ask.caller,
        body.merchant_id,
        body.name,
        body.description,
        tuple(NewVariant(each.name, each.stock) for each in body.variants),
        body.delivery_kind,
        body.return_policy.days,
        body.return_policy.excluded,
        body.ship_by_hours,
        body.state,
    )
    return await ask(command, body, etag=True)


@router.get("/products", operation_id="list_product", openapi_extra=who("any"))
async def list_product(
    request: Request,
    caller: CallerOf,
    merchant_id: MerchantId | None = None,
    state: ProductState | None = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[ProductOut]:
    """Products that are published, and all of your own merchants', newest first."""
    rows = await store.many_products.rows(
        _database(request),
        merchant_id=merchant_id,
        state=state,
        after=starting_after,
        limit=limit + 1,
        **_reader(caller),
    )
    products = [store.PRODUCTS.codec.decode(tuple(row)) for row in rows]
    seen = await _with_stocks(request, caller, products)
    return page(seen, limit, lambda each: each)


@router.get("/products/{product_id}", operation_id="get_product", openapi_extra=who("any"))
async def get_product(product_id: ProductId, request: Request, response: Response, caller: CallerOf) -> ProductOut:
    """A product; its ETag is what a change of it must name."""
    row = await store.one_product.row(_database(request), product_id=product_id, **_reader(caller))
    if row is None:
        raise NotFound
    product: Product = store.PRODUCTS.codec.decode(tuple(row))
    response.headers["etag"] = web.etag_of(product.version)
    return (await _with_stocks(request, caller, [product]))[0]


@router.patch(
    "/products/{product_id}",
    operation_id="update_product",
    response_model=ProductOut,
    responses=GUARDED,
    openapi_extra=who("merchant"),
)
async def update_product(product_id: ProductId, body: ProductPatch, ask: AskAgain, if_match: IfMatch) -> Response:
    """Change what the product promises from now on, publish it, or take it off sale."""
    policy = body.return_policy
    command = UpdateProduct(
        ask.caller,
        product_id,
        version_in(if_match),
        body.name,
        body.description,
        policy.days if policy else None,
        policy.excluded if policy else None,
        body.ship_by_hours,
        body.state,
    )
    return await ask(command, body, etag=True)


@router.post(
    "/stock-movements",
    operation_id="create_stock_movement",
    status_code=201,
    response_model=StockOut,
    openapi_extra=who("seller"),
)
async def create_stock_movement(body: StockMovementIn, ask: AskOnce) -> Response:
    """Add pieces to a stock, or take some away; the answer is what there is now."""
    return await ask(MoveStock(ask.caller, body.variant_id, body.seller, body.delta, body.reason_code), body)


async def _with_stocks(request: Request, caller: Caller, products: Sequence[Product]) -> list[ProductOut]:
    ids = [product.product_id for product in products]
    pool = _database(request).pool
    rows = await pool.fetch(store.stocks_of_products, ids, caller.person_id, caller.party_id)
    stocks: list[Stock] = [store.STOCKS.codec.decode(row[:-1]) for row in rows]
    own = {stock.stock_id for stock, row in zip(stocks, rows, strict=True) if row["own"]}
    return [
        ProductOut.seen(product, [each for each in stocks if each.product_id == product.product_id], own)
        for product in products
    ]


# --- offers ------------------------------------------------------------------------------------------------------


@router.post(
    "/offers", operation_id="create_offer", status_code=201, response_model=OfferOut, openapi_extra=who("seller")
)
async def create_offer(body: OfferIn, ask: AskOnce) -> Response:
    """Put a published product up for sale, in the seller's name: the merchant's, or a partner's for its own stock."""
    price = Money(amount=body.price.amount, currency=body.price.currency)
    command = PublishOffer(
        ask.caller, body.product_id, body.seller, body.partnership_id, body.tribe_id, price, body.angel_bps
    )
    return await ask(command, body)


@router.get("/offers", operation_id="list_offer", openapi_extra=who("any"))
async def list_offer(
    request: Request,
    caller: CallerOf,
    product_id: ProductId | None = None,
    seller: SellerId | None = None,
    tribe_id: TribeId | None = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[OfferOut]:
    """Offers that stand, and withdrawn ones of your own, newest first."""
    rows = await store.many_offers.rows(
        _database(request),
        product_id=product_id,
        seller=seller,
        tribe_id=tribe_id,
        after=starting_after,
        limit=limit + 1,
        **_reader(caller),
    )
    now = await request.app.state.service.now() if rows else None
    return page(rows, limit, lambda row: _offer(request, row, now))


@router.get("/offers/{offer_id}", operation_id="get_offer", openapi_extra=who("any"))
async def get_offer(offer_id: OfferId, request: Request) -> OfferOut:
    """An offer, and the split that an order by it would have now."""
    row = await store.one_offer.row(_database(request), offer_id=offer_id)
    if row is None:
        raise NotFound
    return _offer(request, row, await request.app.state.service.now())


@router.delete("/offers/{offer_id}", operation_id="delete_offer", status_code=204, openapi_extra=who("seller"))
async def delete_offer(offer_id: OfferId, ask: AskAgain) -> Response:
    """Withdraw an offer. Orders placed by it stand."""
    return await ask(WithdrawOffer(ask.caller, offer_id))


def _offer(request: Request, row: Any, now: Any) -> OfferOut:
    width = len(store.OFFERS.codec.fields)
    offer = store.OFFERS.codec.decode(row[:width])
    partnership: Partnership | None = (
        store.PARTNERSHIPS.codec.decode(row[width:]) if row[width] is not None else None
    )  # fmt: skip
    try:
        shares = shares_of(offer, partnership.service_bps(now) if partnership else 0, request.app.state.rules)
    except RailExceeded:
        return OfferOut.of((offer, None))
    return OfferOut.of((offer, shares))


# --- checkouts and orders ----------------------------------------------------------------------------------------


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


@router.get("/orders", operation_id="list_order", openapi_extra=who("buyer", "seller", "partner"))
async def list_order(
    request: Request,
    caller: CallerOf,
    as_: As = "buyer",
    state: OrderState | None = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[OrderOut]:
    """Your orders, newest first: what you bought, or what the parties you act for sold or served."""
    _require_reader(caller)
    filters = {"state": state, "after": starting_after, "limit": limit + 1}
    if as_ == "buyer":
        rows = await store.orders_of_buyer.rows(_database(request), person_id=require_person(caller), **filters)
    else:
        rows = await store.orders_of_seller.rows(_database(request), **_reader(caller), **filters)
    orders: list[Order] = [store.ORDERS.codec.decode(tuple(row)) for row in rows]
    views = await _views(request, caller, orders, as_)
    return page(views, limit, OrderOut.of)


@router.get("/orders/{order_id}", operation_id="get_order", openapi_extra=who("buyer", "seller", "partner"))
async def get_order(order_id: OrderId, request: Request, caller: CallerOf, wait: WaitFor | None = None) -> OrderOut:
    """An order of yours. With `wait`, as soon as it has come that far or ended otherwise, after 10 s at the latest."""
    _require_reader(caller)
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
    row = await store.one_order.read(_database(request), key)
    if row is None:
        raise NotFound
    width = len(store.ORDERS.codec.fields) + 1
    order: Order = store.ORDERS.codec.decode(row[1:width])
    sides = frozenset(side for side, seen in zip(store.SEEN_AS, row[width:], strict=True) if seen)
    shipments = await _shipments(request, [order])
    return View(order, tuple(shipments), sides)  # type: ignore[arg-type]  # SEEN_AS are the sides


async def _views(request: Request, caller: Caller, orders: Sequence[Order], as_: str) -> list[View]:
    """Orders of a list, each with the reader's sides and its shipments."""
    rows = await store.own_parties.rows(_database(request), person_id=caller.person_id) if as_ == "seller" else []
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
    rows = await _database(request).pool.fetch(store.shipments_of_orders, ids)
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


# --- readers -----------------------------------------------------------------------------------------------------


def _reader(caller: Caller) -> dict[str, Any]:
    return {"person_id": caller.person_id, "party_id": caller.party_id}


def _require_reader(caller: Caller) -> None:
    """Orders are read by people, and by keys that may."""
    if caller.party_id is not None:
        if not caller.scopes & READ_SCOPES:
            raise WrongRole
    elif caller.person_id is None:
        raise Unauthenticated
