"""One world for this folder, with two stories in it; the matrix is walked in it once."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from gateway import edge
from onebox import world
from tests.access import cast
from tests.access.cast import House
from tests.access.document import Operation, operations
from tests.access.door import Answer, Door
from tests.access.matrix import ROWS
from tests.access.walk import Cell, walk


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The world is played before the first test: everybody is there and everything in it is known everywhere."""
    folder = tmp_path_factory.mktemp("access")
    async with world.running(folder, durable=False) as running, httpx.AsyncClient(timeout=60) as pages:
        gateway = running.services["gateway"]
        upstreams = {name: service.app for name, service in running.services.items() if name != "gateway"}
        house = House(running, Door(edge.app(gateway, upstreams)), pages)
        await cast.play(house)
        yield house


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def document(house: House) -> Mapping[str, Operation]:
    """Every operation that the gateway publishes, by its id."""
    return operations((await house.door.call("GET", "/openapi.json")).json)


@dataclass(frozen=True)
class Walked:
    """The whole matrix, asked once: cells by row, and every answer that anybody got meanwhile."""

    cells: Mapping[str, list[Cell]]
    heard: list[tuple[str, Answer]]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def walked(house: House) -> Walked:
    heard: list[tuple[str, Answer]] = []
    house.door.heard = heard
    try:
        cells = {name: await walk(house, row) for name, row in ROWS.items()}
    finally:
        house.door.heard = None
    return Walked(cells, heard)
