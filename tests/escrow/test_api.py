"""What escrow answers over HTTP, to whom, and what a body may not carry."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from chassis.caller import Caller
from chassis.service import Service
from contracts.partner import StaffChanged
from services.escrow.schemas import PaymentIn, PaymentOut
from tests.escrow.orders import ANGEL, BUYER, MERCHANT, PARTNER, Order, an_order
from tests.escrow.provider import ObedientProvider, create_payment, hold
from tests.support import client, hear, key, new_id, running, settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

STAFF, PARTNERS_STAFF, STRANGER, FORMER = (new_id("per") for _ in range(4))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Service]:
    async with running("escrow", ports=[ObedientProvider()]) as started:
        for party, person, role in (
            (MERCHANT, STAFF, "staff"),
            (PARTNER, PARTNERS_STAFF, "owner"),
            (MERCHANT, FORMER, None),
        ):
            await hear(started, StaffChanged(party_id=party, person_id=person, role=role, version=1))
        yield started


async def send(service: Service, caller: Caller | None, method: str, path: str, **given: Any) -> httpx.Response:
    async with client(service, caller) as made:
        return await made.request(method, path, **given)


def person(person_id: str) -> Caller:
    return Caller(person_id=person_id)


def party(party_id: str, scope: str = "holds:read") -> Caller:
    return Caller(party_id=party_id, key_id=new_id("key"), scopes=frozenset({scope}))


async def ask(service: Service, order: Order, caller: Caller | None = person(BUYER), **changes: Any) -> httpx.Response:
    body = {"checkout_id": order.checkout.checkout_id, "provider": "sandbox", "method": "page"} | changes
    return await send(service, caller, "POST", "/v1/payments", json=body, headers=key())


# --- payments ------------------------------------------------------------------------------------------------------


async def test_a_payment_is_open_at_once_when_the_provider_is(service: Service) -> None:
    order = an_order(8000)
    await hear(service, order.placed())
    made = (await ask(service, order)).json()
    assert (made["state"], made["amount"]) == ("open", {"amount": 8000, "currency": "CNY"})
    assert made["pay_url"] == f"http://pay/{made['id']}"
    assert (await send(service, person(BUYER), "GET", f"/v1/payments/{made['id']}")).json() == made


async def test_one_key_makes_one_payment_however_often_it_is_sent(service: Service) -> None:
    order = an_order(8000)
    await hear(service, order.placed())
    header, body = key(), {"checkout_id": order.checkout.checkout_id}
    sent = [send(service, person(BUYER), "POST", "/v1/payments", json=body, headers=header) for _ in range(20)]
    answers = await asyncio.gather(*sent)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = {**body, "method": "app"}
    assert (await send(service, person(BUYER), "POST", "/v1/payments", json=other, headers=header)).status_code == 422


async def test_without_a_key_nothing_is_paid(service: Service) -> None:
    order = an_order(8000)
    answer = await send(
        service, person(BUYER), "POST", "/v1/payments", json={"checkout_id": order.checkout.checkout_id}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


async def test_a_payment_belongs_to_its_buyer_alone(service: Service) -> None:
    order = an_order(8000)
    await hear(service, order.placed())
    payment = await create_payment(service, order)
    path = f"/v1/payments/{payment.payment_id}"
    for caller, status in (
        (person(BUYER), 200), (person(STRANGER), 404), (person(STAFF), 404), (party(MERCHANT), 403), (None, 401),
    ):  # fmt: skip
        assert (await send(service, caller, "GET", path)).status_code == status
    assert (await send(service, person(BUYER), "GET", f"/v1/payments/{new_id('pay')}")).status_code == 404
    assert (await send(service, person(BUYER), "GET", "/v1/payments/pay_1")).status_code == 404


@pytest.mark.parametrize(
    ("caller", "status"),
    [(person(STRANGER), 404), (person(STAFF), 404), (party(MERCHANT), 403), (None, 401)],
    ids=["stranger", "the seller's staff", "the seller's key", "anyone"],
)
async def test_a_checkout_is_paid_by_its_buyer_alone(service: Service, caller: Caller | None, status: int) -> None:
    order = an_order(8000)
    await hear(service, order.placed())
    assert (await ask(service, order, caller)).status_code == status


async def test_whoever_is_not_signed_in_is_told_so_before_anything_is_looked_up(service: Service) -> None:
    assert (await ask(service, an_order(8000), None)).status_code == 401


async def test_a_checkout_too_young_to_be_known_is_not_yet_known_and_an_old_one_is_not_there(service: Service) -> None:
    answer = await ask(service, an_order(8000))
    assert (answer.status_code, answer.json()["code"]) == (409, "not_yet_known")
    assert answer.headers["retry-after"] == "1"
    old = "chk_" + "0" * 32
    assert (await ask(service, an_order(8000), checkout_id=old)).status_code == 404


async def test_refusals_say_what_is_the_matter(service: Service) -> None:
    order = an_order(8000)
    await hear(service, order.placed())
    unknown = await ask(service, order, provider="another")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "provider_unknown")
    assert "another" in unknown.json()["detail"]
    await hear(service, order.expired())
    closed = await ask(service, order)
    assert (closed.status_code, closed.json()["code"]) == (409, "checkout_closed")
    paid = an_order(8000)
    await hold(service, paid)
    assert (await ask(service, paid)).json()["code"] == "already_paid"


@pytest.mark.parametrize("field", sorted(set(PaymentOut.model_fields) - set(PaymentIn.model_fields)))
async def test_no_field_of_the_answer_may_be_sent_in(service: Service, field: str) -> None:
    order = an_order(8000)
    await hear(service, order.placed())
    real = (await ask(service, order)).json()[field]
    answer = await ask(service, order, **{field: real})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"


@pytest.mark.parametrize(
    "wrong",
    [{"checkout_id": 1}, {"checkout_id": None}, {"checkout_id": "chk_1"}, {"provider": "SANDBOX"}, {"provider": "a" * 33},
     {"method": ""}, {"method": "a\u0000"}, {"method": ["page"]}, {"amount": 1.0}],
)  # fmt: skip
async def test_a_body_of_another_shape_is_refused(service: Service, wrong: dict[str, Any]) -> None:
    assert (await ask(service, an_order(8000), **wrong)).status_code == 422


# --- holds ---------------------------------------------------------------------------------------------------------


async def a_released(service: Service) -> Order:
    order = an_order(10_000)
    await hold(service, order)
    await hear(service, order.attributed(ANGEL), order.confirmed())
    return order


@pytest.mark.parametrize(
    ("caller", "status"),
    [
        (person(BUYER), 200), (person(STAFF), 200), (party(MERCHANT), 200), (person(PARTNERS_STAFF), 200),
        (party(PARTNER), 200), (person(STRANGER), 404), (person(FORMER), 404), (person(ANGEL), 404),
        (party(new_id("mch")), 404), (party(MERCHANT, "orders:read"), 403), (None, 401),
    ],
    ids=["buyer", "seller's staff", "seller's key", "partner's staff", "partner's key", "stranger", "former staff",
         "angel", "another seller's key", "a key for other things", "anyone"],
)  # fmt: skip
async def test_a_hold_is_seen_by_its_parties_alone(service: Service, caller: Caller | None, status: int) -> None:
    order = await a_released(service)
    assert (await send(service, caller, "GET", f"/v1/holds/{order.order_id}")).status_code == status


@pytest.mark.parametrize(
    ("caller", "named"),
    [
        (person(BUYER), set()), (person(STAFF), {MERCHANT}), (party(PARTNER), {PARTNER}),
    ],
    ids=["buyer", "seller", "partner"],
)  # fmt: skip
async def test_everybody_sees_the_split_and_nobody_sees_another_payee(
    service: Service, caller: Caller, named: set[str]
) -> None:
    order = await a_released(service)
    answer = await send(service, caller, "GET", f"/v1/holds/{order.order_id}")
    seen = answer.json()
    assert {leg["role"]: leg["amount"]["amount"] for leg in seen["split"]} == {
        "seller": 8000, "partner": 500, "angel": 1000, "platform": 500,
    }  # fmt: skip
    assert {leg["payee"] for leg in seen["split"]} - {None} == named
    assert sum(entry["amount"] for entry in seen["entries"]) == 0
    others = {MERCHANT, PARTNER, ANGEL, BUYER} - named
    assert not [each for each in others if each in answer.text]


async def test_a_hold_tells_where_the_money_is_and_what_it_waits_for(service: Service) -> None:
    order = an_order(10_000)
    path, caller = f"/v1/holds/{order.order_id}", person(BUYER)

    async def told() -> tuple[Any, ...]:
        seen = (await send(service, caller, "GET", path)).json()
        money = tuple(seen[name]["amount"] for name in ("captured", "held", "released", "refunded"))
        return (
            seen["state"],
            money,
            seen["planned"],
            seen["waits_for"],
            sum(leg["amount"]["amount"] for leg in seen["split"]),
        )

    await hear(service, order.placed())
    assert await told() == ("awaiting_payment", (0, 0, 0, 0), True, ["payment"], 10_000)
    await hold(service, order)
    assert await told() == ("held", (10_000, 10_000, 0, 0), True, ["delivery_confirmed"], 10_000)
    await hear(service, order.lines_cancelled({0: 1000}))
    assert await told() == ("held", (10_000, 9000, 0, 1000), True, ["delivery_confirmed"], 9000)
    await hear(service, order.confirmed(net=9000))
    assert await told() == ("released", (10_000, 0, 9000, 1000), False, ["angel_named"], 9000)
    await hear(service, order.attributed(ANGEL))
    assert await told() == ("released", (10_000, 0, 9000, 1000), False, [], 9000)


async def test_who_waits_for_the_release_is_answered_when_it_happens(service: Service) -> None:
    order = an_order(10_000)
    await hold(service, order)
    waiting = asyncio.create_task(send(service, person(BUYER), "GET", f"/v1/holds/{order.order_id}?wait=released"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await hear(service, order.confirmed())
    assert (await asyncio.wait_for(waiting, 2)).json()["state"] == "released"


async def test_who_waits_for_what_can_no_longer_be_is_answered_too(service: Service) -> None:
    order = an_order(10_000)
    await hear(service, order.placed(), order.expired())
    answer = await asyncio.wait_for(send(service, person(BUYER), "GET", f"/v1/holds/{order.order_id}?wait=held"), 2)
    assert answer.json()["state"] == "void"


# --- the books -----------------------------------------------------------------------------------------------------


async def test_in_the_sandbox_anyone_reads_the_proof_and_every_account_once(service: Service) -> None:
    await a_released(service)
    async with client(service) as anyone:
        (books,) = (await anyone.get("/v1/escrow/proof")).json()["data"]
        assert books["captured"] == books["suspense"] + books["held"] + books["released"] + books["refunded"]
        assert books["imbalance"] == 0
        accounts, after = [], ""
        while True:
            page = (await anyone.get(f"/v1/escrow/proof?by=account&limit=3&starting_after={after}")).json()
            accounts += page["accounts"]
            if not page["has_more"]:
                break
            after = page["accounts"][-1]["id"]
    assert sum(each["balance"] for each in accounts) == 0
    assert len({each["id"] for each in accounts}) == len(accounts)
    assert {each["account"] for each in accounts} >= {"payable:platform", "provider:sandbox", f"payable:{MERCHANT}"}


async def test_in_production_the_books_are_for_the_platforms_operators_alone() -> None:
    ops = new_id("per")
    async with running("escrow", ports=[], chassis=settings(mode="production")) as service:
        await hear(service, StaffChanged(party_id="platform", person_id=ops, role="ops", version=1))
        for caller, status in ((None, 401), (person(STRANGER), 404), (party(MERCHANT), 401), (person(ops), 200)):
            assert (await send(service, caller, "GET", "/v1/escrow/proof")).status_code == status


async def test_a_sandbox_provider_in_production_is_refused_at_the_start() -> None:
    from pydantic import SecretStr

    from services.escrow.service import providers_of
    from services.escrow.settings import EscrowSettings

    given = EscrowSettings(sandbox_secret=SecretStr("s" * 32))
    with pytest.raises(ValueError, match="BULUO_MODE"):
        providers_of(settings(mode="production"), given)
    assert [port.name for port in providers_of(settings(), given)] == ["sandbox"]
    assert providers_of(settings(mode="production"), EscrowSettings()) == []


async def test_the_gauges_say_what_the_books_say(service: Service) -> None:
    await hold(service, an_order(8000))
    async with client(service) as anyone:
        (books,) = (await anyone.get("/v1/escrow/proof")).json()["data"]
    await service.measure()
    from prometheus_client import REGISTRY

    assert REGISTRY.get_sample_value("buluo_escrow_held_minor_units", {"currency": "CNY"}) == books["held"]
    assert REGISTRY.get_sample_value("buluo_ledger_imbalance_minor_units", {"currency": "CNY"}) == 0
