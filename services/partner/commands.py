"""What can be asked of the partner service: imperatives, in the words of its operations."""

from dataclasses import dataclass

from chassis.caller import Command
from services.partner.agreement import Answers
from services.partner.domain import Recruiting, Values


@dataclass(frozen=True, slots=True)
class CreateMerchant(Command):
    name: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdateMerchant(Command):
    """What is None stays as it is; of `values` and `recruiting` too."""

    merchant_id: str
    version: int
    name: str | None
    categories: tuple[str, ...] | None
    values: Values | None
    recruiting: Recruiting | None
    open: bool


@dataclass(frozen=True, slots=True)
class CreatePartner(Command):
    display_name: str
    regions: tuple[str, ...]
    capability: str


@dataclass(frozen=True, slots=True)
class UpdatePartner(Command):
    partner_id: str
    version: int
    display_name: str | None
    regions: tuple[str, ...] | None
    capability: str | None


@dataclass(frozen=True, slots=True)
class UpdateStaff(Command):
    """Give a person a role at a party, or take it (None). `version` is the grant's, 0 for one not there yet."""

    party_id: str
    person_id: str
    role: str | None
    version: int


@dataclass(frozen=True, slots=True)
class NameFirstOps(Command):
    """Start-up: the platform must have somebody who can let others in."""

    person_id: str


@dataclass(frozen=True, slots=True)
class CreateApplication(Command):
    merchant_id: str
    partner_id: str
    answers: Answers
    capability: str


@dataclass(frozen=True, slots=True)
class MoveApplication(Command):
    application_id: str
    move: str
    reason_code: str | None


@dataclass(frozen=True, slots=True)
class MovePartnership(Command):
    partnership_id: str
    move: str
    reason_code: str | None
