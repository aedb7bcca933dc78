"""The four outcomes of a message: Applied, Ignored, NotYet, Refused (decision 0003)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from contracts.fact import Fact

To = TypeVar("To", bound=str)


@dataclass(frozen=True, slots=True)
class Instruction:
    """A call to the outside that the desk writes down and a worker performs: `id` is its number for ever.

    It is performed at once after the commit, or `after_seconds` where something must not be tried again too soon.
    """

    id: str
    kind: str
    body: Mapping[str, Any]
    after_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """A fact about one changed aggregate, and the parties who may receive it by webhook."""

    fact: Fact
    audience: tuple[str, ...] = ()
    about: object | None = None


def say(fact: Fact, *audience: str | None, about: object | None = None) -> Said:
    """Say a fact to the named parties; `about` is the changed aggregate where its key is not the fact's subject."""
    return Said(fact, tuple(dict.fromkeys(party for party in audience if party)), about)


@dataclass(frozen=True, slots=True)
class Applied:
    """The message has its effect: aggregates in their new state, rows to append, facts, instructions, the answer.

    `reason` is written to the history of every changed aggregate. `reply` becomes the command's answer.
    """

    changed: tuple[object, ...] = ()
    facts: tuple[Said, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    reply: Any = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """The message has no effect, and that is right: `reason` says why, in snake_case."""

    reason: str


class NotYet(Exception):  # noqa: N818 - an outcome, not an error
    """Something that must come first is not known here yet; the desk keeps the message and decides again."""

    def __init__(self, reason: str = "not_yet_known") -> None:
        super().__init__(reason)
        self.reason = reason


Outcome = Applied | Ignored


@dataclass
class Refused(Exception):  # noqa: N818 - an outcome, not an error
    """A command may not: subclasses are named facts with an HTTP status and a problem code. Nothing is stored.

    `params` fill the problem's text; `extra` are members a client can act on (`state`, `next_actions`).
    """

    params: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    status: ClassVar[int] = 409
    code: ClassVar[str] = "state_conflict"

    def __str__(self) -> str:
        return self.code


class InvalidRequest(Refused):
    status, code = 422, "invalid_request"

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidRequest":
        """The body is well-formed but cannot be meant: `pointer` is a JSON pointer into it."""
        return cls({}, {"errors": [{"pointer": pointer, "detail": detail}]})


class NotFound(Refused):
    status, code = 404, "not_found"


class Forbidden(Refused):
    status, code = 403, "forbidden"


class WrongRole(Refused):
    status, code = 403, "wrong_role"


class Unauthenticated(Refused):
    status, code = 401, "unauthenticated"


class StateConflict(Refused):
    status, code = 409, "state_conflict"


class VersionStale(Refused):
    status, code = 412, "version_stale"


class MoveRefused(StateConflict):
    """The MOVES table does not list this move from this state."""

    def __init__(self, state: str, move: str, next_actions: tuple[str, ...] = ()) -> None:
        super().__init__({"state": state, "move": move}, {"state": state, "next_actions": list(next_actions)})


def find_move(moves: Mapping[tuple[str, str], To], state: str, move: str) -> To:
    """The state that `move` leads to; MoveRefused, with what is possible instead, if the table does not list it."""
    to = moves.get((state, move))
    if to is None:
        raise MoveRefused(state, move, tuple(name for (start, name) in moves if start == state))
    return to
