"""Who gets which share: Terms v1 as they are pinned, and the limits of the settlement rail."""

from collections.abc import Sequence

from contracts.ids import PLATFORM
from contracts.money import WHOLE_BPS, allot
from contracts.terms import LineTerms, Share, Terms
from services.order.goods import Offer
from services.order.refusals import RailExceeded
from services.order.windows import Rules


def shares_of(offer: Offer, service_bps: int, rules: Rules) -> tuple[Share, ...]:
    """The split of a line bought by this offer, in the tie order of ROLES.

    A partner who sells its own stock is the seller: its reward is its margin, no partner's share. The seller has what
    nobody else has. The angel is named later, or never: then the share falls to the seller.
    """
    partner_bps = service_bps if offer.partner_id and offer.partner_id != offer.seller else 0
    others = [
        Share(role="partner", payee=offer.partner_id, bps=partner_bps, matures="release"),
        Share(role="angel", payee=None, bps=offer.angel_bps, matures="completion"),
        Share(role="platform", payee=PLATFORM, bps=rules.platform_bps, matures="release"),
    ]
    given = [share for share in others if share.bps]
    rest = WHOLE_BPS - sum(share.bps for share in given)
    if rest < WHOLE_BPS - rules.rail_max_bps:
        raise RailExceeded({}, {"max_bps": rules.rail_max_bps, "bps": WHOLE_BPS - rest})
    return (Share(role="seller", payee=offer.seller, bps=rest, matures="release"), *given)


def terms_of(lines: Sequence[tuple[str, tuple[Share, ...]]], rules: Rules) -> Terms:
    """The terms of an order, from (line_id, shares). The rail takes only so many legs of one payment."""
    legs = sum(len(shares) for _, shares in lines)
    if legs > rules.rail_legs_max:
        raise RailExceeded({}, {"max_legs": rules.rail_legs_max, "legs": legs})
    return Terms(lines=tuple(LineTerms(line_id=line_id, shares=shares) for line_id, shares in lines))


def planned(amount: int, shares: Sequence[Share]) -> list[int]:
    """What each share of a line comes to, in minor units; together the line's amount."""
    return allot(amount, [share.bps for share in shares])
