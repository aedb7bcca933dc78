"""Buying: what a checkout accepts, what it refuses and why, and what it says."""

from typing import Any

import pytest

from chassis.caller import Caller
from contracts import problems
from contracts.partner import MerchantChanged
from contracts.tribe import ContentPublished, ContentWithdrawn
from tests.order.world import World, old_id, world, yuan
from tests.support import hear, key, new_id, said


async def refusal(w: World, body: Any, caller: Caller | None = None) -> tuple[int, str]:
    answer = await w.call(caller or w.buyer, "POST", "/checkouts", json=body)
    told = answer.json()
    assert told["code"] in problems.codes(), "every refusal has its words"
    return answer.status_code, told["code"]


async def test_the_placed_order_says_what_escrow_and_distribution_need() -> None:
    async with world() as w:
        offer = await w.offer(await w.product(), tribe_id=(tribe := old_id("trb")))
        content = old_id("cnt")
        await hear(w.service, content_fact(ContentPublished, content))
        body = w.checkout_body(offer, 2, touch_token="a.touch.token", content_id=content)
        checkout = await w.done(w.buyer, "POST", "/checkouts", json=body)
        (placed,) = await said(w.service, "order.placed.v1")
        data = placed["data"]
        assert placed["audience"] == [w.merchant, w.partner]
        assert data["checkout"] == {
            "checkout_id": checkout["id"],
            "order_ids": [checkout["orders"][0]["id"]],
            "amount": yuan(7980),
        }
        told = (data["touch_token"], data["content_id"], data["tribe_id"], data["partner_id"], data["buyer"])
        assert told == ("a.touch.token", content, tribe, w.partner, w.buyer.person_id)
        (line,) = data["terms"]["lines"]
        assert [(s["role"], s["payee"], s["bps"], s["matures"]) for s in line["shares"]] == [
            ("seller", w.merchant, 8300, "release"),
            ("partner", w.partner, 1000, "release"),
            ("angel", None, 500, "completion"),
            ("platform", "platform", 200, "release"),
        ]


async def test_a_repeated_key_buys_once_and_another_body_under_it_is_refused() -> None:
    async with world() as w:
        product = await w.product(stock=5)
        offer = await w.offer(product)
        body, headers = w.checkout_body(offer), key()
        first = await w.call(w.buyer, "POST", "/checkouts", json=body, headers=headers)
        again = await w.call(w.buyer, "POST", "/checkouts", json=body, headers=headers)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json() == again.json()
        assert await w.stock(product) == (4, 1, 0)
        other = await w.call(w.buyer, "POST", "/checkouts", json=w.checkout_body(offer, 2), headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_buyer_pays_what_was_shown_or_is_told_what_it_costs_now() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        answer = await w.call(w.buyer, "POST", "/checkouts", json=w.checkout_body(offer, expected_total=yuan(3989)))
        assert answer.status_code == 409
        assert answer.json()["code"] == "price_changed"
        assert answer.json()["amount"] == yuan(3990)
        assert "CNY 39.90" in answer.json()["detail"]
        dollars = w.checkout_body(offer, expected_total={"amount": 3990, "currency": "USD"})
        assert await refusal(w, dollars) == (422, "currency_mismatch")


async def test_what_is_withdrawn_cannot_be_bought() -> None:
    async with world() as w:
        product = await w.product()
        offer, other = await w.offer(product), await w.offer(product)
        gone = await w.call(w.seller, "DELETE", f"/offers/{offer['id']}")
        again = await w.call(w.seller, "DELETE", f"/offers/{offer['id']}")
        assert (gone.status_code, again.status_code) == (204, 204)
        assert len(await said(w.service, "order.offer_withdrawn.v1")) == 1
        assert await refusal(w, w.checkout_body(offer)) == (409, "offer_withdrawn")
        changed = await w.call(
            w.seller, "PATCH", f"/products/{product['id']}", json={"state": "withdrawn"}, headers={"if-match": '"1"'}
        )
        assert changed.status_code == 200, changed.text
        assert await refusal(w, w.checkout_body(other)) == (409, "offer_withdrawn")


async def test_a_merchant_that_is_not_open_sells_nothing() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        changed = MerchantChanged(
            merchant_id=w.merchant, state="suspended", values_version=1, categories=(), version=2
        )  # fmt: skip
        await hear(w.service, changed)
        assert await refusal(w, w.checkout_body(offer)) == (409, "merchant_not_open")


async def test_a_suspended_partnership_sells_nothing_and_its_rate_at_placing_is_pinned() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        before = await w.placed(offer)
        await hear(w.service, w.partnership_fact(1200, 2))
        after = await w.placed(offer)
        rates = [
            next(s["bps"] for s in (await w.order(each))["terms"][0]["shares"] if s["role"] == "partner")
            for each in (before, after)
        ]
        assert rates == [1000, 1200]
        await hear(w.service, w.partnership_fact(1200, 3, state="suspended"))
        assert await refusal(w, w.checkout_body(offer)) == (409, "partnership_not_active")


async def test_terms_agreed_for_later_count_from_then_on() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        from datetime import timedelta

        later = await w.service.now() + timedelta(days=7)
        await hear(w.service, w.partnership_fact(1500, 2, effective_from=later))
        assert share_of(await w.done(w.buyer, "GET", f"/offers/{offer['id']}"), "partner") == 1000
        await w.advance(days=8)
        assert share_of(await w.done(w.buyer, "GET", f"/offers/{offer['id']}"), "partner") == 1500


def share_of(offer: Any, role: str) -> int:
    return int(next(share["bps"] for share in offer["split"] if share["role"] == role))


async def test_the_goods_go_to_a_recipient_of_the_buyers_own() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        for token in (None, "not.a.token", w.recipient_token(w.stranger)):
            body = {**w.checkout_body(offer), "recipient_token": token}
            assert await refusal(w, body) == (422, "recipient_invalid")
        virtual = await w.offer(await w.product(delivery_kind="virtual"))
        body = {**w.checkout_body(virtual), "recipient_token": None}
        order = (await w.done(w.buyer, "POST", "/checkouts", json=body))["orders"][0]
        assert (await w.order(order))["recipient_id"] is None


async def test_a_checkout_has_one_seller_for_now() -> None:
    async with world() as w:
        product = await w.product()
        one, other = await w.offer(product), await w.offer(product, partnership_id=None)
        body = w.checkout_body(one, expected_total=yuan(7980))
        body["lines"].append({"offer_id": other["id"], "quantity": 1})
        assert await refusal(w, body) == (422, "one_seller_only")


async def test_a_line_names_its_variant_where_there_are_several() -> None:
    async with world() as w:
        product = await w.product(variants=[{"name": "small", "stock": 1}, {"name": "large", "stock": 1}])
        offer = await w.offer(product)
        assert await refusal(w, w.checkout_body(offer)) == (422, "invalid_request")
        body = w.checkout_body(offer)
        body["lines"][0]["variant_id"] = product["variants"][1]["id"]
        await w.done(w.buyer, "POST", "/checkouts", json=body)
        stocks = [
            v["stock"][0]["available"]
            for v in (await w.done(w.seller, "GET", f"/products/{product['id']}"))["variants"]
        ]
        assert stocks == [1, 0]


async def test_content_that_is_named_is_published_or_waited_for() -> None:
    async with world() as w:
        offer, content = await w.offer(await w.product()), old_id("cnt")
        assert await refusal(w, w.checkout_body(offer, content_id=content)) == (422, "invalid_request")
        young = await refusal(w, w.checkout_body(offer, content_id=new_id("cnt")))
        assert young == (409, "not_yet_known")
        await hear(w.service, content_fact(ContentPublished, content))
        await w.done(w.buyer, "POST", "/checkouts", json=w.checkout_body(offer, content_id=content))
        await hear(w.service, content_fact(ContentWithdrawn, content, 2))
        assert await refusal(w, w.checkout_body(offer, content_id=content)) == (422, "invalid_request")


def content_fact(kind: type[Any], content_id: str, version: int = 1) -> Any:
    return kind(
        content_id=content_id, revision_id=old_id("rev"), tribe_id=old_id("trb"), offer_ids=(), ad_label=True,
        version=version,
    )  # fmt: skip


async def test_an_offer_that_the_rail_would_not_take_is_not_published() -> None:
    async with world() as w:
        product = await w.product()
        body = {
            "product_id": product["id"], "seller": w.merchant, "partnership_id": w.partnership, "price": yuan(100),
            "angel_bps": 1801,
        }  # fmt: skip
        refused = await w.call(w.seller, "POST", "/offers", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "rail_exceeded")
        await w.offer(product, angel_bps=1800)
        await hear(w.service, w.partnership_fact(1001, 2))
        (offer,) = (await w.done(w.buyer, "GET", "/offers"))["data"]
        assert not offer["rail_ok"]
        assert await refusal(w, w.checkout_body(offer)) == (422, "rail_exceeded")


async def test_a_partner_sells_its_own_stock_without_a_partners_share() -> None:
    async with world() as w:
        product = await w.product(stock=0)
        variant = product["variants"][0]["id"]
        body = {"variant_id": variant, "seller": w.partner, "delta": 3, "reason_code": "bought"}
        stock = await w.done(w.partner_owner, "POST", "/stock-movements", json=body)
        assert (stock["seller"], stock["available"]) == (w.partner, 3)
        offer = await w.done(
            w.partner_owner, "POST", "/offers",
            json={
                "product_id": product["id"], "seller": w.partner, "partnership_id": w.partnership, "price": yuan(4500)
            },
        )  # fmt: skip
        assert [s["role"] for s in offer["split"]] == ["seller", "platform"]
        order = await w.placed(offer, 2)
        assert (await w.order(order, w.partner_owner))["seller"] == w.partner
        assert await refusal(w, w.checkout_body(offer, 2)) == (409, "sold_out")
        assert await w.stock(product) == (0, 0, 0), "the merchant's own stock is another one"


async def test_a_young_offer_is_waited_for_and_an_old_unknown_one_is_not_there() -> None:
    async with world() as w:
        offer = await w.offer(await w.product())
        body = w.checkout_body(offer)
        body["lines"][0]["offer_id"] = old_id("off")
        assert await refusal(w, body) == (404, "not_found")
        body["lines"][0]["offer_id"] = new_id("off")
        assert await refusal(w, body) == (409, "not_yet_known")


@pytest.mark.parametrize("price", [39.9, "3990", True, None, -1, 0, 10**13])
async def test_money_is_a_positive_integer(price: Any) -> None:
    async with world() as w:
        product = await w.product()
        body = {"product_id": product["id"], "seller": w.merchant, "price": {"amount": price, "currency": "CNY"}}
        refused = await w.call(w.seller, "POST", "/offers", json=body)
        assert refused.status_code == 422, refused.text


async def test_stock_is_moved_by_its_seller_and_never_below_nothing() -> None:
    async with world() as w:
        product = await w.product(stock=2)
        body = {"variant_id": product["variants"][0]["id"], "delta": -3, "reason_code": "spoiled"}
        refused = await w.call(w.seller, "POST", "/stock-movements", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/delta")
        assert (await w.call(w.seller, "POST", "/stock-movements", json={**body, "delta": 0})).status_code == 422
        left = await w.done(w.seller, "POST", "/stock-movements", json={**body, "delta": -2})
        assert left["available"] == 0
        assert await w.movements(product) == (0, 0, 0)


async def test_a_product_is_changed_by_whoever_has_seen_it_last() -> None:
    async with world() as w:
        product = await w.product(state="draft")
        path = f"/products/{product['id']}"
        seen = await w.call(w.seller, "GET", path)
        tag = {"if-match": seen.headers["etag"]}
        assert (await w.call(w.seller, "PATCH", path, json={"name": "kumquats"})).status_code == 428
        changed = await w.call(w.seller, "PATCH", path, json={"name": "kumquats", "state": "published"}, headers=tag)
        assert (changed.status_code, changed.json()["name"], changed.headers["etag"]) == (200, "kumquats", '"2"')
        stale = await w.call(w.seller, "PATCH", path, json={"name": "lemons"}, headers=tag)
        assert (stale.status_code, stale.json()["code"]) == (412, "version_stale")
