"""The provider over real HTTP: charges, the pay page, refunds, callbacks, signatures, and a bad day."""

import time
from typing import Any

import httpx
import pytest
from conftest import SUCCESS, Provider, Receiver, a_charge, a_refund, sign, wait_until


def test_a_payment_is_called_back_with_a_right_signature(provider: Provider, receiver: Receiver) -> None:
    charge = provider.charge(receiver)
    assert (charge["state"], charge["transaction_id"], charge["paid_at"]) == ("pending", None, None)
    paid = provider.pay(charge).json()
    wait_until(lambda: receiver.callbacks)
    [callback] = receiver.callbacks
    stamp = callback.headers["Sandbox-Timestamp"], callback.headers["Sandbox-Nonce"]
    expected = sign("POST", "/callbacks/sandbox", *stamp, callback.body)
    assert callback.headers["Sandbox-Signature"] == expected
    assert callback.event["type"] == "charge.succeeded"
    assert callback.event["data"] == {
        "out_no": charge["out_no"],
        "transaction_id": paid["transaction_id"],
        "amount": 7980,
        "currency": "CNY",
        "paid_at": paid["paid_at"],
    }
    assert provider.answer("GET", f"/v1/charges/{charge['out_no']}") == {**paid, "pay_url": charge["pay_url"]}


@pytest.mark.parametrize(
    "refusal",
    [(500, b""), (200, b""), (200, b'{"code":"FAIL"}'), (200, b'"SUCCESS"'), (302, SUCCESS[1])],
)
def test_a_callback_is_tried_again_until_it_is_acknowledged(
    provider: Provider, receiver: Receiver, refusal: tuple[int, bytes]
) -> None:
    receiver.answers = [refusal]
    provider.pay(provider.charge(receiver))
    wait_until(lambda: len(receiver.callbacks) == 2)
    first, second = receiver.callbacks
    assert first.body == second.body
    assert first.headers["Sandbox-Nonce"] != second.headers["Sandbox-Nonce"]
    time.sleep(1.5)
    assert len(receiver.callbacks) == 2, "an acknowledged event is not sent again"


def test_payments_and_undelivered_callbacks_survive_a_kill(provider: Provider, receiver: Receiver) -> None:
    receiver.answers = [(503, b"")]
    charge = provider.charge(receiver)
    paid = provider.pay(charge).json()
    wait_until(lambda: receiver.callbacks)
    provider.kill()
    provider.start()
    wait_until(lambda: len(receiver.callbacks) == 2)
    assert receiver.callbacks[0].event == receiver.callbacks[1].event
    assert provider.pay(charge).json() == paid


def test_paying_twice_is_one_transaction_and_one_event(provider: Provider, receiver: Receiver) -> None:
    charge = provider.charge(receiver)
    answers = [provider.pay(charge).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    wait_until(lambda: receiver.callbacks)
    time.sleep(0.3)
    assert len(receiver.callbacks) == 1


def test_the_same_charge_is_made_once_and_another_body_is_refused(provider: Provider, receiver: Receiver) -> None:
    asked = a_charge(receiver)
    first = provider.answer("POST", "/v1/charges", asked)
    assert provider.answer("POST", "/v1/charges", asked) == first
    provider.pay(first)
    assert provider.answer("POST", "/v1/charges", asked)["state"] == "paid"
    refused = provider.send("POST", "/v1/charges", {**asked, "amount": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "out_no_reused")


def test_a_closed_charge_cannot_be_paid_and_a_paid_one_is_not_closed(provider: Provider, receiver: Receiver) -> None:
    closed = provider.charge(receiver)
    assert provider.answer("POST", f"/v1/charges/{closed['out_no']}/close")["state"] == "closed"
    refused = provider.pay(closed)
    assert (refused.status_code, refused.json()["code"]) == (409, "charge_closed")
    paid = provider.charge(receiver)
    provider.pay(paid)
    assert provider.answer("POST", f"/v1/charges/{paid['out_no']}/close")["state"] == "paid"


def test_a_charge_closes_by_itself_when_it_expires(provider: Provider, receiver: Receiver) -> None:
    expired = provider.charge(receiver, expires_at="2020-01-01T00:00:00Z")
    assert expired["state"] == "closed"
    assert provider.pay(expired).status_code == 409


def test_refunds_never_exceed_the_charge(provider: Provider, receiver: Receiver) -> None:
    charge = provider.charge(receiver)
    provider.pay(charge)
    assert provider.refund(a_refund(receiver, charge, amount=7000))["state"] == "succeeded"
    too_much = a_refund(receiver, charge, amount=981)
    refused = provider.send("POST", "/v1/refunds", too_much)
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_exceeds_charge")
    assert provider.send("GET", f"/v1/refunds/{too_much['refund_no']}").status_code == 404
    assert provider.refund(a_refund(receiver, charge, amount=980))["state"] == "succeeded"


def test_a_refund_is_made_once_and_called_back(provider: Provider, receiver: Receiver) -> None:
    charge = provider.charge(receiver)
    provider.pay(charge)
    asked = a_refund(receiver, charge)
    first = provider.refund(asked)
    assert provider.refund(asked) == first
    assert provider.answer("GET", f"/v1/refunds/{first['refund_no']}") == first
    assert provider.send("POST", "/v1/refunds", {**asked, "amount": 1}).json()["code"] == "refund_no_reused"
    wait_until(lambda: len(receiver.callbacks) == 2)
    [event] = [callback.event for callback in receiver.callbacks if callback.event["type"] == "refund.succeeded"]
    assert (event["data"]["refund_no"], event["data"]["amount"]) == (first["refund_no"], 1200)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"out_no": "pay_unknown"}, 404, "charge_unknown"),
        ({"currency": "USD"}, 409, "currency_differs"),
        ({"amount": 0}, 422, "invalid"),
        ({"amount": 1.0}, 422, "invalid"),
        ({"amount": "12"}, 422, "invalid"),
    ],
)
def test_a_wrong_refund_is_refused_by_name(
    provider: Provider, receiver: Receiver, changes: dict[str, object], status: int, code: str
) -> None:
    charge = provider.charge(receiver)
    provider.pay(charge)
    refused = provider.send("POST", "/v1/refunds", a_refund(receiver, charge, **changes))
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_an_unpaid_charge_cannot_be_refunded(provider: Provider, receiver: Receiver) -> None:
    refused = provider.send("POST", "/v1/refunds", a_refund(receiver, provider.charge(receiver)))
    assert (refused.status_code, refused.json()["code"]) == (409, "charge_not_paid")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sandbox_Signature": "bm90IHJpZ2h0"},
        {"Sandbox_Signature": ""},
        {"Sandbox_Timestamp": "1"},
        {"Sandbox_Timestamp": "soon"},
        {"Sandbox_Nonce": "another"},
        {"Sandbox_Nonce": ""},
    ],
)
def test_a_request_with_a_wrong_signature_is_refused(provider: Provider, headers: dict[str, str]) -> None:
    refused = provider.send("GET", "/v1/charges/pay_1", **headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_refused")


def test_an_old_request_is_refused_even_with_its_right_signature(provider: Provider) -> None:
    old, path = str(int(time.time()) - 310), "/v1/charges/pay_1"
    headers = {"Sandbox_Timestamp": old, "Sandbox_Nonce": "n", "Sandbox_Signature": sign("GET", path, old, "n", b"")}
    assert provider.send("GET", path, **headers).status_code == 401
    fresh = str(int(old) + 20)
    headers |= {"Sandbox_Timestamp": fresh, "Sandbox_Signature": sign("GET", path, fresh, "n", b"")}
    assert provider.send("GET", path, **headers).status_code == 404


def test_an_unsigned_request_changes_nothing(provider: Provider, receiver: Receiver) -> None:
    asked = a_charge(receiver)
    assert provider.client.post("/v1/charges", json=asked).status_code == 401
    assert provider.client.put("/v1/faults", json={}).status_code == 401
    assert provider.send("GET", f"/v1/charges/{asked['out_no']}").status_code == 404


@pytest.mark.parametrize(
    ("accept_language", "language", "words"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", ["待付款", "立即付款 ¥79.80", "付款给 江南慢食部落"]),
        ("en-GB,zh;q=0.5", "en", ["Waiting for your payment", "Pay CN¥79.80", "Pay to 江南慢食部落"]),
    ],
)
def test_the_page_speaks_the_buyers_language(
    provider: Provider, receiver: Receiver, accept_language: str, language: str, words: list[str]
) -> None:
    page = provider.client.get(provider.charge(receiver)["pay_url"], headers={"Accept-Language": accept_language})
    assert page.headers["Content-Language"] == language
    assert f'<html lang="{language}">' in page.text
    assert [word for word in words if word not in page.text] == []


def test_the_page_loads_nothing_and_shows_text_as_text(provider: Provider, receiver: Receiver) -> None:
    charge = provider.charge(receiver, payee='<b onclick="x">&', description="<script>1</script>")
    page = provider.client.get(charge["pay_url"])
    assert "&lt;script&gt;" in page.text
    assert not any(mark in page.text for mark in ("<script", "<b ", "src=", "href=", "url("))
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert page.headers["Cache-Control"] == "no-store"


def test_the_button_pays_and_the_page_then_says_so(provider: Provider, receiver: Receiver) -> None:
    url = provider.charge(receiver)["pay_url"]
    pressed = provider.client.post(url)
    assert (pressed.status_code, provider.url + pressed.headers["Location"]) == (303, url)
    page = provider.client.get(url).text
    assert "付款成功" in page
    assert "<button" not in page


def test_a_wrong_token_is_nobodys_page(provider: Provider) -> None:
    assert provider.client.get("/pay/guess").status_code == 404
    as_json = provider.client.post("/pay/guess", headers={"Accept": "application/json"})
    assert as_json.json()["code"] == "charge_unknown"


def with_faults(provider: Provider, **faults: Any) -> None:
    """A bad day begins."""
    assert provider.answer("PUT", "/v1/faults", faults).items() >= faults.items()


def test_callbacks_can_come_late_and_in_copies(provider: Provider, receiver: Receiver) -> None:
    with_faults(provider, callback_delay_seconds=0.5, callback_copies=3)
    provider.pay(provider.charge(receiver))
    time.sleep(0.2)
    assert receiver.callbacks == []
    wait_until(lambda: len(receiver.callbacks) == 3)
    assert len({callback.headers["Sandbox-Nonce"] for callback in receiver.callbacks}) == 3
    assert len({callback.body for callback in receiver.callbacks}) == 1


def test_a_dropped_callback_comes_with_the_next_try(provider: Provider, receiver: Receiver) -> None:
    with_faults(provider, drop_callbacks=1)
    provider.pay(provider.charge(receiver))
    time.sleep(0.5)
    assert receiver.callbacks == []
    wait_until(lambda: receiver.callbacks)


def test_a_request_can_be_applied_without_an_answer(provider: Provider, receiver: Receiver) -> None:
    with_faults(provider, timeouts_after_applying=1)
    asked = a_charge(receiver)
    with pytest.raises(httpx.ReadTimeout):
        provider.send("POST", "/v1/charges", asked, timeout_seconds=0.5)
    assert provider.answer("GET", f"/v1/charges/{asked['out_no']}")["state"] == "pending"


def test_refunds_can_be_pending_or_fail(provider: Provider, receiver: Receiver) -> None:
    charge = provider.charge(receiver)
    provider.pay(charge)
    with_faults(provider, fail_refunds=1, refund_delay_seconds=0.5)
    failed = provider.refund(a_refund(receiver, charge, amount=7980))
    pending = provider.refund(a_refund(receiver, charge, amount=7980))
    assert (failed["state"], pending["state"]) == ("failed", "pending")
    wait_until(lambda: provider.answer("GET", f"/v1/refunds/{pending['refund_no']}")["state"] == "succeeded")
    wait_until(lambda: len(receiver.callbacks) == 2)
