"""A service in another process: the request reaches it as it is, the answer comes back as it is, absence is a 503."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from chassis.web import App
from gateway.remote import Remote
from gateway.settings import UpstreamSettings
from gateway.upstream import InProcess, Unreachable, request_scope

ODD = b'\x00\xff {"amount":  1 }\r\n'


class Server:
    """A server of raw bytes: what came is kept, `answer` is sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                self.heard.append(head + await reader.readexactly(length))
                writer.write(self.answer)
                await writer.drain()
                if b"connection: close" in self.answer.lower() or not self.answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[Server, Remote]]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    remote = Remote("escrow", f"http://127.0.0.1:{server.port}", UpstreamSettings())
    try:
        yield server, remote
    finally:
        await remote.close()
        listening.close()


async def ask(app: App, method: str = "GET", path: str = "/v1/x", *, body: bytes = b"", headers: Any = ()) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    target, _, query = path.partition("?")
    await app(request_scope(method, target, tuple(headers), query.encode()), receive, send)
    return sent


def body_of(sent: list[Any]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent[1:])


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nDate: now\r\nX-Own: a\r\nx-own: b\r\n\r\nhi"


async def test_a_request_passes_to_the_byte_and_nothing_is_added() -> None:
    async with serving(OK) as (server, remote):
        headers = ((b"host", b"escrow"), (b"x-signature", b"abc="), (b"content-length", str(len(ODD)).encode()))
        sent = await ask(remote, "POST", "/v1/callbacks/payments/a%2Cb?q=%41+%20&q=", body=ODD, headers=headers)
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/callbacks/payments/a%2Cb?q=%41+%20&q= HTTP/1.1"
    assert sorted(line.lower() for line in lines[1:]) == sorted(name + b": " + value for name, value in headers)
    assert body == ODD
    assert sent[0]["status"] == 200
    assert sent[0]["headers"] == [(b"content-length", b"2"), (b"x-own", b"a"), (b"x-own", b"b")]
    assert body_of(sent) == b"hi"


async def test_requests_share_connections() -> None:
    async with serving(OK) as (server, remote):
        for _ in range(5):
            await ask(remote)
    assert len(server.heard) == 5
    assert server.connections == 1


async def test_a_redirect_is_passed_on_and_never_followed() -> None:
    answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/internal\r\ncontent-length: 0\r\n\r\n"
    async with serving(answer) as (_, remote):
        sent = await ask(remote)
    assert sent[0]["status"] == 302


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_an_answer_of_any_length_comes_whole(size: int) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode()
    async with serving(head + b"x" * size) as (_, remote):
        sent = await ask(remote)
    assert body_of(sent) == b"x" * size


async def test_an_answer_without_a_length_is_passed_on_as_it_comes() -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    async with serving(answer) as (_, remote):
        sent = await ask(remote)
    assert body_of(sent) == b"abc"
    assert sent[0]["headers"] == []
    assert sent[-1] == {"type": "http.response.body", "body": b""}


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhi"]
)
async def test_a_service_that_gives_no_whole_answer_is_unreachable(answer: bytes) -> None:
    async with serving(answer) as (_, remote):
        with pytest.raises(Unreachable):
            await ask(remote, "POST", body=b"{}")


async def test_a_service_that_is_away_is_unreachable_and_found_again_when_it_is_back() -> None:
    async with serving(OK) as (server, remote):
        await ask(remote)
        gone = Remote("escrow", "http://127.0.0.1:1", UpstreamSettings())
        with pytest.raises(Unreachable):
            await ask(gone)
        await gone.close()
        assert (await InProcess({"escrow": remote}).fetch("escrow", "/openapi.json")).body == b"hi"
        assert server.heard[-1].startswith(b"GET /openapi.json HTTP/1.1\r\n")


async def test_cookies_are_not_kept() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: a=b\r\n\r\n"
    async with serving(answer) as (server, remote):
        await ask(remote)
        sent = await ask(remote)
    assert b"cookie" not in server.heard[1].lower()
    assert (b"set-cookie", b"a=b") in sent[0]["headers"]


async def test_who_is_asked_through_the_edge_while_a_service_is_away_answers_503() -> None:
    from tests.gateway.world import world

    away = Remote("order", "http://127.0.0.1:1", UpstreamSettings())
    async with world(real={"order": away}) as here:
        transport = httpx.ASGITransport(app=here.edge)
        async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
            answer = await client.get("/v1/offers")
    await away.close()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["code"] == "upstream_unavailable"
