"""What the database refuses by itself, whatever the code in front of it believes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from chassis.service import Service
from services.escrow.store import METADATA
from tests.escrow.orders import an_order
from tests.escrow.provider import ObedientProvider, create_payment, hold, state_of
from tests.support import hear, new_id, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Service]:
    async with running("escrow", ports=[ObedientProvider()]) as started:
        yield started


def rows(*postings: tuple[str, int, str], entry_id: str = "") -> list[tuple[object, ...]]:
    """(account, minor units, currency) as rows of one entry."""
    entry_id = entry_id or new_id("ent")
    return [
        (entry_id, n, "capture", account, amount, currency, None, b"digest", datetime.now(UTC))
        for n, (account, amount, currency) in enumerate(postings)
    ]


INSERT = "INSERT INTO postings SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bytea[], $9::timestamptz[])"


async def insert(service: Service, added: list[tuple[object, ...]]) -> None:
    await service.database.pool.execute(INSERT, *(list(column) for column in zip(*added, strict=True)))


UNBALANCED = {
    "one leg alone": rows(("hold:a", 1, "CNY")),
    "a fen too much": rows(("provider:x", -100, "CNY"), ("hold:a", 101, "CNY")),
    "two currencies that sum to zero": rows(("provider:x", -100, "CNY"), ("hold:a", 100, "USD")),
    "two currencies, each balanced": rows(("a", 1, "CNY"), ("b", -1, "CNY"), ("a", 1, "USD"), ("b", -1, "USD")),
    "two entries that make up for each other": [*rows(("a", 1, "CNY")), *rows(("b", -1, "CNY"))],
}


@pytest.mark.parametrize("added", UNBALANCED.values(), ids=UNBALANCED.keys())
async def test_an_entry_that_does_not_balance_is_refused(service: Service, added: list[tuple[object, ...]]) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="sums to zero"):
        await insert(service, added)


async def test_a_posting_of_nothing_is_refused(service: Service) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await insert(service, rows(("a", 0, "CNY"), ("b", 0, "CNY")))


async def test_a_balanced_entry_is_taken(service: Service) -> None:
    added = rows(("provider:x", -100, "CNY"), ("hold:a", 100, "CNY"))
    await insert(service, added)
    assert await service.database.pool.fetchval("SELECT count(*) FROM postings WHERE entry_id = $1", added[0][0]) == 2
    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(service, added)


@pytest.mark.parametrize("table", ["postings", "history"])
@pytest.mark.parametrize("change", ["UPDATE {} SET at = at", "DELETE FROM {}", "TRUNCATE {}"])
async def test_what_was_written_is_never_edited(service: Service, table: str, change: str) -> None:
    await hold(service, an_order())
    before = await service.database.pool.fetchval(f"SELECT count(*) FROM {table}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added"):
        await service.database.pool.execute(change.format(table))
    assert await service.database.pool.fetchval(f"SELECT count(*) FROM {table}") == before > 0


IMPOSSIBLE = {
    "more given than captured": "released = 4000, refunded = 4001, confirmed_at = now()",
    "a negative release": "released = -1, refunded = 1",
    "a negative refund": "refunded = -1",
    "more captured than the order costs": "captured = 8001",
    "released with money left": "state = 'released', released = 7999, confirmed_at = now(), released_at = now()",
    "all gone and still held": "released = 8000, confirmed_at = now()",
    "released without a confirmation": "state = 'released', released = 8000, released_at = now()",
    "released before it was confirmed": "state = 'released', released = 8000, confirmed_at = now(), released_at = now() - interval '1 second'",
    "released at no time": "state = 'released', released = 8000, confirmed_at = now()",
    "refunded with money left": "state = 'refunded', refunded = 1",
}


@pytest.mark.parametrize("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
async def test_a_hold_cannot_say_what_cannot_be(service: Service, change: str) -> None:
    order = an_order(8000)
    await hold(service, order)
    with pytest.raises(asyncpg.CheckViolationError):
        await service.database.pool.execute(f"UPDATE holds SET {change} WHERE order_id = $1", order.order_id)
    assert await state_of(service, order) == "held"


async def test_a_checkout_cannot_be_captured_twice(service: Service) -> None:
    order = an_order(8000)
    await hold(service, order)
    other = an_order(8000)
    await hear(service, other.placed())
    payment = await create_payment(service, other)
    with pytest.raises(asyncpg.UniqueViolationError):
        await service.database.pool.execute(
            "UPDATE payments SET state = 'captured', transaction_id = 'txn_2', checkout_id = $2 WHERE payment_id = $1",
            payment.payment_id, order.checkout.checkout_id,
        )  # fmt: skip


async def test_one_transaction_of_the_provider_pays_one_payment(service: Service) -> None:
    paid, unpaid = an_order(8000), an_order(8000)
    captured = await hold(service, paid)
    await hear(service, unpaid.placed())
    payment = await create_payment(service, unpaid)
    with pytest.raises(asyncpg.UniqueViolationError):
        await service.database.pool.execute(
            "UPDATE payments SET state = 'captured', transaction_id = $2 WHERE payment_id = $1",
            payment.payment_id, f"txn_{captured.payment_id[4:]}",
        )  # fmt: skip
    with pytest.raises(asyncpg.CheckViolationError):
        await service.database.pool.execute(
            "UPDATE payments SET state = 'captured' WHERE payment_id = $1", payment.payment_id
        )


DESCRIBE = """
SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS line
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 'n' AND conrelid::regclass::text <> 'alembic_version'
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
ORDER BY 1
"""


async def test_the_migration_makes_the_tables_that_the_code_means(service: Service) -> None:
    migrated = {row["line"] for row in await service.database.pool.fetch(DESCRIBE)}
    connection = await asyncpg.connect(service.database.url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        for table in METADATA.sorted_tables:
            await connection.execute(str(CreateTable(table).compile(dialect=dialect())))
            for index in table.indexes:
                await connection.execute(str(CreateIndex(index).compile(dialect=dialect())))
        meant = {row["line"] for row in await connection.fetch(DESCRIBE)}
    finally:
        await transaction.rollback()
        await connection.close()
    assert migrated - meant == set()
    assert meant - migrated == set()
