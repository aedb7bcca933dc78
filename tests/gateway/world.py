"""The gateway with a stand-in for each service behind it: who asked, with what, and what it is told to answer."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI, Request, Response
from uuid_utils.compat import uuid7

from chassis.auth import Verifier
from chassis.caller import Caller
from chassis.envelope import envelope_json
from chassis.message import Delivery
from chassis.service import Service
from chassis.web import App
from contracts.fact import Fact
from contracts.partner import StaffChanged
from gateway import edge
from gateway.settings import GatewaySettings
from tests import support

SERVICES = ("order", "escrow", "distribution", "partner", "tribe")


def a_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def settings(**changes: Any) -> GatewaySettings:
    given = {"signing_key": json.dumps(support.KEY.as_dict(private=True)), "master_key": a_key(), "index_key": a_key()}
    return GatewaySettings(**{**given, **changes})


@dataclass
class Standin:
    """A service that remembers its requests. `answers` maps a path to what it says there."""

    name: str
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answers: dict[str, Callable[[Caller | None], Response]] = field(default_factory=dict)
    offset_seconds: int = 0
    due: list[datetime] = field(default_factory=list)
    quiet: bool = True

    def app(self) -> FastAPI:
        app = FastAPI(title=self.name, docs_url=None, redoc_url=None)
        verifier = Verifier(self.name, support.KEY)

        @app.api_route("/v1/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
        async def anything(rest: str, request: Request) -> Response:
            self.seen.append((request.method, request.url.path, dict(request.headers), await request.body()))
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            caller = verifier.caller(token) if token else None
            answer = self.answers.get(request.url.path)
            return answer(caller) if answer else Response(json.dumps({"by": self.name}), media_type="application/json")

        @app.get("/internal/clock", include_in_schema=False)
        async def clock() -> dict[str, Any]:
            now = datetime.now(UTC).timestamp() + self.offset_seconds
            self.due = [each for each in self.due if each.timestamp() > now]
            return {
                "now": datetime.fromtimestamp(now, UTC).isoformat(),
                "offset_seconds": self.offset_seconds,
                "next_due_at": min(self.due).isoformat() if self.due else None,
                "quiet": self.quiet,
            }

        return app


class Client(httpx.AsyncClient):
    """A client, and who it speaks for."""

    person_id: str = ""
    seller_person: str | None = None


@dataclass
class World:
    """The running gateway, its edge, and the services behind it."""

    service: Service
    edge: Any
    standins: dict[str, Standin]
    settings: GatewaySettings

    @asynccontextmanager
    async def anyone(self, **headers: str) -> AsyncIterator[Client]:
        transport = httpx.ASGITransport(app=self.edge, raise_app_exceptions=False)
        given = {"accept-language": "en", **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with Client(transport=transport, base_url="http://edge", headers=given) as client:
            yield client

    async def sign_in(self, phone: str | None = None) -> dict[str, Any]:
        async with self.anyone() as client:
            asked = await client.post("/v1/sessions/codes", json={"phone": phone or a_phone()})
            assert asked.status_code == 202, asked.text
            code = asked.json()
            answer = await client.post("/v1/sessions", json={"code_id": code["code_id"], "code": code["sandbox_code"]})
            assert answer.status_code == 201, answer.text
            return dict(answer.json())

    @asynccontextmanager
    async def someone(self, phone: str | None = None) -> AsyncIterator[Client]:
        session = await self.sign_in(phone)
        async with self.anyone(authorization=f"Bearer {session['access_token']}") as client:
            client.person_id = session["person_id"]
            yield client

    async def appoint(self, party_id: str, person_id: str, role: str | None = "owner", version: int = 1) -> None:
        await self.hear(
            StaffChanged(party_id=party_id, person_id=person_id, role=role, version=version),  # type: ignore[arg-type]
            audience=(party_id,),
        )

    async def hear(self, fact: Fact, audience: tuple[str, ...] = ()) -> None:
        fact_id = uuid7()
        body = envelope_json(
            fact, fact_id, source=fact.type.partition(".")[0], time=datetime.now(UTC), sequence=1,
            causation="test", correlation="test", audience=audience,
        )  # fmt: skip
        done = asyncio.get_running_loop().create_future()
        self.service.desk.hear(Delivery(fact_id, fact, "test", body), lambda: done.done() or done.set_result(None))
        await asyncio.wait_for(done, 10)


def a_phone() -> str:
    return f"138{secrets.randbelow(10**8):08d}"


def key() -> dict[str, str]:
    return {"idempotency-key": str(uuid4())}


@asynccontextmanager
async def world(
    *,
    mode: str = "sandbox",
    without: tuple[str, ...] = (),
    real: Mapping[str, App] = MappingProxyType({}),
    **given: Any,
) -> AsyncIterator[World]:
    """The gateway over stand-ins; `real` services take their places, those `without` are not there."""
    standins = {name: Standin(name) for name in SERVICES if name not in without}
    apps: dict[str, App] = {**{name: each.app() for name, each in standins.items()}, **real}
    extra = {name: given.pop(name) for name in ("deliver_code",) if name in given}
    own = settings(**given)
    async with support.running(
        "gateway", settings=own, upstreams=apps, chassis=support.settings(mode=mode), **extra
    ) as service:
        yield World(service, edge.app(service, apps), standins, own)
