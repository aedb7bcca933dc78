"""The whole table: in every state of a hold, every fact that escrow hears has a named outcome. None is refused."""

from collections.abc import Callable
from typing import get_args

import pytest

from contracts import catalogue
from contracts.distribution import Attributed
from contracts.fact import Fact
from contracts.gateway import ClockAdvanced
from contracts.order import (
    DeliveryConfirmed,
    LinesCancelled,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderPlaced,
)
from contracts.partner import StaffChanged
from contracts.tribe import RoleChanged
from services.escrow.domain import Hold, HoldState
from services.escrow.service import HEARS
from tests.escrow.memory import MemoryDesk, check_books, fact_message
from tests.escrow.orders import ANGEL, BUYER, MERCHANT, Order, an_order
from tests.support import new_id

ABSENT = "absent"
STATES = (ABSENT, *get_args(HoldState))
APPLIED, NOT_YET = "applied", "not yet"

TABLE: dict[type[Fact], tuple[str, ...]] = {
    # the order of STATES:   absent,  awaiting_payment, held, released, refunding, refunded, void
    OrderPlaced: (APPLIED, *["ignored:already_there"] * 6),
    Attributed: (NOT_YET, *[APPLIED] * 6),
    DeliveryConfirmed: (NOT_YET, NOT_YET, APPLIED, *["ignored:nothing_to_release"] * 4),
    OrderCompleted: (NOT_YET, NOT_YET, NOT_YET, APPLIED, *["ignored:nothing_to_complete"] * 3),
    OrderCancelled: (
        NOT_YET, APPLIED, APPLIED, "ignored:hold_released", "ignored:hold_refunding", "ignored:hold_refunded",
        "ignored:hold_void",
    ),
    OrderExpired: (
        NOT_YET, APPLIED, APPLIED, "ignored:hold_released", "ignored:hold_refunding", "ignored:hold_refunded",
        "ignored:hold_void",
    ),
    LinesCancelled: (
        NOT_YET, NOT_YET, APPLIED, NOT_YET, "ignored:hold_refunding", "ignored:hold_refunded", "ignored:hold_void",
    ),
}  # fmt: skip


def told(order: Order) -> dict[type[Fact], Fact]:
    """One of each fact about an order."""
    facts = [order.placed(), order.attributed(ANGEL), order.confirmed(), order.completed(), order.cancelled(),
             order.expired(), order.lines_cancelled({0: 100})]  # fmt: skip
    return {type(fact): fact for fact in facts}


def brought_to(state: str, order: Order) -> MemoryDesk:
    """A desk whose hold of this order is in this state."""
    desk = MemoryDesk()
    steps: dict[str, Callable[[], object]] = {
        "placed": lambda: desk.hear(order.placed()),
        "paid": lambda: desk.pay(order),
        "confirmed": lambda: desk.hear(order.confirmed()),
        "cancelled": lambda: desk.hear(order.cancelled()),
        "answered": desk.answer_refunds,
    }
    ways = {
        ABSENT: [],
        "awaiting_payment": ["placed"],
        "held": ["placed", "paid"],
        "released": ["placed", "paid", "confirmed"],
        "refunding": ["placed", "paid", "cancelled"],
        "refunded": ["placed", "paid", "cancelled", "answered"],
        "void": ["placed", "cancelled"],
    }
    for step in ways[state]:
        steps[step]()
    assert state == ABSENT or desk.hold(order).state == state
    return desk


def outcome_of(desk: MemoryDesk, fact: Fact) -> str:
    message = fact_message(fact)
    desk.deliver(message)
    assert not desk.refused, "a fact is never refused"
    return NOT_YET if message.id in desk.parked else desk.inbox[message.id]


@pytest.mark.parametrize("heard", TABLE, ids=lambda kind: kind.type)
@pytest.mark.parametrize("state", STATES)
def test_every_fact_has_its_outcome_in_every_state(state: str, heard: type[Fact]) -> None:
    order = an_order()
    desk = brought_to(state, order)
    assert outcome_of(desk, told(order)[heard]) == TABLE[heard][STATES.index(state)]
    check_books(desk)


@pytest.mark.parametrize("heard", TABLE, ids=lambda kind: kind.type)
@pytest.mark.parametrize("state", STATES[1:])
def test_a_fact_that_was_applied_once_moves_nothing_the_second_time(state: str, heard: type[Fact]) -> None:
    order = an_order()
    desk = brought_to(state, order)
    outcome_of(desk, told(order)[heard])
    before, postings = desk.hold(order), len(desk.postings)
    repeated = outcome_of(desk, told(order)[heard]) if heard is not LinesCancelled else "ignored:"
    assert repeated == NOT_YET or repeated.startswith("ignored:")
    assert (desk.hold(order), len(desk.postings)) == (before, postings)


def test_the_table_has_a_row_for_every_fact_about_an_order() -> None:
    others = {ClockAdvanced, StaffChanged, RoleChanged}
    assert set(TABLE) | others == set(HEARS)
    assert all(len(row) == len(STATES) for row in TABLE.values())


def test_what_is_heard_is_what_the_catalogue_says() -> None:
    assert {kind.type for kind in HEARS if issubclass(kind, Fact)} == catalogue.heard_by("escrow")


def test_the_projections_take_the_highest_version_whatever_comes_first() -> None:
    staff = StaffChanged(party_id=MERCHANT, person_id=BUYER, role="staff", version=2)
    roles = RoleChanged(tribe_id=new_id("trb"), person_id=BUYER, role="owner", version=2)
    clock = ClockAdvanced(deployment="sandbox", offset_seconds=60, version=2)
    for fact in (staff, roles, clock):
        desk = MemoryDesk()
        older = fact.model_copy(update={"version": 1})
        assert [outcome_of(desk, each) for each in (fact, older, fact)] == [
            APPLIED, "ignored:older_version", "ignored:older_version",
        ]  # fmt: skip


def test_a_hold_that_ended_never_moves_again() -> None:
    for state in ("released", "refunding", "refunded", "void"):
        order = an_order()
        desk = brought_to(state, order)
        for fact in told(order).values():
            outcome_of(desk, fact)
        assert desk.hold(order).state == state
        money = ("captured", "released", "refunded")
        before: Hold = brought_to(state, order).hold(order)
        assert [getattr(desk.hold(order), each) for each in money] == [getattr(before, each) for each in money]
