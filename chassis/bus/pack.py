"""Facts as AMQP messages: one alone is a CloudEvent, several of one type are packed into a batch of CloudEvents."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aio_pika import DeliveryMode, Message

from contracts.fact import BATCH_CONTENT_TYPE, CONTENT_TYPE

PACK_FACTS_MAX = 100
PACK_BYTES_MAX = 128 * 1024

_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Letter:
    """A fact of the outbox, ready to travel. `body` is its whole envelope as JSON."""

    id: UUID
    type: str
    body: str


def packed(letters: Iterable[Letter]) -> list[list[Letter]]:
    """The letters in packs of at most 100 facts and 128 KiB; a larger fact travels alone."""
    packs: list[list[Letter]] = []
    size = PACK_BYTES_MAX
    for letter in letters:
        size += len(letter.body)
        if not packs or size > PACK_BYTES_MAX or len(packs[-1]) >= PACK_FACTS_MAX:
            packs.append([])
            size = len(letter.body)
        packs[-1].append(letter)
    return packs


def message_of(pack: Sequence[Letter]) -> Message:
    """The pack as one persistent message under its first fact's id."""
    alone = len(pack) == 1
    text = pack[0].body if alone else f"[{','.join(letter.body for letter in pack)}]"
    return Message(
        text.encode(),
        content_type=CONTENT_TYPE if alone else BATCH_CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(pack[0].id),
        type=pack[0].type,
    )


def unpacked(body: bytes, content_type: str | None) -> list[tuple[Any, str]]:
    """Each envelope of a message: as a JSON value, and as the text it was. ValueError for what is not JSON."""
    try:
        text = body.decode()
        if content_type != BATCH_CONTENT_TYPE:
            return [(json.loads(text), text)]
        return _members(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _members(text: str) -> list[tuple[Any, str]]:
    """The members of a JSON array with their own texts: what is parked is what was said, byte by byte."""
    members: list[tuple[Any, str]] = []
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("a batch is an array")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]" or members:
        value, end = _DECODER.raw_decode(text, at)
        members.append((value, text[at:end]))
        at = _skip(text, end)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise ValueError("a batch ends with a bracket")
        at = _skip(text, at + 1)
    if _skip(text, at + 1) != len(text):
        raise ValueError("something follows the batch")
    return members


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\r", "\n"}:
        at += 1
    return at
