"""What distribution reads and answers over HTTP."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from chassis.web import In, Out
from contracts.fact import ReasonCode, Token
from contracts.ids import CommissionId, ContentId, LineId, LinkId, OfferId, OrderId, PersonId
from contracts.money import Money
from services.distribution.commission import Commission, State
from services.distribution.domain import CONTENT, Angel, Attribution, ShareLink
from services.distribution.store import Compliance, Summary

DISCLOSURE = {
    "zh": "广告：分享者可能从你的这次购买中获得佣金，你支付的价格不变。",
    "en": "Advertisement: whoever shared this may earn a commission on your purchase; your price stays the same.",
}
STATEMENT = {
    "zh": "只有一级：只有你亲自带来的订单有佣金；没有入门费，没有拉人奖励。",
    "en": "One level: only orders you bring yourself earn anything; no fee to join, no reward for recruiting.",
}


class AngelIn(In):
    """The rules the person accepts."""

    rules_version: Annotated[int, Field(ge=1, le=1_000_000)]


class AngelOut(Out):
    """An angel: one level, by construction."""

    person_id: PersonId
    rules_version: int
    joined_at: datetime
    level: Literal[1] = 1

    @classmethod
    def of(cls, angel: Angel) -> Self:
        return cls(person_id=angel.person_id, rules_version=angel.rules_version, joined_at=angel.joined_at)


class AngelSummaryOut(AngelOut):
    """What an angel's sharing has come to. `orders` are those whose money has been held."""

    opens: int
    orders: int
    pending: Money
    maturing: Money
    payable: Money
    paid: Money
    reversed: Money
    statement: str

    @classmethod
    def summing(cls, summary: Summary, currency: str, language: str) -> Self:
        """`payable` and `paid` are zero until legs mature."""

        def money(amount: int) -> Money:
            return Money(amount=amount, currency=currency)

        return cls(
            **AngelOut.of(summary.angel).model_dump(),
            opens=summary.opens,
            orders=summary.orders,
            pending=money(summary.pending),
            maturing=money(summary.maturing),
            payable=money(0),
            paid=money(0),
            reversed=money(summary.reversed),
            statement=STATEMENT[language],
        )


class ShareLinkIn(In):
    """What to share: an offer or a piece of content, one of them."""

    offer_id: OfferId | None = None
    content_id: ContentId | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.offer_id is None) == (self.content_id is None):
            raise ValueError("name an offer or a piece of content, one of them")
        return self


class LandingOut(Out):
    """Where a link leads. It is advertising and says so; nothing can unset that."""

    offer_id: OfferId | None
    content_id: ContentId | None
    ad_label: Literal[True] = True
    disclosure: str
    expires_at: datetime

    @classmethod
    def of(cls, link: ShareLink, language: str) -> Self:
        is_content = link.target.startswith(CONTENT)
        return cls(
            offer_id=None if is_content else link.target,
            content_id=link.target if is_content else None,
            disclosure=DISCLOSURE[language],
            expires_at=link.expires_at,
        )


class ShareLinkOut(LandingOut):
    """An angel's own link, ready to be shared."""

    id: LinkId
    url: str
    token: Token

    @classmethod
    def carrying(cls, link: ShareLink, language: str, token: str, base: str) -> Self:
        landing = LandingOut.of(link, language).model_dump()
        return cls(**landing, id=link.link_id, url=f"{base.rstrip('/')}/v1/links/{token}", token=token)


class TouchIn(In):
    """The token of the link that was opened."""

    token: Token


class TouchOut(Out):
    """Send `touch_token` with the checkout; an order counts for it before `until`."""

    touch_token: Token
    until: datetime


class AttributedLineOut(Out):
    """Who brought this line: `angel` is shown to that angel alone, the others see that there is one."""

    line_id: LineId
    brought: bool
    angel: PersonId | None
    touch_at: datetime | None
    rule: Literal["last_valid_touch"] = "last_valid_touch"
    reason_code: ReasonCode


class AttributionOut(Out):
    """Decided once. An angel who is neither buyer nor seller sees the lines that are theirs."""

    order_id: OrderId
    lines: list[AttributedLineOut]

    @classmethod
    def seen_by(cls, person: str | None, attribution: Attribution, *, whole: bool) -> Self:
        lines = [
            AttributedLineOut(
                line_id=line.line_id,
                brought=line.angel is not None,
                angel=line.angel if line.angel == person else None,
                touch_at=line.touched_at,
                reason_code=line.reason_code,
            )
            for line in attribution.lines
            if whole or (line.angel is not None and line.angel == person)
        ]
        return cls(order_id=attribution.order_id, lines=lines)


WHY: dict[State, str] = {
    "awaiting_payment": "order_placed",
    "pending": "money_held",
    "maturing": "money_released",
    "reversed": "money_refunded",
}


class CommissionOut(Out):
    """`gross` as planned at placing, `amount` what is left of it now, `reversed` the difference."""

    id: CommissionId
    order_id: OrderId
    line_id: LineId
    state: State
    why: ReasonCode
    gross: Money
    amount: Money
    reversed: Money

    @classmethod
    def of(cls, commission: Commission) -> Self:
        def money(amount: int) -> Money:
            return Money(amount=amount, currency=commission.currency)

        return cls(
            id=commission.commission_id,
            order_id=commission.order_id,
            line_id=commission.line_id,
            state=commission.state,
            why=WHY[commission.state],
            gross=money(commission.planned),
            amount=money(commission.kept),
            reversed=money(commission.reversed),
        )


class EvidenceOut(Out):
    """What was looked at: names of columns that would make a hierarchy or a fee, and counts over all commissions."""

    hierarchy_columns: list[str]
    fee_columns: list[str]
    angels: int
    commissions: int
    most_angels_of_a_line: int
    own_purchases: int
    without_a_sale: int
    one_angel_per_line: bool


class ComplianceOut(Out):
    """Computed from schema and data at this moment: lawful are 1, 0 and 0."""

    max_depth: int
    entry_fees: int
    recruiting_rewards: int
    evidence: EvidenceOut

    @classmethod
    def of(cls, found: Compliance) -> Self:
        return cls(
            max_depth=max(1, found.most_angels_of_a_line) + len(found.hierarchy_columns),
            entry_fees=len(found.fee_columns),
            recruiting_rewards=found.without_a_sale,
            evidence=EvidenceOut(**found._asdict()),
        )
