"""The partner service, assembled: what it hears, what it is asked. Read this first."""

from typing import Self

from chassis import clock
from chassis.bus.base import Bus
from chassis.caller import SYSTEM, Command
from chassis.db import Database
from chassis.decision import NotFound
from chassis.grants import Grant, caller_grant, grant_id
from chassis.service import Service
from chassis.settings import ChassisSettings
from chassis.touches import Handler, ask, maybe, one
from contracts.fact import Fact
from contracts.ids import PLATFORM
from services.partner import agreements, handlers, routes, store
from services.partner.agreement import Application, Pair, Partnership, pair_id
from services.partner.commands import (
    CreateApplication,
    CreateMerchant,
    CreatePartner,
    MoveApplication,
    MovePartnership,
    NameFirstOps,
    UpdateMerchant,
    UpdatePartner,
    UpdateStaff,
)
from services.partner.domain import Merchant, Partner, Roster
from services.partner.schemas import ApplicationOut, MerchantOut, PartnerOut, PartnershipOut, StaffOut
from services.partner.settings import PartnerSettings

# Everything asked for is born here: what is not there does not exist, however young its id.
MERCHANT = one(Merchant, "merchant_id", missing=NotFound)
PARTNER = one(Partner, "partner_id", missing=NotFound)
APPLICATION = one(Application, "application_id", missing=NotFound)
PARTNERSHIP = one(Partnership, "partnership_id", missing=NotFound)

HEARS: dict[type[Fact], Handler] = {**clock.HEARS}
ASKED: dict[type[Command], Handler] = {
    CreateMerchant: ask(handlers.create_merchant, reply=MerchantOut.of),
    UpdateMerchant: ask(handlers.update_merchant, MERCHANT, caller_grant("merchant_id"), reply=MerchantOut.of),
    CreatePartner: ask(handlers.create_partner, reply=PartnerOut.of),
    UpdatePartner: ask(handlers.update_partner, PARTNER, caller_grant("partner_id"), reply=PartnerOut.of),
    UpdateStaff: ask(
        handlers.update_staff,
        one(Roster, "party_id", missing=NotFound),
        caller_grant("party_id"),
        maybe(Grant, lambda command: grant_id(command.party_id, command.person_id)),
        reply=StaffOut.of,
    ),
    NameFirstOps: ask(
        handlers.name_first_ops,
        maybe(Roster, lambda _: PLATFORM),
        maybe(Grant, lambda command: grant_id(PLATFORM, command.person_id)),
    ),
    CreateApplication: ask(
        agreements.create_application,
        MERCHANT,
        PARTNER,
        caller_grant("merchant_id"),
        caller_grant("partner_id"),
        reply=ApplicationOut.of,
    ),
    MoveApplication: ask(
        agreements.move_application,
        APPLICATION,
        one(Merchant, lambda _, application: application.merchant_id, after=True),
        maybe(Pair, lambda _, it, _merchant: pair_id(it.merchant_id, it.partner_id), after=True),
        caller_grant(lambda _, application, *_others: application.merchant_id),
        caller_grant(lambda _, application, *_others: application.partner_id),
        reply=ApplicationOut.of,
    ),
    MovePartnership: ask(
        agreements.move_partnership,
        PARTNERSHIP,
        one(Pair, lambda _, partnership: pair_id(partnership.merchant_id, partnership.partner_id), after=True),
        caller_grant(lambda _, partnership, *_others: partnership.merchant_id),
        caller_grant(lambda _, partnership, *_others: partnership.partner_id),
        reply=PartnershipOut.of,
    ),
}


class PartnerService(Service):
    """At start the platform gets its first ops person, if the setting names one and it has none."""

    first_ops_person_id: str | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.name_first_ops()
        return self

    async def name_first_ops(self) -> None:
        """Ask the own desk, like everybody else: the grant is said and written into the history."""
        if self.first_ops_person_id:
            await self.desk.ask(NameFirstOps(SYSTEM, self.first_ops_person_id), operation="start", key=None)


def build(
    *, database: Database, bus: Bus, chassis: ChassisSettings, settings: PartnerSettings | None = None
) -> Service:
    """The partner service on its own database."""
    settings = settings or PartnerSettings()
    service = PartnerService(
        "partner",
        stores=store.STORES,
        hears=HEARS,
        asked=ASKED,
        router=routes.router,
        database=database,
        bus=bus,
        settings=chassis,
    )
    service.first_ops_person_id = settings.first_ops_person_id
    return service
