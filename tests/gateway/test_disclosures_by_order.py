"""The gateway and the real order service: an address is shown while there is something to ship, to who ships it."""

from chassis.caller import Caller
from tests import support
from tests.gateway.world import key, world
from tests.order.world import world as order_world

RECIPIENT = {"name": "王小明", "phone": "13912345678", "region_code": "320500", "address": "平江路 8 号 2 单元"}


async def test_an_address_is_shown_to_the_seller_alone_from_payment_to_receipt() -> None:
    async with (
        order_world() as shop,
        world(real={"order": shop.service.app}) as here,
        here.someone() as buyer,
        here.someone() as seller,
        here.someone() as partner,
    ):
        await support.hear(
            shop.service,
            shop.staff(shop.merchant, Caller(seller.person_id), "staff"),
            shop.staff(shop.partner, Caller(partner.person_id), "owner"),
        )
        made = (await buyer.post("/v1/recipients", json=RECIPIENT, headers=key())).json()
        offer = await shop.offer(await shop.product())
        body = {**shop.checkout_body(offer), "recipient_token": made["recipient_token"]}
        placed = await buyer.post("/v1/checkouts", json=body, headers=key())
        assert placed.status_code == 201, placed.text
        order = {**placed.json()["orders"][0], "checkout_id": placed.json()["id"]}
        asked = {"order_id": order["id"], "purpose": "shipping"}

        assert (await seller.post("/v1/disclosures", json=asked, headers=key())).status_code == 403
        await shop.pay(order)
        shown = await seller.post("/v1/disclosures", json=asked, headers=key())
        assert shown.status_code == 201, shown.text
        assert shown.json()["address"] == RECIPIENT["address"]
        for other in (buyer, partner):
            assert (await other.post("/v1/disclosures", json=asked, headers=key())).status_code == 403
        await shop.ship(order)
        assert (await seller.post("/v1/disclosures", json=asked, headers=key())).status_code == 201
        confirmed = await buyer.post(f"/v1/orders/{order['id']}/confirm", json={}, headers=key())
        assert confirmed.status_code == 200, confirmed.text
        assert (await seller.post("/v1/disclosures", json=asked, headers=key())).status_code == 403
        (_, _) = (await buyer.get("/v1/events")).json()["data"]
