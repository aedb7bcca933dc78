"""Oneself, where one's parcels go, and who is shown that."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from uuid_utils.compat import uuid7

from chassis import problems
from chassis.decision import Forbidden, NotFound
from chassis.policy import require_person
from chassis.web import (
    AskAgain,
    AskOnce,
    CallerOf,
    IfMatch,
    etag_of,
    version_in,
    who,
)
from contracts.ids import RecipientId, format_id
from gateway import domain, schemas, store
from gateway.domain import Person, Recipient, Session
from gateway.doors import Doors, DoorsOf
from gateway.handlers import (
    AddRecipient,
    ChangeMe,
    Disclose,
    EraseRecipient,
)
from gateway.routes.common import answer, database_of, told
from gateway.schemas import (
    DisclosureIn,
    DisclosureOut,
    MeIn,
    MeOut,
    RecipientIn,
    RecipientOut,
    RecipientSeen,
    SessionSeen,
)

router = APIRouter()

DISCLOSING = "disclosures:write"


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
    await told(ask, ChangeMe(ask.caller, version_in(if_match), sealed, body.locale, ended))
    return await _me(person_id, doors, request)


async def _me(person_id: str, doors: Doors, request: Request) -> Response:
    database = database_of(request)
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
    said, reply = await told(ask, command, doors.marks.request(body.model_dump_json()))
    token = doors.recipient_token(said["id"], person_id, said["region_code"])
    return answer(RecipientOut(id=said["id"], recipient_token=token), 201, reply)


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
    if ask.caller.party_id and DISCLOSING not in ask.caller.scopes:
        raise domain.ScopeMissing({"scope": DISCLOSING})
    order = await doors.order_seen_by(ask.caller, body.order_id)
    recipient_id = order.get("recipient_id")
    if not recipient_id:
        raise Forbidden
    row = await store.RECIPIENT.row(database_of(request), recipient_id=recipient_id)
    if row is None:
        raise domain.PersonalDataGone
    details = doors.open_recipient(_recipient(row))
    command = Disclose(ask.caller, recipient_id, body.order_id, body.purpose, order["seller"])
    _, reply = await told(ask, command, body.model_dump_json().encode())
    return answer(DisclosureOut(**details, region_code=row["region_code"]), 201, reply)
