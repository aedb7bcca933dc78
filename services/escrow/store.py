"""Escrow's tables and its reads. The save and the load of aggregates are generated from STORES."""

from sqlalchemy import Index, MetaData, bindparam, func, select, text

from chassis import clock, grants, mailbox
from chassis.db import Query, Window
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
        "(state = 'released') = (released_at IS NOT NULL)",
        "released = 0 OR coalesce(confirmed_at <= released_at, false)",
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

payment_of_buyer = Window(
    """
    SELECT asked.key, {columns}
    FROM (SELECT key, split_part(key, '|', 1) AS payment_id, split_part(key, '|', 2) AS person
          FROM unnest($1::text[]) AS key) AS asked
    JOIN payments AS p ON p.payment_id = asked.payment_id AND p.buyer = asked.person
    """.format(columns=", ".join(f"p.{each.name}" for each in PAYMENTS.codec.fields))
)
"""One payment by `payment_id|person`, only for its buyer."""
hold_of_party = Window(
    """
    SELECT asked.key, {columns}, mine.party_ids, said.entries
    FROM (SELECT key, split_part(key, '|', 1) AS order_id, nullif(split_part(key, '|', 2), '') AS person,
                 nullif(split_part(key, '|', 3), '') AS party FROM unnest($1::text[]) AS key) AS asked
    JOIN holds AS h ON h.order_id = asked.order_id
    CROSS JOIN LATERAL (
        SELECT array(SELECT party_id FROM grants WHERE person_id = asked.person AND role IS NOT NULL) AS party_ids
    ) AS mine
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'entry_id', entry_id, 'kind', kind, 'account', account, 'amount', amount, 'at', at
               ) ORDER BY at, entry_id, n), '[]') AS entries
        FROM postings WHERE order_id = asked.order_id
    ) AS said
    WHERE h.buyer = asked.person OR asked.party IN (h.seller, h.partner_id)
       OR h.seller = ANY(mine.party_ids) OR h.partner_id = ANY(mine.party_ids)
    """.format(columns=", ".join(f"h.{each.name}" for each in HOLDS.codec.fields))
)
"""One hold by `order_id|person|party`, only for its buyer, its seller's and its partner's people: the reader is part of
the key, so that reads of many readers share one statement. Behind the hold: the reader's parties, and its entries."""
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
