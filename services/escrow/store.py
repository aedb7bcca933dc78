"""Escrow's tables and its reads. The save and the load of aggregates are generated from STORES."""

from sqlalchemy import MetaData, bindparam, func, or_, select

from chassis import clock, grants, mailbox
from chassis.db import Query, Window
from chassis.store import Appended, Keyed
from services.escrow.domain import Checkout, Hold, Payment, Refund, Suspense
from services.escrow.ledger import Entry, Posting

METADATA = MetaData()
mailbox.install(METADATA)

CHECKOUTS = Keyed(
    Checkout, "checkouts", "checkout_id", METADATA,
    pinned=("buyer", "order_ids", "amount", "currency", "pay_by"), checks=("amount >= 0",),
)  # fmt: skip
PAYMENTS = Keyed(
    Payment, "payments", "payment_id", METADATA,
    pinned=("checkout_id", "buyer", "provider", "method", "amount", "currency", "allocations", "created_at"),
    indexes=(("checkout_id",),), unique=(("provider", "transaction_id"),), checks=("amount > 0",),
)  # fmt: skip
HOLDS = Keyed(
    Hold, "holds", "order_id", METADATA,
    pinned=("checkout_id", "buyer", "seller", "partner_id", "amount", "currency"),
    indexes=(("checkout_id",),),
    checks=(
        "released >= 0 AND refunded >= 0 AND released + refunded <= captured",
        "captured IN (0, amount)",
        "(state IN ('released', 'refunding', 'refunded')) = (captured > 0 AND released + refunded = captured)",
    ),
)  # fmt: skip
REFUNDS = Keyed(
    Refund, "refunds", "refund_id", METADATA,
    pinned=("order_id", "provider", "payment_id", "suspense_id", "cause_id", "amount", "currency", "created_at"),
    indexes=(("order_id",),), checks=("amount > 0",),
)  # fmt: skip
SUSPENSE = Keyed(
    Suspense, "suspense", "suspense_id", METADATA,
    pinned=("payment_id", "transaction_id", "provider", "reason", "amount", "currency", "at"),
    unique=(("provider", "transaction_id"),),
)  # fmt: skip
LEDGER = Appended(
    Entry, "postings", METADATA, row=Posting, primary_key=("entry_id", "n"), rows=lambda entry: entry.postings,
    indexes=(("order_id",), ("account",)), checks=("amount <> 0",),
)  # fmt: skip

STORES = (
    clock.store(METADATA), grants.store(METADATA), CHECKOUTS, PAYMENTS, HOLDS, REFUNDS, SUSPENSE, LEDGER,
)  # fmt: skip

_GRANTS = METADATA.tables["grants"]
_HOLD = HOLDS.table.c
_POSTING = LEDGER.table.c
_OWN_PARTIES = select(_GRANTS.c.party_id).where(
    _GRANTS.c.person_id == bindparam("person_id"), _GRANTS.c.role.is_not(None)
)

payment_of_buyer = Query(
    select(*(PAYMENTS.table.c[f.name] for f in PAYMENTS.codec.fields)).where(
        PAYMENTS.table.c.payment_id == bindparam("payment_id"), PAYMENTS.table.c.buyer == bindparam("person_id")
    )
)
hold_of_party = Query(
    select(*(_HOLD[f.name] for f in HOLDS.codec.fields)).where(
        _HOLD.order_id == bindparam("order_id"),
        or_(
            _HOLD.buyer == bindparam("person_id"),
            _HOLD.seller == bindparam("party_id"),
            _HOLD.partner_id == bindparam("party_id"),
            _HOLD.seller.in_(_OWN_PARTIES),
            _HOLD.partner_id.in_(_OWN_PARTIES),
        ),
    )
)
entries_of_order = Query(
    select(_POSTING.entry_id, _POSTING.kind, _POSTING.account, _POSTING.amount, _POSTING.at)
    .where(_POSTING.order_id == bindparam("order_id"))
    .order_by(_POSTING.at, _POSTING.entry_id, _POSTING.n)
)
may_see_books = Query(
    select(func.count()).where(
        _GRANTS.c.person_id == bindparam("person_id"), _GRANTS.c.party_id == "platform", _GRANTS.c.role == "ops"
    )
)
hold_states = Window("SELECT order_id, state FROM holds WHERE order_id = ANY($1::text[])")

PROOF = """
SELECT currency,
    -coalesce(sum(amount) FILTER (WHERE account LIKE 'provider:%' AND kind IN ('capture', 'suspend')), 0) AS captured,
    coalesce(sum(amount) FILTER (WHERE account LIKE 'suspense:%'), 0) AS suspense,
    coalesce(sum(amount) FILTER (WHERE account LIKE 'hold:%'), 0) AS held,
    coalesce(sum(amount) FILTER (WHERE account ~ '^(unnamed|maturing|payable):'), 0) AS released,
    coalesce(sum(amount) FILTER (WHERE account LIKE 'refund:%' AND kind = 'refund'), 0) AS refunded
FROM postings WHERE $1::text IS NULL OR order_id = $1 GROUP BY 1 ORDER BY 1
"""
"""The books in five figures per currency, from postings alone; $1 narrows it to one order."""
TRIAL_BALANCE = """
SELECT account, currency, sum(amount) AS balance FROM postings
WHERE account > $1 GROUP BY 1, 2 HAVING sum(amount) <> 0 ORDER BY account, currency LIMIT $2
"""
parties_of_person = Query(_OWN_PARTIES)
