"""One PostgreSQL for the run: the one that BULUO_TEST_DATABASE_URL names, else one of our own, started and stopped here."""

import asyncio
import os
from contextlib import ExitStack

import pytest

from onebox.postgres import Postgres

_STACK = pytest.StashKey[ExitStack]()
_URL = "BULUO_TEST_DATABASE_URL"


def pytest_configure(config: pytest.Config) -> None:
    stack = config.stash[_STACK] = ExitStack()
    if not os.environ.get(_URL) and not config.option.collectonly:
        server = stack.enter_context(Postgres.temporary(preload=("pg_stat_statements",)))
        os.environ[_URL] = server.admin_url
        stack.callback(os.environ.pop, _URL)


def pytest_report_header() -> str:
    return f"PostgreSQL: {os.environ.get(_URL, 'none').rpartition('@')[2]}"


def pytest_unconfigure(config: pytest.Config) -> None:
    from tests import support

    with config.stash[_STACK]:
        if os.environ.get(_URL):
            asyncio.run(support.drop_templates())
