"""Messages that came too early, kept in memory and found again by the keys they wait for."""

from collections.abc import Hashable, Sequence

from chassis.message import Message


class Sleepers:
    """Keeps each message once, under every key it waits for; waking it takes it from all of them.

    Beyond `size_max` the oldest is let go: only for messages that are written down too and that a sweep brings back.
    """

    def __init__(self, size_max: int | None = None) -> None:
        self._size_max = size_max
        self._sleeping: dict[Hashable, tuple[Message, Sequence[str]]] = {}
        self._by_name: dict[str, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._sleeping)

    def keep(self, message: Message, names: Sequence[str]) -> None:
        # Two copies of a fact are one; two commands are two even under one key, for each has its own caller.
        bed: Hashable = message.id if message.is_fact else message
        if bed in self._sleeping:
            self._take(bed)
        elif self._size_max is not None and len(self._sleeping) >= self._size_max:
            self._take(next(iter(self._sleeping)))
        self._sleeping[bed] = message, names
        for name in names:
            self._by_name.setdefault(name, {})[bed] = None

    def wake(self, name: str) -> list[Message]:
        """Those that wait for this key, oldest first."""
        return [self._take(bed) for bed in list(self._by_name.get(name, ()))]

    def wake_all(self) -> list[Message]:
        return [self._take(bed) for bed in list(self._sleeping)]

    def _take(self, bed: Hashable) -> Message:
        message, names = self._sleeping.pop(bed)
        for name in dict.fromkeys(names):
            beds = self._by_name[name]
            del beds[bed]
            if not beds:
                del self._by_name[name]
        return message
