"""Dies between the commit of a fact and its hearing, as `python -m tests.chassis.crash ORDER_URL ESCROW_URL JAR [mutant]`.

With the argument `no-outbox` the fact is handed off in memory only: what the outbox is for can be seen by its absence.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chassis.bus.local import Hall, LocalBus
from chassis.message import Delivery
from chassis.save import Save
from chassis.service import Service
from tests.chassis import toy

DIED = 137


@asynccontextmanager
async def world(order_url: str, escrow_url: str) -> AsyncIterator[tuple[Service, Service]]:
    """A teller and a hearer in one process, joined by a local bus."""
    hall = Hall(expected=("order", "escrow"))
    order = toy.build(order_url, "order", hall=hall, hears={}, leftover_after_seconds=0)
    escrow = toy.build(escrow_url, "escrow", hall=hall, leftover_after_seconds=0)
    async with order, escrow:
        yield order, escrow


def die(_: LocalBus, deliveries: Sequence[Delivery]) -> None:
    if deliveries:
        os._exit(DIED)


async def main(order_url: str, escrow_url: str, jar: str, mutant: str = "") -> None:
    LocalBus.hand_off = die  # type: ignore[method-assign]
    if mutant == "no-outbox":
        Save.outbox = lambda *_: None  # type: ignore[method-assign]
    async with world(order_url, escrow_url) as (order, _):
        await toy.tell_desk(order, toy.Tell(toy.BUYER, jar))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
