"""What escrow is asked: by buyers, by providers' callbacks, and by the answers of its own instructions."""

from dataclasses import dataclass
from typing import Literal

from chassis.caller import Command


@dataclass(frozen=True, slots=True)
class CreatePayment(Command):
    """A buyer wants to pay a checkout."""

    checkout_id: str
    provider: str
    method: str


@dataclass(frozen=True, slots=True)
class ChargeOpened(Command):
    """The provider knows the payment and says where the buyer can pay it."""

    payment_id: str
    pay_url: str | None


@dataclass(frozen=True, slots=True)
class Capture(Command):
    """The provider says, signed, that it has this money under this number of ours."""

    provider: str
    payment_id: str
    transaction_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class RefundAnswered(Command):
    """The provider has given a refund back, or says that it never will under this number."""

    refund_id: str
    outcome: Literal["succeeded", "failed"]
