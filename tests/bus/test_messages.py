"""What travels: packs, their properties; what cannot be read is parked with its reason and holds up nobody."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from chassis import metrics
from chassis.bus import consumer, topology
from chassis.bus.pack import PACK_BYTES_MAX, Letter, message_of, packed, unpacked
from chassis.bus.topology import Names
from chassis.message import Delivery
from chassis.service import Service
from contracts.fact import BATCH_CONTENT_TYPE, CONTENT_TYPE
from tests.bus import broker
from tests.bus.test_outages import connected
from tests.bus.wires import Place, coins, settled, tell
from tests.chassis import toy
from tests.support import delivery_of


@pytest.fixture
async def channel(names: Names) -> AsyncIterator[AbstractChannel]:
    async with broker.connected() as made:
        await topology.declare(made, names)
        yield made


async def post(
    channel: AbstractChannel, queue: str, body: bytes, content_type: str = CONTENT_TYPE, **more: Any
) -> None:
    """Put a message straight into a queue, as anybody might."""
    message = aio_pika.Message(body, content_type=content_type, delivery_mode=2, **more)
    await channel.default_exchange.publish(message, queue)


def letter(delivery: Delivery) -> Letter:
    return Letter(delivery.id, delivery.fact.type, delivery.body)


# --- packs


def test_a_pack_holds_a_hundred_facts_and_no_more_bytes_than_it_may() -> None:
    letters = [letter(delivery_of(toy.expired(toy.a_jar()))) for _ in range(250)]
    assert [len(pack) for pack in packed(letters)] == [100, 100, 50]
    large = [Letter(each.id, each.type, "x" * (PACK_BYTES_MAX // 2)) for each in letters[:5]]
    assert [len(pack) for pack in packed(large)] == [2, 2, 1]
    larger = [Letter(each.id, each.type, "x" * (PACK_BYTES_MAX * 2)) for each in letters[:3]]
    assert [len(pack) for pack in packed(larger)] == [1, 1, 1]


def test_what_is_packed_is_unpacked_byte_by_byte() -> None:
    letters = [letter(delivery_of(toy.expired(toy.a_jar()))) for _ in range(3)]
    for pack, content_type in ((letters, BATCH_CONTENT_TYPE), (letters[:1], CONTENT_TYPE)):
        message = message_of(pack)
        assert (message.content_type, message.message_id, message.type) == (
            content_type,
            str(letters[0].id),
            pack[0].type,
        )
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        assert [text for _, text in unpacked(message.body, message.content_type)] == [each.body for each in pack]


@pytest.mark.parametrize("text", ["[]", " [ ] ", '[ {"a": 1} ,\n{"b": [2]} ]'])
def test_a_batch_of_another_producer_may_be_written_differently(text: str) -> None:
    assert [value for value, _ in unpacked(text.encode(), BATCH_CONTENT_TYPE)] == json.loads(text)


@pytest.mark.parametrize("body", [b"", b"{", b"[1", b"[1,]", b"[1] 2", b"1", b"[1 2]", b"\xff", b"[" * 100_000])
def test_what_is_no_batch_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked(body, BATCH_CONTENT_TYPE)


async def test_facts_of_one_type_travel_together_and_one_alone_as_itself(rabbit: Place, names: Names) -> None:
    async with rabbit.order() as order, broker.connected() as channel:
        await connected(order)
        jars = await tell(order, 1)
        jars += await tell(order, 60)
        await toy.eventually(order.bus.relay.quiet, 20)  # type: ignore[attr-defined]
        queue = await channel.get_queue(names.queue("gateway"))
        messages = []
        while message := await queue.get(no_ack=True, fail=False):
            messages.append(message)
    facts = [value for each in messages for value, _ in unpacked(each.body, each.content_type)]
    assert sorted(each["subject"] for each in facts if each["type"] == "order.expired.v1") == sorted(jars)
    assert messages[0].content_type == CONTENT_TYPE
    assert any(each.content_type == BATCH_CONTENT_TYPE for each in messages)
    assert len(messages) < len(facts) / 3
    assert {each.delivery_mode for each in messages} == {aio_pika.DeliveryMode.PERSISTENT}
    assert all(len({value["type"] for value, _ in unpacked(each.body, each.content_type)}) == 1 for each in messages)


# --- what cannot be heard


async def parked(service: Service) -> list[tuple[str, str]]:
    rows = await service.database.pool.fetch("SELECT type, reason FROM parked WHERE poison ORDER BY reason")
    return [(row["type"], row["reason"]) for row in rows]


async def test_an_unknown_type_is_counted_and_forgotten(rabbit: Place, names: Names, channel: AbstractChannel) -> None:
    unknown = metrics.EVENTS_CONSUMED.labels("escrow", "unknown", "unknown")
    before = unknown._value.get()
    async with rabbit.escrow() as escrow:
        body = json.loads(delivery_of(toy.expired(toy.a_jar())).body) | {"type": "order.unheard_of.v9", "data": 7}
        await post(channel, names.queue("escrow"), json.dumps(body).encode())
        await toy.eventually(lambda: _is(unknown, before + 1), 10)
        await settled(escrow)
        assert await parked(escrow) == []


async def _is(metric: Any, value: float) -> bool:
    return bool(metric._value.get() == value)


async def test_what_cannot_be_read_is_parked_with_its_reason_and_holds_up_nobody(
    rabbit: Place, names: Names, channel: AbstractChannel
) -> None:
    queue = names.queue("escrow")
    envelope = json.loads(delivery_of(toy.expired(toy.a_jar())).body)
    good = [toy.a_jar() for _ in range(3)]
    mixed = [json.loads(delivery_of(toy.expired(jar)).body) for jar in good[:2]]
    mixed.insert(1, envelope | {"data": {"order_id": "nonsense\0"}})
    async with rabbit.escrow() as escrow:
        await post(channel, queue, b"\xff\0 not json", type="order.expired.v1")
        await post(channel, queue, json.dumps(envelope | {"id": 1}).encode())
        await post(channel, queue, b'"a string"')
        await post(channel, queue, json.dumps(mixed).encode(), BATCH_CONTENT_TYPE)
        await post(channel, queue, delivery_of(toy.expired(good[2])).body.encode())
        await settled(escrow)
        assert await parked(escrow) == [
            ("None", "invalid: "),
            ("order.expired.v1", "invalid: at, checkout_id, order_id"),
            ("order.expired.v1", "invalid: id"),
            ("order.expired.v1", "not_json"),
        ]
        assert await coins(escrow, good) == {0: 3}


# --- dead letters


async def test_a_message_that_came_back_too_often_is_fed_once_more(
    rabbit: Place, names: Names, channel: AbstractChannel
) -> None:
    jar = toy.a_jar()
    queue = await channel.get_queue(names.queue("escrow"))
    await post(channel, names.queue("escrow"), delivery_of(toy.expired(jar)).body.encode(), type="order.expired.v1")
    deliveries = 0
    while await broker.waiting_in(names.dead_queue("escrow")) == 0:
        if message := await queue.get(fail=False):
            deliveries += 1
            await message.reject(requeue=True)
    assert deliveries == topology.DELIVERY_LIMIT + 1
    async with rabbit.escrow() as escrow:
        await toy.eventually(lambda: _there(escrow, jar), 20)
        assert await parked(escrow) == []
    assert await broker.waiting_in(names.dead_queue("escrow")) == 0


async def _there(service: Service, jar: str) -> bool:
    return await toy.coins_in(service, jar) is not None


async def test_a_dead_letter_that_dies_again_is_parked_and_its_key_waits_behind_it(
    rabbit: Place, names: Names, channel: AbstractChannel
) -> None:
    jar, other = toy.a_jar(), toy.a_jar()
    dead = delivery_of(toy.expired(jar))
    await post(channel, names.dead_queue("escrow"), dead.body.encode(), type="order.expired.v1")
    async with broker.connected() as doomed:  # Whoever takes it dies with it in hand.
        assert await (await doomed.get_queue(names.dead_queue("escrow"))).get()
    async with rabbit.escrow() as escrow:
        await toy.eventually(lambda: toy.count(escrow, "parked WHERE poison"), 20)
        assert await parked(escrow) == [("order.expired.v1", "dead_letter")]
        assert await toy.coins_in(escrow, jar) is None
        for each in (toy.completed(jar), toy.expired(other)):
            await post(channel, names.queue("escrow"), delivery_of(each).body.encode())
        await toy.eventually(lambda: _there(escrow, other), 20)
        await toy.eventually(lambda: toy.count(escrow, "parked WHERE reason = 'behind_poison'"), 20)


async def test_a_dead_letter_that_had_its_effect_is_not_parked(
    rabbit: Place, names: Names, channel: AbstractChannel
) -> None:
    jar = toy.a_jar()
    body = delivery_of(toy.expired(jar)).body.encode()
    async with rabbit.escrow() as escrow:
        await post(channel, names.queue("escrow"), body)
        await toy.eventually(lambda: _there(escrow, jar), 20)
    await post(channel, names.dead_queue("escrow"), body)
    async with broker.connected() as doomed:
        assert await (await doomed.get_queue(names.dead_queue("escrow"))).get()
    async with rabbit.escrow() as escrow:
        await toy.eventually(lambda: _emptied(names.dead_queue("escrow")), 20)
        await asyncio.sleep(0.2)
        assert await parked(escrow) == []


async def _emptied(queue: str) -> bool:
    return await broker.waiting_in(queue) == 0


# --- bounds and topology


async def test_few_facts_are_in_memory_at_one_time_however_many_wait(
    rabbit: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "FACTS_MAX", 10)
    seen: list[int] = []
    async with rabbit.order() as order:
        jars: list[str] = []
        for _ in range(20):
            jars += await tell(order, 5)
        escrow = rabbit.escrow()
        hear = escrow.desk.hear

        def counting(*given: Any, **named: Any) -> bool:
            seen.append(escrow.bus.consumer.facts)  # type: ignore[attr-defined]
            return hear(*given, **named)

        monkeypatch.setattr(escrow.desk, "hear", counting)
        async with escrow:
            await settled(order, escrow)
            assert await coins(escrow, jars) == {1: 100}
    assert 0 < max(seen) < 10 + 100


async def test_declaring_twice_changes_nothing_and_every_hearer_is_there(
    names: Names, channel: AbstractChannel
) -> None:
    await topology.declare(channel, names)
    for hearer in topology.HEARERS:
        for name in (names.queue(hearer), names.dead_queue(hearer)):
            assert (await channel.get_queue(name)).name == name
