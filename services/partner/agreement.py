"""How a merchant and a partner come to agree, and what they agreed: pure rules, no database, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from chassis.decision import MoveRefused, Refused, WrongRole, find_move
from services.partner.domain import Merchant, OfferedTerms

Side = Literal["merchant", "partner"]
SIDES: tuple[Side, ...] = ("merchant", "partner")


class MerchantNotOpen(Refused):
    status, code = 409, "merchant_not_open"


class NotRecruiting(Refused):
    """The merchant asks nobody to apply just now; it may still ask a partner itself."""

    status, code = 409, "not_recruiting"


class ApplicationExists(Refused):
    """There is an application or a partnership between these two already."""

    status, code = 409, "application_exists"


@dataclass(frozen=True, slots=True)
class Answers:
    """How the one who asks sees itself beside the other, on each of the four axes (四同)."""

    frequency: str
    taste: str
    feeling: str
    acting: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What both sides accept or not: the merchant's terms and regions, as they were when the application was sent."""

    terms: OfferedTerms
    regions: tuple[str, ...]


ApplicationState = Literal[
    "draft", "submitted", "merchant_accepted", "partner_accepted", "agreed", "rejected", "withdrawn"
]


@dataclass(frozen=True, slots=True)
class Application:
    """Merchant and would-be partner look at each other. `opened_by` asks, the other side is asked; both choose."""

    application_id: str
    merchant_id: str
    partner_id: str
    opened_by: Side
    state: ApplicationState
    answers: Answers
    capability: str
    proposal: Proposal | None
    reason_code: str | None
    partnership_id: str | None
    version: int


@dataclass(frozen=True, slots=True)
class Pair:
    """What one merchant and one partner have between them now: at most one application, at most one partnership."""

    pair_id: str
    application_id: str | None
    partnership_id: str | None


Actor = Literal["opener", "other", "merchant", "partner"]
_UNDECIDED = ("submitted", "merchant_accepted", "partner_accepted")
APPLICATION_MOVES: Mapping[tuple[str, str, Actor], ApplicationState] = {
    ("draft", "submit", "opener"): "submitted",
    ("draft", "withdraw", "opener"): "withdrawn",
    ("submitted", "accept", "merchant"): "merchant_accepted",
    ("submitted", "accept", "partner"): "partner_accepted",
    ("merchant_accepted", "accept", "partner"): "agreed",
    ("partner_accepted", "accept", "merchant"): "agreed",
    **{(state, "reject", "other"): "rejected" for state in _UNDECIDED},
    **{(state, "withdraw", "opener"): "withdrawn" for state in _UNDECIDED},
}
"""(state, move, by): submitting is asking, not accepting; both sides accept the proposal that was pinned by it."""


@dataclass(frozen=True, slots=True)
class Next:
    """A move that is possible now, and the side whose it is."""

    move: str
    by: Side


def pair_id(merchant_id: str, partner_id: str) -> str:
    return f"{merchant_id}/{partner_id}"


def _side(application: Application, actor: Actor) -> Side:
    if actor == "opener":
        return application.opened_by
    if actor == "other":
        return "partner" if application.opened_by == "merchant" else "merchant"
    return actor


def application_next(application: Application) -> tuple[Next, ...]:
    """What can be done with the application now."""
    return tuple(
        Next(move, _side(application, actor))
        for (state, move, actor) in APPLICATION_MOVES
        if state == application.state
    )


def move_application(application: Application, move: str, sides: Iterable[Side]) -> Application:
    """The application after `move` by somebody who acts for `sides`.

    Raises MoveRefused if the table does not list it now, WrongRole if it is never theirs to do.
    """
    own = set(sides)
    for (state, name, actor), to in APPLICATION_MOVES.items():
        if (state, name) == (application.state, move) and _side(application, actor) in own:
            return replace(application, state=to, version=application.version + 1)
    if not any(name == move and _side(application, actor) in own for (_, name, actor) in APPLICATION_MOVES):
        raise WrongRole
    raise MoveRefused(application.state, move, tuple(each.move for each in application_next(application)))


def require_can_apply(merchant: Merchant, opened_by: Side) -> None:
    """Raises MerchantNotOpen, or NotRecruiting: a partner applies where partners are sought, a merchant may ask any
    partner, and either needs terms that can be accepted."""
    if merchant.state != "open":
        raise MerchantNotOpen
    if merchant.recruiting.terms is None or (opened_by == "partner" and not merchant.recruiting.open):
        raise NotRecruiting


def submitted(application: Application, merchant: Merchant) -> Application:
    """The application with the merchant's present terms and regions pinned: what is accepted is what was seen."""
    require_can_apply(merchant, application.opened_by)
    terms, regions = merchant.recruiting.terms, merchant.recruiting.regions or ()
    assert terms is not None  # noqa: S101 - require_can_apply
    return replace(application, proposal=Proposal(terms, regions))


def claimed(pair: Pair | None, application: Application) -> Pair:
    """The pair, taken by this application. Raises ApplicationExists."""
    if pair is None:
        return Pair(pair_id(application.merchant_id, application.partner_id), application.application_id, None)
    if pair.application_id or pair.partnership_id:
        raise ApplicationExists
    return replace(pair, application_id=application.application_id)


PartnershipState = Literal["trial", "active", "suspended", "ended"]


@dataclass(frozen=True, slots=True)
class AgreedTerms:
    """Terms in force from `effective_from` (UTC). `version` counts agreements, not states."""

    version: int
    service_bps: int
    group: str
    max_order_amount: int | None
    currency: str
    effective_from: datetime


@dataclass(frozen=True, slots=True)
class Partnership:
    """An agreement between a merchant and a partner, with terms and regions. `version` counts every change."""

    partnership_id: str
    merchant_id: str
    partner_id: str
    application_id: str
    state: PartnershipState
    terms: AgreedTerms
    regions: tuple[str, ...]
    reason_code: str | None
    version: int


PARTNERSHIP_MOVES: Mapping[tuple[str, str], PartnershipState] = {
    ("trial", "activate"): "active",
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",
    ("trial", "end"): "ended",
    ("active", "end"): "ended",
    ("suspended", "end"): "ended",
}
MOVERS: Mapping[str, tuple[Side, ...]] = {
    "activate": ("merchant",),
    "suspend": ("merchant",),
    "resume": ("merchant",),
    "end": SIDES,
}
"""It is the merchant's name that is lent: it lends, withholds and lends again. Leaving is free to both."""


def partnership_next(partnership: Partnership) -> tuple[Next, ...]:
    """What can be done with the partnership now."""
    return tuple(
        Next(move, side) for (state, move) in PARTNERSHIP_MOVES if state == partnership.state for side in MOVERS[move]
    )


def move_partnership(
    partnership: Partnership, move: str, sides: Iterable[Side], reason_code: str | None
) -> Partnership:
    """The partnership after `move`. Raises WrongRole if it is never theirs to do, MoveRefused if not in this state."""
    if not set(sides) & set(MOVERS[move]):
        raise WrongRole
    state = find_move(PARTNERSHIP_MOVES, partnership.state, move)
    return replace(partnership, state=state, reason_code=reason_code, version=partnership.version + 1)


def agreed(application: Application, partnership_id: str, now: datetime) -> tuple[Application, Partnership]:
    """Both have accepted: their partnership begins on trial, from now, on the pinned proposal."""
    proposal = application.proposal
    assert proposal is not None  # noqa: S101 - pinned by submitting
    offered = proposal.terms
    terms = AgreedTerms(1, offered.service_bps, offered.group, offered.max_order_amount, offered.currency, now)
    partnership = Partnership(
        partnership_id=partnership_id,
        merchant_id=application.merchant_id,
        partner_id=application.partner_id,
        application_id=application.application_id,
        state="trial",
        terms=terms,
        regions=proposal.regions,
        reason_code=None,
        version=1,
    )
    return replace(application, partnership_id=partnership_id), partnership
