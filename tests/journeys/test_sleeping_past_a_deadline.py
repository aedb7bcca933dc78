"""Stopped before a deadline and started after it: what was due meanwhile takes effect when it was due."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chassis.deadlines import Deadlines
from onebox import world
from tests.journeys.evidence import evidence
from tests.journeys.people import Life, StubbornStage, buyers, paid, stage_at
from tests.journeys.template import Template
from tests.journeys.world import Ports, onebox

LATE = timedelta(days=3)
ORDER = "SELECT state, received_at, confirm_by FROM orders WHERE order_id = $1"
HOLD = "SELECT state, confirmed_by, confirmed_at, released_at FROM holds WHERE order_id = $1"


@pytest.mark.slow
async def test_stopped_before_a_confirm_deadline_and_started_three_days_past_it_the_order_was_received_at_the_deadline(
    world_folder: Path, template: Template, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with onebox(world_folder, ports) as running, stage_at(running.url) as stage:
        template.enter(stage)
        life, confirm_by = await shipped(stage)

    async with evidence(world_folder) as here:
        await pass_while_it_sleeps(world_folder, template, confirm_by + LATE, monkeypatch)
        assert await here.state(life.order_id) == ("shipped", "held")
        async with onebox(world_folder, ports):
            await here.at_rest()
            assert await here.state(life.order_id) == ("received", "released")
        order = await here.row("order", ORDER, life.order_id)
        hold = await here.row("escrow", HOLD, life.order_id)
        assert order["received_at"] == order["confirm_by"] == confirm_by
        assert (hold["confirmed_by"], hold["confirmed_at"]) == ("deadline", confirm_by)
        assert hold["released_at"] >= confirm_by + LATE
        assert await here.violations() == []


async def shipped(stage: StubbornStage) -> tuple[Life, datetime]:
    """A paid and shipped order, and when its buyer's silence becomes consent."""
    (buyer,) = await buyers(stage, 1)
    life = await paid(stage, buyer, Life())
    path = f"/v1/orders/{life.order_id}"
    await stage.people["merchant"].post(f"{path}/shipments", {"carrier": "sf", "tracking": "SF1234567890"})
    order = await buyer.get(path)
    return life, datetime.fromisoformat(order["deadlines"]["confirm_by"])


async def pass_while_it_sleeps(
    folder: Path, template: Template, until: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Move the offset of every database by the clock's own fact, while nobody looks for what is due."""

    async def nothing(_: Deadlines) -> None:
        return None

    with monkeypatch.context() as asleep:
        asleep.setattr(Deadlines, "start", nothing)
        asleep.setattr(Deadlines, "next_due_at", nothing)
        async with world.running(folder, durable=False) as running, stage_at(running.url) as stage:
            template.enter(stage)
            now = datetime.fromisoformat((await stage.client.get("/v1/sandbox/clock")).json()["now"])
            await stage.timeline.advance(stage.people["merchant"], until - now + timedelta(seconds=1))
