"""What the tribe service says: communities, their accords, consents, content and authors, wishes, shared costs."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictBool

from contracts.fact import At, AtLeastOne, Fact, Part, Several, Version
from contracts.ids import (
    CategoryCode,
    ConsentId,
    ContentId,
    MembershipId,
    OfferId,
    OrderId,
    PartnerId,
    PartnershipId,
    PersonId,
    RegionCode,
    RevisionId,
    SettlementId,
    TribeId,
    WishId,
)
from contracts.money import Bps, Money, Quantity

TribeRole = Literal["owner", "operator", "editor", "member"]
Purpose = Literal["delivery", "after_sales", "gathering", "offers"]
DataKind = Literal["name", "phone", "address"]
Weight = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class TribeFounded(Fact):
    """A partner has founded a tribe; `membership_id` is its first owner's."""

    type: ClassVar[str] = "tribe.founded.v1"
    subject_field: ClassVar[str] = "tribe_id"

    tribe_id: TribeId
    membership_id: MembershipId
    brought_by: PartnerId


class MemberJoined(Fact):
    """Somebody has joined under a pseudonym. `brought_by` is remembered, never paid for."""

    type: ClassVar[str] = "tribe.member_joined.v1"
    subject_field: ClassVar[str] = "membership_id"

    tribe_id: TribeId
    membership_id: MembershipId
    brought_by: PartnerId | None


class MemberLeft(Fact):
    """The member has left; whatever they had consented to towards this tribe's partners ends with it."""

    type: ClassVar[str] = "tribe.member_left.v1"
    subject_field: ClassVar[str] = "membership_id"

    tribe_id: TribeId
    membership_id: MembershipId
    brought_by: PartnerId | None


class RoleChanged(Fact):
    """This person now has this role in the tribe; no role: none any more. `version` counts per (tribe, person)."""

    type: ClassVar[str] = "tribe.role_changed.v1"
    subject_field: ClassVar[str] = "tribe_id"
    is_state: ClassVar[bool] = True

    tribe_id: TribeId
    person_id: PersonId
    role: TribeRole | None
    version: Version


class AccordActivated(Fact):
    """Every partner has signed: from `effective_from` these partnerships sell here and share by these rates."""

    type: ClassVar[str] = "tribe.accord_activated.v1"
    subject_field: ClassVar[str] = "tribe_id"
    is_state: ClassVar[bool] = True

    tribe_id: TribeId
    version: Version
    effective_from: At
    partnerships: AtLeastOne[PartnershipId]
    tribe_pool_bps: Bps
    author_bps: Bps


class TribePartnerLeft(Fact):
    """The partner has left the tribe: what it offers here is withdrawn, links to it end."""

    type: ClassVar[str] = "tribe.partner_left.v1"
    subject_field: ClassVar[str] = "tribe_id"

    tribe_id: TribeId
    partner_id: PartnerId
    partnership_id: PartnershipId


class _Consent(Fact):
    subject_field: ClassVar[str] = "consent_id"

    consent_id: ConsentId
    membership_id: MembershipId
    tribe_id: TribeId
    partner_id: PartnerId
    purpose: Purpose
    data_kinds: AtLeastOne[DataKind]
    version: Version


class ConsentGiven(_Consent):
    """The member lets this one partner see these kinds of data for this one purpose, until withdrawn."""

    type: ClassVar[str] = "tribe.consent_given.v1"


class ConsentWithdrawn(_Consent):
    """Access ended at this moment; the partner has until `acknowledge_by` to say that its copies are gone."""

    type: ClassVar[str] = "tribe.consent_withdrawn.v1"

    acknowledge_by: At


class ConsentAcknowledged(_Consent):
    """The partner says that it no longer holds what the withdrawn consent had shown it."""

    type: ClassVar[str] = "tribe.consent_acknowledged.v1"


class _Content(Fact):
    subject_field: ClassVar[str] = "content_id"
    is_state: ClassVar[bool] = True

    content_id: ContentId
    revision_id: RevisionId
    tribe_id: TribeId
    offer_ids: Several[OfferId]
    ad_label: StrictBool
    version: Version


class ContentPublished(_Content):
    """This revision is the stable one: it may be shared. With anything to buy in it, `ad_label` (广告) is true."""

    type: ClassVar[str] = "tribe.content_published.v1"


class ContentWithdrawn(_Content):
    """The content may no longer be shared or named on a checkout."""

    type: ClassVar[str] = "tribe.content_withdrawn.v1"


class Author(Part):
    """One author's part in the content, relative to the other authors' weights."""

    person_id: PersonId
    weight: Weight


class CreditsFrozen(Fact):
    """Who wrote what led to this order, decided once: later edits change nothing about it."""

    type: ClassVar[str] = "tribe.credits_frozen.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    content_id: ContentId
    revision_id: RevisionId
    authors: Several[Author]


class WishRipened(Fact):
    """Enough members want the same thing: a merchant may answer with a campaign."""

    type: ClassVar[str] = "tribe.wish_ripened.v1"
    subject_field: ClassVar[str] = "wish_id"

    wish_id: WishId
    tribe_id: TribeId
    quantity: Quantity
    highest_price: Money
    category: CategoryCode
    region_code: RegionCode | None


class CostPayment(Part):
    """What the tribe's pool owes one partner for costs it paid."""

    partner_id: PartnerId
    amount: Money


class CostsApproved(Fact):
    """These costs are the tribe's: its pool pays them, once per `settlement_id`."""

    type: ClassVar[str] = "tribe.costs_approved.v1"
    subject_field: ClassVar[str] = "settlement_id"

    settlement_id: SettlementId
    tribe_id: TribeId
    payments: AtLeastOne[CostPayment]
