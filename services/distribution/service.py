"""Distribution, assembled: who hears what, who is asked what. Read this first."""

from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from chassis import clock, grants
from chassis.bus.base import Bus
from chassis.caller import Command
from chassis.db import Database
from chassis.grants import Grant
from chassis.service import Service
from chassis.settings import ChassisSettings
from chassis.touches import Handler, ask, hear, many, maybe, new, one
from contracts.escrow import Held, Refunded, Released
from contracts.fact import Fact
from contracts.order import OfferPublished, OfferWithdrawn, OrderPlaced
from contracts.partner import StaffChanged
from contracts.tribe import ContentPublished, ContentWithdrawn
from services.distribution import handlers, routes, store
from services.distribution.commands import Join, Open, Share
from services.distribution.commission import Commission
from services.distribution.domain import (
    Angel,
    Attribution,
    Content,
    Offer,
    PersonTouches,
    Rules,
    ShareLink,
    Staff,
)
from services.distribution.schemas import AngelOut, ShareLinkOut, TouchOut
from services.distribution.settings import DistributionSettings
from services.distribution.tokens import Tokens

ATTRIBUTED = (
    one(Attribution, "order_id"),
    many(Commission, lambda _, attribution: attribution.commission_ids, after=True),
)
TARGET = (
    maybe(Offer, lambda _, link: link.target, after=True),
    maybe(Content, lambda _, link, __: link.target, after=True),
)


def _caller(command: Command) -> str | None:
    return command.caller.person_id


def hears(rules: Rules, tokens: Tokens) -> dict[type[Fact], Handler]:
    """Every fact distribution hears: this service's row of the catalogue."""
    offer = hear(handlers.offer_changed, maybe(Offer, "offer_id"))
    content = hear(handlers.content_changed, maybe(Content, "content_id"))
    return {
        **clock.HEARS,
        StaffChanged: hear(
            handlers.staff_changed,
            maybe(Grant, lambda fact: grants.grant_id(fact.party_id, fact.person_id)),
            maybe(Staff, "party_id"),
        ),
        OfferPublished: offer,
        OfferWithdrawn: offer,
        ContentPublished: content,
        ContentWithdrawn: content,
        OrderPlaced: hear(
            partial(handlers.attribute, rules, tokens.touch_in),
            new(Attribution, "order_id"),
            maybe(PersonTouches, "buyer"),
            many(Content, handlers.contents_touched(tokens.touch_in), after=True),
            maybe(Staff, "seller"),
        ),
        Held: hear(handlers.hold, *ATTRIBUTED),
        Released: hear(handlers.release, *ATTRIBUTED),
        Refunded: hear(handlers.refund, *ATTRIBUTED),
    }


def asked(rules: Rules, tokens: Tokens, public_url: str) -> dict[type[Command], Handler]:
    """Every command. Signing is done on the way out: a decision knows no key."""

    def link_out(made: tuple[ShareLink, str]) -> ShareLinkOut:
        link, language = made
        return ShareLinkOut.carrying(link, language, tokens.for_link(link), public_url)

    def touch_out(touch: Any) -> TouchOut:
        return TouchOut(touch_token=tokens.for_touch(touch), until=rules.counts_until(touch.touched_at))

    return {
        Join: ask(partial(handlers.join, rules), maybe(Angel, _caller), reply=AngelOut.of),
        Share: ask(
            partial(handlers.share, rules),
            maybe(Angel, _caller),
            maybe(Offer, "offer_id"),
            maybe(Content, "content_id"),
            reply=link_out,
        ),
        Open: ask(
            partial(handlers.open_link, rules),
            one(ShareLink, "link_id"),
            *TARGET,
            maybe(PersonTouches, _caller),
            reply=touch_out,
        ),
    }


def build(
    *, database: Database, bus: Bus, chassis: ChassisSettings, settings: DistributionSettings | None = None
) -> Service:
    """Distribution on this database and bus, ready to be entered."""
    settings = settings or DistributionSettings()
    rules = Rules(
        version=settings.rules_version,
        link_days=settings.link_days,
        window_days=settings.attribution_window_days,
        touches_max=settings.person_touches_max,
        zone=ZoneInfo(chassis.timezone),
    )
    tokens = Tokens(settings.key(), rules)
    public_url = str(settings.public_url)
    return Service(
        "distribution",
        stores=store.STORES,
        hears=hears(rules, tokens),
        asked=asked(rules, tokens, public_url),
        router=routes.router,
        database=database,
        bus=bus,
        settings=chassis,
        state={"tokens": tokens, "public_url": public_url},
    )
