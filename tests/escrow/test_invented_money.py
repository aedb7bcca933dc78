"""An entry that is whole and balanced, and that nobody made: whoever can write to the books is found out all the same."""

from collections.abc import AsyncIterator
from dataclasses import astuple
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from chassis.moment import Moment
from chassis.service import Service
from services.escrow import ledger, verify
from tests.escrow.orders import ANGEL, MERCHANT, an_order
from tests.escrow.provider import ObedientProvider, eventually, hold
from tests.support import hear, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDER = an_order(10_000)
THIEF = "payable:per_thief"
NO_ORDER = "escrow: what is held or released belongs to an order"
PROVIDER = "escrow: a provider has what came in and did not go back"
LEGS = "escrow: what was released is the sum of its legs"
INVENTED = {
    "money that never came in": ("capture", "provider:sandbox", THIEF, None, {NO_ORDER, PROVIDER}),
    "a payee's money for another": ("name", f"payable:{MERCHANT}", THIEF, None, {NO_ORDER}),
    "a payee's money for another, as of an order": ("name", f"payable:{MERCHANT}", THIEF, ORDER.order_id, {LEGS}),
    "what a provider owes, in another's books": ("name", "provider:other", "provider:sandbox", None, {PROVIDER}),
    "the same, as of an order": ("name", "provider:other", "provider:sandbox", ORDER.order_id, {PROVIDER}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Service]:
    async with running("escrow", ports=[ObedientProvider()]) as started:
        await hold(started, ORDER)
        await hear(started, ORDER.attributed(ANGEL), ORDER.confirmed())
        assert await eventually(started, "SELECT state = 'released' FROM holds")
        yield started


@pytest.mark.parametrize(("kind", "source", "target", "order_id", "named"), INVENTED.values(), ids=INVENTED.keys())
async def test_it_is_named(
    service: Service, kind: ledger.Kind, source: str, target: str, order_id: str | None, named: set[str]
) -> None:
    now = datetime.now(UTC)
    at = Moment(now, now, b"a thief's choice")
    made = ledger.entry(kind, [(source, -7), (target, 7)], currency="CNY", at=at, name=target, order_id=order_id)
    async with service.database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        rows = [astuple(row) for row in made.postings]
        await connection.execute("INSERT INTO postings SELECT * FROM unnest($1::postings[])", rows)
        found = {name for name, (sql, *_) in verify.QUERIES.items() if await connection.fetch(sql, "", "zzz")}
        await transaction.rollback()
    assert found == named
