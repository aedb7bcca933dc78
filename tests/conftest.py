"""One PostgreSQL for the run, found or started; templates of migrated databases are dropped at the end."""

import asyncio
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def databases() -> Iterator[None]:
    from tests import support

    yield
    asyncio.run(support.drop_templates())


def pytest_report_header() -> str:
    return f"PostgreSQL: {os.environ.get('BULUO_TEST_DATABASE_URL', 'the one on 127.0.0.1:5432')}"
