"""Products, stock and offers: for sellers to manage, for everybody to see."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from chassis import web
from chassis.caller import Caller
from chassis.decision import NotFound
from chassis.web import AskAgain, AskOnce, CallerOf, IfMatch, Limit, Page, StartingAfter, page, version_in, who
from contracts.ids import MerchantId, OfferId, ProductId, SellerId, TribeId
from contracts.money import Money
from services.order import store
from services.order.commands import CreateProduct, MoveStock, NewVariant, PublishOffer, UpdateProduct, WithdrawOffer
from services.order.goods import Partnership, Product, ProductState, Stock
from services.order.refusals import RailExceeded
from services.order.routes.readers import GUARDED, database_of, reader_of
from services.order.schemas.goods import (
    OfferIn,
    OfferOut,
    ProductIn,
    ProductOut,
    ProductPatch,
    StockMovementIn,
    StockOut,
)
from services.order.split import shares_of

router = APIRouter()


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


@router.get("/products", operation_id="list_products", openapi_extra=who("any"))
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
        database_of(request),
        merchant_id=merchant_id,
        state=state,
        after=starting_after,
        limit=limit + 1,
        **reader_of(caller, "products"),
    )
    products = [store.PRODUCTS.codec.decode(tuple(row)) for row in rows]
    seen = await _with_stocks(request, caller, products)
    return page(seen, limit, lambda each: each)


@router.get("/products/{product_id}", operation_id="get_product", openapi_extra=who("any"))
async def get_product(product_id: ProductId, request: Request, response: Response, caller: CallerOf) -> ProductOut:
    """A product; its ETag is what a change of it must name."""
    row = await store.one_product.row(database_of(request), product_id=product_id, **reader_of(caller, "products"))
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
    pool = database_of(request).pool
    rows = await pool.fetch(store.stocks_of_products, ids, *reader_of(caller, "products").values())
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


@router.get("/offers", operation_id="list_offers", openapi_extra=who("any"))
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
        database_of(request),
        product_id=product_id,
        seller=seller,
        tribe_id=tribe_id,
        after=starting_after,
        limit=limit + 1,
        **reader_of(caller, "products"),
    )
    now = await request.app.state.service.now() if rows else None
    return page(rows, limit, lambda row: _offer(request, row, now))


@router.get("/offers/{offer_id}", operation_id="get_offer", openapi_extra=who("any"))
async def get_offer(offer_id: OfferId, request: Request) -> OfferOut:
    """An offer, and the split that an order by it would have now."""
    row = await store.one_offer.row(database_of(request), offer_id=offer_id)
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
