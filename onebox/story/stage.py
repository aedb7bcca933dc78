"""What the scenes share: the people, and the ids of what they have made so far."""

from dataclasses import dataclass, field

import httpx

from onebox.story.person import Person
from onebox.story.timeline import Timeline
from onebox.story.words import Words


@dataclass(slots=True)
class Stage:
    """`client` speaks to the gateway alone, `pages` to the payment provider's hosted page as a buyer's browser does."""

    client: httpx.AsyncClient
    pages: httpx.AsyncClient
    timeline: Timeline
    people: dict[str, Person] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    async def person(self, key: str, name: Words) -> Person:
        """A new person of the story, signed in by phone and one-time code."""
        person = await Person.sign_in(name(self.timeline.language), self.client)
        self.people[key] = person
        return person

    async def pay(self, buyer: Person, checkout_id: str) -> str:
        """Pay a checkout on the provider's page; the payment's id. Nothing here tells escrow: its callback does."""
        payment = await self.open_payment(buyer, checkout_id)
        await self.press_pay(payment["pay_url"])
        return str(payment["id"])

    async def open_payment(self, buyer: Person, checkout_id: str) -> dict[str, str]:
        payment: dict[str, str] = await buyer.post("/v1/payments", {"checkout_id": checkout_id, "provider": "sandbox"})
        return payment

    async def press_pay(self, pay_url: str) -> None:
        response = await self.pages.post(pay_url, headers={"accept": "application/json"})
        response.raise_for_status()

    async def hold(self, who: Person, order_id: str, until: str) -> dict[str, object]:
        """The money of an order as `who` sees it, once it is `until`: held, released or refunded."""
        hold: dict[str, object] = await who.get(f"/v1/holds/{order_id}", wait=until)
        return hold
