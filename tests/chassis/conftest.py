"""Toy databases and services for the chassis' own tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from chassis.service import Service
from tests.chassis import toy


@pytest.fixture(scope="session", autouse=True)
def databases() -> Iterator[None]:
    yield
    asyncio.run(toy.drop_databases())


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with toy.fresh_database() as made:
        yield made


@pytest.fixture
async def service(url: str) -> AsyncIterator[Service]:
    async with toy.build(url) as started:
        yield started
