"""A connection to the broker, made again in the background for as long as the process runs.

A service starts and serves with the broker away; its facts wait in the outbox, and others' facts in their queues.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from chassis import metrics

HEARTBEAT_SECONDS = 5
CONNECT_SECONDS = 10.0
BEGIN_SECONDS = 60.0
CLOSE_SECONDS = 3.0
RETRY_SECONDS = 0.2
RETRY_MAX_SECONDS = 5.0

log = structlog.get_logger("bus")


class Line:
    """`begin` opens the channels of every new connection; `up` is set once it has."""

    def __init__(self, url: str, name: str, begin: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        self.up = asyncio.Event()
        self._url = url
        self._name = name
        self._begin = begin
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._gauge: Any = None

    def start(self, service: str) -> None:
        self._gauge = metrics.BROKER_CONNECTED.labels(service, self._name)
        self._gauge.set(0)
        self._task = asyncio.create_task(self._run(service), name=f"{self._name}:{service}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def drop(self, *_: object) -> None:
        """This connection, or a channel of it, is not to be trusted any more: make another."""
        self.up.clear()
        self._ended.set()

    async def _run(self, service: str) -> None:
        wait_seconds = RETRY_SECONDS
        while True:
            try:
                await self._hold_one(service)
                wait_seconds = RETRY_SECONDS
                log.warning("broker_lost", service=service, line=self._name)
            except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
                # The error's class alone: its words may quote the URL.
                log.warning("broker_unreachable", service=service, line=self._name, error=type(error).__name__)
            except Exception:
                log.exception("broker_defect", service=service, line=self._name)
            await asyncio.sleep(wait_seconds * random.uniform(0.5, 1))  # noqa: S311 - so that not all come back at once
            wait_seconds = min(RETRY_MAX_SECONDS, wait_seconds * 2)

    async def _hold_one(self, service: str) -> None:
        """One connection, from its first frame to its end."""
        self._ended.clear()
        connection = await asyncio.wait_for(
            aio_pika.connect(self._url, heartbeat=HEARTBEAT_SECONDS, name=f"{service}:{self._name}"), CONNECT_SECONDS
        )
        connection.close_callbacks.add(self.drop)
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._begin(connection)
            self.up.set()
            self._gauge.set(1)
            await self._ended.wait()
        finally:
            self.up.clear()
            self._gauge.set(0)
            connection.close_callbacks.discard(self.drop)
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), CLOSE_SECONDS)
