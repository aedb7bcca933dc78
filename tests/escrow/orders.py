"""An order as the other services tell escrow of it: one value, and the facts that can be said about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contracts.distribution import Attributed, AttributedLine
from contracts.money import Money
from contracts.order import (
    Checkout,
    DeliveryConfirmed,
    LineRefund,
    LinesCancelled,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderLine,
    OrderPlaced,
)
from contracts.terms import LineTerms, Share, Terms
from tests.support import new_id

MERCHANT, PARTNER, BUYER, ANGEL = new_id("mch"), new_id("prt"), new_id("per"), new_id("per")
SPLIT = (("seller", 8000), ("partner", 500), ("angel", 1000), ("platform", 500))
NEVER = datetime(2099, 1, 1, tzinfo=UTC)


def yuan(fen: int, currency: str = "CNY") -> Money:
    return Money(amount=fen, currency=currency)


def shares(split: Sequence[tuple[str, int]] = SPLIT) -> tuple[Share, ...]:
    """Terms of one line, the payees as order pins them: angels and authors are named later."""
    payees = {"seller": MERCHANT, "partner": PARTNER, "platform": "platform"}
    return tuple(
        Share.model_validate(
            {
                "role": role,
                "payee": payees.get(role),
                "bps": bps,
                "matures": "completion" if role in {"angel", "author"} else "release",
            }
        )
        for role, bps in split
    )


@dataclass(frozen=True)
class Order:
    """One order alone in its checkout, or one of several. Amounts in fen, one per line."""

    order_id: str
    checkout: Checkout
    lines: tuple[tuple[str, int], ...]
    split: tuple[tuple[str, int], ...] = SPLIT
    buyer: str = BUYER
    pay_by: datetime = NEVER

    @property
    def amount(self) -> int:
        return sum(amount for _, amount in self.lines)

    def placed(self, **changes: object) -> OrderPlaced:
        lines = tuple(
            OrderLine(
                line_id=line_id,
                kind="goods",
                offer_id=None,
                product_id=None,
                quantity=1,
                amount=yuan(amount, self.checkout.amount.currency),
            )
            for line_id, amount in self.lines
        )
        terms = Terms(lines=tuple(LineTerms(line_id=line_id, shares=shares(self.split)) for line_id, _ in self.lines))
        fact = OrderPlaced(
            order_id=self.order_id,
            kind="retail",
            checkout=self.checkout,
            buyer=self.buyer,
            seller=MERCHANT,
            merchant_id=MERCHANT,
            partner_id=PARTNER,
            partnership_id=None,
            tribe_id=None,
            campaign_id=None,
            content_id=None,
            touch_token=None,
            lines=lines,
            terms=terms,
            pay_by=self.pay_by,
            placed_at=datetime.now(UTC),
        )
        return fact.model_copy(update=changes)

    def attributed(self, *angels: str | None) -> Attributed:
        """To these angels line by line, or one for all; no angel at all by default."""
        named = angels or (None,)
        return Attributed(
            order_id=self.order_id,
            lines=tuple(
                AttributedLine(line_id=line_id, angel=named[n % len(named)], touch_id=None, reason_code="test")
                for n, (line_id, _) in enumerate(self.lines)
            ),
        )

    def confirmed(self, net: int | None = None, at: datetime | None = None) -> DeliveryConfirmed:
        at = at or datetime.now(UTC)
        return DeliveryConfirmed(
            order_id=self.order_id,
            confirmed_by="buyer",
            confirmed_at=at,
            return_until=at + timedelta(days=7),
            net_amount=None if net is None else yuan(net),
        )

    def completed(self) -> OrderCompleted:
        return OrderCompleted(
            order_id=self.order_id,
            completed_at=datetime.now(UTC),
            net_amount=yuan(self.amount),
            shipped_on_time=True,
            repeat=False,
        )

    def cancelled(self) -> OrderCancelled:
        return OrderCancelled(
            order_id=self.order_id,
            checkout_id=self.checkout.checkout_id,
            by="buyer",
            reason_code="changed_mind",
            at=datetime.now(UTC),
        )

    def expired(self) -> OrderExpired:
        return OrderExpired(order_id=self.order_id, checkout_id=self.checkout.checkout_id, at=datetime.now(UTC))

    def lines_cancelled(self, refunds: Mapping[int, int], currency: str = "CNY") -> LinesCancelled:
        """Fen to give back, by the line's place in the order."""
        return LinesCancelled(
            order_id=self.order_id,
            change_id=new_id("chg"),
            refunds=tuple(
                LineRefund(line_id=self.lines[n][0], quantity=1, amount=yuan(amount, currency))
                for n, amount in refunds.items()
            ),
            goods="none",
        )


def an_order(*amounts: int, **given: object) -> Order:
    """An order alone in its checkout, with one line per amount (79.80 and 8.00 by default)."""
    (order,) = a_checkout(amounts or (7980, 800), **given)
    return order


def a_checkout(*orders: Sequence[int], currency: str = "CNY", **given: object) -> list[Order]:
    """Several orders in one checkout: the amounts of each one's lines."""
    ids = tuple(new_id("ord") for _ in orders)
    total = sum(sum(amounts) for amounts in orders)
    checkout = Checkout(checkout_id=new_id("chk"), order_ids=ids, amount=yuan(total, currency))
    return [
        Order(order_id, checkout, tuple((new_id("lin"), amount) for amount in amounts), **given)  # type: ignore[arg-type]
        for order_id, amounts in zip(ids, orders, strict=True)
    ]
