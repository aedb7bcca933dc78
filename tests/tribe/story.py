"""A small world to tell tests in: a partner with an active partnership, its tribe, and members."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from joserfc.jwk import OKPKey

from chassis.caller import Caller
from chassis.service import Service
from contracts.money import Money
from contracts.order import OfferPublished, OfferWithdrawn
from contracts.partner import (
    PartnershipActivated,
    PartnershipEnded,
    PartnershipLimits,
    PartnershipSuspended,
    PartnershipTerms,
    StaffChanged,
)
from services.tribe.settings import TribeSettings
from tests.support import client, hear, key, new_id, running

JSON = dict[str, Any]
SETTINGS = TribeSettings(token_key=json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
MERCHANT = new_id("mch")
PARTNERSHIP_FACTS = {
    "trial": PartnershipActivated,
    "active": PartnershipActivated,
    "suspended": PartnershipSuspended,
    "ended": PartnershipEnded,
}


def partnership(partnership_id: str, partner_id: str, state: str = "active", version: int = 2) -> Any:
    return PARTNERSHIP_FACTS[state](
        partnership_id=partnership_id,
        merchant_id=MERCHANT,
        partner_id=partner_id,
        state=state,
        terms=PartnershipTerms(
            version=1,
            service_bps=800,
            group="standard",
            limits=PartnershipLimits(max_order_amount=None),
            effective_from=datetime(2026, 5, 1, tzinfo=UTC),
        ),
        regions=("320500",),
        version=version,
    )


def offer(offer_id: str, tribe_id: str | None = None, version: int = 1, *, withdrawn: bool = False) -> Any:
    kind = OfferWithdrawn if withdrawn else OfferPublished
    merchant_id = new_id("mch")
    return kind(
        offer_id=offer_id,
        product_id=new_id("prd"),
        seller=merchant_id,
        merchant_id=merchant_id,
        partnership_id=None,
        tribe_id=tribe_id,
        price=Money(amount=39_90, currency="CNY"),
        angel_bps=500,
        version=version,
    )


class Someone:
    """A caller and what they do most."""

    def __init__(self, person_id: str, http: httpx.AsyncClient) -> None:
        self.id = person_id
        self.http = http

    async def post(self, path: str, body: JSON | None = None) -> httpx.Response:
        return await self.http.post(f"/v1{path}", json=body or {}, headers=key())

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.http.get(f"/v1{path}", params=query)

    async def delete(self, path: str) -> httpx.Response:
        return await self.http.delete(f"/v1{path}")

    async def patch(self, path: str, body: JSON, version: int) -> httpx.Response:
        return await self.http.patch(f"/v1{path}", json=body, headers={"if-match": f'"{version}"'})

    async def put(self, path: str, body: JSON, version: int) -> httpx.Response:
        return await self.http.put(f"/v1{path}", json=body, headers={"if-match": f'"{version}"'})

    async def found(self, partnership_id: str) -> str:
        body = {"name": "江南慢食部落", "partnership_id": partnership_id, "charter": "先有内容，后有商品"}
        made = await self.post("/tribes", body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def join(self, tribe_id: str, invite_token: str | None = None) -> JSON:
        made = await self.post(f"/tribes/{tribe_id}/memberships", {"invite_token": invite_token})
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def publish(self, tribe_id: str, *offer_ids: str) -> JSON:
        body = {"title": "石桥果园的一年", "body": "春天剪枝，\n秋天采果。", "offer_ids": list(offer_ids)}
        made = await self.post(f"/tribes/{tribe_id}/contents", body)
        assert made.status_code == 201, made.text
        return dict(made.json())


class World:
    """The tribe service, a partner's owner, and everybody who comes."""

    def __init__(self, service: Service, stack: AsyncExitStack) -> None:
        self.service = service
        self._stack = stack
        self.partner_id = new_id("prt")
        self.partnership_id = new_id("pst")

    async def someone(self) -> Someone:
        person_id = new_id("per")
        return Someone(person_id, await self._stack.enter_async_context(client(self.service, Caller(person_id))))

    async def key_of(self, party_id: str, *scopes: str) -> Someone:
        caller = Caller(party_id=party_id, key_id=new_id("key"), scopes=frozenset(scopes))
        return Someone("", await self._stack.enter_async_context(client(self.service, caller)))

    async def nobody(self) -> Someone:
        return Someone("", await self._stack.enter_async_context(client(self.service)))

    async def hear(self, *facts: Any) -> None:
        await hear(self.service, *facts)

    async def staff(self, role: str = "owner", party_id: str | None = None) -> Someone:
        """Somebody of the partner, as the partner service has said."""
        someone = await self.someone()
        party_id = party_id or self.partner_id
        await self.hear(StaffChanged(party_id=party_id, person_id=someone.id, role=role, version=1))
        return someone

    async def founder(self) -> tuple[Someone, str]:
        """The partner's owner and the tribe they have founded."""
        someone = await self.staff()
        await self.hear(partnership(self.partnership_id, self.partner_id))
        return someone, await someone.found(self.partnership_id)

    async def invite(self, someone: Someone, tribe_id: str) -> str:
        made = await someone.post(f"/tribes/{tribe_id}/invitations", {"partner_id": self.partner_id})
        assert made.status_code == 201, made.text
        return str(made.json()["invite_token"])


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with running("tribe", settings=SETTINGS) as service, AsyncExitStack() as stack:
        yield World(service, stack)
