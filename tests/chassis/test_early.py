"""What comes too early waits: a command a moment and without a connection, a fact as long as it takes."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from uuid import UUID

import pytest

from chassis import desk
from chassis.decision import Applied, Ignored, NotFound
from chassis.desk import NotYetKnown
from chassis.early import Sleepers
from chassis.message import Message
from chassis.moment import Moment
from chassis.service import Service
from chassis.touches import ask, hear, one
from contracts.order import OrderCompleted
from tests.chassis import toy
from tests.chassis.test_mailbox import deliver
from tests.chassis.toy import BUYER, Add, Jar, Open, Pour, Spend, completed, expired, tell_desk
from tests.support import delivery_of
from tests.support import hear as heard

# --- commands


async def test_a_command_waits_and_is_applied_as_soon_as_its_aggregate_appears(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the timer nothing but the change itself can wake it before it is given up.
    monkeypatch.setattr(desk, "RETRY_EARLY_SECONDS", 3600.0)
    jar = toy.a_jar()
    adding = asyncio.create_task(tell_desk(service, Add(BUYER, jar)))
    await asyncio.sleep(0.05)
    assert not adding.done()
    await heard(service, expired(jar))
    assert (await adding).body == b'{"coins": 1}'


async def test_a_command_that_waits_holds_no_connection(service: Service) -> None:
    waiting = [asyncio.create_task(tell_desk(service, Add(BUYER, toy.a_jar()))) for _ in range(20)]
    pool = service.database.pool

    async def all_wait_and_all_connections_are_idle() -> bool:
        return len(service.desk._early) == 20 and pool.get_idle_size() == pool.get_size()

    await toy.eventually(all_wait_and_all_connections_are_idle)
    for each in waiting:
        each.cancel()


async def test_a_command_whose_aggregate_never_appears_is_409_after_two_seconds(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.desk.NOT_YET_WAIT_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(NotYetKnown) as refusal:
        await tell_desk(service, Add(BUYER, toy.a_jar()))
    assert time.monotonic() - started >= 0.5
    assert (refusal.value.status, refusal.value.code) == (409, "not_yet_known")


async def test_a_busy_desk_still_answers_its_early_commands(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others keep the desk from ever being idle, and change nothing: the early one must not wait for ever."""
    monkeypatch.setattr("chassis.desk.NOT_YET_WAIT_SECONDS", 0.5)
    async with toy.build(url, desk_batch_max=4) as service:
        busy = toy.a_jar()
        await tell_desk(service, Open(BUYER, busy))
        early = asyncio.create_task(tell_desk(service, Add(BUYER, toy.a_jar())))

        async def client() -> None:
            while not early.done():
                with pytest.raises(toy.Empty):
                    await tell_desk(service, Spend(BUYER, busy))

        await asyncio.gather(*(client() for _ in range(16)))
        assert isinstance(early.exception(), NotYetKnown)


async def test_an_old_id_that_nobody_knows_is_404_and_not_waited_for(service: Service) -> None:
    with pytest.raises(NotFound):
        await tell_desk(service, Add(BUYER, toy.old_jar()))


async def test_a_command_is_woken_by_a_change_in_another_replica(service: Service) -> None:
    jar = toy.a_jar()
    async with toy.build(service.database.url) as replica:
        adding = asyncio.create_task(tell_desk(service, Add(BUYER, jar)))
        await asyncio.sleep(0.05)
        await tell_desk(replica, Open(BUYER, jar))
        assert (await adding).body == b'{"coins": 1}'


async def test_a_command_and_what_it_waits_for_in_one_batch_do_not_stall(service: Service) -> None:
    jar = toy.a_jar()
    await asyncio.gather(tell_desk(service, Add(BUYER, jar)), tell_desk(service, Open(BUYER, jar)))
    assert await toy.coins_in(service, jar) == 1
    assert await transactions(service) == 1


async def transactions(service: Service) -> int:
    return int(await service.database.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM inbox"))


async def test_a_chain_of_early_messages_in_one_batch_is_untangled(service: Service) -> None:
    """Each needs the one that comes after it."""
    jars = [toy.a_jar() for _ in range(6)]
    await asyncio.gather(
        *(tell_desk(service, Pour(BUYER, source, target)) for target, source in pairwise(jars)),
        *(tell_desk(service, Open(BUYER, jar, 1)) for jar in reversed(jars)),
    )
    assert await toy.count(service, "inbox") == 11
    assert await transactions(service) == 1


# --- facts


async def test_an_early_fact_is_parked_and_its_bus_may_forget_it(service: Service) -> None:
    jar = toy.a_jar()
    await heard(service, completed(jar))
    row = await service.database.pool.fetchrow("SELECT type, keys::text, reason, poison FROM parked")
    assert tuple(row or ()) == ("order.completed.v1", f'["Jar:{jar}"]', "not_yet_known", False)


async def test_a_parked_fact_is_applied_when_its_key_is_without_any_sweep(service: Service) -> None:
    await service.parked.stop()
    jar = toy.a_jar()
    await heard(service, completed(jar))
    await heard(service, expired(jar))
    await toy.eventually(lambda: nothing_is_parked(service))
    assert await toy.coins_in(service, jar) == 1


async def nothing_is_parked(service: Service) -> bool:
    return not await toy.count(service, "parked")


async def test_a_fact_and_its_predecessor_in_one_batch_are_both_applied_and_none_is_parked(service: Service) -> None:
    jar = toy.a_jar()
    await heard(service, completed(jar), expired(jar))
    assert await toy.coins_in(service, jar) == 1
    assert await transactions(service) == 1
    assert await nothing_is_parked(service)
    assert len(service.desk._sleeping) == 0


@pytest.fixture
async def replica(service: Service) -> AsyncIterator[Service]:
    async with toy.build(service.database.url, "order") as started:
        yield started


async def test_a_fact_parked_by_a_replica_that_died_is_brought_back_by_the_sweep(service: Service) -> None:
    jar = toy.a_jar()
    async with toy.build(service.database.url) as dying:
        await heard(dying, completed(jar))
    await tell_desk(service, Open(BUYER, jar))
    await toy.eventually(lambda: nothing_is_parked(service))
    assert await toy.coins_in(service, jar) == 1


async def test_the_parked_row_goes_in_the_statement_of_the_effect(service: Service) -> None:
    """Nobody ever sees both the effect and the parked row, or neither."""
    jar = toy.a_jar()
    await heard(service, completed(jar))
    both = "SELECT (SELECT count(*) FROM parked) + coalesce((SELECT coins FROM jars WHERE jar_id = $1), 0)"
    applying = asyncio.create_task(heard(service, expired(jar)))
    seen = set()
    while not (applying.done() and await nothing_is_parked(service)):
        seen.add(await service.database.pool.fetchval(both, jar))
    assert seen <= {1}
    assert await toy.coins_in(service, jar) == 1


async def test_copies_parked_in_one_replica_and_applied_in_another_end_with_one_effect(
    service: Service, replica: Service
) -> None:
    deliveries = [delivery_of(completed(toy.a_jar())) for _ in range(20)]
    jars = [delivery.fact.subject for delivery in deliveries]
    await asyncio.gather(
        deliver(service, *deliveries),
        *(tell_desk(replica, Open(BUYER, jar)) for jar in jars),
        deliver(replica, *deliveries),
    )
    await toy.eventually(lambda: nothing_is_parked(service))
    assert [await toy.coins_in(service, jar) for jar in jars] == [1] * 20


async def test_a_row_that_was_parked_while_its_copy_was_applied_is_taken_away(service: Service) -> None:
    jar = toy.a_jar()
    delivery = delivery_of(completed(jar))
    await heard(service, expired(jar))
    await deliver(service, delivery)
    await service.database.pool.execute(
        "INSERT INTO parked (id, type, keys, body, reason, poison) VALUES ($1, '', '[]', $2, 'raced', false)",
        delivery.id.bytes,
        delivery.body,
    )
    await toy.eventually(lambda: nothing_is_parked(service))
    assert await toy.coins_in(service, jar) == 1


async def test_a_parked_copy_and_one_from_the_bus_in_the_same_batch_are_applied_once_and_now(service: Service) -> None:
    jar = toy.a_jar()
    delivery = delivery_of(completed(jar))
    await deliver(service, delivery)
    service.desk._sleeping.wake_all()  # As after a restart: it is known to the database alone.
    await service.database.pool.execute("UPDATE parked SET next_at = clock_timestamp() + interval '1 hour'")
    await tell_desk(service, Open(BUYER, jar))
    service.desk.hear(delivery, lambda: None)
    service.desk.hear(delivery, lambda: None, parked=True)
    await toy.eventually(lambda: nothing_is_parked(service))
    assert await toy.coins_in(service, jar) == 1


async def test_a_fact_that_waits_for_two_keys_is_remembered_once_and_forgotten_whole(url: str) -> None:
    other = toy.a_jar()

    def add_both(jar: Jar, _other: Jar, fact: OrderCompleted, at: Moment) -> Applied | Ignored:
        return toy.hear_added(jar, fact, at)

    hears = {**toy.HEARS, OrderCompleted: hear(add_both, one(Jar, "order_id"), one(Jar, lambda _: other))}
    async with toy.build(url, hears=hears) as service:
        jar = toy.a_jar()
        delivery = delivery_of(completed(jar))
        await deliver(service, delivery)
        for _ in range(5):
            service.desk.hear(delivery, lambda: None, parked=True)
            await asyncio.sleep(0.02)
        assert len(service.desk._sleeping) == 1
        await tell_desk(service, Open(BUYER, jar))
        assert await toy.count(service, "parked") == 1
        await tell_desk(service, Open(BUYER, other))
        await toy.eventually(lambda: nothing_is_parked(service))
        assert len(service.desk._sleeping) == 0
        assert service.desk._sleeping._by_name == {}


# --- the memory of what waits


def a_message(n: int) -> Message:
    handler = ask(lambda: None)
    return Message(UUID(int=n).bytes, "", "parked", None, handler, b"", "", "")


def test_a_full_house_lets_the_oldest_go() -> None:
    sleepers = Sleepers(3)
    messages = [a_message(n) for n in range(5)]
    for message in messages:
        sleepers.keep(message, ["all", f"own {message.id.hex()}"])
    assert len(sleepers) == 3
    assert sleepers.wake("all") == messages[2:]
    assert len(sleepers) == len(sleepers._by_name) == 0


def test_whoever_is_woken_under_one_name_sleeps_under_none() -> None:
    sleepers = Sleepers()
    message = a_message(1)
    sleepers.keep(message, ["one", "other", "one"])
    assert sleepers.wake("one") == [message]
    assert sleepers.wake("other") == []


def test_two_commands_under_one_key_both_wait() -> None:
    sleepers = Sleepers()
    first, second = a_message(1), a_message(1)
    first.origin = second.origin = "command"
    sleepers.keep(first, ["one"])
    sleepers.keep(second, ["one"])
    assert sleepers.wake("one") == [first, second]
