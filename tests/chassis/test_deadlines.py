"""Deadlines: a due row becomes one message, whoever sweeps it and however busy the desk is."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from chassis.decision import Applied, Ignored
from chassis.moment import Moment
from chassis.service import Service
from chassis.touches import ask
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Arm, Jar, Open, Ring, tell_desk

PAST = datetime(2020, 1, 1, tzinfo=UTC)


async def armed(service: Service, ring_at: datetime) -> str:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    await tell_desk(service, Arm(BUYER, jar, ring_at))
    return jar


async def rung(service: Service, jar: str) -> datetime | None:
    return await service.database.pool.fetchval("SELECT rung_at FROM jars WHERE jar_id = $1", jar)


async def test_a_deadline_takes_effect_at_its_due_time_however_late_it_is_swept(service: Service) -> None:
    jar = await armed(service, PAST)
    await toy.eventually(lambda: rung(service, jar))
    assert await rung(service, jar) == PAST
    assert await toy.coins_in(service, jar) == 1


async def test_what_is_not_due_does_not_fire(service: Service) -> None:
    jar = await armed(service, datetime.now(UTC) + timedelta(hours=1))
    assert await service.deadlines.sweep() == 0
    assert await rung(service, jar) is None
    assert await service.deadlines.next_due_at() is not None


async def test_two_sweepers_fire_a_deadline_once(url: str) -> None:
    def ring_unasked(jar: Jar, command: Ring, at: Moment) -> Applied:
        """Without looking whether it has rung already: the message's id alone keeps it from ringing twice."""
        return toy.rung(jar, command, at)

    asked = {**toy.ASKED, Ring: ask(ring_unasked, toy.JAR)}
    async with toy.build(url, asked=asked) as one, toy.build(url, "order", asked=asked) as two:
        jars = [await armed(one, PAST) for _ in range(20)]
        await asyncio.gather(*(each.deadlines.sweep() for each in (one, two) for _ in range(3)))
        await toy.eventually(lambda: all_rung(one, jars))
        await asyncio.sleep(0.3)
        assert [await toy.coins_in(one, jar) for jar in jars] == [1] * 20
        assert await toy.count(one, "coins") == 20


async def all_rung(service: Service, jars: list[str]) -> bool:
    return all([await rung(service, jar) for jar in jars])


async def test_a_desk_that_is_never_idle_keeps_its_deadlines(service: Service) -> None:
    jar, busy = await armed(service, PAST), toy.a_jar()
    await tell_desk(service, Open(BUYER, busy))

    async def client() -> None:
        while not await rung(service, jar):
            await tell_desk(service, Add(BUYER, busy))

    await asyncio.wait_for(asyncio.gather(*(client() for _ in range(16))), 5)


async def test_a_sweep_leaves_alone_what_is_already_on_the_desk(service: Service) -> None:
    jars = [await armed(service, PAST) for _ in range(3)]
    swept = [await service.deadlines.sweep() for _ in range(5)]
    assert sum(swept) <= len(jars)
    await toy.eventually(lambda: all_rung(service, jars))


async def test_a_deadline_with_a_bug_is_tried_again_but_does_not_crowd_out_the_others(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.deadlines.SWEEP_MAX", 2)
    tries: list[str] = []
    bad: list[str] = []

    def ring(jar: Jar, command: Ring, at: Moment) -> Applied:
        tries.append(jar.jar_id)
        if jar.jar_id in bad:
            raise ZeroDivisionError
        outcome = toy.ring(jar, command, at)
        assert isinstance(outcome, Applied)
        return outcome

    async with toy.build(url, asked={**toy.ASKED, Ring: ask(ring, toy.JAR)}) as service:
        bad.extend([await armed(service, PAST)])
        good = [await armed(service, PAST + timedelta(days=n)) for n in range(5)]
        await toy.eventually(lambda: all_rung(service, good))
        assert tries.count(bad[0]) == 1, "not at once again"
        monkeypatch.setattr("chassis.deadlines.AGAIN_AFTER_SECONDS", 0.0)
        service.deadlines._under_way.clear()
        bad_one = bad.pop()
        await toy.eventually(lambda: rung(service, bad_one))


async def test_a_deadline_that_was_ignored_fires_when_it_is_time_after_all(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is swept in the instant in which something pauses it, and resumes with the same due time."""
    monkeypatch.setattr("chassis.deadlines.AGAIN_AFTER_SECONDS", 0.0)
    paused = True

    def ring(jar: Jar, command: Ring, at: Moment) -> Applied | Ignored:
        return Ignored("paused") if paused else toy.ring(jar, command, at)

    async with toy.build(url, asked={**toy.ASKED, Ring: ask(ring, toy.JAR)}) as service:
        jar = await armed(service, PAST)
        await asyncio.sleep(0.4)
        assert await rung(service, jar) is None
        paused = False
        await toy.eventually(lambda: rung(service, jar))
        assert await toy.coins_in(service, jar) == 1
