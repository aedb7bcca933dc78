"""What escrow's API takes and gives: request and response models, never rows, never facts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from chassis.web import In, Out
from contracts.ids import CheckoutId
from contracts.money import Money
from contracts.terms import Role
from services.escrow.domain import Hold, Leg, Payment, parts_of

Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,31}$")]


class PaymentIn(In):
    checkout_id: CheckoutId
    provider: Name = "sandbox"
    method: Name = "page"


class PaymentOut(Out):
    """A payment: `created` until the provider knows it, then `open` at `pay_url`; `captured`, or `suspended` when the
    money came too late or twice and goes back."""

    id: str
    checkout_id: str
    provider: str
    state: Literal["created", "open", "captured", "suspended"]
    amount: Money
    pay_url: str | None
    expires_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> "PaymentOut":
        return cls(
            id=payment.payment_id,
            checkout_id=payment.checkout_id,
            provider=payment.provider,
            state=payment.state,
            amount=Money(amount=payment.amount, currency=payment.currency),
            pay_url=payment.pay_url,
            expires_at=payment.expires_at,
        )


class LegOut(Out):
    """One part of the split. Everybody sees the role and the amount, only the payee sees who."""

    line_id: str
    role: Role
    payee: str | None
    amount: Money
    state: str


class EntryOut(Out):
    """One row of the books about this order; accounts of other payees are masked."""

    entry_id: str
    kind: str
    account: str
    amount: int = Field(description="signed, in minor units: negative where it leaves the account")
    at: datetime


class HoldOut(Out):
    """The money of one order: what came in, where it is, and what it waits for."""

    order_id: str
    state: str
    amount: Money
    captured: Money
    held: Money
    released: Money
    refunded: Money
    split: list[LegOut] = Field(description="the legs once released, before that how it would be split now")
    planned: bool = Field(description="whether `split` is still a plan")
    entries: list[EntryOut]
    waits_for: list[str]
    held_at: datetime | None
    confirmed_at: datetime | None
    released_at: datetime | None

    @classmethod
    def of(cls, hold: Hold, entries: Sequence[Any], own: frozenset[str]) -> "HoldOut":
        """The hold as one of its parties sees it: `own` are the ids the caller is or acts for."""

        def money(amount: int) -> Money:
            return Money(amount=amount, currency=hold.currency)

        return cls(
            order_id=hold.order_id,
            state=hold.state,
            amount=money(hold.amount),
            captured=money(hold.captured),
            held=money(hold.left),
            released=money(hold.released),
            refunded=money(hold.refunded),
            split=[
                LegOut(
                    line_id=leg.line_id, role=leg.role, payee=leg.payee if leg.payee in own else None,
                    amount=money(leg.amount), state=leg.state,
                )
                for leg in hold.legs or planned_legs(hold)
            ],
            planned=not hold.legs,
            entries=[
                EntryOut(
                    entry_id=row["entry_id"], kind=row["kind"], account=masked(row["account"], own),
                    amount=row["amount"], at=row["at"],
                )
                for row in entries
            ],
            waits_for=waits_for(hold),
            held_at=hold.held_at,
            confirmed_at=hold.confirmed_at,
            released_at=hold.released_at,
        )  # fmt: skip


def planned_legs(hold: Hold) -> list[Leg]:
    """How the money would be split if it were released now."""
    if hold.state in {"void", "refunding", "refunded"}:
        return []
    return [
        Leg("", line.line_id, share.role, share.payee, amount, share.matures, "pending")
        for line in hold.lines
        for share, amount in zip(line.shares, parts_of(line), strict=True)
        if amount
    ]


def masked(account: str, own: frozenset[str]) -> str:
    """An account path without a payee who is not the reader."""
    kind, _, owner = account.partition(":")
    return account if kind not in {"payable", "maturing"} or owner in own else f"{kind}:…"


def waits_for(hold: Hold) -> list[str]:
    """What must still happen before the money moves, in the words of the facts."""
    if hold.state == "awaiting_payment":
        return ["payment"]
    if hold.state == "held":
        return ["delivery_confirmed"]
    if hold.state == "refunding":
        return ["refund_answered"]
    return sorted({f"{leg.role}_named" for leg in hold.legs if leg.payee is None})


class ProofOut(Out):
    """The books in five figures: captured = suspense + held + released + refunded.

    `imbalance` is 0, always: by how much the figures, or all postings together, are off.
    """

    currency: str
    captured: int
    suspense: int
    held: int
    released: int
    refunded: int
    imbalance: int


class AccountOut(Out):
    id: str = Field(description="the account and its currency, for `starting_after`")
    account: str
    currency: str
    balance: int


class BooksOut(Out):
    """The proof, per currency; `accounts` is the trial balance where `by=account` was asked."""

    data: list[ProofOut]
    accounts: list[AccountOut] = Field(default_factory=list)
    has_more: bool = False
