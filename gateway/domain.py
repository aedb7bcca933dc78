"""The gateway's rules: codes, sign-in, sessions, keys, recipients, disclosures. Pure: secrets arrive hashed.

Everything here is dated by the system clock: a one-time code does not expire because a demo moved business time.
"""

import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from chassis.decision import InvalidRequest, Refused, find_move

HOUR = timedelta(hours=1)
LOCK_FIRST = timedelta(minutes=1)
LOCK_LONGEST = timedelta(hours=24)

Locale = Literal["zh-CN", "en"]
Purpose = Literal["shipping", "after_sales"]
CodeState = Literal["open", "used", "locked"]
SessionState = Literal["active", "ended", "revoked"]
KeyState = Literal["active", "deleted"]
RecipientState = Literal["kept", "erased"]
OperationState = Literal["running", "succeeded", "failed"]

CODE_MOVES: dict[tuple[str, str], CodeState] = {("open", "use"): "used", ("open", "lock"): "locked"}
SESSION_MOVES: dict[tuple[str, str], SessionState] = {("active", "end"): "ended", ("active", "revoke"): "revoked"}
OPERATION_MOVES: dict[tuple[str, str], OperationState] = {
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
}


class CodeInvalid(Refused):
    status, code = 401, "code_invalid"


class CodeExpired(Refused):
    status, code = 401, "code_expired"


class TooManyAttempts(Refused):
    status, code = 429, "too_many_attempts"


class RateLimited(Refused):
    status, code = 429, "rate_limited"


class SessionRevoked(Refused):
    status, code = 401, "session_revoked"


class ScopeMissing(Refused):
    status, code = 403, "scope_missing"


class LimitReached(Refused):
    status, code = 409, "limit_reached"


class PersonalDataGone(Refused):
    status, code = 410, "personal_data_gone"


class SandboxOnly(Refused):
    status, code = 404, "sandbox_only"


class ClockBackwards(Refused):
    status, code = 409, "clock_backwards"


# --- phones -----------------------------------------------------------------------------------------------------------

_CHINA = re.compile(r"(?:\+86)?(1[3-9][0-9]{9})")
_ABROAD = re.compile(r"\+(?!86)[1-9][0-9]{6,14}")


def normalise_phone(text: str, pointer: str = "/phone") -> str:
    """E.164: `138 1234 5678` is `+8613812345678`, China unless it says otherwise. InvalidRequest for any other text."""
    bare = re.sub(r"[ ().\-]", "", text)
    bare = "+" + bare[2:] if bare.startswith("00") else bare
    if at_home := _CHINA.fullmatch(bare):
        return "+86" + at_home[1]
    if _ABROAD.fullmatch(bare):
        return bare
    raise InvalidRequest.at(pointer, "not a phone number")


def mask_phone(phone: str) -> str:
    """`+8613812345678` is `138****5678`; abroad the first four and the last two digits are shown."""
    if phone.startswith("+86"):
        return f"{phone[3:6]}****{phone[-4:]}"
    return f"{phone[:4]}****{phone[-2:]}"


def mask_name(name: str) -> str:
    """A name by its first character: `王**`."""
    return name[:1] + "**"


@dataclass(frozen=True, slots=True)
class Phone:
    """A number that once asked for a code, found by its blind index; who it is, and how often it asked or failed."""

    phone_index: str
    sealed_phone: bytes
    person_id: str | None
    hour_began_at: datetime
    codes_in_hour: int
    locks: int
    locked_until: datetime | None


def count_code(phone: Phone, *, hourly_max: int, now: datetime) -> Phone:
    """The number asks for one more code; refused while it is locked or has asked too often."""
    if phone.locked_until and phone.locked_until > now:
        raise TooManyAttempts({}, {"retry_after_seconds": _seconds_until(phone.locked_until, now)})
    if now - phone.hour_began_at >= HOUR:
        return replace(phone, hour_began_at=now, codes_in_hour=1)
    if phone.codes_in_hour >= hourly_max:
        raise RateLimited({}, {"retry_after_seconds": _seconds_until(phone.hour_began_at + HOUR, now)})
    return replace(phone, codes_in_hour=phone.codes_in_hour + 1)


def lock_phone(phone: Phone, now: datetime) -> Phone:
    """Guessing is answered by waiting: one minute, then twice as long each time, a day at most."""
    wait = min(LOCK_FIRST * 2 ** min(phone.locks, 20), LOCK_LONGEST)
    return replace(phone, locks=phone.locks + 1, locked_until=now + wait)


def _seconds_until(then: datetime, now: datetime) -> int:
    return max(1, int((then - now).total_seconds()) + 1)


# --- codes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code: kept as a keyed hash, good for a few minutes and a few attempts, used once."""

    code_id: str
    phone_index: str
    code_mac: bytes
    state: CodeState
    attempts_left: int
    expires_at: datetime


Attempt = Literal["right", "wrong", "expired", "spent"]


def try_code(code: Code, mac: bytes, now: datetime) -> tuple[Code, Attempt]:
    """The code after somebody entered it. A code that is no longer open answers the same, right or wrong."""
    if code.state != "open":
        return code, "spent"
    if now >= code.expires_at:
        return code, "expired"
    if hmac.compare_digest(code.code_mac, mac):
        return replace(code, state=find_move(CODE_MOVES, code.state, "use")), "right"
    left = code.attempts_left - 1
    state: CodeState = code.state if left else find_move(CODE_MOVES, code.state, "lock")
    return replace(code, attempts_left=left, state=state), "wrong"


# --- people and sessions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """A human account. Its phone is sealed with its number's row, its name here."""

    person_id: str
    phone_index: str
    sealed_name: bytes | None
    locale: Locale
    recipients: int
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in device. Its refresh token is used once: `secret_hash` is that of the latest `generation`."""

    session_id: str
    person_id: str
    state: SessionState
    generation: int
    secret_hash: bytes
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


def refresh(session: Session, generation: int, proof: bytes, next_hash: bytes, now: datetime) -> Session:
    """The session with its next refresh token. A token used before means that two have it: the session is revoked."""
    if session.state != "active" or now >= session.expires_at:
        return session
    if generation != session.generation or not hmac.compare_digest(session.secret_hash, proof):
        return replace(session, state=find_move(SESSION_MOVES, session.state, "revoke"))
    return replace(session, generation=generation + 1, secret_hash=next_hash, refreshed_at=now)


def end_session(session: Session) -> Session:
    """The session without effect from now on; ending an ended one changes nothing."""
    if session.state != "active":
        return session
    return replace(session, state=find_move(SESSION_MOVES, session.state, "end"))


# --- keys -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A party's key for machines: what it may do, and until when. Its secret is known to the party alone."""

    key_id: str
    party_id: str
    scopes: tuple[str, ...]
    secret_hash: bytes
    state: KeyState
    created_by: str
    created_at: datetime
    expires_at: datetime

    def lives(self, now: datetime) -> bool:
        return self.state == "active" and now < self.expires_at


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one party that may still be alive, so that their number has a limit."""

    party_id: str
    key_ids: tuple[str, ...]


# --- recipients and disclosures ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a person's parcels go. `sealed` is {name, phone, address} as JSON, and is None once erased."""

    recipient_id: str
    person_id: str
    region_code: str
    state: RecipientState
    sealed: bytes | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Somebody was shown a recipient: whom, for which order, why, when. Never what."""

    disclosure_id: str
    recipient_id: str
    person_id: str
    order_id: str
    purpose: Purpose
    shown_to: str
    on_behalf_of: str
    at: datetime


# --- events and operations --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """One fact as one party may see it: `data` is JSON."""

    event_id: str
    party_id: str
    type: str
    subject: str
    time: datetime
    data: str


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that is written down of one fact."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that takes longer than a request: moving the sandbox's clock to `target_at`, step by step."""

    operation_id: str
    kind: Literal["clock_advance"]
    person_id: str
    state: OperationState
    target_at: datetime
    steps: int
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
