"""What belongs to a party: its API keys, and what it may see of what happened."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from chassis.policy import require_person
from chassis.web import (
    AskAgain,
    AskOnce,
    CallerOf,
    Limit,
    Page,
    StartingAfter,
    page,
    who,
)
from contracts.ids import KeyId
from gateway import domain, store
from gateway.domain import Event
from gateway.doors import DoorsOf
from gateway.handlers import (
    CreateKey,
    DeleteKey,
)
from gateway.routes.common import answer, database_of, told
from gateway.schemas import (
    EventOut,
    KeyIn,
    KeyOut,
    ListedId,
    NewKeyOut,
)
from gateway.vault import hashed

router = APIRouter()

EVENTS_SCOPE = "events:read"


@router.post(
    "/api-keys",
    operation_id="create_api_key",
    status_code=201,
    response_model=NewKeyOut,
    openapi_extra=who("owner", keys=False),
)
async def create_api_key(body: KeyIn, ask: AskOnce, doors: DoorsOf) -> Response:
    """A key for machines of a party you own. Its secret is in this answer and nowhere else."""
    require_person(ask.caller)
    secret = doors.marks.api_secret(ask.caller.principal, str(ask.key))
    scopes = tuple(sorted(set(body.scopes)))
    command = CreateKey(ask.caller, body.party_id, scopes, body.expires_at, hashed(secret), doors.settings.api_keys_max)
    said, reply = await told(ask, command, body.model_dump_json().encode())
    return answer(NewKeyOut(**said, secret=f"{said['id']}_{secret}"), 201, reply)


@router.get("/api-keys", operation_id="list_api_keys", openapi_extra=who("owner", keys=False))
async def list_api_keys(
    caller: CallerOf,
    request: Request,
    party_id: Annotated[ListedId | None, Query()] = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[KeyOut]:
    """The keys of the parties you own, newest first; their secrets are known to nobody here."""
    rows = await store.KEYS_OF_OWNER.rows(
        database_of(request), person=require_person(caller), party_id=party_id, after=starting_after, limit=limit + 1
    )
    return page(rows, limit, lambda row: KeyOut.of(store.API_KEYS.codec.decode(tuple(row))))


@router.delete(
    "/api-keys/{key_id}", operation_id="delete_api_key", status_code=204, openapi_extra=who("owner", keys=False)
)
async def delete_api_key(key_id: KeyId, ask: AskAgain) -> Response:
    """End a key; within seconds nothing is done in its name any more."""
    return await ask(DeleteKey(ask.caller, key_id))


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
        database_of(request), person=caller.person_id, party=caller.party_id, party_id=party_id, type=type,
        subject=subject, after=starting_after, limit=limit + 1,
    )  # fmt: skip
    return page(rows, limit, lambda row: EventOut.of(_event(row)))


def _event(row: Iterable[Any]) -> Event:
    event: Event = store.EVENTS.codec.decode(tuple(row))
    return event
