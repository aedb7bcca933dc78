"""Two oneboxes on one world: what is there is sold once, whoever is asked."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from onebox.story import founding, selling
from onebox.story.person import Person
from onebox.story.words import Words
from tests.journeys.evidence import evidence
from tests.journeys.people import StubbornStage, stage_at, until
from tests.journeys.template import Template
from tests.journeys.world import onebox

BUYERS, UNITS = 32, 10
STOCK = "SELECT available, reserved, sold FROM stocks WHERE stock_id IN (SELECT stock_id FROM stock_movements WHERE order_id = $1)"
MOVED = """
SELECT sum(available)::int AS available, sum(reserved)::int AS reserved, sum(sold)::int AS sold FROM stock_movements
WHERE stock_id IN (SELECT stock_id FROM stock_movements WHERE order_id = $1)
"""


@pytest.mark.slow
async def test_thirty_two_buyers_for_ten_units_at_two_processes_ten_have_paid_and_twenty_two_hear_that_it_is_sold_out(
    world_folder: Path, template: Template
) -> None:
    async with (
        onebox(world_folder) as one,
        onebox(world_folder) as other,
        stage_at(one.url) as here,
        stage_at(other.url) as there,
        evidence(world_folder) as found,
    ):
        template.enter(here)
        await founding.goods_and_story(here, stock=UNITS)
        there.ids.update(here.ids)
        wanting = await asyncio.gather(*(wants((here, there)[n % 2], n) for n in range(BUYERS)))
        answers = await asyncio.gather(*(each.checkout() for each in wanting))
        placed = [(each, answer.json()) for each, answer in zip(wanting, answers, strict=True) if answer.is_success]
        await asyncio.gather(*(each.pay(checkout) for each, checkout in placed))
        await found.at_rest()

        refusals = [answer for answer in answers if answer.status_code != 201]
        assert (len(placed), len(refusals)) == (UNITS, BUYERS - UNITS)
        for refusal in refusals:
            assert_clear(refusal)
        order_ids = [checkout["orders"][0]["id"] for _, checkout in placed]
        assert {await found.state(order_id) for order_id in order_ids} == {("paid", "held")}
        assert tuple(await found.row("order", STOCK, order_ids[0])) == (0, 0, UNITS)
        assert tuple(await found.row("order", MOVED, order_ids[0])) == (0, 0, UNITS)
        assert await found.violations() == []


@dataclass(frozen=True, slots=True)
class Wanting:
    """Somebody with the goods in the basket and the address filled in."""

    stage: StubbornStage
    buyer: Person
    recipient_token: str

    async def checkout(self) -> httpx.Response:
        """One try, as it is answered."""
        body = {
            "lines": [{"offer_id": self.stage.ids["offer"], "quantity": 1}],
            "recipient_token": self.recipient_token,
            "expected_total": {"amount": selling.PRICE, "currency": "CNY"},
        }
        headers = {"authorization": f"Bearer {self.buyer._token}", "idempotency-key": f"once-{self.buyer.person_id}"}
        return await self.stage.client.post("/v1/checkouts", json=body, headers=headers)

    async def pay(self, checkout: dict[str, Any]) -> None:
        await self.stage.pay(self.buyer, checkout["id"])
        path = f"/v1/orders/{checkout['orders'][0]['id']}"
        await until(lambda: self.buyer.get(path, wait="paid"), lambda order: order["state"] != "placed")


async def wants(stage: StubbornStage, n: int) -> Wanting:
    buyer = await stage.person(f"buyer {n}", Words(f"买家 {n}", f"buyer {n}"))
    recipient = await buyer.post("/v1/recipients", selling.ADDRESS)
    return Wanting(stage, buyer, recipient["recipient_token"])


def assert_clear(refusal: httpx.Response) -> None:
    """A problem that says what is wrong, in the reader's language, and that no repetition will help."""
    assert (refusal.status_code, refusal.headers["content-type"]) == (409, "application/problem+json")
    problem = refusal.json()
    assert (problem["code"], problem["title"]) == ("sold_out", "Sold out")
    assert "There is not enough left" in problem["detail"]
    assert "retry-after" not in refusal.headers
