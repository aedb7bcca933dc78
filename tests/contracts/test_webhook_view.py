"""A party sees what concerns it, and nobody else's business."""

import json
from typing import Any

import pytest

from contracts.distribution import Attributed
from contracts.escrow import PayoutAccountChanged, Released
from contracts.fact import Fact
from contracts.order import DeadlineNear, OrderPlaced
from contracts.partner import StaffChanged
from contracts.samples import SAMPLES
from contracts.samples.story import ANGEL, BUYER, CHECKOUT, MERCHANT, PARTNER, STAFF
from contracts.webhook_view import reference, webhook_view

SECRET = b"the merchant's own"
OTHER_SECRET = b"somebody else's"


def _seen(fact: type[Fact], party: str, secret: bytes = SECRET) -> dict[str, Any]:
    view = webhook_view(SAMPLES[fact], party, audience=(MERCHANT, PARTNER, BUYER, ANGEL), secret=secret)
    assert view is not None
    return view


def test_who_is_not_in_the_audience_sees_nothing() -> None:
    assert webhook_view(SAMPLES[OrderPlaced], PARTNER, audience=(MERCHANT,), secret=SECRET) is None


def test_the_touch_token_is_for_services_only() -> None:
    assert "touch_token" not in _seen(OrderPlaced, MERCHANT)
    assert "touch_token" in SAMPLES[OrderPlaced].model_dump()


def test_the_payout_fingerprint_is_for_services_only() -> None:
    assert "fingerprint" not in _seen(PayoutAccountChanged, MERCHANT)


def test_a_seller_recognises_a_buyer_without_knowing_them() -> None:
    view = _seen(OrderPlaced, MERCHANT)
    assert "buyer" not in view
    assert view["buyer_ref"] == reference(BUYER, secret=SECRET)
    assert view["buyer_ref"] == _seen(OrderPlaced, MERCHANT)["buyer_ref"]


def test_two_parties_cannot_compare_their_buyers() -> None:
    assert _seen(OrderPlaced, MERCHANT)["buyer_ref"] != _seen(OrderPlaced, PARTNER, OTHER_SECRET)["buyer_ref"]


def test_a_buyer_sees_themselves() -> None:
    assert _seen(OrderPlaced, BUYER)["buyer"] == BUYER


def test_a_seller_does_not_see_what_else_was_in_the_checkout() -> None:
    assert _seen(OrderPlaced, MERCHANT)["checkout"] == {"checkout_id": CHECKOUT}


def test_a_payee_sees_every_leg_but_only_its_own_name() -> None:
    legs = _seen(Released, PARTNER)["legs"]
    assert [(leg["role"], leg["payee"]) for leg in legs] == [
        ("seller", None), ("partner", PARTNER), ("angel", None), ("seller", None),
    ]  # fmt: skip
    assert [leg["amount"]["amount"] for leg in legs] == [3272, 319, 399, 800]


def test_the_pinned_terms_name_nobody_else_either() -> None:
    shares = _seen(OrderPlaced, MERCHANT)["terms"]["lines"][0]["shares"]
    assert [share["payee"] for share in shares] == [MERCHANT, None, None]


def test_an_angel_is_a_reference_to_others_and_nobody_stays_nobody() -> None:
    assert [line["angel_ref"] for line in _seen(Attributed, MERCHANT)["lines"]] == [
        reference(ANGEL, secret=SECRET), None,
    ]  # fmt: skip
    assert _seen(Attributed, ANGEL)["lines"][0]["angel"] == ANGEL


def test_a_deadline_of_the_buyer_does_not_name_them() -> None:
    assert _seen(DeadlineNear, MERCHANT)["party"] is None
    assert _seen(DeadlineNear, BUYER)["party"] == BUYER


def test_a_party_knows_its_own_staff() -> None:
    assert _seen(StaffChanged, MERCHANT)["person_id"] == STAFF


@pytest.mark.parametrize(
    "fact", [fact for fact in SAMPLES.values() if not isinstance(fact, StaffChanged)], ids=lambda fact: fact.type
)
def test_no_view_names_a_person(fact: Fact) -> None:
    view = webhook_view(fact, MERCHANT, audience=(MERCHANT,), secret=SECRET)
    assert '"per_' not in json.dumps(view)


@pytest.mark.parametrize("fact", SAMPLES.values(), ids=lambda fact: fact.type)
def test_looking_changes_nothing(fact: Fact) -> None:
    before = fact.model_copy(deep=True)
    webhook_view(fact, MERCHANT, audience=(MERCHANT,), secret=SECRET)
    assert fact == before
