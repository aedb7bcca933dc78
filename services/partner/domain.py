"""What merchants and partners are and who acts for them: pure rules, no database, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

from chassis.decision import InvalidRequest, Refused, find_move

Part = TypeVar("Part", "Values", "Recruiting")


class ValuesMissing(Refused):
    """Values first: a merchant without all of them neither opens nor recruits."""

    status, code = 409, "values_missing"


class LastOwner(Refused):
    status, code = 409, "last_owner"


MerchantState = Literal["draft", "open"]


@dataclass(frozen=True, slots=True)
class Values:
    """What a merchant stands for: four axes (同频 frequency, 同趣 taste, 同感 feeling, 同行 acting), its mission,
    and whom it looks for. None is not said yet."""

    frequency: str | None = None
    taste: str | None = None
    feeling: str | None = None
    acting: str | None = None
    mission: str | None = None
    looking_for: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is None)


@dataclass(frozen=True, slots=True)
class OfferedTerms:
    """What every partner of this merchant is offered. `service_bps` are basis points of a line; an order above
    `max_order_amount` minor units is not the partner's to take, None is no limit."""

    service_bps: int
    group: str
    max_order_amount: int | None
    currency: str


@dataclass(frozen=True, slots=True)
class Recruiting:
    """Whether partners may apply, in which regions, and on which terms. None is "as before" in a command."""

    open: bool | None = False
    regions: tuple[str, ...] | None = ()
    terms: OfferedTerms | None = None


@dataclass(frozen=True, slots=True)
class Merchant:
    """The organisation that makes or owns the goods. `version` counts all changes, `values_version` those of values."""

    merchant_id: str
    name: str
    categories: tuple[str, ...]
    state: MerchantState
    values: Values
    values_version: int
    recruiting: Recruiting
    version: int


MERCHANT_MOVES: Mapping[tuple[str, str], MerchantState] = {("draft", "open"): "open"}


def merged(old: Part, new: Part | None) -> Part:
    """`old` with every field that `new` names."""
    if new is None:
        return old
    named = {f.name: value for f in fields(new) if (value := getattr(new, f.name)) is not None}
    return replace(old, **named)


def with_values(merchant: Merchant, values: Values | None) -> Merchant:
    """The merchant after saying more about its values. What is said once can be changed and never unsaid."""
    said = merged(merchant.values, values)
    if said == merchant.values:
        return merchant
    return replace(merchant, values=said, values_version=merchant.values_version + 1)


def opened(merchant: Merchant) -> Merchant:
    """The merchant, open. Opening what is open changes nothing. Raises ValuesMissing."""
    if merchant.state == "open":
        return merchant
    _require_values(merchant)
    state = find_move(MERCHANT_MOVES, merchant.state, "open")
    return replace(merchant, state=state)


def recruiting(merchant: Merchant, change: Recruiting | None) -> Merchant:
    """The merchant after opening, closing or changing its call for partners. Raises ValuesMissing, and InvalidRequest
    for a call without terms: whoever applies must see what it applies for."""
    changed = merged(merchant.recruiting, change)
    if changed.open:
        _require_values(merchant)
        if changed.terms is None:
            raise InvalidRequest.at("/recruiting/terms", "say on which terms partners are sought")
    return replace(merchant, recruiting=changed)


def _require_values(merchant: Merchant) -> None:
    if missing := merchant.values.missing:
        raise ValuesMissing({}, {"missing": list(missing)})


@dataclass(frozen=True, slots=True)
class Partner:
    """A service organisation that sells for merchants. `capability` is what it says of its ability and means."""

    partner_id: str
    display_name: str
    regions: tuple[str, ...]
    capability: str
    version: int


@dataclass(frozen=True, slots=True)
class Roster:
    """Who may let others in at a party: its owners, or the platform's ops. It never becomes empty."""

    party_id: str
    owners: tuple[str, ...]


HEAD: Mapping[str, str] = {"mch": "owner", "prt": "owner", "platform": "ops"}
"""The role that appoints the others, by kind of party."""
ROLES: Mapping[str, frozenset[str]] = {
    "mch": frozenset({"owner", "staff", "pickup"}),
    "prt": frozenset({"owner", "staff", "pickup"}),
    "platform": frozenset({"ops", "arbiter"}),
}


def kind_of(party_id: str) -> str:
    return party_id.partition("_")[0]


def require_known_role(party_id: str, role: str | None) -> None:
    """Raises InvalidRequest for a role that this kind of party does not have."""
    if role is not None and role not in ROLES[kind_of(party_id)]:
        raise InvalidRequest.at("/role", f"one of {', '.join(sorted(ROLES[kind_of(party_id)]))}")


def appointed(roster: Roster, person_id: str, role: str | None) -> Roster:
    """The roster after this person has this role. Raises LastOwner where nobody would be left."""
    others = tuple(each for each in roster.owners if each != person_id)
    if role == HEAD[kind_of(roster.party_id)]:
        return replace(roster, owners=(*others, person_id))
    if not others:
        raise LastOwner
    return replace(roster, owners=others)
