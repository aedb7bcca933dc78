"""Samples of what the order service says."""

from typing import TypedDict

from contracts.fact import Fact, Goods
from contracts.money import Money
from contracts.order import (
    CampaignAmended,
    CampaignFailed,
    CampaignOpened,
    CampaignSucceeded,
    Checkout,
    DeadlineNear,
    DeliveryConfirmed,
    LineRefund,
    LinesCancelled,
    OfferPublished,
    OfferWithdrawn,
    OrderCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderExpired,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    Repriced,
    ReturnAccepted,
    ShippedLine,
)
from contracts.samples.story import (
    BUYER,
    CAMPAIGN,
    CHECKOUT,
    CONTENT,
    GOODS,
    MERCHANT,
    OFFER,
    ORDER,
    PARTNER,
    PARTNERSHIP,
    PRODUCT,
    SHIPPING,
    TRIBE,
    WISH,
    an_id,
    moment,
    yuan,
)
from contracts.terms import LineTerms, Share, Terms


class _Offer(TypedDict):
    offer_id: str
    product_id: str
    seller: str
    merchant_id: str
    partnership_id: str
    tribe_id: str
    price: Money
    angel_bps: int


class _Campaign(TypedDict):
    campaign_id: str
    wish_id: str
    tribe_id: str
    partner_id: str
    merchant_id: str
    angel_budget: Money


_OFFER = _Offer(
    offer_id=OFFER,
    product_id=PRODUCT,
    seller=MERCHANT,
    merchant_id=MERCHANT,
    partnership_id=PARTNERSHIP,
    tribe_id=TRIBE,
    price=yuan(3990),
    angel_bps=1000,
)
_CAMPAIGN = _Campaign(
    campaign_id=CAMPAIGN,
    wish_id=WISH,
    tribe_id=TRIBE,
    partner_id=PARTNER,
    merchant_id=MERCHANT,
    angel_budget=yuan(200_000),
)
_TERMS = Terms(
    lines=(
        LineTerms(
            line_id=GOODS,
            shares=(
                Share(role="seller", payee=MERCHANT, bps=8200, matures="release"),
                Share(role="partner", payee=PARTNER, bps=800, matures="release"),
                Share(role="angel", payee=None, bps=1000, matures="completion"),
            ),
        ),
        LineTerms(line_id=SHIPPING, shares=(Share(role="seller", payee=MERCHANT, bps=10_000, matures="release"),)),
    )
)


def _one_box_back(change: str, amount: int, goods: Goods) -> dict[str, object]:
    refund = LineRefund(line_id=GOODS, quantity=1, amount=yuan(amount))
    return {"order_id": ORDER, "change_id": an_id("chg", change), "refunds": (refund,), "goods": goods}


SAMPLES: tuple[Fact, ...] = (
    OfferPublished(**_OFFER, version=1),
    OfferWithdrawn(**_OFFER, version=2),
    OrderPlaced(
        order_id=ORDER,
        kind="retail",
        checkout=Checkout(checkout_id=CHECKOUT, order_ids=(ORDER, an_id("ord", "tea")), amount=yuan(11_790)),
        buyer=BUYER,
        seller=MERCHANT,
        merchant_id=MERCHANT,
        partner_id=PARTNER,
        partnership_id=PARTNERSHIP,
        tribe_id=TRIBE,
        campaign_id=None,
        content_id=CONTENT,
        touch_token="dGNo.c2lnbmVk-touch_1",  # noqa: S106  (a sample, opens nothing)
        lines=(
            OrderLine(line_id=GOODS, kind="goods", offer_id=OFFER, product_id=PRODUCT, quantity=1, amount=yuan(3990)),
            OrderLine(line_id=SHIPPING, kind="shipping", offer_id=None, product_id=None, quantity=1, amount=yuan(800)),
        ),
        terms=_TERMS,
        pay_by=moment(minutes=30),
        placed_at=moment(),
    ),
    OrderPaid(order_id=ORDER, at=moment(minutes=4)),
    OrderShipped(
        order_id=ORDER,
        shipment_id=an_id("shp"),
        lines=(ShippedLine(line_id=GOODS, quantity=1),),
        last=True,
        on_time=True,
        confirm_by=moment(days=11),
    ),
    OrderDelivered(order_id=ORDER, at=moment(days=2), evidence="carrier"),
    DeliveryConfirmed(
        order_id=ORDER,
        confirmed_by="buyer",
        confirmed_at=moment(days=3),
        return_until=moment(days=10, hours=14),
        net_amount=yuan(4790),
    ),
    OrderCompleted(
        order_id=ORDER,
        completed_at=moment(days=10, hours=15),
        net_amount=yuan(4790),
        shipped_on_time=True,
        repeat=False,
    ),
    OrderCancelled(order_id=ORDER, checkout_id=CHECKOUT, by="seller", reason_code="out_of_season", at=moment(hours=5)),
    OrderExpired(order_id=ORDER, checkout_id=CHECKOUT, at=moment(minutes=32)),
    LinesCancelled.model_validate(_one_box_back("cancelled", 3990, "none")),
    Repriced.model_validate(_one_box_back("repriced", 400, "none")),
    ReturnAccepted.model_validate(_one_box_back("returned", 3990, "returned")),
    DeadlineNear(about=ORDER, kind="confirm_by", due_at=moment(days=11), party=BUYER),
    CampaignOpened(**_CAMPAIGN, price=yuan(3990), quantity=0, closes_at=moment(days=7)),
    CampaignAmended(**_CAMPAIGN, price=yuan(3990), quantity=80, closes_at=moment(days=9)),
    CampaignSucceeded(**_CAMPAIGN, price=yuan(3590), quantity=214, closes_at=moment(days=9)),
    CampaignFailed(
        **_CAMPAIGN, price=yuan(3990), quantity=31, closes_at=moment(days=9), reason_code="threshold_not_reached"
    ),
)
