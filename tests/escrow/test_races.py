"""Two desks on one database, as two replicas are: each race has one outcome, and both outcomes are seen."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack

import pytest

from chassis.bus.local import Hall
from chassis.service import Service
from chassis.verify import history_violations
from contracts.fact import Fact
from services.escrow import verify
from services.escrow.domain import Payment
from services.escrow.store import STORES
from tests.escrow.orders import Order, an_order
from tests.escrow.provider import ObedientProvider, capture, create_payment, eventually, proof
from tests.support import build, delivery_of, fresh_database, hear

Contender = Callable[[Service], Awaitable[None]]
AT_ONCE = 50


@pytest.fixture
async def replicas() -> AsyncIterator[tuple[Service, Service]]:
    async with fresh_database("escrow") as url, AsyncExitStack() as stack:
        first, second = [build("escrow", url, Hall(), ports=[ObedientProvider()]) for _ in range(2)]
        yield await stack.enter_async_context(first), await stack.enter_async_context(second)


async def opened(service: Service, count: int) -> list[tuple[Order, Payment]]:
    """So many orders, each with an open payment."""
    orders = [an_order(100 + n) for n in range(count)]
    await hear(service, *(order.placed() for order in orders))
    payments = [await asyncio.gather(*(create_payment(service, order) for order in some)) for some in chunks(orders)]
    return list(zip(orders, [payment for some in payments for payment in some], strict=True))


def chunks(orders: Sequence[Order]) -> Iterator[Sequence[Order]]:
    yield from (orders[n : n + AT_ONCE] for n in range(0, len(orders), AT_ONCE))


async def race(replicas: tuple[Service, Service], pairs: Sequence[tuple[Contender, Contender]], seed: int) -> None:
    """Every pair starts behind one barrier, one at each replica, and nobody knows who is first at which."""
    chance = random.Random(seed)
    for n in range(0, len(pairs), AT_ONCE):
        start = asyncio.Event()

        async def run(contender: Contender, replica: Service, start: asyncio.Event = start) -> None:
            await start.wait()
            await contender(replica)

        tasks = []
        for pair in pairs[n : n + AT_ONCE]:
            desks = chance.sample(replicas, 2)
            contenders = [run(contender, desk) for contender, desk in zip(pair, desks, strict=True)]
            chance.shuffle(contenders)
            tasks += [asyncio.create_task(contender) for contender in contenders]
        chance.shuffle(tasks)
        await asyncio.sleep(0)
        start.set()
        await asyncio.gather(*tasks)


async def honest(service: Service) -> None:
    """Nothing is under way any more, and every invariant holds."""
    assert await eventually(service, "SELECT NOT EXISTS (SELECT 1 FROM refunds WHERE state = 'sent')")
    found = [check for check in await verify.checks(service.database) if check.violations]
    assert found == []
    assert await history_violations(service.database, STORES) == []
    assert (await proof(service))["imbalance"] == 0


async def states(service: Service) -> Counter[str]:
    rows = await service.database.pool.fetch("SELECT state, count(*) FROM holds GROUP BY 1")
    return Counter({row["state"]: row["count"] for row in rows})


def paid(payment: Payment) -> Contender:
    return lambda replica: capture(replica, payment)


def redelivered(fact: Fact) -> Contender:
    """One copy of a fact, under its one id, wherever it is taken."""
    delivery = delivery_of(fact)

    async def hear_it(replica: Service) -> None:
        done = asyncio.get_running_loop().create_future()
        replica.desk.hear(delivery, lambda: done.done() or done.set_result(None))
        await asyncio.wait_for(done, 10)

    return hear_it


async def test_a_thousand_races_of_a_late_payment_and_the_expiry(replicas: tuple[Service, Service]) -> None:
    """Whoever is first, the buyer has the money back: straight from suspense, or from the hold it was in."""
    orders = await opened(replicas[0], 1000)
    await race(
        replicas,
        [(paid(payment), lambda replica, order=order: hear(replica, order.expired())) for order, payment in orders],
        1,
    )
    await honest(replicas[0])
    seen = await states(replicas[0])
    too_late = await replicas[0].database.pool.fetchval("SELECT count(*) FROM suspense WHERE reason = 'late'")
    assert set(seen) == {"void", "refunded"}, "both outcomes are seen"
    assert seen["void"] == too_late
    assert await proof(replicas[0]) == {
        "captured": sum(order.amount for order, _ in orders), "suspense": 0, "held": 0, "released": 0,
        "refunded": sum(order.amount for order, _ in orders), "imbalance": 0,
    }  # fmt: skip


async def test_five_hundred_races_of_release_and_refund(replicas: tuple[Service, Service]) -> None:
    orders = await opened(replicas[0], 500)
    await asyncio.gather(*(capture(replicas[0], payment) for _, payment in orders))
    pairs: list[tuple[Contender, Contender]] = [
        (
            lambda replica, order=order: hear(replica, order.confirmed()),
            lambda replica, order=order: hear(replica, order.cancelled()),
        )
        for order, _ in orders
    ]
    await race(replicas, pairs, 2)
    await honest(replicas[0])
    seen = await states(replicas[0])
    assert set(seen) == {"released", "refunded"}, "both outcomes are seen"
    both = await replicas[0].database.pool.fetchval("SELECT count(*) FROM holds WHERE released > 0 AND refunded > 0")
    assert both == 0


async def test_two_hundred_races_of_two_payments_for_one_checkout(replicas: tuple[Service, Service]) -> None:
    orders = await opened(replicas[0], 200)
    seconds = await asyncio.gather(*(create_payment(replicas[0], order) for order, _ in orders))
    await race(replicas, [(paid(first), paid(second)) for (_, first), second in zip(orders, seconds, strict=True)], 3)
    await honest(replicas[0])
    assert await states(replicas[0]) == Counter({"held": 200})
    assert await replicas[0].database.pool.fetchval("SELECT count(*) FROM suspense WHERE reason = 'paid_twice'") == 200
    winners = await replicas[0].database.pool.fetchval(
        "SELECT count(*) FROM payments WHERE state = 'captured' AND payment_id = ANY($1)",
        [payment.payment_id for payment in seconds],
    )
    assert 0 < winners < 200, "both outcomes are seen"


async def test_every_message_at_both_replicas_at_once_has_one_effect(replicas: tuple[Service, Service]) -> None:
    """A rolling restart of the bus brings every fact to both."""
    orders = [order for order, _ in await opened(replicas[0], 50)]
    payments = list(await asyncio.gather(*(create_payment(replicas[0], order) for order in orders)))
    for messages in (
        [paid(payment) for payment in payments],
        [redelivered(order.attributed(None)) for order in orders],
        [redelivered(order.confirmed()) for order in orders],
    ):
        await race(replicas, [(message, message) for message in messages], 4)
    await honest(replicas[0])
    assert await states(replicas[0]) == Counter({"released": 50})
    assert (
        await replicas[0].database.pool.fetchval("SELECT count(*) FROM outbox WHERE type = 'escrow.released.v1'") == 50
    )
    assert await replicas[0].database.pool.fetchval("SELECT count(*) FROM suspense") == 0
