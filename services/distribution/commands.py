"""What distribution can be asked."""

from dataclasses import dataclass

from chassis.caller import Command


@dataclass(frozen=True, slots=True)
class Join(Command):
    """Become an angel, or accept newer rules."""

    rules_version: int


@dataclass(frozen=True, slots=True)
class Share(Command):
    """Make a link to one offer or one piece of content. `language` is the reader's."""

    offer_id: str | None
    content_id: str | None
    language: str


@dataclass(frozen=True, slots=True)
class Open(Command):
    """Somebody opened this link."""

    link_id: str
