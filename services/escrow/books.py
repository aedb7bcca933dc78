"""Reading the books: the proof, the trial balance, and who may see whose account."""

from collections.abc import Mapping
from typing import Any, Literal

from chassis.caller import Caller
from chassis.db import Database
from chassis.decision import NotFound, Unauthenticated
from services.escrow import store
from services.escrow.schemas import AccountOut, BooksOut, ProofOut


async def require_reader(database: Database, caller: Caller, mode: Literal["sandbox", "production"]) -> None:
    """In sandbox mode anyone may read the books; in production the platform's operators alone."""
    if mode == "sandbox":
        return
    if caller.person_id is None:
        raise Unauthenticated
    row = await store.may_see_books.row(database, person_id=caller.person_id)
    if row is None or not row[0]:
        raise NotFound


async def proof(database: Database) -> list[ProofOut]:
    """captured = suspense + held + released + refunded, per currency, from postings alone."""
    rows = await database.pool.fetch(store.PROOF)
    return [
        ProofOut(
            currency=row["currency"],
            captured=row["captured"],
            suspense=row["suspense"],
            held=row["held"],
            released=row["released"],
            refunded=row["refunded"],
            imbalance=imbalance(dict(row)),
        )
        for row in rows
    ]


def imbalance(row: Mapping[str, Any]) -> int:
    """How far the books are off, in minor units. A posting that was changed can hide from one of the two sums only."""
    became = row["suspense"] + row["held"] + row["released"] + row["refunded"]
    return abs(int(row["captured"] - became)) + abs(int(row["total"]))


async def read(database: Database, *, by_account: bool, after: str, limit: int) -> BooksOut:
    data = await proof(database)
    if not by_account:
        return BooksOut(data=data)
    rows = await database.pool.fetch(store.TRIAL_BALANCE, after, limit + 1)
    accounts = [
        AccountOut(id=row["id"], account=row["account"], currency=row["currency"], balance=row["balance"])
        for row in rows[:limit]
    ]
    return BooksOut(data=data, accounts=accounts, has_more=len(rows) > limit)
