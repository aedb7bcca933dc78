"""The edge: one owner per address, nothing of the client's but what it may bring, limits before anybody reads."""

import json
from typing import Any

import pytest

from chassis.auth import Verifier
from chassis.caller import Caller
from chassis.decision import Unauthenticated
from gateway.limits import DEPTH_MAX, depth_of
from gateway.routing import OWNERS, owner_of
from tests import support
from tests.gateway.world import World, world


async def call(
    here: World,
    path: str,
    *,
    method: str = "GET",
    headers: list[tuple[bytes, bytes]] | None = None,
    chunks: tuple[bytes, ...] = (b"",),
    raw_path: bytes | None = None,
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """A request as bytes on the wire would make it: httpx would mend what we mean to break."""
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": n + 1 < len(chunks)} for n, chunk in enumerate(chunks)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode() if raw_path is None else raw_path, "query_string": b"",
        "headers": headers or [], "client": ("203.0.113.9", 1), "server": ("edge", 80), "state": {"caller": "forged"},
    }  # fmt: skip
    await here.edge(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], list(sent[0]["headers"]), body


async def test_every_address_of_the_table_reaches_its_one_owner() -> None:
    async with world() as here, here.anyone() as client:
        for address, owner in OWNERS.items():
            if owner != "gateway":
                answer = await client.get(f"/v1/{address}")
                assert answer.json() == {"by": owner}, address


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v1", "/v1/", "/v2/orders", "/orders", "/internal/clock", "/metrics", "/v1/internal/clock", "/v1/metrics",
        "/v1/orders/../../internal/clock", "/v1/./orders", "/v1//orders", "/v1/orders/", "/v1/readyz", "/docs",
        "/v1/callbacks", "/v1/callbacks/carrier/sf", "/v1/nothing", "/V1/orders", "/readyz/", "/openapi.json/",
    ],
)  # fmt: skip
async def test_what_nobody_owns_is_a_404_problem_and_reaches_nobody(path: str) -> None:
    async with world() as here:
        status, headers, body = await call(here, path)
        assert status == 404
        assert json.loads(body)["code"] == "not_found"
        assert dict(headers)[b"content-type"] == b"application/problem+json"
        assert not any(each.seen for each in here.standins.values())


@pytest.mark.parametrize(
    "raw", [b"/v1/orders%2f..%2finternal", b"/v1/orders%5c..", b"/v1/orders/%00", b"/v1/orders\\x"]
)
def test_a_path_that_two_readers_could_read_differently_is_nobodys(raw: bytes) -> None:
    assert owner_of("/v1/orders/x", raw) is None


async def test_a_service_that_is_not_there_is_a_503_problem() -> None:
    async with world(without=("tribe",)) as here, here.anyone() as client:
        answer = await client.get("/v1/tribes")
        assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unavailable")
        assert answer.headers["retry-after"]


async def test_a_service_that_does_not_answer_in_time_is_a_503_problem() -> None:
    import asyncio

    async def hang(*_: Any) -> None:
        await asyncio.sleep(10)

    async with world(answer_seconds=0.05) as here, here.anyone() as client:
        here.edge._upstream._apps["order"] = hang
        answer = await client.get("/v1/orders")
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")


async def test_a_service_that_fails_is_a_500_problem_with_the_id_to_quote() -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("a secret of the inside")

    async with world() as here, here.anyone() as client:
        here.edge._upstream._apps["order"] = fail
        answer = await client.get("/v1/orders")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert answer.json()["trace_id"] == answer.headers["request-id"]
        assert "secret" not in answer.text


async def test_every_answer_carries_a_request_id_and_the_security_headers_once() -> None:
    async with world() as here:
        for path in ("/v1/orders", "/v1/nothing", "/livez", "/readyz", "/openapi.json", "/v1/me"):
            _, headers, _ = await call(here, path)
            names = [name for name, _ in headers]
            for name in (b"request-id", b"x-content-type-options", b"cache-control", b"content-security-policy"):
                assert names.count(name) == 1, (path, name)
            assert b"server" not in names
            assert not any(name.startswith(b"access-control-") for name in names)


async def test_a_browser_of_another_origin_is_not_let_in() -> None:
    async with world() as here, here.anyone(origin="https://evil.example") as client:
        preflight = await client.options("/v1/orders", headers={"access-control-request-method": "POST"})
        assert preflight.status_code == 405
        assert not [name for name in preflight.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PURGE"])
async def test_other_methods_are_refused_at_the_door(method: str) -> None:
    async with world() as here:
        status, _, _ = await call(here, "/v1/orders", method=method)
        assert status == 405


INTERNAL_HEADERS = [
    (b"x-caller", b"per_1"), (b"x-person-id", b"per_1"), (b"x-forwarded-for", b"10.0.0.1"), (b"x-internal", b"1"),
    (b"request-id", b"spoofed"), (b"forwarded", b"for=10.0.0.1"), (b"cookie", b"a=b"), (b"traceparent", b"00-1-1-00"),
    (b"party", b"platform"), (b"connection", b"keep-alive"),
]  # fmt: skip


async def test_nothing_that_a_client_says_about_itself_travels_inside() -> None:
    async with world() as here:
        status, _, _ = await call(here, "/v1/orders", headers=[*INTERNAL_HEADERS, (b"accept-language", b"en")])
        assert status == 200
        ((_, _, headers, _),) = here.standins["order"].seen
        assert set(headers) == {"accept-language", "host", "request-id"}
        assert headers["request-id"] != "spoofed"


async def test_an_internal_token_does_not_open_the_edge_and_an_access_token_does_not_open_a_service() -> None:
    async with world() as here, here.someone() as client:
        inside = support.ISSUER.token("order", Caller(person_id=support.new_id("per")))
        async with here.anyone(authorization=f"Bearer {inside}") as spoofer:
            assert (await spoofer.get("/v1/orders")).status_code == 401
        outside = client.headers["authorization"].removeprefix("Bearer ")
        with pytest.raises(Unauthenticated):
            Verifier("order", support.KEY).caller(outside)


async def test_a_body_over_the_limit_is_413_promised_or_not() -> None:
    json_type = (b"content-type", b"application/json")
    chunks = tuple(b"x" * 1_000 for _ in range(3))
    async with world(body_max_bytes=2_048) as here:
        promised, _, _ = await call(
            here, "/v1/orders", method="POST", headers=[json_type, (b"content-length", b"2049")], chunks=(b"{}",)
        )
        chunked, _, _ = await call(here, "/v1/orders", method="POST", headers=[json_type], chunks=chunks)
        lying, _, _ = await call(
            here, "/v1/orders", method="POST", headers=[json_type, (b"content-length", b"10")], chunks=chunks
        )
        senseless, _, _ = await call(here, "/v1/orders", method="POST", headers=[(b"content-length", b"-1")])
        fits, _, _ = await call(
            here, "/v1/orders", method="POST", headers=[json_type], chunks=(b'"', b"x" * 2_046, b'"')
        )
        assert (promised, chunked, lying, senseless, fits) == (413, 413, 413, 413, 200)
        assert len(here.standins["order"].seen) == 1


async def test_too_many_or_too_long_headers_are_431() -> None:
    async with world() as here:
        many, _, _ = await call(here, "/v1/orders", headers=[(b"x-%d" % n, b"") for n in range(65)])
        long, _, _ = await call(here, "/v1/orders", headers=[(b"accept", b"a" * 17_000)])
        assert (many, long) == (431, 431)


async def test_a_body_that_is_not_json_is_415() -> None:
    async with world() as here, here.anyone() as client:
        for kind in ("text/plain", "application/xml", "", "application/jsonx"):
            answer = await client.post("/v1/orders", content=b"{}", headers={"content-type": kind})
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        answer = await client.post(
            "/v1/orders", content=b"{}", headers={"content-type": "application/json; charset=utf-8"}
        )
        assert answer.status_code == 200


async def test_json_nested_too_deep_is_refused_before_anybody_reads_it() -> None:
    async with world() as here, here.anyone() as client:
        for body in (b"[" * 100_000, b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1)):
            answer = await client.post("/v1/orders", content=body, headers={"content-type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        wide = json.dumps([[{}] * 2] * 1_000 + ['[[["{{{' * 20])
        answer = await client.post("/v1/orders", content=wide, headers={"content-type": "application/json"})
        assert answer.status_code == 200


def test_brackets_inside_strings_are_no_depth() -> None:
    assert depth_of(json.dumps(["[" * 50, '\\"[', {"{": 1}] + [1] * 40 + [[]] * 40).encode()) == 2


async def test_a_slow_body_is_408() -> None:
    import asyncio

    async with world(body_seconds=0.05) as here:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(10)
            return {}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/orders", "raw_path": b"/v1/orders", "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }  # fmt: skip
        await here.edge(scope, receive, send)
        assert sent[0]["status"] == 408


@pytest.mark.parametrize(
    "body", [b'{"id": "evt_1",\n  "n": 1.0, "n": 2 }\r\n', bytes(range(256)) * 40, b"\xff\xfe", b""]
)
async def test_a_callback_reaches_escrow_byte_by_byte_with_its_own_headers(body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"), (b"sandbox-signature", b"c2ln"), (b"sandbox-timestamp", b"1"),
        (b"x-signature", b"of another provider"), (b"authorization", b"Bearer key_forged"), (b"x-forwarded-for", b"10.0.0.1"),
        (b"cookie", b"a=b"),
    ]  # fmt: skip
    chunks = (body[:7], body[7:])
    async with world() as here:
        status, _, _ = await call(here, "/v1/callbacks/payments/sandbox", method="POST", headers=headers, chunks=chunks)
        assert status == 200
        ((method, path, seen, received),) = here.standins["escrow"].seen
        assert (method, path, received) == ("POST", "/v1/callbacks/payments/sandbox", body)
        assert seen["sandbox-signature"] == "c2ln"
        assert seen["x-signature"] == "of another provider"
        assert not {"authorization", "cookie", "x-forwarded-for"} & set(seen)


async def test_liveness_and_readiness_are_the_gateways_own() -> None:
    async with world() as here, here.anyone() as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_a_client_that_hangs_up_while_sending_is_let_go() -> None:
    async with world() as here:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/orders", "raw_path": b"/v1/orders", "query_string": b"",
            "headers": [],
        }  # fmt: skip
        await here.edge(scope, receive, send)
        assert not sent
        assert not here.standins["order"].seen
