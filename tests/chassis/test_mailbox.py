"""A fact is neither lost nor applied twice: by the outbox on the way out, by the inbox on the way in."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from chassis import mailbox
from chassis.message import Delivery
from chassis.save import Save
from chassis.service import Service
from tests.chassis import crash, toy
from tests.chassis.toy import BUYER, Tell, TellMore, completed, expired, tell_desk
from tests.support import delivery_of, hear


async def deliver(service: Service, *deliveries: Delivery) -> None:
    """As a bus does, and wait until each has been heard."""
    loop = asyncio.get_running_loop()
    heard = []
    for delivery in deliveries:
        done = loop.create_future()
        assert service.desk.hear(delivery, lambda done=done: done.set_result(None))
        heard.append(done)
    await asyncio.wait_for(asyncio.gather(*heard), 5)


@pytest.fixture
async def jar(service: Service) -> str:
    made = toy.a_jar()
    await hear(service, expired(made))
    return made


async def test_a_fact_that_is_delivered_three_times_has_one_effect(service: Service, jar: str) -> None:
    delivery = delivery_of(completed(jar))
    for _ in range(3):
        await deliver(service, delivery)
    assert await toy.coins_in(service, jar) == 1
    assert await toy.count(service, "inbox WHERE id = $1", delivery.id.bytes) == 1


async def test_three_copies_in_one_batch_have_one_effect_and_each_is_told(service: Service, jar: str) -> None:
    delivery = delivery_of(completed(jar))
    await deliver(service, delivery, delivery, delivery)
    assert await toy.coins_in(service, jar) == 1


async def test_copies_through_two_replicas_at_once_have_one_effect(service: Service, jar: str) -> None:
    async with toy.build(service.database.url) as replica:
        deliveries = [delivery_of(completed(jar)) for _ in range(20)]
        await asyncio.gather(deliver(service, *deliveries), deliver(replica, *deliveries))
    assert await toy.coins_in(service, jar) == 20


async def test_mutant_without_the_inbox_a_fact_delivered_three_times_has_three_effects(
    service: Service, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the inbox is for: if this ever shows one effect, the tests above prove nothing."""
    monkeypatch.setattr(Save, "inbox", lambda *_: None)
    delivery = delivery_of(completed(jar))
    for _ in range(3):
        await deliver(service, delivery)
        await asyncio.sleep(0.002)
    assert await toy.coins_in(service, jar) == 3


async def test_mutant_without_the_look_up_the_inbox_itself_still_refuses_the_second_effect(
    service: Service, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unique id in the effect's own statement is the guard; the look-up only makes the duplicate cheap."""
    delivery = delivery_of(completed(jar))
    await deliver(service, delivery)
    monkeypatch.setattr(mailbox, "LOOK_UP", mailbox.LOOK_UP.replace("inbox WHERE", "inbox WHERE false AND"))
    await deliver(service, delivery)
    assert await toy.coins_in(service, jar) == 1


# --- the way out


@pytest.fixture
async def urls() -> AsyncIterator[tuple[str, str]]:
    async with toy.fresh_database() as order_url, toy.fresh_database() as escrow_url:
        yield order_url, escrow_url


async def die_between_commit_and_hearing(urls: tuple[str, str], jar: str, *mutant: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.chassis.crash", *urls, jar, *mutant)
    assert await process.wait() == crash.DIED


async def test_what_is_said_is_heard_once_and_marked_as_sent(urls: tuple[str, str]) -> None:
    async with crash.world(*urls) as (order, escrow):
        jars = [toy.a_jar() for _ in range(20)]
        await asyncio.gather(*(tell_desk(order, Tell(BUYER, jar)) for jar in jars))
        await asyncio.gather(*(tell_desk(order, TellMore(BUYER, jar)) for jar in jars))
        await toy.eventually(order.bus.quiet)
        assert [await toy.coins_in(escrow, jar) for jar in jars] == [1] * 20
        assert await toy.count(order, "outbox WHERE sent_at IS NOT NULL") == 40


async def test_killed_between_commit_and_hearing_the_fact_is_heard_exactly_once_after_the_restart(
    urls: tuple[str, str],
) -> None:
    jar = toy.a_jar()
    await die_between_commit_and_hearing(urls, jar)
    async with crash.world(*urls) as (order, escrow):
        await toy.eventually(order.bus.quiet)
        await order.bus.sweep(0)  # type: ignore[attr-defined]
        assert await toy.coins_in(order, jar) == 0
        assert await toy.coins_in(escrow, jar) == 0
        assert await toy.count(escrow, "history WHERE key = $1", jar) == 1


async def test_mutant_without_the_outbox_a_crash_between_commit_and_hearing_loses_the_fact(
    urls: tuple[str, str],
) -> None:
    """What the outbox is for: the change is there, and nobody will ever hear of it."""
    jar = toy.a_jar()
    await die_between_commit_and_hearing(urls, jar, "no-outbox")
    async with crash.world(*urls) as (order, escrow):
        await order.bus.sweep(0)  # type: ignore[attr-defined]
        await toy.eventually(order.bus.quiet)
        assert await toy.coins_in(order, jar) == 0
        assert await toy.coins_in(escrow, jar) is None
