"""What the partner service says: merchants, who acts for whom, applications, partnerships, pickup points."""

from typing import ClassVar, Literal

from contracts.fact import At, Fact, Part, ReasonCode, Several, Version
from contracts.ids import (
    ApplicationId,
    CategoryCode,
    GroupCode,
    MerchantId,
    PartnerId,
    PartnershipId,
    PartyId,
    PersonId,
    PickupPointId,
    RegionCode,
)
from contracts.money import Bps, Money

MerchantState = Literal["open", "suspended", "closed"]
StaffRole = Literal["owner", "staff", "pickup", "ops", "arbiter"]
PartnershipState = Literal["trial", "active", "suspended", "ended"]


class _Merchant(Fact):
    subject_field: ClassVar[str] = "merchant_id"
    is_state: ClassVar[bool] = True

    merchant_id: MerchantId
    state: MerchantState
    values_version: Version
    categories: Several[CategoryCode]
    version: Version


class MerchantOpened(_Merchant):
    """The merchant has published its values and may sell from now on."""

    type: ClassVar[str] = "partner.merchant_opened.v1"


class MerchantChanged(_Merchant):
    """The merchant's whole present state; while it is not open, nothing new is sold in its name."""

    type: ClassVar[str] = "partner.merchant_changed.v1"


class StaffChanged(Fact):
    """This person now acts for this party in this role; no role: no longer at all.

    `version` counts per (party, person): two people's facts about one party do not outdate each other.
    """

    type: ClassVar[str] = "partner.staff_changed.v1"
    subject_field: ClassVar[str] = "party_id"
    is_state: ClassVar[bool] = True

    party_id: PartyId
    person_id: PersonId
    role: StaffRole | None
    version: Version


class ApplicationSubmitted(Fact):
    """Merchant and would-be partner are now looking at each other; either side opened it."""

    type: ClassVar[str] = "partner.application_submitted.v1"
    subject_field: ClassVar[str] = "application_id"

    application_id: ApplicationId
    merchant_id: MerchantId
    partner_id: PartnerId


class ApplicationDecided(Fact):
    """The application is over: both agreed, one rejected it with a reason, or it was withdrawn."""

    type: ClassVar[str] = "partner.application_decided.v1"
    subject_field: ClassVar[str] = "application_id"

    application_id: ApplicationId
    merchant_id: MerchantId
    partner_id: PartnerId
    outcome: Literal["agreed", "rejected", "withdrawn"]
    reason_code: ReasonCode | None


class PartnershipLimits(Part):
    """How far the partner may go before the merchant is asked; None is no limit."""

    max_order_amount: Money | None


class PartnershipTerms(Part):
    """What both sides accepted; `version` counts their agreements, not the partnership's states."""

    version: Version
    service_bps: Bps
    group: GroupCode
    limits: PartnershipLimits
    effective_from: At


class _Partnership(Fact):
    subject_field: ClassVar[str] = "partnership_id"
    is_state: ClassVar[bool] = True

    partnership_id: PartnershipId
    merchant_id: MerchantId
    partner_id: PartnerId
    state: PartnershipState
    terms: PartnershipTerms
    regions: Several[RegionCode]
    version: Version


class PartnershipActivated(_Partnership):
    """The partner may sell for the merchant under these terms, on trial or for good."""

    type: ClassVar[str] = "partner.partnership_activated.v1"


class PartnershipAmended(_Partnership):
    """Both sides accepted new terms; orders already placed keep the ones they were placed under."""

    type: ClassVar[str] = "partner.partnership_amended.v1"


class PartnershipSuspended(_Partnership):
    """Nothing new is sold under this partnership until it is activated again; open orders go on."""

    type: ClassVar[str] = "partner.partnership_suspended.v1"


class PartnershipEnded(_Partnership):
    """The partnership is over for good; open orders and campaigns go on under their pinned terms."""

    type: ClassVar[str] = "partner.partnership_ended.v1"


class PickupPointChanged(Fact):
    """Goods can (open) or can no longer (closed) be fetched here. The address is not in the fact."""

    type: ClassVar[str] = "partner.pickup_point_changed.v1"
    subject_field: ClassVar[str] = "pickup_point_id"
    is_state: ClassVar[bool] = True

    pickup_point_id: PickupPointId
    partner_id: PartnerId
    region_code: RegionCode
    state: Literal["open", "closed"]
    version: Version
