"""Samples of what escrow says."""

from typing import TypedDict

from contracts.escrow import (
    DebtOpened,
    Disputed,
    DisputeResolved,
    Held,
    LegMatured,
    LineAmount,
    MaturedLeg,
    PayoutAccountChanged,
    PayoutFailed,
    PayoutSent,
    PayoutSucceeded,
    PoolPaid,
    PoolPayment,
    Refunded,
    ReleaseBlocked,
    Released,
    ReleasedLeg,
    ReversedLeg,
)
from contracts.fact import Fact
from contracts.money import Money
from contracts.samples.story import (
    ANGEL,
    ANGEL_LEG,
    CHECKOUT,
    DISPUTE,
    GOODS,
    MERCHANT,
    ORDER,
    PARTNER,
    PARTNER_LEG,
    SELLER_LEG,
    SETTLEMENT,
    SHIPPING,
    SHIPPING_LEG,
    TRIBE,
    an_id,
    moment,
    yuan,
)


class _Payout(TypedDict):
    payout_id: str
    payee: str
    amount: Money
    legs: tuple[str, ...]


_PAYOUT = _Payout(payout_id=an_id("out"), payee=MERCHANT, amount=yuan(4072), legs=(SELLER_LEG, SHIPPING_LEG))

SAMPLES: tuple[Fact, ...] = (
    Held(order_id=ORDER, checkout_id=CHECKOUT, payment_id=an_id("pay"), amount=yuan(4790), at=moment(minutes=4)),
    Disputed(order_id=ORDER, dispute_id=DISPUTE, opened_at=moment(days=4), reason_code="damaged"),
    DisputeResolved(
        order_id=ORDER,
        dispute_id=DISPUTE,
        opened_at=moment(days=4),
        outcome="split",
        refunds=(LineAmount(line_id=GOODS, amount=yuan(1330)),),
        goods="kept",
        reason_code="seller_agreed",
    ),
    Released(
        order_id=ORDER,
        at=moment(days=3, minutes=1),
        legs=(
            ReleasedLeg(
                leg_id=SELLER_LEG, line_id=GOODS, role="seller", payee=MERCHANT, amount=yuan(3272), matures="release"
            ),
            ReleasedLeg(
                leg_id=PARTNER_LEG, line_id=GOODS, role="partner", payee=PARTNER, amount=yuan(319), matures="release"
            ),
            ReleasedLeg(
                leg_id=ANGEL_LEG, line_id=GOODS, role="angel", payee=None, amount=yuan(399), matures="completion"
            ),
            ReleasedLeg(
                leg_id=SHIPPING_LEG,
                line_id=SHIPPING,
                role="seller",
                payee=MERCHANT,
                amount=yuan(800),
                matures="release",
            ),
        ),
    ),
    Refunded(
        order_id=ORDER,
        refund_id=an_id("rfd"),
        cause_id=DISPUTE,
        amount=yuan(1330),
        lines=(LineAmount(line_id=GOODS, amount=yuan(1330)),),
        reversed=(
            ReversedLeg(leg_id=SELLER_LEG, amount=yuan(1091), source="debt"),
            ReversedLeg(leg_id=PARTNER_LEG, amount=yuan(106), source="leg"),
            ReversedLeg(leg_id=ANGEL_LEG, amount=yuan(133), source="leg"),
        ),
        complete=False,
    ),
    LegMatured(order_id=ORDER, legs=(MaturedLeg(leg_id=ANGEL_LEG, payee=ANGEL, amount=yuan(399)),)),
    PayoutSent(**_PAYOUT),
    PayoutSucceeded(**_PAYOUT),
    PayoutFailed(**_PAYOUT),
    DebtOpened(payee=MERCHANT, amount=yuan(1091), reason_code="refund_after_payout"),
    ReleaseBlocked(order_id=ORDER, amount=yuan(4790), reason_code="rail_exceeded"),
    PoolPaid(settlement_id=SETTLEMENT, tribe_id=TRIBE, payments=(PoolPayment(partner_id=PARTNER, amount=yuan(36000)),)),
    PayoutAccountChanged(party_id=MERCHANT, fingerprint="3f7a" * 16, version=1),
)
