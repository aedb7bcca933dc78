"""One batch, one transaction: look up, load, decide, save. Without locks the save is the whole transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from chassis import mailbox
from chassis.batch import Batch, why
from chassis.message import Message, Times
from chassis.save import Save
from chassis.slots import Key, names_json, touched
from chassis.store import Keyed


class Decided:
    """A batch on its way from deciding to its answers."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.known: list[tuple[Message, Any]] = []
        self.forgotten: list[bytes] = []
        self.parked: list[Message] = []


async def decide_and_save(
    connection: Any, messages: list[Message], batch_of: Callable[[Times], Batch], *, lock: str = ""
) -> Decided:
    """Decide the messages and write down what became of them. `lock` is " FOR UPDATE" for a batch that lost a race.

    Raises what the database raises: a version that moved, a key that clashed, a value it refuses, an outage.
    """
    decided = await _decide(connection, messages, batch_of, lock)
    save = _compose(decided)
    if not save.empty:
        sql, values = save.statement()
        await connection.execute(sql, *values)
    return decided


async def _decide(connection: Any, messages: list[Message], batch_of: Callable[[Times], Batch], lock: str) -> Decided:
    rows = await connection.fetch(mailbox.LOOK_UP, [message.id for message in messages])
    times = next(Times(row["now"], row["system_now"]) for row in rows if row["now"])
    decided = Decided(batch_of(times))
    batch, fresh = decided.batch, _fresh(decided, messages, rows)
    while wanted := batch.wanted(fresh):
        await _load(connection, batch, wanted, lock)
    undecided, wanted = batch.decide(fresh)
    while undecided:
        await _load(connection, batch, wanted, lock)
        undecided, wanted = batch.decide(undecided)
    return decided


def _fresh(decided: Decided, messages: list[Message], rows: Iterable[Any]) -> list[Message]:
    """The messages that nobody has decided yet; the known ones are noted with what is known of them."""
    inbox = {row["id"]: row for row in rows if row["id"] and not row["parked"]}
    parked = {row["id"] for row in rows if row["parked"]}
    fresh = []
    for message in messages:
        if message.id in inbox:
            decided.known.append((message, inbox[message.id]))
            if message.id in parked:
                decided.forgotten.append(message.id)
        elif message.origin == "fact" and message.id in parked:
            decided.known.append((message, None))
        elif message.origin == "parked" and message.id not in parked:
            decided.known.append((message, None))  # Somebody else applied or discarded it.
        else:
            fresh.append(message)
    return fresh


async def _load(connection: Any, batch: Batch, wanted: Iterable[Key], lock: str) -> None:
    by_kind: dict[type, set[str]] = defaultdict(set)
    for kind, key in wanted:
        by_kind[kind].add(key)
    for store in batch.stores.values():
        keys = by_kind.get(store.kind)
        if keys and isinstance(store, Keyed):
            batch.loaded(store, keys, await connection.fetch(store.load_sql + lock, sorted(keys)))


def _compose(decided: Decided) -> Save:
    batch = decided.batch
    facts = [(message, early.reason) for message, early in batch.early if message.origin == "fact"]
    decided.parked = [message for message, _ in facts]
    rows = [_parked_row(batch, message, reason, poison=False) for message, reason in facts]
    for message, error in batch.refused:
        if message.origin == "fact":
            rows.append(_parked_row(batch, message, why(error), poison=True))
    return batch.save(rows, decided.forgotten)


def _parked_row(batch: Batch, message: Message, reason: str, *, poison: bool) -> tuple[Any, ...]:
    names = names_json(touched(message, batch.slots))
    return (message.id, message.source, names, message.body, reason, poison)
