"""What is sold: products, the stock of their variants, offers; and whom the order service knows to sell.

Pure rules over frozen values. Amounts are integers in minor units, rates are basis points, quantities are pieces.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from chassis.decision import InvalidRequest, MoveRefused, NotFound, NotYet, find_move
from chassis.moment import Moment
from chassis.touches import is_young
from services.order.refusals import MerchantNotOpen, OfferWithdrawnFromSale, PartnershipNotActive, SoldOut

DeliveryKind = Literal["express", "local", "virtual"]
ProductState = Literal["draft", "published", "withdrawn"]
OfferState = Literal["published", "withdrawn"]
MovementKind = Literal["initial", "adjust", "reserve", "release", "sell", "return"]

PRODUCT_MOVES: Mapping[tuple[str, str], str] = {
    ("draft", "published"): "published",
    ("published", "withdrawn"): "withdrawn",
    ("withdrawn", "published"): "published",
}
"""A product moves to the state that is asked for, if the table lists it."""

EFFECTS: Mapping[MovementKind, tuple[int, int, int]] = {
    "initial": (1, 0, 0),
    "adjust": (1, 0, 0),
    "reserve": (-1, 1, 0),
    "release": (1, -1, 0),
    "sell": (0, -1, 1),
    "return": (1, 0, -1),
}
"""What one piece of a movement does to (available, reserved, sold). Only the first two change their sum."""


@dataclass(frozen=True, slots=True)
class Variant:
    variant_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """What a merchant makes or owns. `return_days` is 0 where the law lets the seller exclude returns."""

    product_id: str
    merchant_id: str
    name: str
    description: str
    variants: tuple[Variant, ...]
    delivery_kind: DeliveryKind
    return_days: int
    returns_excluded: bool
    ship_by_hours: int
    state: ProductState
    version: int

    def variant(self, variant_id: str | None) -> Variant | None:
        """The named variant; without a name the only one."""
        if variant_id is None:
            return self.variants[0] if len(self.variants) == 1 else None
        return next((each for each in self.variants if each.variant_id == variant_id), None)


@dataclass(frozen=True, slots=True)
class Stock:
    """The pieces of one variant that one seller has: available + reserved + sold is all it ever had."""

    stock_id: str
    variant_id: str
    product_id: str
    seller: str
    available: int
    reserved: int
    sold: int


@dataclass(frozen=True, slots=True)
class StockMovement:
    """One change of a stock, as what it added to each of its columns: the movements alone rebuild it."""

    movement_id: str
    stock_id: str
    kind: MovementKind
    available: int
    reserved: int
    sold: int
    order_id: str | None
    line_id: str | None
    reason_code: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """What a buyer buys: a product, from this seller, perhaps under a partnership and in a tribe, at this price."""

    offer_id: str
    product_id: str
    merchant_id: str
    seller: str
    partnership_id: str | None
    partner_id: str | None
    tribe_id: str | None
    price: int
    currency: str
    angel_bps: int
    state: OfferState
    version: int


@dataclass(frozen=True, slots=True)
class Merchant:
    """What the partner service last said of a merchant."""

    merchant_id: str
    state: str
    version: int


@dataclass(frozen=True, slots=True)
class Agreed:
    """Terms that merchant and partner both accepted."""

    version: int
    service_bps: int
    effective_from: datetime


@dataclass(frozen=True, slots=True)
class Partnership:
    """What the partner service last said of a partnership; `coming` terms replace `agreed` when they take effect."""

    partnership_id: str
    merchant_id: str
    partner_id: str
    state: str
    agreed: Agreed
    coming: Agreed | None
    version: int

    def service_bps(self, now: datetime) -> int:
        """The partner's rate in force now."""
        terms = self.coming if self.coming and self.coming.effective_from <= now else self.agreed
        return terms.service_bps


@dataclass(frozen=True, slots=True)
class Content:
    """A tribe's content: whether it may be named on a checkout."""

    content_id: str
    published: bool
    version: int


def stock_key(variant_id: str, seller: str, merchant_id: str) -> str:
    """The merchant's own stock bears the variant's id; a partner that owns stock has one of its own beside it."""
    return variant_id if seller == merchant_id else f"{variant_id}/{seller}"


def moved(product: Product, state: ProductState | None) -> Product:
    """The product in the state asked for; asking for the one it is in changes nothing."""
    if state is None or state == product.state:
        return product
    find_move(PRODUCT_MOVES, product.state, state)
    return replace(product, state=state)


def book(
    stock: Stock,
    kind: MovementKind,
    quantity: int,
    at: Moment,
    *,
    order_id: str | None = None,
    line_id: str | None = None,
    reason_code: str | None = None,
) -> tuple[Stock, StockMovement]:
    """The stock after a movement of `quantity` pieces, and the movement.

    Raises SoldOut where fewer are available than reserved for a buyer, InvalidRequest where a seller takes away more.
    """
    available, reserved, sold = (sign * quantity for sign in EFFECTS[kind])
    after = replace(
        stock, available=stock.available + available, reserved=stock.reserved + reserved, sold=stock.sold + sold
    )
    if after.available < 0:
        if kind == "reserve":
            raise SoldOut({}, {"variant_id": stock.variant_id})
        raise InvalidRequest.at("/delta", f"only {stock.available} are available")
    movement_id = at.id("stk", stock.stock_id, line_id or "", kind)
    movement = StockMovement(
        movement_id, stock.stock_id, kind, available, reserved, sold, order_id, line_id, reason_code, at.now
    )
    return after, movement


def require_open(merchant: Merchant | None, merchant_id: str, at: Moment) -> None:
    """Only an open merchant's goods are sold. One that has just opened may not have been heard of yet."""
    if merchant is None and is_young(merchant_id, at):
        raise NotYet("merchant_not_yet_known")
    if merchant is None or merchant.state != "open":
        raise MerchantNotOpen


def require_active(partnership: Partnership | None, partnership_id: str | None, at: Moment) -> None:
    """A partnership that is named must be active, on trial or for good."""
    if partnership_id is None:
        return
    if partnership is None and is_young(partnership_id, at):
        raise NotYet("partnership_not_yet_known")
    if partnership is None or partnership.state not in {"trial", "active"}:
        raise PartnershipNotActive


def require_content(content: Content | None, content_id: str | None, at: Moment) -> None:
    """Content that a checkout names must be there and published."""
    if content_id is None:
        return
    if content is None and is_young(content_id, at):
        raise NotYet("content_not_yet_known")
    if content is None or not content.published:
        raise InvalidRequest.at("/content_id", "there is no such published content")


def require_published(product: Product) -> None:
    if product.state != "published":
        raise MoveRefused(product.state, "offer", ("published",))


def require_on_sale(offers: Iterable[Offer], products: Mapping[str, Product]) -> None:
    """Every offer stands, and so does the product behind it."""
    for offer in offers:
        if offer.state != "published" or products[offer.product_id].state != "published":
            raise OfferWithdrawnFromSale({}, {"offer_id": offer.offer_id})


def require_belongs(product: Product, seller: str, partnership: Partnership | None) -> None:
    """The seller is the merchant, or a partner of this merchant; a partnership that is named is one with it.

    Another's partnership is answered as one that nobody has, another's draft as one that is not there.
    """
    if partnership is not None and seller not in {partnership.merchant_id, partnership.partner_id}:
        raise PartnershipNotActive
    if product.state == "draft" and product.merchant_id not in {seller, partnership and partnership.merchant_id}:
        raise NotFound
    if partnership is not None and partnership.merchant_id != product.merchant_id:
        raise InvalidRequest.at("/partnership_id", "it is not a partnership with the product's merchant")
    if seller != product.merchant_id and (partnership is None or partnership.partner_id != seller):
        raise InvalidRequest.at("/seller", "it is neither the product's merchant nor the named partnership's partner")
