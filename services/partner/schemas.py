"""What the partner service takes and gives: request and response models, never rows, never facts."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from chassis.grants import Grant
from chassis.web import In, Out
from contracts.fact import ReasonCode
from contracts.ids import CategoryCode, GroupCode, MerchantId, PartnerId, RegionCode
from contracts.money import Bps, Money
from services.partner.agreement import (
    AgreedTerms,
    Answers,
    Application,
    ApplicationState,
    Next,
    Partnership,
    Side,
    application_next,
    partnership_next,
)
from services.partner.domain import Merchant, OfferedTerms, Partner, Recruiting, Values

# One line and many lines of people's words. PostgreSQL cannot keep a NUL; a name is not blank at its beginning.
Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
Categories = Annotated[list[CategoryCode], Field(min_length=1, max_length=20)]
Regions = Annotated[list[RegionCode], Field(max_length=100)]
CURRENCY = "CNY"
"""Of a limit that is not set: nothing is counted in it."""


class NextAction(Out):
    """A move that is possible now, whose it is, and until when (None: no deadline)."""

    move: str
    by: Side
    until: datetime | None = None

    @classmethod
    def of(cls, following: Next) -> Self:
        return cls(move=following.move, by=following.by)


class ValuesPart(In):
    """The four axes, the mission, and whom the merchant looks for. What is absent or null stays as it is."""

    frequency: Words | None = None
    taste: Words | None = None
    feeling: Words | None = None
    acting: Words | None = None
    mission: Words | None = None
    looking_for: Words | None = None


class Limits(In):
    """How far a partner may go before the merchant is asked; null is no limit."""

    max_order_amount: Money | None = None


class OfferedTermsPart(In):
    """What every partner of this merchant is offered; `service_bps` are basis points of each line it sells."""

    service_bps: Bps
    group: GroupCode = "standard"
    limits: Limits = Limits()

    @classmethod
    def of(cls, terms: OfferedTerms) -> Self:
        return cls(service_bps=terms.service_bps, group=terms.group, limits=_limits(terms))

    def domain(self) -> OfferedTerms:
        limit = self.limits.max_order_amount
        currency = limit.currency if limit else CURRENCY
        return OfferedTerms(self.service_bps, self.group, limit.amount if limit else None, currency)


def _limits(terms: OfferedTerms | AgreedTerms) -> Limits:
    if terms.max_order_amount is None:
        return Limits()
    return Limits(max_order_amount=Money(amount=terms.max_order_amount, currency=terms.currency))


class MerchantIn(In):
    name: Name
    categories: Categories


class RecruitingIn(In):
    """The call for partners. What is absent or null stays as it is."""

    open: bool | None = None
    regions: Regions | None = None
    terms: OfferedTermsPart | None = None

    def domain(self) -> Recruiting:
        regions = None if self.regions is None else distinct(self.regions)
        return Recruiting(self.open, regions, self.terms.domain() if self.terms else None)


class MerchantChange(In):
    """What is absent or null stays as it is. `state: open` opens the merchant, once its values are complete."""

    name: Name | None = None
    categories: Categories | None = None
    values: ValuesPart | None = None
    recruiting: RecruitingIn | None = None
    state: Literal["open"] | None = None


def distinct(items: list[str]) -> tuple[str, ...]:
    """Each once, in the order given."""
    return tuple(dict.fromkeys(items))


def values_in(part: ValuesPart | None) -> Values | None:
    return Values(**part.model_dump()) if part else None


class RecruitingOut(Out):
    open: bool
    regions: list[str]
    terms: OfferedTermsPart | None


class MerchantOut(Out):
    """A merchant and what it stands for."""

    id: str
    name: str
    categories: list[str]
    state: Literal["draft", "open"]
    values: ValuesPart
    values_version: int
    recruiting: RecruitingOut
    version: int

    @classmethod
    def of(cls, merchant: Merchant) -> Self:
        call = merchant.recruiting
        return cls(
            id=merchant.merchant_id,
            name=merchant.name,
            categories=list(merchant.categories),
            state=merchant.state,
            values=ValuesPart(**{name: getattr(merchant.values, name) for name in ValuesPart.model_fields}),
            values_version=merchant.values_version,
            recruiting=RecruitingOut(
                open=bool(call.open),
                regions=list(call.regions or ()),
                terms=OfferedTermsPart.of(call.terms) if call.terms else None,
            ),
            version=merchant.version,
        )


class PartnerIn(In):
    display_name: Name
    regions: Regions
    capability: Words


class PartnerChange(In):
    """What is absent or null stays as it is."""

    display_name: Name | None = None
    regions: Regions | None = None
    capability: Words | None = None


class PartnerOut(Out):
    """A partner's public profile."""

    id: str
    display_name: str
    regions: list[str]
    capability: str
    version: int

    @classmethod
    def of(cls, partner: Partner) -> Self:
        return cls(
            id=partner.partner_id,
            display_name=partner.display_name,
            regions=list(partner.regions),
            capability=partner.capability,
            version=partner.version,
        )


PartyRole = Literal["owner", "staff", "pickup", "ops", "arbiter"]


class StaffIn(In):
    """A role, or null to take it away. Owner, staff and pickup are roles at merchants and partners; ops and arbiter are
    the platform's."""

    role: PartyRole | None


class StaffOut(Out):
    """Who acts for a party, in which role; `version` is what If-Match names (0 before the first grant)."""

    party_id: str
    person_id: str
    role: PartyRole | None
    version: int

    @classmethod
    def of(cls, grant: Grant) -> Self:
        return cls.model_validate(
            {
                "party_id": grant.party_id,
                "person_id": grant.person_id,
                "role": grant.role,
                "version": grant.version,
            }
        )


class AnswersPart(In):
    """How the one who asks sees itself beside the other, on each of the four axes."""

    frequency: Words
    taste: Words
    feeling: Words
    acting: Words

    def domain(self) -> Answers:
        return Answers(self.frequency, self.taste, self.feeling, self.acting)


class ApplicationIn(In):
    merchant_id: MerchantId
    partner_id: PartnerId
    answers: AnswersPart
    capability: Words


class MoveIn(In):
    """`reason_code` is required for `reject`."""

    reason_code: ReasonCode | None = None


class ProposalOut(Out):
    """What both sides accept or not: pinned when the application was submitted."""

    terms: OfferedTermsPart
    regions: list[str]


class ApplicationOut(Out):
    """An application, the same for both sides."""

    id: str
    merchant_id: str
    partner_id: str
    opened_by: Side
    state: ApplicationState
    answers: AnswersPart
    capability: str
    proposal: ProposalOut | None
    reason_code: str | None
    partnership_id: str | None
    next_actions: list[NextAction]
    version: int

    @classmethod
    def of(cls, application: Application) -> Self:
        return cls(
            id=application.application_id,
            merchant_id=application.merchant_id,
            partner_id=application.partner_id,
            opened_by=application.opened_by,
            state=application.state,
            answers=AnswersPart(**{name: getattr(application.answers, name) for name in AnswersPart.model_fields}),
            capability=application.capability,
            proposal=_proposal(application),
            reason_code=application.reason_code,
            partnership_id=application.partnership_id,
            next_actions=[NextAction.of(each) for each in application_next(application)],
            version=application.version,
        )


def _proposal(application: Application) -> ProposalOut | None:
    proposal = application.proposal
    if proposal is None:
        return None
    return ProposalOut(terms=OfferedTermsPart.of(proposal.terms), regions=list(proposal.regions))


class TermsOut(Out):
    """Terms in force from `effective_from`."""

    version: int
    service_bps: int
    group: str
    limits: Limits
    effective_from: datetime


class PartnershipOut(Out):
    """An agreement between a merchant and a partner."""

    id: str
    merchant_id: str
    partner_id: str
    application_id: str
    state: Literal["trial", "active", "suspended", "ended"]
    terms: TermsOut
    regions: list[str]
    reason_code: str | None
    next_actions: list[NextAction]
    version: int

    @classmethod
    def of(cls, partnership: Partnership) -> Self:
        terms = partnership.terms
        return cls(
            id=partnership.partnership_id,
            merchant_id=partnership.merchant_id,
            partner_id=partnership.partner_id,
            application_id=partnership.application_id,
            state=partnership.state,
            terms=TermsOut(
                version=terms.version,
                service_bps=terms.service_bps,
                group=terms.group,
                limits=_limits(terms),
                effective_from=terms.effective_from,
            ),
            regions=list(partnership.regions),
            reason_code=partnership.reason_code,
            next_actions=[NextAction.of(each) for each in partnership_next(partnership)],
            version=partnership.version,
        )
