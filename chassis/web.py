"""The edge of a service: caller, Idempotency-Key, request id, one way from a route to the desk, health and metrics."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypeVar
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, StringConstraints

from chassis import metrics, problems
from chassis.auth import Verifier
from chassis.caller import ANYONE, Caller, Command
from chassis.db import is_outage
from chassis.decision import Forbidden, Unauthenticated
from chassis.desk import Desk

if TYPE_CHECKING:
    from chassis.service import Service

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger("http")
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class In(BaseModel):
    """Base of every request body: strict, and no member that is not declared."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Out(BaseModel):
    """Base of every response body."""

    model_config = ConfigDict(frozen=True)


IdempotencyKey = Annotated[
    str,
    Header(
        description="Chosen by you, unique per effect (a UUID): repeating it repeats the answer, not the effect.",
        min_length=1,
        max_length=255,
        pattern=r'^"?[A-Za-z0-9_\-:.]+"?$',
    ),
]
Limit = Annotated[int, Query(ge=1, le=100, description="items per page")]
StartingAfter = Annotated[
    Annotated[str, StringConstraints(pattern="^[a-z]{3}_[0-9a-f]{32}$")] | None,
    Query(description="the id of the last item you have"),
]


IfMatch = Annotated[str, Header(description="the ETag of what you read", pattern=r'^(W/)?"[0-9]{1,18}"$')]


def etag_of(version: int) -> str:
    return f'"{version}"'


def version_in(if_match: str) -> int:
    """The version that an If-Match header names."""
    return int(if_match.removeprefix("W/").strip('"'))


class Page(Out, Generic[T]):
    """One page of a list, newest first unless said: whole objects, and whether more follow the last of them."""

    data: list[T]
    has_more: bool


def page(rows: Sequence[R], limit: int, shape: Callable[[R], T]) -> Page[T]:
    """A page out of a query that asked for one row more than `limit`."""
    return Page[Any](data=[shape(row) for row in rows[:limit]], has_more=len(rows) > limit)


def caller_of(request: Request) -> Caller:
    """The caller of a request, as its internal token says."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


CallerOf = Annotated[Caller, Depends(caller_of)]


@dataclass(frozen=True, slots=True)
class Ask:
    """Sends a command to the service's desk and turns its answer into the response."""

    desk: Desk
    caller: Caller
    key: str | None
    operation: str
    status: int

    async def __call__(self, command: Command, body: BaseModel | None = None, *, etag: bool = False) -> Response:
        """`body` is what a repeated Idempotency-Key must repeat; path parameters are part of the command's operation.

        `etag`: the answer has a `version`, which a later If-Match names.
        """
        fingerprint = body.model_dump_json().encode() if body else b""
        reply = await self.desk.ask(command, operation=self.operation, key=self.key, body=fingerprint)
        headers = {"idempotent-replayed": "true"} if reply.replayed else {}
        if etag:
            headers["etag"] = etag_of(json.loads(reply.body)["version"])
        if self.status in {202, 204} and reply.body == b"null":
            return Response(status_code=self.status, headers=headers)
        return Response(reply.body, self.status, headers, "application/json")


def _asking(request: Request, key: str | None) -> Ask:
    route: APIRoute = request.scope["route"]
    # The path is part of the operation: one key used on two orders is two operations, not a conflict.
    operation = f"{request.method} {request.url.path}"
    service: Service = request.app.state.service
    bare = key.strip('"') if key else None
    return Ask(service.desk, caller_of(request), bare, operation, route.status_code or 200)


def _keyed(request: Request, idempotency_key: IdempotencyKey) -> Ask:
    return _asking(request, idempotency_key)


def _plain(request: Request) -> Ask:
    return _asking(request, None)


AskOnce = Annotated[Ask, Depends(_keyed)]
"""For operations marked K: an Idempotency-Key is required."""
AskAgain = Annotated[Ask, Depends(_plain)]
"""For naturally idempotent operations."""


def who(*relations: str, keys: bool = True) -> dict[str, Any]:
    """`openapi_extra=who("buyer", "seller")`: the authorisation matrix reads it, a test holds every cell against it.

    Relations: any, any_in_sandbox, signed, person, buyer, seller, merchant, partner, member, author, operator, angel,
    owner, party, ops. Whoever has not signed in is let in by the first three alone. `keys=False`: only people do this,
    never a party's key; what is a `person`'s own says so by itself.
    """
    return {"x-who": list(relations), "x-keys": keys and relations != ("person",)}


PUBLIC = frozenset({"any", "any_in_sandbox", "signed"})


def _let_in(request: Request) -> None:
    """Whom an operation is not for at all is refused before anything is looked up: the answer tells nothing of what the
    request names. What does not say otherwise is not for anyone."""
    route: APIRoute = request.scope["route"]
    caller, said = caller_of(request), route.openapi_extra or {}
    if caller.person_id is None and caller.party_id is None and PUBLIC.isdisjoint(said.get("x-who", ())):
        raise Unauthenticated
    if caller.party_id is not None and not said.get("x-keys", True):
        raise Forbidden


def router() -> APIRouter:
    """For a service's operations: every error documented, and closed to anyone where `who` does not open it."""
    responses = problems.documented(*problems.EVERY_OPERATION)
    return APIRouter(prefix="/v1", responses=responses, dependencies=[Depends(_let_in)])


class Guard:
    """Outermost layer of a service: request id, caller, duration; everything inside may rely on `state.caller`."""

    def __init__(self, app: App, *, service: str, verifier: Verifier) -> None:
        self._app = app
        self._service = service
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = headers.get(b"request-id", b"").decode("latin-1") or uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status, started = 0, time.perf_counter()

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"request-id", request_id.encode("latin-1")))
            await send(message)

        try:
            state["caller"] = self._caller(headers, request_id)
        except Unauthenticated as refusal:
            response = problems.problem(Request(scope), refusal.status, refusal.code)
            await response(scope, receive, sending)
            return
        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            # The answer has been given inside (`problems.install`); what is left is to tell ourselves.
            if not is_outage(error):
                log.exception("request_failed", service=self._service, path=scope["path"], request_id=request_id)
            if not status:
                await problems.defect(Request(scope), error)(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            took = time.perf_counter() - started
            metrics.HTTP_SECONDS.labels(self._service, scope["method"], route, status).observe(took)

    def _caller(self, headers: dict[bytes, bytes], request_id: str) -> Caller:
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            return replace(ANYONE, request_id=request_id)
        return replace(self._verifier.caller(token), request_id=request_id)


def create_app(service: "Service", routes: APIRouter) -> App:
    """The service's ASGI app. Without an internal token the caller is anyone: what may be public says `any` itself."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service:
            yield

    app = FastAPI(
        title=f"Buluo {service.name}",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    app.include_router(routes)
    app.include_router(health(service))
    problems.install(app)
    service.api = app
    return Guard(app, service=service.name, verifier=service.verifier)


def not_ready(database: str) -> Response:
    """503: requests are to go elsewhere for a while. `database` says what is wrong with it: unreachable or behind."""
    body = json.dumps({"status": "unavailable", "database": database})
    return Response(body, 503, {"retry-after": "1"}, "application/json")


def health(service: "Service") -> APIRouter:
    """Never routed by the gateway: liveness, readiness (503 for the database alone), metrics, and the world clock."""
    inside = APIRouter(include_in_schema=False)

    @inside.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @inside.get("/readyz")
    async def readyz() -> Response:
        if not await service.database.ready():
            return not_ready("unreachable")
        # Without the broker facts wait in the outbox and everything else goes on: no reason to send requests elsewhere.
        body = '{"status": "ready"}' if service.bus.connected else '{"status": "ready", "broker": "degraded"}'
        return Response(body, media_type="application/json")

    @inside.get("/metrics")
    async def metrics_page() -> Response:
        await service.measure()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @inside.get("/internal/clock")
    async def clock() -> dict[str, Any]:
        due_at = await service.deadlines.next_due_at()
        return {
            "now": (await service.now()).isoformat(),
            "offset_seconds": await service.offset_seconds(),
            "next_due_at": due_at.isoformat() if due_at else None,
            "quiet": await service.quiet(),
        }

    return inside
