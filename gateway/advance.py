"""Moving the sandbox's clock: step by step, so that what falls due on the way happens in its order.

Each step goes to the nearest due time of all services; then every service must have heard of it, have no deadline left
that has passed, and be quiet, in two looks in a row (a fact may be on its way between two services while we look). The
steps are an instruction: written down with the operation, so a restart takes them up where they stood.
"""

import asyncio
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chassis.caller import SYSTEM
from chassis.clock import THE_CLOCK
from chassis.decision import Instruction
from chassis.service import Service
from gateway import store
from gateway.domain import Operation
from gateway.handlers import EndAdvance, StepClock
from gateway.upstream import Unreachable, Upstream

LOOK_EVERY_SECONDS = 0.05
QUIET_LOOKS = 2
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Look:
    """What one service says of its clock."""

    service: str
    now: datetime
    offset_seconds: int
    next_due_at: datetime | None
    quiet: bool

    def settled(self, offset_seconds: int) -> bool:
        overdue = self.next_due_at is not None and self.next_due_at <= self.now
        return self.quiet and not overdue and self.offset_seconds == offset_seconds


def next_step(looks: Sequence[Look], now: datetime, target: datetime) -> timedelta:
    """How far to move next: to the nearest due time, not past the target; whole seconds, at least one."""
    due = [look.next_due_at for look in looks if look.next_due_at and look.next_due_at > now]
    ahead = min([*due, target]) - now
    return SECOND * max(1, math.ceil(ahead / SECOND))


class Advance:
    """The port that performs `advance_clock` instructions."""

    def __init__(self, upstream: Upstream, patience_seconds: float) -> None:
        self._upstream = upstream
        self._patience_seconds = patience_seconds
        self._service: Service | None = None

    def belongs_to(self, service: Service) -> None:
        self._service = service

    @property
    def service(self) -> Service:
        assert self._service is not None  # noqa: S101 - build() says it before anything runs
        return self._service

    async def __call__(self, instruction: Instruction, _attempt: int) -> EndAdvance:
        operation_id = str(instruction.body["operation_id"])
        operation = await self._operation(operation_id)
        while True:
            looks, waiting = await self._settle()
            if waiting:
                return EndAdvance(SYSTEM, operation_id, f"not_quiet: {', '.join(waiting)}")
            now = await self.service.now()
            if now >= operation.target_at:
                return EndAdvance(SYSTEM, operation_id, None)
            await self._step(operation_id, next_step(looks, now, operation.target_at))

    async def _operation(self, operation_id: str) -> Operation:
        rows = await self.service.database.pool.fetch(store.OPERATIONS.load_sql, [operation_id])
        found: Operation = store.OPERATIONS.codec.decode(rows[0][: len(store.OPERATIONS.codec.fields)])
        return found

    async def _step(self, operation_id: str, ahead: timedelta) -> None:
        row = await self.service.database.pool.fetchrow(
            "SELECT offset_seconds, version FROM clock_offsets WHERE deployment = $1", THE_CLOCK
        )
        offset_seconds, version = (row["offset_seconds"], row["version"]) if row else (0, 0)
        step = StepClock(SYSTEM, operation_id, version, offset_seconds + int(ahead / SECOND))
        await self.service.desk.ask(step, operation="step_clock", key=None)

    async def _settle(self) -> tuple[list[Look], list[str]]:
        """The services' last looks, and those that were not settled when patience ended."""
        give_up_at, quiet_looks = time.monotonic() + self._patience_seconds, 0
        while True:
            offset_seconds = await self.service.offset_seconds()
            looks = await asyncio.gather(*(self._look(name) for name in self._upstream.services))
            waiting = [look.service for look in looks if not look.settled(offset_seconds)]
            if not await self._facts_are_heard():
                waiting.append(self.service.name)
            quiet_looks = 0 if waiting else quiet_looks + 1
            if quiet_looks == QUIET_LOOKS:
                return looks, []
            if time.monotonic() > give_up_at:
                return looks, waiting
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _facts_are_heard(self) -> bool:
        """The gateway's own share of being quiet; this very instruction keeps it from being quiet as a whole."""
        parked = await self.service.database.pool.fetchval("SELECT EXISTS (SELECT 1 FROM parked WHERE NOT poison)")
        return not parked and self.service.desk.quiet and await self.service.bus.quiet()

    async def _look(self, name: str) -> Look:
        try:
            answer = await self._upstream.fetch(name, "/internal/clock")
            said = json.loads(answer.body)
            due_at = said["next_due_at"] and datetime.fromisoformat(said["next_due_at"])
            return Look(name, datetime.fromisoformat(said["now"]), said["offset_seconds"], due_at, said["quiet"])
        except (Unreachable, ValueError, KeyError):
            return Look(name, datetime.min.replace(tzinfo=UTC), -1, None, quiet=False)
