"""Delivers events to their `notify_url` until each is acknowledged. A slow receiver delays nobody else's events."""

import asyncio
import logging

import httpx

from sandbox import events, signing
from sandbox.clock import now_seconds
from sandbox.events import Event
from sandbox.faults import Faults
from sandbox.signing import Message
from sandbox.store import Store

ANSWER_WITHIN_SECONDS = 5
IN_FLIGHT_MAX = 64
IDLE_SECONDS = 60.0

LOG = logging.getLogger("sandbox")


class Courier:
    """At least once, in no promised order. `run` it as one task; `wake` it after an event was committed."""

    def __init__(self, store: Store, faults: Faults, secret: str, transport: httpx.AsyncBaseTransport | None) -> None:
        self._store = store
        self._faults = faults
        self._secret = secret
        self._transport = transport
        self._in_flight: set[str] = set()
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        # trust_env off: a proxy variable of the machine must not see callbacks.
        client = httpx.AsyncClient(transport=self._transport, timeout=ANSWER_WITHIN_SECONDS, trust_env=False)
        async with client, asyncio.TaskGroup() as deliveries:
            while True:
                self._news.clear()
                # One instant for both: an event that fell due between two looks would be overlooked by both.
                at = now_seconds()
                for event in self._takeable(at):
                    self._in_flight.add(event.id)
                    deliveries.create_task(self._deliver(client, event))
                await self._rest(at)

    def _takeable(self, at: float) -> list[Event]:
        waiting = events.due(self._store, at, limit=IN_FLIGHT_MAX)
        free = IN_FLIGHT_MAX - len(self._in_flight)
        return [event for event in waiting if event.id not in self._in_flight][:free]

    async def _rest(self, at: float) -> None:
        """Sleep until news or the next due time. What is due but found no place is woken by a delivery that ends."""
        soonest = events.next_due_at(self._store, at)
        wait_seconds = IDLE_SECONDS if soonest is None else min(IDLE_SECONDS, soonest - at)
        try:
            await asyncio.wait_for(self._news.wait(), wait_seconds)
        except TimeoutError:
            return

    async def _deliver(self, client: httpx.AsyncClient, event: Event) -> None:
        copies = (self._attempt(client, event) for _ in range(self._faults.plan.callback_copies))
        delivered = any(await asyncio.gather(*copies))
        events.settle(self._store, event, delivered=delivered, at=now_seconds())
        self._in_flight.discard(event.id)
        self.wake()

    async def _attempt(self, client: httpx.AsyncClient, event: Event) -> bool:
        """Send once; True only for 2xx with `{"code": "SUCCESS"}`."""
        if self._faults.take("drop_callbacks"):
            return False
        path = httpx.URL(event.notify_url).raw_path.split(b"?")[0].decode("ascii")
        headers = signing.headers(self._secret, Message("POST", path, event.body), now_seconds())
        headers["Content-Type"] = "application/json"
        try:
            # The client's time-out is per read; a receiver that drips bytes is cut off by this one.
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                response = await client.post(event.notify_url, content=event.body, headers=headers)
        except (httpx.HTTPError, TimeoutError):
            return False
        except Exception:
            # A receiver that resets the connection at the wrong moment comes out of the client's depths as an
            # AttributeError. Whatever it is, it costs this attempt, never the loop that delivers everybody's events.
            LOG.exception("an attempt at %s failed in an unexpected way", event.id)
            return False
        return response.is_success and _says_success(response)


def _says_success(response: httpx.Response) -> bool:
    try:
        answer = response.json()
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("code") == "SUCCESS"
