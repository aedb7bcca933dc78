"""Samples of what the tribe service says."""

from typing import TypedDict

from contracts.fact import Fact
from contracts.samples.story import (
    AUTHOR,
    CONTENT,
    MEMBERSHIP,
    OFFER,
    ORDER,
    PARTNER,
    PARTNERSHIP,
    REGION,
    REVISION,
    SETTLEMENT,
    STAFF,
    TRIBE,
    WISH,
    an_id,
    moment,
    yuan,
)
from contracts.tribe import (
    AccordActivated,
    Author,
    ConsentAcknowledged,
    ConsentGiven,
    ConsentWithdrawn,
    ContentPublished,
    ContentWithdrawn,
    CostPayment,
    CostsApproved,
    CreditsFrozen,
    DataKind,
    MemberJoined,
    MemberLeft,
    Purpose,
    RoleChanged,
    TribeFounded,
    TribePartnerLeft,
    WishRipened,
)


class _Consent(TypedDict):
    consent_id: str
    membership_id: str
    tribe_id: str
    partner_id: str
    purpose: Purpose
    data_kinds: tuple[DataKind, ...]


class _Content(TypedDict):
    content_id: str
    revision_id: str
    tribe_id: str
    offer_ids: tuple[str, ...]
    ad_label: bool


_CONSENT = _Consent(
    consent_id=an_id("cns"),
    membership_id=MEMBERSHIP,
    tribe_id=TRIBE,
    partner_id=PARTNER,
    purpose="gathering",
    data_kinds=("name", "phone"),
)
_CONTENT = _Content(content_id=CONTENT, revision_id=REVISION, tribe_id=TRIBE, offer_ids=(OFFER,), ad_label=True)

SAMPLES: tuple[Fact, ...] = (
    TribeFounded(tribe_id=TRIBE, membership_id=an_id("mbr", "founder"), brought_by=PARTNER),
    MemberJoined(tribe_id=TRIBE, membership_id=MEMBERSHIP, brought_by=PARTNER),
    MemberLeft(tribe_id=TRIBE, membership_id=MEMBERSHIP, brought_by=PARTNER),
    RoleChanged(tribe_id=TRIBE, person_id=STAFF, role="editor", version=1),
    AccordActivated(
        tribe_id=TRIBE,
        version=1,
        effective_from=moment(days=7),
        partnerships=(PARTNERSHIP, an_id("pst", "tea")),
        tribe_pool_bps=200,
        author_bps=100,
    ),
    TribePartnerLeft(tribe_id=TRIBE, partner_id=PARTNER, partnership_id=PARTNERSHIP),
    ConsentGiven(**_CONSENT, version=1),
    ConsentWithdrawn(**_CONSENT, version=2, acknowledge_by=moment(hours=72)),
    ConsentAcknowledged(**_CONSENT, version=3),
    ContentPublished(**_CONTENT, version=1),
    ContentWithdrawn(**_CONTENT, version=2),
    CreditsFrozen(
        order_id=ORDER,
        content_id=CONTENT,
        revision_id=REVISION,
        authors=(Author(person_id=AUTHOR, weight=3), Author(person_id=STAFF, weight=1)),
    ),
    WishRipened(
        wish_id=WISH, tribe_id=TRIBE, quantity=120, highest_price=yuan(4500), category="fruit", region_code=REGION
    ),
    CostsApproved(
        settlement_id=SETTLEMENT, tribe_id=TRIBE, payments=(CostPayment(partner_id=PARTNER, amount=yuan(36000)),)
    ),
)
