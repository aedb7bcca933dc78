"""The gateway's own operations: parse, seal, ask the desk or read, answer. No rules here.

Tokens, codes and secrets are made here and never become a desk's reply, because replies are stored for replay: what is
stored of them is a hash.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, StringConstraints
from uuid_utils.compat import uuid7

from chassis import problems, web
from chassis.caller import Command
from chassis.db import Database
from chassis.decision import InvalidRequest, NotFound, Refused
from chassis.message import Reply
from chassis.policy import require_person
from chassis.web import (
    AskAgain,
    AskOnce,
    CallerOf,
    IfMatch,
    Limit,
    Page,
    StartingAfter,
    etag_of,
    page,
    version_in,
    who,
)
from contracts.ids import KeyId, OperationId, RecipientId, format_id
from gateway import domain, schemas, store
from gateway.domain import Event, Operation, Person, Recipient, Session
from gateway.doors import Doors, DoorsOf, new_code
from gateway.handlers import (
    AddRecipient,
    ChangeMe,
    CreateKey,
    DeleteKey,
    Disclose,
    EraseRecipient,
    MakeCode,
    Refresh,
    SignIn,
    StartAdvance,
)
from gateway.schemas import (
    AdvanceIn,
    AdvanceOut,
    ClockOut,
    CodeIn,
    CodeOut,
    DisclosureIn,
    DisclosureOut,
    EventOut,
    KeyIn,
    KeyOut,
    ListedId,
    MeIn,
    MeOut,
    NewKeyOut,
    OperationOut,
    RecipientIn,
    RecipientOut,
    RecipientSeen,
    RefreshIn,
    SessionIn,
    SessionOut,
    SessionSeen,
    SignInIn,
)
from gateway.tokens import RefreshToken
from gateway.vault import hashed

router: APIRouter = web.router()

EVENTS_SCOPE = "events:read"


def _database(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


def _is_sandbox(request: Request) -> bool:
    return bool(request.app.state.service.settings.mode == "sandbox")


async def _told(ask: web.Ask, command: Command, repeated: bytes = b"") -> tuple[Any, Reply]:
    """The decision's reply as JSON, for answers that hold more than a desk may remember. `repeated` is what a repeated
    Idempotency-Key must repeat."""
    reply = await ask.desk.ask(command, operation=ask.operation, key=ask.key, body=repeated)
    return json.loads(reply.body), reply


def _answer(body: BaseModel, status: int, reply: Reply | None = None) -> Response:
    headers = {"idempotent-replayed": "true"} if reply and reply.replayed else {}
    return Response(body.model_dump_json(), status, headers, "application/json")


# --- sign-in ----------------------------------------------------------------------------------------------------------


@router.post(
    "/sessions/codes",
    operation_id="create_code",
    status_code=202,
    response_model=CodeOut,
    openapi_extra=who("any"),
    responses=problems.documented(429),
)
async def create_code(body: CodeIn, ask: AskAgain, doors: DoorsOf, request: Request) -> Response:
    """Send a one-time code to a phone. The answer is the same whether or not the number has an account."""
    phone, code, code_id = domain.normalise_phone(body.phone), new_code(), format_id("cod", uuid7())
    index, limits = doors.marks.phone_index(phone), doors.settings
    command = MakeCode(
        ask.caller, code_id, index, doors.vault.seal(phone, f"phone:{index}"), doors.marks.code(code_id, code),
        timedelta(seconds=limits.code_lifetime_seconds), limits.code_attempts_max, limits.codes_hourly_max,
    )  # fmt: skip
    await _told(ask, command)
    if doors.deliver_code:
        await doors.deliver_code(phone, code)
    shown = code if _is_sandbox(request) and limits.sandbox_codes else None
    return Response(CodeOut(code_id=code_id, sandbox_code=shown).model_dump_json(exclude_none=True), 202,
                    media_type="application/json")  # fmt: skip


_NOT_RIGHT: dict[str, type[Refused]] = {"expired": domain.CodeExpired}


@router.post(
    "/sessions",
    operation_id="create_session",
    status_code=201,
    response_model=SessionOut,
    openapi_extra=who("any"),
    responses=problems.documented(429),
)
async def create_session(body: SessionIn, ask: AskAgain, doors: DoorsOf) -> Response:
    """Sign in with a one-time code, or go on with a refresh token. A refresh token used twice ends the session."""
    if isinstance(body, SignInIn):
        return _answer(await _sign_in(body, ask, doors), 201)
    return _answer(await _refresh(body, ask, doors), 201)


async def _sign_in(body: SignInIn, ask: web.Ask, doors: Doors) -> SessionOut:
    token = RefreshToken.next(format_id("ses", uuid7()), 1)
    command = SignIn(
        ask.caller, body.code_id, doors.marks.code(body.code_id, body.code), token.session_id, hashed(token.secret),
        timedelta(days=doors.settings.session_lifetime_days),
    )  # fmt: skip
    said, _ = await _told(ask, command)
    if said["outcome"] != "right":
        raise _NOT_RIGHT.get(said["outcome"], domain.CodeInvalid)
    return _session_out(said["person_id"], token, doors)


async def _refresh(body: RefreshIn, ask: web.Ask, doors: Doors) -> SessionOut:
    used = RefreshToken.read(body.refresh_token, doors.marks)
    if used is None:
        raise domain.SessionRevoked
    token = RefreshToken.next(used.session_id, used.generation + 1)
    command = Refresh(ask.caller, used.session_id, used.generation, hashed(used.secret), hashed(token.secret))
    said, _ = await _told(ask, command)
    if said["state"] != "active":
        raise domain.SessionRevoked
    return _session_out(said["person_id"], token, doors)


def _session_out(person_id: str, token: RefreshToken, doors: Doors) -> SessionOut:
    access_token, expires_at = doors.tokens.make(person_id, token.session_id)
    return SessionOut(
        access_token=access_token,
        refresh_token=token.text(doors.marks),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        person_id=person_id,
    )


# --- oneself ----------------------------------------------------------------------------------------------------------


@router.get("/me", operation_id="get_me", response_model=MeOut, openapi_extra=who("person"))
async def get_me(caller: CallerOf, doors: DoorsOf, request: Request) -> Response:
    """Yourself: masked phone, what you may act for, where you are signed in, where your parcels go."""
    return await _me(require_person(caller), doors, request)


@router.patch(
    "/me",
    operation_id="update_me",
    response_model=MeOut,
    openapi_extra=who("person"),
    responses=problems.documented(412, 428),
)
async def update_me(body: MeIn, ask: AskAgain, if_match: IfMatch, doors: DoorsOf, request: Request) -> Response:
    """Change your name or language, or end sessions of yours: a device that you have lost."""
    person_id = require_person(ask.caller)
    sealed = doors.vault.seal(body.display_name, f"name:{person_id}") if body.display_name else None
    ended = tuple(dict.fromkeys(body.end_sessions))
    await _told(ask, ChangeMe(ask.caller, version_in(if_match), sealed, body.locale, ended))
    return await _me(person_id, doors, request)


async def _me(person_id: str, doors: Doors, request: Request) -> Response:
    database = _database(request)
    row = await store.PERSON.row(database, person=person_id)
    if row is None:
        raise NotFound
    person: Person = store.PERSONS.codec.decode(row[:-1])
    phone = doors.vault.open(row["sealed_phone"], f"phone:{person.phone_index}")
    name = doors.vault.open(person.sealed_name, f"name:{person_id}") if person.sealed_name else None
    grants = await store.GRANTS_OF.rows(database, person=person_id)
    sessions = await store.SESSIONS_OF.rows(database, person=person_id, now=datetime.now(UTC))
    recipients = await store.RECIPIENTS_OF.rows(database, person=person_id)
    me = MeOut(
        person_id=person_id,
        masked_phone=domain.mask_phone(phone),
        display_name=name,
        locale=person.locale,
        grants=[schemas.GrantOut(party=grant["party_id"], role=grant["role"]) for grant in grants],
        sessions=[SessionSeen.of(_session(each)) for each in sessions],
        recipients=[_seen(_recipient(each), doors) for each in recipients],
        version=person.version,
    )
    return Response(me.model_dump_json(), 200, {"etag": etag_of(person.version)}, "application/json")


def _session(row: Iterable[Any]) -> Session:
    session: Session = store.SESSIONS.codec.decode(tuple(row))
    return session


def _recipient(row: Iterable[Any]) -> Recipient:
    recipient: Recipient = store.RECIPIENTS.codec.decode(tuple(row))
    return recipient


def _seen(recipient: Recipient, doors: Doors) -> RecipientSeen:
    details = doors.open_recipient(recipient)
    return RecipientSeen(
        id=recipient.recipient_id,
        name=domain.mask_name(details["name"]),
        phone=domain.mask_phone(details["phone"]),
        region_code=recipient.region_code,
        recipient_token=doors.recipient_token(recipient.recipient_id, recipient.person_id, recipient.region_code),
    )


@router.post(
    "/recipients",
    operation_id="create_recipient",
    status_code=201,
    response_model=RecipientOut,
    openapi_extra=who("person"),
)
async def create_recipient(body: RecipientIn, ask: AskOnce, doors: DoorsOf) -> Response:
    """Keep where your parcels go, encrypted. The token names it in a checkout; sellers see it while they must ship."""
    person_id, recipient_id = require_person(ask.caller), format_id("rcp", uuid7())
    details = {"name": body.name, "phone": domain.normalise_phone(body.phone), "address": body.address}
    command = AddRecipient(
        ask.caller, recipient_id, body.region_code, doors.seal_recipient(recipient_id, details),
        doors.settings.recipients_max,
    )  # fmt: skip
    said, reply = await _told(ask, command, doors.marks.request(body.model_dump_json()))
    token = doors.recipient_token(said["id"], person_id, said["region_code"])
    return _answer(RecipientOut(id=said["id"], recipient_token=token), 201, reply)


@router.delete(
    "/recipients/{recipient_id}", operation_id="delete_recipient", status_code=204, openapi_extra=who("person")
)
async def delete_recipient(recipient_id: RecipientId, ask: AskAgain) -> Response:
    """Erase a recipient for good. Orders still under way to it cannot be shown an address any more."""
    require_person(ask.caller)
    return await ask(EraseRecipient(ask.caller, recipient_id))


@router.post(
    "/disclosures",
    operation_id="create_disclosure",
    status_code=201,
    response_model=DisclosureOut,
    openapi_extra=who("seller"),
    responses=problems.documented(410),
)
async def create_disclosure(body: DisclosureIn, ask: AskOnce, doors: DoorsOf, request: Request) -> Response:
    """Where an order of yours goes, while it is yours to ship. Written down before it is shown; the buyer sees that."""
    order = await doors.order_seen_by(ask.caller, body.order_id)
    recipient_id = order.get("recipient_id")
    if not recipient_id:
        raise NotFound
    row = await store.RECIPIENT.row(_database(request), recipient_id=recipient_id)
    if row is None:
        raise domain.PersonalDataGone
    details = doors.open_recipient(_recipient(row))
    command = Disclose(ask.caller, recipient_id, body.order_id, body.purpose, order["seller"])
    _, reply = await _told(ask, command, body.model_dump_json().encode())
    return _answer(DisclosureOut(**details, region_code=row["region_code"]), 201, reply)


# --- API keys ---------------------------------------------------------------------------------------------------------


@router.post(
    "/api-keys", operation_id="create_api_key", status_code=201, response_model=NewKeyOut, openapi_extra=who("owner")
)
async def create_api_key(body: KeyIn, ask: AskOnce, doors: DoorsOf) -> Response:
    """A key for machines of a party you own. Its secret is in this answer and nowhere else."""
    require_person(ask.caller)
    secret = doors.marks.api_secret(ask.caller.principal, str(ask.key))
    scopes = tuple(sorted(set(body.scopes)))
    command = CreateKey(
        ask.caller, body.party_id, scopes, body.expires_at.astimezone(UTC), hashed(secret), doors.settings.api_keys_max
    )
    said, reply = await _told(ask, command, body.model_dump_json().encode())
    return _answer(NewKeyOut(**said, secret=f"{said['id']}_{secret}"), 201, reply)


@router.get("/api-keys", operation_id="list_api_keys", openapi_extra=who("owner"))
async def list_api_keys(
    caller: CallerOf,
    request: Request,
    party_id: Annotated[ListedId | None, Query()] = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[KeyOut]:
    """The keys of the parties you own, newest first; their secrets are known to nobody here."""
    rows = await store.KEYS_OF_OWNER.rows(
        _database(request), person=require_person(caller), party_id=party_id, after=starting_after, limit=limit + 1
    )
    return page(rows, limit, lambda row: KeyOut.of(store.API_KEYS.codec.decode(tuple(row))))


@router.delete("/api-keys/{key_id}", operation_id="delete_api_key", status_code=204, openapi_extra=who("owner"))
async def delete_api_key(key_id: KeyId, ask: AskAgain) -> Response:
    """End a key; within seconds nothing is done in its name any more."""
    return await ask(DeleteKey(ask.caller, key_id))


# --- events and operations --------------------------------------------------------------------------------------------


@router.get("/events", operation_id="list_events", openapi_extra=who("party"))
async def list_events(
    caller: CallerOf,
    request: Request,
    party_id: Annotated[ListedId | None, Query()] = None,
    type: Annotated[  # noqa: A002 - the name of the field
        Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,32}\.[a-z_]{1,64}(\.v[0-9]{1,3})?$")] | None, Query()
    ] = None,
    subject: Annotated[ListedId | None, Query()] = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[EventOut]:
    """What has happened, as the parties you act for may see it, and what concerns yourself; newest first."""
    if not caller.party_id:
        require_person(caller)
    elif EVENTS_SCOPE not in caller.scopes:
        raise domain.ScopeMissing({"scope": EVENTS_SCOPE})
    rows = await store.EVENTS_SEEN.rows(
        _database(request), person=caller.person_id, party=caller.party_id, party_id=party_id, type=type,
        subject=subject, after=starting_after, limit=limit + 1,
    )  # fmt: skip
    return page(rows, limit, lambda row: EventOut.of(_event(row)))


def _event(row: Iterable[Any]) -> Event:
    event: Event = store.EVENTS.codec.decode(tuple(row))
    return event


@router.get("/operations/{operation_id}", operation_id="get_operation", openapi_extra=who("person"))
async def get_operation(operation_id: OperationId, caller: CallerOf, request: Request) -> OperationOut:
    """How far something is that takes longer than a request."""
    row = await store.OPERATION.row(_database(request), operation_id=operation_id, person=require_person(caller))
    if row is None:
        raise NotFound
    operation: Operation = store.OPERATIONS.codec.decode(tuple(row))
    return OperationOut.of(operation)


@router.get("/sandbox/clock", operation_id="get_clock", openapi_extra=who("any"))
async def get_clock(request: Request) -> ClockOut:
    """What time it is in this sandbox, as every deadline sees it."""
    if not _is_sandbox(request):
        raise domain.SandboxOnly
    service = request.app.state.service
    return ClockOut(now=await service.now(), offset_seconds=await service.offset_seconds())


@router.post(
    "/sandbox/clock/advance",
    operation_id="create_clock_advance",
    status_code=202,
    response_model=AdvanceOut,
    openapi_extra=who("person"),
)
async def create_clock_advance(body: AdvanceIn, ask: AskOnce, request: Request) -> Response:
    """Let business time pass, step by step, in a sandbox; the operation tells when everything has settled."""
    require_person(ask.caller)
    if not _is_sandbox(request):
        raise domain.SandboxOnly
    if (body.to is None) == (body.by_seconds is None):
        raise InvalidRequest.at("", "either to or by_seconds")
    by = timedelta(seconds=body.by_seconds) if body.by_seconds else None
    return await ask(StartAdvance(ask.caller, body.to, by), body)
