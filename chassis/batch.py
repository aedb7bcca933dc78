"""One batch of messages, decided in memory: loaded states in, outcomes and one save out. No database in here."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from chassis.decision import Applied, Ignored, Instruction, NotYet, Refused, Said, StateConflict
from chassis.envelope import envelope_json
from chassis.history import link
from chassis.message import Delivery, Message, Reply, Times
from chassis.moment import Moment
from chassis.rows import digest
from chassis.save import Save
from chassis.slots import Key, Row, Slot, key_name, touched, view
from chassis.store import Appended, Keyed, Store
from chassis.touches import early, unknown

Change = tuple[Key, object, Row, bytes]
"""An aggregate's key, its new value, the row of it and that row's digest."""
Spoken = tuple[Row, Delivery | None, Key]
"""A fact's outbox row, its copy for the bus where anybody hears it, and the aggregate that says it."""
PERFORMED_WITHIN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Bug(Exception):  # noqa: N818
    """A decision raised what no outcome is: its own caller gets a 500, its fact is parked; neighbours are untouched."""

    error: Exception


class Unloaded(Exception):  # noqa: N818
    """A key was met that has not been loaded: the desk loads it and decides again."""

    def __init__(self, keys: Iterable[Key]) -> None:
        super().__init__()
        self.keys = tuple(keys)


@dataclass(slots=True)
class Effects:
    """What the applied decisions add beside their aggregates."""

    appended: dict[type, list[object]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[type, list[Row]] = field(default_factory=lambda: defaultdict(list))
    """What is appended, encoded."""
    outbox: list[Row] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    instructed: list[Row] = field(default_factory=list)
    """The instructions, encoded."""
    history: list[Row] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    inbox: list[Row] = field(default_factory=list)
    unparked: list[bytes] = field(default_factory=list)
    blamed: list[tuple[bytes, str]] = field(default_factory=list)
    """Parked facts that turned out to be poison, and why."""
    changed: set[Key] = field(default_factory=set)


class Batch:
    """Decides messages in order against `slots`; later ones see earlier ones' result; early ones are decided again
    until nothing moves."""

    def __init__(
        self,
        service: str,
        stores: Mapping[type, Store],
        heard: Callable[[str], bool],
        times: Times,
        poisoned: frozenset[str] = frozenset(),
    ) -> None:
        self.service = service
        self.stores = stores
        self.heard = heard
        self.times = times
        self.poisoned = poisoned
        self.slots: dict[Key, Slot | None] = {}
        self.effects = Effects()
        self.replies: list[tuple[Message, Reply]] = []
        self.refused: list[tuple[Message, Exception]] = []
        self.early: list[tuple[Message, NotYet]] = []
        self.outcomes: list[tuple[Message, str]] = []

    # --- loading -------------------------------------------------------------------------------------------------

    def wanted(self, messages: Sequence[Message]) -> set[Key]:
        """Keys that can be named and are not loaded: without `after` at first, with it once the earlier ones are."""
        keys: set[Key] = set()
        for message in messages:
            seen: list[Any] = []
            for touch in message.handler.touches:
                try:
                    named = touch.keys(message.payload, *seen) if touch.after else touch.keys(message.payload)
                except Exception:  # noqa: BLE001 - the same call fails again while deciding, and is reported there
                    break
                keys.update((touch.kind, key) for key in named if (touch.kind, key) not in self.slots)
                found = [self.slots.get((touch.kind, key)) for key in named]
                if touch.shape != "new":
                    seen.append(view(touch, found))
        return keys

    def loaded(self, store: Keyed, keys: Iterable[str], rows: Iterable[Sequence[Any]]) -> None:
        for key in keys:
            self.slots.setdefault((store.kind, key), None)
        width = len(store.codec.fields)
        for row in rows:
            value = store.codec.decode(row[:width])
            version, said, head = row[width:]
            self.slots[store.kind, store.key_of(value)] = Slot(value, version, version, said, head)

    # --- deciding ------------------------------------------------------------------------------------------------

    def decide(self, messages: Sequence[Message]) -> tuple[list[Message], set[Key]]:
        """Decide all that can be; return the undecided and the keys that must be loaded for them."""
        waiting, moved = list(messages), True
        while waiting and moved:
            moved, again, wanted = False, [], set[Key]()
            self.early = []
            for message in waiting:
                try:
                    settled = self._settle(message)
                except Unloaded as more:
                    wanted.update(more.keys)
                    again.append(message)
                    continue
                if settled:
                    moved = True
                else:
                    again.append(message)
            waiting = again
            if wanted:
                return waiting, wanted
        return [], set()

    def _settle(self, message: Message) -> bool:
        """True once the message has an outcome; False while it is too early."""
        at = Moment(self.times.now, self.times.system_now, message.seed)
        try:
            outcome = message.handler.decide(*self._gather(message, at), message.payload, at)
            if isinstance(outcome, Applied):
                self._apply(message, outcome, at)
            elif isinstance(outcome, Ignored):
                self._record(message, f"ignored:{outcome.reason}", None)
            else:
                raise TypeError(f"{message.source}: a handler returns Applied or Ignored, not {outcome!r}")  # noqa: TRY301
        except NotYet as early_:
            self.early.append((message, early_))
            return False
        except Unloaded:
            raise
        except Already:
            self._record(message, "ignored:already_there", None)
        except Exception as error:  # noqa: BLE001 - a bug in one decision concerns its own message alone
            self._refuse(message, error)
        return True

    def _refuse(self, message: Message, error: Exception) -> None:
        """Only a command may be refused: whatever else is, has met a bug."""
        if message.origin == "command" and isinstance(error, Refused):
            self.refused.append((message, error))
            return
        self.refused.append((message, Bug(error)))
        if message.is_fact:
            # Later facts of its keys wait behind it, those of this batch too.
            self.poisoned = self.poisoned.union(touched(message, self.slots))
        if message.origin == "parked":
            self.effects.blamed.append((message.id, why(error)))

    def _gather(self, message: Message, at: Moment) -> list[Any]:
        seen: list[Any] = []
        for touch in message.handler.touches:
            keys = touch.keys(message.payload, *seen) if touch.after else touch.keys(message.payload)
            if message.is_fact and self.poisoned and any(key_name(touch.kind, key) in self.poisoned for key in keys):
                raise NotYet("behind_poison")
            missing = [(touch.kind, key) for key in keys if (touch.kind, key) not in self.slots]
            if missing:
                raise Unloaded(missing)
            values = [slot.value if (slot := self.slots[touch.kind, key]) else None for key in keys]
            if touch.shape == "new":
                if any(value is not None for value in values):
                    raise StateConflict if message.origin == "command" else Already
                continue
            if touch.shape == "maybe":
                seen.append(values[0] if values else None)
                continue
            if None in values or (touch.shape == "one" and not values):
                absent = touch.absent or (early if message.is_fact else unknown)
                raise absent(str(keys[values.index(None)]) if keys else "", at)
            seen.append(values[0] if touch.shape == "one" else tuple(values))
        return seen

    # --- applying ------------------------------------------------------------------------------------------------

    def _apply(self, message: Message, applied: Applied, at: Moment) -> None:
        # All that can fail comes first: a decision is applied whole or not at all.
        reply = _reply_bytes(message, applied.reply)
        changes, appended = self._prepare(applied)
        spoken = self._speak(message, applied, changes, at)
        instructed = [self._instruction_row(each) for each in applied.instructions]

        for change in changes:
            self._change(message, applied, *change)
        for value, rows in appended:
            self.effects.appended[type(value)].append(value)
            self.effects.rows[type(value)].extend(rows)
        for row, delivery, key in spoken:
            self._say(row, delivery, key)
        self.effects.instructions.extend(applied.instructions)
        self.effects.instructed.extend(instructed)
        self._record(message, "applied", reply)

    def _prepare(self, applied: Applied) -> tuple[list[Change], list[tuple[object, list[Row]]]]:
        """What a decision changes, and what it appends, as rows."""
        changes: list[Change] = []
        appended: list[tuple[object, list[Row]]] = []
        for value in applied.changed:
            store = self.stores[type(value)]
            if isinstance(store, Appended):
                appended.append((value, [store.codec.encode(row) for row in store.rows(value)]))
            else:
                key = store.kind, store.key_of(value)
                slot = self.slots.get(key)
                if slot and (moved := store.pins_moved(slot.value, value)):
                    raise ValueError(f"{store.name}: pinned and changed: {moved}")
                encoded = store.codec.encode(value)
                changes.append((key, value, encoded, digest(encoded)))
        return changes, appended

    def _speak(self, message: Message, applied: Applied, changes: Sequence[Change], at: Moment) -> list[Spoken]:
        """The facts of a decision, each with its number in the life of the aggregate that says it."""
        spoken: list[Spoken] = []
        for n, said in enumerate(applied.facts):
            key = self._speaker(said, changes)
            slot = self.slots.get(key)
            before = sum(1 for _, _, each in spoken if each == key)
            sequence = (slot.said if slot else 0) + before + 1
            spoken.append((*self._outbox_row(message, said, sequence, at.uuid("fact", n)), key))
        return spoken

    def _speaker(self, said: Said, changes: Sequence[Change]) -> Key:
        """The changed aggregate whose fact this is: `about`, or the one with the subject's key."""
        store = self.stores[type(said.about)] if said.about is not None else None
        about = (store.kind, store.key_of(said.about)) if isinstance(store, Keyed) else None
        for key, *_ in reversed(changes):
            if key == about if about else key[1] == said.fact.subject:
                return key
        raise LookupError(f"{said.fact.type}: no changed aggregate is its subject {said.fact.subject}")

    def _outbox_row(self, message: Message, said: Said, sequence: int, fact_id: UUID) -> tuple[Row, Delivery | None]:
        fact = said.fact
        body = envelope_json(
            fact,
            fact_id,
            source=self.service,
            time=self.times.now,
            sequence=sequence,
            causation=message.id.hex(),
            correlation=message.correlation,
            audience=said.audience,
        )
        if self.heard(fact.type):
            delivery = Delivery(fact_id, fact, message.correlation, body)
            return (fact_id, fact.type, fact.subject, sequence, body, None), delivery
        return (fact_id, fact.type, fact.subject, sequence, body, self.times.system_now), None

    def _change(self, message: Message, applied: Applied, key: Key, value: object, encoded: Row, after: bytes) -> None:
        slot = self.slots.get(key)
        if slot is None:
            slot = self.slots[key] = Slot(None)
        store = self.stores[key[0]]
        before = None
        if slot.version:
            before = digest(slot.encoded or store.codec.encode(slot.value))
        slot.value, slot.encoded, slot.version = value, encoded, slot.version + 1
        row, slot.head = link(
            kind=store.name,
            key=key[1],
            sequence=slot.version,
            source=message.source,
            message=message.id,
            actor=message.actor,
            on_behalf_of=message.on_behalf_of,
            reason=applied.reason,
            request_id=message.correlation,
            before=before,
            after=after,
            prev_hash=slot.head,
        )
        self.effects.history.append(row)
        self.effects.changed.add(key)

    def _say(self, row: Row, delivery: Delivery | None, key: Key) -> None:
        slot = self.slots[key]
        if slot:
            slot.said += 1
        self.effects.outbox.append(row)
        if delivery:
            self.effects.deliveries.append(delivery)

    def _record(self, message: Message, outcome: str, reply: bytes | None) -> None:
        # A deadline without effect is not over: while its row is due it is asked again, and one day it may be time.
        if outcome == "applied" or message.origin != "deadline":
            self.effects.inbox.append((message.id, message.source, outcome, message.fingerprint, reply))
        if message.origin == "parked":
            self.effects.unparked.append(message.id)
        if message.answers:
            self.effects.answered.append(message.answers)
        self.outcomes.append((message, outcome))
        self.replies.append((message, Reply(reply or b"null")))

    # --- saving --------------------------------------------------------------------------------------------------

    def save(self, parked: Sequence[Row], forgotten: Sequence[bytes]) -> Save:
        """The whole batch as one statement. `parked` facts are written down; `forgotten` were parked and are known."""
        save, effects = Save(), self.effects
        for store in self.stores.values():
            if isinstance(store, Appended):
                save.insert(store, effects.rows.get(store.kind, ()))
                continue
            names = [f.name for f in store.codec.fields]
            picked = [names.index(name) for name, _ in store.update_columns[:-3]]
            updates, inserts = [], []
            for key in sorted(key for kind, key in effects.changed if kind is store.kind):
                slot = self.slots[store.kind, key]
                assert slot is not None and slot.encoded is not None  # noqa: S101, PT018
                tail = (slot.version, slot.said, slot.head)
                if slot.was:
                    updates.append((key, slot.was, *(slot.encoded[n] for n in picked), *tail))
                else:
                    inserts.append((*slot.encoded, *tail))
            save.update(store, updates)
            save.insert(store, inserts)
        save.inbox(effects.inbox)
        save.outbox(effects.outbox)
        save.instruct(effects.instructed)
        save.finish(effects.answered)
        save.park(parked)
        save.blame(effects.blamed)
        save.unpark([*effects.unparked, *forgotten])
        save.history(effects.history)
        return save

    def _instruction_row(self, each: Instruction) -> Row:
        """The sweep looks at it when its time has come; for one performed at once, when that must have failed."""
        next_at = self.times.system_now + timedelta(seconds=each.after_seconds or PERFORMED_WITHIN_SECONDS)
        return (each.id, each.kind, json.dumps(dict(each.body)), next_at)


class Already(Exception):  # noqa: N818
    """A fact would make what is already there."""


def why(error: Exception) -> str:
    """The reason a fact is parked for: what was raised, never what it said, which may quote anything."""
    inner = error.error if isinstance(error, Bug) else error
    return f"{type(inner).__name__}: {inner.code}" if isinstance(inner, Refused) else type(inner).__name__


def _reply_bytes(message: Message, reply: Any) -> bytes | None:
    if message.handler.reply is not None:
        reply = message.handler.reply(reply)
    if reply is None:
        return None
    if isinstance(reply, BaseModel):
        return reply.model_dump_json().encode()
    return json.dumps(reply).encode()
