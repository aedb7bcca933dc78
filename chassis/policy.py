"""Who may do what: pure functions, deny by default. Handlers call them with the aggregate and the caller's grant.

A foreign thing is 404 (its existence is nobody's business), an own thing in a wrong role is 403.
"""

from chassis.caller import Caller
from chassis.decision import Forbidden, NotFound, NotYet, Unauthenticated, WrongRole
from chassis.grants import Grant
from chassis.moment import Moment
from chassis.touches import is_young

STAFF = frozenset({"owner", "staff"})
OWNER = frozenset({"owner"})
PICKUP = frozenset({"owner", "staff", "pickup"})
OPERATORS = frozenset({"owner", "operator"})
EDITORS = frozenset({"owner", "operator", "editor"})
MEMBERS = frozenset({"owner", "operator", "editor", "member"})


def acts_for(caller: Caller, party_id: str, grant: Grant | None, roles: frozenset[str], scope: str) -> bool:
    """Whether the caller may act for a party: by a role there, or by the party's own key with this scope."""
    if caller.party_id is not None:
        return caller.party_id == party_id and scope in caller.scopes
    return grant is not None and grant.party_id == party_id and grant.role in roles


def belongs_to(caller: Caller, party_id: str, grant: Grant | None) -> bool:
    """Whether the caller has anything to do with a party, whatever the role."""
    if caller.party_id is not None:
        return caller.party_id == party_id
    return grant is not None and grant.party_id == party_id and grant.role is not None


def may_read(caller: Caller, things: str) -> bool:
    """Whether the caller may ask to see `things` at all: a key needs the scope `things:read` or `things:write`."""
    return caller.party_id is None or not caller.scopes.isdisjoint({f"{things}:read", f"{things}:write"})


def require_reader(caller: Caller, things: str) -> None:
    """Somebody who may ask to see `things`; which ones are theirs, the query says."""
    if caller.person_id is None and caller.party_id is None:
        raise Unauthenticated
    if not may_read(caller, things):
        raise WrongRole


def require_person(caller: Caller) -> str:
    """The caller as a person; a party's key or anyone is refused."""
    if caller.person_id is not None:
        return caller.person_id
    raise Forbidden if caller.party_id else Unauthenticated


def require_party(
    caller: Caller, party_id: str, grant: Grant | None, *, roles: frozenset[str] = STAFF, scope: str, at: Moment
) -> None:
    """The caller must act for `party_id` with one of `roles`, or by its key with `scope`.

    Raises NotYet while the party is so young that its grants may not have arrived, NotFound for a stranger, WrongRole
    for somebody who belongs to the party without such a role.
    """
    if acts_for(caller, party_id, grant, roles, scope):
        return
    if belongs_to(caller, party_id, grant):
        raise WrongRole
    if caller.person_id and grant is None and is_young(party_id, at):
        raise NotYet("grant_not_yet_known")
    raise NotFound
