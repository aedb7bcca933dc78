"""Random walks through escrow beside a model that knows only sums: at every step the books say what the model says."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from chassis.decision import Refused
from services.escrow.commands import RefundAnswered
from services.escrow.domain import Payment, Refund
from tests.escrow.memory import PROVIDER, MemoryDesk, check_books
from tests.escrow.orders import ANGEL, Order, an_order

AMOUNTS = st.integers(1, 10**6)


@dataclass
class Sums:
    """What an accountant would write down of one order. `left` is per line."""

    order: Order
    left: list[int] = field(default_factory=list)
    captured: int = 0
    released: int = 0
    refunded: int = 0
    over: bool = False

    @property
    def held(self) -> int:
        return self.captured - self.released - self.refunded


class Walk(RuleBasedStateMachine):
    """Orders come and go, buyers pay rightly, wrongly, twice and too late, lines are cancelled, refunds fail."""

    orders: Bundle[Sums] = Bundle("orders")
    payments: Bundle[tuple[Sums, Payment]] = Bundle("payments")

    @initialize()
    def start(self) -> None:
        self.desk = MemoryDesk()
        self.sums: list[Sums] = []
        self.suspense = self.sent_back = 0
        self.transactions = 0

    @rule(target=orders, amounts=st.lists(AMOUNTS, min_size=1, max_size=3))
    def place(self, amounts: list[int]) -> Sums:
        made = Sums(an_order(*amounts), list(amounts))
        self.desk.hear(made.order.placed())
        self.sums.append(made)
        return made

    @rule(target=payments, of=orders)
    def ask_to_pay(self, of: Sums) -> tuple[Sums, Payment]:
        try:
            return of, self.desk.create_payment(of.order)
        except Refused:
            assert of.captured or of.over, "only what is paid or over cannot be paid"
            return of, Payment("pay_none", "", "", "sandbox", "", "open", 1, "CNY", (), None, None, self.desk.now, self.desk.now, None)  # fmt: skip

    @rule(paying=payments, off=st.sampled_from([0, 0, 0, 1, -1]))
    def pay(self, paying: tuple[Sums, Payment], off: int) -> None:
        of, payment = paying
        amount = max(1, payment.amount + off)
        self.transactions += 1
        self.desk.capture(payment, amount=amount, transaction_id=f"txn_{self.transactions}")
        if payment.payment_id == "pay_none" or amount != payment.amount:
            self.suspense += amount
        elif of.captured or of.over:
            self.sent_back += amount
        else:
            of.captured = amount

    @rule(of=orders, angel=st.sampled_from([ANGEL, None]))
    def attribute(self, of: Sums, angel: str | None) -> None:
        self.desk.hear(of.order.attributed(angel))

    @rule(of=orders)
    def confirm(self, of: Sums) -> None:
        if of.captured:
            self.desk.hear(of.order.confirmed(net=of.captured - of.refunded))
            of.released += of.held
            of.over = True

    @rule(of=orders)
    def complete(self, of: Sums) -> None:
        if of.over and of.captured:
            self.desk.hear(of.order.completed())

    @rule(of=orders, late=st.booleans())
    def call_off(self, of: Sums, late: bool) -> None:
        self.desk.hear(of.order.expired() if late else of.order.cancelled())
        of.refunded += of.held
        of.over = True

    @rule(of=orders, data=st.data())
    def cancel_lines(self, of: Sums, data: st.DataObject) -> None:
        if not of.held:
            return
        line = data.draw(st.integers(0, len(of.left) - 1))
        amount = data.draw(st.integers(0, of.left[line]))
        self.desk.hear(of.order.lines_cancelled({line: amount}))
        of.left[line] -= amount
        of.refunded += amount
        of.over = of.held == 0

    @rule(fails=st.booleans())
    def answer_a_refund(self, fails: bool) -> None:
        waiting = [refund for refund in self.desk.all(Refund) if refund.state == "sent"]
        if waiting:
            self.desk.ask(RefundAnswered(PROVIDER, waiting[0].refund_id, "failed" if fails else "succeeded"))

    @invariant()
    def the_books_say_what_the_model_says(self) -> None:
        found: Counter[str] = Counter()
        for posting in self.desk.postings:
            kind = posting.account.partition(":")[0]
            if kind != "refund" or posting.kind == "refund":
                found[{"unnamed": "released", "maturing": "released", "payable": "released"}.get(kind, kind)] += (
                    posting.amount
                )
        assert {name: found[name] for name in ("suspense", "hold", "released", "refund")} == {
            "suspense": self.suspense,
            "hold": sum(each.held for each in self.sums),
            "released": sum(each.released for each in self.sums),
            "refund": sum(each.refunded for each in self.sums) + self.sent_back,
        }

    @invariant()
    def every_invariant_holds(self) -> None:
        check_books(self.desk)
        assert not self.desk.poison


Walk.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestWalk = Walk.TestCase
