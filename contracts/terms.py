"""Terms v1: who gets which share of an order line, pinned when the order is placed (decision 0004)."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.ids import LineId, PayeeId
from contracts.money import WHOLE_BPS, Bps

Role = Literal["seller", "partner", "angel", "author", "tribe_pool", "platform"]
ROLES: tuple[Role, ...] = ("seller", "partner", "angel", "author", "tribe_pool", "platform")
"""Also the tie order of `allot`: what cannot be divided goes to the earlier role."""
Maturity = Literal["release", "completion"]


class Share(BaseModel):
    """One role's part of a line. `payee` is None until a fact names it; never named, it falls to the seller."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    role: Role
    payee: PayeeId | None
    bps: Bps
    matures: Maturity


class LineTerms(BaseModel):
    """The split of one line: shares in the order of ROLES, each role at most once, together the whole."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    line_id: LineId
    shares: Annotated[tuple[Share, ...], Field(min_length=1, max_length=len(ROLES), strict=False)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        roles = [share.role for share in self.shares]
        if roles != [role for role in ROLES if role in roles]:
            raise ValueError("shares stand in the order of ROLES, each role once")
        if sum(share.bps for share in self.shares) != WHOLE_BPS:
            raise ValueError("shares sum to 10000 basis points")
        return self


class Terms(BaseModel):
    """The split rule of an order, version 1."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    version: Literal[1] = 1
    lines: Annotated[tuple[LineTerms, ...], Field(min_length=1, max_length=200, strict=False)]
