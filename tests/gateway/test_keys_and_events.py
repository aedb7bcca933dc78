"""API keys of a party, and what a party may see of what happened."""

from typing import Any

import pytest

from chassis.auth import Verifier
from contracts import catalogue
from contracts.samples import SAMPLES
from contracts.tribe import RoleChanged
from gateway import service
from gateway.vault import Marks
from tests import support
from tests.gateway.world import World, key, world

KEY = {"scopes": ["orders:read", "orders:write"], "expires_at": "2099-01-01T00:00:00+08:00"}


async def an_owned_party(here: World, person_id: str, role: str = "owner") -> str:
    party = support.new_id("mch")
    await here.appoint(party, person_id, role)
    return party


async def test_an_owner_makes_a_key_and_a_service_sees_its_party_and_scopes() -> None:
    async with world() as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        made = await owner.post("/v1/api-keys", json={**KEY, "party_id": party}, headers=key())
        assert made.status_code == 201
        secret = made.json()["secret"]
        assert secret.startswith(made.json()["id"] + "_")
        assert len(secret.removeprefix(made.json()["id"] + "_")) >= 43
        async with here.anyone(authorization=f"Bearer {secret}") as machine:
            assert (await machine.get("/v1/orders")).status_code == 200
        ((_, _, headers, _),) = here.standins["order"].seen
        caller = Verifier("order", support.KEY).caller(headers["authorization"].removeprefix("Bearer "))
        assert (caller.party_id, caller.person_id, caller.key_id) == (party, None, made.json()["id"])
        assert caller.scopes == frozenset(KEY["scopes"])


async def test_a_repeated_request_gives_the_same_key_and_the_same_secret() -> None:
    async with world() as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        given, body = key(), {**KEY, "party_id": party}
        first = await owner.post("/v1/api-keys", json=body, headers=given)
        again = await owner.post("/v1/api-keys", json=body, headers=given)
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        other = await owner.post("/v1/api-keys", json=body, headers=key())
        assert other.json()["secret"] != first.json()["secret"]


@pytest.mark.parametrize("change", ["one letter", "another key's secret", "cut short"])
async def test_an_almost_right_secret_is_nobodys(change: str) -> None:
    async with world() as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        one, other = [
            (await owner.post("/v1/api-keys", json={**KEY, "party_id": party}, headers=key())).json() for _ in range(2)
        ]
        wrong = {
            "one letter": one["secret"][:-2] + ("A" if one["secret"][-2] != "A" else "B") + one["secret"][-1],
            "another key's secret": one["id"] + other["secret"].removeprefix(other["id"]),
            "cut short": one["secret"][:-1],
        }[change]
        async with here.anyone(authorization=f"Bearer {wrong}") as machine:
            assert (await machine.get("/v1/orders")).status_code == 401


@pytest.mark.parametrize("expires_at", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
async def test_a_time_that_is_outside_the_calendar_in_utc_is_refused(expires_at: str) -> None:
    async with world() as here, here.someone() as owner:
        body = {**KEY, "party_id": await an_owned_party(here, owner.person_id), "expires_at": expires_at}
        refused = await owner.post("/v1/api-keys", json=body, headers=key())
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/expires_at")


async def test_a_deleted_or_expired_key_opens_nothing() -> None:
    async with world(key_cache_seconds=0) as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        deleted, expired = [
            (await owner.post("/v1/api-keys", json={**KEY, "party_id": party}, headers=key())).json() for _ in range(2)
        ]
        assert [(await owner.delete(f"/v1/api-keys/{deleted['id']}")).status_code for _ in range(2)] == [204, 204]
        await here.service.database.pool.execute(
            "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE key_id = $1", expired["id"]
        )
        for secret, code in ((deleted["secret"], "unauthenticated"), (expired["secret"], "key_expired")):
            async with here.anyone(authorization=f"Bearer {secret}") as machine:
                answer = await machine.get("/v1/orders")
                assert (answer.status_code, answer.json()["code"]) == (401, code)
        listed = (await owner.get("/v1/api-keys")).json()["data"]
        assert deleted["id"] not in [each["id"] for each in listed]


async def test_a_key_is_remembered_for_a_moment_only_and_one_read_serves_many_requests() -> None:
    async with world(key_cache_seconds=60) as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        made = (await owner.post("/v1/api-keys", json={**KEY, "party_id": party}, headers=key())).json()
        async with here.anyone(authorization=f"Bearer {made['secret']}") as machine:
            assert (await machine.get("/v1/orders")).status_code == 200
            await here.service.database.pool.execute("UPDATE api_keys SET state = 'deleted'")
            assert (await machine.get("/v1/orders")).status_code == 200
            here.edge._credentials._keys.clear()
            assert (await machine.get("/v1/orders")).status_code == 401


async def test_keys_are_the_owners_business_alone() -> None:
    async with world() as here, here.someone() as owner, here.someone() as staff, here.someone() as stranger:
        party = await an_owned_party(here, owner.person_id)
        await here.appoint(party, staff.person_id, "staff")
        made = (await owner.post("/v1/api-keys", json={**KEY, "party_id": party}, headers=key())).json()
        for who, status, listed in ((owner, 204, 1), (staff, 403, 0), (stranger, 404, 0)):
            if who is not owner:
                asked = await who.post("/v1/api-keys", json={**KEY, "party_id": party}, headers=key())
                # A party this young may have a grant that has not arrived: a stranger is told to come again.
                assert asked.status_code in {status, 409}
                deleted = await who.delete(f"/v1/api-keys/{made['id']}")
                assert deleted.status_code in {status, 409}
            assert len((await who.get("/v1/api-keys", params={"party_id": party})).json()["data"]) == listed
        async with here.anyone(authorization=f"Bearer {made['secret']}") as machine:
            assert (
                await machine.post("/v1/api-keys", json={**KEY, "party_id": party}, headers=key())
            ).status_code == 403
            assert (await machine.delete(f"/v1/api-keys/{made['id']}")).status_code == 403
            assert (await machine.get("/v1/api-keys")).status_code == 403


async def test_a_party_has_so_many_living_keys() -> None:
    async with world(api_keys_max=2) as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        body = {**KEY, "party_id": party}
        made = [await owner.post("/v1/api-keys", json=body, headers=key()) for _ in range(3)]
        assert [each.status_code for each in made] == [201, 201, 409]
        await owner.delete(f"/v1/api-keys/{made[0].json()['id']}")
        assert (await owner.post("/v1/api-keys", json=body, headers=key())).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": []}, {"scopes": ["everything"]}, {"scopes": ["Orders:read"]}, {"scopes": "orders:read"},
        {"expires_at": "2099-01-01T00:00:00"}, {"expires_at": "2001-01-01T00:00:00Z"}, {"expires_at": 4070908800.5},
        {"party_id": "per_" + "0" * 32}, {"secret": "x"}, {"created_by": "per_1"}, {"id": "key_1"},
    ],
)  # fmt: skip
async def test_a_key_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    async with world() as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        answer = await owner.post("/v1/api-keys", json={**KEY, "party_id": party, **change}, headers=key())
        assert answer.status_code == 422


# --- events -----------------------------------------------------------------------------------------------------------


async def test_a_party_sees_the_facts_it_was_meant_to_and_of_each_its_own_view() -> None:
    sample = next(fact for kind, fact in SAMPLES.items() if kind.type == "order.placed.v1")
    seller, partner = support.new_id("mch"), support.new_id("prt")
    async with world() as here, here.someone() as owner, here.someone() as other:
        await here.appoint(seller, owner.person_id)
        await here.appoint(partner, other.person_id, "pickup")
        await here.hear(sample, audience=(seller, partner))
        mine = (await owner.get("/v1/events", params={"type": "order.placed.v1"})).json()["data"]
        theirs = (await other.get("/v1/events", params={"party_id": partner, "type": "order.placed.v1"})).json()["data"]
        assert [each["party_id"] for each in (*mine, *theirs)] == [seller, partner]
        data = mine[0]["data"]
        assert "touch_token" not in data
        assert "buyer" not in data
        assert data["buyer_ref"] != theirs[0]["data"]["buyer_ref"]
        assert (await owner.get("/v1/events", params={"party_id": partner})).json()["data"] == []
        assert (await owner.get("/v1/events", params={"subject": sample.subject})).json()["data"] == mine


async def test_events_come_newest_first_in_pages() -> None:
    sample = next(fact for kind, fact in SAMPLES.items() if kind.type == "order.paid.v1")
    party = support.new_id("mch")
    async with world() as here, here.someone() as owner:
        await here.appoint(party, owner.person_id)
        for _ in range(5):
            await here.hear(sample, audience=(party,))
        first = (await owner.get("/v1/events", params={"limit": 4})).json()
        assert first["has_more"] is True
        rest = (await owner.get("/v1/events", params={"limit": 4, "starting_after": first["data"][-1]["id"]})).json()
        ids = [each["id"] for each in (*first["data"], *rest["data"])]
        assert ids == sorted(ids, reverse=True)
        assert len(set(ids)) == 6  # the five, and the owner's own appointment
        assert rest["has_more"] is False


async def test_a_partys_key_reads_its_events_with_the_scope_for_it() -> None:
    async with world() as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        seen = {}
        for scope in ("events:read", "orders:read"):
            body = {**KEY, "party_id": party, "scopes": [scope]}
            made = (await owner.post("/v1/api-keys", json=body, headers=key())).json()
            async with here.anyone(authorization=f"Bearer {made['secret']}") as machine:
                seen[scope] = await machine.get("/v1/events")
        assert [each["party_id"] for each in seen["events:read"].json()["data"]] == [party]
        assert (seen["orders:read"].status_code, seen["orders:read"].json()["code"]) == (403, "scope_missing")


async def test_anyone_sees_no_events() -> None:
    async with world() as here, here.anyone() as client:
        assert (await client.get("/v1/events")).status_code == 401


async def test_what_a_role_no_longer_covers_is_no_longer_seen() -> None:
    async with world() as here, here.someone() as owner:
        party = await an_owned_party(here, owner.person_id)
        assert (await owner.get("/v1/events")).json()["data"]
        await here.appoint(party, owner.person_id, None, version=2)
        assert (await owner.get("/v1/events")).json()["data"] == []
        assert (await owner.get("/v1/me")).json()["grants"] == []


async def test_an_older_staff_fact_is_recorded_but_changes_no_grant() -> None:
    async with world() as here, here.someone() as owner:
        party = support.new_id("mch")
        await here.appoint(party, owner.person_id, "owner", version=5)
        await here.appoint(party, owner.person_id, None, version=4)
        assert (await owner.get("/v1/me")).json()["grants"] == [{"party": party, "role": "owner"}]
        assert len((await owner.get("/v1/events")).json()["data"]) == 2


async def test_a_role_in_a_tribe_is_a_grant_too() -> None:
    async with world() as here, here.someone() as person:
        tribe = support.new_id("trb")
        await here.hear(RoleChanged(tribe_id=tribe, person_id=person.person_id, role="operator", version=1))
        assert (await person.get("/v1/me")).json()["grants"] == [{"party": tribe, "role": "operator"}]


def test_the_gateway_hears_what_the_catalogue_says() -> None:
    heard = service.hears(Marks(b"x" * 32))
    assert {fact.type for fact in heard} == catalogue.heard_by("gateway")


async def test_every_fact_is_recorded_or_ignored_in_every_state() -> None:
    """The total matrix: the state is the grant (none, held, withdrawn), the message every fact, seen by some or nobody."""
    party = support.new_id("mch")
    async with world() as here:
        for _state in range(3):
            for fact in SAMPLES.values():
                if fact.type in catalogue.heard_by("gateway"):
                    await here.hear(fact, audience=())
                    await here.hear(fact, audience=(party,))
        rows = await here.service.database.pool.fetch("SELECT outcome, count(*) FROM inbox GROUP BY outcome")
        outcomes = {row["outcome"] for row in rows}
        assert outcomes <= {"applied", "ignored:nobody_may_see_it", "ignored:older_version"}
        assert await here.service.database.pool.fetchval("SELECT count(*) FROM parked") == 0
        assert await here.service.database.pool.fetchval("SELECT count(*) FROM events") == 3 * len(
            catalogue.heard_by("gateway")
        )
