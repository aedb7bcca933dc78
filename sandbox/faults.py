"""Misbehaviour on request, to test the other side against a bad day. In memory: a restart brings a good one."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Counter = Literal["drop_callbacks", "timeouts_after_applying", "fail_refunds"]


class FaultPlan(BaseModel):
    """What shall go wrong; the README explains each field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    callback_delay_seconds: Seconds = 0
    callback_copies: Annotated[int, Field(ge=1, le=100)] = 1
    drop_callbacks: Count = 0
    timeouts_after_applying: Count = 0
    refund_delay_seconds: Seconds = 0
    fail_refunds: Count = 0


class Faults:
    """The plan in force, with counters that count down."""

    def __init__(self) -> None:
        self.plan = FaultPlan()

    def take(self, counter: Counter) -> bool:
        """Say whether this fault strikes now, and use it up."""
        left: int = getattr(self.plan, counter)
        if left:
            self.plan = self.plan.model_copy(update={counter: left - 1})
        return left > 0
