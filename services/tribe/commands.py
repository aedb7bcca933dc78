"""What can be asked of the tribe service: imperatives, in the words of its operations."""

from dataclasses import dataclass

from chassis.caller import Command


@dataclass(frozen=True, slots=True)
class FoundTribe(Command):
    partnership_id: str
    name: str
    charter: str


@dataclass(frozen=True, slots=True)
class UpdateTribe(Command):
    """What is None stays as it is."""

    tribe_id: str
    version: int
    name: str | None
    charter: str | None


@dataclass(frozen=True, slots=True)
class UpdateRole(Command):
    """`version` is the membership's."""

    tribe_id: str
    membership_id: str
    role: str
    version: int


@dataclass(frozen=True, slots=True)
class CreateInvitation(Command):
    tribe_id: str
    partner_id: str


@dataclass(frozen=True, slots=True)
class JoinTribe(Command):
    """`brought_by` is read from a verified invitation, never from the client."""

    tribe_id: str
    brought_by: str | None


@dataclass(frozen=True, slots=True)
class LeaveTribe(Command):
    membership_id: str


@dataclass(frozen=True, slots=True)
class PublishContent(Command):
    tribe_id: str
    title: str
    body: str
    offer_ids: tuple[str, ...]
    language: str


@dataclass(frozen=True, slots=True)
class WithdrawContent(Command):
    content_id: str
    language: str
