"""Facts travel without an order: whatever comes first, twice or together, the money ends in the same place."""

import asyncio
import random
from collections.abc import Awaitable, Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.decision import Refused
from chassis.message import Message
from chassis.service import Service
from chassis.verify import history_violations
from contracts.fact import Fact
from services.escrow import verify
from services.escrow.domain import Hold, Refund
from services.escrow.store import STORES
from tests.escrow.memory import MemoryDesk, capture_message, capture_of, check_books, fact_message
from tests.escrow.orders import ANGEL, Order, an_order
from tests.escrow.provider import ObedientProvider, balances, capture, create_payment, eventually
from tests.support import delivery_of, running

PAY = "pay"
"""The buyer pays as soon as escrow knows the order: no provider takes money that nobody has asked for."""
Step = Message | str


@st.composite
def deliveries(draw: st.DrawFn, steps: Sequence[Step]) -> list[list[Step]]:
    """Every step at least once, some again, in any order and in batches of any size."""
    again = draw(st.lists(st.sampled_from(steps), max_size=len(steps)))
    order = draw(st.permutations([*steps, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)))))
    return [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


def delivered(order: Order, batches: Iterable[Iterable[Step]]) -> MemoryDesk:
    """A desk after these batches, each refund answered, and nothing left that could still move."""
    desk, wants_to_pay, paid = MemoryDesk(), False, False
    for batch in batches:
        steps = list(batch)
        wants_to_pay |= PAY in steps
        desk.deliver(*(step for step in steps if isinstance(step, Message)))
        if wants_to_pay and not paid and (Hold, order.order_id) in desk.slots:
            paid = True
            try:
                payment = desk.create_payment(order)
            except Refused:
                continue  # The checkout has closed: there is nothing to pay any more.
            desk.deliver(capture_message(capture_of(payment)), capture_message(capture_of(payment)))
    desk.answer_refunds()
    assert not desk.poison
    assert not [message.source for message in desk.parked.values()]
    check_books(desk)
    return desk


def money(desk: MemoryDesk, order: Order) -> object:
    """Where the money of an order is, without the ids and times that differ from one run to the next."""
    hold = desk.hold(order)
    return (
        hold.state,
        (hold.captured, hold.released, hold.refunded),
        [(line.line_id, line.amount) for line in hold.lines],
        sorted((leg.line_id, leg.role, leg.payee, leg.amount, leg.state) for leg in hold.legs),
        (hold.angels, hold.confirmed_at, hold.completed_at, hold.refunds_open),
        desk.balances(),
        sum(refund.amount for refund in desk.all(Refund) if refund.state == "succeeded"),
    )


ORDER = an_order(7981, 803)
ANGELS = st.sampled_from([ANGEL, None])


@st.composite
def fulfilled(draw: st.DrawFn) -> list[Step]:
    """An order that was paid, perhaps shortened, received and completed."""
    cancelled = [
        ORDER.lines_cancelled({line: draw(st.integers(1, 400))})
        for line in draw(st.lists(st.integers(0, 1), max_size=2))
    ]
    gone = sum(each.amount.amount for fact in cancelled for each in fact.refunds)
    facts = [
        ORDER.placed(),
        ORDER.attributed(draw(ANGELS)),
        *cancelled,
        ORDER.confirmed(net=ORDER.amount - gone),
        ORDER.completed(),
    ]
    return [PAY, *(fact_message(fact) for fact in facts)]


@settings(deadline=None, max_examples=300)
@given(fulfilled().flatmap(lambda steps: st.tuples(st.just(steps), deliveries(steps))))
def test_a_fulfilled_order_ends_the_same_however_its_facts_arrive(given_: tuple[list[Step], list[list[Step]]]) -> None:
    steps, batches = given_
    expected = delivered(ORDER, [[step] for step in [*steps[1:2], PAY, *steps[2:]]])
    found = delivered(ORDER, batches)
    assert money(found, ORDER) == money(expected, ORDER)
    assert found.hold(ORDER).state == "released"


@st.composite
def called_off(draw: st.DrawFn) -> list[Step]:
    """An order that was called off: cancelled, perhaps after some lines of it, or expired."""
    cancelled = [ORDER.lines_cancelled({0: 7981}), ORDER.lines_cancelled({1: 800})]
    end = draw(st.sampled_from([ORDER.cancelled(), ORDER.expired()]))
    facts = [ORDER.placed(), ORDER.attributed(draw(ANGELS)), *cancelled[: draw(st.integers(0, 2))], end]
    return [PAY, *(fact_message(fact) for fact in facts)]


@settings(deadline=None, max_examples=300)
@given(called_off().flatmap(deliveries))
def test_an_order_called_off_costs_the_buyer_nothing_whoever_was_faster(batches: list[list[Step]]) -> None:
    """Here the order of commits decides between three ends, and all of them are the buyer's money back."""
    desk = delivered(ORDER, batches)
    hold = desk.hold(ORDER)
    came_in = -sum(each.amount for each in desk.postings if each.kind in {"capture", "suspend"} and each.amount < 0)
    given_back = sum(refund.amount for refund in desk.all(Refund) if refund.state == "succeeded")
    never_paid, too_late = came_in == 0, bool(desk.suspense())
    assert came_in in {0, ORDER.amount}
    assert given_back == came_in
    assert hold.state == ("void" if never_paid or too_late else "refunded")
    assert hold.released == 0
    assert desk.balances() == {}


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([0, 1]).flatmap(lambda ended: st.tuples(st.just(ended), deliveries(placed_and_attributed()))))
def test_an_order_nobody_has_paid_holds_nothing(given_: tuple[int, list[list[Step]]]) -> None:
    ended, batches = given_
    desk = delivered(ORDER, [*batches, [fact_message([ORDER.cancelled(), ORDER.expired()][ended])]])
    assert (desk.hold(ORDER).state, desk.postings) == ("void", [])


def placed_and_attributed() -> list[Step]:
    return [fact_message(ORDER.placed()), fact_message(ORDER.attributed(ANGEL))]


@settings(deadline=None, max_examples=100)
@given(fulfilled().flatmap(deliveries), st.data())
def test_the_same_facts_said_again_under_new_ids_change_nothing(batches: list[list[Step]], data: st.DataObject) -> None:
    desk = delivered(ORDER, batches)
    before = money(desk, ORDER), len(desk.postings)
    facts = {step.source: step for batch in batches for step in batch if isinstance(step, Message)}
    for message in data.draw(st.permutations(list(facts.values()))):
        desk.hear(message.payload)
    assert (money(desk, ORDER), len(desk.postings)) == before
    assert not desk.parked


# --- the same at the real desk, on PostgreSQL ------------------------------------------------------------------------


def a_life(order: Order, chance: random.Random) -> list[Fact]:
    """What is said of an order that is paid: fulfilled with or without an angel and all its lines, or called off."""
    placed = [order.placed(), order.attributed(chance.choice([ANGEL, None]))]
    if chance.random() < 0.3:
        return [*placed, order.cancelled()]
    cancelled = [order.lines_cancelled({0: chance.randint(1, 99)}) for _ in range(chance.randint(0, 2))]
    gone = sum(each.amount.amount for fact in cancelled for each in fact.refunds)
    return [*placed, *cancelled, order.confirmed(net=order.amount - gone), order.completed()]


async def heard(service: Service, fact: Fact) -> None:
    """One fact, delivered three times."""
    delivery, loop = delivery_of(fact), asyncio.get_running_loop()
    for _ in range(3):
        done = loop.create_future()
        service.desk.hear(delivery, lambda done=done: done.done() or done.set_result(None))  # type: ignore[misc]
        await asyncio.sleep(random.random() / 100)
        await asyncio.wait_for(done, 10)


async def paid_if_possible(service: Service, order: Order) -> None:
    try:
        payment = await create_payment(service, order)
    except Refused:
        return  # It was cancelled before.
    await asyncio.gather(*(capture(service, payment) for _ in range(3)))


async def test_forty_orders_at_once_end_as_each_would_alone_and_in_order() -> None:
    chance = random.Random(7)
    lives = {order: a_life(order, chance) for order in (an_order(1000 + n, 501) for n in range(40))}
    async with running("escrow", ports=[ObedientProvider()]) as service:
        steps: list[Awaitable[None]] = [heard(service, fact) for facts in lives.values() for fact in facts]
        steps += [paid_if_possible(service, order) for order in lives]
        chance.shuffle(steps)
        await asyncio.gather(*steps)
        assert await eventually(service, "SELECT NOT EXISTS (SELECT 1 FROM parked)")
        assert await eventually(service, "SELECT NOT EXISTS (SELECT 1 FROM instructions WHERE state = 'due')")
        assert [check for check in await verify.checks(service.database) if check.violations] == []
        assert await history_violations(service.database, STORES) == []
        for order, facts in lives.items():
            alone = MemoryDesk()
            alone.hear(facts[0])
            alone.pay(order)
            alone.hear(*facts[1:])
            alone.answer_refunds()
            assert await balances(service, order) == alone.balances()
