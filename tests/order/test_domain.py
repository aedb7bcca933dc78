"""The rules of orders, stock and the split, one sentence each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.decision import InvalidRequest, MoveRefused, find_move
from services.order import domain, goods
from services.order.domain import MOVES, Order
from services.order.goods import EFFECTS, Offer, Product, Stock, Variant, book
from services.order.refusals import RailExceeded, SoldOut
from services.order.split import planned, shares_of, terms_of
from services.order.windows import days_end
from tests.order.samples import AT, NOW, RULES, SELLER, an_order
from tests.order.world import old_id

SHANGHAI = ZoneInfo("Asia/Shanghai")
STATES = ("placed", "paid", "shipped", "delivered", "received", "completed", "expired", "cancelled", "refunded")
NAMES = ("pay", "cancel", "expire", "ship", "deliver", "confirm", "complete", "refund")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", NAMES)
def test_a_move_that_is_not_listed_is_refused_aloud(state: str, name: str) -> None:
    if (state, name) in MOVES:
        assert find_move(MOVES, state, name) in STATES
        return
    with pytest.raises(MoveRefused) as refused:
        find_move(MOVES, state, name)
    assert refused.value.extra["state"] == state


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-05-01T12:00:00+08:00", 2, "2026-05-04T00:00:00+08:00"),
        ("2026-05-01T00:00:00+08:00", 7, "2026-05-09T00:00:00+08:00"),
        ("2026-05-01T23:59:59+08:00", 10, "2026-05-12T00:00:00+08:00"),
        ("2026-05-01T17:00:00+00:00", 2, "2026-05-05T00:00:00+08:00"),  # already 2 May in Shanghai
    ],
)
def test_a_window_of_days_ends_at_midnight_after_its_last_day(start: str, days: int, end: str) -> None:
    until = days_end(datetime.fromisoformat(start), days, SHANGHAI)
    assert until == datetime.fromisoformat(end)
    assert until.tzinfo is UTC


def test_an_express_order_waits_ten_days_and_a_local_one_two() -> None:
    paid = domain.paid(an_order(), NOW)
    express = domain.shipped(paid, "shp", NOW, RULES)
    local = domain.shipped(replace(paid, delivery_kind="local"), "shp", NOW, RULES)
    assert express.confirm_by == datetime(2026, 5, 11, 16, tzinfo=UTC)
    assert local.confirm_by == datetime(2026, 5, 3, 16, tzinfo=UTC)


def test_after_a_deadline_its_outcome_stands_before_anybody_swept_it() -> None:
    order = domain.shipped(domain.paid(an_order(), NOW), "shp", NOW, RULES)
    assert order.confirm_by is not None
    domain.in_time(order, "confirm", order.confirm_by - timedelta(microseconds=1))
    with pytest.raises(MoveRefused) as refused:
        domain.in_time(order, "confirm", order.confirm_by)
    assert refused.value.extra["state"] == "received"


def test_goods_without_a_right_of_return_complete_at_once() -> None:
    order = domain.shipped(domain.paid(an_order(return_days=0), NOW), "shp", NOW, RULES)
    received = domain.received(order, NOW, "buyer", RULES)
    assert received.return_until == received.received_at
    assert domain.due(received) == NOW


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [(["express", "virtual"], "express"), (["virtual", "local"], "local"), (["virtual"], "virtual")],
)
def test_an_order_goes_the_slowest_way_of_its_goods(kinds: list[goods.DeliveryKind], kind: str) -> None:
    assert domain.delivery_kind(kinds) == kind


def test_an_unpaid_checkout_ends_whole_and_a_paid_order_alone() -> None:
    one, other = an_order(), an_order()
    assert domain.ends_with(one, (one, other)) == (one, other)
    paid = domain.paid(one, NOW)
    assert domain.ends_with(paid, (paid, other)) == (paid,)
    assert domain.ends_with(other, (paid, other)) == (other,)


# --- stock -------------------------------------------------------------------------------------------------------

EMPTY = Stock("s", "v", "p", SELLER, 0, 0, 0)


def test_nobody_reserves_what_is_not_there() -> None:
    stock, _ = book(EMPTY, "initial", 3, AT)
    with pytest.raises(SoldOut):
        book(stock, "reserve", 4, AT)


def test_a_seller_cannot_take_away_what_buyers_have_reserved() -> None:
    stock, _ = book(replace(EMPTY, available=5), "reserve", 3, AT)
    with pytest.raises(InvalidRequest):
        book(stock, "adjust", -3, AT)


@given(st.lists(st.tuples(st.sampled_from(sorted(EFFECTS)), st.integers(1, 9)), max_size=40))
def test_the_movements_alone_rebuild_the_stock(wanted: list[tuple[goods.MovementKind, int]]) -> None:
    stock, movements = EMPTY, []
    for kind, quantity in wanted:
        try:
            after, movement = book(stock, kind, quantity, AT)
        except SoldOut:
            continue
        if min(after.available, after.reserved, after.sold) < 0:
            continue
        stock = after
        movements.append(movement)
    rebuilt = tuple(sum(getattr(m, column) for m in movements) for column in ("available", "reserved", "sold"))
    assert rebuilt == (stock.available, stock.reserved, stock.sold)
    brought = sum(m.available for m in movements if m.kind in {"initial", "adjust"})
    assert sum(rebuilt) == brought


# --- the split ---------------------------------------------------------------------------------------------------


def an_offer(angel_bps: int = 500, partner: str | None = None, seller: str = SELLER) -> Offer:
    return Offer("off", "prd", SELLER, seller, None, partner, None, 3990, "CNY", angel_bps, "published", 1)


@pytest.mark.parametrize(
    ("partner", "seller", "service_bps", "angel_bps", "roles"),
    [
        (None, SELLER, 0, 0, {"seller": 9800, "platform": 200}),
        (None, SELLER, 0, 500, {"seller": 9300, "angel": 500, "platform": 200}),
        ("prt", SELLER, 1000, 500, {"seller": 8300, "partner": 1000, "angel": 500, "platform": 200}),
        ("prt", "prt", 1000, 500, {"seller": 9300, "angel": 500, "platform": 200}),
        ("prt", SELLER, 2300, 500, {"seller": 7000, "partner": 2300, "angel": 500, "platform": 200}),
    ],
    ids=["alone", "with an angel", "with a partner", "a partner who sells", "as much as the rail takes"],
)
def test_who_gets_what(partner: str, seller: str, service_bps: int, angel_bps: int, roles: dict[str, int]) -> None:
    partner_id = PARTNER if partner else None
    shares = shares_of(an_offer(angel_bps, partner_id, PARTNER if seller == "prt" else seller), service_bps, RULES)
    assert {share.role: share.bps for share in shares} == roles
    assert {share.role for share in shares if share.matures == "completion"} <= {"angel"}
    assert all(share.payee for share in shares if share.role != "angel")


PARTNER = old_id("prt")


def test_the_rail_takes_thirty_per_cent_for_others_and_no_more() -> None:
    shares_of(an_offer(2800), 0, RULES)
    with pytest.raises(RailExceeded):
        shares_of(an_offer(2801), 0, RULES)


def test_the_rail_takes_only_so_many_legs() -> None:
    shares = shares_of(an_offer(500, PARTNER), 1000, RULES)
    lines = [(old_id("lin"), shares) for _ in range(13)]
    terms_of(lines[:12], RULES)
    with pytest.raises(RailExceeded):
        terms_of(lines, RULES)


@given(st.integers(1, 10**12), st.integers(0, 2800))
def test_the_planned_split_is_the_whole_line(amount: int, angel_bps: int) -> None:
    assert sum(planned(amount, shares_of(an_offer(angel_bps), 0, RULES))) == amount


# --- products ----------------------------------------------------------------------------------------------------


def a_product(*variants: str, state: goods.ProductState = "draft") -> Product:
    made = tuple(Variant(name, name) for name in variants)
    return Product("prd", SELLER, "oranges", "", made, "express", 7, False, 48, state, 1)


def test_a_published_product_does_not_become_a_draft_again() -> None:
    assert goods.moved(a_product("a"), "published").state == "published"
    with pytest.raises(MoveRefused):
        goods.moved(a_product("a", state="published"), "draft")


def test_the_only_variant_needs_no_name_and_one_of_several_does() -> None:
    assert a_product("a").variant(None) == Variant("a", "a")
    assert a_product("a", "b").variant(None) is None
    assert a_product("a", "b").variant("b") == Variant("b", "b")
    assert a_product("a", "b").variant("c") is None


def test_where_the_money_is_never_contradicts_the_order() -> None:
    order = an_order()
    paid = domain.paid(order, NOW)
    told: dict[str, Order] = {
        "awaiting_payment": order,
        "void": domain.expired(order, NOW),
        "held": paid,
        "refunding": domain.cancelled(paid, NOW, "buyer", "changed_mind"),
        "released": replace(paid, released_at=NOW),
        "refunded": replace(paid, released_at=NOW, refunded_whole=True),
    }
    assert {name: each.escrow_state for name, each in told.items()} == {name: name for name in told}
