"""Worlds for journeys: in processes of their own, so that they can be killed; and the people who use them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx

from onebox.postgres import Postgres
from onebox.secrets import Secrets
from onebox.story import founding, selling
from onebox.story.person import Person
from onebox.story.stage import Stage
from onebox.story.timeline import Timeline
from onebox.story.words import Language, Words
from onebox.world import free_port

READY_SECONDS = 60.0


@dataclass(slots=True)
class Process:
    """A onebox in a process of its own."""

    url: str
    metrics_url: str
    process: asyncio.subprocess.Process
    folder: Path

    async def kill(self) -> None:
        """SIGKILL: no clean-up of any kind."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 60)


@asynccontextmanager
async def onebox(folder: Path, *, program: Sequence[str] = ("-m", "onebox"), **environment: str) -> AsyncIterator[Process]:
    """`python -m onebox serve` on a free port, ready; stopped at the end if it still runs.

    Worlds of tests lie in the folder of one throw-away PostgreSQL, so that several processes can share a world.
    """
    port, metrics_port = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *program, "serve", "--folder", str(folder), "--port", str(port), "--metrics-port", str(metrics_port),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    running = Process(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics", process, folder)
    try:
        await _ready(running)
        yield running
    finally:
        await running.stop()


async def _ready(running: Process) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(int(READY_SECONDS / 0.1)):
            if running.process.returncode is not None:
                break
            try:
                if (await client.get(f"{running.url}/readyz", timeout=2)).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError(f"the world did not start (exit {running.process.returncode}); see {running.folder}/onebox.log")


@asynccontextmanager
async def stage_at(url: str) -> AsyncIterator[Stage]:
    """Somewhere to play scenes of the story silently."""
    headers = {"accept-language": "en"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=httpx.Limits(max_connections=200)) as client,
        httpx.AsyncClient(headers=headers, timeout=60, limits=httpx.Limits(max_connections=200)) as pages,
    ):
        timeline = Timeline(client, Language.en)
        timeline.console.quiet = True
        yield Stage(client, pages, timeline)


async def founded(stage: Stage, *, stock: int = 1_000_000) -> None:
    """A merchant, a partner, a tribe, and oranges on sale, as in the story."""
    await founding.merchant_opens(stage)
    await founding.partner_joins(stage)
    await founding.tribe_gathers(stage)
    await founding.goods_and_story(stage, stock=stock)


@dataclass(slots=True)
class Life:
    """One order from placing to release; `steps` notes what was acknowledged."""

    order_id: str = ""
    steps: list[str] = field(default_factory=list)


async def live(stage: Stage, buyer: Person, life: Life) -> Life:
    """Place, pay, ship, deliver, confirm, and wait until the money is released."""
    life.order_id, checkout_id = await selling.buy(stage, buyer, 1)
    life.steps.append("placed")
    await stage.pay(buyer, checkout_id)
    await selling.paid(buyer, life.order_id)
    life.steps.append("paid")
    owner = stage.people["merchant"]
    shipment = await owner.post(f"/v1/orders/{life.order_id}/shipments", {"carrier": "sf", "tracking": "SF1234567890"})
    await owner.patch(f"/v1/shipments/{shipment['id']}", {"delivered": True}, shipment["version"])
    life.steps.append("delivered")
    await buyer.post(f"/v1/orders/{life.order_id}/confirm", {}, expect=200)
    life.steps.append("confirmed")
    hold = await stage.hold(buyer, life.order_id, "released")
    assert hold["state"] == "released", hold
    life.steps.append("released")
    return life


async def buyers(stage: Stage, count: int) -> list[Person]:
    return [await stage.person(f"buyer {n}", Words(f"买家 {n}", f"buyer {n}")) for n in range(count)]


@asynccontextmanager
async def service_database(folder: Path, service: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to one service's database of a world, as that service's own role."""
    secrets = Secrets.of_world(folder)
    with Postgres.start(folder / "postgres") as server:
        name = f"buluo_{service}"
        url = await server.ensure_database(name, name, secrets.database_passwords[service])
        connection = await asyncpg.connect(url)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def superuser(folder: Path, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    """A connection as the administrator of a world's server: for statistics, and for tampering."""
    with Postgres.start(folder / "postgres") as server:
        connection = await asyncpg.connect(server.admin_url, database=database)
        try:
            yield connection
        finally:
            await connection.close()
