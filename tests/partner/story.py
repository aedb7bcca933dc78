"""A small world to tell tests in: people, a merchant, a partner, and what they have agreed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from chassis.caller import Caller
from chassis.service import Service
from services.partner.settings import PartnerSettings
from tests.support import client, key, new_id, running

VALUES = {
    "frequency": "慢一点，好一点",
    "taste": "只做当季的果子",
    "feeling": "像送给家里人那样",
    "acting": "每年和大家一起采摘",
    "mission": "让好果子遇见懂它的人",
    "looking_for": "愿意陪果园走十年的人",
}
TERMS = {
    "service_bps": 800,
    "group": "standard",
    "limits": {"max_order_amount": {"amount": 5_000_00, "currency": "CNY"}},
}
ANSWERS = {"frequency": "我们同频", "taste": "我们同趣", "feeling": "我们同感", "acting": "我们同行"}
JSON = dict[str, Any]


class World:
    """The partner service and everybody who talks to it."""

    def __init__(self, service: Service, stack: AsyncExitStack, ops: str) -> None:
        self.service = service
        self._stack = stack
        self.ops_id = ops

    async def someone(self, person_id: str | None = None) -> "Someone":
        person_id = person_id or new_id("per")
        return Someone(person_id, await self._stack.enter_async_context(client(self.service, Caller(person_id))))

    async def key_of(self, party_id: str, *scopes: str) -> "Someone":
        caller = Caller(party_id=party_id, key_id=new_id("key"), scopes=frozenset(scopes))
        return Someone("", await self._stack.enter_async_context(client(self.service, caller)))

    async def nobody(self) -> "Someone":
        return Someone("", await self._stack.enter_async_context(client(self.service)))


class Someone:
    """A caller and what they do most."""

    def __init__(self, person_id: str, http: httpx.AsyncClient) -> None:
        self.id = person_id
        self.http = http

    async def post(self, path: str, body: JSON | None = None) -> httpx.Response:
        return await self.http.post(f"/v1{path}", json=body or {}, headers=key())

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.http.get(f"/v1{path}", params=query)

    async def patch(self, path: str, body: JSON, version: int) -> httpx.Response:
        return await self.http.patch(f"/v1{path}", json=body, headers={"if-match": f'"{version}"'})

    async def put(self, path: str, body: JSON, version: int) -> httpx.Response:
        return await self.http.put(f"/v1{path}", json=body, headers={"if-match": f'"{version}"'})

    async def merchant(self, *, opened: bool = True, recruiting: bool = True) -> str:
        made = (await self.post("/merchants", {"name": "石桥果园", "categories": ["fruit"]})).json()
        change: JSON = {"values": VALUES, "recruiting": {"open": recruiting, "regions": ["320500"], "terms": TERMS}}
        if opened:
            changed = await self.patch(f"/merchants/{made['id']}", {**change, "state": "open"}, 1)
            assert changed.status_code == 200, changed.text
        return str(made["id"])

    async def partner(self) -> str:
        body = {"display_name": "小李的店", "regions": ["320500"], "capability": "三家店，二十辆车"}
        made = await self.post("/partners", body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def employ(self, party_id: str, person_id: str, role: str) -> None:
        made = await self.put(f"/staff/{party_id}/{person_id}", {"role": role}, 0)
        assert made.status_code == 200, made.text

    async def application(self, merchant_id: str, partner_id: str) -> str:
        made = await self.post("/applications", application(merchant_id, partner_id))
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def move(self, application_id: str, move: str, **body: Any) -> JSON:
        moved = await self.post(f"/applications/{application_id}/{move}", body)
        assert moved.status_code == 200, moved.text
        return dict(moved.json())


def application(merchant_id: str, partner_id: str) -> JSON:
    return {"merchant_id": merchant_id, "partner_id": partner_id, "answers": ANSWERS, "capability": "我们送货上门"}


async def agreed(owner: Someone, partner: Someone) -> JSON:
    """A merchant and a partner that have agreed: the application, with its partnership."""
    merchant_id, partner_id = await owner.merchant(), await partner.partner()
    application_id = await partner.application(merchant_id, partner_id)
    await partner.move(application_id, "submit")
    await partner.move(application_id, "accept")
    return await owner.move(application_id, "accept")


@asynccontextmanager
async def world(*, ops: bool = False) -> AsyncIterator[World]:
    person_id = new_id("per")
    settings = PartnerSettings(first_ops_person_id=person_id if ops else None)
    async with running("partner", settings=settings) as service, AsyncExitStack() as stack:
        yield World(service, stack, person_id)
