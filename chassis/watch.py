"""Waiting for a change without polling: a reader looks again when the desk has changed what it reads."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

LOOK_AGAIN_SECONDS = 0.25
LOOK_AGAIN_SECONDS_MAX = 1.0
WAITERS_MAX = 1_000
"""So many requests may wait for a change; whoever comes then is told how things are, and asks again."""


class Watchers:
    """Who waits for which aggregate of one desk, by its name."""

    def __init__(self) -> None:
        self._events: dict[str, list[asyncio.Event]] = defaultdict(list)
        self._count = 0

    def wake(self, name: str) -> None:
        """The aggregate has changed."""
        for event in self._events.get(name, ()):
            event.set()

    async def until(
        self, name: str, read: Callable[[], Awaitable[Any]], ok: Callable[[Any], bool], wait_s: float
    ) -> Any:
        """Read until `ok`; the last value read after `wait_s` seconds at most, or the first where too many wait."""
        if self._count >= WAITERS_MAX:
            return await read()
        event = asyncio.Event()
        self._events[name].append(event)
        self._count += 1
        try:
            return await _looking(event, read, ok, time.monotonic() + wait_s)
        finally:
            self._count -= 1
            self._events[name].remove(event)
            if not self._events[name]:
                del self._events[name]


async def _looking(
    event: asyncio.Event, read: Callable[[], Awaitable[Any]], ok: Callable[[Any], bool], give_up_at: float
) -> Any:
    look_again_s = LOOK_AGAIN_SECONDS
    while True:
        event.clear()
        value = await read()
        left = give_up_at - time.monotonic()
        if ok(value) or left <= 0:
            return value
        # Another replica may have made the change: look again now and then, and more seldom each time.
        try:
            await asyncio.wait_for(event.wait(), min(left, look_again_s))
        except TimeoutError:
            look_again_s = min(2 * look_again_s, LOOK_AGAIN_SECONDS_MAX)
