"""Who may: the buyer, the seller's people and keys, the partner's people; a stranger learns nothing."""

from typing import Any

import pytest

from chassis.caller import Caller
from chassis.web import In, Out
from services.order.schemas import goods, orders
from tests.order.world import World, old_id, world
from tests.support import key


def keyed(party: str, *scopes: str) -> Caller:
    return Caller(party_id=party, key_id=old_id("key"), scopes=frozenset(scopes))


async def status(w: World, caller: Caller | None, method: str, path: str, **given: Any) -> int:
    return (await w.call(caller, method, path, **given)).status_code


async def test_an_order_is_seen_by_its_buyer_its_seller_and_its_partner_alone() -> None:
    async with world() as w:
        order = await w.placed(await w.offer(await w.product()))
        path = f"/orders/{order['id']}"
        foreign_key = keyed(old_id("mch"), "orders:read")
        for caller in (w.buyer, w.seller, w.picker, w.partner_owner, keyed(w.merchant, "orders:read")):
            assert await status(w, caller, "GET", path) == 200
        for caller in (w.stranger, foreign_key):
            assert await status(w, caller, "GET", path) == 404
            assert (await w.done(caller, "GET", "/orders", params={"as": "seller"}))["data"] == []
        assert await status(w, keyed(w.merchant), "GET", path) == 403
        assert await status(w, None, "GET", path) == 401
        assert await status(w, w.buyer, "GET", f"/orders/{old_id('ord')}") == 404


async def test_lists_show_each_side_its_own_orders() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        orders = [await w.placed(offer) for _ in range(3)]
        await w.shipped(offer, w.stranger)
        mine = await w.done(w.buyer, "GET", "/orders", params={"limit": 2})
        assert [each["id"] for each in mine["data"]] == [orders[2]["id"], orders[1]["id"]]
        assert mine["has_more"]
        rest = await w.done(w.buyer, "GET", "/orders", params={"starting_after": orders[1]["id"]})
        assert [each["id"] for each in rest["data"]] == [orders[0]["id"]]
        assert not rest["has_more"]
        for caller in (w.seller, w.partner_owner, keyed(w.merchant, "orders:read")):
            assert len((await w.done(caller, "GET", "/orders", params={"as": "seller"}))["data"]) == 4
        (shipped,) = (await w.done(w.seller, "GET", "/orders", params={"as": "seller", "state": "shipped"}))["data"]
        assert shipped["shipments"][0]["carrier"] == "sf"
        assert (await w.done(w.seller, "GET", "/orders"))["data"] == []


async def test_the_buyer_sees_roles_and_not_who_is_behind_them() -> None:
    async with world() as w:
        order = await w.placed(await w.offer(await w.product()))
        mine, theirs = await w.order(order), await w.order(order, w.seller)
        payees = [{s["role"]: s["payee"] for s in each["terms"][0]["shares"]} for each in (mine, theirs)]
        assert payees[0] == {"seller": w.merchant, "partner": None, "angel": None, "platform": "platform"}
        assert payees[1]["partner"] == w.partner
        assert [s["amount"]["amount"] for s in mine["terms"][0]["shares"]] == [3312, 399, 199, 80]
        assert (mine["buyer"], theirs["buyer"]) == (w.buyer.person_id, None)
        assert {(a["move"], a["by"]) for a in mine["next_actions"]} == {("pay", "buyer"), ("cancel", "buyer")}
        assert {(a["move"], a["by"]) for a in theirs["next_actions"]} == {("cancel", "seller")}


async def test_moves_are_refused_by_who_one_is() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        order = await w.placed(offer)
        await w.pay(order)
        path, parcel = f"/orders/{order['id']}", {"carrier": "sf"}
        reason = {"reason_code": "no_goods"}
        assert await status(w, w.stranger, "POST", f"{path}/cancel", json=reason) == 404
        for caller in (w.picker, w.partner_owner, keyed(w.merchant, "products:write")):
            assert await status(w, caller, "POST", f"{path}/cancel", json=reason) == 403
            assert await status(w, caller, "POST", f"{path}/shipments", json=parcel) == 403
        assert await status(w, w.buyer, "POST", f"{path}/shipments", json=parcel) == 403
        assert await status(w, w.stranger, "POST", f"{path}/shipments", json=parcel) == 404
        by_key = await w.done(keyed(w.merchant, "orders:write"), "POST", f"{path}/shipments", json=parcel)
        shipment, tag = f"/shipments/{by_key['id']}", {"if-match": '"1"'}
        body = {"tracking": "SF1234567"}
        assert await status(w, w.stranger, "PATCH", shipment, json=body, headers=tag) == 404
        assert await status(w, w.buyer, "PATCH", shipment, json=body, headers=tag) == 403
        assert await status(w, w.stranger, "POST", f"{path}/confirm", json={}) == 404
        assert await status(w, w.seller, "POST", f"{path}/confirm", json={}) == 403
        assert await status(w, w.partner_owner, "POST", f"{path}/confirm", json={}) == 403


async def test_goods_are_managed_by_the_sellers_people_alone() -> None:
    async with world() as w:
        product = await w.product(state="draft")
        offer = await w.offer(await w.product())
        made = {
            "merchant_id": w.merchant, "name": "tea", "variants": [{"name": "tin"}], "delivery_kind": "express"
        }  # fmt: skip
        moved = {"variant_id": product["variants"][0]["id"], "delta": 1, "reason_code": "found"}
        offered = {"product_id": offer["product_id"], "seller": w.merchant, "price": {"amount": 1, "currency": "CNY"}}
        tag = {"if-match": '"1"'}
        for caller, expected in ((w.stranger, 404), (w.picker, 403), (w.partner_owner, 404), (None, 401)):
            assert await status(w, caller, "POST", "/products", json=made) == expected
            assert await status(w, caller, "POST", "/stock-movements", json=moved) == expected
            assert await status(w, caller, "POST", "/offers", json=offered) == expected
            assert await status(w, caller, "DELETE", f"/offers/{offer['id']}") == expected
            patched = await status(w, caller, "PATCH", f"/products/{product['id']}", json={"name": "x"}, headers=tag)
            assert patched == expected


async def test_a_draft_and_its_stock_are_the_merchants_alone() -> None:
    async with world() as w:
        draft, public = await w.product(state="draft"), await w.product(stock=7)
        for caller in (w.stranger, None):
            assert await status(w, caller, "GET", f"/products/{draft['id']}") == 404
            listed = (await w.call(caller, "GET", "/products", params={"merchant_id": w.merchant})).json()["data"]
            assert [each["id"] for each in listed] == [public["id"]]
            assert listed[0]["variants"][0]["stock"] is None
            assert listed[0]["variants"][0]["in_stock"]
        own = await w.done(w.seller, "GET", "/products")
        assert [each["id"] for each in own["data"]] == [public["id"], draft["id"]]
        assert own["data"][0]["variants"][0]["stock"][0]["available"] == 7
        drafts = await w.done(keyed(w.merchant, "products:read"), "GET", "/products", params={"state": "draft"})
        assert [each["id"] for each in drafts["data"]] == [draft["id"]]
        assert await status(w, keyed(w.merchant), "GET", f"/products/{draft['id']}") == 404


async def test_a_seller_may_buy_from_itself_and_a_party_key_buys_nothing() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        order = await w.placed(offer, caller=w.seller)
        seen = await w.order(order, w.seller)
        assert {a["by"] for a in seen["next_actions"]} == {"buyer", "seller"}
        body = w.checkout_body(offer)
        assert await status(w, keyed(w.merchant, "orders:write"), "POST", "/checkouts", json=body) == 403
        assert await status(w, None, "POST", "/checkouts", json=body) == 401


async def test_unreadable_text_is_refused_at_the_door() -> None:
    async with world() as w:
        made = {"merchant_id": w.merchant, "variants": [{"name": "tin"}], "delivery_kind": "express"}
        for name in ("a\x00b", "", "x" * 121):
            assert await status(w, w.seller, "POST", "/products", json={**made, "name": name}) == 422
        lone = f'{{"merchant_id": "{w.merchant}", "name": "\\ud800", "variants": [{{"name": "t"}}], "delivery_kind": "local"}}'
        headers = {"content-type": "application/json", **key()}
        assert await status(w, w.seller, "POST", "/products", content=lone, headers=headers) == 422
        assert await status(w, w.buyer, "POST", f"/orders/{old_id('ord')}/refund", json={}) == 404


INJECTED: list[tuple[type[In], type[Out], str, str, dict[str, Any]]] = [
    (goods.ProductIn, goods.ProductOut, "POST", "/products", {}),
    (goods.ProductPatch, goods.ProductOut, "PATCH", "/products/{product}", {"name": "x"}),
    (goods.StockMovementIn, goods.StockOut, "POST", "/stock-movements", {}),
    (goods.OfferIn, goods.OfferOut, "POST", "/offers", {}),
    (orders.CheckoutIn, orders.CheckoutOut, "POST", "/checkouts", {}),
    (orders.OrderMoveIn, orders.OrderOut, "POST", "/orders/{order}/cancel", {}),
    (orders.ShipmentIn, orders.ShipmentOut, "POST", "/orders/{order}/shipments", {"carrier": "sf"}),
    (orders.TrackingIn, orders.ShipmentOut, "PATCH", "/shipments/{shipment}", {"tracking": "SF1234"}),
    (orders.DeliveredIn, orders.ShipmentOut, "PATCH", "/shipments/{shipment}", {"delivered": True}),
]


@pytest.mark.parametrize(("taken", "given", "method", "path", "body"), INJECTED)
async def test_a_member_that_a_request_does_not_declare_is_refused(
    taken: type[In], given: type[Out], method: str, path: str, body: dict[str, Any]
) -> None:
    """A client cannot set a state, a version, an amount or an owner: what answers carry is not what requests take."""
    async with world() as w:
        path = path.format(product=old_id("prd"), order=old_id("ord"), shipment=old_id("shp"))
        foreign = set(given.model_fields) - set(taken.model_fields)
        if taken in {orders.TrackingIn, orders.DeliveredIn}:
            foreign -= {"tracking"}
        assert foreign
        for name in foreign:
            answer = await w.call(w.seller, method, path, json={**body, name: "paid"}, headers={"if-match": '"1"'})
            assert answer.status_code == 422, (name, answer.text)
            assert any(each["pointer"].endswith(f"/{name}") for each in answer.json()["errors"])
