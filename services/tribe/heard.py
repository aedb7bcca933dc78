"""What this service knows from others: partnerships and offers, the highest version of each."""

from dataclasses import dataclass
from typing import Literal

from chassis.decision import Applied, Ignored
from chassis.moment import Moment
from contracts.order import OfferPublished, OfferWithdrawn
from contracts.partner import (
    PartnershipActivated,
    PartnershipAmended,
    PartnershipEnded,
    PartnershipState,
    PartnershipSuspended,
)

PartnershipFact = PartnershipActivated | PartnershipAmended | PartnershipSuspended | PartnershipEnded


@dataclass(frozen=True, slots=True)
class Partnership:
    """What the partner service last said of a partnership: who may found and invite."""

    partnership_id: str
    merchant_id: str
    partner_id: str
    state: PartnershipState
    version: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What the order service last said of an offer: whether content may lead to it."""

    offer_id: str
    tribe_id: str | None
    state: Literal["published", "withdrawn"]
    version: int


def partnership_changed(known: Partnership | None, fact: PartnershipFact, _at: Moment) -> Applied | Ignored:
    """State fact: the highest version is the truth, in whatever order they arrive."""
    if known and fact.version <= known.version:
        return Ignored("older_version")
    changed = Partnership(fact.partnership_id, fact.merchant_id, fact.partner_id, fact.state, fact.version)
    return Applied((changed,), reason=f"partnership_{fact.state}")


def offer_changed(known: Offer | None, fact: OfferPublished | OfferWithdrawn, _at: Moment) -> Applied | Ignored:
    """State fact, as above."""
    if known and fact.version <= known.version:
        return Ignored("older_version")
    state: Literal["published", "withdrawn"] = "withdrawn" if isinstance(fact, OfferWithdrawn) else "published"
    return Applied((Offer(fact.offer_id, fact.tribe_id, state, fact.version),), reason=f"offer_{state}")
