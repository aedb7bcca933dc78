"""Waiting for a change: woken by it, and cheap for the desk however many wait for nothing."""

import asyncio
import time

import pytest

from chassis import watch
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Jar, Open, tell_desk


class Look:
    """Counts how often it was looked."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> int:
        self.count += 1
        return self.count


async def test_a_change_wakes_whoever_waits_for_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_AGAIN_SECONDS", 60.0)
    jar, look = toy.a_jar(), Look()
    waiting = asyncio.create_task(service.desk.until(Jar, jar, look, lambda seen: seen == 2, 60))
    await asyncio.sleep(0.05)
    await tell_desk(service, Open(BUYER, jar, 1))
    assert await asyncio.wait_for(waiting, 10) == 2


async def test_waiting_in_vain_is_looking_less_and_less_often(service: Service) -> None:
    look = Look()
    started = time.monotonic()
    await service.desk.until(Jar, toy.a_jar(), look, lambda _: False, 2)
    assert time.monotonic() - started >= 2
    assert look.count <= 5


async def test_where_too_many_wait_the_next_one_is_answered_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WAITERS_MAX", 1)
    jar, look = toy.a_jar(), Look()
    first = asyncio.create_task(service.desk.until(Jar, jar, Look(), lambda _: False, 5))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(service.desk.until(Jar, jar, look, lambda _: False, 5), 1) == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    started = time.monotonic()
    await service.desk.until(Jar, jar, look, lambda _: False, 0.1)
    assert time.monotonic() - started >= 0.1, "there is room again"
