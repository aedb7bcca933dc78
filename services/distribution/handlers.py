"""One pure function per message: what distribution decides."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chassis import grants, policy
from chassis.decision import Applied, Ignored, InvalidRequest, NotYet, Refused, Said, say
from chassis.grants import Grant
from chassis.moment import Moment
from chassis.touches import unknown
from contracts.distribution import (
    AngelJoined,
    Attributed,
    AttributedLine,
    CommissionPending,
    CommissionReversed,
)
from contracts.escrow import Held, Refunded, Released
from contracts.money import Money
from contracts.order import OfferPublished, OfferWithdrawn, OrderLine, OrderPlaced
from contracts.partner import StaffChanged
from contracts.tribe import ContentPublished, ContentWithdrawn
from services.distribution import commission as commissions_
from services.distribution import domain
from services.distribution.commands import Join, Open, Share
from services.distribution.commission import Commission
from services.distribution.domain import (
    Angel,
    Attribution,
    Content,
    Evidence,
    Line,
    Offer,
    PersonTouches,
    Rules,
    ShareLink,
    Staff,
    Touch,
)

ReadTouch = Callable[[str], Touch | None]


class NotAnAngel(Refused):
    status, code = 403, "not_an_angel"


class OfferGone(Refused):
    status, code = 409, "offer_withdrawn"


class ContentGone(Refused):
    status, code = 409, "content_withdrawn"


class LinkExpired(Refused):
    status, code = 410, "link_expired"


# --- commands ---------------------------------------------------------------------------------------------------------


def join(rules: Rules, angel: Angel | None, command: Join, at: Moment) -> Applied | Ignored:
    """One call and no fee makes an angel. Repeating it changes nothing; newer rules are accepted the same way."""
    person_id = policy.require_person(command.caller)
    if command.rules_version != rules.version:
        raise InvalidRequest.at("/rules_version", f"the rules in force are version {rules.version}")
    if angel is None:
        angel = Angel(person_id, rules.version, at.now)
        return Applied((angel,), (say(AngelJoined(person_id=person_id), person_id),), reply=angel, reason="joined")
    if angel.rules_version == rules.version:
        return Applied(reply=angel)
    angel = replace(angel, rules_version=rules.version)
    return Applied((angel,), reply=angel, reason="rules_accepted")


def share(
    rules: Rules, angel: Angel | None, offer: Offer | None, content: Content | None, command: Share, at: Moment
) -> Applied:
    """A link leads to what is published, and to nothing else."""
    policy.require_person(command.caller)
    if angel is None:
        raise NotAnAngel
    target = command.offer_id or command.content_id or ""
    found = offer or content
    if found is None:
        raise unknown(target, at)
    if found.withdrawn:
        raise OfferGone if offer else ContentGone
    link = ShareLink(at.id("lnk"), angel.person_id, target, at.now, rules.link_until(at.now))
    return Applied((link,), reply=(link, command.language), reason="shared")


def open_link(
    rules: Rules,
    link: ShareLink,
    offer: Offer | None,
    content: Content | None,
    known: PersonTouches | None,
    command: Open,
    at: Moment,
) -> Applied:
    """Every opening of a living link is a touch; a signed-in person's is remembered with them, too."""
    target = offer or content
    if at.now >= link.expires_at or target is None or target.withdrawn:
        raise LinkExpired
    person_id = command.caller.person_id
    touch = Touch(at.id("tch"), link.link_id, link.angel, link.target, at.now, person_id)
    if person_id is None:
        return Applied((touch,), reply=touch)
    known = known or PersonTouches(person_id, ())
    return Applied((touch, known.adding(touch, rules)), reply=touch, reason="touched")


# --- what others say --------------------------------------------------------------------------------------------------


def offer_changed(offer: Offer | None, fact: OfferPublished | OfferWithdrawn, _at: Moment) -> Applied | Ignored:
    if offer and fact.version <= offer.version:
        return Ignored("older_version")
    withdrawn = isinstance(fact, OfferWithdrawn)
    return Applied((Offer(fact.offer_id, withdrawn, fact.version),), reason="offer_changed")


def content_changed(
    content: Content | None, fact: ContentPublished | ContentWithdrawn, _at: Moment
) -> Applied | Ignored:
    if content and fact.version <= content.version:
        return Ignored("older_version")
    withdrawn = isinstance(fact, ContentWithdrawn)
    changed = Content(fact.content_id, tuple(fact.offer_ids), withdrawn, fact.version)
    return Applied((changed,), reason="content_changed")


def staff_changed(grant: Grant | None, staff: Staff | None, fact: StaffChanged, at: Moment) -> Applied | Ignored:
    """The grant, and the set of people who cannot be this party's angels."""
    outcome = grants.staff_changed(grant, fact, at)
    if isinstance(outcome, Ignored):
        return outcome
    staff = (staff or Staff(fact.party_id, ())).with_role(fact.person_id, fact.role)
    return replace(outcome, changed=(*outcome.changed, staff))


def evidence_touches(read: ReadTouch, fact: OrderPlaced, known: PersonTouches | None) -> tuple[Touch, ...]:
    """The order's own token first, then the buyer's touches, latest first."""
    carried = read(fact.touch_token) if fact.touch_token else None
    remembered = known.touches[::-1] if known else ()
    return (*((carried,) if carried else ()), *remembered)


def contents_touched(read: ReadTouch) -> Callable[..., tuple[str, ...]]:
    """Keys of the content that the order's touches lead to. It was there when their links were made."""
    return lambda fact, known: domain.targets(evidence_touches(read, fact, known))


def attribute(
    rules: Rules,
    read: ReadTouch,
    known: PersonTouches | None,
    contents: tuple[Content, ...],
    staff: Staff | None,
    fact: OrderPlaced,
    at: Moment,
) -> Applied:
    """Decided once, for every line; said for every order, also when nobody brought it."""
    evidence = Evidence(
        touches=evidence_touches(read, fact, known),
        unreadable_token=fact.touch_token is not None and read(fact.touch_token) is None,
        contents={content.content_id: content for content in contents},
        staff=frozenset(staff.people if staff else ()),
    )
    lines = [domain.bring(fact, line, evidence, rules) for line in fact.lines]
    named = tuple(replace(line, commission_id=at.id("com", line.line_id)) if line.angel else line for line in lines)
    attribution = Attribution(fact.order_id, fact.buyer, fact.seller, fact.placed_at, named)
    earned = tuple(
        plan(fact, bought, line) for bought, line in zip(fact.lines, named, strict=True) if line.commission_id
    )
    return Applied((attribution, *earned), (_attributed(attribution),), reason="attributed")


def plan(order: OrderPlaced, bought: OrderLine, line: Line) -> Commission:
    """The commission of a line that an angel brought, before any money is there."""
    assert line.angel and line.commission_id  # noqa: S101, PT018 - the caller asks for brought lines only
    shares = domain.shares_of(order, bought)
    weights = tuple(share.bps for share in shares)
    place = [share.role for share in shares].index("angel")
    planned = commissions_.share_of(bought.amount.amount, weights, place)
    return Commission(
        line.commission_id, order.order_id, line.line_id, line.angel, order.buyer, bought.amount.currency,
        "awaiting_payment", bought.amount.amount, weights, place, planned, planned,
    )  # fmt: skip


def _attributed(attribution: Attribution) -> Said:
    lines = tuple(
        AttributedLine(line_id=each.line_id, angel=each.angel, touch_id=each.touch_id, reason_code=each.reason_code)
        for each in attribution.lines
    )
    angels = [each.angel for each in attribution.lines]
    return say(Attributed(order_id=attribution.order_id, lines=lines), attribution.seller, *angels)


# --- commissions follow the money -------------------------------------------------------------------------------------


def hold(_attribution: Attribution, commissions: tuple[Commission, ...], _fact: Held, _at: Moment) -> Applied | Ignored:
    waiting = [each for each in commissions if not each.held]
    if not waiting:
        return Ignored("already_held" if commissions else "no_commission")
    changed = tuple(commissions_.hold(each) for each in waiting)
    facts = tuple(_say(CommissionPending, each, each.kept) for each in changed if each.state == "pending")
    return Applied(changed, facts, reason="money_held")


def release(
    _attribution: Attribution, commissions: tuple[Commission, ...], fact: Released, _at: Moment
) -> Applied | Ignored:
    if not all(each.held for each in commissions):
        raise NotYet("not_yet_held")
    waiting = [each for each in commissions if each.released is None]
    if not waiting:
        return Ignored("already_released" if commissions else "no_commission")
    legs = {leg.line_id: leg for leg in fact.legs if leg.role == "angel"}
    pairs = []
    for each in waiting:
        leg = legs.get(each.line_id)
        after = commissions_.release(each, leg.leg_id if leg else None, leg.amount.amount if leg else 0)
        pairs.append((each, after))
    return Applied(tuple(after for _, after in pairs), _lost(pairs), reason="money_released")


def refund(
    _attribution: Attribution, commissions: tuple[Commission, ...], fact: Refunded, _at: Moment
) -> Applied | Ignored:
    """Out of the hold by line, out of released legs by leg: the two never mix in one commission's arithmetic."""
    late = any(each.source != "hold" for each in fact.reversed)
    if late and any(each.released is None for each in commissions):
        raise NotYet("not_yet_released")
    pairs = [(each, _refunded(each, fact, late=late)) for each in commissions]
    pairs = [(before, after) for before, after in pairs if before != after]
    if not pairs:
        return Ignored("no_commission_refunded")
    return Applied(tuple(after for _, after in pairs), _lost(pairs), reason="money_refunded")


def _refunded(commission: Commission, fact: Refunded, *, late: bool) -> Commission:
    by_line = sum(each.amount.amount for each in fact.lines if each.line_id == commission.line_id)
    by_leg = sum(each.amount.amount for each in fact.reversed if each.leg_id == commission.leg_id)
    return commissions_.refund(
        commission, from_hold=0 if late else by_line, from_leg=by_leg if late else 0, complete=fact.complete
    )


def _lost(pairs: list[tuple[Commission, Commission]]) -> tuple[Said, ...]:
    """One fact per commission that had been promised and is smaller now."""
    return tuple(
        _say(CommissionReversed, after, before.kept - after.kept)
        for before, after in pairs
        if before.held and after.kept < before.kept
    )


def _say(kind: type[Any], commission: Commission, amount: int) -> Said:
    fact = kind(
        commission_id=commission.commission_id,
        order_id=commission.order_id,
        line_id=commission.line_id,
        amount=Money(amount=amount, currency=commission.currency),
    )
    return say(fact, commission.angel)
