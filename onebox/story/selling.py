"""What happens to the money: confirmed by the buyer, by the deadline, cancelled, and paid too late."""

from datetime import timedelta
from typing import Any

from onebox.story.person import Person
from onebox.story.stage import Stage
from onebox.story.words import Words, yuan

PRICE = 3990
ADDRESS = {"name": "收件人", "phone": "13900000000", "region_code": "330100", "address": "西湖区某路 1 号"}
ROLES = {
    "seller": Words("果园（卖家）", "orchard (seller)"),
    "partner": Words("合伙人", "partner"),
    "angel": Words("天使（仅一级）", "angel (one level only)"),
    "author": Words("作者", "author"),
    "tribe_pool": Words("部落公池", "tribe pool"),
    "platform": Words("平台", "platform"),
}


async def angel_shares(stage: Stage) -> None:
    """Everybody is a channel: no fee, no level above or below."""
    angel = stage.people["angel"]
    await angel.put("/v1/angels/me", {"rules_version": 1})
    link = await angel.post("/v1/share-links", {"content_id": stage.ids["content"]})
    stage.ids["link"] = link["token"]
    await stage.timeline.step(
        angel.name, Words("一键成为天使，分享果园的故事", "becomes an angel with one call and shares the story")
    )


async def buy(stage: Stage, buyer: Person, quantity: int, **more: Any) -> tuple[str, str]:
    """Place an order of oranges; its id and its checkout's."""
    recipient = await buyer.post("/v1/recipients", ADDRESS)
    checkout = await buyer.post(
        "/v1/checkouts",
        {
            "lines": [{"offer_id": stage.ids["offer"], "quantity": quantity}],
            "recipient_token": recipient["recipient_token"],
            "expected_total": {"amount": PRICE * quantity, "currency": "CNY"},
            **more,
        },
    )
    return checkout["orders"][0]["id"], checkout["id"]


async def confirmed_by_the_buyer(stage: Stage) -> None:
    """The main road: touch, order, pay into escrow, ship, deliver, confirm, release."""
    buyer = await stage.person("lin", Words("小林", "Xiao Lin"))
    touch = await buyer.post("/v1/touches", {"token": stage.ids["link"]})
    order_id, checkout_id = await buy(
        stage, buyer, 2, touch_token=touch["touch_token"], content_id=stage.ids["content"]
    )
    await stage.timeline.step(
        buyer.name, Words("从阿珍的分享下单两箱", "orders two boxes from A Zhen's link"), yuan(2 * PRICE)
    )
    await stage.pay(buyer, checkout_id)
    await stage.hold(buyer, order_id, "held")
    await stage.timeline.step(
        buyer.name,
        Words("付款：钱由担保托管，卖家还拿不到", "pays: the money is held in escrow, the seller cannot touch it"),
    )
    await ship(stage, order_id)
    await buyer.post(f"/v1/orders/{order_id}/confirm", {}, expect=200)
    hold = await stage.hold(buyer, order_id, "released")
    await stage.timeline.step(
        buyer.name,
        Words("确认收货：托管的钱按约定分开", "confirms receipt: the held money is split by the pinned terms"),
    )
    stage.timeline.split(Words("分账到分：", "To the fen:"), hold, ROLES)


async def ship(stage: Stage, order_id: str) -> None:
    """The seller ships as soon as the order is known to be paid, and says when it has arrived."""
    owner = stage.people["merchant"]
    await paid(owner, order_id)  # Escrow says `held` first; the order hears it a moment later.
    shipment = await owner.post(f"/v1/orders/{order_id}/shipments", {"carrier": "sf", "tracking": "SF1234567890"})
    await stage.timeline.step(owner.name, Words("发货", "ships"))
    await owner.patch(f"/v1/shipments/{shipment['id']}", {"delivered": True}, shipment["version"])
    await stage.timeline.step(owner.name, Words("送达", "delivered"))


async def cancelled_before_shipping(stage: Stage) -> None:
    """The buyer can stop before the goods leave: all of it goes back."""
    buyer = await stage.person("chen", Words("陈姐", "Chen"))
    order_id, checkout_id = await buy(stage, buyer, 1)
    await stage.pay(buyer, checkout_id)
    await stage.hold(buyer, order_id, "held")
    await stage.timeline.step(buyer.name, Words("下单并付款", "orders and pays"))
    await paid(buyer, order_id)
    await buyer.post(f"/v1/orders/{order_id}/cancel", {}, expect=200)
    await stage.hold(buyer, order_id, "refunded")
    await stage.timeline.step(
        buyer.name, Words("发货前取消：全额原路退回", "cancels before shipping: all of it goes back the way it came")
    )


async def paid(who: Person, order_id: str) -> None:
    """Wait until the order itself has heard that its money is held."""
    await who.get(f"/v1/orders/{order_id}", wait="paid")


async def confirmed_by_the_deadline(stage: Stage) -> None:
    """A buyer who says nothing does not keep the seller from the money: the published deadline confirms."""
    buyer = await stage.person("zhou", Words("老周", "Lao Zhou"))
    order_id, checkout_id = await buy(stage, buyer, 1)
    await stage.pay(buyer, checkout_id)
    await stage.hold(buyer, order_id, "held")
    await stage.timeline.step(buyer.name, Words("下单并付款", "orders and pays"))
    await ship(stage, order_id)
    order = await buyer.get(f"/v1/orders/{order_id}")
    await stage.timeline.advance(buyer, timedelta(days=11))
    received = await buyer.get(f"/v1/orders/{order_id}")
    assert received["received_at"] == order["deadlines"]["confirm_by"], received  # noqa: S101 - the story is a proof
    await stage.hold(buyer, order_id, "released")
    await stage.timeline.step(
        buyer.name,
        Words(
            "十天没有说话：到期自动确认，钱放给卖家",
            "says nothing for ten days: the deadline confirms, the money is released",
        ),
    )


async def paid_too_late(stage: Stage) -> None:
    """A payment after the order has expired belongs to nobody's hold: it is given back whole."""
    buyer = await stage.person("wu", Words("吴叔", "Uncle Wu"))
    _, checkout_id = await buy(stage, buyer, 1)
    payment = await stage.open_payment(buyer, checkout_id)
    await stage.timeline.step(buyer.name, Words("下单，忘了付款", "orders and forgets to pay"))
    await stage.timeline.advance(buyer, timedelta(hours=1))
    before = await stage.timeline.books()
    await stage.press_pay(payment["pay_url"])
    await given_back(stage, before["refunded"] + PRICE)
    await stage.timeline.step(
        buyer.name,
        Words("一小时后才付款：订单已过期，全额退回", "pays an hour later: the order has expired, all of it goes back"),
    )


async def given_back(stage: Stage, refunded: int) -> None:
    """Wait until so much has been refunded in all, and suspense is empty again."""
    for _ in range(600):
        now = await stage.timeline.books()
        if now["refunded"] >= refunded and now["suspense"] == 0:
            return
        await stage.timeline.pause(0.05)
    raise TimeoutError("the late payment was not refunded")
