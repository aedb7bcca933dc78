"""Under load the desk really batches: few statements per order, whole batches per transaction."""

import asyncio
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.journeys.world import Life, Process, buyers, founded, live, onebox, stage_at, superuser

CLIENTS = 64
ORDERS = 320


@pytest.mark.slow
async def test_sixty_four_clients_share_batches_and_cost_under_fifteen_statements_an_order(tmp_path: Path) -> None:
    async with onebox(tmp_path) as running, stage_at(running.url) as stage, superuser(tmp_path) as admin:
        await founded(stage)
        people = await buyers(stage, CLIENTS)
        await admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        before = await batches(running)
        await admin.execute("SELECT pg_stat_statements_reset()")

        async def client(n: int) -> None:
            for _ in range(ORDERS // CLIENTS):
                await live(stage, people[n], Life())

        await asyncio.gather(*(client(n) for n in range(CLIENTS)))
        statements = await admin.fetchval("SELECT sum(calls) FROM pg_stat_statements")
        top = await admin.fetch("SELECT calls, left(query, 90) q FROM pg_stat_statements ORDER BY calls DESC LIMIT 12")
        after = await batches(running)

    per_order = float(statements) / ORDERS
    means = {name: (after[name][0] - before[name][0]) / (after[name][1] - before[name][1]) for name in ("order", "escrow")}
    print(f"{per_order:.1f} statements per order, messages per batch {means}")
    assert per_order < 15, [tuple(row) for row in top]
    assert min(means.values()) > 5, means


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
