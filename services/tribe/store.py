"""Tribe's tables, and what can be read from them."""

from typing import Any

import asyncpg
from sqlalchemy import BindParameter, Column, Integer, MetaData, Select, Text, bindparam, select

from chassis import clock, grants, mailbox
from chassis.db import Query
from chassis.store import Appended, Keyed
from services.tribe.domain import Counts, Membership, Seat, Tribe
from services.tribe.heard import Offer, Partnership
from services.tribe.writing import Content, Revision

METADATA = MetaData()
mailbox.install(METADATA)

GRANTS = grants.store(METADATA)
PARTNERSHIPS = Keyed(Partnership, "partnerships", "partnership_id", METADATA, pinned=("merchant_id", "partner_id"))
OFFERS = Keyed(Offer, "offers", "offer_id", METADATA)
TRIBES = Keyed(Tribe, "tribes", "tribe_id", METADATA, pinned=("partnership_id", "partner_id", "founded_at"))
SEATS = Keyed(Seat, "seats", "seat_id", METADATA, pinned=("membership_id",))
MEMBERSHIPS = Keyed(
    Membership, "memberships", "membership_id", METADATA,
    pinned=("tribe_id", "person_id", "pseudonym", "brought_by", "joined_at"),
    indexes=(("tribe_id", "state", "membership_id"),), unique=(("tribe_id", "person_id"),),
    checks=("(state = 'joined') = (role IS NOT NULL)",),
)  # fmt: skip
COUNTS = Keyed(
    Counts, "counts", "tribe_id", METADATA,
    checks=("owners >= 1", "members >= owners", "contents >= 0"),
)  # fmt: skip
CONTENTS = Keyed(
    Content, "contents", "content_id", METADATA,
    pinned=("tribe_id", "author", "published_at"),
    indexes=(("tribe_id", "state", "content_id"),), checks=("ad_label OR offer_ids = '[]'",),
)  # fmt: skip
REVISIONS = Appended(
    Revision, "revisions", METADATA, row=Revision, primary_key=("revision_id",), indexes=(("content_id", "number"),)
)

STORES = (
    clock.store(METADATA), GRANTS, PARTNERSHIPS, OFFERS, TRIBES, SEATS, MEMBERSHIPS, COUNTS, CONTENTS, REVISIONS,
)  # fmt: skip

AFTER = bindparam("after", type_=Text)
LIMIT: BindParameter[int] = bindparam("limit", type_=Integer)
FIRST = "zzz"
"""Lists run from the newest to the oldest: an `after` that no id comes after."""

_TRIBE = TRIBES.table.c
_MEMBERSHIP = MEMBERSHIPS.table.c
_CONTENT = CONTENTS.table.c
_REVISION = REVISIONS.table.c


def read(store: Keyed | Appended, row: asyncpg.Record, first: int = 0) -> Any:
    """The aggregate in a row that one of the queries below found, from this column on."""
    return store.codec.decode(tuple(row)[first : first + len(store.codec.fields)])


def tribe_and_counts(row: asyncpg.Record) -> tuple[Tribe, Counts]:
    return read(TRIBES, row), read(COUNTS, row, len(TRIBES.codec.fields))


def _columns(store: Keyed | Appended) -> list[Column[Any]]:
    return [store.table.c[f.name] for f in store.codec.fields]


def _tribes() -> Select[Any]:
    """Tribes with their counts, in the columns of both."""
    counted = COUNTS.table.c.tribe_id == _TRIBE.tribe_id
    return select(*_columns(TRIBES), *_columns(COUNTS)).join_from(TRIBES.table, COUNTS.table, counted)


grant = Query(select(*_columns(GRANTS)).where(GRANTS.table.c.grant_id == bindparam("grant_id")))
tribe = Query(_tribes().where(_TRIBE.tribe_id == bindparam("tribe_id")))
tribes = Query(_tribes().where(_TRIBE.tribe_id < AFTER).order_by(_TRIBE.tribe_id.desc()).limit(LIMIT))
memberships = Query(
    select(*_columns(MEMBERSHIPS))
    .where(
        _MEMBERSHIP.tribe_id == bindparam("tribe_id"), _MEMBERSHIP.state == "joined", _MEMBERSHIP.membership_id < AFTER
    )
    .order_by(_MEMBERSHIP.membership_id.desc())
    .limit(LIMIT)
)
content = Query(select(*_columns(CONTENTS)).where(_CONTENT.content_id == bindparam("content_id")))
revision = Query(select(*_columns(REVISIONS)).where(_REVISION.revision_id == bindparam("revision_id")))
contents = Query(
    select(*_columns(CONTENTS))
    .where(_CONTENT.tribe_id == bindparam("tribe_id"), _CONTENT.state == "published", _CONTENT.content_id < AFTER)
    .order_by(_CONTENT.content_id.desc())
    .limit(LIMIT)
)
