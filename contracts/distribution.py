"""What distribution says: whom a sale is owed to, and how a commission follows the money. One level, always."""

from typing import ClassVar, Literal

from contracts.fact import AtLeastOne, Fact, Part, ReasonCode
from contracts.ids import CommissionId, LineId, OrderId, PersonId, TouchId
from contracts.money import Money


class AttributedLine(Part):
    """At most one angel brought this line; None with the reason why nobody did."""

    line_id: LineId
    angel: PersonId | None
    touch_id: TouchId | None
    reason_code: ReasonCode


class Attributed(Fact):
    """Decided once, for every line of the order: who brought the buyer. It never changes afterwards."""

    type: ClassVar[str] = "distribution.attributed.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    lines: AtLeastOne[AttributedLine]


class CommissionReviewed(Fact):
    """A suspicious commission was frozen, or a review ended: cleared to be paid, or denied and given back."""

    type: ClassVar[str] = "distribution.commission_reviewed.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    line_id: LineId
    outcome: Literal["frozen", "cleared", "denied"]
    reason_code: ReasonCode


class AngelJoined(Fact):
    """This person may share links from now on. Nobody brought them: joining has no upline, no fee and no reward."""

    type: ClassVar[str] = "distribution.angel_joined.v1"
    subject_field: ClassVar[str] = "person_id"

    person_id: PersonId


class _Commission(Fact):
    subject_field: ClassVar[str] = "commission_id"

    commission_id: CommissionId
    order_id: OrderId
    line_id: LineId
    amount: Money


class CommissionPending(_Commission):
    """The buyer's money is held; this much is the angel's if the sale stands."""

    type: ClassVar[str] = "distribution.commission_pending.v1"


class CommissionPayable(_Commission):
    """The sale stands: this much can be paid out."""

    type: ClassVar[str] = "distribution.commission_payable.v1"


class CommissionReversed(_Commission):
    """Money went back to the buyer, and this much of the commission with it."""

    type: ClassVar[str] = "distribution.commission_reversed.v1"
