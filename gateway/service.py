"""The gateway, assembled: what it hears, what it is asked, and the edge in front of everything. Read this first."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from chassis import settings as chassis_settings
from chassis.bus.base import Bus
from chassis.clock import THE_CLOCK, ClockOffset
from chassis.db import Database
from chassis.decision import NotFound
from chassis.grants import Grant, caller_grant, grant_id
from chassis.service import Service
from chassis.touches import Handler, ask, hear_whole, many, maybe, new, one
from chassis.web import App
from contracts import catalogue
from contracts.fact import Fact
from contracts.partner import StaffChanged
from contracts.tribe import RoleChanged
from gateway import handlers, routes, schemas
from gateway.advance import Advance
from gateway.domain import (
    ApiKey,
    Code,
    CodeInvalid,
    KeyRing,
    Operation,
    Person,
    PersonalDataGone,
    Phone,
    Recipient,
    Session,
    SessionRevoked,
)
from gateway.doors import DeliverCode, Doors
from gateway.settings import GatewaySettings, refuse_sandbox_in_production, require_matching_keys
from gateway.store import STORES
from gateway.upstream import InProcess
from gateway.vault import Marks

MYSELF = one(Person, "caller.person_id", missing=NotFound)

ASKED: dict[type, Handler] = {
    handlers.MakeCode: ask(handlers.make_code, maybe(Phone, "phone_index"), new(Code, "code_id")),
    handlers.SignIn: ask(
        handlers.sign_in,
        one(Code, "code_id", missing=CodeInvalid),
        one(Phone, lambda _asked, code: code.phone_index, after=True),
        maybe(Person, lambda _asked, _code, phone: phone.person_id, after=True),
        new(Session, "session_id"),
    ),
    handlers.Refresh: ask(handlers.refresh, one(Session, "session_id", missing=SessionRevoked)),
    handlers.ChangeMe: ask(handlers.change_me, MYSELF, many(Session, "end_sessions", missing=NotFound)),
    handlers.AddRecipient: ask(handlers.add_recipient, MYSELF, new(Recipient, "recipient_id")),
    handlers.EraseRecipient: ask(handlers.erase_recipient, MYSELF, one(Recipient, "recipient_id", missing=NotFound)),
    handlers.Disclose: ask(handlers.disclose, one(Recipient, "recipient_id", missing=PersonalDataGone)),
    handlers.CreateKey: ask(
        handlers.create_key,
        caller_grant("party_id"),
        maybe(KeyRing, "party_id"),
        many(ApiKey, lambda _asked, _grant, ring: ring.key_ids if ring else (), after=True),
        reply=schemas.KeyOut.of,
    ),
    handlers.DeleteKey: ask(
        handlers.delete_key,
        one(ApiKey, "key_id", missing=NotFound),
        caller_grant(lambda _asked, key: key.party_id),
    ),
    handlers.StartAdvance: ask(handlers.start_advance),
    handlers.StepClock: ask(
        handlers.step_clock, one(Operation, "operation_id"), maybe(ClockOffset, lambda _asked: THE_CLOCK)
    ),
    handlers.EndAdvance: ask(handlers.end_advance, one(Operation, "operation_id")),
}


def hears(marks: Marks) -> dict[type[Fact], Handler]:
    """Every fact that others say: recorded for those who may see it; two of them also say who may act for whom."""
    record = handlers.recorder(marks.party_secret)
    known = handlers.with_grant(record)
    everything = [catalogue.entry(fact_type).fact for fact_type in catalogue.heard_by("gateway")]
    return {
        **{fact: hear_whole(record) for fact in everything},
        StaffChanged: hear_whole(
            known["staff"], maybe(Grant, lambda heard: grant_id(heard.fact.party_id, heard.fact.person_id))
        ),
        RoleChanged: hear_whole(
            known["role"], maybe(Grant, lambda heard: grant_id(heard.fact.tribe_id, heard.fact.person_id))
        ),
    }


def build(
    *,
    database: Database,
    bus: Bus,
    chassis: chassis_settings.ChassisSettings,
    settings: GatewaySettings,
    upstreams: Mapping[str, App],
    deliver_code: DeliverCode | None = None,
    closing: Sequence[Callable[[], Awaitable[object]]] = (),
) -> Service:
    """The gateway over these services. `edge.app(service, upstreams)` is what the world may reach.

    Raises NotFitForProduction, or ValueError where the services would not believe its tokens.
    """
    refuse_sandbox_in_production(chassis, settings, delivers_codes=deliver_code is not None)
    require_matching_keys(chassis, settings)
    upstream = InProcess(upstreams)
    advance = Advance(upstream, settings.clock_patience_seconds)
    doors = Doors.of(settings, upstream, deliver_code)
    service = Service(
        "gateway",
        stores=STORES,
        hears=hears(doors.marks),
        asked=ASKED,
        router=routes.router,
        database=database,
        bus=bus,
        settings=chassis,
        ports={handlers.ADVANCE_CLOCK: advance},
        state={"doors": doors},
        closing=closing,
    )
    advance.belongs_to(service)
    return service
