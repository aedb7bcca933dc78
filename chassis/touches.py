"""What a handler names of the world before it decides: kinds, keys, and what absence means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any, Literal

from chassis.decision import NotFound, NotYet, Refused
from chassis.moment import Moment
from contracts.ids import born_at

YOUNG = timedelta(seconds=60)
"""An id younger than this may name something whose fact has not arrived yet; an older unknown one does not exist."""

Absent = Callable[[str, Moment], Exception]


def is_young(key: str, at: Moment) -> bool:
    """Whether an id was made so lately that its fact may still be on its way. None was made tomorrow."""
    born = born_at(key)
    return born is not None and abs(at.system_now - born) < YOUNG


def unknown(key: str, at: Moment) -> Exception:
    """Absence for a command: wait for what is young, 404 for the rest."""
    return NotYet() if is_young(key, at) else NotFound()


def early(_key: str, _at: Moment) -> Exception:
    """Absence for a fact: its predecessor has not arrived."""
    return NotYet()


@dataclass(frozen=True, slots=True)
class Touch:
    """One argument of a handler. `keys` takes the message (and, if `after`, the aggregates named before this one)."""

    kind: type
    keys: Callable[..., Sequence[str]]
    shape: Literal["one", "maybe", "many", "new"]
    absent: Absent | None
    after: bool


def _single(by: str | Callable[..., str | None]) -> Callable[..., Sequence[str]]:
    get = attrgetter(by) if isinstance(by, str) else by

    def keys(*seen: Any) -> Sequence[str]:
        key = get(*seen)
        return () if key is None else (key,)

    return keys


def _absence(missing: type[NotYet] | type[Refused] | None) -> Absent | None:
    if missing is None:
        return None
    return lambda _key, _at: missing()


def one(
    kind: type,
    by: str | Callable[..., str],
    *,
    missing: type[NotYet] | type[Refused] | None = None,
    after: bool = False,
) -> Touch:
    """The aggregate must be there. `missing` says what its absence means; by default a fact waits, and a command waits
    while the id is young and is refused 404 when it is not."""
    return Touch(kind, _single(by), "one", _absence(missing), after)


def maybe(kind: type, by: str | Callable[..., str | None], *, after: bool = False) -> Touch:
    """The aggregate, or None where it is absent or where `by` gives None."""
    return Touch(kind, _single(by), "maybe", None, after)


def many(
    kind: type,
    by: str | Callable[..., Sequence[str]],
    *,
    missing: type[NotYet] | type[Refused] | None = None,
    after: bool = False,
) -> Touch:
    """A tuple of aggregates in the order of their keys' first mention; every one must be there."""
    return Touch(kind, attrgetter(by) if isinstance(by, str) else by, "many", _absence(missing), after)


def new(kind: type, by: str | Callable[..., str], *, after: bool = False) -> Touch:
    """Nothing of that key may be there yet: not an argument of the handler. Where it is, the message is Ignored
    `already_there` (a fact) or refused 409 (a command)."""
    return Touch(kind, _single(by), "new", None, after)


@dataclass(frozen=True, slots=True)
class Handler:
    """A pure function and what it touches: `decide(*aggregates, message, at) -> Applied | Ignored`.

    `reply` turns the decision's reply into the response model. It raises NotYet or a Refused instead of returning them.
    """

    decide: Callable[..., Any]
    touches: tuple[Touch, ...]
    reply: Callable[[Any], Any] | None = None
    whole: bool = False
    """The message is a `Heard`: the fact with its envelope's id, time and audience. Touches read `heard.fact`."""


def hear(decide: Callable[..., Any], *touches: Touch) -> Handler:
    """A fact's handler: for every state it answers Applied, Ignored or NotYet; it never refuses."""
    return Handler(decide, touches)


def hear_whole(decide: Callable[..., Any], *touches: Touch) -> Handler:
    """As `hear`, for a handler that must know who may see the fact: its message is a `Heard`."""
    return Handler(decide, touches, whole=True)


def ask(decide: Callable[..., Any], *touches: Touch, reply: Callable[[Any], Any] | None = None) -> Handler:
    """A command's handler: it may refuse; `reply` makes the response model out of the decision's reply."""
    return Handler(decide, touches, reply)
