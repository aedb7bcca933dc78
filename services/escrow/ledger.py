"""The double-entry ledger: money moves only as a balanced entry, rows are added and never edited.

Accounts are colon paths and their first word is their class:

    provider:{provider}    what the provider holds for us, as a negative balance: money in lowers it
    suspense:{suspense_id} came in and belongs to no hold
    hold:{order_id}        held for an order
    unnamed:{leg_id}       released, its payee not named yet
    maturing:{payee}       released and named, not payable before the order is completed
    payable:{payee}        a payee's own
    refund:{refund_id}     on its way back to the buyer

So captured = suspense + held + released + refunded, per order and in all, at posting time. There is no balance row to
contend for: a balance is the sum of its postings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Literal

from chassis.moment import Moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Kind = Literal["capture", "suspend", "release", "name", "refund", "refund_paid", "refund_again"]


@dataclass(frozen=True, slots=True)
class Posting:
    """One row of an entry: `amount` minor units into `account`, negative where they leave it."""

    entry_id: str
    n: int
    kind: Kind
    account: str
    amount: int
    currency: str
    order_id: str | None
    digest: bytes
    """Over the whole entry, the same on each of its rows: an edited row no longer fits it."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A balanced set of postings: they sum to zero. `unbalanced` is a defect of ours, refused by the database too."""

    postings: tuple[Posting, ...]


class Unbalanced(Exception):  # noqa: N818
    """An entry that does not sum to zero was about to be written."""


def entry(
    kind: Kind,
    moves: Sequence[tuple[str, int]],
    *,
    currency: str,
    at: Moment,
    name: str,
    order_id: str | None = None,
) -> Entry:
    """A balanced entry out of (account, signed minor units); zero amounts are left out.

    `name` is unique within the message, so that the entry's id is.
    """
    rows = [(account, amount) for account, amount in moves if amount]
    if sum(amount for _, amount in rows):
        raise Unbalanced(f"{kind} {name}: {rows}")
    entry_id = at.id("ent", kind, name)
    mark = digest(entry_id, kind, rows, currency, order_id, at.now)
    return Entry(
        tuple(
            Posting(entry_id, n, kind, account, amount, currency, order_id, mark, at.now)
            for n, (account, amount) in enumerate(rows)
        )
    )


def digest(
    entry_id: str, kind: str, rows: Sequence[tuple[str, int]], currency: str, order_id: str | None, at: datetime
) -> bytes:
    """16 bytes over everything an entry says."""
    said = [entry_id, kind, currency, order_id or "", str((at - EPOCH) // timedelta(microseconds=1))]
    said += [f"{account}={amount}" for account, amount in rows]
    return blake2b("\n".join(said).encode(), digest_size=16).digest()
