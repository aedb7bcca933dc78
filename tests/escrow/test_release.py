"""Release is a join, not a step: held and confirmed, then all of it leaves, to the fen, to whom the terms name."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.escrow import Released
from contracts.terms import ROLES
from services.escrow.domain import Contradiction, PayeeForeign
from tests.escrow.memory import MemoryDesk, check_books
from tests.escrow.orders import ANGEL, BUYER, MERCHANT, PARTNER, Order, a_checkout, an_order, shares
from tests.support import new_id

AMOUNTS = st.integers(1, 10**9)


@st.composite
def splits(draw: st.DrawFn) -> tuple[tuple[str, int], ...]:
    """Terms of any shape: the seller and any of the others, each with any rate, 10000 in all."""
    roles = [role for role in ROLES if role == "seller" or draw(st.booleans())]
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=len(roles) - 1, max_size=len(roles) - 1)))
    rates = [after - before for before, after in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    return tuple(zip(roles, rates, strict=True))


def a_released(order: Order, *, named: str | None = ANGEL) -> MemoryDesk:
    desk = MemoryDesk()
    desk.hear(order.placed(), order.attributed(named))
    desk.pay(order)
    desk.hear(order.confirmed())
    return desk


@settings(deadline=None)
@given(st.lists(AMOUNTS, min_size=1, max_size=3), splits())
def test_the_legs_sum_to_the_hold_for_any_amount_and_any_terms(
    amounts: list[int], split: tuple[tuple[str, int], ...]
) -> None:
    order = an_order(*amounts, split=split)
    desk = a_released(order)
    hold = desk.hold(order)
    assert hold.state == "released"
    assert sum(leg.amount for leg in hold.legs) == sum(amounts) == hold.released
    assert desk.balance(f"hold:{order.order_id}") == 0
    (fact,) = desk.said(Released)
    assert [(leg.leg_id, leg.amount.amount) for leg in fact.legs] == [(leg.leg_id, leg.amount) for leg in hold.legs]
    check_books(desk)


@settings(deadline=None)
@given(AMOUNTS, splits())
def test_no_leg_is_a_whole_fen_off_its_exact_share(amount: int, split: tuple[tuple[str, int], ...]) -> None:
    order = an_order(amount, split=split)
    hold = a_released(order).hold(order)
    rates = dict(split)
    legs = {leg.role: leg.amount for leg in hold.legs}
    assert all(abs(legs.get(role, 0) * 10_000 - amount * rate) < 10_000 for role, rate in rates.items())


def test_the_money_reaches_everyone_the_terms_name() -> None:
    order = an_order(10_000)
    assert a_released(order).balances() == {
        "provider:sandbox": -10_000,
        f"payable:{MERCHANT}": 8000,
        f"payable:{PARTNER}": 500,
        f"maturing:{ANGEL}": 1000,
        "payable:platform": 500,
    }


@settings(deadline=None)
@given(
    st.lists(AMOUNTS, min_size=1, max_size=3), st.lists(st.sampled_from([ANGEL, None, BUYER]), min_size=1, max_size=3)
)
def test_naming_the_angel_before_or_after_the_release_ends_in_the_same_accounts(
    amounts: list[int], angels: list[str | None]
) -> None:
    order = an_order(*amounts)
    attributed, confirmed, placed = order.attributed(*angels), order.confirmed(), order.placed()
    ends = []
    for first, second in permutations((attributed, confirmed)):
        desk = MemoryDesk()
        desk.hear(placed)
        desk.pay(order)
        desk.hear(first, second)
        check_books(desk)
        ends.append(desk.balances())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("nobody", [None, BUYER], ids=["no angel", "the buyer themself"])
def test_a_share_that_no_angel_has_earned_falls_to_the_seller(nobody: str | None) -> None:
    order = an_order(10_000)
    desk = a_released(order, named=nobody)
    assert desk.balance(f"payable:{MERCHANT}") == 9000
    assert not any(account.startswith("maturing:") for account in desk.balances())


def test_what_nobody_has_named_yet_waits_under_its_own_account() -> None:
    order = an_order(10_000)
    desk = MemoryDesk()
    desk.hear(order.placed())
    desk.pay(order)
    desk.hear(order.confirmed())
    (unnamed,) = (leg for leg in desk.hold(order).legs if leg.role == "angel")
    assert (unnamed.payee, unnamed.state) == (None, "pending")
    assert desk.balance(f"unnamed:{unnamed.leg_id}") == 1000
    (fact,) = desk.said(Released)
    assert [leg.payee for leg in fact.legs if leg.role == "angel"] == [None]


def test_two_lines_may_have_two_angels_and_one_line_only_one() -> None:
    order, other = an_order(10_000, 10_000), new_id("per")
    desk = MemoryDesk()
    desk.hear(order.placed(), order.attributed(ANGEL, other), order.attributed(other, ANGEL))
    desk.pay(order)
    desk.hear(order.confirmed())
    angels = [(leg.line_id, leg.payee) for leg in desk.hold(order).legs if leg.role == "angel"]
    assert angels == [(order.lines[0][0], ANGEL), (order.lines[1][0], other)]


def test_an_author_waits_to_be_named_and_a_partner_that_is_not_there_gives_way_to_the_seller() -> None:
    order = an_order(10_000, split=(("seller", 7000), ("partner", 1000), ("author", 2000)))
    desk = MemoryDesk()
    alone = [
        share.model_copy(update={"payee": None}) if share.role == "partner" else share for share in shares(order.split)
    ]
    placed = order.placed(partner_id=None)
    terms = placed.terms.lines[0].model_copy(update={"shares": tuple(alone)})
    desk.hear(placed.model_copy(update={"terms": placed.terms.model_copy(update={"lines": (terms,)})}))
    desk.pay(order)
    desk.hear(order.attributed(None), order.confirmed())
    assert {(leg.role, leg.payee) for leg in desk.hold(order).legs} == {
        ("seller", MERCHANT), ("partner", MERCHANT), ("author", None),
    }  # fmt: skip
    check_books(desk)


def test_money_never_leaves_before_the_buyer_has_spoken() -> None:
    order = an_order()
    desk = MemoryDesk()
    desk.hear(order.placed(), order.attributed(ANGEL))
    desk.pay(order)
    desk.hear(order.completed())
    assert desk.hold(order).state == "held"
    assert len(desk.parked) == 1


def test_a_release_never_predates_its_confirmation_even_when_order_runs_ahead() -> None:
    order = an_order()
    desk = MemoryDesk()
    desk.hear(order.placed())
    desk.pay(order)
    ahead = desk.now + timedelta(days=10)
    desk.hear(order.confirmed(at=ahead))
    assert desk.hold(order).released_at == ahead


def test_every_order_of_a_checkout_is_released_on_its_own() -> None:
    first, second = a_checkout([5000], [3000])
    desk = MemoryDesk()
    desk.hear(first.placed(), second.placed())
    desk.pay(first)
    desk.hear(second.confirmed())
    assert (desk.hold(first).state, desk.hold(second).state) == ("held", "released")
    check_books(desk)


@pytest.mark.parametrize("role", ["seller", "partner", "angel", "author", "tribe_pool", "platform"])
def test_terms_that_pay_a_stranger_are_poison(role: str) -> None:
    order = an_order(10_000)
    stranger = shares([("seller", 10_000)])[0].model_copy(update={"role": role, "payee": new_id("mch")})
    placed = order.placed()
    line = placed.terms.lines[0].model_copy(update={"shares": (stranger,)})
    desk = MemoryDesk()
    desk.hear(placed.model_copy(update={"terms": placed.terms.model_copy(update={"lines": (line,)})}))
    assert isinstance(desk.poison[0][1], PayeeForeign)
    assert not desk.slots


def test_facts_that_contradict_each_other_move_nothing_and_wait_for_a_person() -> None:
    first, second = a_checkout([5000], [3000])
    placed = second.placed()
    other = placed.checkout.model_copy(update={"amount": placed.checkout.amount.model_copy(update={"amount": 8001})})
    contradictions = [
        placed.model_copy(update={"checkout": other}),
        placed.model_copy(update={"buyer": new_id("per")}),
        placed.model_copy(update={"order_id": new_id("ord")}),
        placed.model_copy(update={"lines": placed.lines * 2}),
        placed.model_copy(update={"terms": first.placed().terms}),
        a_checkout([5000], [3000], currency="USD")[1].placed(checkout=placed.checkout, order_id=second.order_id),
        an_order(5000).placed(lines=(an_order(4999).placed().lines[0],)),
        an_order(0).placed(),
    ]
    for contradiction in contradictions:
        desk = MemoryDesk()
        desk.hear(first.placed())
        before = dict(desk.slots)
        desk.hear(contradiction)
        assert isinstance(desk.poison[0][1], Contradiction)
        assert desk.slots == before
