"""A service in another process, as an ASGI app: a request to it is one request over a pooled connection."""

from collections.abc import Sequence
from typing import Final

import aiohttp
from yarl import URL

from chassis.web import App, Receive, Scope, Send
from gateway.settings import UpstreamSettings
from gateway.upstream import Headers, Unreachable

IDLE_SECONDS: Final = 30
"""Shorter than a service keeps an idle connection, so that none is chosen in the moment of its end."""
WHOLE_BYTES_MAX: Final = 1_048_576
OURS_TO_ADD: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What the client library would add by itself: the request is the gateway's, to the byte."""
BETWEEN_TWO: Final = frozenset(
    {b"connection", b"date", b"keep-alive", b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Headers of an answer that concern the two machines alone."""


def remotes(settings: UpstreamSettings) -> dict[str, "Remote"]:
    """Every service behind the gateway, by its name."""
    return {name: Remote(name, url, settings) for name, url in settings.urls().items()}


def apps(services: Sequence["Remote"]) -> dict[str, App]:
    return {service.name: service for service in services}


class Remote:
    """Passes a request on as it is and the answer back as it is. Raises Unreachable where there is none."""

    def __init__(self, name: str, url: str, settings: UpstreamSettings) -> None:
        self.name = name
        self._url = url
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = URL(self._url + _target(scope), encoded=True)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        body = await _body(receive)
        try:
            async with self._client().request(
                scope["method"], target, headers=headers, data=body or None, allow_redirects=False
            ) as answer:
                await _pass_back(answer, send)
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(self.name) from error

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.upstream_pool_max, keepalive_timeout=IDLE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.upstream_connect_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=OURS_TO_ADD,
            )
        return self._session

    async def close(self) -> None:
        if self._session:
            await self._session.close()


def _target(scope: Scope) -> str:
    """Path and query as the client wrote them."""
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _pass_back(answer: aiohttp.ClientResponse, send: Send) -> None:
    """A small answer in one piece; a long or endless one as it comes."""
    named = [(name.lower(), value) for name, value in answer.raw_headers]
    headers: Headers = tuple((name, value) for name, value in named if name not in BETWEEN_TWO)
    start = {"type": "http.response.start", "status": answer.status, "headers": list(headers)}
    if (answer.content_length or WHOLE_BYTES_MAX) < WHOLE_BYTES_MAX:
        body = await answer.read()
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    await send(start)
    async for piece in answer.content.iter_any():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
