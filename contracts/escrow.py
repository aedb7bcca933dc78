"""What escrow says: the only writer of money. Every amount that enters, stays or leaves is one of these facts."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictBool

from contracts.fact import At, AtLeastOne, Fact, Fingerprint, Goods, Part, ReasonCode, Several, Version
from contracts.ids import (
    AnyId,
    CheckoutId,
    DisputeId,
    LegId,
    LineId,
    OrderId,
    PartnerId,
    PartyId,
    PayeeId,
    PaymentId,
    PayoutId,
    PersonId,
    RefundId,
    SettlementId,
    TribeId,
)
from contracts.money import Money
from contracts.terms import Maturity, Role

LEGS_MAX = 2_000
"""200 lines and every role of each, with room for several authors."""
PAYOUT_LEGS_MAX = 500


class Held(Fact):
    """The buyer's money for this order is here, whole. The seller can ship without fear."""

    type: ClassVar[str] = "escrow.held.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    checkout_id: CheckoutId
    payment_id: PaymentId
    amount: Money
    at: At


class Disputed(Fact):
    """The buyer objects: what is not yet paid out of this order stands still until the dispute is resolved."""

    type: ClassVar[str] = "escrow.disputed.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    dispute_id: DisputeId
    opened_at: At
    reason_code: ReasonCode


class LineAmount(Part):
    """An amount of one order line."""

    line_id: LineId
    amount: Money


class DisputeResolved(Fact):
    """The dispute is over: withdrawn, moot because the order was cancelled, or decided. Deadlines run again."""

    type: ClassVar[str] = "escrow.dispute_resolved.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    dispute_id: DisputeId
    opened_at: At
    outcome: Literal["refunded", "released", "split", "withdrawn", "moot"]
    refunds: Several[LineAmount]
    goods: Goods
    reason_code: ReasonCode


class ReleasedLeg(Part):
    """One payee's part of one line. `payee` is None until the angel or the author is named."""

    leg_id: LegId
    line_id: LineId
    role: Role
    payee: PayeeId | None
    amount: Money
    matures: Maturity


class Released(Fact):
    """The held money has left, whole: the legs sum to what was held."""

    type: ClassVar[str] = "escrow.released.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    at: At
    legs: Annotated[tuple[ReleasedLeg, ...], Field(max_length=LEGS_MAX)]


class ReversedLeg(Part):
    """What one leg gave back, and where it was found: still held, in the leg, or owed by a payee already paid."""

    leg_id: LegId
    amount: Money
    source: Literal["hold", "leg", "debt"]


class Refunded(Fact):
    """This much went back to the buyer; `complete` when nothing of the order is left to give back.

    `cause_id` names what caused it: a cancelled order, a change of lines, a dispute.
    """

    type: ClassVar[str] = "escrow.refunded.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    refund_id: RefundId
    cause_id: AnyId
    amount: Money
    lines: Several[LineAmount]
    reversed: Annotated[tuple[ReversedLeg, ...], Field(max_length=LEGS_MAX)]
    complete: StrictBool


class MaturedLeg(Part):
    """A leg its payee can now be paid."""

    leg_id: LegId
    payee: PayeeId
    amount: Money


class LegMatured(Fact):
    """These legs are past every window in which the buyer could have asked for them back."""

    type: ClassVar[str] = "escrow.leg_matured.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    legs: Annotated[tuple[MaturedLeg, ...], Field(min_length=1, max_length=LEGS_MAX)]


class _Payout(Fact):
    subject_field: ClassVar[str] = "payout_id"

    payout_id: PayoutId
    payee: PayeeId
    amount: Money
    legs: Annotated[tuple[LegId, ...], Field(max_length=PAYOUT_LEGS_MAX)]


class PayoutSent(_Payout):
    """The payment provider has been told to pay; its answer is not known yet."""

    type: ClassVar[str] = "escrow.payout_sent.v1"


class PayoutSucceeded(_Payout):
    """The payee has the money."""

    type: ClassVar[str] = "escrow.payout_succeeded.v1"


class PayoutFailed(_Payout):
    """The provider says that it did not pay; the money is still the payee's and is tried again."""

    type: ClassVar[str] = "escrow.payout_failed.v1"


class DebtOpened(Fact):
    """The payee was paid for a sale that has since been undone and owes this much back."""

    type: ClassVar[str] = "escrow.debt_opened.v1"
    subject_field: ClassVar[str] = "payee"

    payee: PayeeId
    amount: Money
    reason_code: ReasonCode


class ReleaseBlocked(Fact):
    """The order is confirmed but its money cannot leave as it should; a person must look. Nothing is lost."""

    type: ClassVar[str] = "escrow.release_blocked.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    amount: Money
    reason_code: ReasonCode


class PoolPayment(Part):
    """What the pool paid one partner."""

    partner_id: PartnerId
    amount: Money


class PoolPaid(Fact):
    """The tribe's pool has paid these costs."""

    type: ClassVar[str] = "escrow.pool_paid.v1"
    subject_field: ClassVar[str] = "settlement_id"

    settlement_id: SettlementId
    tribe_id: TribeId
    payments: AtLeastOne[PoolPayment]


class PayoutAccountChanged(Fact):
    """The party is paid to another account now. Equal fingerprints mean one account; it cannot be read from them."""

    type: ClassVar[str] = "escrow.payout_account_changed.v1"
    subject_field: ClassVar[str] = "party_id"
    is_state: ClassVar[bool] = True

    party_id: PartyId | PersonId
    fingerprint: Fingerprint
    version: Version
