"""Two toys joined by a bus of either kind: `order` says, `escrow` hears."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from chassis.bus.base import Bus
from chassis.bus.local import Hall, LocalBus
from chassis.bus.rabbit import RabbitBus
from chassis.bus.topology import Names
from chassis.db import Database
from chassis.service import Service
from tests.chassis import toy


class Wire(Protocol):
    """Makes the bus of a service."""

    def bus(self, database: Database) -> Bus: ...


@dataclass
class LocalWire:
    hall: Hall = field(default_factory=lambda: Hall(expected=("order", "escrow")))

    def bus(self, database: Database) -> Bus:
        return LocalBus(self.hall, database, leftover_after_seconds=0)


@dataclass
class RabbitWire:
    url: str
    names: Names

    def bus(self, database: Database) -> RabbitBus:
        return RabbitBus(self.url, database, namespace=self.names.namespace, leftover_after_seconds=0)


@dataclass
class Place:
    """A wire, and where the two services keep what they know."""

    wire: Wire
    order_url: str
    escrow_url: str

    def order(self, **given: Any) -> Service:
        return joined(toy.build(self.order_url, "order", hears={}, **given), self.wire)

    def escrow(self, **given: Any) -> Service:
        return joined(toy.build(self.escrow_url, "escrow", **given), self.wire)

    @asynccontextmanager
    async def both(self) -> AsyncIterator[tuple[Service, Service]]:
        async with self.order() as order, self.escrow() as escrow:
            yield order, escrow


def joined(service: Service, wire: Wire) -> Service:
    """The service on this wire instead of the one it was built with."""
    service.bus = service.desk.bus = wire.bus(service.database)
    return service


async def tell(order: Service, count: int) -> list[str]:
    """Say two facts of each of so many jars: it is opened, and one coin is added. The jars."""
    import asyncio

    jars = [toy.a_jar() for _ in range(count)]
    await asyncio.gather(*(toy.tell_desk(order, toy.Tell(toy.BUYER, jar)) for jar in jars))
    await asyncio.gather(*(toy.tell_desk(order, toy.TellMore(toy.BUYER, jar)) for jar in jars))
    return jars


async def settled(*services: Service, within_seconds: float = 30) -> None:
    """Everything said has been heard, and nothing waits anywhere."""
    for service in services:
        await toy.eventually(service.bus.quiet, within_seconds)
    for service in services:
        await toy.eventually(service.quiet, within_seconds)


async def coins(service: Service, jars: list[str]) -> dict[int | None, int]:
    """How many of the jars hold how many coins; None is a jar that is not there."""
    rows = await service.database.pool.fetch("SELECT jar_id, coins FROM jars WHERE jar_id = ANY($1)", jars)
    found = {row["jar_id"]: row["coins"] for row in rows}
    counted: dict[int | None, int] = {}
    for jar in jars:
        counted[found.get(jar)] = counted.get(found.get(jar), 0) + 1
    return counted


async def unsent(service: Service) -> int:
    return await toy.count(service, "outbox WHERE sent_at IS NULL")
