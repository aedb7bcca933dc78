"""Samples of what the partner service says."""

from typing import TypedDict

from contracts.fact import Fact
from contracts.partner import (
    ApplicationDecided,
    ApplicationSubmitted,
    MerchantChanged,
    MerchantOpened,
    PartnershipActivated,
    PartnershipAmended,
    PartnershipEnded,
    PartnershipLimits,
    PartnershipSuspended,
    PartnershipTerms,
    PickupPointChanged,
    StaffChanged,
)
from contracts.samples.story import MERCHANT, PARTNER, PARTNERSHIP, REGION, STAFF, an_id, moment, yuan


class _Partnership(TypedDict):
    partnership_id: str
    merchant_id: str
    partner_id: str
    regions: tuple[str, ...]


_APPLICATION = an_id("apl")
_PARTNERSHIP = _Partnership(
    partnership_id=PARTNERSHIP, merchant_id=MERCHANT, partner_id=PARTNER, regions=(REGION, "310000")
)


def _terms(version: int, service_bps: int) -> PartnershipTerms:
    limits = PartnershipLimits(max_order_amount=yuan(5_000_000))
    return PartnershipTerms(
        version=version, service_bps=service_bps, group="founders", limits=limits, effective_from=moment(days=7)
    )


SAMPLES: tuple[Fact, ...] = (
    MerchantOpened(merchant_id=MERCHANT, state="open", values_version=1, categories=("fruit",), version=1),
    MerchantChanged(merchant_id=MERCHANT, state="open", values_version=2, categories=("fruit", "honey"), version=2),
    StaffChanged(party_id=MERCHANT, person_id=STAFF, role="staff", version=1),
    ApplicationSubmitted(application_id=_APPLICATION, merchant_id=MERCHANT, partner_id=PARTNER),
    ApplicationDecided(
        application_id=_APPLICATION, merchant_id=MERCHANT, partner_id=PARTNER, outcome="agreed", reason_code=None
    ),
    PartnershipActivated(**_PARTNERSHIP, state="trial", terms=_terms(1, 800), version=1),
    PartnershipAmended(**_PARTNERSHIP, state="active", terms=_terms(2, 1000), version=3),
    PartnershipSuspended(**_PARTNERSHIP, state="suspended", terms=_terms(2, 1000), version=4),
    PartnershipEnded(**_PARTNERSHIP, state="ended", terms=_terms(2, 1000), version=5),
    PickupPointChanged(pickup_point_id=an_id("pkp"), partner_id=PARTNER, region_code=REGION, state="open", version=1),
)
