"""The partner service's operations: parse, then the desk or a read; no rules here."""

from enum import StrEnum
from typing import Annotated

import asyncpg
from fastapi import Path, Query, Request, Response

from chassis import problems, web
from chassis.caller import Caller
from chassis.db import Database
from chassis.decision import NotFound
from chassis.grants import grant_id
from chassis.policy import OWNER, may_read, require_reader
from chassis.web import AskAgain, AskOnce, CallerOf, IfMatch, Limit, Page, StartingAfter, etag_of, page, version_in, who
from contracts.ids import PLATFORM, ApplicationId, MerchantId, PartnerId, PartnershipId, PersonId
from services.partner import handlers, store
from services.partner.commands import (
    CreateApplication,
    CreateMerchant,
    CreatePartner,
    MoveApplication,
    MovePartnership,
    UpdateMerchant,
    UpdatePartner,
    UpdateStaff,
)
from services.partner.schemas import (
    ApplicationIn,
    ApplicationOut,
    MerchantChange,
    MerchantIn,
    MerchantOut,
    MoveIn,
    PartnerChange,
    PartnerIn,
    PartnerOut,
    PartnershipOut,
    StaffIn,
    StaffOut,
    distinct,
    values_in,
)

router = web.router()
GUARDED = problems.documented(412, 428)
NO_REASON = MoveIn()
StaffedParty = Annotated[str, Path(pattern="^(mch|prt)_[0-9a-f]{32}$|^platform$")]
StaffedPartyQuery = Annotated[str, Query(pattern="^(mch|prt)_[0-9a-f]{32}$|^platform$")]


class ApplicationMove(StrEnum):
    SUBMIT = "submit"
    ACCEPT = "accept"
    REJECT = "reject"
    WITHDRAW = "withdraw"


class PartnershipMove(StrEnum):
    ACTIVATE = "activate"
    SUSPEND = "suspend"
    RESUME = "resume"
    END = "end"


def _database(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


def _asker(caller: Caller, things: str) -> dict[str, str | None]:
    """The caller, as every read's owner predicate needs it: a key without the scope sees what everybody sees."""
    return {"person": caller.person_id, "party": caller.party_id if may_read(caller, things) else None}


def _somebody(caller: Caller, things: str) -> dict[str, str | None]:
    """As `_asker`, for what nobody sees but its parties."""
    require_reader(caller, things)
    return _asker(caller, things)


# --- merchants -------------------------------------------------------------------------------------------------------


@router.post(
    "/merchants",
    operation_id="create_merchant",
    status_code=201,
    response_model=MerchantOut,
    openapi_extra=who("person"),
)
async def create_merchant(body: MerchantIn, ask: AskOnce) -> Response:
    """Begin a merchant; you become its owner. It is a draft until its values are complete and it opens."""
    return await ask(CreateMerchant(ask.caller, body.name, distinct(body.categories)), body, etag=True)


@router.get("/merchants", operation_id="list_merchants", openapi_extra=who("any"))
async def list_merchants(
    caller: CallerOf, request: Request, limit: Limit = 20, starting_after: StartingAfter = None
) -> Page[MerchantOut]:
    """Open merchants, newest first; and your own drafts."""
    rows = await store.merchants.rows(
        _database(request), after=starting_after or store.FIRST, limit=limit + 1, **_asker(caller, "merchants")
    )
    return page(rows, limit, lambda row: MerchantOut.of(store.read(store.MERCHANTS, row)))


@router.get("/merchants/{merchant_id}", operation_id="get_merchant", openapi_extra=who("any"))
async def get_merchant(merchant_id: MerchantId, caller: CallerOf, request: Request, response: Response) -> MerchantOut:
    """An open merchant, or your own."""
    row = await store.merchant.row(_database(request), merchant_id=merchant_id, **_asker(caller, "merchants"))
    found = MerchantOut.of(store.read(store.MERCHANTS, _there(row)))
    response.headers["etag"] = etag_of(found.version)
    return found


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound
    return row


@router.patch(
    "/merchants/{merchant_id}",
    operation_id="update_merchant",
    responses=GUARDED,
    response_model=MerchantOut,
    openapi_extra=who("merchant"),
)
async def update_merchant(merchant_id: MerchantId, body: MerchantChange, ask: AskAgain, if_match: IfMatch) -> Response:
    """Publish values, call for partners, open: 409 `values_missing` names what is not said yet."""
    command = UpdateMerchant(
        caller=ask.caller,
        merchant_id=merchant_id,
        version=version_in(if_match),
        name=body.name,
        categories=distinct(body.categories) if body.categories else None,
        values=values_in(body.values),
        recruiting=body.recruiting.domain() if body.recruiting else None,
        open=body.state == "open",
    )
    return await ask(command, body, etag=True)


# --- partners --------------------------------------------------------------------------------------------------------


@router.post(
    "/partners", operation_id="create_partner", status_code=201, response_model=PartnerOut, openapi_extra=who("person")
)
async def create_partner(body: PartnerIn, ask: AskOnce) -> Response:
    """Offer to be a partner; you become the profile's owner. It costs nothing and obliges to nothing."""
    return await ask(
        CreatePartner(ask.caller, body.display_name, distinct(body.regions), body.capability), body, etag=True
    )


@router.get("/partners/{partner_id}", operation_id="get_partner", openapi_extra=who("any"))
async def get_partner(partner_id: PartnerId, request: Request, response: Response) -> PartnerOut:
    """A partner's public profile."""
    row = await store.partner.row(_database(request), partner_id=partner_id)
    found = PartnerOut.of(store.read(store.PARTNERS, _there(row)))
    response.headers["etag"] = etag_of(found.version)
    return found


@router.patch(
    "/partners/{partner_id}",
    operation_id="update_partner",
    responses=GUARDED,
    response_model=PartnerOut,
    openapi_extra=who("partner"),
)
async def update_partner(partner_id: PartnerId, body: PartnerChange, ask: AskAgain, if_match: IfMatch) -> Response:
    """Change your profile."""
    command = UpdatePartner(
        caller=ask.caller,
        partner_id=partner_id,
        version=version_in(if_match),
        display_name=body.display_name,
        regions=None if body.regions is None else distinct(body.regions),
        capability=body.capability,
    )
    return await ask(command, body, etag=True)


# --- staff -----------------------------------------------------------------------------------------------------------


@router.get("/staff", operation_id="list_staff", openapi_extra=who("owner"))
async def list_staff(
    party_id: StaffedPartyQuery,
    caller: CallerOf,
    request: Request,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[StaffOut]:
    """Who acts for a party of yours; the id to go on after is the person's."""
    await _require_owner(_database(request), caller, party_id)
    rows = await store.staff.rows(
        _database(request), party_id=party_id, after=starting_after or store.FIRST, limit=limit + 1
    )
    return page(rows, limit, lambda row: StaffOut.of(store.read(store.GRANTS, row)))


async def _require_owner(database: Database, caller: Caller, party_id: str) -> None:
    """Policy on a read: the caller's own grant decides."""
    row = await store.grant.row(database, grant_id=grant_id(party_id, caller.person_id or ""))
    own = store.read(store.GRANTS, row) if row else None
    heads = frozenset({"ops"}) if party_id == PLATFORM else OWNER
    handlers.require_role(caller, party_id, own, roles=heads, scope="staff:read")


@router.put(
    "/staff/{party_id}/{person_id}",
    operation_id="update_staff",
    responses=GUARDED,
    response_model=StaffOut,
    openapi_extra=who("owner", keys=False),
)
async def update_staff(
    party_id: StaffedParty, person_id: PersonId, body: StaffIn, ask: AskAgain, if_match: IfMatch
) -> Response:
    """Give a person a role, change it, or take it (null). If-Match is `"0"` for somebody without a grant so far."""
    return await ask(UpdateStaff(ask.caller, party_id, person_id, body.role, version_in(if_match)), body, etag=True)


# --- applications and partnerships -----------------------------------------------------------------------------------


@router.post(
    "/applications",
    operation_id="create_application",
    status_code=201,
    response_model=ApplicationOut,
    openapi_extra=who("merchant", "partner"),
)
async def create_application(body: ApplicationIn, ask: AskOnce) -> Response:
    """Ask a merchant to become its partner, or a partner to join: a draft that only your side sees until submitted."""
    command = CreateApplication(ask.caller, body.merchant_id, body.partner_id, body.answers.domain(), body.capability)
    return await ask(command, body)


@router.get("/applications", operation_id="list_applications", openapi_extra=who("merchant", "partner"))
async def list_applications(
    caller: CallerOf, request: Request, limit: Limit = 20, starting_after: StartingAfter = None
) -> Page[ApplicationOut]:
    """Applications of your merchants and partners, newest first."""
    rows = await store.applications.rows(
        _database(request), after=starting_after or store.FIRST, limit=limit + 1, **_somebody(caller, "applications")
    )
    return page(rows, limit, lambda row: ApplicationOut.of(store.read(store.APPLICATIONS, row)))


@router.post(
    "/applications/{application_id}/{move}",
    operation_id="move_application",
    response_model=ApplicationOut,
    openapi_extra=who("merchant", "partner"),
)
async def move_application(
    application_id: ApplicationId, move: ApplicationMove, ask: AskOnce, body: MoveIn = NO_REASON
) -> Response:
    """Submit pins the merchant's present terms; both sides accept them; the second acceptance makes a partnership."""
    return await ask(MoveApplication(ask.caller, application_id, move.value, body.reason_code), body)


@router.get("/partnerships", operation_id="list_partnerships", openapi_extra=who("merchant", "partner"))
async def list_partnerships(
    caller: CallerOf, request: Request, limit: Limit = 20, starting_after: StartingAfter = None
) -> Page[PartnershipOut]:
    """Partnerships of your merchants and partners, newest first."""
    rows = await store.partnerships.rows(
        _database(request), after=starting_after or store.FIRST, limit=limit + 1, **_somebody(caller, "partnerships")
    )
    return page(rows, limit, lambda row: PartnershipOut.of(store.read(store.PARTNERSHIPS, row)))


@router.post(
    "/partnerships/{partnership_id}/{move}",
    operation_id="move_partnership",
    response_model=PartnershipOut,
    openapi_extra=who("merchant", "partner"),
)
async def move_partnership(
    partnership_id: PartnershipId, move: PartnershipMove, ask: AskOnce, body: MoveIn = NO_REASON
) -> Response:
    """The merchant activates, suspends and resumes; either side may end it. Open orders go on under their terms."""
    return await ask(MovePartnership(ask.caller, partnership_id, move.value, body.reason_code), body)
