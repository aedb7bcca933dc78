"""The invariants of escrow's own books, recomputed from its tables: each check names the rows that break it.

Histories and the mailbox are checked by `chassis.verify`, and what must agree with other services by onebox.
"""

from itertools import groupby

from chassis.db import Database
from chassis.verify import Check, ranges, violations
from services.escrow import ledger


async def checks(database: Database) -> list[Check]:
    """Every invariant that concerns escrow alone. Reads range by range; a million postings take well under a minute."""
    found = [Check("escrow: every entry sums to zero and is as it was written", await entry_violations(database))]
    for name, (sql, table, key) in QUERIES.items():
        found.append(Check(name, await violations(database, sql, table, key)))
    return found


POSTINGS = """
SELECT entry_id, n, kind, account, amount, currency, order_id, digest, at FROM postings
WHERE entry_id > $1 AND entry_id <= $2 ORDER BY entry_id, n
"""


async def entry_violations(database: Database) -> list[str]:
    """Entries that do not balance, that are not whole, or whose rows no longer fit their digest."""
    found: list[str] = []
    async for after, until in ranges(database, "postings", "entry_id"):
        rows = await database.pool.fetch(POSTINGS, after, until)
        for _, group in groupby(rows, key=lambda row: row["entry_id"]):
            found += _faults([ledger.Posting(*row) for row in group])
    return found


def _faults(entry: list[ledger.Posting]) -> list[str]:
    """What is wrong with one entry, given its rows in order."""
    first, faults = entry[0], []
    if total := sum(posting.amount for posting in entry):
        faults.append(f"sums to {total} {first.currency}")
    if len({posting.currency for posting in entry}) > 1:
        faults.append("has two currencies")
    rows = [(posting.account, posting.amount) for posting in entry]
    mark = ledger.digest(first.entry_id, first.kind, rows, first.currency, first.order_id, first.at)
    whole = [posting.n for posting in entry] == list(range(len(entry)))
    same = len({(each.kind, each.currency, each.order_id, each.at) for each in entry}) == 1
    if not (whole and same) or any(posting.digest != mark for posting in entry):
        faults.append("was changed")
    return [f"entry {first.entry_id} ({first.kind}): {fault}" for fault in faults]


OF_ORDER = """
SELECT order_id, currency,
    -coalesce(sum(amount) FILTER (WHERE kind = 'capture' AND account LIKE 'provider:%'), 0) AS captured,
    coalesce(sum(amount) FILTER (WHERE account ~ '^(unnamed|maturing|payable):'), 0) AS released,
    coalesce(sum(amount) FILTER (WHERE kind = 'refund' AND account LIKE 'refund:%'), 0) AS refunded,
    coalesce(sum(amount) FILTER (WHERE account = 'hold:' || order_id), 0) AS held
FROM postings WHERE order_id > $1 AND order_id <= $2 GROUP BY 1, 2
"""
"""What the postings alone say of each order."""

HOLD_IS_ITS_POSTINGS = f"""
SELECT 'hold ' || h.order_id || ': says captured ' || h.captured || ', released ' || h.released || ', refunded '
    || h.refunded || '; its postings say ' || coalesce(p.captured, 0) || ', ' || coalesce(p.released, 0) || ', '
    || coalesce(p.refunded, 0) || ' and hold ' || coalesce(p.held, 0)
FROM holds AS h LEFT JOIN ({OF_ORDER}) AS p USING (order_id)
WHERE h.order_id > $1 AND h.order_id <= $2 AND (
    (h.captured, h.released, h.refunded, h.captured - h.released - h.refunded)
    IS DISTINCT FROM (coalesce(p.captured, 0), coalesce(p.released, 0), coalesce(p.refunded, 0), coalesce(p.held, 0))
    OR p.currency <> h.currency)
"""

STRAY_POSTING = """
SELECT 'entry ' || p.entry_id || ' row ' || p.n || ': ' || p.account || ' is not of order ' || p.order_id
FROM postings AS p LEFT JOIN holds AS h USING (order_id)
WHERE p.order_id > $1 AND p.order_id <= $2
  AND (h.order_id IS NULL OR p.account LIKE 'suspense:%'
       OR (p.account LIKE 'hold:%' AND p.account <> 'hold:' || p.order_id))
"""

HOLD_BOUNDS = """
SELECT 'hold ' || order_id || ': ' || state || ' with captured ' || captured || ', released ' || released
    || ', refunded ' || refunded || ' of ' || amount
FROM holds WHERE order_id > $1 AND order_id <= $2 AND NOT (
    released >= 0 AND refunded >= 0 AND released + refunded <= captured AND captured IN (0, amount)
    AND (state IN ('released', 'refunding', 'refunded')) = (captured > 0 AND released + refunded = captured)
    AND (state IN ('awaiting_payment', 'void')) = (captured = 0))
"""

HOLD_LINES = """
SELECT 'hold ' || h.order_id || ': its lines and refunds are ' || l.sum + h.refunded || ' of ' || h.amount
FROM holds AS h,
    LATERAL (SELECT sum((line ->> 'amount')::bigint) FROM jsonb_array_elements(h.lines) AS line) AS l
WHERE h.order_id > $1 AND h.order_id <= $2 AND l.sum + h.refunded <> h.amount
"""

CAPTURES = """
SELECT 'checkout ' || c.checkout_id || ': paid by ' || coalesce(c.captured_by, 'nobody') || ', captured are '
    || coalesce(string_agg(p.payment_id, ', ' ORDER BY p.payment_id), 'none')
FROM checkouts AS c LEFT JOIN payments AS p ON p.checkout_id = c.checkout_id AND p.state = 'captured'
WHERE c.checkout_id > $1 AND c.checkout_id <= $2 GROUP BY c.checkout_id, c.captured_by
HAVING count(p.payment_id) > 1 OR c.captured_by IS DISTINCT FROM max(p.payment_id)
"""

ALLOCATIONS = """
WITH part AS (
    SELECT payment_id, each ->> 'order_id' AS order_id, (each ->> 'amount')::bigint AS amount
    FROM payments, jsonb_array_elements(allocations) AS each WHERE payment_id > $1 AND payment_id <= $2),
whole AS (
    SELECT part.payment_id, sum(part.amount) AS amount, coalesce(sum(h.captured), 0) AS held
    FROM part LEFT JOIN LATERAL (
        SELECT captured FROM holds
        WHERE order_id = part.order_id AND payment_id = part.payment_id AND amount = part.amount LIMIT 1) AS h ON true
    GROUP BY 1)
SELECT 'payment ' || p.payment_id || ': its allocations are ' || coalesce(w.amount, 0) || ' of ' || p.amount
    || ', its orders hold ' || coalesce(w.held, 0)
FROM payments AS p LEFT JOIN whole AS w USING (payment_id)
WHERE p.payment_id > $1 AND p.payment_id <= $2
  AND (w.amount IS DISTINCT FROM p.amount OR w.held <> CASE WHEN p.state = 'captured' THEN p.amount ELSE 0 END)
"""

RELEASED_FIRST = """
SELECT 'hold ' || order_id || ': released ' || coalesce(released_at::text, 'at no time') || ', confirmed '
    || coalesce(confirmed_at::text, 'never')
FROM holds WHERE order_id > $1 AND order_id <= $2 AND released > 0 AND (confirmed_at <= released_at) IS NOT TRUE
"""

NEGATIVE = """
SELECT 'account ' || account || ': ' || sum(amount) || ' ' || currency FROM postings
WHERE account > $1 AND account <= $2 AND account NOT LIKE 'provider:%' GROUP BY account, currency HAVING sum(amount) < 0
"""

LEGS = """
SELECT h.order_id, CASE WHEN leg ->> 'payee' IS NULL THEN 'unnamed:' || (leg ->> 'leg_id')
    ELSE (leg ->> 'state') || ':' || (leg ->> 'payee') END AS account, sum((leg ->> 'amount')::bigint) AS amount
FROM holds AS h, jsonb_array_elements(h.legs) AS leg WHERE h.order_id > $1 AND h.order_id <= $2 GROUP BY 1, 2
"""
LYING = """
SELECT order_id, account, sum(amount) AS amount FROM postings
WHERE order_id > $1 AND order_id <= $2 AND account ~ '^(unnamed|maturing|payable):' GROUP BY 1, 2
"""
LEGS_ARE_POSTINGS = f"""
SELECT 'hold ' || order_id || ': its legs put ' || coalesce(l.amount, 0) || ' into ' || account || ', its postings '
    || coalesce(p.amount, 0)
FROM ({LEGS}) AS l FULL JOIN ({LYING}) AS p USING (order_id, account)
WHERE coalesce(l.amount, 0) <> coalesce(p.amount, 0)
"""

ONE_ANGEL = """
SELECT 'hold ' || h.order_id || ' line ' || (leg ->> 'line_id') || ': ' || count(*) || ' angel legs'
    || CASE WHEN bool_or(leg ->> 'payee' = h.buyer) THEN ', one of them the buyer''s own' ELSE '' END
FROM holds AS h, jsonb_array_elements(h.legs) AS leg
WHERE h.order_id > $1 AND h.order_id <= $2 AND leg ->> 'role' = 'angel' GROUP BY h.order_id, leg ->> 'line_id'
HAVING count(*) > 1 OR bool_or(leg ->> 'payee' = h.buyer)
"""

REFUNDS_OF_HOLD = """
SELECT 'hold ' || h.order_id || ': refunded ' || h.refunded || ' with ' || h.refunds_open
    || ' under way; its refunds are ' || coalesce(sum(r.amount), 0) || ' with '
    || count(r.refund_id) FILTER (WHERE r.state = 'sent')
FROM holds AS h LEFT JOIN refunds AS r ON r.order_id = h.order_id AND r.state <> 'failed'
WHERE h.order_id > $1 AND h.order_id <= $2 GROUP BY h.order_id, h.refunded, h.refunds_open
HAVING coalesce(sum(r.amount), 0) <> h.refunded OR count(r.refund_id) FILTER (WHERE r.state = 'sent') <> h.refunds_open
"""

REFUND_ACCOUNTS = """
SELECT 'refund ' || r.refund_id || ': ' || r.state || ' of ' || r.amount || ', its account has '
    || coalesce(sum(p.amount), 0)
FROM refunds AS r LEFT JOIN postings AS p ON p.account = 'refund:' || r.refund_id AND p.currency = r.currency
WHERE r.refund_id > $1 AND r.refund_id <= $2 GROUP BY r.refund_id, r.state, r.amount
HAVING coalesce(sum(p.amount), 0) <> CASE WHEN r.state = 'sent' THEN r.amount ELSE 0 END
"""

SUSPENSE_ITEMS = """
SELECT 'suspense ' || s.suspense_id || ': ' || s.state || ' of ' || s.amount || ', its account has '
    || coalesce(sum(p.amount), 0)
FROM suspense AS s LEFT JOIN postings AS p ON p.account = 'suspense:' || s.suspense_id AND p.currency = s.currency
WHERE s.suspense_id > $1 AND s.suspense_id <= $2 GROUP BY s.suspense_id, s.state, s.amount
HAVING coalesce(sum(p.amount), 0) <> CASE WHEN s.state = 'open' THEN s.amount ELSE 0 END
"""

UNLISTED_ACCOUNTS = """
SELECT 'account ' || account || ': ' || sum(amount) || ' ' || currency || ' that nothing stands for' FROM postings
WHERE account > $1 AND account <= $2 AND account !~ '^(provider|unnamed|maturing|payable):'
  AND NOT (account LIKE 'suspense:%' AND EXISTS (SELECT FROM suspense WHERE suspense_id = split_part(account, ':', 2)))
  AND NOT (account LIKE 'refund:%' AND EXISTS (SELECT FROM refunds WHERE refund_id = split_part(account, ':', 2)))
  AND NOT (account LIKE 'hold:%' AND EXISTS (SELECT FROM holds WHERE order_id = split_part(account, ':', 2)))
GROUP BY account, currency
"""

WITHOUT_ORDER = """
SELECT 'entry ' || entry_id || ' row ' || n || ': ' || amount || ' ' || currency || ' in ' || account
    || ' belongs to no order'
FROM postings WHERE entry_id > $1 AND entry_id <= $2 AND order_id IS NULL AND account !~ '^(provider|suspense|refund):'
"""
"""What is held or released is some order's: without one, no hold and no leg would stand against it."""

PROVIDERS = """
SELECT 'account ' || account || ': ' || has || ' ' || currency || ', its captures and refunds make ' || meant
FROM (SELECT account, currency, sum(amount) AS has FROM postings
      WHERE account > $1 AND account <= $2 AND account LIKE 'provider:%' GROUP BY 1, 2) AS p,
    LATERAL (SELECT
        (SELECT coalesce(sum(amount), 0) FROM refunds
         WHERE 'provider:' || provider = p.account AND currency = p.currency AND state = 'succeeded')
        - (SELECT coalesce(sum(captured), 0) FROM holds
           WHERE 'provider:' || provider = p.account AND currency = p.currency)
        - (SELECT coalesce(sum(amount), 0) FROM suspense
           WHERE 'provider:' || provider = p.account AND currency = p.currency) AS meant) AS m
WHERE has <> meant
"""

QUERIES = {
    "escrow: a hold is the sum of its postings": (HOLD_IS_ITS_POSTINGS, "holds", "order_id"),
    "escrow: a posting lies with its own order": (STRAY_POSTING, "postings", "order_id"),
    "escrow: what a hold's lines have left is what it holds": (HOLD_LINES, "holds", "order_id"),
    "escrow: what is refunded of a hold has its refunds": (REFUNDS_OF_HOLD, "holds", "order_id"),
    "escrow: no hold gives more than it captured, an ended one gives all": (HOLD_BOUNDS, "holds", "order_id"),
    "escrow: one capture per checkout": (CAPTURES, "checkouts", "checkout_id"),
    "escrow: a payment is the sum of its allocations": (ALLOCATIONS, "payments", "payment_id"),
    "escrow: released after it was confirmed": (RELEASED_FIRST, "holds", "order_id"),
    "escrow: no account is negative but the providers'": (NEGATIVE, "postings", "account"),
    "escrow: what was released is the sum of its legs": (LEGS_ARE_POSTINGS, "holds", "order_id"),
    "escrow: at most one angel per line, never the buyer": (ONE_ANGEL, "holds", "order_id"),
    "escrow: what is in suspense is itemised": (SUSPENSE_ITEMS, "suspense", "suspense_id"),
    "escrow: what is on its way back is itemised": (REFUND_ACCOUNTS, "refunds", "refund_id"),
    "escrow: every account stands for something": (UNLISTED_ACCOUNTS, "postings", "account"),
    "escrow: what is held or released belongs to an order": (WITHOUT_ORDER, "postings", "entry_id"),
    "escrow: a provider has what came in and did not go back": (PROVIDERS, "postings", "account"),
}
"""Invariant -> what finds its violations, and the table and key whose ranges it is run over."""
