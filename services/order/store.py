"""The order service's tables and its reads. The save and the load of aggregates are generated from STORES."""

from typing import Any

from sqlalchemy import Column, ColumnElement, Index, Integer, MetaData, Text, bindparam, or_, select

from chassis import clock, grants, mailbox
from chassis.db import Query, Window
from chassis.policy import STAFF
from chassis.store import Appended, Keyed
from services.order.deadlines import DUE
from services.order.domain import Checkout, Order, Relation, Shipment
from services.order.goods import Content, Merchant, Offer, Partnership, Product, Stock, StockMovement

METADATA = MetaData()
mailbox.install(METADATA)

MERCHANTS = Keyed(Merchant, "merchants", "merchant_id", METADATA)
PARTNERSHIPS = Keyed(Partnership, "partnerships", "partnership_id", METADATA, pinned=("merchant_id", "partner_id"))
CONTENTS = Keyed(Content, "contents", "content_id", METADATA)
PRODUCTS = Keyed(
    Product, "products", "product_id", METADATA,
    pinned=("merchant_id", "variants", "delivery_kind"), indexes=(("merchant_id",),),
)  # fmt: skip
STOCKS = Keyed(
    Stock, "stocks", "stock_id", METADATA,
    pinned=("variant_id", "product_id", "seller"), indexes=(("product_id",),),
    checks=("available >= 0", "reserved >= 0", "sold >= 0"),
)  # fmt: skip
OFFERS = Keyed(
    Offer, "offers", "offer_id", METADATA,
    pinned=(
        "product_id", "merchant_id", "seller", "partnership_id", "partner_id", "tribe_id", "price", "currency",
        "angel_bps",
    ),
    indexes=(("product_id",), ("seller",)), checks=("price > 0", "angel_bps BETWEEN 0 AND 10000"),
)  # fmt: skip
CHECKOUTS = Keyed(
    Checkout, "checkouts", "checkout_id", METADATA,
    pinned=("buyer", "order_ids", "amount", "currency", "pay_by", "placed_at"),
)  # fmt: skip
ORDERS = Keyed(
    Order, "orders", "order_id", METADATA,
    pinned=(
        "checkout_id", "buyer", "seller", "merchant_id", "partner_id", "partnership_id", "tribe_id", "content_id",
        "delivery_kind", "recipient_id", "region_code", "amount", "currency", "lines", "terms", "placed_at", "pay_by",
        "expire_at",
    ),
    indexes=(("buyer", "order_id"), ("seller", "order_id"), ("partner_id", "order_id")),
    checks=("amount > 0", "refunded_amount BETWEEN 0 AND amount"),
    partial=tuple((due.column, due.condition) for due in DUE),
)  # fmt: skip
SHIPMENTS = Keyed(
    Shipment, "shipments", "shipment_id", METADATA, pinned=("order_id", "carrier", "shipped_at"),
    indexes=(("order_id",),),
)  # fmt: skip
RELATIONS = Keyed(Relation, "relations", "relation_id", METADATA, pinned=("buyer", "seller"))
MOVEMENTS = Appended(
    StockMovement, "stock_movements", METADATA, row=StockMovement, primary_key=("movement_id",),
    indexes=(("stock_id",), ("order_id",)),
)  # fmt: skip
Index("stock_movements_once_a_line", MOVEMENTS.table.c.line_id, MOVEMENTS.table.c.kind, unique=True)
"""A line's pieces are reserved, released, sold and returned once each, whatever the code believes."""

STORES = (
    clock.store(METADATA), grants.store(METADATA), MERCHANTS, PARTNERSHIPS, CONTENTS, PRODUCTS, STOCKS, OFFERS,
    CHECKOUTS, ORDERS, SHIPMENTS, RELATIONS, MOVEMENTS,
)  # fmt: skip

_GRANT = METADATA.tables["grants"].c
_PRODUCT, _OFFER, _ORDER = PRODUCTS.table.c, OFFERS.table.c, ORDERS.table.c
_PERSON, _PARTY = bindparam("person_id", type_=Text), bindparam("party_id", type_=Text)
_OWN = select(_GRANT.party_id).where(_GRANT.person_id == _PERSON, _GRANT.role.is_not(None))


def _given(column: Column[Any], name: str) -> ColumnElement[bool]:
    """A filter that lets everything through where its parameter is null."""
    value = bindparam(name, type_=Text)
    return or_(value.is_(None), column == value)


def _columns(store: Keyed) -> list[Column[Any]]:
    return [store.table.c[each.name] for each in store.codec.fields]


def _newest(column: Column[Any]) -> ColumnElement[bool]:
    """Keyset paging: newest first, after the id the reader has."""
    after = bindparam("after", type_=Text)
    return or_(after.is_(None), column < after)


_LIMIT = bindparam("limit", type_=Integer)
_PRODUCT_SEEN = or_(_PRODUCT.state != "draft", _PRODUCT.merchant_id.in_(_OWN), _PRODUCT.merchant_id == _PARTY)
_OFFER_SEEN = or_(_OFFER.state == "published", _OFFER.seller.in_(_OWN), _OFFER.seller == _PARTY)

one_product = Query(select(*_columns(PRODUCTS)).where(_PRODUCT.product_id == bindparam("product_id"), _PRODUCT_SEEN))
"""A draft is its merchant's alone."""
many_products = Query(
    select(*_columns(PRODUCTS))
    .where(
        or_(_PRODUCT.state == "published", _PRODUCT.merchant_id.in_(_OWN), _PRODUCT.merchant_id == _PARTY),
        _given(_PRODUCT.merchant_id, "merchant_id"),
        _given(_PRODUCT.state, "state"),
        _newest(_PRODUCT.product_id),
    )
    .order_by(_PRODUCT.product_id.desc())
    .limit(_LIMIT)
)
stocks_of_products = """
SELECT {columns}, seller IN (SELECT party_id FROM grants WHERE person_id = $2 AND role IS NOT NULL)
    OR seller IS NOT DISTINCT FROM $3 AS own
FROM stocks WHERE product_id = ANY($1::text[]) ORDER BY stock_id
""".format(columns=", ".join(each.name for each in STOCKS.codec.fields))
"""Every stock of some products, and whether it is the reader's."""

_SERVICE = PARTNERSHIPS.table.c
_OFFER_ROW = select(*_columns(OFFERS), *_columns(PARTNERSHIPS)).select_from(
    OFFERS.table.outerjoin(PARTNERSHIPS.table, _SERVICE.partnership_id == _OFFER.partnership_id)
)
one_offer = Query(_OFFER_ROW.where(_OFFER.offer_id == bindparam("offer_id")))
"""An offer stays to be seen after it is withdrawn: orders and shared links name it."""
many_offers = Query(
    _OFFER_ROW.where(
        _OFFER_SEEN,
        _given(_OFFER.product_id, "product_id"),
        _given(_OFFER.seller, "seller"),
        _given(_OFFER.tribe_id, "tribe_id"),
        _newest(_OFFER.offer_id),
    )
    .order_by(_OFFER.offer_id.desc())
    .limit(_LIMIT)
)

_ORDERS = select(*_columns(ORDERS)).where(_given(_ORDER.state, "state"), _newest(_ORDER.order_id))
orders_of_buyer = Query(_ORDERS.where(_ORDER.buyer == _PERSON).order_by(_ORDER.order_id.desc()).limit(_LIMIT))
orders_of_seller = Query(
    _ORDERS.where(
        or_(
            _ORDER.seller.in_(_OWN),
            _ORDER.partner_id.in_(_OWN),
            _ORDER.seller == _PARTY,
            _ORDER.partner_id == _PARTY,
        )
    )
    .order_by(_ORDER.order_id.desc())
    .limit(_LIMIT)
)
"""Orders that a seller's people fulfil, or that a partner's service brought about."""
staffed_parties = Query(_OWN.where(or_(*(_GRANT.role == role for role in sorted(STAFF)))))
"""Where a person acts as the seller or the partner; a pickup clerk sees orders without acting in them."""
shipments_of_orders = "SELECT {columns} FROM shipments WHERE order_id = ANY($1::text[]) ORDER BY shipment_id".format(
    columns=", ".join(each.name for each in SHIPMENTS.codec.fields)
)

SEEN_AS = ("buyer", "seller", "partner")
one_order = Window(
    """
    SELECT asked.key, {columns}, coalesce(o.buyer = asked.person, false),
           coalesce(o.seller = asked.party, false) OR o.seller = ANY(mine.staffed_ids),
           coalesce(o.partner_id = asked.party OR o.partner_id = ANY(mine.staffed_ids), false)
    FROM (SELECT key, split_part(key, '|', 1) AS order_id, nullif(split_part(key, '|', 2), '') AS person,
                 nullif(split_part(key, '|', 3), '') AS party FROM unnest($1::text[]) AS key) AS asked
    JOIN orders AS o ON o.order_id = asked.order_id
    CROSS JOIN LATERAL (
        SELECT array_agg(party_id) AS party_ids,
               coalesce(array_agg(party_id) FILTER (WHERE role IN ('owner', 'staff')), '{{}}') AS staffed_ids
        FROM grants WHERE person_id = asked.person AND role IS NOT NULL
    ) AS mine
    WHERE o.buyer = asked.person OR asked.party IN (o.seller, o.partner_id)
       OR o.seller = ANY(mine.party_ids) OR o.partner_id = ANY(mine.party_ids)
    """.format(columns=", ".join(f"o.{each.name}" for each in ORDERS.codec.fields))
)
"""One order by `order_id|person|party`, only for its buyer, its seller's and its partner's people: the reader is part
of the key, so that reads of many readers can share one statement. Its last columns are SEEN_AS."""
