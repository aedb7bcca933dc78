"""The tribe service's operations: parse, then the desk or a read; no rules here."""

import asyncpg
from fastapi import Request, Response

from chassis import problems, web
from chassis.caller import Caller
from chassis.db import Database
from chassis.decision import NotFound
from chassis.grants import grant_id
from chassis.policy import MEMBERS
from chassis.problems import language_of
from chassis.web import AskAgain, AskOnce, CallerOf, IfMatch, Limit, Page, StartingAfter, etag_of, page, version_in, who
from contracts.ids import ContentId, MembershipId, TribeId
from services.tribe import handlers, store
from services.tribe.commands import (
    CreateInvitation,
    FoundTribe,
    JoinTribe,
    LeaveTribe,
    PublishContent,
    UpdateRole,
    UpdateTribe,
    WithdrawContent,
)
from services.tribe.invitations import Invitations
from services.tribe.schemas import (
    ContentIn,
    ContentOut,
    DocumentOut,
    InvitationIn,
    InvitationOut,
    MembershipIn,
    MembershipOut,
    RoleIn,
    TribeChange,
    TribeIn,
    TribeOut,
)
from services.tribe.writing import Content, ContentWithdrawn

router = web.router()
GUARDED = problems.documented(412, 428)


def _database(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound
    return row


def _language(request: Request) -> str:
    return language_of(request.headers.get("accept-language", ""))


# --- tribes ----------------------------------------------------------------------------------------------------------


@router.post(
    "/tribes",
    operation_id="create_tribe",
    status_code=201,
    response_model=TribeOut,
    openapi_extra=who("partner", keys=False),
)
async def create_tribe(body: TribeIn, ask: AskOnce) -> Response:
    """Found a tribe under an active partnership of yours; you become its first owner and member."""
    return await ask(FoundTribe(ask.caller, body.partnership_id, body.name, body.charter), body, etag=True)


@router.get("/tribes", operation_id="list_tribes", openapi_extra=who("any"))
async def list_tribes(request: Request, limit: Limit = 20, starting_after: StartingAfter = None) -> Page[TribeOut]:
    """Tribes, newest first."""
    rows = await store.tribes.rows(_database(request), after=starting_after or store.FIRST, limit=limit + 1)
    return page(rows, limit, lambda row: TribeOut.of(store.tribe_and_counts(row)))


@router.get("/tribes/{tribe_id}", operation_id="get_tribe", openapi_extra=who("any"))
async def get_tribe(tribe_id: TribeId, request: Request, response: Response) -> TribeOut:
    """A tribe, how many are in it, and who brought them."""
    row = await store.tribe.row(_database(request), tribe_id=tribe_id)
    found = TribeOut.of(store.tribe_and_counts(_there(row)))
    response.headers["etag"] = etag_of(found.version)
    return found


@router.patch(
    "/tribes/{tribe_id}",
    operation_id="update_tribe",
    responses=GUARDED,
    response_model=TribeOut,
    openapi_extra=who("operator"),
)
async def update_tribe(tribe_id: TribeId, body: TribeChange, ask: AskAgain, if_match: IfMatch) -> Response:
    """Change its name or charter."""
    return await ask(UpdateTribe(ask.caller, tribe_id, version_in(if_match), body.name, body.charter), body, etag=True)


@router.put(
    "/tribes/{tribe_id}/roles/{membership_id}",
    operation_id="update_role",
    responses=GUARDED,
    response_model=MembershipOut,
    openapi_extra=who("owner", keys=False),
)
async def update_role(
    tribe_id: TribeId, membership_id: MembershipId, body: RoleIn, ask: AskAgain, if_match: IfMatch
) -> Response:
    """Give a member another role; If-Match is the membership's version."""
    return await ask(UpdateRole(ask.caller, tribe_id, membership_id, body.role, version_in(if_match)), body, etag=True)


# --- memberships -----------------------------------------------------------------------------------------------------


@router.post(
    "/tribes/{tribe_id}/invitations",
    operation_id="create_invitation",
    status_code=201,
    response_model=InvitationOut,
    openapi_extra=who("partner"),
)
async def create_invitation(tribe_id: TribeId, body: InvitationIn, ask: AskOnce) -> Response:
    """Invite in the name of a partner of the tribe: a signed token, for any number of people, until it expires."""
    return await ask(CreateInvitation(ask.caller, tribe_id, body.partner_id), body)


@router.post(
    "/tribes/{tribe_id}/memberships",
    operation_id="create_membership",
    status_code=201,
    response_model=MembershipOut,
    openapi_extra=who("person"),
)
async def create_membership(tribe_id: TribeId, body: MembershipIn, ask: AskOnce, request: Request) -> Response:
    """Join, with an invitation or without. You are known here by a pseudonym; leaving and returning keeps it."""
    invitations: Invitations = request.app.state.invitations
    brought_by = invitations.read(body.invite_token, tribe_id) if body.invite_token else None
    return await ask(JoinTribe(ask.caller, tribe_id, brought_by), body)


@router.get("/tribes/{tribe_id}/memberships", operation_id="list_memberships", openapi_extra=who("member"))
async def list_memberships(
    tribe_id: TribeId, caller: CallerOf, request: Request, limit: Limit = 20, starting_after: StartingAfter = None
) -> Page[MembershipOut]:
    """For members: who is here, by pseudonym, newest first."""
    await _require_member(_database(request), caller, tribe_id)
    rows = await store.memberships.rows(
        _database(request), tribe_id=tribe_id, after=starting_after or store.FIRST, limit=limit + 1
    )

    def shape(row: asyncpg.Record) -> MembershipOut:
        membership = store.read(store.MEMBERSHIPS, row)
        return MembershipOut.of(membership, mine=membership.person_id == caller.person_id)

    return page(rows, limit, shape)


async def _require_member(database: Database, caller: Caller, tribe_id: str) -> None:
    """Policy on a read: the caller's own role decides."""
    row = await store.grant.row(database, grant_id=grant_id(tribe_id, caller.person_id or ""))
    own = store.read(store.GRANTS, row) if row else None
    handlers.require_role(caller, tribe_id, own, roles=MEMBERS, scope=handlers.READING)


@router.delete(
    "/memberships/{membership_id}",
    operation_id="delete_membership",
    response_model=MembershipOut,
    openapi_extra=who("member", keys=False),
)
async def delete_membership(membership_id: MembershipId, ask: AskAgain) -> Response:
    """Leave: your own membership. The last owner hands over first."""
    return await ask(LeaveTribe(ask.caller, membership_id))


# --- content ---------------------------------------------------------------------------------------------------------


@router.post(
    "/tribes/{tribe_id}/contents",
    operation_id="create_content",
    status_code=201,
    response_model=DocumentOut,
    openapi_extra=who("member", keys=False),
)
async def create_content(tribe_id: TribeId, body: ContentIn, ask: AskOnce, request: Request) -> Response:
    """Publish a document. Naming offers labels it as advertising."""
    offer_ids = tuple(dict.fromkeys(body.offer_ids))
    command = PublishContent(ask.caller, tribe_id, body.title, body.body, offer_ids, _language(request))
    return await ask(command, body)


@router.get("/tribes/{tribe_id}/contents", operation_id="list_contents", openapi_extra=who("any"))
async def list_contents(
    tribe_id: TribeId, request: Request, limit: Limit = 20, starting_after: StartingAfter = None
) -> Page[ContentOut]:
    """What the tribe has published, newest first, without the texts."""
    rows = await store.contents.rows(
        _database(request), tribe_id=tribe_id, after=starting_after or store.FIRST, limit=limit + 1
    )
    if not rows:
        _there(await store.tribe.row(_database(request), tribe_id=tribe_id))
    language = _language(request)
    return page(rows, limit, lambda row: ContentOut.of(store.read(store.CONTENTS, row), language))


@router.get(
    "/contents/{content_id}",
    operation_id="get_content",
    openapi_extra=who("any"),
    responses=problems.documented(410),
)
async def get_content(content_id: ContentId, request: Request, response: Response) -> DocumentOut:
    """A document with its text. `disclosure` is in your language; 410 after it was withdrawn."""
    row = await store.content.row(_database(request), content_id=content_id)
    content: Content = store.read(store.CONTENTS, _there(row))
    if content.state == "withdrawn":
        raise ContentWithdrawn
    revision = await store.revision.row(_database(request), revision_id=content.revision_id)
    response.headers["etag"] = etag_of(content.version)
    response.headers["vary"] = "accept-language"
    return DocumentOut.whole(content, store.read(store.REVISIONS, _there(revision)), _language(request))


@router.delete(
    "/contents/{content_id}",
    operation_id="delete_content",
    response_model=ContentOut,
    openapi_extra=who("member", "operator"),
)
async def delete_content(content_id: ContentId, ask: AskAgain, request: Request) -> Response:
    """Withdraw a document: it can no longer be read or shared. What it led to before stands."""
    return await ask(WithdrawContent(ask.caller, content_id, _language(request)))
