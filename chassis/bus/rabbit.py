"""The bus between processes: over RabbitMQ, with the same outbox and inbox as the bus inside one."""

from collections.abc import Sequence

from chassis.bus.consumer import Consumer
from chassis.bus.relay import LEFTOVER_AFTER_SECONDS, Relay
from chassis.bus.topology import Names
from chassis.db import Database
from chassis.desk import Desk
from chassis.message import Delivery
from contracts import catalogue


class RabbitBus:
    """One service's ways out and in, each on a connection of its own: a broker that holds back publishers must not keep
    hearers from acknowledging."""

    def __init__(
        self,
        url: str,
        database: Database,
        *,
        namespace: str = "buluo",
        leftover_after_seconds: float = LEFTOVER_AFTER_SECONDS,
    ) -> None:
        names = Names(namespace)
        self.relay = Relay(url, names, database, leftover_after_seconds=leftover_after_seconds)
        self.consumer = Consumer(url, names, database)

    @property
    def connected(self) -> bool:
        return self.relay.line.up.is_set() and self.consumer.connected

    def heard(self, fact_type: str) -> bool:
        return bool(catalogue.hearers(fact_type))

    def hand_off(self, deliveries: Sequence[Delivery]) -> None:
        self.relay.hand_off(deliveries)

    async def start(self, desk: Desk) -> None:
        """Returns at once, broker or not."""
        self.relay.start(desk.service)
        self.consumer.start(desk)

    async def stop(self) -> None:
        await self.consumer.stop()
        await self.relay.stop()

    async def quiet(self) -> bool:
        return await self.consumer.quiet() and await self.relay.quiet()
