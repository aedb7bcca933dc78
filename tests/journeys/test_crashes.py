"""SIGKILL: what a onebox has acknowledged or written down is carried out by whichever comes next, exactly once."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.escrow import Held, Released
from contracts.order import DeliveryConfirmed, OrderPlaced
from onebox.story.person import Person
from tests.journeys.evidence import Evidence, evidence
from tests.journeys.people import Life, StubbornStage, buyers, live, meanwhile, stage_at
from tests.journeys.template import Template
from tests.journeys.world import Ports, onebox, start

KILLED = -9
PRICE = 3990


async def released_once(here: Evidence, order_id: str) -> None:
    """One capture, one release, every fact heard once by every hearer; a leg may be named after its release."""
    entries = await here.entries(order_id)
    assert entries - Counter({"name": 1}) == {"capture": 1, "release": 1}
    heard = await here.hearings(order_id)
    assert set(heard) >= {OrderPlaced.type, Held.type, DeliveryConfirmed.type, Released.type}
    assert {count for counts in heard.values() for count in counts} == {1}
    assert len(heard[Held.type]) == len(heard[Released.type]) > 0


@pytest.mark.slow
async def test_killed_between_commit_and_hearing_of_every_fact_on_its_way_an_order_is_released_exactly_once(
    world_folder: Path, template: Template, ports: Ports
) -> None:
    async with evidence(world_folder) as here, stage_at(ports.url) as stage:
        template.enter(stage)
        async with meanwhile(one_life(stage, life := Life())):
            for fact in (OrderPlaced, Held, DeliveryConfirmed):
                await dies_saying(world_folder, ports, fact.type)
        assert "delivered" in life.steps
        assert await here.state(life.order_id) == ("received", "held")

        # From here on nobody asks for anything: what is left to do was written down.
        await dies_saying(world_folder, ports, Released.type)
        async with onebox(world_folder, ports):
            await here.at_rest()
        assert await here.state(life.order_id) == ("received", "released")
        await released_once(here, life.order_id)
        books = await here.books()
        assert (books["captured"], books["held"], books["released"], books["total"]) == (PRICE, 0, PRICE, 0)
        assert await here.orders_of(stage.people["buyer 0"].person_id) == [life.order_id]
        assert await here.violations() == []


async def one_life(stage: StubbornStage, life: Life) -> None:
    (buyer,) = await buyers(stage, 1)
    await live(stage, buyer, life)


async def dies_saying(folder: Path, ports: Ports, fact_type: str, mutant: str | None = None) -> None:
    """Run a onebox until it has committed this fact, and not an instant longer."""
    trapped = start(folder, ports, trap=fact_type, mutant=mutant)
    try:
        assert await trapped.ended(90) == KILLED, (folder / "process.log").read_text()
    finally:
        await trapped.kill()


@pytest.mark.slow
async def test_with_the_inbox_taken_out_the_repeated_call_of_a_killed_checkout_orders_twice(
    world_folder: Path, template: Template, ports: Ports
) -> None:
    async with evidence(world_folder) as here, stage_at(ports.url) as stage:
        template.enter(stage)
        async with meanwhile(one_life(stage, Life())) as client:
            await dies_saying(world_folder, ports, OrderPlaced.type, mutant="inbox")
            async with onebox(world_folder, ports, mutant="inbox"):
                await client
        assert len(await here.orders_of(stage.people["buyer 0"].person_id)) == 2
        assert any("its message is not in the inbox" in violation for violation in await here.violations())


@pytest.mark.slow
async def test_with_the_outbox_taken_out_a_confirmed_order_is_never_released_and_verify_says_so(
    world_folder: Path, template: Template, ports: Ports
) -> None:
    async with evidence(world_folder) as here, stage_at(ports.url) as stage:
        template.enter(stage)
        async with meanwhile(one_life(stage, life := Life())):
            await dies_saying(world_folder, ports, DeliveryConfirmed.type, mutant="outbox")
        async with onebox(world_folder, ports):
            await here.at_rest()
        assert await here.state(life.order_id) == ("received", "held")
        stuck = f"orders and holds agree: order {life.order_id} is received, its hold is held"
        assert stuck in await here.violations()


# --- at any moment -------------------------------------------------------------------------------------------------

CLIENTS, KILLS, SEED = 8, 5, 20261122
STEPS_MAX, PAUSE_MAX_SECONDS = 25, 0.05


@pytest.mark.slow
async def test_killed_five_times_at_any_moment_every_acknowledged_order_is_released_exactly_once(
    world_folder: Path, template: Template, ports: Ports
) -> None:
    moments, crowd = random.Random(SEED), Crowd()
    async with evidence(world_folder) as here, stage_at(ports.url) as stage:
        template.enter(stage)
        async with onebox(world_folder, ports):
            people = await buyers(stage, CLIENTS)
        async with meanwhile(*(crowd.lives_of(stage, each) for each in people)) as clients:
            for _ in range(KILLS):
                async with onebox(world_folder, ports) as running:
                    await crowd.goes_on(moments.randint(1, STEPS_MAX))
                    await asyncio.sleep(moments.uniform(0, PAUSE_MAX_SECONDS))
                    await running.kill()
            crowd.is_tired = True
            async with onebox(world_folder, ports):
                lived = await clients
                await here.at_rest()

        orders = [life.order_id for each in lived for life in each]
        print(f"{KILLS} kills, {len(orders)} orders of {CLIENTS} clients")  # noqa: T201 - a figure
        for person, each in zip(people, lived, strict=True):
            assert await here.orders_of(person.person_id) == sorted(life.order_id for life in each)
        for order_id in orders:
            await released_once(here, order_id)
        books = await here.books()
        assert (books["captured"], books["released"], books["total"]) == (len(orders) * PRICE, len(orders) * PRICE, 0)
        assert await here.violations() == []


@dataclass(slots=True)
class Crowd:
    """People who live one order after the other, each to its end, until they are tired."""

    lives: list[Life] = field(default_factory=list)
    is_tired: bool = False

    async def lives_of(self, stage: StubbornStage, buyer: Person) -> list[Life]:
        lived: list[Life] = []
        while not self.is_tired or not lived:
            self.lives.append(life := Life())
            lived.append(await live(stage, buyer, life))
        return lived

    async def goes_on(self, steps: int) -> None:
        """Return after so many more steps, of whomever: a measure of time that knows no load of the machine."""
        enough = self._steps + steps
        while self._steps < enough:  # noqa: ASYNC110 - steps are taken in many places
            await asyncio.sleep(0.002)

    @property
    def _steps(self) -> int:
        return sum(len(life.steps) for life in self.lives)
