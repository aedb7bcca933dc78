"""The hearing toy in a process that can be killed: `python -m tests.bus.hearer DATABASE_URL BROKER_URL NAMESPACE`."""

import asyncio
import sys

from chassis.bus.topology import Names
from tests.bus.wires import RabbitWire, joined
from tests.chassis import toy


async def main(database_url: str, broker_url: str, namespace: str) -> None:
    async with joined(toy.build(database_url, "escrow"), RabbitWire(broker_url, Names(namespace))):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
