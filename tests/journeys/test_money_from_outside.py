"""What the payment provider says, through its own page and the gateway's public callback address."""

import asyncio
import json
import random
import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from onebox.secrets import Secrets
from onebox.story import selling
from sandbox import signing
from sandbox.signing import Message
from tests.journeys.evidence import evidence
from tests.journeys.people import Life, StubbornStage, buyers, paid, stage_at, until
from tests.journeys.template import Template
from tests.journeys.world import Process

CALLBACK = "/v1/callbacks/payments/sandbox"
SEED = 20261122
REFUND = "SELECT state, amount FROM refunds WHERE payment_id = $1"
SUSPENSE = "SELECT state, reason, amount FROM suspense WHERE payment_id = $1"
HOLD = "SELECT state, captured FROM holds WHERE order_id = $1"


def signed(folder: Path, method: str, path: str, body: bytes) -> dict[str, str]:
    """The headers by which either side knows the other: a world and its provider share a secret."""
    secret = Secrets.of_world(folder).sandbox_secret
    return {
        **signing.headers(secret, Message(method, path, body), time.time()),
        "content-type": "application/json",
    }


async def call_back(stage: StubbornStage, folder: Path, body: bytes, sent: bytes | None = None) -> httpx.Response:
    """A callback with a good signature of `body`; `sent` is what then arrives instead."""
    headers = signed(folder, "POST", CALLBACK, body)
    return await stage.client.post(CALLBACK, content=body if sent is None else sent, headers=headers)


def succeeded(payment: dict[str, Any]) -> bytes:
    """A callback as the provider writes them."""
    data = {"out_no": payment["id"], "transaction_id": f"txn_{payment['id']}", **payment["amount"]}
    return json.dumps({"id": "evt_1", "type": "charge.succeeded", "data": data}, separators=(",", ":")).encode()


async def test_a_capture_after_expiry_goes_back_in_full_and_the_order_stays_expired(
    calm: Process, template: Template
) -> None:
    async with stage_at(calm.url) as stage, evidence(calm.folder) as here:
        template.enter(stage)
        (buyer,) = await buyers(stage, 1)
        order_id, checkout_id = await selling.buy(stage, buyer, 2)
        payment: dict[str, Any] = dict(await stage.open_payment(buyer, checkout_id))
        await stage.timeline.advance(buyer, timedelta(hours=1))
        assert await here.state(order_id) == ("expired", "void")
        before = await stage.timeline.books()

        await stage.press_pay(payment["pay_url"])
        await until(
            lambda: here.rows("escrow", REFUND, payment["id"]), lambda rows: rows and rows[0]["state"] != "sent"
        )
        assert tuple(await here.row("escrow", REFUND, payment["id"])) == ("succeeded", 2 * selling.PRICE)
        assert tuple(await here.row("escrow", SUSPENSE, payment["id"])) == ("refunded", "late", 2 * selling.PRICE)
        assert tuple(await here.row("escrow", HOLD, order_id)) == ("void", 0)
        assert await here.state(order_id) == ("expired", "void")
        after = await stage.timeline.books()
        moved = {name: after[name] - before[name] for name in after if isinstance(after[name], int)}
        assert {name: amount for name, amount in moved.items() if amount} == {
            "captured": 2 * selling.PRICE,
            "refunded": 2 * selling.PRICE,
        }
        assert (after["suspense"], after["imbalance"]) == (0, 0)


async def test_no_callback_with_one_flipped_bit_moves_anything_and_the_untouched_one_does(
    calm: Process, template: Template
) -> None:
    async with stage_at(calm.url) as stage:
        template.enter(stage)
        (buyer,) = await buyers(stage, 1)
        order_id, checkout_id = await selling.buy(stage, buyer, 1)
        body, bits = succeeded(dict(await stage.open_payment(buyer, checkout_id))), random.Random(SEED)
        before = await stage.timeline.books()
        for n in range(len(body)):
            flipped = body[:n] + bytes([body[n] ^ 1 << bits.randrange(8)]) + body[n + 1 :]
            answer = await call_back(stage, calm.folder, body, flipped)
            assert answer.status_code == 401, (n, flipped, answer.text)
        assert await stage.timeline.books() == before
        assert (await buyer.get(f"/v1/holds/{order_id}"))["state"] == "awaiting_payment"
        print(f"{len(body)} flipped, none accepted")  # noqa: T201 - a figure

        assert (await call_back(stage, calm.folder, body)).json() == {"code": "SUCCESS"}
        assert (await stage.hold(buyer, order_id, "held"))["state"] == "held"


async def test_a_callback_that_comes_many_times_moves_the_money_once(calm: Process, template: Template) -> None:
    async with stage_at(calm.url) as stage, evidence(calm.folder) as here:
        template.enter(stage)
        (buyer,) = await buyers(stage, 1)
        before = await stage.timeline.books()
        await set_faults(stage, calm, callback_copies=5)
        life = await paid(stage, buyer, Life())
        await set_faults(stage, calm, callback_copies=1)

        payment = await here.row("escrow", "SELECT payment_id FROM holds WHERE order_id = $1", life.order_id)
        body = told_by_provider(calm.folder, payment["payment_id"])
        again = await asyncio.gather(*(call_back(stage, calm.folder, body) for _ in range(10)))
        assert [(each.status_code, each.json()) for each in again] == [(200, {"code": "SUCCESS"})] * 10
        assert await here.entries(life.order_id) == {"capture": 1}
        after = await stage.timeline.books()
        assert after["captured"] - before["captured"] == after["held"] - before["held"] == selling.PRICE
        assert after["imbalance"] == 0


async def set_faults(stage: StubbornStage, calm: Process, **plan: Any) -> None:
    """Tell the provider how to misbehave; a plan replaces the one before it."""
    body = json.dumps(plan).encode()
    url = f"http://127.0.0.1:{calm.ports.provider}/v1/faults"
    (
        await stage.pages.put(url, content=body, headers=signed(calm.folder, "PUT", "/v1/faults", body))
    ).raise_for_status()


def told_by_provider(folder: Path, payment_id: str) -> bytes:
    """The very bytes of the callback, from the provider's own notes."""
    connection = sqlite3.connect(folder / "provider.sqlite3")
    try:
        sql = "SELECT body FROM events WHERE CAST(body AS TEXT) LIKE ?"
        ((body,),) = connection.execute(sql, (f"%{payment_id}%",)).fetchall()
    finally:
        connection.close()
    return bytes(body)


@pytest.mark.parametrize("missing", ["Sandbox-Signature", "Sandbox-Timestamp", "Sandbox-Nonce"])
async def test_a_callback_without_one_of_its_three_headers_is_refused(calm: Process, missing: str) -> None:
    body = b'{"id": "evt_1", "type": "charge.succeeded", "data": {}}'
    headers = signed(calm.folder, "POST", CALLBACK, body)
    del headers[missing]
    async with stage_at(calm.url) as stage:
        assert (await stage.client.post(CALLBACK, content=body, headers=headers)).status_code == 401
