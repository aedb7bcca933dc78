"""What one party may see of a fact. Pure: the producer decided who may receive it, here is decided how much of it."""

import hmac
from collections.abc import Collection
from typing import Any

from contracts.fact import Fact
from contracts.partner import StaffChanged

UNSAID = frozenset({"touch_token", "fingerprint"})
"""Between services only."""
OWN_ONLY = frozenset({"payee", "party"})
"""Shown to the one named and to nobody else: others see the role and the amount, not who."""
PERSONS = {"buyer": "buyer_ref", "angel": "angel_ref", "person_id": "person_ref"}
"""People appear to a party as a reference that only this party can recognise again."""
NARROWED = {"checkout": frozenset({"checkout_id"})}
"""A checkout may hold other sellers' orders; what else the buyer bought is not this party's business."""


def reference(person_id: str, *, secret: bytes) -> str:
    """One person is one reference per party, and no two parties can compare theirs: 32 hex digits, HMAC-SHA256."""
    return hmac.digest(secret, person_id.encode(), "sha256").hex()[:32]


def webhook_view(fact: Fact, party: str, *, audience: Collection[str], secret: bytes) -> dict[str, Any] | None:
    """The fact's data as `party` may see it, ready for JSON; None if the party is not in the envelope's audience.

    `party` is a party id, or a person's for what they read about themselves; `secret` is that party's own.
    """
    if party not in audience:
        return None
    # A party knows its own staff by name: it appointed them.
    visible = frozenset({"person_id"}) if isinstance(fact, StaffChanged) else frozenset()
    return _Reader(party, secret, visible).seen(fact.model_dump(mode="json"))


class _Reader:
    """One party's eyes on one fact."""

    def __init__(self, party: str, secret: bytes, visible: frozenset[str]) -> None:
        self._party = party
        self._secret = secret
        self._visible = visible

    def seen(self, data: dict[str, Any]) -> dict[str, Any]:
        return dict(self._field(name, value) for name, value in data.items() if name not in UNSAID)

    def _field(self, name: str, value: Any) -> tuple[str, Any]:
        if name in OWN_ONLY:
            return name, value if value == self._party else None
        if name in PERSONS and value != self._party and name not in self._visible:
            return PERSONS[name], value and reference(value, secret=self._secret)
        if name in NARROWED:
            value = {key: part for key, part in value.items() if key in NARROWED[name]}
        return name, self._value(value)

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.seen(value)
        if isinstance(value, list):
            return [self._value(part) for part in value]
        return value
