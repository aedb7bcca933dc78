"""Behind the gateway nobody is trusted either: a service believes a token made for it and now, and checks whose it is.

And the inside of a service is not to be reached through the gateway, however the path is spelled.
"""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from chassis import auth
from chassis.auth import Issuer
from chassis.caller import Caller
from tests.access.calls import CALLS, Call, filled
from tests.access.cast import House, unborn
from tests.access.document import Operation
from tests.access.door import Answer, Door
from tests.access.matrix import ROWS

pytestmark = pytest.mark.asyncio(loop_scope="package")

SERVICES = ("order", "escrow", "distribution", "partner", "tribe", "gateway")
HIDDEN = [name for name, row in ROWS.items() if row.others == "404"]
CLOSED = [name for name, row in ROWS.items() if row.cells["anyone"] == "401!" and row.operation != "create_callback"]


def issuer(house: House) -> Issuer:
    found: Issuer = house.services["gateway"].api.state.doors.issuer
    return found


async def straight(house: House, service: str, call: Call, things: Mapping[str, str], token: str) -> Answer:
    """The call at the service's own app, past the gateway."""
    given: dict[str, Any] = {} if call.body is None else {"json_body": filled(call.body, things)}
    headers = {"if-match": f'"{call.version}"'} if call.method in {"PATCH", "PUT"} else {}
    path, query = filled(call.path, things), filled(call.query, things)
    with house.later():
        door = Door(house.services[service].app)
        return await door.call(call.method, path, token=token, query=query, headers=headers, **given)


def theirs(house: House) -> dict[str, str]:
    return {**house.theirs.things, "newcomer": unborn(f"per_{'0' * 32}")}


@pytest.mark.parametrize("name", HIDDEN)
async def test_a_foreign_thing_is_404_at_its_service_too(
    house: House, document: Mapping[str, Operation], name: str
) -> None:
    """With a valid internal token of the buyer of another story: the gateway is not what keeps them apart."""
    service = document[ROWS[name].operation].service
    token = issuer(house).token(service, Caller(person_id=house.ours.buyer.person_id))
    foreign = await straight(house, service, CALLS[name], theirs(house), token)
    nothing = await straight(
        house, service, CALLS[name], {key: unborn(each) for key, each in theirs(house).items()}, token
    )
    assert (foreign.status, nothing.status) == (404, 404), f"{foreign} {nothing}"


@pytest.mark.parametrize("name", CLOSED)
async def test_without_a_token_a_service_answers_nobody(
    house: House, document: Mapping[str, Operation], name: str
) -> None:
    service = document[ROWS[name].operation].service
    answer = await straight(house, service, CALLS[name], theirs(house), "")
    assert answer.status == 401, str(answer)


def forged(house: House, service: str, secret: Any = None, header: Any = None, **claims: Any) -> str:
    """An internal token of ours with something wrong in it, signed by the gateway or by `secret`."""
    now = int(time.time())
    whole = {
        "iss": auth.ISSUER,
        "aud": service,
        "iat": now,
        "exp": now + 60,
        "sub": house.theirs.buyer.person_id,
        "party": "",
        "key": "",
        "scopes": [],
        **claims,
    }
    head = {"alg": auth.ALGORITHM, "typ": auth.TYPE, **(header or {})}
    return jwt.encode(head, whole, secret or issuer(house)._key, algorithms=[head["alg"]])


def _unsigned(token: str) -> str:
    """The same claims under `alg: none`, with no signature."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": auth.TYPE}).encode()).decode().rstrip("=")
    return f"{head}.{token.split('.')[1]}."


@pytest.mark.parametrize("service", SERVICES)
async def test_a_token_that_is_not_for_this_service_and_now_opens_nothing(house: House, service: str) -> None:
    """Everything that is not the gateway's word for this service: 401, for public operations too."""
    elsewhere = "escrow" if service != "escrow" else "order"
    buyer, now = house.theirs.buyer, int(time.time())
    own = forged(house, service)
    public_half = json.dumps(issuer(house)._key.as_dict(private=False))
    tokens = {
        "an access token": buyer.token,
        "an API key": house.theirs.key.token,
        "another audience": forged(house, elsewhere),
        "every audience": forged(house, "*"),
        "expired": forged(house, service, iat=now - 120, exp=now - 61),
        "another issuer": forged(house, service, iss="buluo"),
        "another kind": forged(house, service, header={"typ": "at+jwt"}),
        "another key": forged(house, service, OKPKey.generate_key("Ed25519")),
        "the public key as a secret": forged(house, service, OctKey.import_key(public_half), {"alg": "HS256"}),
        "no signature": _unsigned(own),
        "a changed signature": own[:-4] + ("AAAA" if own[-4:] != "AAAA" else "BBBB"),
        "a recipient's statement": house.theirs["recipient_token"],
        "noise": "x.y.z",
    }
    call = PROBES[service]
    assert (await straight(house, service, call, theirs(house), own)).status == 200
    opened = {
        name: answer.status
        for name, token in tokens.items()
        if (answer := await straight(house, service, call, theirs(house), token)).status != 401
    }
    assert opened == {}


PROBES = {
    "order": CALLS["list_orders"],
    "escrow": CALLS["get_proof"],
    "distribution": CALLS["get_compliance"],
    "partner": CALLS["list_merchants"],
    "tribe": CALLS["list_tribes"],
    "gateway": CALLS["get_me"],
}

INSIDE = ("/metrics", "/internal/clock", "/livez", "/readyz", "/openapi.json")
SPELLINGS = (
    "{0}", "/v1{0}", "/{1}{0}", "/v1/{1}{0}", "/{1}/v1{0}", "/v1/orders/..{0}", "/v1/orders/../..{0}",
    "/v1/orders/%2e%2e/%2e%2e{0}", "/v1/orders/..%2f..{0}", "//{1}{0}", "/v1/..;{0}", "/v1/orders\\..\\..{0}", "/v2{0}",
    "{0}/", "{0};.json", "/v1/%2e{0}", "/.{0}", "/v1//{1}{0}",
)  # fmt: skip
GATEWAYS_OWN = {"/livez", "/readyz", "/openapi.json"}


@pytest.mark.parametrize("inside", INSIDE)
async def test_the_inside_of_a_service_is_not_to_be_reached_through_the_gateway(house: House, inside: str) -> None:
    """Neither by anyone nor by somebody signed in; of the gateway itself only health and the document are public."""
    reached = []
    for token in ("", house.ours.owner.token):
        for spelling in SPELLINGS:
            for service in SERVICES[:-1]:
                path = spelling.format(inside, service)
                answer = await house.door.call("GET", path, token=token)
                if answer.status not in {404, 405, 401} and path not in GATEWAYS_OWN:
                    reached.append(str(answer))
    assert reached == []


async def test_the_gateways_own_health_tells_nothing_of_the_inside(house: House) -> None:
    for path in ("/livez", "/readyz"):
        assert (await house.door.call("GET", path)).json in ({"status": "alive"}, {"status": "ready"})
    whole = (await house.door.call("GET", "/openapi.json")).body.decode()
    assert not any(inside in whole for inside in ("/metrics", "/internal"))


@pytest.mark.parametrize(
    "header",
    ["x-user-id", "x-person-id", "x-caller", "x-forwarded-user", "x-internal-token", "x-original-authorization", "sub"],
)
async def test_a_header_that_names_somebody_names_nobody(house: House, header: str) -> None:
    given = {header: house.ours.owner.person_id}
    assert (await house.door.call("GET", "/v1/me", headers=given)).status == 401
    order = await house.roles["stranger"].call("GET", f"/v1/orders/{house.ours['order']}", headers=given)
    assert order.status == 404


async def test_an_internal_token_is_no_key_to_the_gateway(house: House) -> None:
    for service in SERVICES:
        token = issuer(house).token(service, Caller(person_id=house.ours.owner.person_id))
        assert (await house.door.call("GET", "/v1/me", token=token)).status == 401
