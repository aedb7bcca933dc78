"""The people of journeys: a scene to play in, buyers, and whole lives of orders. They repeat what had no answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx

from onebox.story import founding, selling
from onebox.story.person import Person, UnexpectedAnswer
from onebox.story.stage import Stage
from onebox.story.timeline import Timeline
from onebox.story.words import Language, Words

PATIENCE_SECONDS = 90.0
PAUSE_SECONDS = 0.2
T = TypeVar("T")


class Stubborn(Person):
    """Repeats a call with the same Idempotency-Key until somebody has answered it, as a good client does."""

    @classmethod
    def of(cls, person: Person) -> Self:
        return cls(person.name, person.client, person.person_id, person._token)

    async def _call(
        self,
        method: str,
        path: str,
        body: Any,
        expect: int,
        *,
        query: dict[str, Any] | None = None,
        version: int | None = None,
    ) -> Any:
        headers = {"idempotency-key": str(uuid4())} if method == "POST" else {}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if version is not None:
            headers["if-match"] = f'"{version}"'
        response = await answered(self.client, method, path, json=body, params=query, headers=headers)
        if response.status_code != expect:
            raise UnexpectedAnswer(f"{method} {path}: {response.status_code} {response.text}")
        return response.json() if response.content else None


async def answered(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> httpx.Response:
    """The answer to a request that may be repeated: neither silence nor "try again" is one."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                response = await client.request(method, url, **request)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if response.status_code not in {409, 503} or "retry-after" not in response.headers:
                return response
            await asyncio.sleep(PAUSE_SECONDS)


@dataclass(slots=True)
class StubbornStage(Stage):
    """A stage whose people never give up, whatever becomes of the servers meanwhile."""

    async def person(self, key: str, name: Words) -> Person:
        self.people[key] = await Stubborn.sign_in(name(self.timeline.language), self.client)
        return self.people[key]

    async def open_payment(self, buyer: Person, checkout_id: str) -> dict[str, str]:
        payment = await buyer.post("/v1/payments", {"checkout_id": checkout_id, "provider": "sandbox"})
        opened = await until(lambda: buyer.get(f"/v1/payments/{payment['id']}"), lambda seen: seen["pay_url"])
        return dict(opened)

    async def press_pay(self, pay_url: str) -> None:
        response = await answered(self.pages, "POST", pay_url, headers={"accept": "application/json"})
        response.raise_for_status()


async def until(read: Callable[[], Awaitable[Any]], ok: Callable[[Any], Any]) -> Any:
    """What is read, once it is as it should be; TimeoutError with the last value if it never is."""
    give_up_at = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not ok(seen := await read()):
        if asyncio.get_running_loop().time() > give_up_at:
            raise TimeoutError(f"it never happened; the last: {seen}")
        await asyncio.sleep(PAUSE_SECONDS)
    return seen


@asynccontextmanager
async def meanwhile(*doing: Coroutine[Any, Any, T]) -> AsyncIterator["asyncio.Future[list[T]]"]:
    """People at work while the block runs: all of their results, if it waits for them; else they leave with it."""
    working = asyncio.gather(*doing)
    try:
        yield working
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


@asynccontextmanager
async def stage_at(url: str, language: Language = Language.en) -> AsyncIterator[StubbornStage]:
    """Somewhere to play scenes of the story silently."""
    headers = {"accept-language": language.value}
    limits = httpx.Limits(max_connections=200)
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30, limits=limits) as client,
        httpx.AsyncClient(headers=headers, timeout=30, limits=limits) as pages,
    ):
        timeline = Timeline(client, language)
        timeline.console.quiet = True
        yield StubbornStage(client, pages, timeline)


async def founded(stage: Stage, *, stock: int = 1_000_000) -> None:
    """A merchant, a partner, a tribe, and oranges on sale, as in the story."""
    await founding.merchant_opens(stage)
    await founding.partner_joins(stage)
    await founding.tribe_gathers(stage)
    await founding.goods_and_story(stage, stock=stock)


async def buyers(stage: Stage, count: int) -> list[Person]:
    return [await stage.person(f"buyer {n}", Words(f"买家 {n}", f"buyer {n}")) for n in range(count)]


@dataclass(slots=True)
class Life:
    """One order from placing to release; `steps` notes what was acknowledged."""

    order_id: str = ""
    steps: list[str] = field(default_factory=list)


async def live(stage: Stage, buyer: Person, life: Life) -> Life:
    """Place, pay, ship, deliver, confirm, and wait until the money is released."""
    await paid(stage, buyer, life)
    await delivered(stage, life)
    await buyer.post(f"/v1/orders/{life.order_id}/confirm", {}, expect=200)
    life.steps.append("confirmed")
    await until(lambda: stage.hold(buyer, life.order_id, "released"), lambda hold: hold["state"] == "released")
    life.steps.append("released")
    return life


async def paid(stage: Stage, buyer: Person, life: Life) -> Life:
    """Place and pay, and wait until the order has heard that its money is held."""
    life.order_id, checkout_id = await selling.buy(stage, buyer, 1)
    life.steps.append("placed")
    await stage.pay(buyer, checkout_id)
    await until(lambda: buyer.get(f"/v1/orders/{life.order_id}", wait="paid"), lambda order: order["state"] != "placed")
    life.steps.append("paid")
    return life


async def delivered(stage: Stage, life: Life) -> None:
    """The seller ships, and says when it has arrived. An If-Match that was used up by a call without an answer is
    refused when it is repeated: then the order must say that it has arrived."""
    owner, path = stage.people["merchant"], f"/v1/orders/{life.order_id}"
    shipment = await owner.post(f"{path}/shipments", {"carrier": "sf", "tracking": "SF1234567890"})
    try:
        await owner.patch(f"/v1/shipments/{shipment['id']}", {"delivered": True}, shipment["version"])
    except UnexpectedAnswer as refusal:
        order = await owner.get(path)
        assert " 412 " in str(refusal) and order["state"] == "delivered", refusal
    life.steps.append("delivered")
