"""The edge: the outermost ASGI app, and the only one the world reaches.

A request goes on to the one service that owns its address, with a head made here: of what the client sent only the
headers in `PASSED` travel, who the caller is is said by an internal token for that service alone, and the request id is
ours. A callback of a provider keeps its own headers, because its signature may cover them, and its body byte by byte.
"""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any
from uuid import uuid4

import structlog
from fastapi import Request

from chassis import problems
from chassis.auth import Issuer
from chassis.caller import Caller
from chassis.decision import NotFound, Refused
from chassis.service import Service
from chassis.web import App, Receive, Scope, Send
from gateway import limits
from gateway.credentials import Credentials
from gateway.doors import Doors, UpstreamUnavailable
from gateway.openapi import OpenApi
from gateway.routing import PUBLIC_PAGES, is_callback, owner_of
from gateway.settings import GatewaySettings
from gateway.upstream import InProcess, Unreachable, Upstream, request_scope

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
PASSED = frozenset(
    {
        b"accept",
        b"accept-language",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"if-none-match",
        b"last-event-id",
    }
)
NEVER_PASSED = frozenset(
    {
        b"authorization", b"connection", b"content-length", b"cookie", b"forwarded", b"host", b"keep-alive",
        b"proxy-authorization", b"request-id", b"te", b"traceparent", b"tracestate", b"trailer", b"transfer-encoding",
        b"upgrade",
    }
)  # fmt: skip
"""What even a callback's request leaves behind: who asks, and everything that is between two machines only."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
HSTS = ((b"strict-transport-security", b"max-age=31536000; includeSubDomains"),)
DROPPED = frozenset({b"server", b"x-powered-by", b"request-id"})

log = structlog.get_logger("edge")


class MethodNotAllowed(Refused):
    status, code = 405, "method_not_allowed"


class DeadlineExceeded(Refused):
    status, code = 503, "deadline_exceeded"


def app(service: Service, upstreams: Mapping[str, App]) -> App:
    """The edge over the gateway's own service and the services behind it."""
    doors: Doors = service.api.state.doors
    credentials = Credentials(doors.tokens, service.database, doors.settings.key_cache_seconds)
    upstream = InProcess({**upstreams, service.name: service.app})
    production = service.settings.mode == "production"
    return Edge(service.app, upstream, credentials, doors.issuer, doors.settings, production=production)


class Edge:
    """Limits, owner, caller, body, in this order; then the owner's turn."""

    def __init__(
        self,
        gateway: App,
        upstream: Upstream,
        credentials: Credentials,
        issuer: Issuer,
        settings: GatewaySettings,
        *,
        production: bool,
    ) -> None:
        self._gateway = gateway
        self._upstream = upstream
        self._credentials = credentials
        self._issuer = issuer
        self._settings = settings
        self._openapi = OpenApi(upstream)
        self._headers = SECURITY_HEADERS + (HSTS if production else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._gateway(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer({**scope, "state": {"request_id": uuid4().hex}}, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever happens, one whole answer in our own dress."""
        dressed = _Dressed(send, scope["state"]["request_id"], self._headers)
        try:
            await self._serve(scope, receive, dressed)
        except limits.Gone:
            return
        except Refused as refusal:
            await _refuse(refusal, scope, receive, dressed)
        except Exception:
            log.exception("edge_failed", path=scope["path"], request_id=scope["state"]["request_id"])
            if not dressed.started:
                await problems.problem(Request(scope), 500, "internal_error")(scope, receive, dressed)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits.check_head(scope)
        path: str = scope["path"]
        if path == "/openapi.json" and scope["method"] == "GET":
            await (await self._openapi.response())(scope, receive, send)
            return
        owner = "gateway" if path in PUBLIC_PAGES else owner_of(path, scope.get("raw_path") or path.encode())
        if owner is None:
            raise NotFound
        if scope["method"] not in METHODS:
            raise MethodNotAllowed({"method": scope["method"]})
        await self._pass_on(owner, scope, receive, send)

    async def _pass_on(self, owner: str, scope: Scope, receive: Receive, send: Send) -> None:
        callback = is_callback(scope["path"])
        caller = None if callback else await self._credentials.caller(scope["headers"])
        given = dict(scope["headers"])
        body = await limits.read_body(
            given, receive, most=self._settings.body_max_bytes, seconds=self._settings.body_seconds
        )
        if not callback:
            limits.check_json(given.get(b"content-type", b""), body)
        inner = request_scope(
            scope["method"], scope["path"], self._head(owner, scope, caller, body), scope["query_string"]
        )
        inner["raw_path"] = scope.get("raw_path") or inner["raw_path"]
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                await self._upstream.forward(owner, inner, _Body(body, receive), send)
        except Unreachable as error:
            raise UpstreamUnavailable from error
        except TimeoutError as error:
            raise DeadlineExceeded from error

    def _head(self, owner: str, scope: Scope, caller: Caller | None, body: bytes) -> tuple[tuple[bytes, bytes], ...]:
        passed = _callbacks_own if is_callback(scope["path"]) else PASSED.__contains__
        head = [(name, value) for name, value in scope["headers"] if passed(name)]
        head.append((b"host", owner.encode()))
        head.append((b"request-id", scope["state"]["request_id"].encode()))
        if body:
            head.append((b"content-length", str(len(body)).encode()))
        if caller:
            head.append((b"authorization", f"Bearer {self._issuer.token(owner, caller)}".encode()))
        return tuple(head)


def _callbacks_own(name: bytes) -> bool:
    return name not in NEVER_PASSED and not name.startswith((b"x-forwarded-", b"x-real-ip"))


async def _refuse(refusal: Refused, scope: Scope, receive: Receive, send: "_Dressed") -> None:
    if send.started:
        log.error("refused_too_late", code=refusal.code, request_id=scope["state"]["request_id"])
        return
    # What is refused unread is not read: the connection ends with the answer.
    headers = {"connection": "close"} if refusal.status in {408, 413} else {}
    response = problems.problem(Request(scope), refusal.status, refusal.code, refusal.params, refusal.extra, headers)
    await response(scope, receive, send)


class _Body:
    """`receive` for the service: the whole body at once, then whatever the client does next."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Any:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Dressed:
    """`send` to the client: our request id and security headers on every answer, nobody's banner on any."""

    def __init__(self, send: Send, request_id: str, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send = send
        self._added = (*headers, (b"request-id", request_id.encode()))
        self.started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = [pair for pair in message.get("headers", ()) if pair[0].lower() not in DROPPED]
            if all(name.lower() != b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*headers, *self._added]}
        await self._send(message)
