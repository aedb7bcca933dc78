"""Messages that cannot be heard: written down in `parked` with their reason, for a person to replay or discard."""

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError

from chassis import metrics
from chassis.db import Database, is_outage
from chassis.desk import Desk
from chassis.message import Delivery, Heard, Message
from chassis.slots import names_json, touched
from contracts import catalogue
from contracts.fact import Envelope

RETRY_OUTAGE_SECONDS = 0.5

PARK = """
INSERT INTO parked (id, type, keys, body, reason, poison)
SELECT $1, $2, $3::text::jsonb, $4, $5, true WHERE NOT EXISTS (SELECT FROM inbox WHERE id = $1)
ON CONFLICT (id) DO UPDATE SET poison = true, reason = excluded.reason
"""
"""A fact that has had its effect is no poison, however often it died afterwards."""

log = structlog.get_logger("bus")


@dataclass(frozen=True, slots=True)
class Poison:
    """What is parked: under the fact's id where it has one, else under a digest of what arrived."""

    id: bytes
    type: str
    body: str
    reason: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type that this build does not know: a newer producer is no reason to stop."""

    type: str


def read(value: Any, text: str) -> Delivery | Unknown | Poison:
    """A delivery out of one envelope."""
    fact_type = value.get("type") if isinstance(value, dict) else None
    if isinstance(fact_type, str) and fact_type not in catalogue.CATALOGUE:
        return Unknown(fact_type)
    try:
        envelope = Envelope.model_validate(value)
        fact = catalogue.decode(envelope)
    except ValidationError as error:
        return Poison(_id_of(value, text), storable(str(fact_type)), storable(text), _why(error))
    return Delivery(envelope.id, fact, envelope.correlationid, text) if fact else Unknown(envelope.type)


def unreadable(body: bytes, fact_type: str | None) -> Poison:
    """A whole message that is no JSON."""
    text = body.decode(errors="backslashreplace")
    return Poison(_digest(text), storable(fact_type or "unknown"), storable(text), "not_json")


def dead(delivery: Delivery, desk: Desk) -> Poison:
    """A fact that died with its hearer again and again: later facts of its keys wait behind it."""
    names: list[str] = []
    handler = desk.handlers.get(type(delivery.fact))
    if handler:
        payload = Heard.of(delivery) if handler.whole else delivery.fact
        fact_type = delivery.fact.type
        message = Message(delivery.id.bytes, fact_type, "fact", payload, handler, delivery.id.bytes, fact_type, "")
        names = touched(message, {})
    return Poison(delivery.id.bytes, delivery.fact.type, delivery.body, "dead_letter", tuple(names))


async def park(poison: Poison, desk: Desk, database: Database) -> None:
    """Write it down; an outage delays it, and its message is not acknowledged before."""
    log.error("fact_parked", service=desk.service, type=poison.type, reason=poison.reason, id=poison.id.hex())
    metrics.PARKED.labels(desk.service, "poison").inc()
    row = (poison.id, poison.type, names_json(poison.keys), poison.body, poison.reason)
    while True:
        try:
            await database.pool.execute(PARK, *row)
            await desk.learn_poison()
        except Exception as error:
            if not is_outage(error):
                raise
            await asyncio.sleep(RETRY_OUTAGE_SECONDS)
        else:
            return


def storable(text: str) -> str:
    """Text as PostgreSQL takes it: without NUL, and without half a surrogate pair."""
    return text.replace("\0", "\\u0000").encode(errors="backslashreplace").decode()


def _id_of(value: Any, text: str) -> bytes:
    try:
        return UUID(str(value["id"])).bytes
    except (TypeError, KeyError, ValueError):
        return _digest(text)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="replace"), digest_size=16).digest()


def _why(error: ValidationError) -> str:
    """Where the fact is wrong, never what stood there: it may be anything."""
    places = sorted({".".join(str(part) for part in each["loc"]) for each in error.errors()})
    return f"invalid: {', '.join(places)}"[:500]
