"""One function per message: (aggregates, message, at) -> decision. No SQL, no network."""

from dataclasses import replace

from chassis.decision import (
    Applied,
    Ignored,
    Instruction,
    NotFound,
    NotYet,
    Refused,
    Said,
    StateConflict,
    find_move,
    say,
)
from chassis.moment import Moment
from chassis.policy import require_person
from contracts.distribution import Attributed
from contracts.escrow import Held, Released, ReleasedLeg
from contracts.money import Money
from contracts.order import (
    DeliveryConfirmed,
    LinesCancelled,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderPlaced,
)
from services.escrow import domain, ledger, refunds
from services.escrow.commands import Capture, ChargeOpened, CreatePayment
from services.escrow.domain import (
    MOVES,
    Allocation,
    Checkout,
    CheckoutDiffers,
    CurrencyDiffers,
    Hold,
    LineAngel,
    Payment,
    Suspense,
    SuspenseReason,
)


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
    hold = domain.hold_of(fact)
    opened = domain.checkout_of(fact, checkout)
    return Applied((hold,) if checkout else (hold, opened), reason="order_placed")


def release_on_delivery(hold: Hold, fact: DeliveryConfirmed, at: Moment) -> Applied | Ignored:
    """The buyer has the goods. If the money is held and undisputed, it leaves now.

    Facts may overtake each other: while more is held than was confirmed, a cancelled line has still to be given back.
    """
    if hold.state == "awaiting_payment":
        raise NotYet("not_held")
    if hold.confirmed_at is not None or hold.state in {"void", "refunding", "refunded"}:
        return Ignored("nothing_to_release")
    if fact.net_amount is not None and hold.left > fact.net_amount.amount:
        raise NotYet("more_held_than_confirmed")
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
    return say(Released(order_id=hold.order_id, at=hold.released_at or at.now, legs=legs), *hold.parties)


def name_angels(hold: Hold, fact: Attributed, at: Moment) -> Applied | Ignored:
    """Distribution has decided who brought the buyer: a leg already released gets its payee by an entry."""
    if hold.angels is not None:
        return Ignored("already_attributed")
    hold = replace(hold, angels=tuple(LineAngel(line.line_id, line.angel) for line in fact.lines))
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
    entry = ledger.entry("name", moves, currency=hold.currency, at=at, name=hold.order_id, order_id=hold.order_id)
    return Applied((hold, entry), reason="attributed")


def end_order(hold: Hold, fact: OrderCancelled | OrderExpired, at: Moment) -> Applied | Ignored:
    """The order will not be carried out: nothing is awaited any more, or what is held goes back, whole."""
    if hold.state == "awaiting_payment":
        return Applied((replace(hold, state=find_move(MOVES, hold.state, "void")),), reason=fact.type)
    if hold.state != "held":
        return Ignored(f"hold_{hold.state}")
    lines = [(line.line_id, line.amount) for line in hold.lines]
    return refunds.of_lines(hold, lines, cause_id=fact.order_id, at=at, reason=fact.type)


def refund_cancelled_lines(hold: Hold, fact: LinesCancelled, at: Moment) -> Applied | Ignored:
    """Some lines will not come: their money goes back, once per change; the rest stays held."""
    if fact.change_id in hold.refund_causes:
        return Ignored("already_refunded")
    if hold.state in {"awaiting_payment", "released"}:
        raise NotYet(f"hold_{hold.state}")  # Nothing here may be dropped: parked and alarmed if it never fits.
    if hold.state != "held":
        return Ignored(f"hold_{hold.state}")
    if any(each.amount.currency != hold.currency for each in fact.refunds):
        raise CurrencyDiffers
    lines = [(each.line_id, each.amount.amount) for each in fact.refunds]
    return refunds.of_lines(hold, lines, cause_id=fact.change_id, at=at, reason=fact.type)


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
    if at.now >= checkout.pay_by:
        raise TooLate
    if sum(hold.amount for hold in holds) != checkout.amount:
        raise CheckoutDiffers
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
) -> Applied | Ignored:
    """Money has come in, for sure: it is held if it is exactly what is awaited, else it goes to suspense.

    Nothing that a provider has signed is refused: refusing would not make the money go away.
    """
    if payment is None or checkout is None or payment.provider != seen.provider:
        return suspend(None, seen, at, "unknown_payment")
    if payment.transaction_id == seen.transaction_id:
        # The same money, told again when the inbox no longer knows: to give it back would be to pay it twice.
        return Ignored(f"payment_{payment.state}")
    if (seen.amount, seen.currency) != (payment.amount, payment.currency):
        return suspend(payment, seen, at, "wrong_amount")
    # A checkout that another replica captures meanwhile may have been read before its holds were: either can tell.
    if checkout.captured_by is not None or any(hold.payment_id for hold in holds):
        return suspend(payment, seen, at, "paid_twice")
    if any(hold.state != "awaiting_payment" for hold in holds):
        return suspend(payment, seen, at, "late")
    return hold_money(payment, checkout, holds, seen, at)


def hold_money(payment: Payment, checkout: Checkout, holds: tuple[Hold, ...], seen: Capture, at: Moment) -> Applied:
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


def suspend(payment: Payment | None, seen: Capture, at: Moment, reason: SuspenseReason) -> Applied:
    """The money belongs to no hold: into suspense, and back to the buyer in full where it is clear whose it is."""
    item = Suspense(
        suspense_id=at.id("sus"),
        payment_id=seen.payment_id,
        transaction_id=seen.transaction_id,
        provider=seen.provider,
        reason=reason,
        state="open",
        amount=seen.amount,
        currency=seen.currency,
        at=at.now,
    )
    entry = ledger.entry(
        "suspend", [(f"provider:{seen.provider}", -seen.amount), (f"suspense:{item.suspense_id}", seen.amount)],
        currency=seen.currency, at=at, name=item.suspense_id,
    )  # fmt: skip
    if payment is None or reason not in REFUNDED_AT_ONCE:
        return Applied((item, entry), reason=reason)
    return refunds.of_suspense(item, payment, entry, at)
