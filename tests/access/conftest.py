"""One world for this folder, with two stories in it."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from gateway import edge
from onebox import world
from tests.access import cast
from tests.access.cast import House
from tests.access.door import Door


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


@pytest.fixture
def later(house: House) -> Iterator[None]:
    """More than a minute after everything was made."""
    with house.later():
        yield
