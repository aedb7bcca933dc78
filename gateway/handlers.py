"""One function per message: (aggregates, message, at) -> decision. No SQL, no network, no cryptography.

Codes, secrets and sealed values are made in the routes and arrive as bytes. A wrong code or a stolen refresh token must
leave its trace, so those commands are Applied, and their reply says what the route has to refuse.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from chassis.caller import Command
from chassis.clock import THE_CLOCK, ClockOffset
from chassis.decision import Applied, Ignored, Instruction, InvalidRequest, NotFound, VersionStale, find_move, say
from chassis.grants import Grant, role_changed, staff_changed
from chassis.message import Heard
from chassis.moment import Moment
from chassis.policy import OWNER, require_party, require_person
from contracts.gateway import OFFSET_MAX_SECONDS, ClockAdvanced
from contracts.webhook_view import webhook_view
from gateway import domain
from gateway.domain import (
    ApiKey,
    Code,
    Disclosure,
    Event,
    KeyRing,
    Locale,
    Operation,
    Person,
    Phone,
    Purpose,
    Recipient,
    Record,
    Session,
)

ADVANCE_CLOCK = "advance_clock"

# --- one-time codes and sessions --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MakeCode(Command):
    code_id: str
    phone_index: str
    sealed_phone: bytes
    code_mac: bytes
    lifetime: timedelta
    attempts: int
    hourly_max: int


def make_code(phone: Phone | None, asked: MakeCode, at: Moment) -> Applied:
    """The same for a number we know and one we do not: nothing here says whether somebody has an account."""
    now = at.system_now
    phone = phone or Phone(asked.phone_index, asked.sealed_phone, None, now, 0, 0, None)
    phone = domain.count_code(phone, hourly_max=asked.hourly_max, now=now)
    code = Code(asked.code_id, phone.phone_index, asked.code_mac, "open", asked.attempts, now + asked.lifetime)
    return Applied((phone, code), reason="code_asked")


@dataclass(frozen=True, slots=True)
class SignIn(Command):
    code_id: str
    code_mac: bytes
    session_id: str
    secret_hash: bytes
    lifetime: timedelta


SignInOutcome = Literal["right", "wrong", "expired", "spent"]


def sign_in(code: Code, phone: Phone, person: Person | None, asked: SignIn, at: Moment) -> Applied:
    """A right code signs in, and makes the person of a number that has none. A wrong one costs an attempt."""
    now = at.system_now
    code, attempt = domain.try_code(code, asked.code_mac, now)
    if attempt in {"spent", "expired"}:
        return Applied(reply={"outcome": attempt})
    if attempt == "wrong":
        if code.state == "locked":
            phone = domain.lock_phone(phone, now)
        return Applied((code, phone), reply={"outcome": attempt}, reason="code_wrong")
    made: tuple[Person, ...] = ()
    if person is None:
        person = Person(at.id("per"), phone.phone_index, None, "zh-CN", 0, now, 1)
        made = (person,)
    phone = replace(phone, person_id=person.person_id, locks=0, locked_until=None)
    session = Session(
        asked.session_id, person.person_id, "active", 1, asked.secret_hash, now, now, now + asked.lifetime
    )
    return Applied(
        (code, phone, *made, session), reply={"outcome": "right", "person_id": person.person_id}, reason="signed_in"
    )


@dataclass(frozen=True, slots=True)
class Refresh(Command):
    session_id: str
    generation: int
    proof: bytes
    next_hash: bytes


def refresh(session: Session, asked: Refresh, at: Moment) -> Applied | Ignored:
    """The next refresh token, or the end of the family when this one was used before."""
    after = domain.refresh(session, asked.generation, asked.proof, asked.next_hash, at.system_now)
    if after is session:
        raise domain.SessionRevoked
    reply = {"state": after.state, "person_id": after.person_id, "generation": after.generation}
    return Applied((after,), reply=reply, reason="refreshed" if after.state == "active" else "refresh_reused")


# --- oneself ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChangeMe(Command):
    version: int
    sealed_name: bytes | None
    locale: Locale | None
    end_sessions: tuple[str, ...]


def change_me(person: Person, sessions: tuple[Session, ...], asked: ChangeMe, _at: Moment) -> Applied:
    if person.version != asked.version:
        raise VersionStale
    if any(session.person_id != person.person_id for session in sessions):
        raise NotFound
    person = replace(
        person,
        sealed_name=asked.sealed_name or person.sealed_name,
        locale=asked.locale or person.locale,
        version=person.version + 1,
    )
    ended = tuple(domain.end_session(session) for session in sessions)
    return Applied((person, *ended), reply={"version": person.version}, reason="changed_by_themselves")


@dataclass(frozen=True, slots=True)
class AddRecipient(Command):
    recipient_id: str
    region_code: str
    sealed: bytes
    most: int


def add_recipient(person: Person, asked: AddRecipient, at: Moment) -> Applied:
    if person.recipients >= asked.most:
        raise domain.LimitReached({"limit": asked.most})
    recipient = Recipient(asked.recipient_id, person.person_id, asked.region_code, "kept", asked.sealed, at.system_now)
    person = replace(person, recipients=person.recipients + 1)
    reply = {"id": recipient.recipient_id, "region_code": recipient.region_code}
    return Applied((person, recipient), reply=reply, reason="recipient_added")


@dataclass(frozen=True, slots=True)
class EraseRecipient(Command):
    recipient_id: str


def erase_recipient(person: Person, recipient: Recipient, _asked: EraseRecipient, _at: Moment) -> Applied | Ignored:
    """What was sealed is gone for good; the id stays, because orders name it."""
    if recipient.person_id != person.person_id:
        raise NotFound
    if recipient.state == "erased":
        return Ignored("already_erased")
    person = replace(person, recipients=person.recipients - 1)
    return Applied((person, replace(recipient, state="erased", sealed=None)), reason="recipient_erased")


@dataclass(frozen=True, slots=True)
class Disclose(Command):
    recipient_id: str
    order_id: str
    purpose: Purpose
    on_behalf_of: str


def disclose(recipient: Recipient, asked: Disclose, at: Moment) -> Applied:
    """The order service has said that this caller may see it now; here that is written down, before it is shown."""
    if recipient.state == "erased":
        raise domain.PersonalDataGone
    disclosure = Disclosure(
        at.id("dsc"), recipient.recipient_id, recipient.person_id, asked.order_id, asked.purpose,
        asked.caller.actor, asked.on_behalf_of, at.now,
    )  # fmt: skip
    data = json.dumps({"order_id": asked.order_id, "purpose": asked.purpose, "on_behalf_of": asked.on_behalf_of})
    notice = Event(at.id("evt"), recipient.person_id, "gateway.recipient_disclosed", asked.order_id, at.now, data)
    return Applied((disclosure, Record((notice,))), reason=asked.purpose)


# --- API keys ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateKey(Command):
    party_id: str
    scopes: tuple[str, ...]
    expires_at: datetime
    secret_hash: bytes
    most: int


def create_key(
    grant: Grant | None, ring: KeyRing | None, keys: tuple[ApiKey, ...], asked: CreateKey, at: Moment
) -> Applied:
    person_id = require_person(asked.caller)
    require_party(asked.caller, asked.party_id, grant, roles=OWNER, scope="", at=at)
    if asked.expires_at <= at.system_now:
        raise InvalidRequest.at("/expires_at", "already past")
    living = tuple(key.key_id for key in keys if key.lives(at.system_now))
    if len(living) >= asked.most:
        raise domain.LimitReached({"limit": asked.most})
    key = ApiKey(
        at.id("key"), asked.party_id, asked.scopes, asked.secret_hash, "active", person_id, at.system_now,
        asked.expires_at,
    )  # fmt: skip
    ring = KeyRing(asked.party_id, (*living, key.key_id))
    return Applied((key, ring), reply=key, reason="key_created")


@dataclass(frozen=True, slots=True)
class DeleteKey(Command):
    key_id: str


def delete_key(key: ApiKey, grant: Grant | None, asked: DeleteKey, at: Moment) -> Applied | Ignored:
    require_person(asked.caller)
    require_party(asked.caller, key.party_id, grant, roles=OWNER, scope="", at=at)
    if key.state == "deleted":
        return Ignored("already_deleted")
    return Applied((replace(key, state="deleted"),), reason="key_deleted")


# --- the sandbox's clock ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartAdvance(Command):
    to: datetime | None
    by: timedelta | None


def start_advance(asked: StartAdvance, at: Moment) -> Applied:
    person_id = require_person(asked.caller)
    target = asked.to or at.now + (asked.by or timedelta())
    if target <= at.now:
        raise domain.ClockBackwards
    if target - at.system_now > timedelta(seconds=OFFSET_MAX_SECONDS):
        raise InvalidRequest.at("/to" if asked.to else "/by_seconds", "too far ahead")
    operation = Operation(at.id("opn"), "clock_advance", person_id, "running", target, 0, None, at.system_now, None)
    steps = Instruction(at.id("ins"), ADVANCE_CLOCK, {"operation_id": operation.operation_id})
    reply = {"operation_id": operation.operation_id, "now": at.now.isoformat()}
    return Applied((operation,), instructions=(steps,), reply=reply, reason="clock_advance_asked")


@dataclass(frozen=True, slots=True)
class StepClock(Command):
    """Move the clock so far ahead, if nobody else has moved it meanwhile."""

    operation_id: str
    from_version: int
    offset_seconds: int


@dataclass(frozen=True, slots=True)
class EndAdvance(Command):
    operation_id: str
    failure: str | None


def step_clock(operation: Operation, clock: ClockOffset | None, asked: StepClock, _at: Moment) -> Applied | Ignored:
    clock = clock or ClockOffset(THE_CLOCK, 0, 0)
    if operation.state != "running" or clock.version != asked.from_version:
        return Ignored("moved_meanwhile")
    clock = replace(clock, offset_seconds=asked.offset_seconds, version=clock.version + 1)
    fact = ClockAdvanced(deployment="sandbox", offset_seconds=clock.offset_seconds, version=clock.version)
    return Applied((clock, replace(operation, steps=operation.steps + 1)), (say(fact),), reason="clock_advanced")


def end_advance(operation: Operation, asked: EndAdvance, at: Moment) -> Applied | Ignored:
    if operation.state != "running":
        return Ignored("already_ended")
    state = find_move(domain.OPERATION_MOVES, operation.state, "fail" if asked.failure else "succeed")
    ended = replace(operation, state=state, reason=asked.failure, ended_at=at.system_now)
    return Applied((ended,), reason=asked.failure or "succeeded")


# --- facts ------------------------------------------------------------------------------------------------------------


def recorder(party_secret: Callable[[str], bytes]) -> Callable[[Heard, Moment], Applied | Ignored]:
    """The handler that writes down, for each party of a fact's audience, what this party may see of it."""

    def record(heard: Heard, at: Moment) -> Applied | Ignored:
        fact, events = heard.fact, list[Event]()
        for party in heard.audience:
            data = webhook_view(fact, party, audience=heard.audience, secret=party_secret(party))
            if data is not None:
                events.append(Event(at.id("evt", party), party, fact.type, fact.subject, heard.time, json.dumps(data)))
        return Applied((Record(tuple(events)),)) if events else Ignored("nobody_may_see_it")

    return record


def with_grant(record: Callable[[Heard, Moment], Applied | Ignored]) -> Mapping[str, Callable[..., Applied | Ignored]]:
    """The two facts that also say who may act for whom: recorded whatever the grant does with them."""

    def both(change: Callable[[Any, Any, Moment], Applied | Ignored]) -> Callable[..., Applied | Ignored]:
        def handler(grant: Grant | None, heard: Heard, at: Moment) -> Applied | Ignored:
            changed, recorded = change(grant, heard.fact, at), record(heard, at)
            if isinstance(changed, Applied) and isinstance(recorded, Applied):
                return replace(changed, changed=(*changed.changed, *recorded.changed))
            return changed if isinstance(changed, Applied) else recorded

        return handler

    return {"staff": both(staff_changed), "role": both(role_changed)}
