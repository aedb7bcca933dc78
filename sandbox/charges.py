"""Charges: asked for by the platform, paid by a buyer, at most once."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl

from sandbox import events
from sandbox.clock import rfc3339
from sandbox.events import News
from sandbox.refusals import Refused
from sandbox.store import Store

Number = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Amount = Annotated[int, Field(strict=True, gt=0, le=10**15)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
State = Literal["pending", "paid", "closed"]

COLUMNS = "out_no, amount, currency, notify_url, expires_at, description, payee, token, closed, transaction_id, paid_at"


class ChargeRequest(BaseModel):
    """What the platform asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    out_no: Number
    amount: Amount
    currency: Currency
    notify_url: HttpUrl
    expires_at: AwareDatetime
    description: Annotated[str, Field(max_length=128)] = ""
    payee: Annotated[str, Field(max_length=64)] = ""


@dataclass(frozen=True)
class Charge:
    """One charge as stored. `amount` in minor units, times in seconds since 1970."""

    out_no: str
    amount: int
    currency: str
    notify_url: str
    expires_at: float
    description: str
    payee: str
    token: str
    closed: int
    transaction_id: str | None
    paid_at: float | None

    def state(self, at: float) -> State:
        """A pending charge closes by itself at `expires_at`."""
        if self.paid_at is not None:
            return "paid"
        return "closed" if self.closed or self.expires_at <= at else "pending"


def create(store: Store, request: ChargeRequest) -> Charge:
    """Make the charge, or find the one made by the same request before."""
    asked = request.model_dump_json()
    with store.transaction():
        known = store.one("select request from charges where out_no = ?", request.out_no)
        if known is None:
            store.insert("charges", _new_row(request, asked))
        elif known["request"] != asked:
            raise Refused(409, "out_no_reused", "This out_no belongs to a charge with another body.")
        return find(store, request.out_no)


def _new_row(request: ChargeRequest, asked: str) -> dict[str, object]:
    return {
        "out_no": request.out_no,
        "request": asked,
        "amount": request.amount,
        "currency": request.currency,
        "notify_url": str(request.notify_url),
        "expires_at": request.expires_at.timestamp(),
        "description": request.description,
        "payee": request.payee,
        "token": secrets.token_urlsafe(24),
    }


def find(store: Store, out_no: str) -> Charge:
    """The charge of this number; Refused (404) if there is none."""
    return _found(store, "out_no", out_no)


def find_by_token(store: Store, token: str) -> Charge:
    """The charge a buyer was sent to; Refused (404) if there is none."""
    return _found(store, "token", token)


def _found(store: Store, column: Literal["out_no", "token"], value: str) -> Charge:
    row = store.one(f"select {COLUMNS} from charges where {column} = ?", value)
    if row is None:
        raise Refused(404, "charge_unknown", "There is no such charge.")
    return Charge(**dict(row))


def close(store: Store, out_no: str) -> Charge:
    """Nobody can pay it any more, unless somebody already has: the caller looks at the state."""
    store.execute("update charges set closed = 1 where out_no = ? and paid_at is null", out_no)
    return find(store, out_no)


def pay(store: Store, token: str, *, at: float, announce_at: float) -> Charge:
    """The buyer pays. Paying again changes nothing; a closed charge is Refused (409)."""
    with store.transaction():
        charge = find_by_token(store, token)
        match charge.state(at):
            case "closed":
                raise Refused(409, "charge_closed", "This charge is closed and can no longer be paid.")
            case "pending":
                return _paid(store, charge, at=at, announce_at=announce_at)
            case "paid":
                return charge


def _paid(store: Store, charge: Charge, *, at: float, announce_at: float) -> Charge:
    transaction_id = f"txn_{uuid.uuid4().hex}"
    statement = "update charges set transaction_id = ?, paid_at = ? where out_no = ?"
    store.execute(statement, transaction_id, at, charge.out_no)
    data: dict[str, object] = {
        "out_no": charge.out_no,
        "transaction_id": transaction_id,
        "amount": charge.amount,
        "currency": charge.currency,
        "paid_at": rfc3339(at),
    }
    events.record(store, News("charge.succeeded", charge.notify_url, data), at=at, due_at=announce_at)
    return find(store, charge.out_no)
