"""Partner's tables, and what can be read from them."""

from typing import Any

import asyncpg
from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Select,
    Text,
    bindparam,
    or_,
    select,
    true,
    union,
    union_all,
)

from chassis import clock, grants, mailbox
from chassis.db import Query
from chassis.policy import STAFF
from chassis.store import Keyed
from services.partner.agreement import Application, Pair, Partnership
from services.partner.domain import Merchant, Partner, Roster

METADATA = MetaData()
mailbox.install(METADATA)

GRANTS = grants.store(METADATA)
Index("grants_by_party_id_person_id", GRANTS.table.c.party_id, GRANTS.table.c.person_id)  # a party's staff, in pages
ROSTERS = Keyed(Roster, "rosters", "party_id", METADATA)
MERCHANTS = Keyed(
    Merchant, "merchants", "merchant_id", METADATA,
    indexes=(("state", "merchant_id"),), checks=("state IN ('draft', 'open')",),
)  # fmt: skip
PARTNERS = Keyed(Partner, "partners", "partner_id", METADATA)
APPLICATIONS = Keyed(
    Application, "applications", "application_id", METADATA,
    pinned=("merchant_id", "partner_id", "opened_by", "answers", "capability"),
    indexes=(("merchant_id", "application_id"), ("partner_id", "application_id")),
    checks=(
        "(state = 'agreed') = (partnership_id IS NOT NULL)",
        "state IN ('draft', 'withdrawn') OR proposal IS NOT NULL",
    ),
)  # fmt: skip
PAIRS = Keyed(Pair, "pairs", "pair_id", METADATA)
PARTNERSHIPS = Keyed(
    Partnership, "partnerships", "partnership_id", METADATA,
    pinned=("merchant_id", "partner_id", "application_id"),
    indexes=(("merchant_id", "partnership_id"), ("partner_id", "partnership_id")),
    checks=("state IN ('trial', 'active', 'suspended', 'ended')",),
)  # fmt: skip

STORES = (
    clock.store(METADATA), GRANTS, ROSTERS, MERCHANTS, PARTNERS, APPLICATIONS, PAIRS, PARTNERSHIPS,
)  # fmt: skip

# Every read below is run with `person` and `party`: the caller, as one or the other.
_GRANT = GRANTS.table.c
PERSON = bindparam("person", type_=Text)
PARTY = bindparam("party", type_=Text)
AFTER = bindparam("after", type_=Text)
LIMIT: BindParameter[int] = bindparam("limit", type_=Integer)
FIRST = "zzz"
"""Lists run from the newest to the oldest: an `after` that no id comes after."""


def read(store: Keyed, row: asyncpg.Record) -> Any:
    """The aggregate in a row that one of the queries below found."""
    return store.codec.decode(tuple(row))


def _columns(store: Keyed) -> list[Column[Any]]:
    return [store.table.c[f.name] for f in store.codec.fields]


_PARTIES = union(
    select(_GRANT.party_id).where(_GRANT.person_id == PERSON, or_(*(_GRANT.role == role for role in sorted(STAFF)))),
    select(PARTY.label("party_id")).where(PARTY.is_not(None)),
).subquery()
"""The caller's own: where they are owner or staff, or whose key they are. Every owner predicate is made of it."""


def _newest_at(store: Keyed, party_column: str, visible: ColumnElement[bool]) -> Select[Any]:
    """Per party of the caller a walk along that party's index: the newest rows in which it is this side."""
    table = store.table.c
    rows = (
        select(*_columns(store))
        .where(table[party_column] == _PARTIES.c.party_id, table[store.key] < AFTER, visible)
        .order_by(table[store.key].desc())
        .limit(LIMIT)
        .lateral()
    )
    return select(rows).select_from(_PARTIES.join(rows, true()))


def _newest_of(rows: Any, key: str) -> Select[Any]:
    found = rows.subquery()
    return select(found).order_by(found.c[key].desc()).limit(LIMIT)


grant = Query(select(*_columns(GRANTS)).where(_GRANT.grant_id == bindparam("grant_id")))
staff = Query(
    select(*_columns(GRANTS))
    .where(_GRANT.party_id == bindparam("party_id"), _GRANT.role.is_not(None), _GRANT.person_id < AFTER)
    .order_by(_GRANT.person_id.desc())
    .limit(LIMIT)
)

_MERCHANT = MERCHANTS.table.c
merchant = Query(
    select(*_columns(MERCHANTS)).where(
        _MERCHANT.merchant_id == bindparam("merchant_id"),
        or_(_MERCHANT.state == "open", _MERCHANT.merchant_id.in_(select(_PARTIES.c.party_id))),
    )
)


_open = (
    select(*_columns(MERCHANTS))
    .where(_MERCHANT.state == "open", _MERCHANT.merchant_id < AFTER)
    .order_by(_MERCHANT.merchant_id.desc())
    .limit(LIMIT)
    .subquery()
)
# Two halves, each a walk along an index that ends at the limit: a page costs the same however many merchants there are.
merchants = Query(
    _newest_of(
        union_all(select(_open), _newest_at(MERCHANTS, "merchant_id", _MERCHANT.state == "draft")), "merchant_id"
    )
)

partner = Query(select(*_columns(PARTNERS)).where(PARTNERS.table.c.partner_id == bindparam("partner_id")))


def _both_sides(store: Keyed, visible: dict[str, ColumnElement[bool]]) -> Query:
    sides = (_newest_at(store, f"{side}_id", visible.get(side, true())) for side in ("merchant", "partner"))
    return Query(_newest_of(union(*sides), store.key))


_APPLICATION = APPLICATIONS.table.c
applications = _both_sides(
    APPLICATIONS,
    {side: or_(_APPLICATION.state != "draft", _APPLICATION.opened_by == side) for side in ("merchant", "partner")},
)
"""Of the caller's parties. A draft is seen by the side that opened it alone."""
partnerships = _both_sides(PARTNERSHIPS, {})
