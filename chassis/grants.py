"""Who may act for which party: a projection in every service, so that roles are checked where the data is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import MetaData

from chassis.caller import Command
from chassis.decision import Applied, Ignored
from chassis.moment import Moment
from chassis.store import Keyed
from chassis.touches import Handler, Touch, hear, maybe
from contracts.partner import StaffChanged
from contracts.tribe import RoleChanged


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's role at a party; `role` is None once it is withdrawn. `version` counts the changes of this grant."""

    grant_id: str
    party_id: str
    person_id: str
    role: str | None
    version: int


def grant_id(party_id: str, person_id: str) -> str:
    return f"{party_id}/{person_id}"


def store(metadata: MetaData) -> Keyed:
    return Keyed(Grant, "grants", "grant_id", metadata, pinned=("party_id", "person_id"), indexes=(("person_id",),))


def caller_grant(party: str | Callable[..., str | None]) -> Touch:
    """The caller's own grant at a party, or None: `party` names it by the command, or by the aggregates before it."""

    def key(command: Command, *seen: Any) -> str | None:
        party_id = getattr(command, party) if isinstance(party, str) else party(command, *seen)
        if party_id is None or command.caller.person_id is None:
            return None
        return grant_id(party_id, command.caller.person_id)

    return maybe(Grant, key, after=not isinstance(party, str))


def _of(party_id: str, person_id: str, role: str | None, version: int, grant: Grant | None) -> Applied | Ignored:
    if grant is None:
        grant = Grant(grant_id(party_id, person_id), party_id, person_id, None, 0)
    if version <= grant.version:
        return Ignored("older_version")
    return Applied((replace(grant, role=role, version=version),), reason="grant_changed")


def staff_changed(grant: Grant | None, fact: StaffChanged, _at: Moment) -> Applied | Ignored:
    return _of(fact.party_id, fact.person_id, fact.role, fact.version, grant)


def role_changed(grant: Grant | None, fact: RoleChanged, _at: Moment) -> Applied | Ignored:
    return _of(fact.tribe_id, fact.person_id, fact.role, fact.version, grant)


HEARS_STAFF: dict[type, Handler] = {
    StaffChanged: hear(staff_changed, maybe(Grant, lambda fact: grant_id(fact.party_id, fact.person_id)))
}
HEARS_ROLES: dict[type, Handler] = {
    RoleChanged: hear(role_changed, maybe(Grant, lambda fact: grant_id(fact.tribe_id, fact.person_id)))
}
