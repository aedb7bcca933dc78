"""The SQLite file. One thread owns it, the event loop's, so a transaction never waits and needs no lock in Python."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
create table if not exists charges (
    out_no          text primary key,
    request         text not null,
    amount          integer not null check (typeof(amount) = 'integer' and amount > 0),
    currency        text not null,
    notify_url      text not null,
    expires_at      real not null,
    description     text not null,
    payee           text not null,
    token           text not null unique,
    closed          integer not null default 0,
    transaction_id  text unique,
    paid_at         real,
    check ((transaction_id is null) = (paid_at is null)),
    check (not (closed and paid_at is not null))
);
create table if not exists refunds (
    refund_no       text primary key,
    request         text not null,
    out_no          text not null references charges,
    amount          integer not null check (typeof(amount) = 'integer' and amount > 0),
    currency        text not null,
    failed          integer not null,
    completes_at    real not null
);
create index if not exists refunds_of_charge on refunds (out_no);
create table if not exists events (
    id              text primary key,
    notify_url      text not null,
    body            blob not null,
    born_at         real not null,
    attempts        integer not null default 0,
    next_attempt_at real,
    delivered_at    real
);
create index if not exists events_due on events (next_attempt_at) where next_attempt_at is not null;
"""


class Store:
    """Rows in, rows out; whatever is committed survives `kill -9`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It holds the addresses of pay pages, and knowing one is the permission: for its owner alone.
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        # synchronous=normal: a killed process loses nothing; only a power cut may take the last moments of a sandbox.
        self._connection.executescript("pragma journal_mode=wal; pragma synchronous=normal; pragma foreign_keys=on;")
        self._connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing of it. There must be no `await` inside."""
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def one(self, query: str, *values: object) -> sqlite3.Row | None:
        """The first row, or None."""
        row: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
        return row

    def all(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Every row."""
        return self._connection.execute(query, values).fetchall()

    def insert(self, table: str, row: dict[str, object]) -> None:
        """Add one row; table and column names are the caller's own constants, values are bound."""
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        self._connection.execute(f"insert into {table} ({columns}) values ({marks})", tuple(row.values()))

    def execute(self, statement: str, *values: object) -> None:
        """Change rows."""
        self._connection.execute(statement, values)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
