"""The database is gone for a while: everybody is told to come back, nothing acknowledged is lost, nothing is done twice."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from onebox.postgres import Postgres
from onebox.postgres.lifetime import find_postmaster
from onebox.story.person import Person, UnexpectedAnswer
from tests.journeys.canary import Canary, places, signs_in
from tests.journeys.evidence import evidence
from tests.journeys.people import Life, StubbornStage, buyers, live, meanwhile, stage_at, until
from tests.journeys.template import Template
from tests.journeys.world import Ports, data_folder, onebox

CLIENTS = 4
ANSWERED_WITHIN_SECONDS = 8.0
"""A busy machine's 5."""


@pytest.fixture
def durable_world_folder(template: Template, tmp_path: Path) -> Iterator[Path]:
    """On a server that keeps what it has acknowledged, even when it is killed."""
    with template.copied(tmp_path / "world", durable=True) as folder:
        yield folder


@pytest.mark.slow
async def test_while_postgresql_is_dead_everybody_is_told_to_come_back_and_afterwards_it_goes_on_without_a_restart(
    durable_world_folder: Path, template: Template, ports: Ports
) -> None:
    folder, lives = durable_world_folder, [Life() for _ in range(CLIENTS)]
    async with onebox(folder, ports) as running, stage_at(running.url) as stage:
        template.enter(stage)
        people, canary = await buyers(stage, CLIENTS), Canary()
        singer = await signs_in(stage, canary)
        living = (live(stage, buyer, life) for buyer, life in zip(people, lives, strict=True))
        async with meanwhile(*living) as working:
            await until(lambda: some_are_paid(lives), bool)
            await kill_postgres(folder)
            await everybody_is_told_to_come_back(stage, singer, canary)
            with pytest.raises(UnexpectedAnswer, match=" 503 "):
                await open_orchard(stage, singer)
            assert running.process.is_alive()
            start_postgres(folder)
            await working
        await until(lambda: stage.client.get("/readyz"), lambda answer: answer.status_code == 200)
        first, second = [await until(lambda: orchard_or_nothing(stage, singer), bool) for _ in range(2)]
        assert first["id"] == second["id"]
        async with evidence(folder) as here:
            await here.at_rest()
            assert (await here.row("partner", ORCHARDS, ORCHARD["name"]))["n"] == 1
            for buyer, life in zip(people, lives, strict=True):
                assert await here.orders_of(buyer.person_id) == [life.order_id]
                assert await here.state(life.order_id) == ("received", "released")
                entries = await here.entries(life.order_id)
                assert (entries["capture"], entries["release"]) == (1, 1)
            assert await here.violations() == []
            assert "database_unreachable" in (folder / "onebox.log").read_text()
            assert [place async for place in places(running, here, canary.cage)] == []


def start_postgres(folder: Path) -> None:
    """Start it again for those who still use it."""
    Postgres.start(folder / "postgres", durable=True).stop()


async def some_are_paid(lives: list[Life]) -> list[Life]:
    return [life for life in lives if "paid" in life.steps]


async def kill_postgres(folder: Path) -> None:
    """SIGKILL to the server's first process; the others end by themselves."""
    server = find_postmaster(data_folder(folder))
    assert server is not None
    os.kill(server.process_id, signal.SIGKILL)
    async with asyncio.timeout(30):
        while find_postmaster(data_folder(folder)):  # noqa: ASYNC110 - another program's end
            await asyncio.sleep(0.01)


READS = (
    "/readyz", "/v1/me", "/v1/products", "/v1/orders", "/v1/escrow/proof", "/v1/tribes", "/v1/merchants",
    "/v1/angels/me", "/v1/events", "/v1/sandbox/clock",
)  # fmt: skip


async def everybody_is_told_to_come_back(stage: StubbornStage, person: Person, canary: Canary) -> None:
    """No service hangs, and none says anything else."""
    headers = {"authorization": f"Bearer {person._token}", "idempotency-key": "while-it-is-dead"}
    seconds: dict[str, float] = {}

    async def ask(method: str, path: str, body: object = None) -> None:
        asked = time.monotonic()
        answer = await stage.client.request(method, path, json=body, headers=headers, timeout=ANSWERED_WITHIN_SECONDS)
        seconds[path] = time.monotonic() - asked
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), (path, answer.text)

    await asyncio.gather(
        *(ask("GET", path) for path in READS),
        ask("POST", "/v1/recipients", canary.recipient),
        ask("POST", "/v1/sessions/codes", {"phone": canary.phone}),
        ask("POST", "/v1/partners", {"display_name": "x", "regions": ["330100"], "capability": "x"}),
    )
    print("slowest 503:", max((each, path) for path, each in seconds.items()))  # noqa: T201 - a figure


ORCHARD = {"name": "停电果园", "categories": ["fruit"]}
ORCHARDS = "SELECT count(*) AS n FROM merchants WHERE name = $1"


async def open_orchard(stage: StubbornStage, person: Person) -> dict[str, str]:
    """The same call with the same key, however often."""
    headers = {"authorization": f"Bearer {person._token}", "idempotency-key": "one-orchard"}
    answer = await stage.client.post("/v1/merchants", json=ORCHARD, headers=headers)
    if answer.status_code != 201:
        raise UnexpectedAnswer(f"POST /v1/merchants: {answer.status_code} {answer.text}")
    return dict(answer.json())


async def orchard_or_nothing(stage: StubbornStage, person: Person) -> dict[str, str] | None:
    with suppress(UnexpectedAnswer):
        return await open_orchard(stage, person)
    return None
