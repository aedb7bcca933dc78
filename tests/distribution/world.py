"""A distribution without a database: the real handlers on the desk's real Batch, with its inbox and its parking."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from joserfc.jwk import OKPKey
from uuid_utils.compat import uuid7

from chassis.batch import Batch
from chassis.caller import Command
from chassis.decision import NotYet
from chassis.message import Message, Times
from chassis.store import Keyed
from chassis.touches import Handler
from contracts.escrow import Held, LineAmount, Refunded, Released, ReleasedLeg, ReversedLeg
from contracts.fact import Fact
from contracts.money import Money, allot
from contracts.order import Checkout, OfferPublished, OfferWithdrawn, OrderLine, OrderPlaced
from contracts.terms import LineTerms, Share, Terms
from contracts.tribe import ContentPublished, ContentWithdrawn
from services.distribution import service as wiring
from services.distribution import store
from services.distribution.commission import Commission
from services.distribution.domain import Rules
from services.distribution.settings import DistributionSettings
from services.distribution.tokens import Tokens
from tests.support import new_id

KEY = OKPKey.generate_key("Ed25519")
SETTINGS = DistributionSettings(token_key=json.dumps(KEY.as_dict(private=True)))
SHANGHAI = ZoneInfo("Asia/Shanghai")
RULES = Rules(version=1, link_days=30, window_days=30, touches_max=20, zone=SHANGHAI)
TOKENS = Tokens(KEY, RULES)
HANDLERS: dict[type, Handler] = {**wiring.hears(RULES, TOKENS), **wiring.asked(RULES, TOKENS, "http://buluo.test/")}
STORES = {each.kind: each for each in store.STORES}
KEYED = {each.kind: each for each in store.STORES if isinstance(each, Keyed)}
NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
"""Noon in Shanghai."""


def yuan(minor_units: int) -> Money:
    return Money(amount=minor_units, currency="CNY")


@dataclass
class World:
    """Decides messages one after another; `now` is business time and stands still unless moved."""

    now: datetime = NOON
    parked: dict[bytes, Message] = field(default_factory=dict)
    known: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.batch = Batch("distribution", STORES, lambda _: False, Times(self.now, NOON))

    def pass_time(self, **lapse: float) -> None:
        self.now += timedelta(**lapse)

    def hear(self, fact: Fact, fact_id: UUID | None = None) -> None:
        """As the desk does: known ids have no effect, early facts wait until something moves."""
        id_ = (fact_id or uuid7()).bytes
        if id_ in self.known or id_ in self.parked:
            return
        self.parked[id_] = self._message(id_, "fact", fact)
        moved = True
        while moved:
            moved = False
            for id_, message in list(self.parked.items()):
                if self._decide(message):
                    del self.parked[id_]
                    self.known.add(id_)
                    moved = True

    def ask(self, command: Command) -> Any:
        """The command's answer as JSON; raises what it is refused with."""
        message = self._message(uuid7().bytes, "command", command)
        if not self._decide(message):
            raise NotYet
        return json.loads(next(reply for asked, reply in self.batch.replies if asked is message).body)

    def _message(self, id_: bytes, origin: Any, payload: Any) -> Message:
        return Message(id_, "test", origin, payload, HANDLERS[type(payload)], id_, "test", "test")

    def _decide(self, message: Message) -> bool:
        self.batch.times = Times(self.now, NOON)
        waiting, wanted = self.batch.decide([message])
        while waiting:
            for kind, key in wanted:
                self.batch.loaded(KEYED[kind], [key], [])
            waiting, wanted = self.batch.decide(waiting)
        refused = [error for asked, error in self.batch.refused if asked is message]
        if refused:
            raise refused[0]
        return not any(early is message for early, _ in self.batch.early)

    def all(self, kind: type) -> list[Any]:
        found = [slot.value for (of, _), slot in self.batch.slots.items() if of is kind and slot and slot.version]
        return sorted(found, key=repr)

    def said(self, fact_type: str) -> list[dict[str, Any]]:
        return [json.loads(row[4])["data"] for row in self.batch.effects.outbox if row[1] == fact_type]


# --- facts of other services ------------------------------------------------------------------------------------------


def offer(offer_id: str, *, version: int = 1, withdrawn: bool = False) -> Fact:
    kind = OfferWithdrawn if withdrawn else OfferPublished
    return kind(
        offer_id=offer_id, product_id=new_id("prd"), seller=new_id("mch"), merchant_id=new_id("mch"),
        partnership_id=None, tribe_id=None, price=yuan(3990), angel_bps=1000, version=version,
    )  # fmt: skip


def content(content_id: str, *offer_ids: str, version: int = 1, withdrawn: bool = False) -> Fact:
    kind = ContentWithdrawn if withdrawn else ContentPublished
    return kind(
        content_id=content_id, revision_id=new_id("rev"), tribe_id=new_id("trb"), offer_ids=offer_ids,
        ad_label=bool(offer_ids), version=version,
    )  # fmt: skip


def goods(offer_id: str | None, amount: int = 3990) -> OrderLine:
    return OrderLine(
        line_id=new_id("lin"),
        kind="goods",
        offer_id=offer_id,
        product_id=new_id("prd"),
        quantity=1,
        amount=yuan(amount),
    )


def shipping(amount: int = 800) -> OrderLine:
    return OrderLine(
        line_id=new_id("lin"), kind="shipping", offer_id=None, product_id=None, quantity=1, amount=yuan(amount)
    )


def order(
    *lines: OrderLine,
    placed_at: datetime,
    buyer: str | None = None,
    seller: str | None = None,
    touch_token: str | None = None,
    content_id: str | None = None,
    angel_bps: int = 1000,
) -> OrderPlaced:
    seller = seller or new_id("mch")
    order_id = new_id("ord")
    return OrderPlaced(
        order_id=order_id,
        kind="retail",
        checkout=Checkout(
            checkout_id=new_id("chk"), order_ids=(order_id,), amount=yuan(sum(each.amount.amount for each in lines))
        ),
        buyer=buyer or new_id("per"), seller=seller, merchant_id=seller, partner_id=None, partnership_id=None,
        tribe_id=None, campaign_id=None, content_id=content_id, touch_token=touch_token, lines=lines,
        terms=Terms(lines=tuple(terms(line, seller, angel_bps) for line in lines)),
        pay_by=placed_at + timedelta(minutes=30), placed_at=placed_at,
    )  # fmt: skip


def terms(line: OrderLine, seller: str, angel_bps: int) -> LineTerms:
    if line.kind == "shipping" or not angel_bps:
        return LineTerms(
            line_id=line.line_id, shares=(Share(role="seller", payee=seller, bps=10_000, matures="release"),)
        )
    return LineTerms(
        line_id=line.line_id,
        shares=(
            Share(role="seller", payee=seller, bps=9_700 - angel_bps, matures="release"),
            Share(role="angel", payee=None, bps=angel_bps, matures="completion"),
            Share(role="platform", payee="platform", bps=300, matures="release"),
        ),
    )


@dataclass
class Books:
    """What escrow says of one order: refunds out of the hold, the release, refunds out of the legs."""

    placed: OrderPlaced
    facts: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = {line.line_id: line.amount.amount for line in self.placed.lines}
        self.legs: dict[tuple[str, str], tuple[str, int]] = {}
        self.facts.append(
            Held(
                order_id=self.placed.order_id, checkout_id=self.placed.checkout.checkout_id, payment_id=new_id("pay"),
                amount=self.placed.checkout.amount, at=self.placed.placed_at,
            )
        )  # fmt: skip

    @property
    def over(self) -> bool:
        return not any(self.left.values())

    def refund(self, amounts: Sequence[int]) -> None:
        """So much of each line goes back, at most what is left of it."""
        lines = {
            line.line_id: min(amount, self.left[line.line_id])
            for line, amount in zip(self.placed.lines, amounts, strict=True)
        }
        lines = {line_id: amount for line_id, amount in lines.items() if amount}
        if not lines:
            return
        returned = [part for line_id, amount in lines.items() for part in self._from_legs(line_id, amount)]
        for line_id, amount in lines.items():
            self.left[line_id] -= amount
        self.facts.append(
            Refunded(
                order_id=self.placed.order_id, refund_id=new_id("rfd"), cause_id=new_id("dsp"),
                amount=yuan(sum(lines.values())),
                lines=tuple(LineAmount(line_id=line_id, amount=yuan(amount)) for line_id, amount in lines.items()),
                reversed=tuple(returned), complete=self.over,
            )
        )  # fmt: skip

    def _from_legs(self, line_id: str, amount: int) -> Iterable[ReversedLeg]:
        keys = [key for key in self.legs if key[0] == line_id]
        if not keys:
            return
        for key, part in zip(keys, allot(amount, [self.legs[key][1] for key in keys]), strict=True):
            leg_id, left = self.legs[key]
            self.legs[key] = (leg_id, left - part)
            yield ReversedLeg(leg_id=leg_id, amount=yuan(part), source="leg")

    def release(self) -> None:
        """What is left of every line, by its terms; nothing where nothing is left."""
        if self.over:
            return
        legs = []
        for each in self.placed.terms.lines:
            parts = allot(self.left[each.line_id], [share.bps for share in each.shares])
            for share, part in zip(each.shares, parts, strict=True):
                if part:
                    self.legs[each.line_id, share.role] = (new_id("leg"), part)
                    legs.append(
                        ReleasedLeg(
                            leg_id=self.legs[each.line_id, share.role][0], line_id=each.line_id, role=share.role,
                            payee=share.payee, amount=yuan(part), matures=share.matures,
                        )
                    )  # fmt: skip
        self.facts.append(Released(order_id=self.placed.order_id, at=self.placed.placed_at, legs=tuple(legs)))

    def angel_part(self, line_id: str) -> int:
        """What the books say is the angel's of this line now."""
        if (line_id, "angel") in self.legs:
            return self.legs[line_id, "angel"][1]
        if any(isinstance(fact, Released) for fact in self.facts):
            return 0
        shares = next(each.shares for each in self.placed.terms.lines if each.line_id == line_id)
        place = [share.role for share in shares].index("angel")
        return allot(self.left[line_id], [share.bps for share in shares])[place]


def bare(commission: Commission) -> dict[str, Any]:
    """A commission without what differs between two runs of the same story."""
    names = (
        "line_id",
        "angel",
        "state",
        "planned",
        "kept",
        "held",
        "refunded",
        "leg_id",
        "released",
        "returned",
        "undone",
    )
    return {name: getattr(commission, name) for name in names}
