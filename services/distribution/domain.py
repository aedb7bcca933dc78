"""Who brought whom: angels, links, touches, and the attribution of an order. One level: no angel ever names another."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from contracts.order import OrderLine, OrderPlaced
from contracts.terms import Share

CONTENT = "cnt_"


@dataclass(frozen=True, slots=True)
class Rules:
    """The published rules. Windows in days end at 24:00 of their last day in `zone`."""

    version: int
    link_days: int
    window_days: int
    touches_max: int
    zone: ZoneInfo

    def link_until(self, made_at: datetime) -> datetime:
        return _end_of_day(made_at, self.link_days, self.zone)

    def counts_until(self, touched_at: datetime) -> datetime:
        """The moment from which an order no longer counts for this touch."""
        return _end_of_day(touched_at, self.window_days, self.zone)


def _end_of_day(start: datetime, days: int, zone: ZoneInfo) -> datetime:
    after = start.astimezone(zone).date() + timedelta(days=days + 1)
    return datetime.combine(after, time(), zone).astimezone(start.tzinfo)


@dataclass(frozen=True, slots=True)
class Angel:
    """A person who accepted the rules. Nothing was paid, and nobody is remembered as having brought them."""

    person_id: str
    rules_version: int
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """What order says of an offer: may a link lead to it?"""

    offer_id: str
    withdrawn: bool
    version: int


@dataclass(frozen=True, slots=True)
class Content:
    """What tribe says of a piece of content: may a link lead to it, and what can be bought there?"""

    content_id: str
    offer_ids: tuple[str, ...]
    withdrawn: bool
    version: int


@dataclass(frozen=True, slots=True)
class Staff:
    """Everybody with a role at a party: they earn nothing from selling their own employer's goods."""

    party_id: str
    people: tuple[str, ...]

    def with_role(self, person_id: str, role: str | None) -> "Staff":
        others = {person for person in self.people if person != person_id}
        return Staff(self.party_id, tuple(sorted(others | {person_id} if role else others)))


@dataclass(frozen=True, slots=True)
class ShareLink:
    """An angel's link to one `target`: an offer or a piece of content."""

    link_id: str
    angel: str
    target: str
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Touch:
    """Somebody opened a link: the one who did, if signed in. Carried by the client as a signed statement, too."""

    touch_id: str
    link_id: str
    angel: str
    target: str
    touched_at: datetime
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class PersonTouches:
    """A signed-in person's latest touches, oldest first: what an order of theirs is attributed by."""

    person_id: str
    touches: tuple[Touch, ...]

    def adding(self, touch: Touch, rules: Rules) -> "PersonTouches":
        """With one touch more; without those whose window is over, and never more than `touches_max`."""
        alive = tuple(each for each in self.touches if touch.touched_at < rules.counts_until(each.touched_at))
        return PersonTouches(self.person_id, (*alive, touch)[-rules.touches_max :])


@dataclass(frozen=True, slots=True)
class Line:
    """Who brought one order line: at most one angel, or none and why."""

    line_id: str
    angel: str | None
    touch_id: str | None
    touched_at: datetime | None
    reason_code: str
    commission_id: str | None = None


@dataclass(frozen=True, slots=True)
class Attribution:
    """Decided once per order, for every line; it never changes afterwards."""

    order_id: str
    buyer: str
    seller: str
    placed_at: datetime
    lines: tuple[Line, ...]

    @property
    def commission_ids(self) -> tuple[str, ...]:
        return tuple(line.commission_id for line in self.lines if line.commission_id)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about how the buyer came. `touches`: the order's own token first, then theirs, latest first."""

    touches: tuple[Touch, ...]
    unreadable_token: bool
    contents: Mapping[str, Content]
    staff: frozenset[str]


def targets(touches: tuple[Touch, ...]) -> tuple[str, ...]:
    """The pieces of content that these touches lead to."""
    return tuple(dict.fromkeys(touch.target for touch in touches if touch.target.startswith(CONTENT)))


def bring(order: OrderPlaced, line: OrderLine, evidence: Evidence, rules: Rules) -> Line:
    """The line goes to the angel of the latest valid touch; to nobody if that is the buyer or the seller's staff."""
    if line.kind != "goods":
        return _nobody(line, "not_goods")
    if not any(share.role == "angel" and share.bps for share in shares_of(order, line)):
        return _nobody(line, "no_angel_share")
    faults = [(touch, _fault(touch, order, line, evidence, rules)) for touch in evidence.touches]
    valid = [touch for touch, fault in faults if fault is None]
    if not valid:
        return _nobody(line, _why_nobody(evidence, [fault for _, fault in faults if fault]))
    latest = max(valid, key=lambda touch: (touch.touched_at, touch.touch_id))
    if latest.angel == order.buyer:
        return _nobody(line, "self_purchase")
    if latest.angel in evidence.staff:
        return _nobody(line, "seller_staff")
    return Line(line.line_id, latest.angel, latest.touch_id, latest.touched_at, "last_valid_touch")


def shares_of(order: OrderPlaced, line: OrderLine) -> tuple[Share, ...]:
    """The pinned split of a line; empty if the terms do not mention it."""
    return next((terms.shares for terms in order.terms.lines if terms.line_id == line.line_id), ())


def _nobody(line: OrderLine, reason_code: str) -> Line:
    return Line(line.line_id, None, None, None, reason_code)


def _why_nobody(evidence: Evidence, faults: list[str]) -> str:
    """The first thing a person would ask about: the token they carried, then their latest touch."""
    if evidence.unreadable_token:
        return "touch_invalid"
    return faults[0] if faults else "no_touch"


def _fault(touch: Touch, order: OrderPlaced, line: OrderLine, evidence: Evidence, rules: Rules) -> str | None:
    """Why this touch cannot have brought this line, if it cannot. The window is business time, at both of its ends."""
    if touch.touched_at >= order.placed_at:
        return "touch_after_order"
    if order.placed_at >= rules.counts_until(touch.touched_at):
        return "touch_expired"
    if not _leads_to(touch, order, line, evidence.contents):
        return "other_product"
    return None


def _leads_to(touch: Touch, order: OrderPlaced, line: OrderLine, contents: Mapping[str, Content]) -> bool:
    if touch.target in {line.offer_id, order.content_id}:
        return True
    content = contents.get(touch.target)
    return content is not None and line.offer_id in content.offer_ids
