"""A message on its way through the desk, whoever asks for it: a command, a fact, a deadline, an answer from outside."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

from chassis.touches import Handler
from contracts.fact import Fact

Origin = Literal["command", "fact", "parked", "deadline", "answer"]


def message_id(*parts: str) -> bytes:
    """16 bytes that name a message for ever: who asked, for what, under which key."""
    return blake2b("\x1f".join(parts).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Reply:
    """A command's stored answer: JSON bytes. `replayed` where the key was seen before."""

    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A fact as the bus hands it to a desk. `body` is its whole envelope as JSON, kept for parking."""

    id: UUID
    fact: Fact
    correlation: str
    body: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact beside what its envelope says of it: when it happened, and which parties may see it."""

    id: UUID
    fact: Fact
    time: datetime
    audience: tuple[str, ...]

    @classmethod
    def of(cls, delivery: Delivery) -> "Heard":
        head = json.loads(delivery.body)
        return cls(delivery.id, delivery.fact, datetime.fromisoformat(head["time"]), tuple(head.get("audience") or ()))


@dataclass(slots=True, eq=False)
class Message:
    """One message and what becomes of it. `seed` is fixed when it arrives, so deciding again gives the same ids."""

    id: bytes
    source: str
    origin: Origin
    payload: Any
    handler: Handler
    seed: bytes
    actor: str
    correlation: str
    on_behalf_of: str | None = None
    fingerprint: bytes | None = None
    answers: str | None = None
    """The instruction that this message answers."""
    body: str = ""
    """A fact's envelope."""
    answer: "asyncio.Future[Reply] | None" = None
    done: Callable[[], None] | None = None
    asked_at: float = 0.0
    """Monotonic seconds: when a command came."""
    followers: list["Message"] = field(default_factory=list)
    """Duplicates in flight: they get this one's answer."""

    @property
    def is_fact(self) -> bool:
        return self.origin in {"fact", "parked"}

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for a command's answer; what is no command is always wanted."""
        return self.answer is None or not self.answer.done() or any(each.wanted for each in self.followers)

    @property
    def settled(self) -> bool:
        """Whether whoever waits has been told: a caller its answer, a bus that it may forget its copy."""
        return self.done is None if self.answer is None else self.answer.done()

    def reply(self, reply: Reply) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_result(reply)
        self._heard()
        for each in self.followers:
            each.reply(Reply(reply.body, replayed=True))

    def refuse(self, error: Exception) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_exception(error)
        self._heard()
        for each in self.followers:
            each.refuse(error)

    def give_up(self, error: Exception) -> None:
        """Its own caller has waited long enough; whoever follows it goes on waiting."""
        if self.answer and not self.answer.done():
            self.answer.set_exception(error)

    def _heard(self) -> None:
        """Tell whoever brought it, once: a fact that was parked lives on here after the bus has forgotten it."""
        if self.done:
            self.done()
            self.done = None


@dataclass(frozen=True, slots=True)
class Times:
    now: datetime
    system_now: datetime
