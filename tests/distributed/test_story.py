"""The whole story through the gateway of a distributed deployment: as in one process, to the fen."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from chassis.db import Database
from contracts.catalogue import SERVICES
from onebox import verify
from onebox.story import founding, play, selling
from onebox.story.stage import Stage
from onebox.story.timeline import Timeline
from onebox.story.words import Language, Words
from tests.chassis import toy
from tests.distributed.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@asynccontextmanager
async def stage_of(system: System) -> AsyncIterator[Stage]:
    headers = {"accept-language": "en"}
    async with (
        httpx.AsyncClient(base_url=system.url, headers=headers, timeout=60) as client,
        httpx.AsyncClient(headers=headers, timeout=60) as pages,
    ):
        yield Stage(client, pages, Timeline(client, Language("en")))


async def violations(system: System) -> list[str]:
    """Every invariant, of each service and between them, that does not hold."""
    async with AsyncExitStack() as stack:
        databases = {name: Database(url, pool_max=2) for name, url in system.databases.items()}
        for database in databases.values():
            await database.open()
            stack.push_async_callback(database.close)
        return [check.name for check in await verify.all_checks(databases) if not check.holds]


async def test_the_story_is_played_to_release_and_every_invariant_holds(running: System) -> None:
    async with stage_of(running) as stage:
        for _, scenes in play.CHAPTERS:
            for scene in scenes:
                await scene(stage)
        await running.quiet()
        books = await stage.timeline.books()
        assert books["imbalance"] == books["held"] == books["suspense"] == 0
        assert books["captured"] == books["released"] + books["refunded"]
        assert await violations(running) == []
        await only_routed_addresses_pass(running, stage.client)
    assert set((await running.stop(*SERVICES)).values()) == {0}
    assert await violations(running) == []


async def only_routed_addresses_pass(system: System, client: httpx.AsyncClient) -> None:
    """What is for the inside answers there, and never through the gateway."""
    for path in ("/metrics", "/internal/clock", "/v1/internal/clock", "/v1/../internal/clock", "/v1/orders/%2e%2e/x"):
        assert (await client.get(path)).status_code in {401, 404}, path
    async with httpx.AsyncClient() as inside:
        for service in SERVICES:
            page = (await inside.get(f"{system.inside(service)}/metrics")).text
            assert f'buluo_broker_connected{{line="relay",service="{service}"}} 1.0' in page
        assert (await inside.get(f"{system.inside('gateway')}/v1/me")).status_code == 404


async def test_distribution_starts_for_the_first_time_after_100_orders_and_attributes_them_all(made: System) -> None:
    """What a hearer has never heard waits in its queue, which the others have declared."""
    others = [service for service in SERVICES if service != "distribution"]
    made.start(*others)
    await made.ready(*others)
    async with stage_of(made) as stage:
        for scene in (founding.merchant_opens, founding.partner_joins, founding.tribe_gathers):
            await scene(stage)
        await founding.goods_and_story(stage, stock=100)
        answer = await stage.client.get("/v1/links/nothing")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["code"] == "upstream_unavailable"
        for n in range(4):
            buyer = await stage.person(f"buyer{n}", Words("买家", "a buyer"))
            for _ in range(25):
                await selling.buy(stage, buyer, 1)
        assert await count(made, "distribution", "inbox") == 0
        made.start("distribution")
        await made.ready("distribution")
        await made.quiet()
    assert await count(made, "distribution", "outbox WHERE type = 'distribution.attributed.v1'") == 100
    assert await count(made, "escrow", "inbox WHERE source = 'distribution.attributed.v1'") == 100
    assert await violations(made) == []


async def count(system: System, service: str, what: str) -> int:
    async with toy.connected(system.databases[service]) as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {what}"))
