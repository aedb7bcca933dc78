"""What must hold in the order service's database, recomputed from its rows: `make verify` asks."""

from chassis.db import Database
from chassis.verify import Check, violations

STOCK = """
SELECT 'stock ' || s.stock_id || ': has ' || concat_ws('/', s.available, s.reserved, s.sold)
    || ', its movements say ' || concat_ws('/', m.available, m.reserved, m.sold)
FROM stocks AS s CROSS JOIN LATERAL (
    SELECT coalesce(sum(available), 0) AS available, coalesce(sum(reserved), 0) AS reserved,
           coalesce(sum(sold), 0) AS sold
    FROM stock_movements WHERE stock_id = s.stock_id
) AS m
WHERE s.stock_id > $1 AND s.stock_id <= $2
  AND (s.available, s.reserved, s.sold) IS DISTINCT FROM (m.available, m.reserved, m.sold)
"""
MOVED = """
WITH o AS (
    SELECT order_id, lines, array_remove(ARRAY[
        'reserve',
        CASE WHEN paid_at IS NOT NULL THEN 'sell' END,
        CASE WHEN paid_at IS NULL AND state IN ('expired', 'cancelled', 'refunded') THEN 'release' END,
        CASE WHEN paid_at IS NOT NULL AND shipped_at IS NULL AND state IN ('cancelled', 'refunded') THEN 'return' END
    ], NULL) AS kinds
    FROM orders WHERE order_id > $1 AND order_id <= $2
)
SELECT 'order ' || o.order_id || ': line ' || (line ->> 'line_id') || ' moved ' || coalesce(m.said, 'nothing')
FROM o CROSS JOIN LATERAL jsonb_array_elements(o.lines) AS line CROSS JOIN LATERAL (
    SELECT array_agg(kind ORDER BY kind) AS kinds, string_agg(kind, ', ' ORDER BY kind) AS said,
           bool_and(abs(available + reserved + sold) = 0
                    AND greatest(available, reserved, sold) = (line ->> 'quantity')::bigint
                    AND stock_id = line ->> 'stock_id') AS whole
    FROM stock_movements WHERE order_id = o.order_id AND line_id = line ->> 'line_id'
) AS m
WHERE m.kinds IS DISTINCT FROM (SELECT array_agg(kind ORDER BY kind) FROM unnest(o.kinds) AS kind) OR NOT m.whole
"""
SPLIT = """
SELECT 'order ' || order_id || ': is pinned to shares that are not the whole'
FROM orders CROSS JOIN LATERAL jsonb_array_elements(terms -> 'lines') AS line
WHERE order_id > $1 AND order_id <= $2
  AND (SELECT sum((share ->> 'bps')::int) FROM jsonb_array_elements(line -> 'shares') AS share) <> 10000
"""
AMOUNT = """
SELECT 'order ' || order_id || ': costs ' || amount || ', its lines do not'
FROM orders
WHERE order_id > $1 AND order_id <= $2
  AND amount <> (SELECT sum((line ->> 'amount')::bigint) FROM jsonb_array_elements(lines) AS line)
"""

INVARIANTS = (
    ("order: the movements alone rebuild every stock", STOCK, "stocks", "stock_id"),
    ("order: every line moved its pieces as its order did", MOVED, "orders", "order_id"),
    ("order: every pinned split is the whole", SPLIT, "orders", "order_id"),
    ("order: an order costs what its lines do", AMOUNT, "orders", "order_id"),
)


async def checks(database: Database) -> list[Check]:
    """Each invariant, with the rows that break it."""
    return [Check(name, await violations(database, sql, table, key)) for name, sql, table, key in INVARIANTS]
