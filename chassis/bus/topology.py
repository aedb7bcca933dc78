"""What must be there before a fact is published: the exchange, and each hearer's queue and queue of dead letters.

Every process declares all of it from the catalogue: a fact said before a hearer's first start waits for it. A copy of
each fact travels for each hearer, under the key `hearer.type`: the broker's own fan-out calls a message routed as soon
as one queue is bound, and would leave out a hearer whose binding is gone without a word (decision 0018).
"""

from dataclasses import dataclass
from typing import Any, Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from contracts import catalogue
from contracts.catalogue import SERVICES

DELIVERY_LIMIT: Final = 20
DEAD_DELIVERY_LIMIT: Final = 1_000_000
"""Nothing lies behind the dead letters: what fell out there would be lost. RabbitMQ 4 sets 20 where nothing is said."""
HEARERS: Final = tuple(service for service in SERVICES if catalogue.heard_by(service))


@dataclass(frozen=True, slots=True)
class Names:
    """The names at the broker; a namespace of their own keeps two systems on one broker apart."""

    namespace: str = "buluo"

    @property
    def exchange(self) -> str:
        return f"{self.namespace}.events"

    @property
    def dead_exchange(self) -> str:
        return f"{self.namespace}.dead"

    def queue(self, hearer: str) -> str:
        return f"{self.namespace}.{hearer}"

    def dead_queue(self, hearer: str) -> str:
        return f"{self.namespace}.{hearer}.dead"


def key(hearer: str, fact_type: str) -> str:
    """What a hearer's copy of a fact travels under."""
    return f"{hearer}.{fact_type}"


async def declare(channel: AbstractChannel, names: Names) -> None:
    """Declare everything; what is there stays as it is. No alternate exchange: it would swallow what is returned."""
    events = await channel.declare_exchange(names.exchange, ExchangeType.TOPIC, durable=True)
    dead = await channel.declare_exchange(names.dead_exchange, ExchangeType.DIRECT, durable=True)
    for hearer in HEARERS:
        limit: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DEAD_DELIVERY_LIMIT}
        buried = await channel.declare_queue(names.dead_queue(hearer), durable=True, arguments=limit)
        await buried.bind(dead, hearer)
        queue = await channel.declare_queue(names.queue(hearer), durable=True, arguments=_arguments(names, hearer))
        for fact_type in sorted(catalogue.heard_by(hearer)):
            await queue.bind(events, key(hearer, fact_type))


def _arguments(names: Names, hearer: str) -> dict[str, Any]:
    """At-least-once dead-lettering needs `reject-publish`: a message is never dropped to make room."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": names.dead_exchange,
        "x-dead-letter-routing-key": hearer,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
