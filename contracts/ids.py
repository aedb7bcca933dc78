"""Ids: a prefix that says what it names, then a UUIDv7 as 32 hex digits: `ord_0199f3...`.

They sort by birth, cannot be guessed, and carry their own age, so a service can tell "too young to have heard of"
from "does not exist" (decision 0001).
"""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints


def _id(prefix: str) -> StringConstraints:
    return StringConstraints(pattern=f"^{prefix}_[0-9a-f]{{32}}$", strict=True)


PersonId = Annotated[str, _id("per")]
MerchantId = Annotated[str, _id("mch")]
PartnerId = Annotated[str, _id("prt")]
PartnershipId = Annotated[str, _id("pst")]
ApplicationId = Annotated[str, _id("apl")]
TribeId = Annotated[str, _id("trb")]
AccordId = Annotated[str, _id("acd")]
MembershipId = Annotated[str, _id("mbr")]
ConsentId = Annotated[str, _id("cns")]
ContentId = Annotated[str, _id("cnt")]
RevisionId = Annotated[str, _id("rev")]
QuestionId = Annotated[str, _id("qst")]
AnswerId = Annotated[str, _id("ans")]
WishId = Annotated[str, _id("wsh")]
GatheringId = Annotated[str, _id("gth")]
CostId = Annotated[str, _id("cst")]
SettlementId = Annotated[str, _id("stl")]
PickupPointId = Annotated[str, _id("pkp")]
ProductId = Annotated[str, _id("prd")]
VariantId = Annotated[str, _id("var")]
OfferId = Annotated[str, _id("off")]
QuoteId = Annotated[str, _id("qte")]
CheckoutId = Annotated[str, _id("chk")]
OrderId = Annotated[str, _id("ord")]
LineId = Annotated[str, _id("lin")]
ShipmentId = Annotated[str, _id("shp")]
ReturnId = Annotated[str, _id("ret")]
CampaignId = Annotated[str, _id("cmp")]
PledgeId = Annotated[str, _id("plg")]
ChangeId = Annotated[str, _id("chg")]
PaymentId = Annotated[str, _id("pay")]
LegId = Annotated[str, _id("leg")]
EntryId = Annotated[str, _id("ent")]
DisputeId = Annotated[str, _id("dsp")]
RefundId = Annotated[str, _id("rfd")]
PayoutId = Annotated[str, _id("out")]
LinkId = Annotated[str, _id("lnk")]
TouchId = Annotated[str, _id("tch")]
CommissionId = Annotated[str, _id("com")]
RecipientId = Annotated[str, _id("rcp")]
KeyId = Annotated[str, _id("key")]
OperationId = Annotated[str, _id("opn")]
EventId = Annotated[str, _id("evt")]
EndpointId = Annotated[str, _id("whe")]
DeliveryId = Annotated[str, _id("dlv")]

AnyId = Annotated[str, StringConstraints(pattern="^[a-z]{3}_[0-9a-f]{32}$", strict=True)]
"""The id of a thing whose kind does not matter here, for instance whatever caused a refund."""
OrderOrCampaignId = Annotated[str, StringConstraints(pattern="^(ord|cmp)_[0-9a-f]{32}$", strict=True)]

PartyId = Annotated[str, StringConstraints(pattern=r"^(mch|prt|trb)_[0-9a-f]{32}$|^platform$", strict=True)]
"""Who can be acted for: a merchant, a partner, a tribe, or the platform itself."""
SellerId = Annotated[str, StringConstraints(pattern=r"^(mch|prt)_[0-9a-f]{32}$", strict=True)]
PayeeId = Annotated[str, StringConstraints(pattern=r"^(per|mch|prt|trb)_[0-9a-f]{32}$|^platform$", strict=True)]
"""Who can be paid."""
PLATFORM = "platform"

RegionCode = Annotated[str, StringConstraints(pattern="^[1-9][0-9]{5}$", strict=True)]
"""A region by GB/T 2260: six digits, province, city, county: 320500 is Suzhou."""
CategoryCode = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,31}$", strict=True)]
"""A category of goods: `fruit`, `tea-ware`."""
GroupCode = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,31}$", strict=True)]
"""A group of partners that share one wholesale ladder: `standard`, `founders`."""


def format_id(prefix: str, uuid: UUID) -> str:
    return f"{prefix}_{uuid.hex}"


def born_at(an_id: str) -> datetime | None:
    """The moment an id was made, from its UUIDv7 part; None for what is not such an id."""
    _, _, digits = an_id.partition("_")
    if len(digits) != 32:
        return None
    try:
        return datetime.fromtimestamp(int(digits[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
