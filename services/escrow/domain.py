"""The rules of held money: pure functions over frozen values. No database, no clock, no network.

Amounts are integers in minor units; one hold has one currency. Whatever leaves a hold leaves by a balanced entry of
`ledger.py`, so captured = held + released + refunded at every moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from chassis.decision import find_move
from chassis.moment import Moment
from contracts.ids import PLATFORM
from contracts.money import allot
from contracts.order import OrderPlaced
from contracts.terms import Maturity, Role, Share

HoldState = Literal["awaiting_payment", "held", "released", "refunding", "refunded", "void"]
PaymentState = Literal["created", "open", "captured", "suspended"]
LegState = Literal["pending", "maturing", "payable"]
SuspenseReason = Literal["late", "paid_twice", "wrong_amount", "unknown_payment"]
NAMED_LATER: frozenset[Role] = frozenset({"angel", "author"})
"""Roles whose payee a fact names after the order was placed; any other that is unnamed falls to the seller."""

MOVES: Mapping[tuple[str, str], HoldState] = {
    ("awaiting_payment", "capture"): "held",
    ("awaiting_payment", "void"): "void",
    ("held", "release"): "released",
    ("held", "refund_whole"): "refunding",
    ("refunding", "refund_answered"): "refunded",
}
"""Every legal move of a hold. Disputes and what follows a release join this table with their feature."""


class Contradiction(Exception):  # noqa: N818
    """A fact says what cannot be. Nothing moves: it is parked with this name until a person has looked."""


class CheckoutDiffers(Contradiction):
    """Two orders of one checkout tell of two different checkouts, or the amounts of one are not its own."""


class PayeeForeign(Contradiction):
    """The terms name a payee who is neither the order's seller nor its partner, its tribe or the platform."""


class CurrencyDiffers(Contradiction):
    """One order has one currency."""


class MoreThanLeft(Contradiction):
    """A refund of more than a line has left, or of a line that the order does not have."""


@dataclass(frozen=True, slots=True)
class HoldLine:
    """A line of the order and how much of it is still meant for its payees: `amount` shrinks with every refund."""

    line_id: str
    amount: int
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Leg:
    """One payee's part of one line. An unnamed angel's or author's leg is `pending`."""

    leg_id: str
    line_id: str
    role: Role
    payee: str | None
    amount: int
    matures: Maturity
    state: LegState

    @property
    def account(self) -> str:
        """Where its money lies in the ledger."""
        return f"unnamed:{self.leg_id}" if self.payee is None else f"{self.state}:{self.payee}"


@dataclass(frozen=True, slots=True)
class LineAngel:
    """Who brought the buyer of one line, or None where nobody did."""

    line_id: str
    angel: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """The money of one order kept in escrow. `captured`, `released` and `refunded` are totals so far."""

    order_id: str
    checkout_id: str
    buyer: str
    seller: str
    partner_id: str | None
    state: HoldState
    amount: int
    currency: str
    captured: int
    released: int
    refunded: int
    lines: tuple[HoldLine, ...]
    legs: tuple[Leg, ...]
    angels: tuple[LineAngel, ...] | None
    """None until distribution has said."""
    refund_causes: tuple[str, ...]
    """What money was given back for so far: each cause once."""
    refunds_open: int
    payment_id: str | None
    provider: str | None
    held_at: datetime | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    released_at: datetime | None
    completed_at: datetime | None

    @property
    def left(self) -> int:
        """What is still held, in minor units."""
        return self.captured - self.released - self.refunded

    @property
    def parties(self) -> tuple[str | None, ...]:
        """Who may hear of this hold by webhook."""
        return (self.seller, self.partner_id)


@dataclass(frozen=True, slots=True)
class Checkout:
    """One act of buying over one or more orders: it is paid once, by the first payment that is captured."""

    checkout_id: str
    buyer: str
    order_ids: tuple[str, ...]
    amount: int
    currency: str
    pay_by: datetime
    captured_by: str | None


@dataclass(frozen=True, slots=True)
class Allocation:
    """The part of a payment that belongs to one hold."""

    order_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Payment:
    """The money of a checkout on its way in. Its id is its number at the provider."""

    payment_id: str
    checkout_id: str
    buyer: str
    provider: str
    method: str
    state: PaymentState
    amount: int
    currency: str
    allocations: tuple[Allocation, ...]
    pay_url: str | None
    transaction_id: str | None
    created_at: datetime
    expires_at: datetime
    captured_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refund:
    """Money on its way back to the buyer. Its id is its number at the provider, for ever."""

    refund_id: str
    order_id: str | None
    provider: str
    payment_id: str
    suspense_id: str | None
    cause_id: str
    state: Literal["sent", "succeeded", "failed"]
    amount: int
    currency: str
    attempt: int
    """From 1: a refund that the provider refuses is asked for again, under a new number."""
    created_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Suspense:
    """Money that came in and belongs to no hold: refunded at once where it is clear whose it is, else for a person."""

    suspense_id: str
    payment_id: str
    transaction_id: str
    provider: str
    reason: SuspenseReason
    state: Literal["open", "refunding", "refunded"]
    amount: int
    currency: str
    at: datetime


# --- opening -----------------------------------------------------------------------------------------------------


def checkout_of(fact: OrderPlaced, known: Checkout | None) -> Checkout:
    """The checkout of an order: `known` where another order of it came first.

    Raises CheckoutDiffers, CurrencyDiffers.
    """
    checkout = Checkout(
        checkout_id=fact.checkout.checkout_id,
        buyer=fact.buyer,
        order_ids=fact.checkout.order_ids,
        amount=fact.checkout.amount.amount,
        currency=fact.checkout.amount.currency,
        pay_by=fact.pay_by,
        captured_by=None,
    )
    if any(line.amount.currency != checkout.currency for line in fact.lines):
        raise CurrencyDiffers
    if fact.order_id not in checkout.order_ids or (known and replace(known, captured_by=None) != checkout):
        raise CheckoutDiffers
    return known or checkout


def hold_of(fact: OrderPlaced) -> Hold:
    """The hold of a new order, line by line with its pinned terms.

    Raises PayeeForeign, and CheckoutDiffers for terms that are not about the order's lines or an order without a price.
    """
    shares = {line.line_id: line.shares for line in fact.terms.lines}
    amount = sum(line.amount.amount for line in fact.lines)
    alone = fact.checkout.order_ids == (fact.order_id,)
    if set(shares) != {line.line_id for line in fact.lines} or len(shares) != len(fact.lines):
        raise CheckoutDiffers
    if not 0 < amount <= fact.checkout.amount.amount or (alone and amount != fact.checkout.amount.amount):
        raise CheckoutDiffers
    if not all(may_be_paid(fact, share) for of_line in shares.values() for share in of_line):
        raise PayeeForeign
    return Hold(
        order_id=fact.order_id,
        checkout_id=fact.checkout.checkout_id,
        buyer=fact.buyer,
        seller=fact.seller,
        partner_id=fact.partner_id,
        state="awaiting_payment",
        amount=amount,
        currency=fact.checkout.amount.currency,
        captured=0,
        released=0,
        refunded=0,
        lines=tuple(HoldLine(line.line_id, line.amount.amount, shares[line.line_id]) for line in fact.lines),
        legs=(),
        angels=None,
        refund_causes=(),
        refunds_open=0,
        payment_id=None,
        provider=None,
        held_at=None,
        confirmed_at=None,
        confirmed_by=None,
        released_at=None,
        completed_at=None,
    )


def may_be_paid(fact: OrderPlaced, share: Share) -> bool:
    """Whether the terms of this order may pin this payee: there is nobody else whom an order could pay."""
    if share.payee is None:
        return True
    pinned: Mapping[Role, str | None] = {
        "seller": fact.seller,
        "partner": fact.partner_id,
        "tribe_pool": fact.tribe_id,
        "platform": PLATFORM,
    }
    return share.payee == pinned.get(share.role)


# --- releasing ---------------------------------------------------------------------------------------------------


def ready_to_release(hold: Hold) -> bool:
    """Release is a join, not a step: the money is here and the buyer has the goods."""
    return hold.state == "held" and hold.confirmed_at is not None


def release(hold: Hold, at: Moment) -> Hold:
    """The held money leaves, whole: the legs sum to what was left of the hold.

    It leaves after the confirmation by whichever clock is ahead: order's and escrow's may differ.
    """
    legs = tuple(leg for line in hold.lines for leg in legs_of(hold, line, at))
    return replace(
        hold,
        state=find_move(MOVES, hold.state, "release"),
        legs=legs,
        released=hold.released + sum(leg.amount for leg in legs),
        released_at=max(at.now, hold.confirmed_at or at.now),
    )


def legs_of(hold: Hold, line: HoldLine, at: Moment) -> list[Leg]:
    """What is left of a line, split by its pinned shares; a part of 0 has no leg."""
    legs = [
        Leg(
            leg_id=at.id("leg", line.line_id, share.role),
            line_id=line.line_id,
            role=share.role,
            payee=share.payee,
            amount=amount,
            matures=share.matures,
            state="pending",
        )
        for share, amount in zip(line.shares, parts_of(line), strict=True)
        if amount
    ]
    return [settle_payee(hold, leg) for leg in legs]


def parts_of(line: HoldLine) -> list[int]:
    """What is left of a line, split by its shares, in minor units."""
    return allot(line.amount, [share.bps for share in line.shares])


def settle_payee(hold: Hold, leg: Leg) -> Leg:
    """Name the payee of a pending leg if that is known; a payee never to be named falls to the seller."""
    if leg.state != "pending":
        return leg
    if leg.payee is None and leg.role == "angel" and hold.angels is not None:
        leg = replace(leg, payee=angel_of(hold, leg.line_id))
    elif leg.payee is None and leg.role in NAMED_LATER:
        return leg
    if leg.payee is None:
        leg = replace(leg, payee=hold.seller, matures="release")
    return replace(leg, state="payable" if leg.matures == "release" else "maturing")


def angel_of(hold: Hold, line_id: str) -> str | None:
    """Who brought the buyer of a line, at most one; nobody brings themself, whatever distribution says."""
    named = [each.angel for each in hold.angels or () if each.line_id == line_id and each.angel != hold.buyer]
    return named[0] if named else None


# --- refunding ---------------------------------------------------------------------------------------------------


def shrink(hold: Hold, refunds: Sequence[tuple[str, int]], cause_id: str) -> Hold:
    """Take line amounts out of a hold before its release: what is left is split later.

    `refunds` are (line_id, amount in minor units). Raises MoreThanLeft.
    """
    taken: dict[str, int] = {}
    for line_id, amount in refunds:
        taken[line_id] = taken.get(line_id, 0) + amount
    left = {line.line_id: line.amount for line in hold.lines}
    if any(amount > left.get(line_id, -1) for line_id, amount in taken.items()):
        raise MoreThanLeft
    total = sum(taken.values())
    whole = total == hold.left
    return replace(
        hold,
        state=find_move(MOVES, hold.state, "refund_whole") if whole else hold.state,
        lines=tuple(replace(line, amount=line.amount - taken.get(line.line_id, 0)) for line in hold.lines),
        refunded=hold.refunded + total,
        refund_causes=(*hold.refund_causes, cause_id),
        refunds_open=hold.refunds_open + 1,
    )


def refund_answered(hold: Hold) -> Hold:
    """The provider has given one refund back: the hold is refunded once nothing is left and none is under way."""
    hold = replace(hold, refunds_open=hold.refunds_open - 1)
    if hold.state == "refunding" and hold.refunds_open == 0:
        return replace(hold, state=find_move(MOVES, hold.state, "refund_answered"))
    return hold
