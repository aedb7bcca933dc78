"""Samples of what the gateway says."""

from contracts.fact import Fact
from contracts.gateway import ClockAdvanced, PersonErased
from contracts.samples.story import BUYER

SAMPLES: tuple[Fact, ...] = (
    PersonErased(person_id=BUYER),
    ClockAdvanced(deployment="sandbox", offset_seconds=10 * 24 * 3600, version=1),
)
