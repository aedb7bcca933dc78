"""Placing an order: what a checkout names is looked at, priced, reserved and pinned in one decision."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from chassis.decision import Applied, InvalidRequest, say
from chassis.moment import Moment
from chassis.policy import require_person
from contracts.money import MONEY_MAX, Money
from contracts.order import Checkout as PlacedCheckout
from contracts.order import OrderLine, OrderPlaced
from services.order import domain, goods
from services.order.commands import CheckOut, Recipient, Wanted
from services.order.domain import Checkout, Line, Order
from services.order.goods import Content, Merchant, Offer, Partnership, Product, Stock, StockMovement
from services.order.refusals import CurrencyMismatch, OneSellerOnly, PriceChanged, RecipientInvalid
from services.order.split import shares_of, terms_of
from services.order.windows import Rules


class Shop(NamedTuple):
    """What a checkout is decided against: offers and products by id, and who sells."""

    offers: Mapping[str, Offer]
    products: Mapping[str, Product]
    partnership: Partnership | None

    def behind(self, wanted: Wanted) -> tuple[Offer, Product]:
        offer = self.offers[wanted.offer_id]
        return offer, self.products[offer.product_id]


def product_ids(_: CheckOut, offers: Sequence[Offer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(offer.product_id for offer in offers))


def stock_ids(command: CheckOut, offers: Sequence[Offer], products: Sequence[Product]) -> tuple[str, ...]:
    """The stocks that a checkout takes from. A line that names no variant of its product has none: refused later."""
    shop = _shop(offers, products, None)
    found = (_stock_id(shop, wanted) for wanted in command.lines)
    return tuple(dict.fromkeys(stock_id for stock_id in found if stock_id))


def _shop(offers: Sequence[Offer], products: Sequence[Product], partnership: Partnership | None) -> Shop:
    by_offer = {offer.offer_id: offer for offer in offers}
    return Shop(by_offer, {product.product_id: product for product in products}, partnership)


def _stock_id(shop: Shop, wanted: Wanted) -> str | None:
    offer, product = shop.behind(wanted)
    variant = product.variant(wanted.variant_id)
    return goods.stock_key(variant.variant_id, offer.seller, offer.merchant_id) if variant else None


def check_out(
    rules: Rules,
    offers: tuple[Offer, ...],
    products: tuple[Product, ...],
    stocks: tuple[Stock, ...],
    merchant: Merchant | None,
    partnership: Partnership | None,
    content: Content | None,
    command: CheckOut,
    at: Moment,
) -> Applied:
    """The buyer commits to buy: prices are what was expected, the pieces are reserved, the terms are pinned.

    Raises what may not be: something withdrawn, sold out, dearer than shown, nobody to receive it.
    """
    buyer = require_person(command.caller)
    shop = _shop(offers, products, partnership)
    offer = _one_offering(offers)
    goods.require_on_sale(offers, shop.products)
    goods.require_open(merchant, offer.merchant_id, at)
    goods.require_active(partnership, offer.partnership_id, at)
    goods.require_content(content, command.content_id, at)
    lines = tuple(_line(n, wanted, shop, at) for n, wanted in enumerate(command.lines))
    total = _total(offers, lines, command.expected_total)
    kind = domain.delivery_kind(product.delivery_kind for product in products)
    recipient = _recipient(command.recipient, buyer, kind)
    checkout = _checkout(buyer, total, rules, at)
    service_bps = partnership.service_bps(at.now) if partnership else 0
    order = domain.placed(
        Order(
            order_id=checkout.order_ids[0],
            checkout_id=checkout.checkout_id,
            buyer=buyer,
            seller=offer.seller,
            merchant_id=offer.merchant_id,
            partner_id=offer.partner_id,
            partnership_id=offer.partnership_id,
            tribe_id=offer.tribe_id,
            content_id=command.content_id,
            delivery_kind=kind,
            recipient_id=recipient.recipient_id if recipient else None,
            region_code=recipient.region_code if recipient else None,
            amount=total.amount,
            currency=total.currency,
            lines=lines,
            terms=terms_of(
                [(line.line_id, shares_of(shop.offers[line.offer_id], service_bps, rules)) for line in lines], rules
            ),
            placed_at=at.now,
            pay_by=checkout.pay_by,
            expire_at=checkout.pay_by + timedelta(seconds=rules.expire_after_seconds),
        )
    )
    shelves = {stock.stock_id: stock for stock in stocks}
    booked = move_goods(shelves, (order,), "reserve", at)
    fact = _said(order, checkout, command.touch_token)
    return Applied(
        (checkout, order, *booked), (say(fact, *order.parties),), reply=(checkout, (order,)), reason="placed"
    )  # fmt: skip


def move_goods(
    shelves: Mapping[str, Stock], orders: Sequence[Order], kind: goods.MovementKind, at: Moment
) -> tuple[Stock | StockMovement, ...]:
    """Move the pieces of every line of these orders; the stocks they lie in, and the movements."""
    now, movements = dict(shelves), []
    for order in orders:
        for line in order.lines:
            now[line.stock_id], movement = goods.book(
                now[line.stock_id], kind, line.quantity, at, order_id=order.order_id, line_id=line.line_id
            )
            movements.append(movement)
    return (*(now[key] for key in now if now[key] is not shelves[key]), *movements)


def _one_offering(offers: Sequence[Offer]) -> Offer:
    """The offers' seller, partnership and tribe must be one: an order belongs to one of each."""
    if len({(each.seller, each.merchant_id, each.partnership_id, each.tribe_id) for each in offers}) > 1:
        raise OneSellerOnly
    return offers[0]


def _line(n: int, wanted: Wanted, shop: Shop, at: Moment) -> Line:
    offer, product = shop.behind(wanted)
    variant = product.variant(wanted.variant_id)
    if variant is None:
        raise InvalidRequest.at(f"/lines/{n}/variant_id", "name one of the product's variants")
    return Line(
        at.id("lin", n),
        offer.offer_id,
        product.product_id,
        variant.variant_id,
        goods.stock_key(variant.variant_id, offer.seller, offer.merchant_id),
        product.name,
        wanted.quantity,
        offer.price,
        offer.price * wanted.quantity,
        0 if product.returns_excluded else product.return_days,
        product.ship_by_hours,
    )


def _total(offers: Sequence[Offer], lines: Sequence[Line], expected: Money) -> Money:
    """What it costs, if that is what the buyer expects."""
    currencies = {offer.currency for offer in offers}
    if currencies != {expected.currency}:
        raise CurrencyMismatch
    amount = sum(line.amount for line in lines)
    if amount > MONEY_MAX:
        raise InvalidRequest.at("/lines", "this is more than one order can cost")
    total = Money(amount=amount, currency=expected.currency)
    if total != expected:
        raise PriceChanged.to(total)
    return total


def _recipient(recipient: Recipient | None, buyer: str, kind: goods.DeliveryKind) -> Recipient | None:
    """Where the goods go: the buyer's own recipient, unless there is nothing to carry."""
    if kind == "virtual" and recipient is None:
        return None
    if recipient is None or recipient.person_id != buyer:
        raise RecipientInvalid
    return recipient


def _checkout(buyer: str, total: Money, rules: Rules, at: Moment) -> Checkout:
    pay_by = at.now + timedelta(minutes=rules.pay_by_minutes)
    return Checkout(at.id("chk"), buyer, (at.id("ord", 0),), total.amount, total.currency, pay_by, at.now)


def _said(order: Order, checkout: Checkout, touch_token: str | None) -> OrderPlaced:
    def money(amount: int) -> Money:
        return Money(amount=amount, currency=order.currency)

    return OrderPlaced(
        order_id=order.order_id,
        kind="retail",
        checkout=PlacedCheckout(
            checkout_id=checkout.checkout_id, order_ids=checkout.order_ids, amount=money(checkout.amount)
        ),
        buyer=order.buyer,
        seller=order.seller,
        merchant_id=order.merchant_id,
        partner_id=order.partner_id,
        partnership_id=order.partnership_id,
        tribe_id=order.tribe_id,
        campaign_id=None,
        content_id=order.content_id,
        touch_token=touch_token,
        lines=tuple(
            OrderLine(
                line_id=line.line_id,
                kind="goods",
                offer_id=line.offer_id,
                product_id=line.product_id,
                quantity=line.quantity,
                amount=money(line.amount),
            )
            for line in order.lines
        ),
        terms=order.terms,
        pay_by=order.pay_by,
        placed_at=order.placed_at,
    )
