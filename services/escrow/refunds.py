"""Giving money back: out of a hold or out of suspense, by one refund at the provider until that has succeeded."""

from collections.abc import Sequence
from dataclasses import replace

from chassis.decision import Applied, Ignored, Instruction, NotYet, say
from chassis.moment import Moment
from contracts.escrow import LineAmount, Refunded
from contracts.money import Money
from services.escrow import domain, ledger
from services.escrow.commands import RefundAnswered
from services.escrow.domain import Hold, Payment, Refund, Suspense
from services.escrow.ledger import Entry

AGAIN_WITHIN_SECONDS = 3_600


def of_lines(
    hold: Hold, lines: Sequence[tuple[str, int]], *, cause_id: str, at: Moment, reason: str
) -> Applied | Ignored:
    """Give back (line_id, minor units) of a hold: one entry, one refund at the provider, one fact.

    Raises MoreThanLeft.
    """
    if hold.payment_id is None or hold.provider is None:
        raise NotYet("not_held")
    lines = [(line_id, amount) for line_id, amount in lines if amount]
    if not lines:
        return Ignored("nothing_to_refund")
    amount = sum(amount for _, amount in lines)
    refund = first(cause_id, amount, hold.currency, hold.provider, hold.payment_id, at)
    refund = replace(refund, order_id=hold.order_id)
    hold = domain.shrink(hold, lines, cause_id)
    fact = say(fact_of(hold, refund, lines), *hold.parties)
    entry = send_back(refund, f"hold:{hold.order_id}", at)
    return Applied((hold, refund, entry), (fact,), (instruct(refund),), reason=reason)


def first(cause_id: str, amount: int, currency: str, provider: str, payment_id: str, at: Moment) -> Refund:
    """A refund under its first number, of money that this payment brought in."""
    return Refund(
        refund_id=at.id("rfd", cause_id),
        order_id=None,
        provider=provider,
        payment_id=payment_id,
        suspense_id=None,
        cause_id=cause_id,
        state="sent",
        amount=amount,
        currency=currency,
        attempt=1,
        created_at=at.now,
        answered_at=None,
    )


def fact_of(hold: Hold, refund: Refund, lines: Sequence[tuple[str, int]]) -> Refunded:
    return Refunded(
        order_id=hold.order_id,
        refund_id=refund.refund_id,
        cause_id=refund.cause_id,
        amount=Money(amount=refund.amount, currency=refund.currency),
        lines=tuple(
            LineAmount(line_id=line_id, amount=Money(amount=amount, currency=refund.currency))
            for line_id, amount in lines
        ),
        reversed=(),
        complete=hold.left == 0,
    )


def send_back(refund: Refund, source: str, at: Moment) -> Entry:
    """The money is on its way back: out of `source`, into the refund's own account."""
    return ledger.entry(
        "refund",
        [(source, -refund.amount), (f"refund:{refund.refund_id}", refund.amount)],
        currency=refund.currency,
        at=at,
        name=refund.refund_id,
        order_id=refund.order_id,
    )


def instruct(refund: Refund) -> Instruction:
    """The first number is asked for at once; one that follows a refusal waits twice as long as the one before it."""
    body = {
        "provider": refund.provider,
        "payment_id": refund.payment_id,
        "amount": refund.amount,
        "currency": refund.currency,
    }
    wait_seconds = 0 if refund.attempt == 1 else min(2 ** min(refund.attempt - 1, 20), AGAIN_WITHIN_SECONDS)
    return Instruction(refund.refund_id, "refund", body, wait_seconds)


def of_suspense(item: Suspense, payment: Payment, entry: Entry, at: Moment) -> Applied:
    """All of a suspense item goes back to the buyer who paid it."""
    refund = first(item.suspense_id, item.amount, item.currency, item.provider, item.payment_id, at)
    refund = replace(refund, suspense_id=item.suspense_id)
    changed: list[object] = [replace(item, state="refunding"), refund, entry]
    changed.append(send_back(refund, f"suspense:{item.suspense_id}", at))
    if payment.state in {"created", "open"}:
        changed.append(replace(payment, state="suspended", transaction_id=item.transaction_id, captured_at=at.now))
    return Applied(tuple(changed), instructions=(instruct(refund),), reason=item.reason)


def answered(
    refund: Refund, hold: Hold | None, item: Suspense | None, answer: RefundAnswered, at: Moment
) -> Applied | Ignored:
    """The provider has spoken: given back, or never under this number, and then under a new one."""
    if refund.state != "sent":
        return Ignored(f"refund_{refund.state}")
    if answer.outcome == "failed":
        return again(refund, at)
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


def again(refund: Refund, at: Moment) -> Applied:
    """A number that failed stays failed: the same money, under a new number, a little later."""
    failed = replace(refund, state="failed", answered_at=at.now)
    next_ = replace(refund, refund_id=at.id("rfd", refund.refund_id), attempt=refund.attempt + 1, created_at=at.now)
    entry = ledger.entry(
        "refund_again", [(f"refund:{failed.refund_id}", -refund.amount), (f"refund:{next_.refund_id}", refund.amount)],
        currency=refund.currency, at=at, name=next_.refund_id, order_id=refund.order_id,
    )  # fmt: skip
    return Applied((failed, next_, entry), instructions=(instruct(next_),), reason="refund_failed")
