"""A running service, assembled: the table of who hears what, its desk, its workers and its app."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from fastapi import APIRouter, FastAPI
from joserfc.jwk import OKPKey

from chassis import web
from chassis.auth import Verifier
from chassis.bus.base import Bus
from chassis.db import Database
from chassis.deadlines import Deadlines, Due
from chassis.desk import Desk
from chassis.instructions import Port, Worker
from chassis.parked import ParkedSweep
from chassis.retention import Retention
from chassis.settings import ChassisSettings
from chassis.store import Store
from chassis.touches import Handler
from contracts.fact import Fact


class Service:
    """What `build()` of every service returns. `async with service` opens the database and starts the loops.

    hears: fact -> handler, equal to this service's row of the catalogue (a test holds it). asked: command -> handler,
    for commands, deadlines and answers of instructions alike. ports: instruction kind -> who performs it; `closing`
    is what their clients must do at the end.
    """

    def __init__(
        self,
        name: str,
        *,
        stores: Sequence[Store],
        hears: Mapping[type[Fact], Handler],
        asked: Mapping[type, Handler],
        router: APIRouter,
        database: Database,
        bus: Bus,
        settings: ChassisSettings,
        deadlines: Sequence[Due] = (),
        ports: Mapping[str, Port] | None = None,
        measure: Callable[[Database], Awaitable[None]] | None = None,
        state: Mapping[str, Any] | None = None,
        closing: Sequence[Callable[[], Awaitable[object]]] = (),
    ) -> None:
        self.name = name
        self.stores = tuple(stores)
        self.hears = dict(hears)
        self.asked = dict(asked)
        self.database = database
        self.bus = bus
        self.settings = settings
        self.verifier = Verifier(name, OKPKey.import_key(json.loads(settings.internal_key.get_secret_value())))
        self.desk = Desk(name, stores=stores, handlers={**self.hears, **self.asked}, bus=bus, settings=settings)
        self.deadlines = Deadlines(deadlines, self.desk, database)
        self.worker = Worker(ports or {}, self.desk, database)
        self.parked = ParkedSweep(self.desk, database)
        self.retention = Retention(name, database, settings.retention_days)
        self._measure = measure
        self._closing = tuple(closing)
        self.api: FastAPI
        self.app = web.create_app(self, router)
        for key, value in (state or {}).items():
            setattr(self.api.state, key, value)

    async def __aenter__(self) -> Self:
        await self.database.open()
        await self.desk.start(self.database.pool)
        await self.worker.start()
        await self.parked.start()
        await self.bus.start(self.desk)
        await self.deadlines.start()
        self.retention.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop taking from the sweeps, decide what waits, then let go of the database."""
        await self.retention.stop()
        await self.deadlines.stop()
        await self.parked.stop()
        await self.worker.stop()
        for close in self._closing:
            await close()
        await self.desk.stop()
        await self.bus.stop()
        await self.database.close()

    async def now(self) -> datetime:
        """Business time, from the database."""
        now: datetime = await self.database.pool.fetchval("SELECT business_now()")
        return now.astimezone(UTC)

    async def offset_seconds(self) -> int:
        return int(await self.database.pool.fetchval("SELECT coalesce(max(offset_seconds), 0) FROM clock_offsets"))

    async def quiet(self) -> bool:
        """Nothing waits anywhere in this service: desk, outbox, parked facts, instructions."""
        parked = await self.database.pool.fetchval("SELECT EXISTS (SELECT 1 FROM parked WHERE NOT poison)")
        return not parked and await self.bus.quiet() and await self.worker.quiet() and self.desk.quiet

    async def measure(self) -> None:
        """Set the gauges that are read from the database when Prometheus asks."""
        if self._measure:
            await self._measure(self.database)
