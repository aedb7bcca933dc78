"""One function per command: applications and partnerships. Both sides choose; neither can choose for the other."""

from dataclasses import replace

from chassis.caller import Caller
from chassis.decision import Applied, InvalidRequest, NotFound, Said, Unauthenticated, WrongRole, say
from chassis.grants import Grant
from chassis.moment import Moment
from chassis.policy import STAFF, acts_for, belongs_to
from contracts.money import Money
from contracts.partner import (
    ApplicationDecided,
    ApplicationSubmitted,
    PartnershipActivated,
    PartnershipEnded,
    PartnershipLimits,
    PartnershipSuspended,
    PartnershipTerms,
)
from services.partner import agreement
from services.partner.agreement import SIDES, AgreedTerms, Application, Pair, Partnership, Side
from services.partner.commands import CreateApplication, MoveApplication, MovePartnership
from services.partner.domain import Merchant, Partner

Grants = dict[Side, Grant | None]


def sides_of(
    caller: Caller, parties: dict[Side, str], grants: Grants, *, scope: str, hidden_from: frozenset[Side] = frozenset()
) -> tuple[Side, ...]:
    """The sides that the caller acts for. NotFound for a stranger and for a side it is hidden from, WrongRole for
    somebody who is at a side in another role."""
    if caller.person_id is None and caller.party_id is None:
        raise Unauthenticated
    seeing = [side for side in SIDES if side not in hidden_from]
    sides = tuple(side for side in seeing if acts_for(caller, parties[side], grants[side], STAFF, scope))
    if sides:
        return sides
    raise WrongRole if any(belongs_to(caller, parties[side], grants[side]) for side in seeing) else NotFound


# --- applications ----------------------------------------------------------------------------------------------------


def create_application(
    merchant: Merchant,
    _partner: Partner,
    by_merchant: Grant | None,
    by_partner: Grant | None,
    command: CreateApplication,
    at: Moment,
) -> Applied:
    """Either side opens it, as a draft that only this side sees."""
    parties: dict[Side, str] = {"merchant": command.merchant_id, "partner": command.partner_id}
    grants: Grants = {"merchant": by_merchant, "partner": by_partner}
    sides = sides_of(command.caller, parties, grants, scope="applications:write")
    # Who acts for both applies as the partner: it is the merchant who is asked.
    opened_by = sides[-1]
    agreement.require_can_apply(merchant, opened_by)
    application = Application(
        application_id=at.id("apl"),
        merchant_id=command.merchant_id,
        partner_id=command.partner_id,
        opened_by=opened_by,
        state="draft",
        answers=command.answers,
        capability=command.capability,
        proposal=None,
        reason_code=None,
        partnership_id=None,
        version=1,
    )
    return Applied((application,), reply=application, reason="application_created")


def move_application(
    application: Application,
    merchant: Merchant,
    pair: Pair | None,
    by_merchant: Grant | None,
    by_partner: Grant | None,
    command: MoveApplication,
    at: Moment,
) -> Applied:
    """Submit, accept, reject or withdraw; the second acceptance makes the partnership."""
    parties: dict[Side, str] = {"merchant": application.merchant_id, "partner": application.partner_id}
    grants: Grants = {"merchant": by_merchant, "partner": by_partner}
    hidden = frozenset(SIDES) - {application.opened_by} if application.state == "draft" else frozenset()
    sides = sides_of(command.caller, parties, grants, scope="applications:write", hidden_from=hidden)
    moved = agreement.move_application(application, command.move, sides)
    if command.move == "reject" and command.reason_code is None:
        raise InvalidRequest.at("/reason_code", "say why")
    moved = replace(moved, reason_code=command.reason_code)
    if command.move == "submit":
        return _submit(moved, merchant, pair)
    if moved.state == "agreed":
        return _agree(moved, pair, at)
    if moved.state in {"rejected", "withdrawn"}:
        return _end(application, moved, pair)
    return Applied((moved,), reply=moved, reason=moved.state)


def _submit(application: Application, merchant: Merchant, pair: Pair | None) -> Applied:
    submitted = agreement.submitted(application, merchant)
    claimed = agreement.claimed(pair, submitted)
    fact = ApplicationSubmitted(
        application_id=submitted.application_id, merchant_id=submitted.merchant_id, partner_id=submitted.partner_id
    )
    return Applied((submitted, claimed), (_to_both(fact, submitted),), reply=submitted, reason="submitted")


def _agree(application: Application, pair: Pair | None, at: Moment) -> Applied:
    application, partnership = agreement.agreed(application, at.id("pst"), at.now)
    freed = _freed(pair, partnership.partnership_id)
    facts = (_decided(application), say_partnership(partnership))
    return Applied((application, *freed, partnership), facts, reply=application, reason="agreed")


def _end(before: Application, after: Application, pair: Pair | None) -> Applied:
    """Rejected or withdrawn. A draft was nobody else's business, and its end is not either."""
    if before.state == "draft":
        return Applied((after,), reply=after, reason=after.state)
    return Applied((after, *_freed(pair, None)), (_decided(after),), reply=after, reason=after.state)


def _freed(pair: Pair | None, partnership_id: str | None) -> tuple[Pair, ...]:
    assert pair is not None  # noqa: S101 - claimed by submitting
    return (replace(pair, application_id=None, partnership_id=partnership_id),)


def _decided(application: Application) -> Said:
    fact = ApplicationDecided.model_validate(
        {
            "application_id": application.application_id,
            "merchant_id": application.merchant_id,
            "partner_id": application.partner_id,
            "outcome": application.state,
            "reason_code": application.reason_code,
        }
    )
    return _to_both(fact, application)


def _to_both(fact: ApplicationSubmitted | ApplicationDecided, application: Application) -> Said:
    return say(fact, application.merchant_id, application.partner_id)


# --- partnerships ----------------------------------------------------------------------------------------------------


def move_partnership(
    partnership: Partnership,
    pair: Pair,
    by_merchant: Grant | None,
    by_partner: Grant | None,
    command: MovePartnership,
    _at: Moment,
) -> Applied:
    """Activate, suspend, resume or end. Once ended, the two may begin anew."""
    parties: dict[Side, str] = {"merchant": partnership.merchant_id, "partner": partnership.partner_id}
    grants: Grants = {"merchant": by_merchant, "partner": by_partner}
    sides = sides_of(command.caller, parties, grants, scope="partnerships:write")
    moved = agreement.move_partnership(partnership, command.move, sides, command.reason_code)
    freed = (replace(pair, partnership_id=None),) if moved.state == "ended" else ()
    return Applied((moved, *freed), (say_partnership(moved),), reply=moved, reason=command.move)


_FACT_OF = {
    "trial": PartnershipActivated,
    "active": PartnershipActivated,
    "suspended": PartnershipSuspended,
    "ended": PartnershipEnded,
}


def say_partnership(partnership: Partnership) -> Said:
    """The partnership's whole present state, to both sides."""
    fact = _FACT_OF[partnership.state](
        partnership_id=partnership.partnership_id,
        merchant_id=partnership.merchant_id,
        partner_id=partnership.partner_id,
        state=partnership.state,
        terms=_terms(partnership.terms),
        regions=partnership.regions,
        version=partnership.version,
    )
    return say(fact, partnership.merchant_id, partnership.partner_id)


def _terms(terms: AgreedTerms) -> PartnershipTerms:
    limit = terms.max_order_amount
    return PartnershipTerms(
        version=terms.version,
        service_bps=terms.service_bps,
        group=terms.group,
        limits=PartnershipLimits(
            max_order_amount=None if limit is None else Money(amount=limit, currency=terms.currency)
        ),
        effective_from=terms.effective_from,
    )
