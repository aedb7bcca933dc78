"""What happens by itself happens at its due time, once, however late anybody looks."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from chassis.bus.local import Hall
from contracts.escrow import Refunded, Released
from contracts.money import Money
from tests import support
from tests.order.world import World, old_id, world, yuan
from tests.support import said


async def settled(w: World, order: Any, ok: Callable[[Any], bool]) -> Any:
    """The order once the sweep has made `ok` true of it."""
    for _ in range(100):
        seen = await w.order(order)
        if ok(seen):
            return seen
        await asyncio.sleep(0.05)
    raise AssertionError(seen)


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_an_unpaid_order_expires_two_minutes_after_pay_by_and_its_pieces_are_free_again() -> None:
    async with world() as w:
        product = await w.product(stock=5)
        order = await w.placed(await w.offer(product), 3)
        seen = await w.order(order)
        pay_by, expire_at = when(seen["deadlines"]["pay_by"]), when(seen["deadlines"]["expire_at"])
        assert expire_at - pay_by == timedelta(seconds=120)
        await w.advance(to=pay_by)
        assert (await w.order(order))["state"] == "placed"
        await w.advance(to=expire_at)
        seen = await settled(w, order, lambda each: each["state"] == "expired")
        assert when(seen["timeline"][-1]["at"]) == expire_at
        assert seen["escrow_state"] == "void"
        assert await w.stock(product) == (5, 0, 0) == await w.movements(product)
        (fact,) = await said(w.service, "order.expired.v1")
        assert when(fact["data"]["at"]) == expire_at
        await w.pay(order)
        assert (await w.order(order))["state"] == "expired", "the money is escrow's to give back"
        assert (await w.move(order, "cancel")).json()["state"] == "expired"


async def test_an_order_that_does_not_leave_in_time_is_cancelled_and_the_goods_are_on_sale_again() -> None:
    async with world() as w:
        product = await w.product(stock=5, ship_by_hours=24)
        order = await w.placed(await w.offer(product), 3)
        await w.pay(order)
        seen = await w.order(order)
        ship_by = when(seen["deadlines"]["ship_by"])
        assert ship_by - when(seen["paid_at"]) == timedelta(hours=24)
        await w.advance(to=ship_by)
        late = await w.call(w.seller, "POST", f"/orders/{order['id']}/shipments", json={"carrier": "sf"})
        assert (late.status_code, late.json()["state"]) == (409, "cancelled")
        seen = await settled(w, order, lambda each: each["state"] == "cancelled")
        assert (seen["escrow_state"], seen["reason_code"]) == ("refunding", "ship_by_passed")
        (fact,) = await said(w.service, "order.cancelled.v1")
        assert (fact["data"]["by"], when(fact["data"]["at"])) == ("deadline", ship_by)
        assert await w.stock(product) == (5, 0, 0) == await w.movements(product)


async def test_a_silent_buyer_has_received_at_the_deadline_and_the_order_completes_after_the_return_window() -> None:
    async with world() as w:
        order = await w.shipped(await w.offer(await w.product()))
        confirm_by = when((await w.order(order))["deadlines"]["confirm_by"])
        await w.advance(to=confirm_by + timedelta(hours=30))
        seen = await settled(w, order, lambda each: each["state"] == "received")
        assert (when(seen["received_at"]), seen["confirmed_by"]) == (confirm_by, "deadline")
        assert (await w.move(order, "confirm")).status_code == 409
        return_until = when(seen["deadlines"]["return_until"])
        assert return_until - confirm_by == timedelta(days=8), (
            "midnight to midnight: seven days and the one it began on"
        )
        await w.advance(to=return_until)
        seen = await settled(w, order, lambda each: each["state"] == "completed")
        assert when(seen["completed_at"]) == return_until
        (fact,) = await said(w.service, "order.completed.v1")
        assert (fact["data"]["net_amount"], fact["data"]["repeat"], fact["data"]["shipped_on_time"]) == (
            yuan(3990), False, True,
        )  # fmt: skip


async def test_a_second_order_from_the_same_seller_is_a_repeat() -> None:
    async with world() as w:
        offer = await w.offer(await w.product(return_policy={"excluded": True}))
        for _ in range(2):
            order = await w.shipped(offer)
            assert (await w.move(order, "confirm")).status_code == 200
            await settled(w, order, lambda each: each["state"] == "completed")
        assert [each["data"]["repeat"] for each in await said(w.service, "order.completed.v1")] == [False, True]


async def test_a_service_that_was_down_across_the_confirm_deadline_confirms_at_the_deadline() -> None:
    """The clock's row moves while nothing runs; nobody asks for anything after the start."""
    async with support.fresh_database("order") as url:
        async with support.build("order", url, Hall()) as before:
            w = await World(before).open()
            order = await w.shipped(await w.offer(await w.product()))
            confirm_by = when((await w.order(order))["deadlines"]["confirm_by"])
            three_days_past = int((confirm_by - await before.now()).total_seconds()) + 3 * 86_400
        down = await asyncpg.connect(url)
        await down.execute("INSERT INTO clock_offsets VALUES ('sandbox', $1, 1, 1, 0, '')", three_days_past)
        async with support.build("order", url, Hall()) as after:
            for _ in range(100):
                if facts := await said(after, "order.delivery_confirmed.v1"):
                    break
                await asyncio.sleep(0.05)
            assert when(facts[0]["data"]["confirmed_at"]) == confirm_by
            row = await down.fetchrow("SELECT state, received_at, confirmed_by FROM orders")
            assert tuple(row) == ("received", confirm_by, "deadline")
        await down.close()


async def test_a_buyer_cancels_an_unpaid_checkout_and_a_paid_order_before_it_is_sent() -> None:
    async with world() as w:
        product = await w.product(stock=5)
        offer = await w.offer(product)
        unpaid, paid = await w.placed(offer, 2), await w.placed(offer)
        await w.pay(paid)
        assert await w.stock(product) == (2, 2, 1)
        first = await w.move(unpaid, "cancel")
        second = await w.move(paid, "cancel", reason_code="changed_mind")
        assert (first.json()["escrow_state"], second.json()["escrow_state"]) == ("void", "refunding")
        assert (await w.move(paid, "cancel")).status_code == 409
        assert await w.stock(product) == (5, 0, 0) == await w.movements(product)
        told = [(f["data"]["by"], f["data"]["reason_code"]) for f in await said(w.service, "order.cancelled.v1")]
        assert told == [("buyer", "buyer_cancelled"), ("buyer", "changed_mind")]


async def test_a_seller_who_cancels_says_why() -> None:
    async with world() as w:
        order = await w.placed(await w.offer(await w.product()))
        await w.pay(order)
        mute = await w.move(order, "cancel", w.seller)
        assert (mute.status_code, mute.json()["errors"][0]["pointer"]) == (422, "/reason_code")
        seen = (await w.move(order, "cancel", w.seller, reason_code="no_goods")).json()
        assert (seen["state"], seen["reason_code"]) == ("cancelled", "no_goods")
        shipped = await w.shipped(await w.offer(await w.product()))
        assert (await w.move(shipped, "cancel", w.seller, reason_code="no_goods")).status_code == 409


async def test_a_parcel_carries_the_whole_order_and_its_tracking_is_said_once() -> None:
    async with world() as w:
        order = await w.placed(await w.offer(await w.product()), 2)
        path = f"/orders/{order['id']}/shipments"
        early = await w.call(w.seller, "POST", path, json={"carrier": "sf"})
        assert (early.status_code, early.json()["state"]) == (409, "placed")
        await w.pay(order)
        assert (await w.call(w.seller, "POST", path, json={})).status_code == 422
        (line,) = (await w.order(order))["lines"]
        part = {"carrier": "sf", "lines": [{"line_id": line["id"], "quantity": 1}]}
        assert (await w.call(w.seller, "POST", path, json=part)).status_code == 422
        whole = {"carrier": "sf", "lines": [{"line_id": line["id"], "quantity": 2}]}
        shipment = await w.done(w.seller, "POST", path, json=whole)
        assert (await w.call(w.seller, "POST", path, json=whole)).status_code == 409
        parcel = f"/shipments/{shipment['id']}"
        said_once = {"tracking": "SF1234567"}
        assert (await w.call(w.seller, "PATCH", parcel, json=said_once)).status_code == 428
        first = await w.call(w.seller, "PATCH", parcel, json=said_once, headers={"if-match": '"1"'})
        assert (first.status_code, first.json()["tracking"]) == (200, "SF1234567")
        stale = await w.call(w.seller, "PATCH", parcel, json={"delivered": True}, headers={"if-match": '"1"'})
        assert stale.status_code == 412
        again = await w.call(w.seller, "PATCH", parcel, json=said_once, headers={"if-match": '"2"'})
        assert (again.status_code, again.json()["code"]) == (409, "tracking_final")
        both = {"tracking": "SF1234567", "delivered": True}
        assert (await w.call(w.seller, "PATCH", parcel, json=both, headers={"if-match": '"2"'})).status_code == 422
        assert "SF1234567" not in str(await said(w.service)), "facts carry no tracking number"


def released(order: Any, at: datetime) -> Released:
    return Released(order_id=order["id"], at=at, legs=())


def refunded(order: Any, amount: int, *, complete: bool) -> Refunded:
    return Refunded(
        order_id=order["id"], refund_id=old_id("rfd"), cause_id=order["id"], amount=Money(**yuan(amount)), lines=(),
        reversed=(), complete=complete,
    )  # fmt: skip


async def test_a_reader_waits_for_the_release_and_for_nothing_that_will_never_come() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        order = await w.shipped(offer)
        assert (await w.move(order, "confirm")).status_code == 200
        waiting = asyncio.create_task(w.order(order, wait="released"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await support.hear(w.service, released(order, await w.service.now()))
        assert (await waiting)["escrow_state"] == "released"
        gone = await w.placed(offer)
        await w.move(gone, "cancel")
        async with asyncio.timeout(2):
            assert (await w.order(gone, wait="paid"))["state"] == "cancelled"


async def test_what_escrow_gives_back_is_seen_and_a_complete_refund_ends_an_open_order() -> None:
    async with world() as w:
        product = await w.product(stock=5)
        offer = await w.offer(product)
        order, cancelled, unshipped = await w.shipped(offer), await w.placed(offer), await w.placed(offer)
        await w.pay(cancelled)
        await w.pay(unshipped)
        await w.move(cancelled, "cancel")
        await support.hear(
            w.service,
            refunded(order, 990, complete=False),
            refunded(cancelled, 3990, complete=True),
            refunded(unshipped, 3990, complete=True),
        )
        part, whole, ruled = [await w.order(each) for each in (order, cancelled, unshipped)]
        assert (part["state"], part["escrow_state"], part["refunded"]) == ("shipped", "held", yuan(990))
        assert (whole["state"], whole["escrow_state"], whole["refunded"]) == ("cancelled", "refunded", yuan(3990))
        assert (ruled["state"], ruled["escrow_state"]) == ("refunded", "refunded")
        assert await w.stock(product) == (4, 0, 1) == await w.movements(product)


async def test_a_release_heard_before_the_payment_waits_for_it() -> None:
    async with world() as w:
        order = await w.placed(await w.offer(await w.product()))
        await support.hear(w.service, released(order, await w.service.now()))
        assert (await w.order(order))["escrow_state"] == "awaiting_payment"
        await w.pay(order)
        seen = await settled(w, order, lambda each: each["escrow_state"] == "released")
        assert seen["state"] == "paid"
