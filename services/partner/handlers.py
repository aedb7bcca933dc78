"""One function per command: merchants, partners and staff. This service keeps the grants that others only hear of."""

from dataclasses import replace

from chassis.caller import Caller
from chassis.decision import Applied, Ignored, NotFound, Said, Unauthenticated, VersionStale, WrongRole, say
from chassis.grants import Grant, grant_id
from chassis.moment import Moment
from chassis.policy import OWNER, STAFF, acts_for, belongs_to, require_person
from contracts.ids import PLATFORM
from contracts.partner import MerchantChanged, MerchantOpened, StaffChanged
from services.partner import domain
from services.partner.commands import (
    CreateMerchant,
    CreatePartner,
    NameFirstOps,
    UpdateMerchant,
    UpdatePartner,
    UpdateStaff,
)
from services.partner.domain import Merchant, Partner, Recruiting, Roster, Values


def require_role(
    caller: Caller, party_id: str, grant: Grant | None, *, roles: frozenset[str] = STAFF, scope: str = ""
) -> None:
    """As `policy.require_party`, in the one place where no grant can still be on its way: a stranger is a stranger."""
    if caller.person_id is None and caller.party_id is None:
        raise Unauthenticated
    if not acts_for(caller, party_id, grant, roles, scope):
        raise WrongRole if belongs_to(caller, party_id, grant) else NotFound


# --- merchants -------------------------------------------------------------------------------------------------------


def create_merchant(command: CreateMerchant, at: Moment) -> Applied:
    """Anyone may begin a merchant, and owns it; it is a draft until its values are said and it opens."""
    person_id = require_person(command.caller)
    merchant = Merchant(
        merchant_id=at.id("mch"),
        name=command.name,
        categories=command.categories,
        state="draft",
        values=Values(),
        values_version=0,
        recruiting=Recruiting(),
        version=1,
    )
    changed, fact = _founded(merchant.merchant_id, person_id)
    return Applied((merchant, *changed), (fact,), reply=merchant, reason="merchant_created")


def _founded(party_id: str, person_id: str) -> tuple[tuple[Roster, Grant], Said]:
    """A new party's first owner."""
    head = domain.HEAD[domain.kind_of(party_id)]
    grant, fact = _granted(None, party_id, person_id, head)
    return (Roster(party_id, (person_id,)), grant), fact


def _granted(grant: Grant | None, party_id: str, person_id: str, role: str | None) -> tuple[Grant, Said]:
    version = grant.version + 1 if grant else 1
    changed = Grant(grant_id(party_id, person_id), party_id, person_id, role, version)
    fact = StaffChanged.model_validate({"party_id": party_id, "person_id": person_id, "role": role, "version": version})
    return changed, say(fact, party_id, about=changed)


def update_merchant(merchant: Merchant, grant: Grant | None, command: UpdateMerchant, _at: Moment) -> Applied:
    """Say who the merchant is, call for partners, open. What the command leaves out stays."""
    require_role(command.caller, merchant.merchant_id, grant, scope="merchants:write")
    if command.version != merchant.version:
        raise VersionStale
    changed = _changed_merchant(merchant, command)
    if changed == merchant:
        return Applied(reply=merchant)
    changed = replace(changed, version=merchant.version + 1)
    facts = () if changed.state == "draft" else (say(_merchant_fact(merchant, changed), merchant.merchant_id),)
    return Applied((changed,), facts, reply=changed, reason="merchant_changed")


def _changed_merchant(merchant: Merchant, command: UpdateMerchant) -> Merchant:
    changed = replace(
        merchant,
        name=command.name or merchant.name,
        categories=merchant.categories if command.categories is None else command.categories,
    )
    changed = domain.with_values(changed, command.values)
    changed = domain.recruiting(changed, command.recruiting)
    return domain.opened(changed) if command.open else changed


def _merchant_fact(before: Merchant, after: Merchant) -> MerchantOpened | MerchantChanged:
    kind = MerchantOpened if before.state == "draft" else MerchantChanged
    return kind.model_validate(
        {
            "merchant_id": after.merchant_id,
            "state": after.state,
            "values_version": after.values_version,
            "categories": after.categories,
            "version": after.version,
        }
    )


# --- partners --------------------------------------------------------------------------------------------------------


def create_partner(command: CreatePartner, at: Moment) -> Applied:
    """Anyone may offer to be a partner: no fee, no deposit, no minimum purchase."""
    person_id = require_person(command.caller)
    partner = Partner(at.id("prt"), command.display_name, command.regions, command.capability, 1)
    changed, fact = _founded(partner.partner_id, person_id)
    return Applied((partner, *changed), (fact,), reply=partner, reason="partner_created")


def update_partner(partner: Partner, grant: Grant | None, command: UpdatePartner, _at: Moment) -> Applied:
    """Change the profile. What the command leaves out stays."""
    require_role(command.caller, partner.partner_id, grant, scope="partners:write")
    if command.version != partner.version:
        raise VersionStale
    changed = replace(
        partner,
        display_name=command.display_name or partner.display_name,
        regions=partner.regions if command.regions is None else command.regions,
        capability=command.capability or partner.capability,
    )
    if changed == partner:
        return Applied(reply=partner)
    changed = replace(changed, version=partner.version + 1)
    return Applied((changed,), reply=changed, reason="partner_changed")


# --- staff -----------------------------------------------------------------------------------------------------------


def update_staff(roster: Roster, own: Grant | None, grant: Grant | None, command: UpdateStaff, _at: Moment) -> Applied:
    """An owner appoints or dismisses; the last owner stays. People do this, never a key."""
    require_person(command.caller)
    heads = OWNER if command.party_id != PLATFORM else frozenset({"ops"})
    require_role(command.caller, command.party_id, own, roles=heads)
    domain.require_known_role(command.party_id, command.role)
    if command.version != (grant.version if grant else 0):
        raise VersionStale
    if command.role == (grant.role if grant else None):
        return Applied(reply=grant or Grant("", command.party_id, command.person_id, None, 0))
    changed = domain.appointed(roster, command.person_id, command.role)
    granted, fact = _granted(grant, command.party_id, command.person_id, command.role)
    rosters = (changed,) if changed != roster else ()
    return Applied((*rosters, granted), (fact,), reply=granted, reason="staff_changed")


def name_first_ops(roster: Roster | None, grant: Grant | None, command: NameFirstOps, _at: Moment) -> Applied | Ignored:
    """The platform gets its first ops person, once."""
    if roster is not None:
        return Ignored("platform_has_ops")
    granted, fact = _granted(grant, PLATFORM, command.person_id, domain.HEAD[PLATFORM])
    return Applied((Roster(PLATFORM, (command.person_id,)), granted), (fact,), reason="first_ops_named")
