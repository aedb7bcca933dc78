"""Recomputing what must always be true, from the database alone: histories, chains and the mailbox of any service.

Everything is read in ranges of keys, so that a million rows never sit in memory and no statement is a long one. What
must agree with each other is read by one statement: a service may go on working meanwhile.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.db import Database
from chassis.history import chain_hash
from chassis.mailbox import HISTORY
from chassis.rows import digest
from chassis.store import Keyed, Store

RANGE = 5_000
"""Rows in one range of keys, at least; a range ends between two keys and never within one."""
RETENTION_DAYS = 30
STATEMENT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant and every row that breaks it, in words that name the row."""

    name: str
    violations: list[str]

    @property
    def holds(self) -> bool:
        return not self.violations


async def ranges(database: Database, table: str, key: str, where: str = "true") -> AsyncIterator[tuple[str, str]]:
    """(after, up to) bounds that cover a table by a text key of it."""
    after = ""
    page = f"SELECT {key} AS key FROM {table} WHERE {key} > $1 AND {where} ORDER BY {key} LIMIT {RANGE}"
    while (until := (await read(database, f"SELECT max(key) FROM ({page}) AS page", after))[0][0]) is not None:
        yield after, until
        after = until


async def read(database: Database, sql: str, *values: object) -> Sequence[Any]:
    """One statement with more time than a request has."""
    async with database.pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
        rows: Sequence[Any] = await connection.fetch(sql, *values, timeout=STATEMENT_SECONDS)
        return rows


async def violations(database: Database, sql: str, table: str, key: str, where: str = "true") -> list[str]:
    """What a query finds, range by range of a table: it takes the bounds as $1 and $2 and returns sentences."""
    found: list[str] = []
    async for after, until in ranges(database, table, key, where):
        found += [row[0] for row in await read(database, sql, after, until)]
    return found


# --- histories ---------------------------------------------------------------------------------------------------


async def history_violations(database: Database, stores: Sequence[Store]) -> list[str]:
    """Every chain is whole and leads to its aggregate as it is stored, by messages that are in the inbox."""
    found: list[str] = []
    kept = [store for store in stores if isinstance(store, Keyed)]
    for store in kept:
        found += await _chains(database, store.name)
        found += await _ends(database, store)
        found += await violations(database, _gone(store), "history", "key", f"kind = '{store.name}'")
        found += await violations(database, _without_message(store), "history", "key", f"kind = '{store.name}'")
    others = "SELECT DISTINCT kind FROM history WHERE kind <> ALL($1::text[])"
    kinds = await read(database, others, [store.name for store in kept])
    return [*found, *(f"history of {row['kind']}: nothing keeps this kind" for row in kinds)]


CHAIN = f"""
SELECT {", ".join(name for name, _ in HISTORY)} FROM history
WHERE kind = $3 AND key > $1 AND key <= $2 ORDER BY key, sequence
"""


async def _chains(database: Database, kind: str) -> list[str]:
    """Sequences run 1..n, each row hashes itself onto the one before it and starts where that one ended."""
    found: list[str] = []
    async for after, until in ranges(database, "history", "key", f"kind = '{kind}'"):
        last: Any = None
        for row in await read(database, CHAIN, after, until, kind):
            before = last if last is not None and last["key"] == row["key"] else None
            found += [f"{kind} {row['key']} history {row['sequence']}: {fault}" for fault in _faults(row, before)]
            last = row
    return found


def _faults(row: Any, before: Any) -> list[str]:
    """What is wrong with one row of a chain; `before` is the row before it, or None."""
    *columns, prev_hash, hash_ = row
    faults = []
    if row["sequence"] != (before["sequence"] + 1 if before else 1):
        faults.append("a row before it is missing")
    if prev_hash != (before["hash"] if before else b"") or row["before"] != (before["after"] if before else None):
        faults.append("does not follow the row before it")
    if hash_ != chain_hash(prev_hash, *columns):
        faults.append("was changed")
    return faults


async def _ends(database: Database, store: Keyed) -> list[str]:
    """The last row of each history tells of the aggregate as it lies in its table."""
    names = ", ".join(f"t.{f.name}" for f in store.codec.fields)
    sql = f"""
SELECT {names}, t.row_version, t.head, h.sequence, h.hash, h.after FROM {store.name} AS t LEFT JOIN LATERAL (
    SELECT sequence, hash, after FROM history WHERE kind = '{store.name}' AND key = t.{store.key}
    ORDER BY sequence DESC LIMIT 1) AS h ON true
WHERE t.{store.key} > $1 AND t.{store.key} <= $2 ORDER BY t.{store.key}
"""
    width, found = len(store.codec.fields), []
    async for after, until in ranges(database, store.name, store.key):
        for row in await read(database, sql, after, until):
            values, (version, head, sequence, hash_, told) = tuple(row)[:width], tuple(row)[width:]
            encoded = store.codec.encode(store.codec.decode(values))
            if (version, head) != (sequence, hash_):
                found.append(f"{store.name} {row[store.key]}: its history ends elsewhere")
            elif digest(encoded) != told:
                found.append(f"{store.name} {row[store.key]}: was changed without a history")
    return found


def _gone(store: Keyed) -> str:
    return f"""
SELECT DISTINCT '{store.name} ' || h.key || ': is gone, its history is not' FROM history AS h
WHERE h.kind = '{store.name}' AND h.key > $1 AND h.key <= $2
  AND NOT EXISTS (SELECT 1 FROM {store.name} AS t WHERE t.{store.key} = h.key)
"""


def _without_message(store: Keyed) -> str:
    return f"""
SELECT '{store.name} ' || h.key || ' history ' || h.sequence || ': its message is not in the inbox' FROM history AS h
WHERE h.kind = '{store.name}' AND h.key > $1 AND h.key <= $2
  AND h.at > clock_timestamp() - interval '{RETENTION_DAYS} days'
  AND NOT EXISTS (SELECT 1 FROM inbox AS i WHERE i.id = h.message)
"""


# --- the mailbox -------------------------------------------------------------------------------------------------


async def mailbox_violations(database: Database) -> list[str]:
    """What is stuck once all is quiet: a fact not sent, a fact parked, a call to the outside without an answer.

    And what must never be: a message that had its effect and still waits for it.
    """
    return [row[0] for row in await read(database, STUCK)]


STUCK = f"""
(SELECT 'outbox ' || id || ' ' || type || ': not sent' FROM outbox WHERE sent_at IS NULL ORDER BY at LIMIT {RANGE})
UNION ALL
(SELECT 'parked ' || encode(id, 'hex') || ' ' || type || CASE WHEN poison THEN ': poison, ' ELSE ': waiting, ' END
     || reason
 FROM parked ORDER BY at LIMIT {RANGE})
UNION ALL
(SELECT 'parked ' || encode(id, 'hex') || ' ' || type || ': is in the inbox too'
 FROM parked JOIN inbox USING (id) ORDER BY parked.at LIMIT {RANGE})
UNION ALL
(SELECT 'instruction ' || id || ' ' || kind || ': not answered after ' || attempts || ' attempts'
 FROM instructions WHERE state = 'due' ORDER BY at LIMIT {RANGE})
"""
