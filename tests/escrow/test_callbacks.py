"""Only what the provider has signed, byte for byte and just now, moves a hold."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from chassis.service import Service
from services.escrow.domain import Payment
from tests.escrow.orders import Order, an_order
from tests.escrow.provider import (
    CALLBACK,
    ObedientProvider,
    balances,
    call_back,
    create_payment,
    eventually,
    hold,
    paid_callback,
    payment_of,
    proof,
    sign,
    signed,
    state_of,
)
from tests.support import client, hear, new_id, running, said

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Service]:
    """One for all: every test has an order of its own."""
    async with running("escrow", ports=[ObedientProvider()]) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def provider(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client(service) as made:
        yield made


async def suspended(service: Service, payment_id: str) -> list[tuple[str, str, int]]:
    """(reason, state, minor units) of what came in under this payment's number and belongs to no hold."""
    rows = await service.database.pool.fetch(
        "SELECT reason, state, amount FROM suspense WHERE payment_id = $1 ORDER BY at", payment_id
    )
    return [(row["reason"], row["state"], row["amount"]) for row in rows]


async def held_facts(service: Service, order: Order) -> list[int]:
    """The amounts of the escrow.held facts said about an order."""
    facts = await said(service, "escrow.held.v1")
    return [fact["data"]["amount"]["amount"] for fact in facts if fact["subject"] == order.order_id]


async def awaited(service: Service) -> tuple[Order, Payment]:
    order = an_order(8000)
    await hear(service, order.placed())
    return order, await create_payment(service, order)


async def test_the_signed_callback_holds_the_money(service: Service, provider: httpx.AsyncClient) -> None:
    order, payment = await awaited(service)
    answer = await call_back(provider, paid_callback(payment))
    assert (answer.status_code, answer.json()) == (200, {"code": "SUCCESS"})
    assert await state_of(service, order) == "held"
    assert await held_facts(service, order) == [8000]


async def test_one_flipped_byte_of_the_body_moves_nothing(service: Service, provider: httpx.AsyncClient) -> None:
    order, payment = await awaited(service)
    body = paid_callback(payment)
    headers = signed(CALLBACK, body)
    for n in range(len(body)):
        flipped = bytes([*body[:n], body[n] ^ 1, *body[n + 1 :]])
        answer = await provider.post(CALLBACK, content=flipped, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid"), n
    assert await state_of(service, order) == "awaiting_payment"
    assert await suspended(service, payment.payment_id) == []
    assert (await provider.post(CALLBACK, content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize("name", ["Sandbox-Timestamp", "Sandbox-Nonce", "Sandbox-Signature"])
async def test_one_flipped_byte_of_a_header_moves_nothing(
    service: Service, provider: httpx.AsyncClient, name: str
) -> None:
    order, payment = await awaited(service)
    body = paid_callback(payment)
    headers = signed(CALLBACK, body)
    value = headers[name].encode()
    for n in range(len(value)):
        for bit in (1, 2, 128):
            flipped = bytes([*value[:n], value[n] ^ bit, *value[n + 1 :]])
            tampered = {**{each: text.encode() for each, text in headers.items()}, name: flipped}
            answer = await provider.post(CALLBACK, content=body, headers=tampered)
            assert answer.status_code == 401, (n, bit)
    without = {each: text for each, text in headers.items() if each != name}
    assert (await provider.post(CALLBACK, content=body, headers=without)).status_code == 401
    assert await state_of(service, order) == "awaiting_payment"


@pytest.mark.parametrize("age_seconds", [-310, 310, 86_400])
async def test_a_callback_of_another_time_is_refused_though_it_is_signed(
    service: Service, provider: httpx.AsyncClient, age_seconds: int
) -> None:
    order, payment = await awaited(service)
    body = paid_callback(payment)
    headers = signed(CALLBACK, body, timestamp=int(time.time()) - age_seconds)
    assert (await provider.post(CALLBACK, content=body, headers=headers)).status_code == 401
    assert await state_of(service, order) == "awaiting_payment"


@pytest.mark.parametrize("stamp", ["", "soon", "1e9", "-1", "٣", "9" * 400])
async def test_a_timestamp_that_is_none_is_refused(provider: httpx.AsyncClient, stamp: str) -> None:
    headers = {
        "Sandbox-Timestamp": stamp.encode(),
        "Sandbox-Nonce": b"n",
        "Sandbox-Signature": sign(CALLBACK, stamp, "n", b"{}").encode(),
    }
    assert (await provider.post(CALLBACK, content=b"{}", headers=headers)).status_code == 401


async def test_a_signature_for_another_path_or_method_does_not_serve_here(
    service: Service, provider: httpx.AsyncClient
) -> None:
    order, payment = await awaited(service)
    body = paid_callback(payment)
    for headers in (signed("/v1/callbacks/payments/other", body), signed(CALLBACK, body, method="GET")):
        assert (await provider.post(CALLBACK, content=body, headers=headers)).status_code == 401
    assert await state_of(service, order) == "awaiting_payment"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b'{"id": "e", "type": "charge.succeeded", "data": {}}'],
)
async def test_what_is_signed_but_cannot_be_read_is_refused_as_such(provider: httpx.AsyncClient, body: bytes) -> None:
    answer = await call_back(provider, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "wrong",
    [{"amount": 0}, {"amount": -1}, {"amount": 8000.0}, {"amount": "8000"}, {"amount": True}, {"amount": 10**16},
     {"currency": "cny"}, {"transaction_id": "a\u0000b"}, {"transaction_id": ""}, {"out_no": "x" * 65}],
)  # fmt: skip
async def test_a_signed_callback_with_no_money_in_it_is_refused(
    service: Service, provider: httpx.AsyncClient, wrong: dict[str, object]
) -> None:
    order, payment = await awaited(service)
    answer = await call_back(provider, paid_callback(payment, **wrong))
    assert answer.status_code == 422
    assert await state_of(service, order) == "awaiting_payment"


async def test_news_of_an_unknown_kind_is_acknowledged_and_moves_nothing(
    service: Service, provider: httpx.AsyncClient
) -> None:
    order, _ = await awaited(service)
    answer = await call_back(provider, json.dumps({"id": "evt_1", "type": "charge.dreamt", "data": {}}).encode())
    assert (answer.status_code, answer.json()) == (200, {"code": "SUCCESS"})
    assert await state_of(service, order) == "awaiting_payment"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"amount": 7999}, "wrong_amount"),
        ({"currency": "USD"}, "wrong_amount"),
        ({"out_no": new_id("pay")}, "unknown_payment"),
    ],
    ids=["amount", "currency", "payment"],
)
async def test_a_signed_callback_that_does_not_fit_is_acknowledged_into_suspense(
    service: Service, provider: httpx.AsyncClient, wrong: dict[str, object], reason: str
) -> None:
    order, payment = await awaited(service)
    answer = await call_back(provider, paid_callback(payment, **wrong))
    assert (answer.status_code, answer.json()) == (200, {"code": "SUCCESS"})
    assert await state_of(service, order) == "awaiting_payment"
    under = str(wrong.get("out_no", payment.payment_id))
    assert await suspended(service, under) == [(reason, "open", wrong.get("amount", 8000))]
    assert await held_facts(service, order) == []


async def test_one_callback_delivered_fifty_times_at_once_holds_once(
    service: Service, provider: httpx.AsyncClient
) -> None:
    order, payment = await awaited(service)
    body = paid_callback(payment)
    answers = await asyncio.gather(*(call_back(provider, body) for _ in range(50)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"code": "SUCCESS"}')}
    assert await balances(service, order) == {f"hold:{order.order_id}": 8000, "provider:sandbox": -8000}
    assert await held_facts(service, order) == [8000]


async def test_a_transaction_told_again_about_another_payment_or_amount_is_refused_and_moves_nothing(
    service: Service, provider: httpx.AsyncClient
) -> None:
    """One number of the provider is one movement of money: to book it twice would invent some."""
    order, payment = await awaited(service)
    other, unpaid = await awaited(service)
    assert (await call_back(provider, paid_callback(payment, transaction_id="txn_1"))).status_code == 200
    for lie in (
        paid_callback(unpaid, transaction_id="txn_1"),
        paid_callback(payment, transaction_id="txn_1", amount=1),
    ):
        assert (await call_back(provider, lie)).status_code == 422
    assert (await state_of(service, order), await state_of(service, other)) == ("held", "awaiting_payment")
    assert await suspended(service, payment.payment_id) == await suspended(service, unpaid.payment_id) == []


async def test_money_that_comes_after_the_order_expired_goes_back_in_full(
    service: Service, provider: httpx.AsyncClient
) -> None:
    order, payment = await awaited(service)
    await hear(service, order.expired())
    assert (await call_back(provider, paid_callback(payment))).status_code == 200
    assert await eventually(
        service, "SELECT state = 'refunded' FROM suspense WHERE payment_id = $1", payment.payment_id
    )
    assert await suspended(service, payment.payment_id) == [("late", "refunded", 8000)]
    assert await state_of(service, order) == "void"
    assert (await payment_of(service, payment.payment_id)).state == "suspended"
    assert (await proof(service))["imbalance"] == 0


async def test_a_second_payment_of_one_checkout_goes_back_in_full(
    service: Service, provider: httpx.AsyncClient
) -> None:
    order, first = await awaited(service)
    second = await create_payment(service, order)
    assert (await call_back(provider, paid_callback(first))).status_code == 200
    assert (await call_back(provider, paid_callback(second))).status_code == 200
    assert await eventually(service, "SELECT state = 'refunded' FROM suspense WHERE payment_id = $1", second.payment_id)
    assert await suspended(service, second.payment_id) == [("paid_twice", "refunded", 8000)]
    assert await balances(service, order) == {f"hold:{order.order_id}": 8000, "provider:sandbox": -8000}


async def test_a_refund_is_given_back_once_though_call_and_callback_both_say_so(
    service: Service, provider: httpx.AsyncClient
) -> None:
    order = an_order(8000)
    await hold(service, order)
    await hear(service, order.cancelled())
    assert await eventually(service, "SELECT state = 'succeeded' FROM refunds WHERE order_id = $1", order.order_id)
    refund_no = await service.database.pool.fetchval(
        "SELECT refund_id FROM refunds WHERE order_id = $1", order.order_id
    )
    body = json.dumps({"id": "evt_2", "type": "refund.succeeded", "data": {"refund_no": refund_no}}).encode()
    assert [(await call_back(provider, body)).status_code for _ in range(3)] == [200, 200, 200]
    assert await balances(service, order) == {}
    assert await state_of(service, order) == "refunded"


async def test_a_refund_that_the_provider_refuses_is_given_back_under_the_next_number() -> None:
    refusing = ObedientProvider(refusals=1)
    async with running("escrow", ports=[refusing]) as service:
        order = an_order(8000)
        await hold(service, order)
        await hear(service, order.cancelled())
        assert await eventually(service, "SELECT state = 'refunded' FROM holds WHERE order_id = $1", order.order_id)
        assert len(set(refusing.refunds)) == len(refusing.refunds) == 2
        rows = await service.database.pool.fetch("SELECT state, refund_id FROM refunds ORDER BY attempt")
        assert [(row["state"], row["refund_id"]) for row in rows] == [
            ("failed", refusing.refunds[0]), ("succeeded", refusing.refunds[1]),
        ]  # fmt: skip
        assert await balances(service, order) == {}


async def test_no_provider_no_callback(service: Service, provider: httpx.AsyncClient) -> None:
    assert (await provider.post("/v1/callbacks/payments/another", content=b"{}")).status_code == 404
    async with running("escrow", ports=[]) as alone, client(alone) as caller:
        assert (await call_back(caller, b"{}")).status_code == 404
