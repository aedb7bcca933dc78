"""What is only one person's business lies nowhere in the clear: not in logs, not in rows, not in metrics."""

import httpx
import pytest

from tests.journeys.canary import Canary, logs, places, signs_in
from tests.journeys.evidence import evidence
from tests.journeys.people import Life, Stubborn, StubbornStage, delivered, stage_at
from tests.journeys.template import Template
from tests.journeys.world import Process


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
