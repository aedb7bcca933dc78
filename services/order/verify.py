"""What must hold in the order service's database, recomputed: `make verify` asks."""

from chassis.db import Database
from chassis.verify import Check

_STOCK = """
SELECT s.stock_id || ' has ' || concat_ws('/', s.available, s.reserved, s.sold) || ', its movements say '
       || concat_ws('/', sum(coalesce(m.available, 0)), sum(coalesce(m.reserved, 0)), sum(coalesce(m.sold, 0))) AS line
FROM stocks AS s LEFT JOIN stock_movements AS m USING (stock_id)
GROUP BY s.stock_id, s.available, s.reserved, s.sold
HAVING (sum(coalesce(m.available, 0)), sum(coalesce(m.reserved, 0)), sum(coalesce(m.sold, 0)))
       IS DISTINCT FROM (s.available::numeric, s.reserved::numeric, s.sold::numeric)
"""
_PLEDGED = """
WITH pledged AS (
    SELECT line ->> 'stock_id' AS stock_id,
           sum((line ->> 'quantity')::bigint) FILTER (WHERE o.state = 'placed') AS reserved,
           sum((line ->> 'quantity')::bigint) FILTER (
               WHERE o.state IN ('paid', 'shipped', 'delivered', 'received', 'completed')
                  OR o.state = 'refunded' AND o.shipped_at IS NOT NULL
           ) AS sold
    FROM orders AS o CROSS JOIN LATERAL jsonb_array_elements(o.lines) AS line GROUP BY 1
)
SELECT s.stock_id || ' has ' || s.reserved || ' reserved and ' || s.sold || ' sold, its orders say '
       || coalesce(p.reserved, 0) || ' and ' || coalesce(p.sold, 0) AS line
FROM stocks AS s LEFT JOIN pledged AS p USING (stock_id)
WHERE (s.reserved, s.sold) IS DISTINCT FROM (coalesce(p.reserved, 0), coalesce(p.sold, 0))
"""
_SPLIT = """
SELECT o.order_id || ' is pinned to shares that do not make a whole' AS line
FROM orders AS o CROSS JOIN LATERAL jsonb_array_elements(o.terms -> 'lines') AS terms
WHERE (SELECT sum((share ->> 'bps')::int) FROM jsonb_array_elements(terms -> 'shares') AS share) <> 10000
"""
_AMOUNT = """
SELECT o.order_id || ' costs ' || o.amount || ', its lines ' || sum((line ->> 'amount')::bigint) AS line
FROM orders AS o CROSS JOIN LATERAL jsonb_array_elements(o.lines) AS line
GROUP BY o.order_id HAVING sum((line ->> 'amount')::bigint) <> o.amount
"""

INVARIANTS = (
    ("order: the movements alone rebuild every stock", _STOCK),
    ("order: what is reserved and sold is what orders say", _PLEDGED),
    ("order: every pinned split is the whole", _SPLIT),
    ("order: an order costs what its lines do", _AMOUNT),
)


async def checks(database: Database) -> list[Check]:
    """Each invariant, with the rows that break it."""
    return [Check(name, [row["line"] for row in await database.pool.fetch(sql)]) for name, sql in INVARIANTS]
