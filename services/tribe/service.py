"""The tribe service, assembled: what it hears, what it is asked. Read this first."""

from datetime import timedelta
from functools import partial

from chassis import clock, grants
from chassis.bus.base import Bus
from chassis.caller import Command
from chassis.db import Database
from chassis.decision import NotFound
from chassis.grants import Grant, caller_grant, grant_id
from chassis.service import Service
from chassis.settings import ChassisSettings
from chassis.touches import Handler, ask, hear, many, maybe, one
from contracts.fact import Fact
from contracts.order import OfferPublished, OfferWithdrawn
from contracts.partner import PartnershipActivated, PartnershipAmended, PartnershipEnded, PartnershipSuspended
from services.tribe import handlers, heard, publishing, routes, store
from services.tribe.commands import (
    CreateInvitation,
    FoundTribe,
    JoinTribe,
    LeaveTribe,
    PublishContent,
    UpdateRole,
    UpdateTribe,
    WithdrawContent,
)
from services.tribe.domain import Counts, Membership, Seat, Tribe, seat_id
from services.tribe.heard import Offer, Partnership
from services.tribe.invitations import Invitations
from services.tribe.schemas import ContentOut, DocumentOut, MembershipOut, TribeOut
from services.tribe.settings import TribeSettings
from services.tribe.writing import Content

# Tribes, memberships and contents are born here: what is not there does not exist, however young its id.
TRIBE = one(Tribe, "tribe_id", missing=NotFound)
COUNTS = one(Counts, "tribe_id", missing=NotFound)
MEMBERSHIP = one(Membership, "membership_id", missing=NotFound)
CONTENT = one(Content, "content_id", missing=NotFound)
OWN_SEAT = maybe(Seat, lambda command: command.caller.person_id and seat_id(command.tribe_id, command.caller.person_id))

_PARTNERSHIP = hear(heard.partnership_changed, maybe(Partnership, "partnership_id"))
_OFFER = hear(heard.offer_changed, maybe(Offer, "offer_id"))
HEARS: dict[type[Fact], Handler] = {
    **clock.HEARS,
    **grants.HEARS_STAFF,
    PartnershipActivated: _PARTNERSHIP,
    PartnershipAmended: _PARTNERSHIP,
    PartnershipSuspended: _PARTNERSHIP,
    PartnershipEnded: _PARTNERSHIP,
    OfferPublished: _OFFER,
    OfferWithdrawn: _OFFER,
}


def asked(invitations: Invitations) -> dict[type[Command], Handler]:
    """Every command, and what its handler must see."""
    lifetime = timedelta(seconds=invitations.lifetime_seconds)
    return {
        FoundTribe: ask(
            handlers.found_tribe,
            one(Partnership, "partnership_id"),
            caller_grant(lambda _, partnership: partnership.partner_id),
            reply=TribeOut.of,
        ),
        UpdateTribe: ask(handlers.update_tribe, TRIBE, COUNTS, caller_grant("tribe_id"), reply=TribeOut.of),
        UpdateRole: ask(
            handlers.update_role,
            MEMBERSHIP,
            caller_grant("tribe_id"),
            maybe(Grant, lambda _, member, _own: grant_id(member.tribe_id, member.person_id), after=True),
            COUNTS,
            reply=partial(MembershipOut.of, mine=False),
        ),
        CreateInvitation: ask(
            partial(handlers.create_invitation, lifetime),
            TRIBE,
            one(Partnership, lambda _, tribe: tribe.partnership_id, after=True),
            caller_grant("partner_id"),
            reply=invitations.write,
        ),
        JoinTribe: ask(
            handlers.join_tribe,
            TRIBE,
            OWN_SEAT,
            maybe(Membership, lambda _, _tribe, seat: seat and seat.membership_id, after=True),
            caller_grant("tribe_id"),
            COUNTS,
            reply=partial(MembershipOut.of, mine=True),
        ),
        LeaveTribe: ask(
            handlers.leave_tribe,
            MEMBERSHIP,
            one(Counts, lambda _, member: member.tribe_id, after=True),
            caller_grant(lambda _, member, _counts: member.tribe_id),
            reply=partial(MembershipOut.of, mine=True),
        ),
        PublishContent: ask(
            publishing.publish_content,
            TRIBE,
            caller_grant("tribe_id"),
            OWN_SEAT,
            maybe(Membership, lambda _, _tribe, _grant, seat: seat and seat.membership_id, after=True),
            COUNTS,
            many(Offer, "offer_ids"),
            reply=lambda both: DocumentOut.whole(*both),
        ),
        WithdrawContent: ask(
            publishing.withdraw_content,
            CONTENT,
            one(Membership, lambda _, content: content.author, after=True),
            caller_grant(lambda _, content, _author: content.tribe_id),
            one(Counts, lambda _, content, *_others: content.tribe_id, after=True),
            reply=lambda both: ContentOut.of(*both),
        ),
    }


def build(*, database: Database, bus: Bus, chassis: ChassisSettings, settings: TribeSettings | None = None) -> Service:
    """The tribe service on its own database. Its invitations are signed with its own key."""
    settings = settings or TribeSettings()
    invitations = Invitations(settings.key(), settings.invitation_days * 24 * 3600)
    return Service(
        "tribe",
        stores=store.STORES,
        hears=HEARS,
        asked=asked(invitations),
        router=routes.router,
        database=database,
        bus=bus,
        settings=chassis,
        state={"invitations": invitations},
    )
