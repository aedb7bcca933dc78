"""What a service says has happened: past tense, versioned, immutable; and the CloudEvents envelope it travels in."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

SPECVERSION: Literal["1.0"] = "1.0"
CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its zone")
    return value.astimezone(UTC)


At = Annotated[datetime, AfterValidator(_aware)]
"""A moment, RFC 3339 with zone on the wire, UTC inside."""

ReasonCode = Annotated[str, StringConstraints(pattern="^[a-z0-9_]{1,64}$", strict=True)]
"""Why something happened, as a code: people's own words never travel in a fact."""
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-.]{1,512}$", strict=True)]
"""Opaque and signed by whoever issued it; carried unread by everyone else."""
Fingerprint = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$", strict=True)]
"""A keyed hash: two can be compared, none can be turned back."""
Version = Annotated[int, Field(strict=True, ge=1)]
"""Counts the states of one thing, from 1: of two state facts about it, the higher version is the truth."""
Goods = Literal["none", "returned", "kept"]
"""What became of the goods whose money is given back: never sent, sent back, or left with the buyer."""

Item = TypeVar("Item")
LIST_MAX = 200
AtLeastOne = Annotated[tuple[Item, ...], Field(min_length=1, max_length=LIST_MAX)]
Several = Annotated[tuple[Item, ...], Field(max_length=LIST_MAX)]
"""Every list in a fact has an end: `AtLeastOne[X]` holds 1 to 200 of them, `Several[X]` 0 to 200."""


class Fact(BaseModel):
    """Base of every fact. Readers are tolerant: unknown fields are ignored; fields are only ever added.

    `type` is the wire name `producer.what_happened.vN`; `subject_field` names the field whose id the fact is about
    (the aggregate whose history the envelope's `sequence` counts). Facts with `is_state` carry the whole current state
    and a `version`: the highest wins. The others are steps: they wait (NotYet) for what must come before them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="hex")

    type: ClassVar[str]
    subject_field: ClassVar[str]
    is_state: ClassVar[bool] = False

    @property
    def subject(self) -> str:
        return str(getattr(self, self.subject_field))


class Part(BaseModel):
    """A nested part of a fact."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Envelope(BaseModel):
    """CloudEvents 1.0, structured JSON, with the extensions of decision 0002.

    `sequence` counts the subject's facts without a gap; `causationid` is the message that caused the fact,
    `correlationid` the request that started it all; `audience` lists the party ids who may receive it by webhook.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = SPECVERSION
    id: UUID
    source: str
    type: str
    subject: str
    time: At
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: int = Field(ge=1)
    causationid: str
    correlationid: str
    traceparent: str | None = None
    audience: tuple[str, ...] = ()
    data: dict[str, Any]
