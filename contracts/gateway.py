"""What the gateway says. Of the business it knows nothing; it speaks of people who leave and of the sandbox's clock."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.fact import Fact, Version
from contracts.ids import PersonId

OFFSET_MAX_SECONDS = 10 * 366 * 24 * 3600


class PersonErased(Fact):
    """This person asked to be forgotten: whatever is personal about them ends here, trades and the ledger stay."""

    type: ClassVar[str] = "gateway.person_erased.v1"
    subject_field: ClassVar[str] = "person_id"

    person_id: PersonId


class ClockAdvanced(Fact):
    """Business time runs this far ahead of the database's. It only ever grows, and only in a sandbox."""

    type: ClassVar[str] = "gateway.clock_advanced.v1"
    subject_field: ClassVar[str] = "deployment"
    is_state: ClassVar[bool] = True

    deployment: Literal["sandbox"]
    offset_seconds: Annotated[int, Field(strict=True, ge=0, le=OFFSET_MAX_SECONDS)]
    version: Version
