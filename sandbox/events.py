"""Events and when to try them again. An event is written in the transaction of what it tells about."""

import json
import uuid
from dataclasses import dataclass
from typing import Literal

from sandbox.clock import rfc3339
from sandbox.store import Store

FIRST_WAITS_SECONDS = (1, 2, 5, 10, 30, 60)
LATER_WAIT_SECONDS = 300
GIVE_UP_AFTER_SECONDS = 25 * 3600


@dataclass(frozen=True)
class Event:
    """One callback to deliver; `body` is sent as it is, each time the same bytes."""

    id: str
    notify_url: str
    body: bytes
    born_at: float
    attempts: int


@dataclass(frozen=True)
class News:
    """What has happened, and who is told."""

    kind: Literal["charge.succeeded", "refund.succeeded"]
    notify_url: str
    data: dict[str, object]


def record(store: Store, news: News, *, at: float, due_at: float) -> None:
    """Write an event down, to be sent from `due_at` on. Times are seconds since 1970."""
    event_id = f"evt_{uuid.uuid4().hex}"
    told = {"id": event_id, "type": news.kind, "created_at": rfc3339(at), "data": news.data}
    row = {
        "id": event_id,
        "notify_url": news.notify_url,
        "body": json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(),
        "born_at": due_at,
        "next_attempt_at": due_at,
    }
    store.insert("events", row)


def due(store: Store, at: float, limit: int) -> list[Event]:
    """Up to `limit` events whose time has come, the longest waiting first."""
    rows = store.all(
        "select id, notify_url, body, born_at, attempts from events"
        " where next_attempt_at <= ? order by next_attempt_at limit ?",
        at,
        limit,
    )
    return [Event(**dict(row)) for row in rows]


def next_due_at(store: Store, at: float) -> float | None:
    """When the next event after `at` becomes due, or None."""
    row = store.one("select min(next_attempt_at) as soonest from events where next_attempt_at > ?", at)
    soonest: float | None = row["soonest"] if row else None
    return soonest


def settle(store: Store, event: Event, *, delivered: bool, at: float) -> None:
    """Write down how an attempt ended, and when to try again, if ever."""
    attempts = event.attempts + 1
    store.execute(
        "update events set attempts = ?, next_attempt_at = ?, delivered_at = ? where id = ?",
        attempts,
        None if delivered else retry_at(event.born_at, attempts, at),
        at if delivered else None,
        event.id,
    )


def retry_at(born_at: float, attempts: int, at: float) -> float | None:
    """When to try again after `attempts` failures; None once the event is too old."""
    wait_seconds = FIRST_WAITS_SECONDS[attempts - 1] if attempts <= len(FIRST_WAITS_SECONDS) else LATER_WAIT_SECONDS
    next_attempt_at = at + wait_seconds
    return next_attempt_at if next_attempt_at <= born_at + GIVE_UP_AFTER_SECONDS else None
