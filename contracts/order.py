"""What the order service says: offers, orders and their deadlines, campaigns."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictBool

from contracts.fact import At, AtLeastOne, Fact, Goods, Part, ReasonCode, Token, Version
from contracts.ids import (
    CampaignId,
    ChangeId,
    CheckoutId,
    ContentId,
    LineId,
    MerchantId,
    OfferId,
    OrderId,
    OrderOrCampaignId,
    PartnerId,
    PartnershipId,
    PartyId,
    PersonId,
    ProductId,
    SellerId,
    ShipmentId,
    TribeId,
    WishId,
)
from contracts.money import Bps, Money, Quantity
from contracts.terms import Terms

PledgedQuantity = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]


class _Offer(Fact):
    subject_field: ClassVar[str] = "offer_id"
    is_state: ClassVar[bool] = True

    offer_id: OfferId
    product_id: ProductId
    seller: SellerId
    merchant_id: MerchantId
    partnership_id: PartnershipId | None
    tribe_id: TribeId | None
    price: Money
    angel_bps: Bps
    version: Version


class OfferPublished(_Offer):
    """This can be bought, at this price, from this seller; whoever brings a buyer earns `angel_bps` of it."""

    type: ClassVar[str] = "order.offer_published.v1"


class OfferWithdrawn(_Offer):
    """This can no longer be bought; orders already placed stand."""

    type: ClassVar[str] = "order.offer_withdrawn.v1"


class Checkout(Part):
    """The one act of buying that this order is part of: every order in it, and what they cost together."""

    checkout_id: CheckoutId
    order_ids: AtLeastOne[OrderId]
    amount: Money


class OrderLine(Part):
    """Goods, or the shipping of them. `amount` is the whole line's, not one piece's."""

    line_id: LineId
    kind: Literal["goods", "shipping"]
    offer_id: OfferId | None
    product_id: ProductId | None
    quantity: Quantity
    amount: Money


class OrderPlaced(Fact):
    """The buyer has committed to buy from one seller; who gets what of each line is pinned in `terms` from here on.

    `touch_token` is carried for distribution and read by nobody else.
    """

    type: ClassVar[str] = "order.placed.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    kind: Literal["retail", "wholesale", "campaign"]
    checkout: Checkout
    buyer: PersonId
    seller: SellerId
    merchant_id: MerchantId
    partner_id: PartnerId | None
    partnership_id: PartnershipId | None
    tribe_id: TribeId | None
    campaign_id: CampaignId | None
    content_id: ContentId | None
    touch_token: Token | None
    lines: AtLeastOne[OrderLine]
    terms: Terms
    pay_by: At
    placed_at: At


class OrderPaid(Fact):
    """The order service has heard that the money is held: the seller's time to ship runs."""

    type: ClassVar[str] = "order.paid.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    at: At


class ShippedLine(Part):
    """How much of a line is in the parcel."""

    line_id: LineId
    quantity: Quantity


class OrderShipped(Fact):
    """A parcel has left. With the `last` one, the time to confirm starts; `confirm_by` is None for a pickup."""

    type: ClassVar[str] = "order.shipped.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    shipment_id: ShipmentId
    lines: AtLeastOne[ShippedLine]
    last: StrictBool
    on_time: StrictBool
    confirm_by: At | None


class OrderDelivered(Fact):
    """Somebody says that the goods have arrived. Money does not move on this: the buyer has not spoken."""

    type: ClassVar[str] = "order.delivered.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    at: At
    evidence: Literal["seller", "carrier", "pickup_code"]


class DeliveryConfirmed(Fact):
    """The buyer has the goods. Money may move now, and only now.

    `net_amount` is what of the order is confirmed: its amount without the lines cancelled before. Facts may overtake
    each other, and while escrow holds more than this, a cancelled line is still on its way and must go back first.
    None where the producer does not say.
    """

    type: ClassVar[str] = "order.delivery_confirmed.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    confirmed_by: Literal["buyer", "pickup_code", "deadline", "ruling"]
    confirmed_at: At
    return_until: At
    net_amount: Money | None = None


class OrderCompleted(Fact):
    """The return window is over and no claim is open: nothing about this order changes any more.

    `net_amount` is what the buyer paid and did not get back; `repeat` when they had bought from this seller before.
    """

    type: ClassVar[str] = "order.completed.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    completed_at: At
    net_amount: Money
    shipped_on_time: StrictBool
    repeat: StrictBool


class OrderCancelled(Fact):
    """The order will not be carried out. Whatever was paid for it goes back, whole."""

    type: ClassVar[str] = "order.cancelled.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    checkout_id: CheckoutId
    by: Literal["buyer", "seller", "deadline", "ruling", "campaign"]
    reason_code: ReasonCode
    at: At


class OrderExpired(Fact):
    """Nobody paid in time; a payment that still arrives is given back."""

    type: ClassVar[str] = "order.expired.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    checkout_id: CheckoutId
    at: At


class LineRefund(Part):
    """How much of a line is taken back, in pieces and in money."""

    line_id: LineId
    quantity: Quantity
    amount: Money


class _LinesChanged(Fact):
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    change_id: ChangeId
    refunds: AtLeastOne[LineRefund]
    goods: Goods


class LinesCancelled(_LinesChanged):
    """These pieces will not be shipped; their money goes back, once per `change_id`."""

    type: ClassVar[str] = "order.lines_cancelled.v1"


class Repriced(_LinesChanged):
    """The campaign closed at a lower price: the difference goes back, the goods still come."""

    type: ClassVar[str] = "order.repriced.v1"


class ReturnAccepted(_LinesChanged):
    """Buyer and seller agree on a return; the money of these pieces goes back, once per `change_id`."""

    type: ClassVar[str] = "order.return_accepted.v1"


class DeadlineNear(Fact):
    """Something happens by itself at `due_at` unless `party` acts before."""

    type: ClassVar[str] = "order.deadline_near.v1"
    subject_field: ClassVar[str] = "about"

    about: OrderOrCampaignId
    kind: ReasonCode
    due_at: At
    party: PartyId | PersonId


class _Campaign(Fact):
    subject_field: ClassVar[str] = "campaign_id"

    campaign_id: CampaignId
    wish_id: WishId | None
    tribe_id: TribeId
    partner_id: PartnerId
    merchant_id: MerchantId
    price: Money
    quantity: PledgedQuantity
    closes_at: At
    angel_budget: Money


class CampaignOpened(_Campaign):
    """The group buy takes pledges until `closes_at`; `price` is the first step's, it can only fall."""

    type: ClassVar[str] = "order.campaign_opened.v1"


class CampaignAmended(_Campaign):
    """The campaign's conditions changed: every pledge is asked again, and silence leaves."""

    type: ClassVar[str] = "order.campaign_amended.v1"


class CampaignSucceeded(_Campaign):
    """Enough pledged: `quantity` is sold at `price`, every pledge has been told, the goods will ship."""

    type: ClassVar[str] = "order.campaign_succeeded.v1"


class CampaignFailed(_Campaign):
    """The campaign is off; every pledge is given back."""

    type: ClassVar[str] = "order.campaign_failed.v1"

    reason_code: ReasonCode
