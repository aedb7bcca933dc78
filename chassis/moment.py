"""When a message is decided, and the ids that follow from it: time and randomness arrive as an argument."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

from contracts.ids import format_id

_VERSION_7 = 0x7000
_VARIANT = 0x8000_0000_0000_0000


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment of one decision.

    `now` is business time (UTC, database clock plus the sandbox offset) and what every rule compares with;
    `system_now` is never moved and dates ids; `seed` is 16 unguessable bytes of the message, so that deciding the same
    message again gives the same ids.
    """

    now: datetime
    system_now: datetime
    seed: bytes

    def uuid(self, *name: str | int) -> UUID:
        """A UUIDv7 that belongs to this message: the same `name` gives the same id, another name another one."""
        digest = blake2b("/".join(map(str, name)).encode(), key=self.seed, digest_size=10).digest()
        high = int(self.system_now.timestamp() * 1000) << 16 | _VERSION_7 | int.from_bytes(digest[:2]) & 0x0FFF
        low = int.from_bytes(digest[2:]) & (_VARIANT - 1) >> 1 | _VARIANT
        return UUID(int=high << 64 | low)

    def id(self, prefix: str, *name: str | int) -> str:
        """A prefixed id that belongs to this message: `at.id("leg", line_id, "angel")`."""
        return format_id(prefix, self.uuid(prefix, *name))
