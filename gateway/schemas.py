"""What the gateway's own operations take and give."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Discriminator, Field, StringConstraints, Tag

from chassis.web import In, Out
from contracts.ids import EventId, KeyId, OperationId, OrderId, PartyId, PersonId, RecipientId, RegionCode
from gateway.domain import ApiKey, Event, Locale, Operation, OperationState, Purpose, Session

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]+$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_NO_CONTROLS)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_CONTROLS)]
PhoneText = Annotated[str, StringConstraints(min_length=5, max_length=24, pattern=r"^[+0-9 ().\-]+$")]
CodeId = Annotated[str, StringConstraints(pattern="^cod_[0-9a-f]{32}$")]
SessionId = Annotated[str, StringConstraints(pattern="^ses_[0-9a-f]{32}$")]
Scope = Annotated[str, StringConstraints(pattern="^[a-z][a-z-]{0,31}:(read|write)$")]
ListedId = Annotated[str, StringConstraints(pattern="^[a-z]{3}_[0-9a-f]{32}$|^platform$")]


def _text(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("a time is text: 2030-01-01T08:00:00+08:00")  # noqa: TRY004 - pydantic reads ValueError
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time of the years 1 to 9999, in UTC too") from error


Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text), AfterValidator(_utc)]
"""A moment with its zone, UTC inside; seconds since 1970 are none."""


# --- sign-in ----------------------------------------------------------------------------------------------------------


class CodeIn(In):
    phone: PhoneText = Field(examples=["13812345678"])


class CodeOut(Out):
    """A code is under way to this number, whether or not somebody has an account with it."""

    code_id: CodeId
    sandbox_code: str | None = Field(None, description="the code itself, in sandbox mode only")


class SignInIn(In):
    """With the code that was sent."""

    code_id: CodeId
    code: Annotated[str, StringConstraints(pattern="^[0-9]{6}$")]


class RefreshIn(In):
    """With the latest refresh token of a session. One used twice ends the session."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9_.\-]+$")]


def _way_in(body: Any) -> str:
    given = body if isinstance(body, dict) else {}
    return "refresh" if isinstance(body, RefreshIn) or "refresh_token" in given else "code"


SessionIn = Annotated[Annotated[SignInIn, Tag("code")] | Annotated[RefreshIn, Tag("refresh")], Discriminator(_way_in)]


class SessionOut(Out):
    """Tokens of a signed-in device. `access_token` goes into `Authorization: Bearer`, `refresh_token` is used once."""

    access_token: str
    refresh_token: str
    expires_at: datetime = Field(description="of the access token")
    person_id: PersonId


# --- oneself ----------------------------------------------------------------------------------------------------------


class GrantOut(Out):
    party: PartyId
    role: str


class SessionSeen(Out):
    id: SessionId
    created_at: datetime
    refreshed_at: datetime

    @classmethod
    def of(cls, session: Session) -> "SessionSeen":
        return cls(id=session.session_id, created_at=session.created_at, refreshed_at=session.refreshed_at)


class RecipientSeen(Out):
    """A recipient, masked; `recipient_token` is what a checkout takes."""

    id: RecipientId
    name: str
    phone: str
    region_code: RegionCode
    recipient_token: str


class MeOut(Out):
    person_id: PersonId
    masked_phone: str
    display_name: str | None
    locale: Locale
    grants: list[GrantOut]
    sessions: list[SessionSeen]
    recipients: list[RecipientSeen]
    version: int


class MeIn(In):
    display_name: Name | None = None
    locale: Locale | None = None
    end_sessions: Annotated[tuple[SessionId, ...], Field(max_length=100, strict=False)] = ()


class RecipientIn(In):
    name: Name
    phone: PhoneText
    region_code: RegionCode
    address: Address


class RecipientOut(Out):
    id: RecipientId
    recipient_token: str


class DisclosureIn(In):
    order_id: OrderId
    purpose: Purpose


class DisclosureOut(Out):
    """Where this order goes. Shown because the order is open and yours to ship; the buyer sees that it was shown."""

    name: str
    phone: str
    address: str
    region_code: RegionCode


# --- keys, events, operations -----------------------------------------------------------------------------------------


class KeyIn(In):
    party_id: PartyId
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=32, strict=False)]
    expires_at: Time


class KeyOut(Out):
    id: KeyId
    party_id: PartyId
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        return cls(
            id=key.key_id,
            party_id=key.party_id,
            scopes=key.scopes,
            created_at=key.created_at,
            expires_at=key.expires_at,
        )


class NewKeyOut(KeyOut):
    """`secret` is shown here and never again (a repeated Idempotency-Key repeats this answer)."""

    secret: str = Field(description="send it as `Authorization: Bearer <secret>`")


class EventOut(Out):
    """A fact as the party may see it, or a notice."""

    id: EventId
    party_id: ListedId
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        return cls(
            id=event.event_id, party_id=event.party_id, type=event.type, subject=event.subject, time=event.time,
            data=json.loads(event.data),
        )  # fmt: skip


class AdvanceIn(In):
    """Either the moment to move to, or how far to move; business time only ever moves forward."""

    to: Time | None = None
    by_seconds: Annotated[int, Field(ge=1, le=10 * 366 * 24 * 3600)] | None = None


class ClockOut(Out):
    """Business time, and how far it is ahead of the real one."""

    now: datetime
    offset_seconds: int


class AdvanceOut(Out):
    operation_id: OperationId
    now: datetime


class OperationOut(Out):
    id: OperationId
    kind: Literal["clock_advance"]
    state: OperationState
    progress: dict[str, int] = Field(description="`steps`: how many have been taken")
    target_at: datetime
    reason: str | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, operation: Operation) -> "OperationOut":
        return cls(
            id=operation.operation_id, kind=operation.kind, state=operation.state, progress={"steps": operation.steps},
            target_at=operation.target_at, reason=operation.reason, created_at=operation.created_at,
            ended_at=operation.ended_at,
        )  # fmt: skip
