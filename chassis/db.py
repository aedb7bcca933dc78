"""One asyncpg pool per service, and the two ways to read: a set query, and a window that batches reads by key."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

Pool = asyncpg.Pool
OUTAGE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.PostgresSystemError,
)
"""What says nothing of the statement, only of the moment: no connection, no room, a restart, a standby, a lock not had
in time. The same statement may run a little later; nobody is to blame for it. (InternalClientError: a connection that
was cut in the middle of something, in the instant before the driver hears that it is closed.)"""
_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]


READ_SECONDS = 4.5
ACQUIRE_SECONDS = 2.0


def is_outage(error: BaseException) -> bool:
    """Whether to wait and try again. A wrong setting is an InterfaceError too, but no waiting mends it."""
    return isinstance(error, OUTAGE) and not isinstance(error, ValueError)


class _Connection(asyncpg.Connection):
    """The pool resets a released connection with a round trip; nothing here leaves session state behind."""

    def get_reset_query(self) -> str:
        return ""


@asynccontextmanager
async def acquired(pool: "asyncpg.Pool[asyncpg.Record]") -> "AsyncIterator[PoolConnectionProxy[asyncpg.Record]]":
    """A connection; whatever keeps us from having one is an outage, be it a refusal in the server's own words."""
    try:
        connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
    except asyncpg.PostgresError as error:
        raise ConnectionError(type(error).__name__) from error
    try:
        yield connection
    finally:
        await pool.release(connection)


class Database:
    """A service's own database. `pool` is there between `open` and `close`."""

    def __init__(self, url: str, *, pool_max: int) -> None:
        self.url = url
        self._pool_max = pool_max
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._lazy: asyncpg.Pool[asyncpg.Record] | None = None
        self.reads: dict[str, _Reads] = {}
        """What the windows of this database are reading just now, by their SQL."""

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._pool is None:
            raise asyncpg.InterfaceError("the database is not open")
        return self._pool

    @property
    def lazy(self) -> "asyncpg.Pool[asyncpg.Record]":
        """One connection whose commits do not wait for the disk: for marks that a crash may lose, never for money."""
        if self._lazy is None:
            raise asyncpg.InterfaceError("the database is not open")
        return self._lazy

    async def open(self) -> None:
        self._pool = await self._connect(min_size=1, max_size=self._pool_max)
        self._lazy = await self._connect(min_size=0, max_size=1, synchronous_commit="off")

    async def _connect(self, *, min_size: int, max_size: int, **more: str) -> "asyncpg.Pool[asyncpg.Record]":
        return await asyncpg.create_pool(
            self.url,
            min_size=min_size,
            max_size=max_size,
            connection_class=_Connection,
            command_timeout=10,
            timeout=5,
            server_settings={"statement_timeout": "5000", "lock_timeout": "2000", "timezone": "UTC", **more},
        )

    async def close(self) -> None:
        for pool in (self._pool, self._lazy):
            if pool:
                await pool.close()
        self._pool = self._lazy = None

    async def read(self, sql: str, *values: Any) -> "list[asyncpg.Record]":
        """Rows, or TimeoutError: no reader waits longer for a connection and an answer together."""
        async with asyncio.timeout(READ_SECONDS):
            async with acquired(self.pool) as connection:
                return list(await connection.fetch(sql, *values))

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
        self._required = {name for name in self._names if compiled.binds[name].required}
        self._defaults = {name: value for name, value in compiled.params.items() if value is not None}

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the statement. TypeError for a name too many or one too few."""
        if strange := given.keys() - set(self._names):
            raise TypeError(f"not a parameter of this query: {sorted(strange)}")
        if missing := self._required - given.keys():
            raise TypeError(f"this query needs: {sorted(missing)}")
        return [given[name] if name in given else self._defaults.get(name) for name in self._names]

    async def rows(self, database: Database, **given: Any) -> "list[asyncpg.Record]":
        return await database.read(self.sql, *self.values(given))

    async def row(self, database: Database, **given: Any) -> "asyncpg.Record | None":
        """The first row, if there is one."""
        found = await database.read(self.sql, *self.values(given))
        return found[0] if found else None


class Window:
    """Reads by key, batched naturally: whoever asks while a read is under way shares the next one.

    `sql` takes one text[] and returns rows whose first column is the key. A window is a constant of its module; what it
    is reading belongs to the database it reads.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql

    async def read(self, database: Database, key: str) -> "asyncpg.Record | None":
        reads = database.reads.get(self._sql)
        if reads is None:
            reads = database.reads[self._sql] = _Reads(self._sql, database)
        return await reads.read(key)


class _Reads:
    """One window on one database: the keys that wait, and the task that reads them."""

    def __init__(self, sql: str, database: Database) -> None:
        self._sql = sql
        self._database = database
        self._waiting: dict[str, list[asyncio.Future[asyncpg.Record | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def read(self, key: str) -> "asyncpg.Record | None":
        future: asyncio.Future[asyncpg.Record | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        # No await between the last look at _waiting and the end of the task: a reader that comes later starts another.
        while self._waiting:
            asked, self._waiting = self._waiting, {}
            waiters = [(key, future) for key, futures in asked.items() for future in futures]
            try:
                rows = {row[0]: row for row in await self._database.read(self._sql, list(asked))}
                for key, future in waiters:
                    if not future.done():
                        future.set_result(rows.get(key))
            except Exception as error:  # noqa: BLE001 - every waiter gets the error as its own
                for _, future in waiters:
                    if not future.done():
                        future.set_exception(error)
            finally:
                # Cancelled: nobody is left who would answer.
                for _, future in waiters:
                    future.cancel()
