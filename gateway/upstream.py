"""The services behind the gateway: one interface, whether they share its process or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chassis.web import App, Receive, Scope, Send

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of a service."""

    status: int
    headers: Headers
    body: bytes


class Unreachable(Exception):  # noqa: N818
    """There is no such service here, or it gave no answer."""


class Upstream(Protocol):
    """Where requests go on to. `forward` passes one through; `fetch` makes one and reads the whole answer."""

    @property
    def services(self) -> tuple[str, ...]: ...

    async def forward(self, service: str, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def fetch(self, service: str, path: str, headers: Headers = ()) -> Answer: ...


class InProcess:
    """Services as ASGI apps: those in this process, and a `Remote` for each of the others."""

    def __init__(self, apps: Mapping[str, App]) -> None:
        self._apps = dict(apps)

    @property
    def apps(self) -> dict[str, App]:
        return dict(self._apps)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._apps)

    def app(self, service: str) -> App:
        found = self._apps.get(service)
        if found is None:
            raise Unreachable(service)
        return found

    async def forward(self, service: str, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(service)(scope, receive, send)

    async def fetch(self, service: str, path: str, headers: Headers = ()) -> Answer:
        reader = _Reader()
        await self.forward(service, request_scope("GET", path, headers), reader.receive, reader.send)
        return reader.answer()


def request_scope(method: str, path: str, headers: Headers, query: bytes = b"") -> Scope:
    """An ASGI scope as a server would make it, with nothing of the client's but what is given."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "query_string": query,
        "headers": list(headers),
        "client": None,
        "server": ("gateway", 80),
        "state": {},
    }


class _Reader:
    """Collects an answer; the request has no body."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: Headers = ()
        self._body = bytearray()

    async def receive(self) -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Mapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            self._status = int(str(message["status"]))
            self._headers = tuple(message.get("headers", ()))  # type: ignore[arg-type]
        else:
            self._body += bytes(message.get("body", b""))  # type: ignore[call-overload]

    def answer(self) -> Answer:
        return Answer(self._status, self._headers, bytes(self._body))
