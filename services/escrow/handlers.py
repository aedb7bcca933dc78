"""One function per message: (aggregates, message, at) -> decision. No SQL, no network."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chassis.decision import Applied, Ignored, Instruction, NotFound, NotYet, Refused, Said, StateConflict, find_move, say
from chassis.moment import Moment
from chassis.policy import require_person
from contracts.distribution import Attributed
from contracts.escrow import Held, LineAmount, Refunded, Released, ReleasedLeg
from contracts.money import Money
from contracts.order import (
    DeliveryConfirmed,
    LinesCancelled,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderPlaced,
)
from services.escrow import domain, ledger
from services.escrow.commands import Capture, ChargeOpened, CreatePayment, RefundAnswered
from services.escrow.domain import MOVES, Allocation, Checkout, Hold, HoldLine, Payment, Refund, Suspense


class AlreadyPaid(StateConflict):
    code = "already_paid"


class CheckoutClosed(StateConflict):
    code = "checkout_closed"


class TooLate(StateConflict):
    code = "too_late"


class ProviderUnknown(Refused):
    status, code = 422, "provider_unknown"


# --- orders ------------------------------------------------------------------------------------------------------


def open_hold(checkout: Checkout | None, fact: OrderPlaced, _at: Moment) -> Applied:
    """An order was placed: its money is awaited, by line and with its pinned terms."""
    if checkout is None:
        checkout = Checkout(
            fact.checkout.checkout_id, fact.buyer, fact.checkout.order_ids, fact.checkout.amount.amount,
            fact.checkout.amount.currency, fact.pay_by, None,
        )  # fmt: skip
    shares = {line.line_id: line.shares for line in fact.terms.lines}
    lines = tuple(HoldLine(line.line_id, line.amount.amount, shares[line.line_id]) for line in fact.lines)
    hold = Hold(
        order_id=fact.order_id,
        checkout_id=checkout.checkout_id,
        buyer=fact.buyer,
        seller=fact.seller,
        partner_id=fact.partner_id,
        state="awaiting_payment",
        amount=sum(line.amount for line in lines),
        currency=checkout.currency,
        captured=0,
        released=0,
        refunded=0,
        lines=lines,
        legs=(),
        angels=None,
        refunds_open=0,
        payment_id=None,
        provider=None,
        held_at=None,
        confirmed_at=None,
        confirmed_by=None,
        released_at=None,
        completed_at=None,
    )
    return Applied((hold, checkout), reason="order_placed")


def release_on_delivery(hold: Hold, fact: DeliveryConfirmed, at: Moment) -> Applied | Ignored:
    """The buyer has the goods. If the money is held and undisputed, it leaves now."""
    if hold.state == "awaiting_payment":
        raise NotYet("not_held")
    if hold.confirmed_at is not None or hold.state in {"void", "refunding", "refunded"}:
        return Ignored("nothing_to_release")
    hold = replace(hold, confirmed_at=fact.confirmed_at, confirmed_by=fact.confirmed_by)
    return try_release(hold, at, reason=f"confirmed_by_{fact.confirmed_by}")


def try_release(hold: Hold, at: Moment, reason: str) -> Applied:
    """Runs after every message that could complete the join; without it the hold is only remembered as it is now."""
    if not domain.ready_to_release(hold):
        return Applied((hold,), reason=reason)
    held = hold.left
    hold = domain.release(hold, at)
    entry = ledger.entry(
        "release",
        [(f"hold:{hold.order_id}", -held), *((leg.account, leg.amount) for leg in hold.legs)],
        currency=hold.currency, at=at, name=hold.order_id, order_id=hold.order_id,
    )  # fmt: skip
    return Applied((hold, entry), (released_fact(hold, at),), reason=reason)


def released_fact(hold: Hold, at: Moment) -> Said:
    legs = tuple(
        ReleasedLeg(
            leg_id=leg.leg_id, line_id=leg.line_id, role=leg.role, payee=leg.payee,
            amount=Money(amount=leg.amount, currency=hold.currency), matures=leg.matures,
        )
        for leg in hold.legs
    )  # fmt: skip
    return say(Released(order_id=hold.order_id, at=at.now, legs=legs), *hold.parties)


def name_angels(hold: Hold, fact: Attributed, at: Moment) -> Applied | Ignored:
    """Distribution has decided who brought the buyer: a leg already released gets its payee by an entry."""
    if hold.angels is not None:
        return Ignored("already_attributed")
    hold = replace(hold, angels={line.line_id: line.angel for line in fact.lines})
    legs = tuple(domain.settle_payee(hold, leg) for leg in hold.legs)
    moves = [
        move
        for before, after in zip(hold.legs, legs, strict=True)
        if before.account != after.account
        for move in ((before.account, -before.amount), (after.account, after.amount))
    ]
    hold = replace(hold, legs=legs)
    if not moves:
        return Applied((hold,), reason="attributed")
    entry = ledger.entry(
        "name", moves, currency=hold.currency, at=at, name=hold.order_id, order_id=hold.order_id
    )
    return Applied((hold, entry), reason="attributed")


def end_order(hold: Hold, fact: OrderCancelled | OrderExpired, at: Moment) -> Applied | Ignored:
    """The order will not be carried out: nothing is awaited any more, or what is held goes back, whole."""
    if hold.state == "awaiting_payment":
        return Applied((replace(hold, state=find_move(MOVES, hold.state, "void")),), reason=fact.type)
    if hold.state != "held":
        return Ignored(f"hold_{hold.state}")
    lines = [(line.line_id, line.amount) for line in hold.lines if line.amount]
    return refund_lines(hold, lines, cause_id=fact.order_id, at=at, reason=fact.type)


def refund_cancelled_lines(hold: Hold, fact: LinesCancelled, at: Moment) -> Applied | Ignored:
    """Some lines will not come: their money goes back, the rest stays held."""
    if hold.state in {"awaiting_payment", "released"}:
        raise NotYet(f"hold_{hold.state}")  # Nothing here may be dropped: parked and alarmed if it never fits.
    if hold.state != "held":
        return Ignored(f"hold_{hold.state}")
    lines = [(each.line_id, each.amount.amount) for each in fact.refunds]
    return refund_lines(hold, lines, cause_id=fact.change_id, at=at, reason=fact.type)


def refund_lines(
    hold: Hold, lines: Sequence[tuple[str, int]], *, cause_id: str, at: Moment, reason: str
) -> Applied:
    """Give back (line_id, minor units) of a hold: one entry, one refund at the provider, one fact."""
    if hold.payment_id is None or hold.provider is None:
        raise NotYet("not_held")
    hold = domain.shrink(hold, lines)
    total = sum(amount for _, amount in lines)
    refund = Refund(
        at.id("rfd", cause_id), hold.order_id, hold.provider, hold.payment_id, None, cause_id, "sent", total,
        hold.currency, at.now, None,
    )  # fmt: skip
    entry = ledger.entry(
        "refund", [(f"hold:{hold.order_id}", -total), (f"refund:{refund.refund_id}", total)],
        currency=hold.currency, at=at, name=refund.refund_id, order_id=hold.order_id,
    )  # fmt: skip
    fact = Refunded(
        order_id=hold.order_id,
        refund_id=refund.refund_id,
        cause_id=cause_id,
        amount=Money(amount=total, currency=hold.currency),
        lines=tuple(
            LineAmount(line_id=line_id, amount=Money(amount=amount, currency=hold.currency)) for line_id, amount in lines
        ),
        reversed=(),
        complete=hold.left == 0,
    )
    return Applied((hold, refund, entry), (say(fact, *hold.parties),), (instruct_refund(refund),), reason=reason)


def instruct_refund(refund: Refund) -> Instruction:
    body = {"provider": refund.provider, "payment_id": refund.payment_id, "amount": refund.amount, "currency": refund.currency}
    return Instruction(refund.refund_id, "refund", body)


def complete(hold: Hold, fact: OrderCompleted, _at: Moment) -> Applied | Ignored:
    """Nothing about the order changes any more."""
    if hold.state in {"awaiting_payment", "held"}:
        raise NotYet("not_released")
    if hold.completed_at is not None or hold.state != "released":
        return Ignored("nothing_to_complete")
    return Applied((replace(hold, completed_at=fact.completed_at),), reason="order_completed")


# --- payments ----------------------------------------------------------------------------------------------------


def create_payment(
    providers: frozenset[str], checkout: Checkout, holds: tuple[Hold, ...], ask: CreatePayment, at: Moment
) -> Applied:
    """A payment of the whole checkout, allocated to its holds; the provider is instructed to open a charge."""
    if require_person(ask.caller) != checkout.buyer:
        raise NotFound
    if ask.provider not in providers:
        raise ProviderUnknown({"provider": ask.provider})
    if checkout.captured_by is not None:
        raise AlreadyPaid
    if any(hold.state != "awaiting_payment" for hold in holds):
        raise CheckoutClosed
    if at.now > checkout.pay_by:
        raise TooLate
    payment = Payment(
        payment_id=at.id("pay"),
        checkout_id=checkout.checkout_id,
        buyer=checkout.buyer,
        provider=ask.provider,
        method=ask.method,
        state="created",
        amount=checkout.amount,
        currency=checkout.currency,
        allocations=tuple(Allocation(hold.order_id, hold.amount) for hold in holds),
        pay_url=None,
        transaction_id=None,
        created_at=at.now,
        expires_at=checkout.pay_by,
        captured_at=None,
    )
    # The provider lives on the system clock: what it is told is how much time is left.
    closes_at = at.system_now + (checkout.pay_by - at.now)
    body = {
        "provider": payment.provider, "amount": payment.amount, "currency": payment.currency,
        "expires_at": closes_at.isoformat(),
    }  # fmt: skip
    instruction = Instruction(payment.payment_id, "open_charge", body)
    return Applied((payment,), instructions=(instruction,), reply=payment, reason="asked_by_buyer")


def charge_opened(payment: Payment, answer: ChargeOpened, _at: Moment) -> Applied | Ignored:
    if payment.state != "created":
        return Ignored(f"payment_{payment.state}")
    return Applied((replace(payment, state="open", pay_url=answer.pay_url),), reason="charge_opened")


def capture(
    payment: Payment | None, checkout: Checkout | None, holds: tuple[Hold, ...], seen: Capture, at: Moment
) -> Applied:
    """Money has come in, for sure: it is held if it is exactly what is awaited, else it goes to suspense.

    Nothing that a provider has signed is refused: refusing would not make the money go away.
    """
    if payment is None or checkout is None or payment.provider != seen.provider:
        return suspend(None, seen, at, "unknown_payment")
    if (seen.amount, seen.currency) != (payment.amount, payment.currency):
        return suspend(payment, seen, at, "wrong_amount")
    if checkout.captured_by is not None:
        return suspend(payment, seen, at, "paid_twice")
    if any(hold.state != "awaiting_payment" for hold in holds):
        return suspend(payment, seen, at, "late")
    return hold_money(payment, checkout, holds, seen, at)


def hold_money(
    payment: Payment, checkout: Checkout, holds: tuple[Hold, ...], seen: Capture, at: Moment
) -> Applied:
    """The first capture wins: every hold of the checkout is held, its allocation sums to the payment."""
    held = tuple(
        replace(
            hold, state=find_move(MOVES, hold.state, "capture"), captured=hold.amount,
            payment_id=payment.payment_id, provider=payment.provider, held_at=at.now,
        )
        for hold in holds
    )  # fmt: skip
    entries = tuple(
        ledger.entry(
            "capture", [(f"provider:{seen.provider}", -hold.amount), (f"hold:{hold.order_id}", hold.amount)],
            currency=hold.currency, at=at, name=hold.order_id, order_id=hold.order_id,
        )
        for hold in held
    )  # fmt: skip
    payment = replace(payment, state="captured", transaction_id=seen.transaction_id, captured_at=at.now)
    checkout = replace(checkout, captured_by=payment.payment_id)
    return Applied(
        (payment, checkout, *held, *entries), tuple(_held_fact(hold, payment, at) for hold in held), reason="captured"
    )


def _held_fact(hold: Hold, payment: Payment, at: Moment) -> Said:
    return say(
        Held(
            order_id=hold.order_id,
            checkout_id=hold.checkout_id,
            payment_id=payment.payment_id,
            amount=Money(amount=hold.amount, currency=hold.currency),
            at=at.now,
        ),
        *hold.parties,
    )


REFUNDED_AT_ONCE = frozenset({"late", "paid_twice"})
"""Reasons for which it is clear whose money it is; a person looks at the others."""


def suspend(payment: Payment | None, seen: Capture, at: Moment, reason: Any) -> Applied:
    """The money belongs to no hold: into suspense, and back to the buyer in full where it is clear whose it is."""
    item = Suspense(
        at.id("sus"), seen.payment_id, seen.transaction_id, seen.provider, reason, "open", seen.amount, seen.currency,
        at.now,
    )  # fmt: skip
    entry = ledger.entry(
        "suspend", [(f"provider:{seen.provider}", -seen.amount), (f"suspense:{item.suspense_id}", seen.amount)],
        currency=seen.currency, at=at, name=item.suspense_id,
    )  # fmt: skip
    if payment is None or reason not in REFUNDED_AT_ONCE:
        return Applied((item, entry), reason=reason)
    refund = Refund(
        at.id("rfd", item.suspense_id), None, seen.provider, payment.payment_id, item.suspense_id, item.suspense_id,
        "sent", item.amount, item.currency, at.now, None,
    )  # fmt: skip
    back = ledger.entry(
        "refund", [(f"suspense:{item.suspense_id}", -item.amount), (f"refund:{refund.refund_id}", item.amount)],
        currency=item.currency, at=at, name=refund.refund_id,
    )  # fmt: skip
    if payment.state in {"created", "open"}:
        payment = replace(
            payment, state="suspended", transaction_id=seen.transaction_id, captured_at=at.now
        )
    return Applied(
        (replace(item, state="refunding"), refund, payment, entry, back),
        instructions=(instruct_refund(refund),),
        reason=reason,
    )


def refund_answered(
    refund: Refund, hold: Hold | None, item: Suspense | None, answer: RefundAnswered, at: Moment
) -> Applied | Ignored:
    """The provider has spoken: given back, or never under this number, and then under a new one."""
    if refund.state != "sent":
        return Ignored(f"refund_{refund.state}")
    if answer.outcome == "failed":
        return _refund_again(refund, at)
    done = replace(refund, state="succeeded", answered_at=at.now)
    entry = ledger.entry(
        "refund_paid",
        [(f"refund:{refund.refund_id}", -refund.amount), (f"provider:{refund.provider}", refund.amount)],
        currency=refund.currency, at=at, name=refund.refund_id, order_id=refund.order_id,
    )  # fmt: skip
    changed: list[object] = [done, entry]
    if hold is not None:
        changed.append(domain.refund_answered(hold))
    if item is not None:
        changed.append(replace(item, state="refunded"))
    return Applied(tuple(changed), reason="refund_succeeded")


def _refund_again(refund: Refund, at: Moment) -> Applied:
    failed = replace(refund, state="failed", answered_at=at.now)
    again = replace(refund, refund_id=at.id("rfd", refund.refund_id), created_at=at.now)
    entry = ledger.entry(
        "refund_again", [(f"refund:{failed.refund_id}", -refund.amount), (f"refund:{again.refund_id}", refund.amount)],
        currency=refund.currency, at=at, name=again.refund_id, order_id=refund.order_id,
    )  # fmt: skip
    return Applied((failed, again, entry), instructions=(instruct_refund(again),), reason="refund_failed")

