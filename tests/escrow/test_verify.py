"""The books are recomputed from the rows alone; one that was touched behind the desk's back is named."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
import pytest_asyncio

from chassis.service import Service
from chassis.verify import history_violations, mailbox_violations
from services.escrow import verify
from services.escrow.store import STORES
from tests.escrow.orders import ANGEL, MERCHANT, Order, a_checkout, an_order
from tests.escrow.provider import ObedientProvider, capture, create_payment, eventually, hold, proof
from tests.support import hear, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

RELEASED, REFUNDED, LATE, HELD, SHRUNK = (
    an_order(9000, 1000),
    an_order(8000),
    an_order(7000),
    an_order(500),
    an_order(600),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Service]:
    """Books with something of everything: held, released and named later, refunded at the second try, late, wrong."""
    async with running("escrow", ports=[ObedientProvider(refusals=1)]) as started:
        await hold(started, REFUNDED)
        await hear(started, REFUNDED.cancelled())
        assert await eventually(started, "SELECT state = 'refunded' FROM holds")
        await hold(started, RELEASED)
        await hear(started, RELEASED.confirmed(), RELEASED.attributed(ANGEL, None), RELEASED.completed())
        await hold(started, HELD)
        await hold(started, SHRUNK)
        await hear(started, SHRUNK.lines_cancelled({0: 100}), SHRUNK.confirmed(net=500))
        await hear(started, LATE.placed())
        late = await create_payment(started, LATE)
        await hear(started, LATE.expired())
        await capture(started, late)
        await capture(started, late, transaction_id="txn_wrong", amount=1)
        first, second = a_checkout([5000], [3000])
        await hear(started, first.placed(), second.placed())
        await capture(started, await create_payment(started, first))
        assert await eventually(started, "SELECT bool_and(state <> 'sent') FROM refunds")
        assert await eventually(started, "SELECT bool_and(sent_at IS NOT NULL) FROM outbox")
        yield started


async def broken(service: Service) -> dict[str, list[str]]:
    """Invariant -> its violations, only those that have some."""
    found = {check.name: check.violations for check in await verify.checks(service.database)}
    found["history"] = await history_violations(service.database, STORES)
    found["mailbox"] = await mailbox_violations(service.database)
    return {name: violations for name, violations in found.items() if violations}


TABLES = ("postings", "holds", "payments", "checkouts", "refunds", "suspense", "history", "inbox", "outbox", "parked")
CHECKS = """
SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS rule
FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace
"""


@asynccontextmanager
async def tampered(service: Service, sql: str, *values: object) -> AsyncIterator[str]:
    """A superuser has done this, past every trigger and CHECK; undone afterwards. Gives what the statement returned."""
    connection = await asyncpg.connect(service.database.url)
    try:
        await connection.execute("SET session_replication_role = replica")
        checks = await connection.fetch(CHECKS)
        for table in TABLES:
            await connection.execute(f"CREATE TEMP TABLE copy_of_{table} AS SELECT * FROM {table}")
        for check in checks:
            await connection.execute(f"ALTER TABLE {check['table']} DROP CONSTRAINT {check['name']}")
        try:
            yield await connection.fetchval(sql, *values)
        finally:
            for table in TABLES:
                await connection.execute(f"DELETE FROM {table}")
                await connection.execute(f"INSERT INTO {table} SELECT * FROM copy_of_{table}")
            for check in checks:
                await connection.execute(f"ALTER TABLE {check['table']} ADD CONSTRAINT {check['name']} {check['rule']}")
    finally:
        await connection.close()


async def test_honest_books_have_no_violation(service: Service) -> None:
    assert await broken(service) == {}
    assert await proof(service) == {
        "captured": 8000 + 10_000 + 500 + 600 + 7000 + 1 + 8000, "suspense": 1, "held": 500 + 8000,
        "released": 10_000 + 500, "refunded": 8000 + 100 + 7000, "imbalance": 0,
    }  # fmt: skip


async def test_every_check_looks_at_something(service: Service) -> None:
    """A check over an empty table would hold for ever."""
    for _, table, _ in verify.QUERIES.values():
        assert await service.database.pool.fetchval(f"SELECT count(*) FROM {table}") > 0


@pytest.mark.parametrize("kind", ["capture", "suspend", "release", "name", "refund", "refund_paid", "refund_again"])
async def test_one_changed_posting_of_any_kind_shows_in_the_proof_and_is_named(service: Service, kind: str) -> None:
    change = """UPDATE postings SET amount = amount + 1 WHERE (entry_id, n) =
        (SELECT entry_id, n FROM postings WHERE kind = $1 ORDER BY entry_id, n LIMIT 1) RETURNING entry_id"""
    async with tampered(service, change, kind) as entry_id:
        assert (await proof(service))["imbalance"] > 0
        violations = (await broken(service))["escrow: every entry sums to zero and is as it was written"]
        assert violations == [f"entry {entry_id} ({kind}): sums to 1 CNY", f"entry {entry_id} ({kind}): was changed"]
    assert (await proof(service))["imbalance"] == 0


CHANGES = {
    "a balanced change of amounts": "UPDATE postings SET amount = amount * 2 WHERE entry_id = (SELECT min(entry_id) FROM postings) RETURNING entry_id",
    "another account": "UPDATE postings SET account = 'payable:per_me' WHERE account = 'payable:platform' RETURNING entry_id",
    "another order": f"UPDATE postings SET order_id = '{HELD.order_id}' WHERE order_id = '{SHRUNK.order_id}' RETURNING entry_id",
    "another currency": "UPDATE postings SET currency = 'USD' WHERE (entry_id, n) = (SELECT entry_id, n FROM postings LIMIT 1) RETURNING entry_id",
    "another time": "UPDATE postings SET at = at + interval '1 microsecond' WHERE (entry_id, n) = (SELECT entry_id, n FROM postings LIMIT 1) RETURNING entry_id",
    "another kind": "UPDATE postings SET kind = 'capture' WHERE (entry_id, n) = (SELECT entry_id, n FROM postings WHERE kind = 'release' LIMIT 1) RETURNING entry_id",
    "a row less": "DELETE FROM postings WHERE (entry_id, n) = (SELECT entry_id, max(n) FROM postings WHERE kind = 'release' GROUP BY 1 LIMIT 1) RETURNING entry_id",
    "two rows more": """WITH one AS (SELECT * FROM postings LIMIT 1), more AS (
        INSERT INTO postings SELECT entry_id, 90 + k, kind, account, k, currency, order_id, digest, at FROM one, (VALUES (1), (-1)) AS d(k))
        SELECT entry_id FROM one""",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_an_entry_that_was_changed_is_named_even_where_it_balances(service: Service, change: str) -> None:
    async with tampered(service, change) as entry_id:
        violations = (await broken(service))["escrow: every entry sums to zero and is as it was written"]
        assert any(entry_id in each and "was changed" in each for each in violations)


GONE = {
    "capture": "escrow: a hold is the sum of its postings",
    "release": "escrow: a hold is the sum of its postings",
    "refund": "escrow: a hold is the sum of its postings",
    "name": "escrow: what was released is the sum of its legs",
    "suspend": "escrow: what is in suspense is itemised",
    "refund_paid": "escrow: what is on its way back is itemised",
    "refund_again": "escrow: what is on its way back is itemised",
}


@pytest.mark.parametrize(("kind", "check"), GONE.items())
async def test_a_whole_entry_that_is_gone_leaves_a_hole_that_is_found(service: Service, kind: str, check: str) -> None:
    async with tampered(
        service, "WITH gone AS (DELETE FROM postings WHERE kind = $1 RETURNING 1) SELECT count(*) FROM gone", kind
    ):
        assert (await broken(service))[check]


HOLD = "UPDATE holds SET {change} WHERE order_id = '{order}' RETURNING order_id"


def changed(order: Order, change: str) -> str:
    return HOLD.format(change=change, order=order.order_id)


STATES = {
    "escrow: a hold is the sum of its postings": changed(RELEASED, "captured = captured + 1, amount = amount + 1"),
    "escrow: what a hold's lines have left is what it holds": changed(
        HELD, "lines = jsonb_set(lines, '{0,amount}', '501')"
    ),
    "escrow: what is refunded of a hold has its refunds": changed(REFUNDED, "refunds_open = 1"),
    "escrow: no hold gives more than it captured, an ended one gives all": changed(HELD, "state = 'released'"),
    "escrow: one capture per checkout": "UPDATE checkouts SET captured_by = NULL WHERE checkout_id = (SELECT min(checkout_id) FROM checkouts WHERE captured_by IS NOT NULL) RETURNING checkout_id",
    "escrow: a payment is the sum of its allocations": "UPDATE payments SET allocations = jsonb_set(allocations, '{0,amount}', '1') WHERE payment_id = (SELECT min(payment_id) FROM payments) RETURNING payment_id",
    "escrow: released after it was confirmed": changed(RELEASED, "confirmed_at = released_at + interval '1 second'"),
    "escrow: no account is negative but the providers'": f"UPDATE postings SET amount = -amount WHERE account = 'payable:{MERCHANT}' RETURNING account",
    "escrow: what was released is the sum of its legs": changed(RELEASED, "legs = jsonb_set(legs, '{0,amount}', '1')"),
    "escrow: at most one angel per line, never the buyer": changed(
        RELEASED, "legs = legs || jsonb_path_query_first(legs, '$[*] ? (@.role == \"angel\")')"
    ),
    "escrow: what is in suspense is itemised": "UPDATE suspense SET state = 'refunded' WHERE state = 'open' RETURNING suspense_id",
    "escrow: what is on its way back is itemised": "UPDATE refunds SET state = 'sent' WHERE refund_id = (SELECT min(refund_id) FROM refunds WHERE state = 'succeeded') RETURNING refund_id",
    "escrow: every account stands for something": "DELETE FROM suspense WHERE state = 'open' RETURNING 'suspense:' || suspense_id",
}


@pytest.mark.parametrize(("check", "change"), STATES.items(), ids=STATES.keys())
async def test_a_row_that_no_longer_fits_the_books_is_named(service: Service, check: str, change: str) -> None:
    async with tampered(service, change) as row:
        assert any(row in violation for violation in (await broken(service))[check])


async def test_a_stray_posting_is_named(service: Service) -> None:
    change = f"UPDATE postings SET account = 'hold:{REFUNDED.order_id}' WHERE account = 'hold:{HELD.order_id}' RETURNING entry_id"
    async with tampered(service, change) as entry_id:
        found = (await broken(service))["escrow: a posting lies with its own order"]
        assert [each.split()[1] for each in found] == [entry_id]


async def test_a_buyer_who_is_their_own_angel_is_named(service: Service) -> None:
    async with tampered(service, changed(RELEASED, f"buyer = '{ANGEL}'")) as order_id:
        (violation,) = (await broken(service))["escrow: at most one angel per line, never the buyer"]
        assert order_id in violation and "buyer's own" in violation


HISTORY = {
    "a changed actor": "UPDATE history SET actor = 'somebody' WHERE (kind, key, sequence) = (SELECT kind, key, max(sequence) FROM history WHERE kind = 'holds' GROUP BY 1, 2 LIMIT 1) RETURNING key",
    "a first row less": "DELETE FROM history WHERE (kind, key, sequence) = (SELECT kind, key, 1 FROM history WHERE kind = 'holds' AND sequence = 2 LIMIT 1) RETURNING key",
    "a last row less": "DELETE FROM history WHERE (kind, key, sequence) = (SELECT kind, key, max(sequence) FROM history WHERE kind = 'holds' GROUP BY 1, 2 LIMIT 1) RETURNING key",
    "no history at all": "DELETE FROM history WHERE key = (SELECT min(order_id) FROM holds) RETURNING key",
    "an aggregate less": f"DELETE FROM holds WHERE order_id = '{HELD.order_id}' RETURNING order_id",
    "a state without a history": changed(HELD, "seller = 'mch_other'"),
    "an older state with its own head": changed(HELD, "row_version = row_version - 1"),
    "a message that was never there": "DELETE FROM inbox WHERE id = (SELECT message FROM history WHERE kind = 'holds' LIMIT 1) RETURNING encode(id, 'hex')",
}


@pytest.mark.parametrize("change", HISTORY.values(), ids=HISTORY.keys())
async def test_a_history_that_was_touched_is_named(service: Service, change: str) -> None:
    async with tampered(service, change) as key:
        violations = (await broken(service))["history"]
        assert any(key in violation for violation in violations) or "message" in violations[0]


MAILBOX = {
    "not sent": "UPDATE outbox SET sent_at = NULL, at = clock_timestamp() WHERE id = (SELECT id FROM outbox LIMIT 1) RETURNING id::text",
    "poison": "INSERT INTO parked (id, type, keys, body, reason, poison) VALUES ('\\x01', 't', '[]', '{}', 'why', true) RETURNING encode(id, 'hex')",
    "waiting": "INSERT INTO parked (id, type, keys, body, reason, poison, next_at) VALUES ('\\x02', 't', '[]', '{}', 'why', false, now() + interval '1 hour') RETURNING encode(id, 'hex')",
    "in the inbox too": "INSERT INTO parked (id, type, keys, body, reason, poison) SELECT id, source, '[]', '{}', 'why', true FROM inbox LIMIT 1 RETURNING encode(id, 'hex')",
}


@pytest.mark.parametrize(("words", "change"), MAILBOX.items(), ids=MAILBOX.keys())
async def test_a_message_that_is_stuck_is_named(service: Service, words: str, change: str) -> None:
    async with tampered(service, change) as key:
        assert any(key in each and words in each for each in (await broken(service))["mailbox"])
    assert await mailbox_violations(service.database) == []
