"""One function per command: tribes, roles and memberships. This service keeps the roles that others only hear of."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

from chassis.caller import Caller
from chassis.decision import (
    Applied,
    MoveRefused,
    NotFound,
    Said,
    Unauthenticated,
    VersionStale,
    WrongRole,
    say,
)
from chassis.grants import Grant, grant_id
from chassis.moment import Moment
from chassis.policy import OPERATORS, OWNER, acts_for, belongs_to, require_party, require_person
from contracts.tribe import MemberJoined, MemberLeft, RoleChanged, TribeFounded
from services.tribe import domain
from services.tribe.commands import CreateInvitation, FoundTribe, JoinTribe, LeaveTribe, UpdateRole, UpdateTribe
from services.tribe.domain import Counts, Invitation, Membership, PartnershipNotActive, Role, Seat, Tribe
from services.tribe.heard import Partnership

READING = "tribes:read"
WRITING = "tribes:write"


def require_role(
    caller: Caller, tribe_id: str, grant: Grant | None, *, roles: frozenset[str], scope: str = WRITING
) -> None:
    """As `policy.require_party`, in the one place where no tribe role can still be on its way."""
    if caller.person_id is None and caller.party_id is None:
        raise Unauthenticated
    if not acts_for(caller, tribe_id, grant, roles, scope):
        raise WrongRole if belongs_to(caller, tribe_id, grant) else NotFound


# --- tribes ----------------------------------------------------------------------------------------------------------


def found_tribe(partnership: Partnership, grant: Grant | None, command: FoundTribe, at: Moment) -> Applied:
    """A partner's staff found a tribe under an active partnership; whoever does it is its first owner and member."""
    person_id = require_person(command.caller)
    require_party(command.caller, partnership.partner_id, grant, scope=WRITING, at=at)
    _require_active(partnership)
    tribe = Tribe(
        tribe_id=at.id("trb"),
        name=command.name,
        charter=command.charter,
        partnership_id=partnership.partnership_id,
        partner_id=partnership.partner_id,
        founded_at=at.now,
        version=1,
    )
    owner, seat = _new_member(tribe.tribe_id, person_id, partnership.partner_id, "owner", at)
    counts = domain.recounted(Counts(tribe.tribe_id, 0, 0, 0, ()), None, owner)
    granted, role_changed = _granted(None, owner)
    founded = TribeFounded(tribe_id=tribe.tribe_id, membership_id=owner.membership_id, brought_by=tribe.partner_id)
    facts = (say(founded, tribe.tribe_id, tribe.partner_id), role_changed)
    return Applied((tribe, owner, seat, counts, granted), facts, reply=(tribe, counts), reason="tribe_founded")


def _require_active(partnership: Partnership) -> None:
    if partnership.state != "active":
        raise PartnershipNotActive


def _new_member(
    tribe_id: str, person_id: str, brought_by: str | None, role: Role, at: Moment
) -> tuple[Membership, Seat]:
    membership = Membership(
        membership_id=at.id("mbr"),
        tribe_id=tribe_id,
        person_id=person_id,
        pseudonym=domain.pseudonym(at.uuid("pseudonym").int),
        brought_by=brought_by,
        state="joined",
        role=role,
        joined_at=at.now,
        version=1,
    )
    return membership, Seat(domain.seat_id(tribe_id, person_id), membership.membership_id)


def _granted(grant: Grant | None, membership: Membership) -> tuple[Grant, Said]:
    """The grant that follows from a membership. No party receives this fact: it would tie a person to a pseudonym."""
    tribe_id, person_id = membership.tribe_id, membership.person_id
    version = grant.version + 1 if grant else 1
    changed = Grant(grant_id(tribe_id, person_id), tribe_id, person_id, membership.role, version)
    fact = RoleChanged(tribe_id=tribe_id, person_id=person_id, role=membership.role, version=version)
    return changed, say(fact, about=changed)


def update_tribe(tribe: Tribe, counts: Counts, grant: Grant | None, command: UpdateTribe, _at: Moment) -> Applied:
    """Its operators change the name and the charter. What the command leaves out stays."""
    require_role(command.caller, tribe.tribe_id, grant, roles=OPERATORS)
    if command.version != tribe.version:
        raise VersionStale
    changed = replace(tribe, name=command.name or tribe.name, charter=command.charter or tribe.charter)
    if changed == tribe:
        return Applied(reply=(tribe, counts))
    changed = replace(changed, version=tribe.version + 1)
    return Applied((changed,), reply=(changed, counts), reason="tribe_changed")


def update_role(
    membership: Membership, own: Grant | None, grant: Grant | None, counts: Counts, command: UpdateRole, _at: Moment
) -> Applied:
    """An owner gives a member another role; the last owner stays. People do this, never a key."""
    require_person(command.caller)
    require_role(command.caller, command.tribe_id, own, roles=OWNER)
    if membership.tribe_id != command.tribe_id:
        raise NotFound
    if membership.state == "left":
        raise MoveRefused(membership.state, "change_role", ("join",))
    if command.version != membership.version:
        raise VersionStale
    if command.role == membership.role:
        return Applied(reply=membership)
    changed = domain.with_role(membership, cast(Role, command.role), counts)
    return _member_changed(membership, changed, grant, counts, "role_changed")


def _member_changed(
    before: Membership, after: Membership, grant: Grant | None, counts: Counts, reason: str, *facts: Said
) -> Applied:
    """A membership in another state: the grant follows it and the counts are kept."""
    granted, role_changed = _granted(grant, after)
    recounted = domain.recounted(counts, before, after)
    kept = (recounted,) if recounted != counts else ()
    return Applied((after, granted, *kept), (*facts, role_changed), reply=after, reason=reason)


# --- memberships -----------------------------------------------------------------------------------------------------


def create_invitation(
    lifetime: timedelta,
    tribe: Tribe,
    partnership: Partnership,
    grant: Grant | None,
    command: CreateInvitation,
    at: Moment,
) -> Applied:
    """A partner of the tribe invites. The token is signed with the answer; nothing is written down."""
    require_party(command.caller, command.partner_id, grant, scope=WRITING, at=at)
    if command.partner_id != tribe.partner_id:
        raise NotFound
    _require_active(partnership)
    return Applied(reply=Invitation(tribe.tribe_id, command.partner_id, at.system_now + lifetime))


def join_tribe(
    tribe: Tribe,
    _seat: Seat | None,
    membership: Membership | None,
    grant: Grant | None,
    counts: Counts,
    command: JoinTribe,
    at: Moment,
) -> Applied:
    """Anyone may join, once. Who had left returns to the same membership, and to whoever brought them first."""
    person_id = require_person(command.caller)
    if membership is not None:
        back = domain.returned(membership)
        return _member_changed(membership, back, grant, counts, "member_returned", _joined(back))
    member, seat = _new_member(tribe.tribe_id, person_id, command.brought_by, "member", at)
    granted, role_changed = _granted(grant, member)
    counts = domain.recounted(counts, None, member)
    return Applied(
        (member, seat, granted, counts), (_joined(member), role_changed), reply=member, reason="member_joined"
    )


def _joined(membership: Membership) -> Said:
    fact = MemberJoined(
        tribe_id=membership.tribe_id, membership_id=membership.membership_id, brought_by=membership.brought_by
    )
    return say(fact, membership.tribe_id, membership.brought_by)


def leave_tribe(
    membership: Membership, counts: Counts, grant: Grant | None, command: LeaveTribe, _at: Moment
) -> Applied:
    """One's own membership, at any time; the last owner hands over first. Leaving twice is leaving once."""
    if require_person(command.caller) != membership.person_id:
        raise NotFound
    if membership.state == "left":
        return Applied(reply=membership)
    gone = domain.left(membership, counts)
    fact = MemberLeft(tribe_id=gone.tribe_id, membership_id=gone.membership_id, brought_by=gone.brought_by)
    return _member_changed(membership, gone, grant, counts, "member_left", say(fact, gone.tribe_id, gone.brought_by))
