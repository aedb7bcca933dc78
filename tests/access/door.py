"""The public door without a network under it: one call is one HTTP request to the gateway's edge, byte for byte."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode
from uuid import uuid4

from chassis.web import App

_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and what it was the answer to."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status} {self.body.decode()[:300]}"


@dataclass(slots=True)
class Door:
    """Calls one ASGI app; `heard` keeps every answer while it is a list."""

    app: App
    heard: list[tuple[str, Answer]] | None = field(default=None, repr=False)

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        json_body: Any = _MISSING,
        raw: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        who: str = "",
    ) -> Answer:
        """One request. Every POST brings a fresh Idempotency-Key. `who` is a name for the records alone."""
        given = {"host": "edge", "accept": "application/json", "accept-language": "en", **(headers or {})}
        body = raw if raw is not None else b"" if json_body is _MISSING else json.dumps(json_body).encode()
        if body:
            given.setdefault("content-type", "application/json")
            given["content-length"] = str(len(body))
        if method == "POST":
            given.setdefault("idempotency-key", str(uuid4()))
        if token:
            given["authorization"] = f"Bearer {token}"
        path, _, asked = path.partition("?")
        answer = await _ask(self.app, method, path, asked or urlencode(query or {}), given, body)
        if self.heard is not None:
            self.heard.append((who, answer))
        return answer


async def _ask(app: App, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
    start: dict[str, Any] = {}
    received = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            received.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": quote(path, safe="/%").encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("edge", 80),
    }
    await app(scope, receive, send)
    found = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(method, path, start["status"], found, bytes(received))
