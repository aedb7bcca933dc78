"""Orders and moments for the tests that need no database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from chassis.moment import Moment
from contracts.fact import Fact
from contracts.samples import SAMPLES
from contracts.terms import LineTerms, Share, Terms
from services.order import domain
from services.order.domain import Line, Order
from services.order.goods import Stock
from services.order.settings import OrderSettings
from tests.order.world import old_id

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
AT = Moment(NOW, NOW, b"a seed of a test")
RULES = OrderSettings().rules("Asia/Shanghai")
BUYER, SELLER = old_id("per"), old_id("mch")


def an_order(*, quantity: int = 2, price: int = 3990, return_days: int = 7) -> Order:
    """A placed order of one line."""
    variant = old_id("var")
    line = Line(
        old_id("lin"), old_id("off"), old_id("prd"), variant, variant, "oranges", quantity, price, price * quantity,
        return_days, 48,
    )  # fmt: skip
    share = Share(role="seller", payee=SELLER, bps=10_000, matures="release")
    pay_by = NOW + timedelta(minutes=30)
    return domain.placed(
        Order(
            order_id=old_id("ord"),
            checkout_id=old_id("chk"),
            buyer=BUYER,
            seller=SELLER,
            merchant_id=SELLER,
            partner_id=None,
            partnership_id=None,
            tribe_id=None,
            content_id=None,
            delivery_kind="express",
            recipient_id=old_id("rcp"),
            region_code="320500",
            amount=price * quantity,
            currency="CNY",
            lines=(line,),
            terms=Terms(lines=(LineTerms(line_id=line.line_id, shares=(share,)),)),
            placed_at=NOW,
            pay_by=pay_by,
            expire_at=pay_by + timedelta(seconds=120),
        )
    )


def stocks_of(order: Order) -> tuple[Stock, ...]:
    """Its stocks, with pieces in every column."""
    return tuple(Stock(line.stock_id, line.variant_id, line.product_id, order.seller, 5, 5, 5) for line in order.lines)


def sample_fact(fact: type[Fact]) -> Iterator[Fact]:
    """The contract's sample of a fact, and what differs about it that a handler may ask."""
    sample = SAMPLES[fact]
    yield sample
    for name, values in (("version", (1, 50, 1000)), ("complete", (True, False)), ("role", (None,))):
        if name in type(sample).model_fields:
            yield from (sample.model_copy(update={name: value}) for value in values)
