"""The order service, assembled: who hears what, who is asked what. Read this first."""

import json
from functools import partial

from joserfc.jwk import OKPKey

from chassis import clock, grants
from chassis.bus.base import Bus
from chassis.caller import Command
from chassis.db import Database
from chassis.grants import caller_grant
from chassis.service import Service
from chassis.settings import ChassisSettings
from chassis.touches import Handler, ask, hear, many, maybe, one
from contracts.escrow import Held, Refunded, Released
from contracts.fact import Fact
from contracts.partner import (
    MerchantChanged,
    MerchantOpened,
    PartnershipActivated,
    PartnershipAmended,
    PartnershipEnded,
    PartnershipSuspended,
)
from contracts.tribe import ContentPublished, ContentWithdrawn
from services.order import commands, domain, handlers, listing, placing, projections, routes, store
from services.order.deadlines import DUE
from services.order.domain import Checkout, Order, Relation, Shipment
from services.order.goods import Content, Merchant, Offer, Partnership, Product, Stock, stock_key
from services.order.refusals import SoldOut
from services.order.schemas.goods import OfferOut, ProductOut, StockOut
from services.order.schemas.orders import CheckoutOut, OrderOut, ShipmentOut
from services.order.settings import OrderSettings
from services.order.windows import Rules

ORDER = one(Order, "order_id")
STOCKS = many(Stock, lambda _, order, *__: tuple(dict.fromkeys(line.stock_id for line in order.lines)), after=True)
SELLER = caller_grant(lambda _, order, *__: order.seller)
PARTNER = caller_grant(lambda _, order, *__: order.partner_id)
SHIPMENTS = many(Shipment, lambda _, order, *__: order.shipment_ids, after=True)
PARCEL = (
    one(Shipment, "shipment_id"),
    one(Order, lambda _, shipment: shipment.order_id, after=True),
    caller_grant(lambda _, _shipment, order: order.seller),
    caller_grant(lambda _, _shipment, order, _seller: order.partner_id),
)

MERCHANT = maybe(Merchant, "merchant_id")
PARTNERSHIP = maybe(Partnership, "partnership_id")
CONTENT = maybe(Content, "content_id")

HEARS: dict[type[Fact], Handler] = {
    **clock.HEARS,
    **grants.HEARS_STAFF,
    **grants.HEARS_ROLES,
    MerchantOpened: hear(projections.know_merchant, MERCHANT),
    MerchantChanged: hear(projections.know_merchant, MERCHANT),
    PartnershipActivated: hear(projections.know_partnership, PARTNERSHIP),
    PartnershipAmended: hear(projections.know_partnership, PARTNERSHIP),
    PartnershipSuspended: hear(projections.know_partnership, PARTNERSHIP),
    PartnershipEnded: hear(projections.know_partnership, PARTNERSHIP),
    ContentPublished: hear(projections.know_content, CONTENT),
    ContentWithdrawn: hear(projections.know_content, CONTENT),
    Held: hear(handlers.held, ORDER, STOCKS),
    Released: hear(handlers.released, ORDER),
    Refunded: hear(handlers.refunded, ORDER, STOCKS),
}


def asked(rules: Rules) -> dict[type[Command], Handler]:
    """Commands and deadlines; `rules` are the numbers they are decided by."""
    return {**_of_sellers(rules), **_of_orders(rules), **_of_deadlines(rules)}


def _of_sellers(rules: Rules) -> dict[type[Command], Handler]:
    return {
        commands.CreateProduct: ask(
            partial(listing.create_product, rules), caller_grant("merchant_id"), reply=ProductOut.of
        ),
        commands.UpdateProduct: ask(
            listing.update_product,
            one(Product, "product_id"),
            many(Stock, lambda _, product: tuple(each.variant_id for each in product.variants), after=True),
            caller_grant(lambda _, product, _stocks: product.merchant_id),
            reply=ProductOut.of,
        ),
        commands.MoveStock: ask(
            listing.move_stock,
            one(Stock, "variant_id"),
            maybe(Stock, lambda c, own: stock_key(own.variant_id, c.seller or own.seller, own.seller), after=True),
            caller_grant(lambda c, own, _stock: c.seller or own.seller),
            reply=StockOut.of,
        ),
        commands.PublishOffer: ask(
            partial(listing.publish_offer, rules),
            one(Product, "product_id"),
            maybe(Merchant, lambda _, product: product.merchant_id, after=True),
            PARTNERSHIP,
            caller_grant("seller"),
            reply=OfferOut.of,
        ),
        commands.WithdrawOffer: ask(
            listing.withdraw_offer, one(Offer, "offer_id"), caller_grant(lambda _, offer: offer.seller)
        ),
    }


def _of_orders(rules: Rules) -> dict[type[Command], Handler]:
    return {
        commands.CheckOut: ask(
            partial(placing.check_out, rules),
            many(Offer, "offer_ids"),
            many(Product, placing.product_ids, after=True),
            many(Stock, placing.stock_ids, missing=SoldOut, after=True),
            maybe(Merchant, lambda _, offers, *__: offers[0].merchant_id, after=True),
            maybe(Partnership, lambda _, offers, *__: offers[0].partnership_id, after=True),
            CONTENT,
            reply=CheckoutOut.of,
        ),
        commands.Cancel: ask(
            handlers.cancel,
            ORDER,
            one(Checkout, lambda _, order: order.checkout_id, after=True),
            many(Order, lambda _, _order, checkout: checkout.order_ids, after=True),
            many(
                Stock,
                lambda _, _order, _checkout, orders: tuple(
                    dict.fromkeys(line.stock_id for each in orders for line in each.lines)
                ),
                after=True,
            ),
            SHIPMENTS,
            SELLER,
            PARTNER,
            reply=OrderOut.of,
        ),
        commands.Confirm: ask(partial(handlers.confirm, rules), ORDER, SHIPMENTS, SELLER, PARTNER, reply=OrderOut.of),
        commands.Ship: ask(partial(handlers.ship, rules), ORDER, SELLER, PARTNER, reply=ShipmentOut.of),
        commands.SetTracking: ask(handlers.set_tracking, *PARCEL, reply=ShipmentOut.of),
        commands.Deliver: ask(handlers.deliver, *PARCEL, reply=ShipmentOut.of),
    }


def _of_deadlines(rules: Rules) -> dict[type[Command], Handler]:
    return {
        commands.ExpireUnpaid: ask(handlers.expire_unpaid, ORDER, STOCKS),
        commands.CancelUnshipped: ask(handlers.cancel_unshipped, ORDER, STOCKS),
        commands.ConfirmSilent: ask(partial(handlers.confirm_silent, rules), ORDER),
        commands.Complete: ask(
            handlers.complete,
            ORDER,
            maybe(Relation, lambda _, order: domain.relation_id(order.buyer, order.seller), after=True),
        ),
    }


def build(*, database: Database, bus: Bus, chassis: ChassisSettings, settings: OrderSettings | None = None) -> Service:
    """The order service on its own database."""
    rules = (settings or OrderSettings()).rules(chassis.timezone)
    return Service(
        "order",
        stores=store.STORES,
        hears=HEARS,
        asked=asked(rules),
        router=routes.router,
        database=database,
        bus=bus,
        settings=chassis,
        deadlines=DUE,
        state={"rules": rules, "recipient_key": OKPKey.import_key(json.loads(chassis.internal_key.get_secret_value()))},
    )
