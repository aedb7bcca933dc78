"""What other services say that orders need: state facts, the highest version wins."""

from dataclasses import replace

from chassis.decision import Applied, Ignored
from chassis.moment import Moment
from contracts.partner import (
    MerchantChanged,
    MerchantOpened,
    PartnershipActivated,
    PartnershipAmended,
    PartnershipEnded,
    PartnershipSuspended,
)
from contracts.tribe import ContentPublished, ContentWithdrawn
from services.order.goods import Agreed, Content, Merchant, Partnership

PartnershipFact = PartnershipActivated | PartnershipAmended | PartnershipSuspended | PartnershipEnded


def know_merchant(merchant: Merchant | None, fact: MerchantOpened | MerchantChanged, _at: Moment) -> Applied | Ignored:
    if merchant and fact.version <= merchant.version:
        return Ignored("older_version")
    return Applied((Merchant(fact.merchant_id, fact.state, fact.version),), reason="merchant_known")


def know_partnership(partnership: Partnership | None, fact: PartnershipFact, at: Moment) -> Applied | Ignored:
    """Terms that are agreed for later wait beside those in force, which orders are placed under until then."""
    if partnership and fact.version <= partnership.version:
        return Ignored("older_version")
    terms = Agreed(fact.terms.version, fact.terms.service_bps, fact.terms.effective_from)
    if partnership is None:
        partnership = Partnership(
            fact.partnership_id, fact.merchant_id, fact.partner_id, fact.state, terms, None, fact.version
        )
        return Applied((partnership,), reason="partnership_known")
    agreed, coming = _in_force(partnership, terms, at)
    changed = replace(partnership, state=fact.state, agreed=agreed, coming=coming, version=fact.version)
    return Applied((changed,), reason="partnership_known")


def _in_force(partnership: Partnership, terms: Agreed, at: Moment) -> tuple[Agreed, Agreed | None]:
    if terms.effective_from <= at.now:
        return terms, None
    before = partnership.coming
    if before and before.version != terms.version and before.effective_from <= at.now:
        return before, terms
    return partnership.agreed, terms if terms.version != partnership.agreed.version else None


def know_content(content: Content | None, fact: ContentPublished | ContentWithdrawn, _at: Moment) -> Applied | Ignored:
    if content and fact.version <= content.version:
        return Ignored("older_version")
    known = Content(fact.content_id, isinstance(fact, ContentPublished), fact.version)
    return Applied((known,), reason="content_known")
