"""What sellers ask: products, stock and offers. Pure functions: (rules, aggregates, command, at) -> decision."""

from dataclasses import replace

from chassis.decision import Applied, Ignored, InvalidRequest, NotFound, VersionStale, say
from chassis.grants import Grant
from chassis.moment import Moment
from chassis.policy import require_party
from contracts.money import Money
from contracts.order import OfferPublished, OfferWithdrawn
from services.order import goods
from services.order.commands import CreateProduct, MoveStock, PublishOffer, UpdateProduct, WithdrawOffer
from services.order.goods import Merchant, Offer, Partnership, Product, Stock, Variant, book
from services.order.split import shares_of
from services.order.windows import Rules

SCOPE = "products:write"


def create_product(rules: Rules, grant: Grant | None, command: CreateProduct, at: Moment) -> Applied:
    """A new product, with a stock for each variant: empty, or with the pieces the merchant says it has."""
    require_party(command.caller, command.merchant_id, grant, scope=SCOPE, at=at)
    variants = tuple(Variant(at.id("var", n), each.name) for n, each in enumerate(command.variants))
    product = Product(
        at.id("prd"),
        command.merchant_id,
        command.name,
        command.description,
        variants,
        command.delivery_kind,
        command.return_days or rules.return_window_days,
        command.returns_excluded,
        command.ship_by_hours or rules.ship_by_hours,
        command.state,
        1,
    )
    stocks, movements = [], []
    for variant, wanted in zip(variants, command.variants, strict=True):
        stock = Stock(variant.variant_id, variant.variant_id, product.product_id, product.merchant_id, 0, 0, 0)
        if wanted.stock:
            stock, movement = book(stock, "initial", wanted.stock, at)
            movements.append(movement)
        stocks.append(stock)
    return Applied((product, *stocks, *movements), reply=(product, stocks), reason="product_created")


def update_product(
    product: Product, stocks: tuple[Stock, ...], grant: Grant | None, command: UpdateProduct, at: Moment
) -> Applied:
    """Change what is promised from now on; orders keep what they were placed under."""
    require_party(command.caller, product.merchant_id, grant, scope=SCOPE, at=at)
    if command.version != product.version:
        raise VersionStale
    names = ("name", "description", "return_days", "returns_excluded", "ship_by_hours")
    given = {name: getattr(command, name) for name in names if getattr(command, name) is not None}
    changed = replace(goods.moved(product, command.state), **given, version=product.version + 1)
    return Applied((changed,), reply=(changed, stocks), reason="product_updated")


def move_stock(own: Stock, stock: Stock | None, grant: Grant | None, command: MoveStock, at: Moment) -> Applied:
    """Add or take away pieces. `own` is the merchant's stock of the variant, which says what the variant is. Beside the
    merchant only a partner keeps a stock of it."""
    seller = command.seller or own.seller
    require_party(command.caller, seller, grant, scope=SCOPE, at=at)
    if seller != own.seller and not seller.startswith("prt_"):
        raise NotFound
    if not command.delta:
        raise InvalidRequest.at("/delta", "nothing would move")
    if stock is None:
        key = goods.stock_key(own.variant_id, seller, own.seller)
        stock = Stock(key, own.variant_id, own.product_id, seller, 0, 0, 0)
    stock, movement = book(stock, "adjust", command.delta, at, reason_code=command.reason_code)
    return Applied((stock, movement), reply=stock, reason=command.reason_code)


def publish_offer(
    rules: Rules,
    product: Product,
    merchant: Merchant | None,
    partnership: Partnership | None,
    grant: Grant | None,
    command: PublishOffer,
    at: Moment,
) -> Applied:
    """Put a product up for sale. A split that the settlement rail would not take is refused here already."""
    require_party(command.caller, command.seller, grant, scope=SCOPE, at=at)
    goods.require_active(partnership, command.partnership_id, at)
    goods.require_belongs(product, command.seller, partnership)
    goods.require_open(merchant, product.merchant_id, at)
    goods.require_published(product)
    offer = Offer(
        at.id("off"),
        product.product_id,
        product.merchant_id,
        command.seller,
        command.partnership_id,
        partnership.partner_id if partnership else None,
        command.tribe_id,
        command.price.amount,
        command.price.currency,
        command.angel_bps,
        "published",
        1,
    )
    shares = shares_of(offer, partnership.service_bps(at.now) if partnership else 0, rules)
    fact = OfferPublished(**_state_of(offer))
    audience = (offer.seller, offer.partner_id, offer.merchant_id)
    return Applied((offer,), (say(fact, *audience),), reply=(offer, shares), reason="offer_published")


def withdraw_offer(offer: Offer, grant: Grant | None, command: WithdrawOffer, at: Moment) -> Applied | Ignored:
    """Nobody can buy by this offer any more; orders placed by it stand."""
    require_party(command.caller, offer.seller, grant, scope=SCOPE, at=at)
    if offer.state == "withdrawn":
        return Ignored("already_withdrawn")
    offer = replace(offer, state="withdrawn", version=offer.version + 1)
    fact = OfferWithdrawn(**_state_of(offer))
    audience = (offer.seller, offer.partner_id, offer.merchant_id)
    return Applied((offer,), (say(fact, *audience),), reason="offer_withdrawn")


def _state_of(offer: Offer) -> dict[str, object]:
    return {
        "offer_id": offer.offer_id,
        "product_id": offer.product_id,
        "seller": offer.seller,
        "merchant_id": offer.merchant_id,
        "partnership_id": offer.partnership_id,
        "tribe_id": offer.tribe_id,
        "price": Money(amount=offer.price, currency=offer.currency),
        "angel_bps": offer.angel_bps,
        "version": offer.version,
    }
