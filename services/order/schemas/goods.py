"""Products, stock and offers, as the API takes and gives them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chassis.web import In, Out
from contracts.fact import ReasonCode
from contracts.ids import MerchantId, PartnershipId, ProductId, SellerId, TribeId, VariantId
from contracts.money import Bps, Currency, Money
from contracts.terms import Maturity, Role, Share
from services.order.goods import DeliveryKind, Offer, OfferState, Product, ProductState, Stock

_PRINTABLE = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=_PRINTABLE)]
Description = Annotated[str, StringConstraints(max_length=4000, pattern=_PRINTABLE)]
Hours = Annotated[int, Field(ge=1, le=720)]
Pieces = Annotated[int, Field(ge=0, le=1_000_000)]


class VariantIn(In):
    name: Name
    stock: Pieces = Field(0, description="pieces that are there from the start")


class ReturnPolicy(In):
    """Longer than the law's seven days if you like; `excluded` only for goods that the law lets you exclude."""

    days: int | None = Field(None, ge=7, le=60)
    excluded: bool = False


class ProductIn(In):
    merchant_id: MerchantId
    name: Name
    description: Description = ""
    variants: Annotated[list[VariantIn], Field(min_length=1, max_length=50)]
    delivery_kind: DeliveryKind
    return_policy: ReturnPolicy = ReturnPolicy()
    ship_by_hours: Hours | None = None
    state: Literal["draft", "published"] = "draft"


class ProductPatch(In):
    """Members that are missing or null stay as they are."""

    name: Name | None = None
    description: Description | None = None
    return_policy: ReturnPolicy | None = None
    ship_by_hours: Hours | None = None
    state: ProductState | None = None


class StockOut(Out):
    variant_id: str
    seller: str
    available: int
    reserved: int
    sold: int

    @classmethod
    def of(cls, stock: Stock) -> "StockOut":
        return cls(
            variant_id=stock.variant_id,
            seller=stock.seller,
            available=stock.available,
            reserved=stock.reserved,
            sold=stock.sold,
        )


class VariantOut(Out):
    """`stock` is for the merchant's own people; everybody sees whether there is any."""

    id: str
    name: str
    in_stock: bool
    stock: list[StockOut] | None


class ReturnPolicyOut(Out):
    days: int
    excluded: bool


class ProductOut(Out):
    id: str
    merchant_id: str
    name: str
    description: str
    variants: list[VariantOut]
    delivery_kind: DeliveryKind
    return_policy: ReturnPolicyOut
    ship_by_hours: int
    state: ProductState
    version: int

    @classmethod
    def of(cls, known: tuple[Product, Sequence[Stock]]) -> "ProductOut":
        """As its merchant sees it."""
        product, stocks = known
        return cls.seen(product, stocks, {stock.stock_id for stock in stocks})

    @classmethod
    def seen(cls, product: Product, stocks: Sequence[Stock], own: Iterable[str]) -> "ProductOut":
        """As somebody sees it to whom the stocks `own` belong."""
        mine = frozenset(own)
        variants = [
            _variant(each.variant_id, each.name, [s for s in stocks if s.variant_id == each.variant_id], mine)
            for each in product.variants
        ]
        return cls(
            id=product.product_id,
            merchant_id=product.merchant_id,
            name=product.name,
            description=product.description,
            variants=variants,
            delivery_kind=product.delivery_kind,
            return_policy=ReturnPolicyOut(days=product.return_days, excluded=product.returns_excluded),
            ship_by_hours=product.ship_by_hours,
            state=product.state,
            version=product.version,
        )


def _variant(variant_id: str, name: str, stocks: Sequence[Stock], own: frozenset[str]) -> VariantOut:
    seen = [StockOut.of(stock) for stock in stocks if stock.stock_id in own]
    in_stock = any(stock.available for stock in stocks if stock.stock_id == variant_id)  # the merchant's own
    return VariantOut(id=variant_id, name=name, in_stock=in_stock, stock=seen or None)


class StockMovementIn(In):
    variant_id: VariantId
    seller: SellerId | None = Field(None, description="whose stock; the merchant's own where it is not named")
    delta: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
    reason_code: ReasonCode


# --- offers ------------------------------------------------------------------------------------------------------


class Price(In):
    amount: Annotated[int, Field(ge=1, le=1_000_000_000)]
    currency: Currency


class OfferIn(In):
    product_id: ProductId
    seller: SellerId
    partnership_id: PartnershipId | None = None
    tribe_id: TribeId | None = None
    price: Price
    angel_bps: Bps = 0


class ShareOut(Out):
    """One role's share; of the people in it, only those whom the reader may know."""

    role: Role
    payee: str | None
    bps: int
    matures: Maturity

    @classmethod
    def of(cls, share: Share) -> "ShareOut":
        return cls(role=share.role, payee=share.payee, bps=share.bps, matures=share.matures)


class OfferOut(Out):
    """`split` is what would be pinned now; `rail_ok` false where the settlement rail would not take it any more."""

    id: str
    product_id: str
    merchant_id: str
    seller: str
    partnership_id: str | None
    tribe_id: str | None
    price: Money
    angel_bps: int
    split: list[ShareOut]
    rail_ok: bool
    state: OfferState
    version: int

    @classmethod
    def of(cls, known: tuple[Offer, Sequence[Share] | None]) -> "OfferOut":
        offer, shares = known
        return cls(
            id=offer.offer_id,
            product_id=offer.product_id,
            merchant_id=offer.merchant_id,
            seller=offer.seller,
            partnership_id=offer.partnership_id,
            tribe_id=offer.tribe_id,
            price=Money(amount=offer.price, currency=offer.currency),
            angel_bps=offer.angel_bps,
            split=[ShareOut.of(share) for share in shares or ()],
            rail_ok=shares is not None,
            state=offer.state,
            version=offer.version,
        )
