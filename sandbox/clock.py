"""The provider's own clock. It is the outside world's: nothing in Buluo can move it."""

import time
from datetime import UTC, datetime


def now_seconds() -> float:
    """Seconds since 1970."""
    return time.time()


def rfc3339(at_seconds: float) -> str:
    """Such as `2030-01-01T08:30:00.250Z`."""
    return datetime.fromtimestamp(at_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
