"""A service's background loops: each does one step, for as long as the process runs."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from chassis.db import is_outage

log = structlog.get_logger("loops")


class Loop:
    """Repeats `step`, `every_seconds` after it ended. An outage delays it and a defect is logged; neither ends it."""

    def __init__(self, name: str, step: Callable[[], Awaitable[object]], *, every_seconds: float) -> None:
        self._name = name
        self._step = step
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._step()
            except Exception as error:
                if is_outage(error) or isinstance(error, asyncpg.PostgresError):
                    log.warning("delayed", loop=self._name, error=type(error).__name__)
                else:
                    log.exception("loop_defect", loop=self._name)
                await asyncio.sleep(AFTER_FAILURE_SECONDS)
            await asyncio.sleep(self._every_seconds)


AFTER_FAILURE_SECONDS = 0.5
