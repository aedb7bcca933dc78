"""An order from its product to the confirmation that lets the money go."""

from tests.order.world import world
from tests.support import said


async def test_an_order_goes_from_product_to_confirmation_and_every_step_is_said() -> None:
    async with world() as w:
        product = await w.product(stock=10)
        offer = await w.offer(product)
        assert offer["rail_ok"]
        assert [(s["role"], s["bps"]) for s in offer["split"]] == [
            ("seller", 8300), ("partner", 1000), ("angel", 500), ("platform", 200),
        ]  # fmt: skip
        order = await w.placed(offer, quantity=2)
        assert await w.stock(product) == (8, 2, 0)
        assert (await w.order(order))["escrow_state"] == "awaiting_payment"

        await w.pay(order)
        assert await w.stock(product) == (8, 0, 2)
        shipment = await w.ship(order)
        delivered = await w.call(
            w.seller, "PATCH", f"/shipments/{shipment['id']}", json={"delivered": True}, headers={"if-match": '"1"'}
        )
        assert delivered.status_code == 200, delivered.text
        assert delivered.headers["etag"] == '"2"'
        confirmed = await w.move(order, "confirm")
        assert confirmed.status_code == 200, confirmed.text

        seen = await w.order(order)
        assert [step["state"] for step in seen["timeline"]] == ["placed", "paid", "shipped", "delivered", "received"]
        assert seen["confirmed_by"] == "buyer"
        assert seen["next_actions"] == []
        told = [each["type"] for each in await said(w.service) if each["subject"] == order["id"]]
        assert told == [
            "order.placed.v1", "order.paid.v1", "order.shipped.v1", "order.delivered.v1", "order.delivery_confirmed.v1",
        ]  # fmt: skip
        assert await w.movements(product) == await w.stock(product)
