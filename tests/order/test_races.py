"""Two replicas on one database, and people who act at the same moment: one outcome each, and stock to the piece."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from chassis.bus.local import Hall
from chassis.caller import Command
from chassis.decision import Refused
from chassis.desk import Overloaded, Unavailable
from contracts.money import Money
from services.order.commands import Cancel, CheckOut, Confirm, Recipient, Ship, Wanted
from tests import support
from tests.order.world import World, advance_offset, old_id, twin

RACES = 1000


@asynccontextmanager
async def two_replicas() -> AsyncIterator[tuple[World, World]]:
    async with (
        support.fresh_database("order") as url,
        support.build("order", url, Hall()) as one,
        support.build("order", url, Hall()) as other,
    ):
        w = await World(one).open()
        yield w, twin(w, other)


async def asked(w: World, command: Command) -> str:
    """The outcome of a command: "applied" or the refusal's code. A desk too busy to answer in time is asked again."""
    key = uuid4().hex
    while True:
        try:
            await w.service.desk.ask(command, operation=type(command).__name__, key=key)
        except (Overloaded, Unavailable):
            continue
        except Refused as refusal:
            return refusal.code
        return "applied"


async def paid_orders(replicas: Sequence[World], offer: Any, count: int) -> list[str]:
    """Many paid orders of the one buyer."""
    w = replicas[0]
    recipient = Recipient(old_id("rcp"), str(w.buyer.person_id), "320500")
    command = CheckOut(
        w.buyer, (Wanted(offer["id"], None, 1),), recipient, None, None, Money(**offer["price"])
    )  # fmt: skip
    await asyncio.gather(*(asked(replicas[n % 2], command) for n in range(count)))
    rows = await w.service.database.pool.fetch("SELECT order_id, checkout_id FROM orders")
    orders = [{"id": row[0], "checkout_id": row[1], "amount": offer["price"]} for row in rows]
    assert len(orders) == count
    await support.hear(w.service, *(w.held(order) for order in orders))
    return [str(order["id"]) for order in orders]


async def states(w: World) -> dict[str, Any]:
    rows = await w.service.database.pool.fetch("SELECT * FROM orders")
    return {row["order_id"]: row for row in rows}


async def test_forty_buyers_of_ten_pieces_before_two_replicas() -> None:
    async with two_replicas() as replicas:
        product = await replicas[0].product(stock=10)
        offer = await replicas[0].offer(product)
        buyers = [support.Caller(old_id("per")) for _ in range(40)]

        async def buy(n: int) -> str:
            w = replicas[n % 2]
            body = w.checkout_body(offer, caller=buyers[n])
            answer = await w.call(buyers[n], "POST", "/checkouts", json=body)
            return "placed" if answer.status_code == 201 else f"{answer.status_code} {answer.json()['code']}"

        outcomes = Counter(await asyncio.gather(*(buy(n) for n in range(40))))
        assert outcomes == {"placed": 10, "409 sold_out": 30}
        w = replicas[0]
        assert await w.stock(product) == (0, 10, 0) == await w.movements(product)


async def test_cancel_against_ship_a_thousand_times() -> None:
    """Whichever is decided first stands; the other is refused; no piece is lost or made."""
    chance = random.Random(20260501)
    async with two_replicas() as replicas:
        w = replicas[0]
        product = await w.product(stock=RACES)
        orders = await paid_orders(replicas, await w.offer(product), RACES)

        async def race(order_id: str) -> tuple[str, str, str]:
            rivals = [Cancel(w.buyer, order_id, None), Ship(w.seller, order_id, None, "sf", None)]
            chance.shuffle(rivals)
            places = chance.sample(replicas, 2)
            first, second = await asyncio.gather(*(asked(at, c) for at, c in zip(places, rivals, strict=True)))
            told = {type(rivals[0]): first, type(rivals[1]): second}
            return order_id, told[Cancel], told[Ship]

        outcomes: list[tuple[str, str, str]] = []
        for start in range(0, RACES, 100):
            outcomes += await asyncio.gather(*(race(order_id) for order_id in orders[start : start + 100]))
        after = await states(w)
        for order_id, cancelled, shipped in outcomes:
            assert sorted((cancelled, shipped)) == ["applied", "state_conflict"]
            assert after[order_id]["state"] == ("cancelled" if cancelled == "applied" else "shipped")
        seen = Counter(row["state"] for row in after.values())
        assert set(seen) == {"cancelled", "shipped"}
        assert await w.stock(product) == (seen["cancelled"], 0, seen["shipped"]) == await w.movements(product)


async def test_confirm_against_its_deadline_a_thousand_times() -> None:
    """Buyers confirm around the moment of the deadline while two replicas sweep: each order is received once, and by
    the deadline at exactly its due time."""
    chance = random.Random(20260502)
    async with two_replicas() as replicas:
        w = replicas[0]
        orders = await paid_orders(replicas, await w.offer(await w.product(stock=RACES)), RACES)
        await asyncio.gather(*(asked(w, Ship(w.seller, each, None, "sf", None)) for each in orders))
        confirm_by: datetime = next(iter((await states(w)).values()))["confirm_by"]
        left = confirm_by - await w.service.now()
        await advance_offset(w.service, int((left - timedelta(seconds=1)).total_seconds()))
        left = confirm_by - await w.service.now()

        async def confirm(order_id: str) -> tuple[str, str]:
            await asyncio.sleep(max(0.0, left.total_seconds() + chance.uniform(-0.6, 0.6)))
            return order_id, await asked(chance.choice(replicas), Confirm(w.buyer, order_id))

        outcomes = await asyncio.gather(*(confirm(order_id) for order_id in orders))
        await becomes(w, "SELECT count(*) FROM orders WHERE state = 'shipped'", 0)
        after = await states(w)
        for order_id, outcome in outcomes:
            row = after[order_id]
            assert (row["confirmed_by"] == "buyer") == (outcome == "applied")
            if outcome == "applied":
                assert row["received_at"] < confirm_by
            else:
                assert outcome == "state_conflict"
                assert row["received_at"] == confirm_by
        assert {row["confirmed_by"] for row in after.values()} == {"buyer", "deadline"}
        told = Counter(each["subject"] for each in await support.said(w.service, "order.delivery_confirmed.v1"))
        assert told == Counter(orders)


async def becomes(w: World, sql: str, value: int) -> None:
    """Wait until the sweeps have made this so."""
    for _ in range(200):
        if await w.service.database.pool.fetchval(sql) == value:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(sql)


async def test_expiry_and_cancellation_free_the_pieces_once() -> None:
    """The buyer cancels while two replicas sweep the same expired orders."""
    async with two_replicas() as replicas:
        w = replicas[0]
        product = await w.product(stock=100)
        offer = await w.offer(product)
        orders = [await w.placed(offer) for _ in range(20)]
        await w.advance(minutes=32)
        outcomes = await asyncio.gather(
            *(asked(replicas[n % 2], Cancel(w.buyer, order["id"], None)) for n, order in enumerate(orders))
        )
        assert set(outcomes) == {"state_conflict"}, "the deadline had taken effect already"
        await becomes(w, "SELECT count(*) FROM orders WHERE state = 'expired'", 20)
        assert await w.stock(product) == (100, 0, 0)
        assert await w.movements(product) == (100, 0, 0)
        assert len(await support.said(w.service, "order.expired.v1")) == 20
