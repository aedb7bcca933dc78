"""Two clocks. The system clock dates tokens, retries and ids and is never moved; business time is the database's clock
plus one offset row, moved forward only, in sandbox mode only (decision 0007)."""

from dataclasses import dataclass, replace

from sqlalchemy import MetaData

from chassis.decision import Applied, Ignored
from chassis.moment import Moment
from chassis.store import Keyed
from chassis.touches import Handler, hear, maybe
from contracts.gateway import ClockAdvanced

THE_CLOCK = "sandbox"


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far this deployment's business time is ahead, in seconds."""

    deployment: str
    offset_seconds: int
    version: int


def store(metadata: MetaData) -> Keyed:
    return Keyed(ClockOffset, "clock_offsets", "deployment", metadata, checks=("offset_seconds >= 0",))


def advance(clock: ClockOffset | None, fact: ClockAdvanced, _at: Moment) -> Applied | Ignored:
    """State fact: the highest version wins, and business time never goes back."""
    if clock is None:
        clock = ClockOffset(fact.deployment, 0, 0)
    if fact.version <= clock.version or fact.offset_seconds < clock.offset_seconds:
        return Ignored("older_version")
    return Applied((replace(clock, offset_seconds=fact.offset_seconds, version=fact.version),), reason="clock_advanced")


HEARS: dict[type, Handler] = {ClockAdvanced: hear(advance, maybe(ClockOffset, "deployment"))}
