"""Naming somebody else's thing beside one's own gives nothing of it: each reference of a body is checked by itself."""

import pytest

from tests.access.calls import CALLS
from tests.access.cast import House, unborn
from tests.access.walk import request

pytestmark = pytest.mark.asyncio(loop_scope="package")

SPLIT = [
    # operation, who (at home in ours), what is theirs, what is answered; a name may stand for another
    ("create_offer", "owner", {"product": "draft_product"}, 404),
    ("create_offer", "owner", {"product": "product"}, 422),
    ("create_offer", "owner", {"partnership": "partnership"}, 409),
    ("create_stock_movement", "owner", {"variant": "variant"}, 404),
    ("create_checkout", "buyer", {"recipient_token": "recipient_token"}, 422),
    ("create_checkout", "buyer", {"variant": "variant"}, 422),
    ("create_invitation", "partner", {"partner": "partner"}, 404),
    ("create_invitation", "partner", {"tribe": "tribe"}, 404),
    ("create_content", "member", {"offer": "offer"}, 422),
    ("update_role", "partner", {"membership": "membership"}, 404),
    ("update_role", "partner", {"tribe": "tribe"}, 404),
    ("create_shipment", "owner", {"line": "line"}, 422),
    ("create_application", "pickup", {"merchant": "merchant"}, 404),
]


@pytest.mark.parametrize(("operation", "role", "theirs", "status"), SPLIT)
async def test_a_reference_to_theirs(
    house: House, operation: str, role: str, theirs: dict[str, str], status: int
) -> None:
    things = {**house.ours.things, **{name: house.theirs[source] for name, source in theirs.items()}}
    with house.later():
        answer = await request(house.roles[role], CALLS[operation], things, 1)
    assert answer.status == status, str(answer)


async def test_what_is_not_theirs_to_know_is_answered_as_if_it_were_not_there(house: House) -> None:
    """Another's draft, and another's partnership: the same refusal as for an id that nobody has."""
    for name, source in (("product", "draft_product"), ("partnership", "partnership")):
        told = []
        for an_id in (house.theirs[source], unborn(house.theirs[source])):
            with house.later():
                answer = await request(house.ours.owner, CALLS["create_offer"], {**house.ours.things, name: an_id}, 1)
            told.append({key: value for key, value in answer.json.items() if key != "trace_id"})
        assert told[0] == told[1]


async def test_a_person_cannot_end_the_session_of_another(house: House) -> None:
    session = (await house.theirs.buyer.get("/v1/me"))["sessions"][0]["id"]
    body, me = {"end_sessions": [session]}, await house.ours.buyer.get("/v1/me")
    headers = {"if-match": f'"{me["version"]}"'}
    with house.later():
        answer = await house.ours.buyer.call("PATCH", "/v1/me", json_body=body, headers=headers)
    assert answer.status == 404, str(answer)
    assert session in {each["id"] for each in (await house.theirs.buyer.get("/v1/me"))["sessions"]}


async def test_the_platform_is_nobodys_to_claim(house: House) -> None:
    owner = house.ours.owner
    body = {"party_id": "platform", "scopes": ["orders:read"], "expires_at": "2099-01-01T00:00:00Z"}
    assert (await owner.call("POST", "/v1/api-keys", json_body=body)).status == 404
    path = f"/v1/staff/platform/{owner.person_id}"
    answer = await owner.call("PUT", path, json_body={"role": "ops"}, headers={"if-match": '"0"'})
    assert answer.status == 404, str(answer)
    assert (await owner.call("GET", "/v1/staff", query={"party_id": "platform"})).status == 404


async def test_nobody_gives_themselves_a_role(house: House) -> None:
    """Staff and members cannot raise themselves, and an owner's role is not a stranger's to take."""
    ours = house.ours
    for role, wanted in (("staff", "owner"), ("pickup", "staff"), ("stranger", "owner")):
        someone = house.roles[role]
        path = f"/v1/staff/{ours['merchant']}/{someone.person_id}"
        answer = await someone.call("PUT", path, json_body={"role": wanted}, headers={"if-match": '"1"'})
        assert answer.status == (404 if role == "stranger" else 403), str(answer)
    path = f"/v1/tribes/{ours['tribe']}/roles/{ours['membership']}"
    answer = await ours.member.call("PUT", path, json_body={"role": "owner"}, headers={"if-match": '"1"'})
    assert answer.status == 403, str(answer)


async def test_one_key_of_two_people_is_two_effects(house: House) -> None:
    """An Idempotency-Key belongs to whoever sent it: nobody is replayed another's answer."""
    given = {"idempotency-key": "the-same-for-both"}
    body = {"name": "shop", "categories": ["fruit"]}
    made = [
        await someone.call("POST", "/v1/merchants", json_body=body, headers=given)
        for someone in (house.ours.buyer, house.theirs.buyer)
    ]
    assert [answer.status for answer in made] == [201, 201]
    assert made[0].json["id"] != made[1].json["id"]
    assert "idempotent-replayed" not in made[1].headers
