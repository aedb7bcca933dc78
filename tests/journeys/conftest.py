"""Worlds that are left behind by no test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from onebox.postgres.server import remove
from tests.journeys import template as templates
from tests.journeys.template import Template
from tests.journeys.world import Ports, Process, become_ready, start


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    folder = tmp_path_factory.mktemp("template")
    try:
        yield asyncio.run(templates.made(folder))
    finally:
        remove(folder / "postgres")


@pytest.fixture
def world_folder(template: Template, tmp_path: Path) -> Iterator[Path]:
    """The folder of a founded world of one's own, on a server that stays while the test runs."""
    with template.copied(tmp_path / "world") as folder:
        yield folder


@pytest.fixture
def ports() -> Ports:
    return Ports.free()


@pytest.fixture(scope="session")
def calm(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A running world that nobody kills: for tests that only use it. Its clock may move; tests do not share orders."""
    with template.copied(tmp_path_factory.mktemp("calm") / "world") as folder:
        running = start(folder, Ports.free())
        try:
            asyncio.run(become_ready(running))
            yield running
        finally:
            asyncio.run(running.stop())
