"""The people and things of the order tests: a merchant with staff, a buyer, and what they do, through the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from chassis import signed
from chassis.caller import Caller
from chassis.service import Service
from contracts.escrow import Held
from contracts.ids import format_id
from contracts.money import Money
from contracts.partner import (
    MerchantOpened,
    PartnershipActivated,
    PartnershipLimits,
    PartnershipTerms,
    StaffChanged,
)
from tests import support

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def old_id(prefix: str) -> str:
    """An id born long ago: whoever does not know it by now never will (404, not "not yet")."""
    fresh = UUID(hex=support.new_id(prefix).partition("_")[2]).int & ((1 << 80) - 1)
    return format_id(prefix, UUID(int=int(EPOCH.timestamp() * 1000) << 80 | fresh))


def yuan(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}


@dataclass
class World:
    """One order service and its people. Every party's id is old, so that a stranger is a stranger at once."""

    service: Service
    merchant: str = field(default_factory=lambda: old_id("mch"))
    partner: str = field(default_factory=lambda: old_id("prt"))
    partnership: str = field(default_factory=lambda: old_id("pst"))
    seller: Caller = field(default_factory=lambda: Caller(old_id("per")))
    picker: Caller = field(default_factory=lambda: Caller(old_id("per")))
    partner_owner: Caller = field(default_factory=lambda: Caller(old_id("per")))
    buyer: Caller = field(default_factory=lambda: Caller(old_id("per")))
    stranger: Caller = field(default_factory=lambda: Caller(old_id("per")))

    async def open(self) -> "World":
        """The merchant is open, its people have their roles, one partnership is active at 10 %."""
        await support.hear(
            self.service,
            self.staff(self.merchant, self.seller, "owner"),
            self.staff(self.merchant, self.picker, "pickup"),
            self.staff(self.partner, self.partner_owner, "owner"),
            MerchantOpened(merchant_id=self.merchant, state="open", values_version=1, categories=("fruit",), version=1),
            self.partnership_fact(1000),
        )
        return self

    def staff(self, party: str, person: Caller, role: str) -> StaffChanged:
        return StaffChanged.model_validate(
            {"party_id": party, "person_id": person.person_id, "role": role, "version": 1}
        )

    def partnership_fact(self, service_bps: int, version: int = 1, **changes: Any) -> PartnershipActivated:
        terms = PartnershipTerms(
            version=version,
            service_bps=service_bps,
            group="standard",
            limits=PartnershipLimits(max_order_amount=None),
            effective_from=changes.pop("effective_from", EPOCH),
        )
        fact = PartnershipActivated(
            partnership_id=self.partnership,
            merchant_id=self.merchant,
            partner_id=self.partner,
            state="active",
            terms=terms,
            regions=(),
            version=version,
        )
        return fact.model_copy(update=changes)

    async def call(self, caller: Caller | None, method: str, path: str, **given: Any) -> httpx.Response:
        async with support.client(self.service, caller) as http:
            headers = {**support.key(), **given.pop("headers", {})}
            return await http.request(method, f"/v1{path}", headers=headers, **given)

    async def done(self, caller: Caller, method: str, path: str, **given: Any) -> Any:
        """A call that must succeed; its body."""
        answer = await self.call(caller, method, path, **given)
        assert answer.is_success, answer.text
        return answer.json()

    async def product(self, stock: int = 100, **changes: Any) -> Any:
        body = {
            "merchant_id": self.merchant,
            "name": "oranges, 5 kg",
            "variants": [{"name": "box", "stock": stock}],
            "delivery_kind": "express",
            "state": "published",
            **changes,
        }
        return await self.done(self.seller, "POST", "/products", json=body)

    async def offer(self, product: Any, price: int = 3990, **changes: Any) -> Any:
        body = {
            "product_id": product["id"],
            "seller": self.merchant,
            "partnership_id": self.partnership,
            "price": yuan(price),
            "angel_bps": 500,
            **changes,
        }
        return await self.done(self.seller, "POST", "/offers", json=body)

    def recipient_token(self, caller: Caller | None = None) -> str:
        person = caller or self.buyer
        claims = {"recipient_id": old_id("rcp"), "person_id": person.person_id, "region_code": "320500"}
        return signed.sign(support.KEY, "recipient", claims, 3600)

    def checkout_body(self, offer: Any, quantity: int = 1, caller: Caller | None = None, **changes: Any) -> Any:
        return {
            "lines": [{"offer_id": offer["id"], "quantity": quantity}],
            "recipient_token": self.recipient_token(caller),
            "expected_total": yuan(offer["price"]["amount"] * quantity),
            **changes,
        }

    async def placed(self, offer: Any, quantity: int = 1, caller: Caller | None = None) -> Any:
        """A placed order, as its checkout answered."""
        who = caller or self.buyer
        body = self.checkout_body(offer, quantity, who)
        checkout = await self.done(who, "POST", "/checkouts", json=body)
        return {**checkout["orders"][0], "checkout_id": checkout["id"]}

    async def pay(self, order: Any) -> None:
        await support.hear(self.service, self.held(order))

    def held(self, order: Any) -> Held:
        return Held(
            order_id=order["id"],
            checkout_id=order["checkout_id"],
            payment_id=support.new_id("pay"),
            amount=Money(**order["amount"]),
            at=datetime.now(UTC),
        )

    async def ship(self, order: Any) -> Any:
        body = {"carrier": "sf", "tracking": "SF1234567"}
        return await self.done(self.seller, "POST", f"/orders/{order['id']}/shipments", json=body)

    async def shipped(self, offer: Any, caller: Caller | None = None) -> Any:
        order = await self.placed(offer, caller=caller)
        await self.pay(order)
        await self.ship(order)
        return order

    async def order(self, order: Any, caller: Caller | None = None, **params: Any) -> Any:
        return await self.done(caller or self.buyer, "GET", f"/orders/{order['id']}", params=params)

    async def move(self, order: Any, name: str, caller: Caller | None = None, **body: Any) -> httpx.Response:
        return await self.call(caller or self.buyer, "POST", f"/orders/{order['id']}/{name}", json=body)

    async def stock(self, product: Any) -> tuple[int, int, int]:
        """(available, reserved, sold) of a product's first variant."""
        row = await self.service.database.pool.fetchrow(
            "SELECT available, reserved, sold FROM stocks WHERE stock_id = $1", product["variants"][0]["id"]
        )
        assert row is not None
        return tuple(row)

    async def movements(self, product: Any) -> tuple[int, int, int]:
        """The same, rebuilt from the movements alone."""
        row = await self.service.database.pool.fetchrow(
            "SELECT coalesce(sum(available), 0)::int, coalesce(sum(reserved), 0)::int, coalesce(sum(sold), 0)::int"
            " FROM stock_movements WHERE stock_id = $1",
            product["variants"][0]["id"],
        )
        assert row is not None
        return tuple(row)

    async def advance(self, to: datetime | None = None, **delta: float) -> None:
        """Move the business clock: `to` a moment, or by a time."""
        now = await self.service.now()
        seconds = ((to - now) if to else timedelta(**delta)).total_seconds()
        await advance_offset(self.service, int(seconds) + 1)


async def advance_offset(service: Service, seconds: int) -> None:
    from contracts.gateway import ClockAdvanced

    row = await service.database.pool.fetchrow("SELECT offset_seconds, version FROM clock_offsets")
    offset, version = (row["offset_seconds"], row["version"]) if row else (0, 0)
    fact = ClockAdvanced(deployment="sandbox", offset_seconds=offset + seconds, version=version + 1)
    await support.hear(service, fact)


@asynccontextmanager
async def world(**given: Any) -> AsyncIterator[World]:
    async with support.running("order", **given) as service:
        yield await World(service).open()


def twin(one: World, service: Service) -> World:
    """The same people in front of another replica."""
    return replace(one, service=service)
