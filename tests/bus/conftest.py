"""Toys on either bus; without a broker half of this is skipped, and the run says so in its last lines."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from chassis.bus.topology import Names
from tests.bus import broker, proxy
from tests.bus.wires import LocalWire, Place, RabbitWire
from tests.chassis import toy


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if broker.missing():
        terminalreporter.section("RabbitMQ", sep="!", red=True, bold=True)
        terminalreporter.line(broker.missing(), red=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def databases() -> Iterator[None]:
    yield
    asyncio.run(toy.drop_databases())


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    if broker.missing():
        pytest.skip(broker.missing())
    async with broker.names() as made:
        yield made


@pytest.fixture
async def urls() -> AsyncIterator[tuple[str, str]]:
    async with toy.fresh_database() as order_url, toy.fresh_database() as escrow_url:
        yield order_url, escrow_url


@pytest.fixture(params=["local", "rabbit"])
def place(request: pytest.FixtureRequest, urls: tuple[str, str]) -> Place:
    """The contract is tested on both."""
    if request.param == "local":
        return Place(LocalWire(), *urls)
    return Place(RabbitWire(broker.url(), request.getfixturevalue("names")), *urls)


@pytest.fixture
async def line(names: Names) -> AsyncIterator[proxy.Proxy]:
    """A line to the broker that can be cut."""
    async with proxy.between(*broker.place()) as made:
        yield made


@pytest.fixture
def rabbit(names: Names, urls: tuple[str, str]) -> Place:
    """Straight to the broker."""
    return Place(RabbitWire(broker.url(), names), *urls)


@pytest.fixture
def through(names: Names, urls: tuple[str, str], line: proxy.Proxy) -> Place:
    """To the broker through the line."""
    host, port = broker.place()
    url = broker.url().replace(f"{host}:{port}", f"127.0.0.1:{line.port}")
    return Place(RabbitWire(url, names), *urls)
