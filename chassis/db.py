"""One asyncpg pool per service, and the two ways to read: a set query, and a window that batches reads by key."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

Pool = asyncpg.Pool
OUTAGE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.PostgresSystemError,
)
"""What says nothing of the statement, only of the moment: no connection, no room, a restart, a standby, a lock not had
in time. The same statement may run a little later; nobody is to blame for it."""
_DIALECT = asyncpg_dialect()


def is_outage(error: BaseException) -> bool:
    """Whether to wait and try again. A wrong setting is an InterfaceError too, but no waiting mends it."""
    return isinstance(error, OUTAGE) and not isinstance(error, ValueError)


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """The pool resets a released connection with a round trip; nothing here leaves session state behind."""

    def get_reset_query(self) -> str:
        return ""


class Database:
    """A service's own database. `pool` is there between `open` and `close`."""

    def __init__(self, url: str, *, pool_max: int) -> None:
        self.url = url
        self._pool_max = pool_max
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        assert self._pool is not None, "the database is not open"  # noqa: S101
        return self._pool

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=1,
            max_size=self._pool_max,
            connection_class=_Connection,
            command_timeout=10,
            timeout=5,
            server_settings={"statement_timeout": "5000", "lock_timeout": "2000", "timezone": "UTC"},
        )

    async def close(self) -> None:
        if self._pool:
            await self._pool.close()
            self._pool = None

    async def ready(self) -> bool:
        """Whether the database answers now."""
        try:
            return bool(await self.pool.fetchval("SELECT true", timeout=2))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False


class Query:
    """A SQLAlchemy select, compiled once at import and run on the asyncpg pool by parameter name.

    Write parameters as `bindparam("order_id")`; `rows(database, order_id=...)` runs it.
    """

    def __init__(self, select: Select[Any]) -> None:
        compiled = select.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._defaults = {name: value for name, value in compiled.params.items() if value is not None}

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        return [given[name] if name in given else self._defaults.get(name) for name in self._names]

    async def rows(self, database: Database, **given: Any) -> "list[asyncpg.Record]":
        return list(await database.pool.fetch(self.sql, *self.values(given)))

    async def row(self, database: Database, **given: Any) -> "asyncpg.Record | None":
        return await database.pool.fetchrow(self.sql, *self.values(given))


class Window:
    """Reads by key, batched naturally: whoever asks while a read is under way shares the next one.

    `sql` takes one text[] and returns rows whose first column is the key.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._waiting: dict[str, list[asyncio.Future[Any]]] = {}
        self._busy = False

    async def read(self, database: Database, key: str) -> "asyncpg.Record | None":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if not self._busy:
            self._busy = True
            asyncio.ensure_future(self._drain(database))  # noqa: RUF006 - the futures it answers keep it wanted
        return await future

    async def _drain(self, database: Database) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, {}
            try:
                rows = {row[0]: row for row in await database.pool.fetch(self._sql, list(asked))}
            except Exception as error:  # noqa: BLE001 - every waiter gets the error as its own
                _each(asked, lambda future, _key, error=error: future.set_exception(error))
            else:
                _each(asked, lambda future, key, rows=rows: future.set_result(rows.get(key)))
        # No await between the last look at _waiting and this line: a reader that comes later starts a new drain.
        self._busy = False


def _each(asked: Mapping[str, Sequence["asyncio.Future[Any]"]], settle: Callable[..., None]) -> None:
    for key, futures in asked.items():
        for future in futures:
            if not future.done():
                settle(future, key)
