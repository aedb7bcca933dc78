"""The rules of held money: pure functions over frozen values. No database, no clock, no network.

Amounts are integers in minor units; one hold has one currency. Whatever leaves a hold leaves by a balanced entry of
`ledger.py`, so captured = held + released + refunded at every moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from chassis.decision import StateConflict, find_move
from chassis.moment import Moment
from contracts.money import allot
from contracts.terms import Maturity, Role, Share

HoldState = Literal["awaiting_payment", "held", "released", "refunding", "refunded", "void"]
PaymentState = Literal["created", "open", "captured", "suspended"]
LegState = Literal["pending", "maturing", "payable"]

MOVES: Mapping[tuple[str, str], str] = {
    ("awaiting_payment", "capture"): "held",
    ("awaiting_payment", "void"): "void",
    ("held", "release"): "released",
    ("held", "refund_whole"): "refunding",
    ("refunding", "refund_answered"): "refunded",
}
"""Every legal move of a hold. Disputes and what follows a release join this table with their feature."""


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
    angels: dict[str, str | None] | None
    """Line to angel, or to None where it has none; the whole is None until distribution has said."""
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
    created_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Suspense:
    """Money that came in and belongs to no hold: refunded at once where it is clear whose it is, else for a person."""

    suspense_id: str
    payment_id: str
    transaction_id: str
    provider: str
    reason: Literal["late", "paid_twice", "wrong_amount", "unknown_payment"]
    state: Literal["open", "refunding", "refunded"]
    amount: int
    currency: str
    at: datetime


# --- releasing ---------------------------------------------------------------------------------------------------


def ready_to_release(hold: Hold) -> bool:
    """Release is a join, not a step: the money is here and the buyer has the goods."""
    return hold.state == "held" and hold.confirmed_at is not None


def release(hold: Hold, at: Moment) -> Hold:
    """The held money leaves, whole: the legs sum to what was left of the hold."""
    legs = tuple(leg for line in hold.lines for leg in legs_of(hold, line, at))
    return replace(
        hold,
        state=find_move(MOVES, hold.state, "release"),
        legs=legs,
        released=hold.released + sum(leg.amount for leg in legs),
        released_at=at.now,
    )


def legs_of(hold: Hold, line: HoldLine, at: Moment) -> list[Leg]:
    """What is left of a line, split by its pinned shares; a part of 0 has no leg."""
    amounts = allot(line.amount, [share.bps for share in line.shares])
    return [
        settle_payee(
            hold,
            Leg(at.id("leg", line.line_id, share.role), line.line_id, share.role, share.payee, amount,
                share.matures, "pending"),
        )  # fmt: skip
        for share, amount in zip(line.shares, amounts, strict=True)
        if amount
    ]


def settle_payee(hold: Hold, leg: Leg) -> Leg:
    """Name the payee of an angel's leg if distribution has spoken; a payee never named falls to the seller."""
    if leg.payee is None and leg.role == "angel" and hold.angels is not None:
        angel = hold.angels.get(leg.line_id)
        if angel is None:
            leg = replace(leg, payee=hold.seller, matures="release")
        else:
            leg = replace(leg, payee=angel)
    if leg.payee is None:
        return leg
    return replace(leg, state="payable" if leg.matures == "release" else "maturing")


# --- refunding ---------------------------------------------------------------------------------------------------


def shrink(hold: Hold, refunds: Sequence[tuple[str, int]]) -> Hold:
    """Take line amounts out of a hold before its release: what is left is split later.

    `refunds` are (line_id, amount in minor units). Raises StateConflict if a line has less left, or is not of this hold.
    """
    taken: dict[str, int] = {}
    for line_id, amount in refunds:
        taken[line_id] = taken.get(line_id, 0) + amount
    left = {line.line_id: line.amount for line in hold.lines}
    if any(amount > left.get(line_id, -1) for line_id, amount in taken.items()):
        raise StateConflict({"state": hold.state}, {"state": hold.state})
    total = sum(taken.values())
    whole = total == hold.left
    return replace(
        hold,
        state=find_move(MOVES, hold.state, "refund_whole") if whole else hold.state,
        lines=tuple(replace(line, amount=line.amount - taken.get(line.line_id, 0)) for line in hold.lines),
        refunded=hold.refunded + total,
        refunds_open=hold.refunds_open + 1,
    )


def refund_answered(hold: Hold) -> Hold:
    """The provider has given one refund back: the hold is refunded once nothing is left and none is under way."""
    hold = replace(hold, refunds_open=hold.refunds_open - 1)
    if hold.state == "refunding" and hold.refunds_open == 0:
        return replace(hold, state=find_move(MOVES, hold.state, "refund_answered"))
    return hold
