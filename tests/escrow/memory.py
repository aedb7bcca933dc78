"""A desk without a database: the real Batch, the real handlers, rows kept as they would be stored.

What is too early is parked and tried again after every batch until nothing moves; a message id that had an effect has
none again; a decision that fails parks its fact as poison and lets later facts of its keys wait behind it.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.batch import Batch, Bug
from chassis.caller import Caller, Command
from chassis.decision import Instruction, Refused
from chassis.message import Message, Times, message_id
from chassis.slots import Key, Slot, touched
from chassis.store import Keyed
from chassis.touches import Handler
from contracts.fact import Fact
from services.escrow.commands import Capture, CreatePayment, RefundAnswered
from services.escrow.domain import Checkout, Hold, Payment, Refund, Suspense
from services.escrow.ledger import Entry, Posting
from services.escrow.service import HEARS, asked
from services.escrow.store import STORES
from tests.escrow.orders import Order

HANDLERS: Mapping[type, Handler] = {**HEARS, **asked(frozenset({"sandbox"}))}
BY_KIND = {store.kind: store for store in STORES}
PROVIDER = Caller(key_id="provider:sandbox")


@dataclass
class MemoryDesk:
    """Escrow's state after the messages so far. `now` is both clocks; it moves a second with every batch."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    slots: dict[Key, Slot] = field(default_factory=dict)
    postings: list[Posting] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    inbox: dict[bytes, str] = field(default_factory=dict)
    parked: dict[bytes, Message] = field(default_factory=dict)
    poison: list[tuple[Message, Exception]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    # --- messages ------------------------------------------------------------------------------------------------

    def hear(self, *facts: Fact) -> None:
        """Facts, each in a batch of its own."""
        for fact in facts:
            self.deliver(fact_message(fact))

    def ask(self, command: Command, key: str = "") -> Any:
        """A command; what it replies. Raises the Refused that the handler raised."""
        before = len(self.refused)
        self.deliver(command_message(command, key))
        if len(self.refused) > before:
            raise self.refused[-1]

    def deliver(self, *messages: Message) -> None:
        """One batch, then whatever was parked, until nothing moves."""
        self._run(messages)
        moved = True
        while moved and self.parked:
            moved = self._run([replace(message, origin="parked") for message in self.parked.values()])

    def _run(self, messages: Iterable[Message]) -> bool:
        self.now += timedelta(seconds=1)
        behind = frozenset(name for message, _ in self.poison for name in touched(message, self.slots))
        batch = Batch("escrow", BY_KIND, lambda _: True, Times(self.now, self.now), behind)
        fresh = {message.id: message for message in messages if message.id not in self.inbox}
        undecided: list[Message] = list(fresh.values())
        while wanted := batch.wanted(undecided):
            self._load(batch, wanted)
        while undecided:
            undecided, more = batch.decide(undecided)
            self._load(batch, more)
        return self._keep(batch)

    def _load(self, batch: Batch, keys: Iterable[Key]) -> None:
        for key in keys:
            slot = self.slots.get(key)
            batch.slots[key] = stored(key[0], slot) if slot else None

    def _keep(self, batch: Batch) -> bool:
        for key in batch.effects.changed:
            slot = batch.slots[key]
            assert slot is not None
            self.slots[key] = slot
        for entry in batch.effects.appended.get(Entry, ()):
            assert isinstance(entry, Entry)
            self.postings.extend(entry.postings)
        self.facts.extend(delivery.fact for delivery in batch.effects.deliveries)
        self.instructions.extend(batch.effects.instructions)
        for message, outcome in batch.outcomes:
            self.inbox[message.id] = outcome
            self.parked.pop(message.id, None)
        for message, error in batch.refused:
            self.parked.pop(message.id, None)
            self._refuse(message, error)
        self.parked.update({message.id: message for message, _ in batch.early if message.is_fact})
        return bool(batch.outcomes or batch.refused)

    def _refuse(self, message: Message, error: Exception) -> None:
        if isinstance(error, Refused):
            self.refused.append(error)
        else:
            self.inbox[message.id] = "poison"
            self.poison.append((message, error.error if isinstance(error, Bug) else error))

    # --- what a buyer and a provider do -----------------------------------------------------------------------------

    def create_payment(self, order: Order) -> Payment:
        """The buyer asks for a payment of the order's checkout."""
        known = {payment.payment_id for payment in self.all(Payment)}
        self.ask(CreatePayment(Caller(person_id=order.buyer), order.checkout.checkout_id, "sandbox", "page"))
        (made,) = (payment for payment in self.all(Payment) if payment.payment_id not in known)
        return made

    def capture(self, payment: Payment, **changes: Any) -> Capture:
        """The provider says that it was paid; the command it said it with."""
        seen = replace(capture_of(payment), **changes)
        self.deliver(capture_message(seen))
        return seen

    def pay(self, order: Order) -> Payment:
        payment = self.create_payment(order)
        self.capture(payment)
        return payment

    def answer_refunds(self, outcome: Callable[[Refund], Any] = lambda _: "succeeded") -> None:
        """The provider answers every refund that is under way, also those that follow."""
        while waiting := [refund for refund in self.all(Refund) if refund.state == "sent"]:
            for refund in waiting:
                self.ask(RefundAnswered(PROVIDER, refund.refund_id, outcome(refund)), refund.refund_id)

    # --- looking -------------------------------------------------------------------------------------------------

    def all(self, kind: type[Any]) -> list[Any]:
        return [slot.value for (of, _), slot in self.slots.items() if of is kind]

    def one(self, kind: type[Any], key: str) -> Any:
        return self.slots[kind, key].value

    def hold(self, order: Order) -> Hold:
        found: Hold = self.one(Hold, order.order_id)
        return found

    def suspense(self) -> list[Suspense]:
        return self.all(Suspense)

    def balances(self) -> dict[str, int]:
        """Account -> balance, without those that are at 0."""
        sums: Counter[str] = Counter()
        for posting in self.postings:
            sums[posting.account] += posting.amount
        return {account: amount for account, amount in sums.items() if amount}

    def balance(self, account: str) -> int:
        return self.balances().get(account, 0)

    def said(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


def stored(kind: type, slot: Slot) -> Slot:
    """The aggregate as a desk would load it: through its row."""
    store = BY_KIND[kind]
    assert isinstance(store, Keyed)
    value = store.codec.decode(store.codec.encode(slot.value))
    assert value == slot.value, "a row says all that its aggregate does"
    return Slot(value, slot.version, slot.version, slot.said, slot.head)


def fact_message(fact: Fact) -> Message:
    id_ = secrets.token_bytes(16)
    return Message(
        id=id_, source=fact.type, origin="fact", payload=fact, handler=HANDLERS[type(fact)], seed=id_,
        actor="test", correlation="test",
    )  # fmt: skip


def command_message(command: Command, key: str = "") -> Message:
    source = type(command).__name__
    return Message(
        id=message_id("test", source, key) if key else secrets.token_bytes(16), source=source, origin="command",
        payload=command, handler=HANDLERS[type(command)], seed=secrets.token_bytes(16),
        actor=command.caller.actor, correlation="test",
    )  # fmt: skip


def capture_of(payment: Payment) -> Capture:
    return Capture(
        PROVIDER, payment.provider, payment.payment_id, f"txn_{payment.payment_id}", payment.amount, payment.currency
    )


def capture_message(seen: Capture) -> Message:
    """As the callback route asks it: one provider, one transaction, one message."""
    return command_message(seen, f"{seen.provider} {seen.transaction_id}")


def check_books(desk: MemoryDesk) -> None:
    """What must hold of the books at any moment, told again without the product's own words for it."""
    sums: Counter[str] = Counter()
    for posting in desk.postings:
        sums[posting.entry_id] += posting.amount
    assert not any(sums.values()), "every entry sums to zero"
    balances = desk.balances()
    assert all(amount > 0 for account, amount in balances.items() if not account.startswith("provider:"))
    for hold in desk.all(Hold):
        check_hold(desk, hold)
    for item in desk.suspense():
        assert balances.get(f"suspense:{item.suspense_id}", 0) == (item.amount if item.state == "open" else 0)
    for refund in desk.all(Refund):
        assert balances.get(f"refund:{refund.refund_id}", 0) == (refund.amount if refund.state == "sent" else 0)
    for checkout in desk.all(Checkout):
        captured = [
            payment
            for payment in desk.all(Payment)
            if payment.checkout_id == checkout.checkout_id and payment.state == "captured"
        ]
        assert [payment.payment_id for payment in captured] == ([checkout.captured_by] if checkout.captured_by else [])


def check_hold(desk: MemoryDesk, hold: Hold) -> None:
    own = [posting for posting in desk.postings if posting.order_id == hold.order_id]
    legs: Counter[str] = Counter()
    for leg in hold.legs:
        legs[leg.account] += leg.amount
    lying: Counter[str] = Counter()
    for posting in own:
        if posting.account.partition(":")[0] in {"unnamed", "maturing", "payable"}:
            lying[posting.account] += posting.amount
    assert {account: amount for account, amount in lying.items() if amount} == dict(legs)
    assert sum(posting.amount for posting in own if posting.account == f"hold:{hold.order_id}") == hold.left
    assert sum(legs.values()) == hold.released
    assert 0 <= hold.released + hold.refunded <= hold.captured
    left_and_ended = hold.captured > 0 and hold.left == 0
    assert (hold.state in {"released", "refunding", "refunded"}) == left_and_ended
    assert hold.released_at is None or (hold.confirmed_at and hold.confirmed_at <= hold.released_at)
    angels = [leg.line_id for leg in hold.legs if leg.role == "angel"]
    assert len(angels) == len(set(angels))
    assert all(leg.payee != hold.buyer for leg in hold.legs)
    assert sum(line.amount for line in hold.lines) + hold.refunded == hold.amount
