"""Who asks: the subject of a command, as the internal token says it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A person (`person_id`), or a party's API key (`party_id` and `scopes`), or anyone (neither).

    `actor` names the caller in histories; it is an id, never personal data.
    """

    person_id: str | None = None
    party_id: str | None = None
    key_id: str | None = None
    scopes: frozenset[str] = frozenset()
    request_id: str = ""

    @property
    def actor(self) -> str:
        return self.person_id or self.key_id or "anyone"

    @property
    def principal(self) -> str:
        """The owner of an Idempotency-Key: one person or one party."""
        return self.person_id or self.party_id or "anyone"


ANYONE = Caller()
SYSTEM = Caller(key_id="system")
"""Deadlines and results of instructions act as the system itself."""


@dataclass(frozen=True, slots=True)
class Command:
    """Base of every command: an imperative inside one service. Facts are never commands."""

    caller: Caller
