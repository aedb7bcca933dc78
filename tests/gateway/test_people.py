"""Oneself, recipients, disclosures: personal data is where it must be, is shown to whom it must be, and nowhere else."""

import json
from typing import Any

import pytest
from fastapi import Response

from chassis import signed
from chassis.caller import Caller
from gateway.vault import NotOpened, Vault
from tests import support
from tests.gateway.world import World, a_phone, key, world

RECIPIENT = {"name": "王小明", "phone": "13912345678", "region_code": "320500", "address": "平江路 8 号 2 单元"}


async def test_me_shows_a_person_to_themselves_masked() -> None:
    async with world() as here, here.someone("13812345678") as client:
        await client.post("/v1/recipients", json=RECIPIENT, headers=key())
        party = support.new_id("mch")
        await here.appoint(party, client.person_id, "staff")
        me = (await client.get("/v1/me")).json()
        assert me["person_id"] == client.person_id
        assert me["masked_phone"] == "138****5678"
        assert me["grants"] == [{"party": party, "role": "staff"}]
        assert len(me["sessions"]) == 1
        (recipient,) = me["recipients"]
        assert (recipient["name"], recipient["phone"]) == ("王**", "139****5678")
        assert "平江路" not in json.dumps(me, ensure_ascii=False)


async def test_me_is_for_people() -> None:
    async with world() as here, here.anyone() as client:
        assert (await client.get("/v1/me")).status_code == 401


async def test_a_change_of_oneself_names_the_version_it_was_made_on() -> None:
    async with world() as here, here.someone() as client:
        before = await client.get("/v1/me")
        assert (await client.patch("/v1/me", json={"locale": "en"})).status_code == 428
        changed = await client.patch(
            "/v1/me", json={"display_name": "阿明", "locale": "en"}, headers={"if-match": before.headers["etag"]}
        )
        assert changed.status_code == 200
        assert (changed.json()["display_name"], changed.json()["locale"]) == ("阿明", "en")
        assert changed.headers["etag"] != before.headers["etag"]
        stale = await client.patch("/v1/me", json={"locale": "zh-CN"}, headers={"if-match": before.headers["etag"]})
        assert stale.status_code == 412


async def test_a_lost_device_is_signed_out_by_another_one() -> None:
    phone = a_phone()
    async with world() as here, here.someone(phone) as client:
        lost = await here.sign_in(phone)
        session_id = lost["refresh_token"].split(".")[0]
        me = await client.get("/v1/me")
        assert len(me.json()["sessions"]) == 2
        ended = await client.patch(
            "/v1/me", json={"end_sessions": [session_id]}, headers={"if-match": me.headers["etag"]}
        )
        assert len(ended.json()["sessions"]) == 1
        refreshed = await client.post("/v1/sessions", json={"refresh_token": lost["refresh_token"]})
        assert (refreshed.status_code, refreshed.json()["code"]) == (401, "session_revoked")


async def test_nobody_ends_a_session_of_somebody_else() -> None:
    async with world() as here, here.someone() as client:
        foreign = (await here.sign_in())["refresh_token"].split(".")[0]
        etag = (await client.get("/v1/me")).headers["etag"]
        answer = await client.patch("/v1/me", json={"end_sessions": [foreign]}, headers={"if-match": etag})
        unknown = await client.patch("/v1/me", json={"end_sessions": ["ses_" + "0" * 32]}, headers={"if-match": etag})
        assert answer.status_code == unknown.status_code == 404


async def test_a_recipient_gives_a_token_that_says_whose_it_is_and_where_and_no_more() -> None:
    async with world() as here, here.someone() as client:
        given = key()
        first = await client.post("/v1/recipients", json=RECIPIENT, headers=given)
        assert first.status_code == 201
        claims = signed.read(support.KEY, "recipient", first.json()["recipient_token"])
        assert set(claims) == {"recipient_id", "person_id", "region_code", "exp"}
        assert (claims["person_id"], claims["region_code"]) == (client.person_id, "320500")
        again = await client.post("/v1/recipients", json=RECIPIENT, headers=given)
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["idempotent-replayed"] == "true"
        other = await client.post("/v1/recipients", json={**RECIPIENT, "name": "李"}, headers=given)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert (await client.post("/v1/recipients", json=RECIPIENT)).json()["code"] == "idempotency_key_missing"


async def test_a_person_keeps_so_many_recipients_and_room_is_made_by_erasing_one() -> None:
    async with world(recipients_max=1) as here, here.someone() as client:
        first = await client.post("/v1/recipients", json=RECIPIENT, headers=key())
        second = await client.post("/v1/recipients", json=RECIPIENT, headers=key())
        assert (second.status_code, second.json()["code"]) == (409, "limit_reached")
        path = f"/v1/recipients/{first.json()['id']}"
        assert [(await client.delete(path)).status_code for _ in range(2)] == [204, 204]
        assert (await client.post("/v1/recipients", json=RECIPIENT, headers=key())).status_code == 201
        erased = await here.service.database.pool.fetchval("SELECT sealed FROM recipients WHERE state = 'erased'")
        assert erased is None


async def test_a_foreign_recipient_is_not_there() -> None:
    async with world() as here, here.someone() as owner, here.someone() as stranger:
        made = (await owner.post("/v1/recipients", json=RECIPIENT, headers=key())).json()
        assert (await stranger.delete(f"/v1/recipients/{made['id']}")).status_code == 404
        assert (await owner.get("/v1/me")).json()["recipients"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": "a\u0000b"}, {"name": "\ud800"}, {"name": 1}, {"phone": "12"}, {"region_code": "0"},
        {"address": "x" * 201}, {"id": "rcp_1"}, {"person_id": "per_1"}, {"recipient_token": "x"}, {"state": "kept"},
    ],
)  # fmt: skip
async def test_a_recipient_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    async with world() as here, here.someone() as client:
        body = json.dumps({**RECIPIENT, **change}).encode()
        answer = await client.post(
            "/v1/recipients", content=body, headers={**key(), "content-type": "application/json"}
        )
        assert answer.status_code == 422


# --- disclosures ------------------------------------------------------------------------------------------------------


async def an_order(here: World, buyer: Any) -> tuple[str, str]:
    """An order that only the seller's owner may see to ship: (order, seller)."""
    recipient = (await buyer.post("/v1/recipients", json=RECIPIENT, headers=key())).json()
    order_id, seller = support.new_id("ord"), support.new_id("mch")
    here.standins["order"].answers[f"/v1/orders/{order_id}"] = lambda caller: _order(
        caller, seller, recipient["id"], buyer
    )
    return order_id, seller


def _order(caller: Caller | None, seller: str, recipient_id: str, buyer: Any) -> Response:
    if caller is None or caller.person_id not in {buyer.person_id, buyer.seller_person}:
        return Response('{"code": "not_found"}', 404)
    shown = recipient_id if caller.person_id == buyer.seller_person else None
    return Response(json.dumps({"seller": seller, "recipient_id": shown}), media_type="application/json")


async def test_the_seller_sees_where_an_open_order_goes_and_the_buyer_sees_that_they_did() -> None:
    async with world() as here, here.someone() as buyer, here.someone() as seller, here.someone() as stranger:
        buyer.seller_person = seller.person_id
        order_id, party = await an_order(here, buyer)
        body = {"order_id": order_id, "purpose": "shipping"}
        shown = await seller.post("/v1/disclosures", json=body, headers=key())
        assert shown.status_code == 201
        assert shown.json() == {**RECIPIENT, "phone": "+8613912345678"}
        assert shown.headers["cache-control"] == "no-store"
        assert (await stranger.post("/v1/disclosures", json=body, headers=key())).status_code == 404
        assert (await buyer.post("/v1/disclosures", json=body, headers=key())).status_code == 403
        (event,) = (await buyer.get("/v1/events")).json()["data"]
        assert event["type"] == "gateway.recipient_disclosed"
        assert event["data"] == {"order_id": order_id, "purpose": "shipping", "on_behalf_of": party}
        rows = await here.service.database.pool.fetch("SELECT shown_to, on_behalf_of FROM disclosures")
        assert [tuple(row) for row in rows] == [(seller.person_id, party)]


async def test_what_is_no_longer_the_sellers_to_see_is_not_repeated_either() -> None:
    async with world() as here, here.someone() as buyer, here.someone() as seller:
        buyer.seller_person = seller.person_id
        order_id, _ = await an_order(here, buyer)
        given, body = key(), {"order_id": order_id, "purpose": "shipping"}
        assert (await seller.post("/v1/disclosures", json=body, headers=given)).status_code == 201
        buyer.seller_person = None
        assert (await seller.post("/v1/disclosures", json=body, headers=given)).status_code == 404


async def test_an_erased_recipient_is_gone_for_the_seller_too() -> None:
    async with world() as here, here.someone() as buyer, here.someone() as seller:
        buyer.seller_person = seller.person_id
        order_id, _ = await an_order(here, buyer)
        (kept,) = (await buyer.get("/v1/me")).json()["recipients"]
        await buyer.delete(f"/v1/recipients/{kept['id']}")
        body = {"order_id": order_id, "purpose": "shipping"}
        answer = await seller.post("/v1/disclosures", json=body, headers=key())
        assert (answer.status_code, answer.json()["code"]) == (410, "personal_data_gone")


async def test_a_silent_order_service_discloses_nothing() -> None:
    async with world() as here, here.someone() as seller:
        order_id = support.new_id("ord")
        here.standins["order"].answers[f"/v1/orders/{order_id}"] = lambda _: Response(status_code=503)
        answer = await seller.post("/v1/disclosures", json={"order_id": order_id, "purpose": "shipping"}, headers=key())
        assert answer.status_code == 503


# --- at rest ----------------------------------------------------------------------------------------------------------


async def test_personal_data_lies_in_no_table_in_clear(caplog: pytest.LogCaptureFixture, capsys: Any) -> None:
    canaries = (
        "13987650001",
        "8613987650002",
        "金丝雀王",
        "Kanarienvogel",
        "canary-street-7",
        "987650001",
        "987650002",
    )
    body = {"name": "金丝雀王", "phone": "13987650002", "region_code": "320500", "address": "canary-street-7"}
    async with world() as here, here.someone("13987650001") as buyer, here.someone() as seller:
        buyer.seller_person = seller.person_id
        etag = (await buyer.get("/v1/me")).headers["etag"]
        await buyer.patch("/v1/me", json={"display_name": "Kanarienvogel"}, headers={"if-match": etag})
        await buyer.post("/v1/recipients", json=body, headers=key())
        await buyer.post("/v1/recipients", json={**body, "region_code": 1}, headers=key())
        order_id, _ = await an_order(here, buyer)
        await seller.post("/v1/disclosures", json={"order_id": order_id, "purpose": "shipping"}, headers=key())
        dump = await _everything(here)
    assert len(dump) > 2_000
    written = dump + caplog.text + "".join(capsys.readouterr())
    for canary in canaries:
        assert canary not in written
        assert canary.encode().hex() not in written
    # The number of the first digits alone would be found by a plain hash too: look for those.
    from hashlib import sha256

    for phone in ("+8613987650001", "+8613987650002", "13987650001"):
        assert sha256(phone.encode()).hexdigest() not in written


async def _everything(here: World) -> str:
    pool = here.service.database.pool
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    text = []
    for (table,) in tables:
        text += [row[0] for row in await pool.fetch(f"SELECT t::text || row_to_json(t)::text FROM {table} AS t")]
        for column in await pool.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND data_type = 'bytea'", table
        ):
            name = column[0]
            rows = await pool.fetch(f"SELECT {name} AS v FROM {table} WHERE {name} IS NOT NULL")
            text += [row["v"].decode("utf-8", "replace") for row in rows]
    return "\n".join(text)


async def test_no_token_or_secret_lies_in_a_table() -> None:
    async with world() as here:
        session = await here.sign_in()
        async with here.anyone(authorization=f"Bearer {session['access_token']}") as client:
            party = support.new_id("mch")
            await here.appoint(party, session["person_id"])
            made = await client.post(
                "/v1/api-keys",
                json={"party_id": party, "scopes": ["orders:read"], "expires_at": "2099-01-01T00:00:00Z"},
                headers=key(),
            )
            dump = await _everything(here)
        secret = made.json()["secret"]
        for each in (session["access_token"], session["refresh_token"].split(".")[2], secret, secret.split("_", 2)[2]):
            assert each not in dump


def test_a_sealed_value_opens_only_where_it_belongs_and_only_unaltered() -> None:
    import secrets

    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    sealed = Vault(old).seal("平江路 8 号", "recipient:rcp_1")
    assert Vault(old).open(sealed, "recipient:rcp_1") == "平江路 8 号"
    assert Vault(new, [old]).open(sealed, "recipient:rcp_1") == "平江路 8 号"
    assert Vault(old).seal("平江路 8 号", "recipient:rcp_1") != sealed
    for vault, data, about in (
        (Vault(old), sealed, "recipient:rcp_2"),
        (Vault(new), sealed, "recipient:rcp_1"),
        (Vault(old), b"", "recipient:rcp_1"),
        *(
            (Vault(old), sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :], "recipient:rcp_1")
            for n in range(len(sealed))
        ),
    ):
        with pytest.raises(NotOpened):
            vault.open(data, about)
