"""Two stories of the same kind in one world, everybody signed in through the public door, and makers of more things.

Every phone number, name and address here is a canary: test_privacy.py looks for them in all answers.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from chassis import touches
from chassis.service import Service
from onebox.world import World
from tests.access.door import Answer, Door

PRICE = {"amount": 3990, "currency": "CNY"}
REGION = "330100"
WORDS = dict.fromkeys(("frequency", "taste", "feeling", "acting"), "slowly")
VALUES = {**WORDS, "mission": "slow food", "looking_for": "somebody"}
TERMS = {"service_bps": 800}
SCOPES = [
    f"{things}:{what}"
    for things in (
        "applications", "attributions", "disclosures", "events", "holds", "merchants", "orders", "partners", "partnerships", "products",
        "staff", "tribes",
    )
    for what in ("read", "write")
]  # fmt: skip


class Unexpected(Exception):
    """The story does not go on as it should."""


@dataclass(slots=True)
class Someone:
    """Whoever brings a token: a person, a merchant's key, or nobody (no token)."""

    role: str
    door: Door
    token: str = field(default="", repr=False)
    person_id: str = ""
    phone: str = ""

    async def call(self, method: str, path: str, **given: Any) -> Answer:
        return await self.door.call(method, path, token=self.token, who=self.role, **given)

    async def done(self, method: str, path: str, body: Any = None, version: int | None = None) -> Any:
        """The answer of a call that is part of the story. What is still on its way is waited for."""
        headers = {} if version is None else {"if-match": f'"{version}"'}
        given = {} if method == "GET" else {"json_body": body if body is not None else {}}
        for _ in range(5):
            answer = await self.call(method, path, headers=headers, **given)
            if answer.status < 300:
                return answer.json if answer.body else None
            if "retry-after" not in answer.headers:
                break
        raise Unexpected(str(answer))

    async def get(self, path: str) -> Any:
        return await self.done("GET", path)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self.done("POST", path, body)


@dataclass(slots=True)
class Story:
    """One merchant, partner, tribe, angel and buyer, and what they made: ids, tokens and codes by name."""

    house: "House"
    people: dict[str, Someone] = field(default_factory=dict)
    things: dict[str, str] = field(default_factory=dict)

    def __getattr__(self, role: str) -> Someone:
        try:
            return self.people[role]
        except KeyError:
            raise AttributeError(role) from None

    def __getitem__(self, name: str) -> str:
        return self.things[name]


@dataclass(slots=True)
class House:
    """The running world, the door to it, and the two stories in it."""

    world: World
    door: Door
    pages: httpx.AsyncClient
    ours: Story = field(init=False)
    theirs: Story = field(init=False)
    roles: dict[str, Someone] = field(default_factory=dict)

    @property
    def services(self) -> Mapping[str, Service]:
        return self.world.services

    async def person(self, role: str) -> Someone:
        """Somebody new, signed in."""
        phone = f"+86177{secrets.randbelow(10**8):08d}"
        asked = await self.door.call("POST", "/v1/sessions/codes", json_body={"phone": phone})
        given = {"code_id": asked.json["code_id"], "code": asked.json["sandbox_code"]}
        session = (await self.door.call("POST", "/v1/sessions", json_body=given)).json
        return Someone(role, self.door, session["access_token"], session["person_id"], phone)

    async def settled(self) -> None:
        """Everything that was said has been heard."""
        for _ in range(400):
            if all([await service.quiet() for service in self.services.values()]):
                return
            await asyncio.sleep(0.02)
        raise Unexpected("the world does not come to rest")

    @contextmanager
    def later(self) -> Iterator[None]:
        """As if every id in this world were older than a minute: unknown means that it does not exist."""
        young, touches.YOUNG = touches.YOUNG, timedelta()
        try:
            yield
        finally:
            touches.YOUNG = young


async def play(house: House) -> None:
    """Both stories, and the roles of the matrix."""
    house.ours, house.theirs = await story(house), await story(house)
    people = house.ours.people
    named = ("buyer", "owner", "staff", "pickup", "partner", "member", "angel", "key", "bare")
    house.roles = {
        "anyone": Someone("anyone", house.door),
        "stranger": await house.person("stranger"),
        "rival": house.theirs.owner,
        **{role: people[role] for role in named},
    }
    await house.settled()


async def story(house: House, *, alone: frozenset[str] = frozenset()) -> Story:
    """A story from its beginning; who is `alone` is one person in several roles."""
    made = Story(house)
    somebody = await house.person("somebody") if alone else None
    for role in ("owner", "staff", "pickup", "partner", "member", "angel", "buyer"):
        made.people[role] = somebody if somebody and role in alone else await house.person(role)
    for scene in (_merchant, _agreement, _tribe, _goods, _keys, _purchase):
        await scene(made)
    await house.settled()
    return made


async def _merchant(story: Story) -> None:
    owner, things = story.owner, story.things
    for name in ("merchant", "draft_merchant"):
        things[name] = (await owner.post("/v1/merchants", {"name": "orchard", "categories": ["fruit"]}))["id"]
    recruiting = {"open": True, "regions": [REGION], "terms": TERMS}
    opened = {"values": VALUES, "recruiting": recruiting, "state": "open"}
    await owner.done("PATCH", f"/v1/merchants/{story['merchant']}", opened, 1)
    for role in ("staff", "pickup"):
        path = f"/v1/staff/{story['merchant']}/{story.people[role].person_id}"
        await owner.done("PUT", path, {"role": role}, 0)
    things["clerk"] = story.staff.person_id


async def _agreement(story: Story) -> None:
    party = await _partner_party(story)
    application = await _application(story, party)
    partnership = await _agreed(story, application)
    await story.owner.post(f"/v1/partnerships/{partnership}/activate")
    story.things |= {"partner": party, "partnership": partnership}
    story.things |= await _draft_application(story) | await _merchants_application(story) | await _submitted(story)


async def _partner_party(story: Story) -> str:
    profile = {"display_name": "shop", "regions": [REGION], "capability": "much"}
    return str((await story.partner.post("/v1/partners", profile))["id"])


async def _application(story: Story, party: str, by: str = "partner") -> str:
    body = {"merchant_id": story["merchant"], "partner_id": party, "answers": WORDS, "capability": "much"}
    return str((await story.people[by].post("/v1/applications", body))["id"])


async def _agreed(story: Story, application: str) -> str:
    await story.partner.post(f"/v1/applications/{application}/submit")
    await story.owner.post(f"/v1/applications/{application}/accept")
    return str((await story.partner.post(f"/v1/applications/{application}/accept"))["partnership_id"])


async def _tribe(story: Story) -> None:
    story.things["tribe"] = await _new_tribe(story)
    story.things["membership"] = await _join(story["tribe"], story.member)


async def _new_tribe(story: Story) -> str:
    body = {"name": "we", "partnership_id": story["partnership"], "charter": "slowly"}
    return str((await story.partner.post("/v1/tribes", body))["id"])


async def _join(tribe: str, member: Someone) -> str:
    return str((await member.post(f"/v1/tribes/{tribe}/memberships"))["id"])


async def _goods(story: Story) -> None:
    product, draft = await _product(story, "published"), await _product(story, "draft")
    things = story.things
    things |= {"product": product["id"], "variant": product["variants"][0]["id"], "draft_product": draft["id"]}
    things["offer"], things["withdrawn_offer"] = await _offer(story), await _offer(story)
    await story.owner.done("DELETE", f"/v1/offers/{story['withdrawn_offer']}")
    things["content"] = await _content(story, story.member)
    things["operators_content"] = await _content(story, story.partner)


async def _product(story: Story, state: str) -> Any:
    variants = [{"name": "box", "stock": 100_000}]
    body = {"merchant_id": story["merchant"], "name": "oranges", "variants": variants, "delivery_kind": "express"}
    return await story.owner.post("/v1/products", {**body, "state": state})


async def _offer(story: Story) -> str:
    return str((await story.owner.post("/v1/offers", {
        "product_id": story["product"], "seller": story["merchant"], "partnership_id": story["partnership"],
        "tribe_id": story["tribe"], "price": PRICE, "angel_bps": 500,
    }))["id"])  # fmt: skip


async def _content(story: Story, author: Someone) -> str:
    body = {"title": "oranges", "body": "ripe in March", "offer_ids": [story["offer"]]}
    return str((await author.post(f"/v1/tribes/{story['tribe']}/contents", body))["id"])


async def _keys(story: Story) -> None:
    reading = [scope for scope in SCOPES if scope.endswith(":read")]
    for role, scopes in (("key", SCOPES), ("reader", reading), ("bare", ["media:read"])):
        made = await _api_key(story, scopes)
        story.people[role] = Someone(role, story.house.door, made["secret"])
        story.things["api_key"] = made["id"]


async def _api_key(story: Story, scopes: list[str]) -> Any:
    body = {"party_id": story["merchant"], "scopes": scopes, "expires_at": "2099-01-01T00:00:00Z"}
    return await story.owner.post("/v1/api-keys", body)


async def _purchase(story: Story) -> None:
    """The angel shares, the buyer buys, the money is held, the parcel is under way."""
    angel, buyer, things = story.angel, story.buyer, story.things
    await angel.done("PUT", "/v1/angels/me", {"rules_version": 1})
    link = await angel.post("/v1/share-links", {"offer_id": story["offer"]})
    things |= {"link": link["id"], "link_token": link["token"]}
    things["touch_token"] = (await buyer.post("/v1/touches", {"token": link["token"]}))["touch_token"]
    things |= await _recipient(story, buyer)
    things |= await _shipped_order(story)
    await story.house.settled()
    things["commission"] = (await angel.get("/v1/commissions"))["data"][0]["id"]
    things["operation"] = (await buyer.post("/v1/sandbox/clock/advance", {"by_seconds": 1}))["operation_id"]


async def _recipient(_: Story, someone: Someone) -> dict[str, str]:
    tail = secrets.token_hex(6)
    made = await someone.post("/v1/recipients", {
        "name": f"Canary {tail}", "phone": f"+86188{secrets.randbelow(10**8):08d}", "region_code": REGION,
        "address": f"Canary Lane {tail}",
    })  # fmt: skip
    return {"recipient": made["id"], "recipient_token": made["recipient_token"]}


# --- makers: things of their own for those who are let in ---------------------------------------------------------


async def _placed_order(story: Story) -> dict[str, str]:
    placed = await story.buyer.post("/v1/checkouts", {
        "lines": [{"offer_id": story["offer"], "quantity": 1}], "recipient_token": story["recipient_token"],
        "touch_token": story["touch_token"], "expected_total": PRICE,
    })  # fmt: skip
    return {"order": placed["orders"][0]["id"], "checkout": placed["id"]}


async def _paid_order(story: Story) -> dict[str, str]:
    made = await _placed_order(story)
    payment = await story.buyer.post("/v1/payments", {"checkout_id": made["checkout"], "provider": "sandbox"})
    pressed = await story.house.pages.post(payment["pay_url"], headers={"accept": "application/json"})
    pressed.raise_for_status()
    order = await story.buyer.get(f"/v1/orders/{made['order']}?wait=paid")
    return {**made, "payment": payment["id"], "line": order["lines"][0]["id"]}


async def _shipped_order(story: Story) -> dict[str, str]:
    made = await _paid_order(story)
    parcel = await story.owner.post(f"/v1/orders/{made['order']}/shipments", {"carrier": "sf"})
    return {**made, "shipment": parcel["id"]}


async def _draft_application(story: Story) -> dict[str, str]:
    return {"draft_application": await _application(story, await _partner_party(story))}


async def _merchants_application(story: Story) -> dict[str, str]:
    return {"merchants_application": await _application(story, await _partner_party(story), by="owner")}


async def _submitted(story: Story) -> dict[str, str]:
    made = await _application(story, await _partner_party(story))
    await story.partner.post(f"/v1/applications/{made}/submit")
    return {"application": made}


async def _partnership(story: Story, *moves: str) -> dict[str, str]:
    made = await _agreed(story, await _application(story, await _partner_party(story)))
    for move in moves:
        await story.owner.post(f"/v1/partnerships/{made}/{move}")
    return {"partnership": made}


async def _code(story: Story) -> dict[str, str]:
    phone = f"+86177{secrets.randbelow(10**8):08d}"
    asked = (await story.house.door.call("POST", "/v1/sessions/codes", json_body={"phone": phone})).json
    return {"phone": phone, "code_id": asked["code_id"], "code": asked["sandbox_code"]}


async def _new_member(story: Story) -> dict[str, str]:
    return {"membership": await _join(story["tribe"], await story.house.person("newcomer"))}


async def _own_membership(story: Story, someone: Someone) -> dict[str, str]:
    return {"membership": await _join(await _new_tribe(story), someone)}


async def _fresh_product(story: Story) -> dict[str, str]:
    return {"product": (await _product(story, "published"))["id"]}


async def _newcomer(story: Story) -> dict[str, str]:
    return {"newcomer": (await story.house.person("newcomer")).person_id}


Make = Callable[[Story, Someone], Awaitable[dict[str, str]]]

MAKERS: Mapping[str, Make] = {
    "phone": lambda story, _: _code(story),
    "code": lambda story, _: _code(story),
    "recipient": _recipient,
    "recipient_token": _recipient,
    "api_key": lambda story, _: _named("api_key", _api_key(story, ["orders:read"])),
    "newcomer": lambda story, _: _newcomer(story),
    "draft_application": lambda story, _: _draft_application(story),
    "merchants_application": lambda story, _: _merchants_application(story),
    "application": lambda story, _: _submitted(story),
    "partnership_on_trial": lambda story, _: _partnership(story),
    "partnership_active": lambda story, _: _partnership(story, "activate"),
    "partnership_suspended": lambda story, _: _partnership(story, "activate", "suspend"),
    "tribe": lambda story, _: _named("tribe", _new_tribe(story)),
    "new_member": lambda story, _: _new_member(story),
    "own_membership": _own_membership,
    "content": lambda story, _: _named("content", _content(story, story.member)),
    "operators_content": lambda story, _: _named("operators_content", _content(story, story.partner)),
    "product": lambda story, _: _fresh_product(story),
    "offer": lambda story, _: _named("offer", _offer(story)),
    "placed_order": lambda story, _: _placed_order(story),
    "paid_order": lambda story, _: _paid_order(story),
    "shipped_order": lambda story, _: _shipped_order(story),
}


async def _named(name: str, making: Awaitable[Any]) -> dict[str, str]:
    made = await making
    return {name: made if isinstance(made, str) else made["id"]}


# --- what does not exist ------------------------------------------------------------------------------------------

LONG_AGO = "0190b6a08b8a"
_ID = re.compile("([a-z]{3})_[0-9a-f]{32}")


def unborn(an_id: str) -> str:
    """Of the same kind, old enough to be known everywhere, and nobody's. Tokens and codes: ones that nobody made."""
    found = _ID.fullmatch(an_id)
    if found is None:
        return "0" * len(an_id) if an_id.isdigit() else "nothing"
    return f"{found[1]}_{LONG_AGO}7{UUID(bytes=secrets.token_bytes(16), version=4).hex[13:]}"
