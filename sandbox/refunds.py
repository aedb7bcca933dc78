"""Refunds: money back to the buyer, never more than was paid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, HttpUrl

from sandbox import charges, events
from sandbox.charges import Amount, Charge, Currency, Number
from sandbox.clock import rfc3339
from sandbox.events import News
from sandbox.refusals import Refused
from sandbox.store import Store

State = Literal["succeeded", "pending", "failed"]


class RefundRequest(BaseModel):
    """What the platform asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refund_no: Number
    out_no: Number
    amount: Amount
    currency: Currency
    notify_url: HttpUrl


@dataclass(frozen=True)
class Refund:
    """One refund as stored. `amount` in minor units, `completes_at` in seconds since 1970."""

    refund_no: str
    out_no: str
    amount: int
    currency: str
    failed: int
    completes_at: float

    def state(self, at: float) -> State:
        """A refund completes by itself at `completes_at`."""
        if self.failed:
            return "failed"
        return "succeeded" if self.completes_at <= at else "pending"


@dataclass(frozen=True)
class Course:
    """How a new refund will go: what the faults in force make of it. Times in seconds since 1970."""

    failed: bool
    completes_at: float
    announce_at: float


def known(store: Store, request: RefundRequest) -> Refund | None:
    """The refund made by the same request before, or None; Refused (409) if the number has another body."""
    row = store.one("select request from refunds where refund_no = ?", request.refund_no)
    if row is None:
        return None
    if row["request"] != request.model_dump_json():
        raise Refused(409, "refund_no_reused", "This refund_no belongs to a refund with another body.")
    return find(store, request.refund_no)


def create(store: Store, request: RefundRequest, plan_course: Callable[[], Course]) -> Refund:
    """Make a refund that is not known yet, or refuse it and change nothing (then no course is planned)."""
    with store.transaction():
        charge = charges.find(store, request.out_no)
        _check(store, charge, request)
        course = plan_course()
        row = request.model_dump(include={"refund_no", "out_no", "amount", "currency"})
        store.insert(
            "refunds",
            {**row, "request": request.model_dump_json(), "failed": course.failed, "completes_at": course.completes_at},
        )
        if not course.failed:
            _announce(store, charge, request, course)
        return find(store, request.refund_no)


def _check(store: Store, charge: Charge, request: RefundRequest) -> None:
    if charge.paid_at is None:
        raise Refused(409, "charge_not_paid", "Only a paid charge can be refunded.")
    if charge.currency != request.currency:
        raise Refused(409, "currency_differs", "A refund has the currency of its charge.")
    if refunded(store, charge.out_no) + request.amount > charge.amount:
        raise Refused(409, "refund_exceeds_charge", "All refunds together must not exceed the charge.")


def refunded(store: Store, out_no: str) -> int:
    """What the refunds of this charge that have not failed add up to, in minor units."""
    row = store.one("select coalesce(sum(amount), 0) as total from refunds where out_no = ? and not failed", out_no)
    return int(row["total"]) if row else 0


def _announce(store: Store, charge: Charge, request: RefundRequest, course: Course) -> None:
    data: dict[str, object] = {
        "refund_no": request.refund_no,
        "out_no": charge.out_no,
        "transaction_id": charge.transaction_id,
        "amount": request.amount,
        "currency": request.currency,
        "refunded_at": rfc3339(course.completes_at),
    }
    news = News("refund.succeeded", str(request.notify_url), data)
    events.record(store, news, at=course.completes_at, due_at=course.announce_at)


def find(store: Store, refund_no: str) -> Refund:
    """The refund of this number; Refused (404) if there is none."""
    query = "select refund_no, out_no, amount, currency, failed, completes_at from refunds where refund_no = ?"
    row = store.one(query, refund_no)
    if row is None:
        raise Refused(404, "refund_unknown", "There is no such refund.")
    return Refund(**dict(row))
