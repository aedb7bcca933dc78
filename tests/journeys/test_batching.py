"""Under load the desk really batches: few statements per order, whole batches per transaction."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.http import Connection
from bench.lives import Buyer, Client, Shop, open_shop
from tests.journeys.world import Process, onebox, superuser

CLIENTS = 64
ORDERS = 640
MONEY_PATH = ("order", "escrow")


@pytest.mark.slow
async def test_sixty_four_clients_share_batches_and_cost_under_fifteen_statements_an_order(world_folder: Path) -> None:
    async with (
        onebox(world_folder) as running,
        superuser(world_folder) as admin,
        AsyncExitStack() as stack,
    ):
        shop, people = await settled(stack, running.url)
        await admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        await asyncio.gather(*(buyer.live(shop, seller) for buyer, seller in people))  # warm
        before = await batches(running)
        await admin.execute("SELECT pg_stat_statements_reset()")
        await asyncio.gather(*(lives(shop, buyer, seller) for buyer, seller in people))
        statements = await admin.fetchval("SELECT sum(calls) FROM pg_stat_statements")
        top = await admin.fetch("SELECT calls, left(query, 120) FROM pg_stat_statements ORDER BY calls DESC LIMIT 20")
        after = await batches(running)

    per_order = float(statements) / ORDERS
    means = {name: (after[name][0] - before[name][0]) / (after[name][1] - before[name][1]) for name in MONEY_PATH}
    print(f"{per_order:.1f} statements per order, messages per batch {means}")  # noqa: T201 - a figure for proofs.md
    assert per_order < 15, [tuple(row) for row in top]
    assert min(means.values()) > 5, means


async def settled(stack: AsyncExitStack, url: str) -> tuple[Shop, list[tuple[Buyer, Client]]]:
    """A shop, and CLIENTS buyers who have signed in, each with a seller's connection beside their own."""
    owner = Client(await stack.enter_async_context(Connection(url)))
    shop = await open_shop(owner)
    people = []
    for _ in range(CLIENTS):
        client = Client(await stack.enter_async_context(Connection(url)))
        buyer = Buyer(client)
        stack.push_async_callback(buyer.close)
        await buyer.settle_in()
        seller = Client(await stack.enter_async_context(Connection(url)), owner.token, owner.person_id)
        people.append((buyer, seller))
    return shop, people


async def lives(shop: Shop, buyer: Buyer, seller: Client) -> None:
    for _ in range(ORDERS // CLIENTS):
        await buyer.live(shop, seller)


async def batches(running: Process) -> dict[str, tuple[float, float]]:
    """(messages, batches) of each desk so far, as Prometheus would read them."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(running.metrics_url)).text
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        if family.name == "buluo_desk_batch_messages":
            for sample in family.samples:
                found.setdefault(sample.labels["service"], {})[sample.name.rpartition("_")[2]] = sample.value
    return {name: (each["sum"], each["count"]) for name, each in found.items()}
