"""Phone, code, session: who gets in, and who does not."""

import re

import pytest

from gateway import domain
from tests.gateway.world import a_phone, world


async def test_a_phone_and_its_code_sign_in_and_the_token_reaches_a_service_as_an_internal_one() -> None:
    async with world() as here, here.someone() as client:
        answer = await client.get("/v1/orders", headers={"x-person-id": "per_forged", "request-id": "mine"})
        assert answer.json() == {"by": "order"}
        ((_, path, headers, _),) = here.standins["order"].seen
        assert path == "/v1/orders"
        assert headers["authorization"] != client.headers["authorization"]
        assert "x-person-id" not in headers
        assert headers["request-id"] == answer.headers["request-id"] != "mine"


async def test_the_same_number_is_the_same_person_and_another_number_another_one() -> None:
    async with world() as here:
        first = await here.sign_in("138 0000 1111")
        again = await here.sign_in("+86-138-0000-1111")
        other = await here.sign_in("13800001112")
        assert first["person_id"] == again["person_id"] != other["person_id"]


async def test_a_wrong_code_is_refused_and_five_lock_the_code_and_the_number() -> None:
    phone = a_phone()
    async with world() as here, here.anyone() as client:
        code = (await client.post("/v1/sessions/codes", json={"phone": phone})).json()
        wrong = f"{(int(code['sandbox_code']) + 1) % 1_000_000:06d}"
        for _ in range(5):
            answer = await client.post("/v1/sessions", json={"code_id": code["code_id"], "code": wrong})
            assert (answer.status_code, answer.json()["code"]) == (401, "code_invalid")
        right = await client.post("/v1/sessions", json={"code_id": code["code_id"], "code": code["sandbox_code"]})
        assert right.json()["code"] == "code_invalid"
        locked = await client.post("/v1/sessions/codes", json={"phone": phone})
        assert (locked.status_code, locked.json()["code"]) == (429, "too_many_attempts")
        assert 55 <= int(locked.headers["retry-after"]) <= 61


async def test_a_code_signs_in_once() -> None:
    async with world() as here, here.anyone() as client:
        code = (await client.post("/v1/sessions/codes", json={"phone": a_phone()})).json()
        body = {"code_id": code["code_id"], "code": code["sandbox_code"]}
        assert (await client.post("/v1/sessions", json=body)).status_code == 201
        assert (await client.post("/v1/sessions", json=body)).json()["code"] == "code_invalid"


async def test_entering_a_spent_code_for_ever_writes_no_history_for_ever() -> None:
    """Histories are never purged, and whoever has not signed in must not be able to fill them."""
    async with world() as here, here.anyone() as client:
        code = (await client.post("/v1/sessions/codes", json={"phone": a_phone()})).json()
        body = {"code_id": code["code_id"], "code": code["sandbox_code"]}
        await client.post("/v1/sessions", json=body)
        rows = "SELECT count(*) FROM history"
        before = await here.service.database.pool.fetchval(rows)
        for _ in range(3):
            await client.post("/v1/sessions", json=body)
        assert await here.service.database.pool.fetchval(rows) == before


async def test_an_expired_code_says_so() -> None:
    async with world() as here, here.anyone() as client:
        code = (await client.post("/v1/sessions/codes", json={"phone": a_phone()})).json()
        await here.service.database.pool.execute("UPDATE codes SET expires_at = now() - interval '1 second'")
        answer = await client.post("/v1/sessions", json={"code_id": code["code_id"], "code": code["sandbox_code"]})
        assert (answer.status_code, answer.json()["code"]) == (401, "code_expired")


async def test_an_unknown_code_id_is_a_wrong_code() -> None:
    async with world() as here, here.anyone() as client:
        answer = await client.post("/v1/sessions", json={"code_id": "cod_" + "0" * 32, "code": "123456"})
        assert (answer.status_code, answer.json()["code"]) == (401, "code_invalid")


async def test_a_number_may_ask_for_so_many_codes_an_hour() -> None:
    phone = a_phone()
    async with world(codes_hourly_max=2) as here, here.anyone() as client:
        statuses = [(await client.post("/v1/sessions/codes", json={"phone": phone})).status_code for _ in range(3)]
        assert statuses == [202, 202, 429]


async def test_known_and_unknown_numbers_get_the_same_answer() -> None:
    phone = a_phone()
    async with world() as here, here.anyone() as client:
        await here.sign_in(phone)
        known = await client.post("/v1/sessions/codes", json={"phone": phone})
        unknown = await client.post("/v1/sessions/codes", json={"phone": a_phone()})
        assert known.status_code == unknown.status_code
        assert known.json().keys() == unknown.json().keys()


async def test_a_production_gateway_sends_the_code_and_does_not_show_it() -> None:
    sent: list[tuple[str, str]] = []

    async def deliver(phone: str, code: str) -> None:
        sent.append((phone, code))

    async with world(mode="production", sandbox_codes=False, deliver_code=deliver) as here, here.anyone() as client:
        answer = await client.post("/v1/sessions/codes", json={"phone": "13800001111"})
        assert list(answer.json()) == ["code_id"]
        ((phone, code),) = sent
        assert phone == "+8613800001111"
        assert re.fullmatch("[0-9]{6}", code)
        assert "strict-transport-security" in answer.headers
        signed_in = await client.post("/v1/sessions", json={"code_id": answer.json()["code_id"], "code": code})
        assert signed_in.status_code == 201


async def test_a_refresh_token_gives_the_next_one_and_works_once() -> None:
    async with world() as here, here.anyone() as client:
        session = await here.sign_in()
        second = await client.post("/v1/sessions", json={"refresh_token": session["refresh_token"]})
        assert second.status_code == 201
        assert second.json()["refresh_token"] != session["refresh_token"]
        assert second.json()["person_id"] == session["person_id"]


async def test_a_refresh_token_used_twice_revokes_the_whole_family() -> None:
    async with world() as here, here.anyone() as client:
        session = await here.sign_in()
        second = (await client.post("/v1/sessions", json={"refresh_token": session["refresh_token"]})).json()
        reused = await client.post("/v1/sessions", json={"refresh_token": session["refresh_token"]})
        assert (reused.status_code, reused.json()["code"]) == (401, "session_revoked")
        latest = await client.post("/v1/sessions", json={"refresh_token": second["refresh_token"]})
        assert (latest.status_code, latest.json()["code"]) == (401, "session_revoked")
        state, reason = await here.service.database.pool.fetchrow(
            "SELECT s.state, h.reason FROM sessions s JOIN history h ON h.key = s.session_id ORDER BY h.sequence DESC"
        )
        assert (state, reason) == ("revoked", "refresh_reused")


async def test_an_invented_refresh_token_of_a_known_session_ends_nothing() -> None:
    async with world() as here, here.anyone() as client:
        session = await here.sign_in()
        sid, generation, secret, mark = session["refresh_token"].split(".")
        forged = f"{sid}.{generation}.{'A' * len(secret)}.{mark}"
        assert (await client.post("/v1/sessions", json={"refresh_token": forged})).status_code == 401
        assert (await client.post("/v1/sessions", json={"refresh_token": session["refresh_token"]})).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {}, {"code": "123456"}, {"code_id": "cod_" + "0" * 32, "code": 123456}, {"refresh_token": 1},
        {"code_id": "cod_" + "0" * 32, "code": "12345"}, {"refresh_token": "x", "code": "123456"},
        {"code_id": "cod_" + "0" * 32, "code": "123456", "person_id": "per_1"}, [], "x", None,
    ],
)  # fmt: skip
async def test_a_sign_in_that_is_neither_a_code_nor_a_refresh_is_refused(body: object) -> None:
    async with world() as here, here.anyone() as client:
        assert (await client.post("/v1/sessions", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("13812345678", "+8613812345678"), ("138-1234 5678", "+8613812345678"), ("0086 13812345678", "+8613812345678"),
        ("+8613812345678", "+8613812345678"), ("+49 (171) 1234567", "+491711234567"), ("00491711234567", "+491711234567"),
    ],
)  # fmt: skip
def test_a_number_has_one_form(text: str, phone: str) -> None:
    assert domain.normalise_phone(text) == phone


@pytest.mark.parametrize(
    "text", ["12345", "12812345678", "+86123", "+0123456789", "+8612345678901", "110", "++4917112345"]
)
async def test_what_is_no_phone_number_is_refused_and_not_repeated(text: str) -> None:
    async with world() as here, here.anyone() as client:
        answer = await client.post("/v1/sessions/codes", json={"phone": text})
        assert answer.status_code == 422
        assert text not in answer.text
