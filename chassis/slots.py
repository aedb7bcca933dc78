"""Aggregates as a batch sees them, and the names by which messages wait for them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.message import Message
from chassis.touches import Touch

Key = tuple[type, str]
Row = tuple[Any, ...]


@dataclass(slots=True)
class Slot:
    """An aggregate as the batch sees it, beside what the database last said of it."""

    value: Any
    was: int = 0
    version: int = 0
    said: int = 0
    head: bytes = b""
    encoded: Row | None = None


def key_name(kind: type, key: str) -> str:
    return f"{kind.__name__}:{key}"


def names_json(names: Iterable[str]) -> str:
    """Names of keys as jsonb takes them, which holds neither NUL nor half a surrogate pair."""
    return json.dumps([name.replace("\0", "?").encode(errors="replace").decode() for name in names])


def touched(message: Message, slots: Mapping[Key, Slot | None]) -> list[str]:
    """Names of every key a message touches, as far as they can be named: what its waiting hangs on."""
    names: list[str] = []
    seen: list[Any] = []
    for touch in message.handler.touches:
        try:
            keys = touch.keys(message.payload, *seen) if touch.after else touch.keys(message.payload)
        except Exception:  # noqa: BLE001 - an `after` key of something absent
            break
        names.extend(key_name(touch.kind, key) for key in keys)
        if touch.shape != "new":
            seen.append(view(touch, [slots.get((touch.kind, key)) for key in keys]))
    return names


def view(touch: Touch, found: Sequence[Slot | None]) -> Any:
    values = tuple(slot.value for slot in found if slot)
    return values if touch.shape == "many" else (values[0] if values else None)
