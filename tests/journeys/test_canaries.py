"""What is only one person's business lies nowhere in the clear: not in logs, not in rows, not in metrics."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.journeys.evidence import Evidence, evidence
from tests.journeys.people import Life, Stubborn, StubbornStage, delivered, stage_at
from tests.journeys.template import Template
from tests.journeys.world import Process, data_folder

TABLES = "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def some_phone() -> str:
    return f"137{secrets.randbelow(10**8):08d}"


@dataclass(slots=True)
class Canary:
    """A person of whom every datum is unique. `cage` is all of it, in the spellings in which it could get out."""

    phone: str = field(default_factory=some_phone)
    display_name: str = field(default_factory=lambda: f"Kanarie-{secrets.token_hex(6)}")
    name: str = field(default_factory=lambda: f"金丝雀-{secrets.token_hex(6)}")
    parcel_phone: str = field(default_factory=some_phone)
    address: str = field(default_factory=lambda: f"鸟笼路 {secrets.token_hex(6)} 号")
    tokens: list[str] = field(default_factory=list)

    @property
    def cage(self) -> tuple[str, ...]:
        # A name is recognised by its unique half, however the rest of it was written or escaped.
        unique = (self.name.partition("-")[2], self.address.split(" ")[1], self.display_name)
        return (self.phone, self.parcel_phone, *unique, *self.tokens)

    @property
    def recipient(self) -> dict[str, str]:
        return {"name": self.name, "phone": self.parcel_phone, "region_code": "330100", "address": self.address}


@pytest.mark.slow
async def test_no_phone_name_address_or_token_of_a_journey_is_in_any_log_row_or_metric(
    calm: Process, template: Template
) -> None:
    canary = Canary()
    async with stage_at(calm.url) as stage, evidence(calm.folder) as here:
        template.enter(stage)
        life = await sings(stage, canary)
        await here.at_rest()
        found = [place async for place in places(calm, here, canary.cage)]
        assert found == []
        # Whoever looks like this finds what is there.
        known = (life.order_id, "database system is ready", "buluo_desk")
        seen = {place async for place in places(calm, here, known)}
    assert {"server.log", "metrics", "order.inbox", "order.outbox", "order.history", "escrow.outbox"} <= seen
    assert {path.name for path in logs(calm.folder)} >= {"onebox.log", "process.log", "provider.log", "server.log"}


async def sings(stage: StubbornStage, canary: Canary) -> Life:
    """A whole journey of the canary, with everything that goes wrong on the way."""
    buyer = await signs_in(stage, canary)
    me = await buyer.get("/v1/me")
    await buyer.patch("/v1/me", {"display_name": canary.display_name}, me["version"])
    life = await buys(stage, buyer, canary)
    disclosed = await stage.people["merchant"].post(
        "/v1/disclosures", {"order_id": life.order_id, "purpose": "shipping"}
    )
    assert canary.parcel_phone in str(disclosed)
    assert canary.address in str(disclosed)
    await delivered(stage, life)
    await buyer.post(f"/v1/orders/{life.order_id}/confirm", {}, expect=200)
    assert (await stage.hold(buyer, life.order_id, "released"))["state"] == "released"
    await goes_wrong(stage, canary)
    return life


async def signs_in(stage: StubbornStage, canary: Canary) -> Stubborn:
    """By phone and code, with a wrong code first; then on with the refresh token."""
    asked = (await stage.client.post("/v1/sessions/codes", json={"phone": canary.phone})).json()
    code = asked["sandbox_code"]
    wrong = {"code_id": asked["code_id"], "code": f"{(int(code) + 1) % 1_000_000:06d}"}
    assert (await stage.client.post("/v1/sessions", json=wrong)).is_client_error
    session = (await stage.client.post("/v1/sessions", json={"code_id": asked["code_id"], "code": code})).json()
    again = (await stage.client.post("/v1/sessions", json={"refresh_token": session["refresh_token"]})).json()
    for each in (session, again):
        canary.tokens += [each["access_token"], each["refresh_token"]]
    return Stubborn("canary", stage.client, again["person_id"], again["access_token"])


async def buys(stage: StubbornStage, buyer: Stubborn, canary: Canary) -> Life:
    recipient = await buyer.post("/v1/recipients", canary.recipient)
    checkout = await buyer.post(
        "/v1/checkouts",
        {
            "lines": [{"offer_id": stage.ids["offer"], "quantity": 1}],
            "recipient_token": recipient["recipient_token"],
            "expected_total": {"amount": 3990, "currency": "CNY"},
        },
    )
    await stage.pay(buyer, checkout["id"])
    life = Life(checkout["orders"][0]["id"])
    await buyer.get(f"/v1/orders/{life.order_id}", wait="paid")
    return life


async def goes_wrong(stage: StubbornStage, canary: Canary) -> None:
    """The same data where nobody expects them: refused, and not repeated in any log either."""
    headers = {"authorization": f"Bearer {canary.tokens[0]}", "idempotency-key": "canary"}
    broken = {**canary.recipient, "region_code": canary.address, "extra": canary.name}
    answers: list[httpx.Response] = [
        await stage.client.post("/v1/recipients", json=broken, headers=headers),
        await stage.client.post(
            "/v1/recipients", json={**canary.recipient, "name": f"{canary.name}\x00"}, headers=headers
        ),
        await stage.client.get(f"/v1/orders/{canary.phone}", params={"phone": canary.phone}, headers=headers),
        await stage.client.get("/v1/me", headers={"authorization": f"Bearer {canary.tokens[0]}x"}),
        await stage.client.post("/v1/sessions/codes", content=f'{{"phone": "{canary.phone}"'),
        await stage.client.post("/v1/sessions", json={"refresh_token": canary.tokens[1]}),
    ]
    assert all(answer.is_client_error for answer in answers), answers


async def places(world: Process, here: Evidence, needles: tuple[str, ...]) -> AsyncIterator[str]:
    """Every log file, table and page in which one of these is."""
    for path in logs(world.folder):
        text = path.read_bytes()
        if any(needle.encode() in text for needle in needles):
            yield path.name
    async with httpx.AsyncClient() as client:
        page = (await client.get(world.metrics_url)).raise_for_status().text
    if any(needle in page for needle in needles):
        yield "metrics"
    for service in here.databases:
        for table in await here.rows(service, TABLES):
            if await holds(here, service, table["name"], needles):
                yield f"{service}.{table['name']}"


def logs(folder: Path) -> Iterator[Path]:
    yield from folder.glob("*.log")
    yield data_folder(folder) / "server.log"


async def holds(here: Evidence, service: str, table: str, needles: tuple[str, ...]) -> bool:
    """Whether a row of a table has one of these, be it as bytes, which PostgreSQL writes as hex."""
    spellings = [spelling for each in needles for spelling in (each, each.encode().hex())]
    sql = f"SELECT EXISTS (SELECT FROM {table} AS t, unnest($1::text[]) AS needle WHERE position(needle IN t::text) > 0) AS is_there"
    row = await here.row(service, sql, spellings)
    return bool(row["is_there"])
