"""The broker goes, comes, is cut off, says nothing, forgets a binding: services serve on, and nothing is lost or doubled."""

import asyncio
import os
import random
import signal
import sys
import time

import httpx
import pytest

from chassis import metrics
from chassis.bus import line as lines
from chassis.bus import relay
from chassis.bus.topology import Names, key
from chassis.service import Service
from tests.bus import broker
from tests.bus.proxy import Proxy
from tests.bus.wires import Place, coins, settled, tell, unsent
from tests.chassis import toy
from tests.support import client

NAMES = "order.expired.v1", "order.completed.v1"


async def readiness(service: Service) -> tuple[int, dict[str, str]]:
    async with client(service) as asking:
        answer: httpx.Response = await asking.get("/readyz")
        return answer.status_code, answer.json()


async def connected(*services: Service) -> None:
    for service in services:
        await toy.eventually(lambda service=service: _is_connected(service), 30)


async def _is_connected(service: Service) -> bool:
    return service.bus.connected


def duplicates(service: str) -> float:
    return metrics.DESK_MESSAGES.labels(service, "fact", "duplicate")._value.get()


async def test_services_start_and_serve_with_the_broker_away_and_say_so(through: Place, line: Proxy) -> None:
    await line.close()
    async with through.both() as (order, escrow):
        jars = await tell(order, 20)
        assert await readiness(order) == (200, {"status": "ready", "broker": "degraded"})
        assert metrics.BROKER_CONNECTED.labels("order", "relay")._value.get() == 0
        assert await unsent(order) == 40
        assert not await escrow.bus.quiet()
        await line.open()
        await settled(order, escrow)
        assert await readiness(order) == (200, {"status": "ready"})
        assert metrics.BROKER_CONNECTED.labels("order", "relay")._value.get() == 1
        assert await coins(escrow, jars) == {1: 20}


async def test_a_line_cut_again_and_again_loses_nothing_and_doubles_nothing(through: Place, line: Proxy) -> None:
    dice = random.Random(7)
    async with through.both() as (order, escrow):
        await connected(order, escrow)
        before = line.connections
        jars: list[str] = []
        for _ in range(8):
            telling = asyncio.create_task(tell(order, 40))
            await asyncio.sleep(dice.uniform(0, 0.15))
            line.cut()
            jars += await telling
        await settled(order, escrow, within_seconds=60)
        assert line.connections > before
        assert await coins(escrow, jars) == {1: 320}


async def test_a_line_that_swallows_everything_is_given_up_and_made_anew(
    through: Place, line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CONFIRM_SECONDS", 0.5)
    monkeypatch.setattr(lines, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(lines, "HEARTBEAT_SECONDS", 1)
    async with through.both() as (order, escrow):
        await connected(order, escrow)
        line.blackhole()
        started = time.monotonic()
        jars = await tell(order, 20)
        assert time.monotonic() - started < relay.CONFIRM_SECONDS * 10
        await toy.eventually(lambda: _swallowed(line), 10)
        await toy.eventually(lambda: _is_away(order), 20)
        assert await unsent(order) == 40
        line.cut()
        await line.open()
        await settled(order, escrow, within_seconds=60)
        assert await coins(escrow, jars) == {1: 20}
        unconfirmed = metrics.EVENTS_UNSENT.labels("order", NAMES[0], "unconfirmed")._value.get()
        assert unconfirmed > 0


async def _swallowed(line: Proxy) -> bool:
    return line.swallowed > 0


async def _is_away(service: Service) -> bool:
    return not service.bus.connected


@pytest.mark.parametrize("hearer", ["escrow", "gateway"])
async def test_without_a_binding_rows_stay_unsent_and_are_sent_after_it_is_back(
    rabbit: Place, names: Names, hearer: str
) -> None:
    """Also where others hear the same fact: the broker itself would call it routed."""
    async with rabbit.both() as (order, escrow):
        await connected(order, escrow)
        returned = metrics.EVENTS_UNSENT.labels("order", NAMES[0], "returned")
        before = returned._value.get()
        async with broker.connected() as channel:
            queue = await channel.get_queue(names.queue(hearer), ensure=False)
            await queue.unbind(names.exchange, key(hearer, NAMES[0]))
            jars = await tell(order, 10)
            await toy.eventually(lambda: _unsent_is(order, 10), 10)
            await asyncio.sleep(relay.HOLD_SECONDS * 1.5)
            assert await unsent(order) == 10
            assert returned._value.get() >= before + 10
            # Whoever is bound has got it all the same.
            assert await coins(escrow, jars) == ({None: 10} if hearer == "escrow" else {1: 10})
            await queue.bind(names.exchange, key(hearer, NAMES[0]))
        await toy.eventually(lambda: _unsent_is(order, 0), 20)
        await settled(order, escrow)
        assert await coins(escrow, jars) == {1: 10}
        assert await broker.waiting_in(names.queue("gateway")) > 0


async def _unsent_is(order: Service, count: int) -> bool:
    return await unsent(order) == count


async def test_a_queue_that_is_deleted_is_declared_anew(rabbit: Place, names: Names) -> None:
    async with rabbit.both() as (order, escrow):
        await connected(order, escrow)
        async with broker.connected() as channel:
            await channel.queue_delete(names.queue("escrow"))
        jars = await tell(order, 10)
        await settled(order, escrow, within_seconds=60)
        assert await coins(escrow, jars) == {1: 10}


async def test_what_is_delivered_again_is_absorbed_by_the_inbox(rabbit: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hearer that never acknowledges hears everything again after its restart, and does nothing twice."""
    from chassis.bus.consumer import Tray

    before = duplicates("escrow")
    async with rabbit.order() as order:
        with monkeypatch.context() as patch:
            patch.setattr(Tray, "_acknowledge_now", _nothing)
            async with rabbit.escrow() as escrow:
                jars = await tell(order, 30)
                await toy.eventually(lambda: _all_heard(escrow, jars), 20)
        async with rabbit.escrow() as escrow:
            await settled(order, escrow)
            assert await coins(escrow, jars) == {1: 30}
    assert duplicates("escrow") >= before + 60


async def _nothing(_: object) -> None:
    pass


async def _all_heard(escrow: Service, jars: list[str]) -> bool:
    return await coins(escrow, jars) == {1: len(jars)}


async def test_a_thousand_facts_survive_a_hearer_that_is_killed_again_and_again(rabbit: Place, names: Names) -> None:
    """500 jars, two facts each; the hearing process gets SIGKILL whenever it has heard some more."""
    command = (sys.executable, "-m", "tests.bus.hearer", rabbit.escrow_url, broker.url(), names.namespace)
    kills = 0
    async with rabbit.order() as order, toy.connected(rabbit.escrow_url) as escrow:
        jars = await tell(order, 500)
        for goal in (1, 120, 240, 360, 480):
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
            while await escrow.fetchval("SELECT count(*) FROM jars") < goal:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            kills += await process.wait() == -signal.SIGKILL
        async with rabbit.escrow() as last:
            await settled(order, last, within_seconds=60)
            assert await coins(last, jars) == {1: 500}
            assert await toy.count(last, "inbox WHERE outcome = 'applied'") == 1_000
        assert kills == 5
    assert await broker.waiting_in(names.dead_queue("escrow")) == 0


async def test_a_backlog_drains_without_waiting_for_the_sweep(
    through: Place, line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than fits into memory: the rest is taken from the outbox page by page."""
    monkeypatch.setattr(relay, "QUEUE_FACTS_MAX", 20)
    monkeypatch.setattr(relay, "PAGE", 15)
    await line.close()
    async with through.both() as (order, escrow):
        jars = await tell(order, 100)
        assert len(order.bus.relay._queue) == 20  # type: ignore[attr-defined]
        await line.open()
        await settled(order, escrow, within_seconds=60)
        assert await coins(escrow, jars) == {1: 100}
