"""Recomputing what must hold in any service's database: whole, chained histories, and a mailbox where nothing is stuck."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chassis import mailbox
from chassis.db import Database
from chassis.history import chain_hash
from chassis.rows import digest
from chassis.store import Keyed, Store

CHUNK = 2_000
_HISTORY = ", ".join(name for name, _ in mailbox.HISTORY)
_CHAINED = tuple(name for name, _ in mailbox.HISTORY if name not in {"prev_hash", "hash"})


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant, recomputed: `violations` names every row that breaks it."""

    name: str
    violations: Sequence[str]

    @property
    def holds(self) -> bool:
        return not self.violations


async def history_violations(database: Database, stores: Sequence[Store]) -> list[str]:
    """Every aggregate is in the state its last history row says, and every chain is gap-free and unbroken.

    Reads in chunks of 2,000 aggregates by keyset, so memory does not grow with the tables.
    """
    found: list[str] = []
    for store in stores:
        if isinstance(store, Keyed):
            found += await _store_violations(database, store)
    return found


async def _store_violations(database: Database, store: Keyed) -> list[str]:
    found, after = [], ""
    columns = ", ".join((*(f.name for f in store.codec.fields), "row_version", "said", "head"))
    sql = f"SELECT {columns} FROM {store.name} WHERE {store.key} > $1 ORDER BY {store.key} LIMIT {CHUNK}"
    while rows := await database.pool.fetch(sql, after):
        keys = [row[store.key] for row in rows]
        history: dict[str, list[Any]] = defaultdict(list)
        for row in await database.pool.fetch(
            f"SELECT {_HISTORY} FROM history WHERE kind = $1 AND key = ANY($2) ORDER BY key, sequence", store.name, keys
        ):
            history[row["key"]].append(row)
        for row in rows:
            found += _aggregate_violations(store, row, history[row[store.key]])
        after = keys[-1]
    orphans = await database.pool.fetch(
        f"SELECT DISTINCT key FROM history WHERE kind = $1 AND key NOT IN (SELECT {store.key} FROM {store.name})",
        store.name,
    )
    return found + [f"{store.name} {row['key']}: has a history and no row" for row in orphans]


def _aggregate_violations(store: Keyed, row: Any, history: Sequence[Any]) -> list[str]:
    name = f"{store.name} {row[store.key]}"
    if [each["sequence"] for each in history] != list(range(1, row["row_version"] + 1)):
        return [f"{name}: its history has a gap, or rows more or fewer than its {row['row_version']} changes"]
    found = [f"{name}: history row {each['sequence']} was changed" for each in history if not _fits(each)]
    found += [
        f"{name}: history row {later['sequence']} does not follow row {earlier['sequence']}"
        for earlier, later in pairwise(history)
        if later["prev_hash"] != earlier["hash"] or later["before"] != earlier["after"]
    ]
    if row["head"] != history[-1]["hash"]:
        found.append(f"{name}: its last history row is not the one it was saved with")
    value = store.codec.decode([row[f.name] for f in store.codec.fields])
    if digest(store.codec.encode(value)) != history[-1]["after"]:
        found.append(f"{name}: its row is not in the state its history says")
    return found


def _fits(row: Any) -> bool:
    return bool(chain_hash(row["prev_hash"], *(row[name] for name in _CHAINED)) == row["hash"])


async def mailbox_violations(database: Database) -> list[str]:
    """At rest nothing waits: no unsent fact, no parked fact, no instruction still due."""
    found = await database.pool.fetch(
        """
        SELECT 'outbox: ' || type || ' ' || id || ' was never sent' AS line FROM outbox WHERE sent_at IS NULL
        UNION ALL SELECT 'parked: ' || type || ' ' || encode(id, 'hex') || ' waits: ' || reason FROM parked
        UNION ALL SELECT 'instruction: ' || kind || ' ' || id || ' is not answered' FROM instructions
                  WHERE state = 'due'
        """
    )
    return [row["line"] for row in found]
