"""How aggregates lie in tables: a service lists its STORES, and the set-wise load and save are generated from them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, MetaData, Table, text

from chassis.rows import Codec, columns_of

CHASSIS_COLUMNS = ("row_version", "said", "head")
"""Kept beside every aggregate, never in its dataclass: how often it changed, how many facts it said, and the hash of
its last history row."""


@dataclass(frozen=True)
class Keyed:
    """Aggregates of one kind, one row each. `pinned` columns are written once and never updated.

    The order of a service's STORES is the order in which rows are locked on a rerun, so it prevents deadlocks.
    """

    kind: type
    name: str
    key: str
    metadata: MetaData
    pinned: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    checks: tuple[str, ...] = ()
    partial: tuple[tuple[str, str], ...] = ()
    """(column, condition): an index that holds only the rows a deadline sweep looks for."""

    def __post_init__(self) -> None:
        self.table  # noqa: B018 - the table belongs to the metadata from the start

    @cached_property
    def codec(self) -> Codec:
        return Codec.of(self.kind)

    @cached_property
    def table(self) -> Table:
        return Table(
            self.name,
            self.metadata,
            *columns_of(self.codec.fields, self.key),
            Column("row_version", BigInteger, nullable=False),
            Column("said", BigInteger, nullable=False),
            Column("head", LargeBinary, nullable=False),
            *(CheckConstraint(text(rule), name=f"{self.name}_check_{n}") for n, rule in enumerate(self.checks)),
            *(Index(f"{self.name}_by_{'_'.join(cols)}", *cols) for cols in self.indexes),
            *(Index(f"{self.name}_one_{'_'.join(cols)}", *cols, unique=True) for cols in self.unique),
            *(
                Index(f"{self.name}_due_{col}", col, postgresql_where=text(condition))
                for col, condition in self.partial
            ),
        )

    def key_of(self, value: object) -> str:
        return str(getattr(value, self.key))

    def pins_moved(self, before: object, after: object) -> list[str]:
        """Pinned fields that differ: the save would leave them behind, and the history would tell of what never was."""
        return [name for name in self.pinned if getattr(before, name) != getattr(after, name)]

    @cached_property
    def load_sql(self) -> str:
        names = ", ".join((*(f.name for f in self.codec.fields), *CHASSIS_COLUMNS))
        return f"SELECT {names} FROM {self.name} WHERE {self.key} = ANY($1::text[]) ORDER BY {self.key}"

    @cached_property
    def insert_columns(self) -> tuple[tuple[str, str], ...]:
        """(name, SQL type) of every column of a new row, in the order of `save_row`."""
        return (*((f.name, f.sql) for f in self.codec.fields), *_CHASSIS_TYPES)

    @cached_property
    def update_columns(self) -> tuple[tuple[str, str], ...]:
        return tuple((name, sql) for name, sql in self.insert_columns if name not in {self.key, *self.pinned})


_CHASSIS_TYPES = (("row_version", "bigint"), ("said", "bigint"), ("head", "bytea"))


@dataclass(frozen=True)
class Appended:
    """Rows that are only ever added: `rows` turns one decided value into one or more of `row`, a frozen dataclass."""

    kind: type
    name: str
    metadata: MetaData
    row: type
    primary_key: tuple[str, ...]
    rows: Callable[[Any], Iterable[object]] = lambda value: (value,)
    indexes: tuple[tuple[str, ...], ...] = ()
    checks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.table  # noqa: B018

    @cached_property
    def codec(self) -> Codec:
        return Codec.of(self.row)

    @cached_property
    def table(self) -> Table:
        columns = columns_of(self.codec.fields)
        for column in columns:
            column.primary_key = column.name in self.primary_key
        return Table(
            self.name,
            self.metadata,
            *columns,
            *(CheckConstraint(text(rule), name=f"{self.name}_check_{n}") for n, rule in enumerate(self.checks)),
            *(Index(f"{self.name}_by_{'_'.join(cols)}", *cols) for cols in self.indexes),
        )

    @cached_property
    def insert_columns(self) -> tuple[tuple[str, str], ...]:
        return tuple((f.name, f.sql) for f in self.codec.fields)


Store = Keyed | Appended


def unnest(columns: Sequence[tuple[str, str]], first: int) -> str:
    """`unnest($n::text[], ...) AS d(name, ...)`: one array per column. jsonb travels as text; the reader casts it."""
    arrays = ", ".join(f"${first + n}::{'text' if sql == 'jsonb' else sql}[]" for n, (_, sql) in enumerate(columns))
    return f"unnest({arrays}) AS d({', '.join(name for name, _ in columns)})"


def cast(name: str, sql: str) -> str:
    return f"d.{name}::jsonb" if sql == "jsonb" else f"d.{name}"
