"""Every state change keeps actor, reason and time: one chained row per change, a chain per aggregate."""

from typing import Any

from chassis.rows import hash_of


def chain_hash(prev_hash: bytes, *parts: str | bytes | int | None) -> bytes:
    """The hash of one history row: 16 bytes over the hash before it and every column of the row."""
    return hash_of(prev_hash, parts)


def link(
    *,
    kind: str,
    key: str,
    sequence: int,
    source: str,
    message: bytes,
    actor: str,
    on_behalf_of: str | None,
    reason: str,
    request_id: str,
    before: bytes | None,
    after: bytes,
    prev_hash: bytes,
) -> tuple[tuple[Any, ...], bytes]:
    """The next row of an aggregate's chain, in the order of mailbox.HISTORY, and its hash."""
    columns = (kind, key, sequence, source, message, actor, on_behalf_of, reason, request_id, before, after)
    hash_ = chain_hash(prev_hash, *columns)
    return (*columns, prev_hash, hash_), hash_
