"""What a tribe is, who is in it, in which role, and who brought them: pure rules, no database, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from chassis.decision import Refused, StateConflict, find_move

Role = Literal["owner", "operator", "editor", "member"]


class PartnershipNotActive(Refused):
    status, code = 409, "partnership_not_active"


class AlreadyMember(StateConflict):
    status, code = 409, "already_member"


class LastOwner(Refused):
    status, code = 409, "last_owner"


class InvitationInvalid(Refused):
    """Not signed here, for another tribe, or expired."""

    status, code = 422, "invitation_invalid"


@dataclass(frozen=True, slots=True)
class Tribe:
    """A community, founded by a partner under a partnership. `version` counts changes of its name and charter."""

    tribe_id: str
    name: str
    charter: str
    partnership_id: str
    partner_id: str
    founded_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Brought:
    """How many of the present members this partner brought: remembered and shown, and nobody's claim."""

    partner_id: str
    members: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are in a tribe now."""

    tribe_id: str
    members: int
    owners: int
    contents: int
    brought: tuple[Brought, ...]


@dataclass(frozen=True, slots=True)
class Seat:
    """One person's place in one tribe: however often they leave and return, it is the same membership."""

    seat_id: str
    membership_id: str


@dataclass(frozen=True, slots=True)
class Membership:
    """A person in a tribe, known there by a pseudonym alone. `brought_by` is the inviting partner, set once."""

    membership_id: str
    tribe_id: str
    person_id: str
    pseudonym: str
    brought_by: str | None
    state: Literal["joined", "left"]
    role: Role | None
    joined_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Invitation:
    """A partner's invitation into a tribe: nothing is kept of it, the signed token says it all."""

    tribe_id: str
    partner_id: str
    expires_at: datetime


MEMBERSHIP_MOVES: Mapping[tuple[str, str], Literal["joined", "left"]] = {
    ("joined", "leave"): "left",
    ("left", "join"): "joined",
}


def seat_id(tribe_id: str, person_id: str) -> str:
    return f"{tribe_id}/{person_id}"


def returned(membership: Membership) -> Membership:
    """Back after leaving, as a plain member; who brought them first stays. Raises AlreadyMember."""
    if membership.state == "joined":
        raise AlreadyMember
    state = find_move(MEMBERSHIP_MOVES, membership.state, "join")
    return replace(membership, state=state, role="member", version=membership.version + 1)


def left(membership: Membership, counts: Counts) -> Membership:
    """Gone. Raises LastOwner where nobody would be left to hand over."""
    state = find_move(MEMBERSHIP_MOVES, membership.state, "leave")
    _require_other_owner(membership, counts)
    return replace(membership, state=state, role=None, version=membership.version + 1)


def with_role(membership: Membership, role: Role, counts: Counts) -> Membership:
    """The member in another role. Raises LastOwner."""
    if role != "owner":
        _require_other_owner(membership, counts)
    return replace(membership, role=role, version=membership.version + 1)


def _require_other_owner(membership: Membership, counts: Counts) -> None:
    if membership.role == "owner" and counts.owners <= 1:
        raise LastOwner


def recounted(counts: Counts, before: Membership | None, after: Membership) -> Counts:
    """The counts after a membership went from `before` to `after`."""
    joined = _present(after) - _present(before)
    return replace(
        counts,
        members=counts.members + joined,
        owners=counts.owners + _owns(after) - _owns(before),
        brought=_brought(counts.brought, after.brought_by, joined),
    )


def _brought(brought: tuple[Brought, ...], partner_id: str | None, joined: int) -> tuple[Brought, ...]:
    if partner_id is None or not joined:
        return brought
    members = {each.partner_id: each.members for each in brought}
    members[partner_id] = members.get(partner_id, 0) + joined
    return tuple(Brought(name, n) for name, n in sorted(members.items()))


def _present(membership: Membership | None) -> int:
    return int(membership is not None and membership.state == "joined")


def _owns(membership: Membership | None) -> int:
    return int(membership is not None and membership.role == "owner")


_PLACES = (
    "竹溪",
    "梅岭",
    "松风",
    "稻香",
    "茶山",
    "荷塘",
    "橘园",
    "麦浪",
    "云栖",
    "雨巷",
    "石桥",
    "渔火",
    "柳岸",
    "杏林",
    "枫桥",
    "芦荡",
)
_GUESTS = (
    "白鹭",
    "山雀",
    "青蛙",
    "蜻蜓",
    "萤火",
    "燕子",
    "松鼠",
    "画眉",
    "鲤鱼",
    "布谷",
    "蝉鸣",
    "野兔",
    "黄鹂",
    "刺猬",
    "蜜蜂",
    "麋鹿",
)


def pseudonym(number: int) -> str:
    """A name that says nothing about its bearer, from any number: 橘园白鹭-0412."""
    number, place = divmod(number, len(_PLACES))
    number, guest = divmod(number, len(_GUESTS))
    return f"{_PLACES[place]}{_GUESTS[guest]}-{number % 10_000:04}"
