"""Calls to the outside: written down by the desk, performed by a worker, answered as a desk message.

An instruction's id is its number at the other side for ever. A call whose result is unknown is repeated under the same
number, never under a new one; the port behind it must make that safe (by asking first, or by an idempotent call).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from chassis import mailbox, metrics
from chassis.caller import Command
from chassis.db import Database
from chassis.decision import Instruction
from chassis.desk import Desk
from chassis.loops import Loop

SWEEP_EVERY_SECONDS = 1.0
AT_ONCE_MAX = 16
PATIENCE_SECONDS = 30.0
"""No port is waited for longer: its call counts as unanswered."""

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
        self._loop = Loop(f"instructions:{desk.service}", self.sweep, every_seconds=SWEEP_EVERY_SECONDS)

    async def start(self) -> None:
        self._desk.instruct = self.take
        if self._ports:
            self._loop.start()

    async def stop(self) -> None:
        """What the desk still decides is written down, and performed by whoever runs next."""
        self._desk.instruct = lambda _: None
        await self._loop.stop()
        tasks = list(self._under_way.values())
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
                task.add_done_callback(partial(self._end, each.id))

    def _end(self, instruction_id: str, _: object) -> None:
        self._under_way.pop(instruction_id, None)

    async def _perform(self, instruction: Instruction, attempt: int) -> None:
        service = self._desk.service
        async with self._room:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    answer = await self._ports[instruction.kind](instruction, attempt)
                self._desk.answered(answer, instruction.id)
            except (Unanswered, TimeoutError) as error:
                metrics.INSTRUCTIONS.labels(service, instruction.kind, "unanswered").inc()
                log.warning("unanswered", service=service, kind=instruction.kind, attempt=attempt, why=str(error))
            except Exception:
                metrics.INSTRUCTIONS.labels(service, instruction.kind, "failed").inc()
                log.exception("instruction_failed", service=service, kind=instruction.kind)
            else:
                metrics.INSTRUCTIONS.labels(service, instruction.kind, "answered").inc()

    async def sweep(self) -> int:
        """Perform again what is still due; how many. They keep their number, and are told which attempt it is."""
        rows = await self._database.pool.fetch(mailbox.TAKE_INSTRUCTIONS)
        for row in rows:
            body: dict[str, Any] = json.loads(row["body"])
            self.take([Instruction(row["id"], row["kind"], body)], row["attempts"] + 1)
        return len(rows)
