"""Calls to the outside: written down by the desk, performed by a worker, answered as a desk message.

An instruction's id is its number at the other side for ever. A call whose result is unknown is repeated under the same
number, never under a new one; the port behind it must make that safe (by asking first, or by an idempotent call).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg
import structlog

from chassis import mailbox, metrics
from chassis.caller import Command
from chassis.db import OUTAGE, Database
from chassis.decision import Instruction
from chassis.desk import Desk

SWEEP_EVERY_SECONDS = 1.0
AT_ONCE_MAX = 16

log = structlog.get_logger("instructions")


class Unanswered(Exception):  # noqa: N818
    """The outside gave no usable answer: the result is unknown, the instruction stays due and is tried again."""


Port = Callable[[Instruction, int], Awaitable[Command]]
"""Performs one instruction (second argument: which attempt, from 1) and returns the answer as a desk command."""


class Worker:
    """Performs a service's instructions: at once after the commit, and by a sweep what a crash left."""

    def __init__(self, ports: Mapping[str, Port], desk: Desk, database: Database) -> None:
        self._ports = ports
        self._desk = desk
        self._database = database
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._desk.instruct = self.take
        if self._ports:
            self._task = asyncio.create_task(self._loop(), name=f"instructions:{self._desk.service}")

    async def stop(self) -> None:
        tasks = [*self._under_way.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def quiet(self) -> bool:
        return not self._under_way and not await self._database.pool.fetchval(
            "SELECT EXISTS (SELECT 1 FROM instructions WHERE state = 'due')"
        )

    def take(self, instructions: Sequence[Instruction], attempt: int = 1) -> None:
        for each in instructions:
            if each.id not in self._under_way:
                task = asyncio.create_task(self._perform(each, attempt))
                self._under_way[each.id] = task
                task.add_done_callback(lambda _, id_=each.id: self._under_way.pop(id_, None))

    async def _perform(self, instruction: Instruction, attempt: int) -> None:
        service = self._desk.service
        async with self._room:
            try:
                answer = await self._ports[instruction.kind](instruction, attempt)
            except Unanswered as error:
                metrics.INSTRUCTIONS.labels(service, instruction.kind, "unanswered").inc()
                log.warning("unanswered", service=service, kind=instruction.kind, attempt=attempt, why=str(error))
                return
            except Exception:
                metrics.INSTRUCTIONS.labels(service, instruction.kind, "failed").inc()
                log.exception("instruction_failed", service=service, kind=instruction.kind)
                return
        metrics.INSTRUCTIONS.labels(service, instruction.kind, "answered").inc()
        self._desk.answered(answer, instruction.id)

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_SECONDS)
            try:
                rows = await self._database.pool.fetch(mailbox.TAKE_INSTRUCTIONS)
            except (*OUTAGE, asyncpg.PostgresError) as error:
                log.warning("instructions_delayed", service=self._desk.service, error=type(error).__name__)
                continue
            for row in rows:
                body: dict[str, Any] = json.loads(row["body"])
                self.take([Instruction(row["id"], row["kind"], body)], row["attempts"] + 1)
