"""Escrow's tables and its reads. The save and the load of aggregates are generated from STORES."""

from sqlalchemy import Index, MetaData, bindparam, func, or_, select, text

from chassis import clock, grants, mailbox
from chassis.db import Query
from chassis.store import Appended, Keyed
from services.escrow.domain import Checkout, Hold, Payment, Refund, Suspense
from services.escrow.ledger import Entry, Posting

METADATA = MetaData()
mailbox.install(METADATA)

CHECKOUTS = Keyed(
    Checkout, "checkouts", "checkout_id", METADATA,
    pinned=("buyer", "order_ids", "amount", "currency", "pay_by"), checks=("amount > 0",),
)  # fmt: skip
PAYMENTS = Keyed(
    Payment, "payments", "payment_id", METADATA,
    pinned=("checkout_id", "buyer", "provider", "method", "amount", "currency", "allocations", "created_at"),
    indexes=(("checkout_id",),), unique=(("provider", "transaction_id"),),
    checks=("amount > 0", "(state IN ('captured', 'suspended')) = (transaction_id IS NOT NULL)"),
)  # fmt: skip
Index(
    "payments_one_captured_of_checkout", PAYMENTS.table.c.checkout_id, unique=True,
    postgresql_where=text("state = 'captured'"),
)  # fmt: skip
HOLDS = Keyed(
    Hold, "holds", "order_id", METADATA,
    pinned=("checkout_id", "buyer", "seller", "partner_id", "amount", "currency"),
    indexes=(("checkout_id",),),
    checks=(
        "released >= 0 AND refunded >= 0 AND released + refunded <= captured",
        "amount > 0 AND captured IN (0, amount)",
        "(state IN ('released', 'refunding', 'refunded')) = (captured > 0 AND released + refunded = captured)",
        "(state = 'released') = (released_at IS NOT NULL) AND (released = 0 OR confirmed_at <= released_at)",
    ),
)  # fmt: skip
REFUNDS = Keyed(
    Refund, "refunds", "refund_id", METADATA,
    pinned=(
        "order_id", "provider", "payment_id", "suspense_id", "cause_id", "amount", "currency", "attempt", "created_at",
    ),
    indexes=(("order_id",),), checks=("amount > 0",),
)  # fmt: skip
SUSPENSE = Keyed(
    Suspense, "suspense", "suspense_id", METADATA,
    pinned=("payment_id", "transaction_id", "provider", "reason", "amount", "currency", "at"),
    unique=(("provider", "transaction_id"),), checks=("amount > 0",),
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
PROOF = """
SELECT currency,
    -coalesce(sum(amount) FILTER (WHERE account LIKE 'provider:%' AND kind IN ('capture', 'suspend')), 0) AS captured,
    coalesce(sum(amount) FILTER (WHERE account LIKE 'suspense:%'), 0) AS suspense,
    coalesce(sum(amount) FILTER (WHERE account LIKE 'hold:%'), 0) AS held,
    coalesce(sum(amount) FILTER (WHERE account ~ '^(unnamed|maturing|payable):'), 0) AS released,
    coalesce(sum(amount) FILTER (WHERE account LIKE 'refund:%' AND kind = 'refund'), 0) AS refunded,
    sum(amount) AS total
FROM postings GROUP BY 1 ORDER BY 1
"""
"""The books in five figures per currency, from postings alone; `total` of all postings is 0."""
TRIAL_BALANCE = """
SELECT account || ':' || currency AS id, account, currency, sum(amount) AS balance FROM postings
WHERE account || ':' || currency > $1 GROUP BY 2, 3 HAVING sum(amount) <> 0 ORDER BY 1 LIMIT $2
"""
parties_of_person = Query(_OWN_PARTIES)
