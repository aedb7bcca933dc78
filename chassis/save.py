"""The save: everything a batch changed, as one composed statement that is the transaction."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from chassis import mailbox
from chassis.store import Appended, Keyed, cast, unnest

Columns = tuple[tuple[str, str], ...]


class Save:
    """Collects rows and composes the statement. The counts are checked inside it (`desk_check`), so a row whose
    version moved, or a parked row somebody else took, undoes all of it with SQLSTATE 40001."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Columns, str]] = []
        self._values: list[list[Any]] = []
        self._meant: list[int] = []

    def _add(self, verb: str, name: str, columns: Columns, rows: Sequence[Sequence[Any]], key: str = "") -> None:
        if not rows:
            return
        self._parts.append((f"{verb} {name}", columns, key))
        self._values.extend(list(column) for column in zip(*rows, strict=True))
        self._meant.append(len(rows))

    def update(self, store: Keyed, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of (key, version it was loaded with, *update_columns)."""
        columns = ((store.key, "text"), ("was", "bigint"), *store.update_columns)
        self._add("UPDATE", store.name, columns, rows, store.key)

    def insert(self, store: Keyed | Appended, rows: Sequence[Sequence[Any]]) -> None:
        self._add("INSERT", store.name, store.insert_columns, rows)

    def inbox(self, rows: Sequence[Sequence[Any]]) -> None:
        self._add("INSERT", "inbox", mailbox.INBOX, rows)

    def outbox(self, rows: Sequence[Sequence[Any]]) -> None:
        self._add("INSERT", "outbox", mailbox.OUTBOX, rows)

    def park(self, rows: Sequence[Sequence[Any]]) -> None:
        self._add("INSERT", "parked", mailbox.PARKED, rows)

    def blame(self, rows: Sequence[tuple[bytes, str]]) -> None:
        """Parked facts whose decision has a bug: poison, with the reason."""
        self._add("BLAME", "parked", (("id", "bytea"), ("reason", "text")), rows)

    def unpark(self, ids: Sequence[bytes]) -> None:
        self._add("DELETE", "parked", (("id", "bytea"),), [(each,) for each in ids])

    def instruct(self, rows: Sequence[Sequence[Any]]) -> None:
        self._add("INSERT", "instructions", mailbox.INSTRUCTIONS, rows)

    def finish(self, instruction_ids: Sequence[str]) -> None:
        """The outside has answered: its instruction is done, in the transaction of the answer's effect."""
        self._add("FINISH", "instructions", (("id", "text"),), [(each,) for each in instruction_ids])

    def history(self, rows: Sequence[Sequence[Any]]) -> None:
        self._add("INSERT", "history", mailbox.HISTORY, rows)

    @property
    def empty(self) -> bool:
        return not self._parts

    def statement(self) -> tuple[str, list[Any]]:
        return _compose(tuple(self._parts)), [*self._values, self._meant]


@lru_cache(maxsize=1024)
def _compose(parts: tuple[tuple[str, Columns, str], ...]) -> str:
    """One text per shape of batch, so that the driver's prepared statements serve again."""
    steps, first = [], 1
    for n, (what, columns, key) in enumerate(parts):
        verb, name = what.split(" ")
        steps.append(f"p{n} AS ({_STEP[verb](name, columns, key, unnest(columns, first))} RETURNING 1)")
        first += len(columns)
    counts = ", ".join(f"(SELECT count(*) FROM p{n})" for n in range(len(parts)))
    return f"WITH {', '.join(steps)} SELECT desk_check(ARRAY[{counts}], ${first}::bigint[])"


def _update(name: str, columns: Columns, key: str, source: str) -> str:
    sets = ", ".join(f"{column} = {cast(column, sql)}" for column, sql in columns[2:])
    return f"UPDATE {name} AS t SET {sets} FROM {source} WHERE t.{key} = d.{key} AND t.row_version = d.was"


def _insert(name: str, columns: Columns, _key: str, source: str) -> str:
    names = ", ".join(column for column, _ in columns)
    values = ", ".join(cast(column, sql) for column, sql in columns)
    return f"INSERT INTO {name} ({names}) SELECT {values} FROM {source}"


def _delete(name: str, _columns: Columns, _key: str, source: str) -> str:
    return f"DELETE FROM {name} AS t USING {source} WHERE t.id = d.id"


def _finish(name: str, _columns: Columns, _key: str, source: str) -> str:
    return f"UPDATE {name} AS t SET state = 'done', error = NULL FROM {source} WHERE t.id = d.id AND t.state = 'due'"


def _blame(name: str, _columns: Columns, _key: str, source: str) -> str:
    return f"UPDATE {name} AS t SET poison = true, reason = d.reason FROM {source} WHERE t.id = d.id"


_STEP = {"UPDATE": _update, "INSERT": _insert, "DELETE": _delete, "FINISH": _finish, "BLAME": _blame}
