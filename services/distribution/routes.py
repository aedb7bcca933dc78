"""Distribution over HTTP: parse, ask the desk or read, answer."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response

from chassis import problems, web
from chassis.decision import Forbidden, NotFound, Unauthenticated
from chassis.policy import require_person, require_reader
from chassis.service import Service
from chassis.web import AskAgain, AskOnce, CallerOf, Limit, Page, StartingAfter, page, who
from contracts.fact import Token
from contracts.ids import OrderId
from services.distribution import store
from services.distribution.commands import Join, Open, Share
from services.distribution.commission import State
from services.distribution.handlers import LinkExpired
from services.distribution.schemas import (
    AngelIn,
    AngelOut,
    AngelSummaryOut,
    AttributionOut,
    CommissionOut,
    ComplianceOut,
    LandingOut,
    ShareLinkIn,
    ShareLinkOut,
    TouchIn,
    TouchOut,
)
from services.distribution.tokens import Tokens

CURRENCY = "CNY"
"""An angel's totals are kept in one currency; the list of commissions shows each in its own."""

router = web.router()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _tokens(request: Request) -> Tokens:
    tokens: Tokens = request.app.state.tokens
    return tokens


def _language(request: Request) -> str:
    return problems.language_of(request.headers.get("accept-language", ""))


ServiceOf = Annotated[Service, Depends(_service)]
TokensOf = Annotated[Tokens, Depends(_tokens)]
LanguageOf = Annotated[str, Depends(_language)]


@router.put("/angels/me", operation_id="update_angel", response_model=AngelOut, openapi_extra=who("person"))
async def update_angel(body: AngelIn, ask: AskAgain) -> Response:
    """Become an angel: accept the rules, pay nothing, bring nobody."""
    return await ask(Join(ask.caller, body.rules_version), body)


@router.get("/angels/me", operation_id="get_angel", response_model=AngelSummaryOut, openapi_extra=who("person"))
async def get_angel(caller: CallerOf, service: ServiceOf, language: LanguageOf) -> AngelSummaryOut:
    """What my sharing has come to."""
    summary = await store.find_angel(service.database, require_person(caller), CURRENCY)
    if summary is None:
        raise NotFound
    return AngelSummaryOut.summing(summary, CURRENCY, language)


@router.post(
    "/share-links",
    operation_id="create_share_link",
    status_code=201,
    response_model=ShareLinkOut,
    openapi_extra=who("angel", keys=False),
)
async def create_share_link(body: ShareLinkIn, ask: AskOnce, language: LanguageOf) -> Response:
    """A link of mine to an offer or a piece of content."""
    return await ask(Share(ask.caller, body.offer_id, body.content_id, language), body)


@router.get(
    "/share-links",
    operation_id="list_share_links",
    response_model=Page[ShareLinkOut],
    openapi_extra=who("angel", keys=False),
)
async def list_share_links(
    request: Request,
    caller: CallerOf,
    service: ServiceOf,
    tokens: TokensOf,
    language: LanguageOf,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[ShareLinkOut]:
    """My links, newest first."""
    links = await store.list_links(service.database, require_person(caller), starting_after, limit + 1)
    base: str = request.app.state.public_url
    return page(links, limit, lambda link: ShareLinkOut.carrying(link, language, tokens.for_link(link), base))


@router.get(
    "/links/{token}",
    operation_id="get_link",
    response_model=LandingOut,
    responses=problems.documented(410),
    openapi_extra=who("any"),
)
async def get_link(
    token: Annotated[Token, Path()], service: ServiceOf, tokens: TokensOf, language: LanguageOf
) -> LandingOut:
    """Where a link leads, with its label and disclosure."""
    link_id = tokens.link_in(token)
    found = await store.find_landing(service.database, link_id) if link_id else None
    if found is None:
        raise NotFound
    link, over = found
    if over:
        raise LinkExpired
    return LandingOut.of(link, language)


@router.post(
    "/touches",
    operation_id="create_touch",
    status_code=201,
    response_model=TouchOut,
    responses=problems.documented(410),
    openapi_extra=who("any"),
)
async def create_touch(body: TouchIn, ask: AskAgain, tokens: TokensOf) -> Response:
    """Somebody opened a link: the answer's token goes with their checkout."""
    link_id = tokens.link_in(body.token)
    if link_id is None:
        raise NotFound
    return await ask(Open(ask.caller, link_id), body)


@router.get(
    "/attributions/{order_id}",
    operation_id="get_attribution",
    response_model=AttributionOut,
    openapi_extra=who("buyer", "angel", "seller"),
)
async def get_attribution(order_id: OrderId, caller: CallerOf, service: ServiceOf) -> AttributionOut:
    """Who brought the lines of an order, or why nobody did."""
    require_reader(caller, "attributions")
    found = await store.find_attribution(service.database, order_id, caller.person_id, caller.party_id)
    if found is None:
        raise NotFound
    attribution, whole = found
    return AttributionOut.seen_by(caller.person_id, attribution, whole=whole)


@router.get(
    "/commissions",
    operation_id="list_commissions",
    response_model=Page[CommissionOut],
    openapi_extra=who("angel", keys=False),
)
async def list_commissions(
    caller: CallerOf,
    service: ServiceOf,
    state: State | None = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
) -> Page[CommissionOut]:
    """My commissions, newest first."""
    person = require_person(caller)
    found = await store.list_commissions(service.database, person, state, starting_after, limit + 1)
    return page(found, limit, CommissionOut.of)


@router.get("/compliance", operation_id="get_compliance", response_model=ComplianceOut, openapi_extra=who("any", "ops"))
async def get_compliance(caller: CallerOf, service: ServiceOf) -> ComplianceOut:
    """One level, no fee, no reward for recruiting: proved from the tables themselves. Public in a sandbox."""
    if service.settings.mode == "production":
        if caller.person_id is None:
            raise Forbidden if caller.party_id else Unauthenticated
        if not await store.is_ops(service.database, caller.person_id):
            raise Forbidden
    return ComplianceOut.of(await store.measure_compliance(service.database))
