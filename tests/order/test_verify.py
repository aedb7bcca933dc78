"""The invariants hold after every kind of order, and a row that was changed behind the service's back is named."""

import pytest

from chassis.verify import history_violations
from services.order import store, verify
from tests.order.world import World, world


async def violations(w: World) -> list[str]:
    checks = await verify.checks(w.service.database)
    found = [line for check in checks for line in check.violations]
    return found + await history_violations(w.service.database, store.STORES)


async def busy(w: World) -> str:
    """Orders in several states; the product's stock id."""
    product = await w.product(stock=20)
    offer = await w.offer(product)
    await w.placed(offer, 2)
    await w.shipped(offer)
    paid, cancelled = await w.placed(offer, 3), await w.placed(offer)
    await w.pay(paid)
    await w.move(cancelled, "cancel")
    await w.move(paid, "cancel")
    await w.move(await w.shipped(offer), "confirm")
    return str(product["variants"][0]["id"])


async def test_a_busy_shop_breaks_no_invariant() -> None:
    async with world() as w:
        await busy(w)
        assert await violations(w) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stocks SET available = available + 1",
        "UPDATE stocks SET reserved = reserved - 1, available = available + 1",
        "UPDATE orders SET amount = amount + 1 WHERE state = 'placed'",
        "UPDATE orders SET state = 'cancelled' WHERE state = 'placed'",
        "UPDATE orders SET terms = jsonb_set(terms, '{lines,0,shares,0,bps}', '9999')",
    ],
)
async def test_a_changed_row_is_named(change: str) -> None:
    async with world() as w:
        stock_id = await busy(w)
        await w.service.database.pool.execute(change)
        found = [line for check in await verify.checks(w.service.database) for line in check.violations]
        assert any("ord_" in line or stock_id in line for line in found), found


async def test_movements_and_histories_are_only_added() -> None:
    async with world() as w:
        await busy(w)
        for statement in ("UPDATE stock_movements SET available = 1", "DELETE FROM history"):
            with pytest.raises(Exception, match="only ever added"):
                await w.service.database.pool.execute(statement)
