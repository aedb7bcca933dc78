"""Systems in processes of their own; skipped where there is no broker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.catalogue import SERVICES
from tests.bus import broker
from tests.distributed.system import System, system


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[System]:
    """Everything there and nothing running."""
    if broker.missing():
        pytest.skip(broker.missing())
    async with system(tmp_path) as here:
        yield here


@pytest.fixture
async def running(made: System) -> System:
    made.start(*SERVICES)
    await made.ready(*SERVICES)
    return made
