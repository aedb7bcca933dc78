"""Money: integers in minor units with an ISO 4217 code, and the one way to split it (decision 0005)."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MONEY_MAX = 10**12
"""No single amount is larger than this many minor units: BIGINT sums of a billion such rows still fit."""

WHOLE_BPS = 10_000

Amount = Annotated[int, Field(strict=True, ge=0, le=MONEY_MAX)]
SignedAmount = Annotated[int, Field(strict=True, ge=-MONEY_MAX, le=MONEY_MAX)]
Bps = Annotated[int, Field(strict=True, ge=0, le=WHOLE_BPS)]
"""A rate in basis points: 10000 is the whole."""
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$", strict=True)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class Money(BaseModel):
    """An amount in minor units (fen, cents) and its currency: `{"amount": 3990, "currency": "CNY"}` is 39.90 yuan."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    amount: Amount
    currency: Currency


def allot(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` minor units by `weights`, losing nothing: the parts always sum to the whole.

    Largest remainder; where remainders tie, the earlier part gets the unit. No part is off by a whole unit from its
    exact share. A negative total is split as its mirror image. Raises ValueError if no weight is positive.
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise ValueError("weights must not be negative and one must be positive")
    if total < 0:
        return [-part for part in allot(-total, weights)]
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts
