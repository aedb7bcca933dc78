"""The real path: escrow behind HTTP, the sandbox provider in a process of its own, a buyer at its pay page."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import HttpUrl, SecretStr

from chassis.caller import Caller
from chassis.service import Service
from onebox.provider import ProviderProcess
from onebox.world import free_port
from services.escrow.settings import EscrowSettings
from tests.escrow.orders import BUYER, Order, an_order
from tests.escrow.provider import SECRET, balances, eventually, proof, signed, state_of
from tests.support import ISSUER, hear, key, running


@dataclass
class World:
    """Escrow on a port of its own, and the provider: stop it and start it as a test likes."""

    service: Service
    provider: ProviderProcess
    http: httpx.AsyncClient
    escrow_url: str

    async def create_payment(self, order: Order) -> dict[str, Any]:
        """As the buyer asks for it, through the gateway's token."""
        headers = {**key(), "authorization": f"Bearer {ISSUER.token('escrow', Caller(person_id=BUYER))}"}
        body = {"checkout_id": order.checkout.checkout_id}
        answer = await self.http.post(f"{self.escrow_url}/v1/payments", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def pay(self, pay_url: str) -> dict[str, Any]:
        """The buyer presses the button of the hosted page."""
        answer = await self.http.post(pay_url, headers={"accept": "application/json"})
        assert answer.status_code == 200, answer.text
        charge: dict[str, Any] = answer.json()
        return charge

    async def ask_provider(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        body = b"" if content is None else json.dumps(content).encode()
        headers = signed(path, body, method=method)
        answer = await self.http.request(method, f"{self.provider.url}{path}", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def hurry(self) -> None:
        """What waits for its next attempt need not wait in a test."""
        await self.service.database.pool.execute("UPDATE instructions SET next_at = now() WHERE state = 'due'")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    port, provider = free_port(), ProviderProcess(tmp_path, SECRET, free_port())
    settings = EscrowSettings(
        sandbox_url=HttpUrl(provider.url),
        sandbox_secret=SecretStr(SECRET),
        callback_url=HttpUrl(f"http://127.0.0.1:{port}"),
        provider_call_seconds=1.0,
    )
    async with (
        running("escrow", settings=settings) as service,
        serving(service, port),
        httpx.AsyncClient(trust_env=False) as http,
    ):
        await provider.__aenter__()
        yield World(service, provider, http, f"http://127.0.0.1:{port}")
        await provider.__aexit__()


@asynccontextmanager
async def serving(service: Service, port: int) -> AsyncIterator[None]:
    """The service is running already; only its app is put behind HTTP."""
    server = uvicorn.Server(uvicorn.Config(service.app, port=port, log_level="error", lifespan="off"))  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await task


async def test_a_buyer_pays_at_the_hosted_page_and_the_money_is_held(world: World) -> None:
    order = an_order(7980)
    await hear(world.service, order.placed())
    payment = await world.create_payment(order)
    assert payment["state"] == "open"
    assert payment["pay_url"].startswith(world.provider.url)
    charge = await world.pay(payment["pay_url"])
    assert (charge["state"], charge["amount"]) == ("paid", 7980)
    assert await eventually(world.service, "SELECT state = 'held' FROM holds")
    row = await world.service.database.pool.fetchrow("SELECT state, transaction_id FROM payments")
    assert tuple(row) == ("captured", charge["transaction_id"])  # type: ignore[arg-type]


async def test_a_refund_arrives_back_at_the_provider(world: World) -> None:
    order = an_order(5000, 2980)
    await hear(world.service, order.placed())
    await world.pay((await world.create_payment(order))["pay_url"])
    assert await eventually(world.service, "SELECT state = 'held' FROM holds")
    await hear(world.service, order.lines_cancelled({1: 2980}))
    assert await eventually(world.service, "SELECT state = 'succeeded' FROM refunds")
    refund_no = await world.service.database.pool.fetchval("SELECT refund_id FROM refunds")
    refund = await world.ask_provider("GET", f"/v1/refunds/{refund_no}")
    assert (refund["state"], refund["amount"]) == ("succeeded", 2980)
    assert await balances(world.service, order) == {f"hold:{order.order_id}": 5000, "provider:sandbox": -5000}


async def test_a_refund_that_is_pending_is_believed_when_the_provider_says_so(world: World) -> None:
    order = an_order(7980)
    await hear(world.service, order.placed())
    await world.pay((await world.create_payment(order))["pay_url"])
    assert await eventually(world.service, "SELECT state = 'held' FROM holds")
    await world.ask_provider("PUT", "/v1/faults", {"refund_delay_seconds": 1})
    await hear(world.service, order.cancelled())
    assert await state_of(world.service, order) == "refunding"
    assert await eventually(world.service, "SELECT state = 'refunded' FROM holds")
    await world.hurry()
    assert await eventually(world.service, "SELECT bool_and(state = 'done') FROM instructions")
    assert await balances(world.service, order) == {}


async def test_a_refund_that_fails_is_given_back_once_under_a_new_number(world: World) -> None:
    order = an_order(7980)
    await hear(world.service, order.placed())
    await world.pay((await world.create_payment(order))["pay_url"])
    assert await eventually(world.service, "SELECT state = 'held' FROM holds")
    await world.ask_provider("PUT", "/v1/faults", {"fail_refunds": 1})
    await hear(world.service, order.cancelled())
    assert await eventually(world.service, "SELECT state = 'refunded' FROM holds")
    numbers = await world.service.database.pool.fetch("SELECT refund_id FROM refunds ORDER BY attempt")
    states = [(await world.ask_provider("GET", f"/v1/refunds/{row[0]}"))["state"] for row in numbers]
    assert states == ["failed", "succeeded"]


async def test_a_payment_asked_for_while_the_provider_is_dead_opens_when_it_is_back(world: World) -> None:
    order = an_order(7980)
    await hear(world.service, order.placed())
    await world.provider.__aexit__()
    payment = await world.create_payment(order)
    assert (payment["state"], payment["pay_url"]) == ("created", None)
    await world.provider.__aenter__()
    await world.hurry()
    assert await eventually(world.service, "SELECT state = 'open' FROM payments")
    charge = await world.ask_provider("GET", f"/v1/charges/{payment['id']}")
    assert charge["state"] == "pending"
    await world.pay(charge["pay_url"])
    assert await eventually(world.service, "SELECT state = 'held' FROM holds")


async def test_a_charge_whose_answer_was_lost_is_asked_for_again_under_its_own_number(world: World) -> None:
    order = an_order(7980)
    await hear(world.service, order.placed())
    await world.ask_provider("PUT", "/v1/faults", {"timeouts_after_applying": 1})
    payment = await world.create_payment(order)
    assert payment["state"] == "created"
    there = await world.ask_provider("GET", f"/v1/charges/{payment['id']}")
    await world.hurry()
    assert await eventually(world.service, "SELECT state = 'open' FROM payments")
    assert await world.service.database.pool.fetchval("SELECT pay_url FROM payments") == there["pay_url"]
    await world.pay(there["pay_url"])
    assert await eventually(world.service, "SELECT state = 'held' FROM holds")
    assert (await proof(world.service))["captured"] == 7980


async def test_a_callback_that_was_lost_or_came_in_many_copies_holds_once(world: World) -> None:
    order = an_order(7980)
    await hear(world.service, order.placed())
    await world.ask_provider("PUT", "/v1/faults", {"drop_callbacks": 3, "callback_copies": 3})
    await world.pay((await world.create_payment(order))["pay_url"])
    assert await eventually(world.service, "SELECT state = 'held' FROM holds")
    assert await proof(world.service) == {
        "captured": 7980, "suspense": 0, "held": 7980, "released": 0, "refunded": 0, "imbalance": 0,
    }  # fmt: skip


async def test_a_page_left_open_past_the_end_of_the_order_gives_the_money_back(world: World) -> None:
    order = an_order(7980)
    await hear(world.service, order.placed())
    payment = await world.create_payment(order)
    await hear(world.service, order.expired())
    await world.pay(payment["pay_url"])
    assert await eventually(world.service, "SELECT state = 'refunded' FROM suspense")
    assert await state_of(world.service, order) == "void"
    assert (await proof(world.service))["refunded"] == 7980
