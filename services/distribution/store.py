"""Distribution's tables and the questions asked of them. The owner of a thing stands in every query's WHERE."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, MetaData, bindparam, exists, func, literal_column, or_, select

from chassis import clock, grants, mailbox
from chassis.db import Database, Query
from chassis.store import Appended, Keyed
from services.distribution.commission import Commission
from services.distribution.domain import Angel, Attribution, Content, Offer, PersonTouches, ShareLink, Staff, Touch

METADATA = MetaData()
mailbox.install(METADATA)

GRANTS = grants.store(METADATA)
ANGELS = Keyed(Angel, "angels", "person_id", METADATA, pinned=("joined_at",))
OFFERS = Keyed(Offer, "offers", "offer_id", METADATA)
CONTENTS = Keyed(Content, "contents", "content_id", METADATA)
STAFF = Keyed(Staff, "staff", "party_id", METADATA)
LINKS = Keyed(
    ShareLink,
    "share_links",
    "link_id",
    METADATA,
    pinned=("angel", "target", "made_at", "expires_at"),
    indexes=(("angel", "link_id"),),
)
TOUCHES = Appended(Touch, "touches", METADATA, row=Touch, primary_key=("touch_id",), indexes=(("angel",),))
PERSON_TOUCHES = Keyed(PersonTouches, "person_touches", "person_id", METADATA)
ATTRIBUTIONS = Keyed(
    Attribution, "attributions", "order_id", METADATA, pinned=("buyer", "seller", "placed_at", "lines")
)
COMMISSIONS = Keyed(
    Commission,
    "commissions",
    "commission_id",
    METADATA,
    pinned=("order_id", "line_id", "angel", "buyer", "currency", "line_amount", "weights", "place", "planned"),
    indexes=(("order_id",), ("angel", "commission_id")),
    # One angel per line, and never the buyer: not a rule that code could forget.
    unique=(("line_id",),),
    checks=("angel <> buyer", "kept BETWEEN 0 AND line_amount", "planned BETWEEN 0 AND line_amount"),
)
STORES = (
    clock.store(METADATA),
    GRANTS,
    ANGELS,
    OFFERS,
    CONTENTS,
    STAFF,
    LINKS,
    TOUCHES,
    PERSON_TOUCHES,
    ATTRIBUTIONS,
    COMMISSIONS,
)

_NOW: ColumnElement[datetime] = literal_column("business_now()")


def _fields(store: Keyed) -> list[Any]:
    return [store.table.c[each.name] for each in store.codec.fields]


def _decode(store: Keyed, row: Any) -> Any:
    return store.codec.decode(tuple(row)[: len(store.codec.fields)])


# --- angels -----------------------------------------------------------------------------------------------------------

_commission = COMMISSIONS.table.c
_own = _commission.angel == bindparam("person")
_in_currency = _commission.currency == bindparam("currency")


def _sum(amount: Any, condition: Any) -> Any:
    return func.coalesce(func.sum(amount).filter(condition, _in_currency), 0)


_ANGEL = Query(select(*_fields(ANGELS)).where(ANGELS.table.c.person_id == bindparam("person")))
_OPENS = Query(select(func.count()).select_from(TOUCHES.table).where(TOUCHES.table.c.angel == bindparam("person")))
_EARNED = Query(
    select(
        func.count(_commission.order_id.distinct()).filter(_commission.held).label("orders"),
        _sum(_commission.kept, _commission.state == "pending").label("pending"),
        _sum(_commission.kept, _commission.state == "maturing").label("maturing"),
        _sum(func.greatest(_commission.planned - _commission.kept, 0), _commission.held).label("reversed"),
    ).where(_own)
)


class Summary(NamedTuple):
    """An angel and what their sharing has come to, in minor units of one currency."""

    angel: Angel
    opens: int
    orders: int
    pending: int
    maturing: int
    reversed: int


async def find_angel(database: Database, person: str, currency: str) -> Summary | None:
    angel = await _ANGEL.row(database, person=person)
    if angel is None:
        return None
    opens = await _OPENS.row(database, person=person)
    earned = await _EARNED.row(database, person=person, currency=currency)
    assert opens is not None and earned is not None  # noqa: S101, PT018 - aggregates always give a row
    return Summary(_decode(ANGELS, angel), opens[0], *(int(value) for value in earned))


# --- links ------------------------------------------------------------------------------------------------------------

_link = LINKS.table.c
_LINKS = Query(
    select(*_fields(LINKS))
    .where(_link.angel == bindparam("person"))
    .where(or_(bindparam("after", type_=_link.link_id.type).is_(None), _link.link_id < bindparam("after")))
    .order_by(_link.link_id.desc())
    .limit(bindparam("limit"))
)
_gone = func.coalesce(OFFERS.table.c.withdrawn, CONTENTS.table.c.withdrawn, True)
_LANDING = Query(
    select(*_fields(LINKS), or_(_link.expires_at <= _NOW, _gone).label("over"))
    .outerjoin(OFFERS.table, OFFERS.table.c.offer_id == _link.target)
    .outerjoin(CONTENTS.table, CONTENTS.table.c.content_id == _link.target)
    .where(_link.link_id == bindparam("link_id"))
)


async def list_links(database: Database, person: str, after: str | None, limit: int) -> list[ShareLink]:
    rows = await _LINKS.rows(database, person=person, after=after, limit=limit)
    return [_decode(LINKS, row) for row in rows]


async def find_landing(database: Database, link_id: str) -> tuple[ShareLink, bool] | None:
    """A link, and whether it is over: expired, or what it leads to withdrawn."""
    row = await _LANDING.row(database, link_id=link_id)
    return (_decode(LINKS, row), row["over"]) if row else None


# --- attributions and commissions -------------------------------------------------------------------------------------

_attribution = ATTRIBUTIONS.table.c
_grant = GRANTS.table.c
_sells = or_(
    _attribution.seller == bindparam("party"),
    _attribution.seller.in_(
        select(_grant.party_id).where(_grant.person_id == bindparam("person"), _grant.role.is_not(None))
    ),
)
_ATTRIBUTION = Query(
    select(*_fields(ATTRIBUTIONS), or_(_attribution.buyer == bindparam("person"), _sells).label("whole"))
    .where(_attribution.order_id == bindparam("order_id"))
    .where(
        or_(
            _attribution.buyer == bindparam("person"),
            _sells,
            exists().where(_commission.order_id == _attribution.order_id, _own),
        )
    )
)
_COMMISSIONS = Query(
    select(*_fields(COMMISSIONS))
    .where(_own)
    .where(or_(bindparam("state", type_=_commission.state.type).is_(None), _commission.state == bindparam("state")))
    .where(
        or_(
            bindparam("after", type_=_commission.commission_id.type).is_(None),
            _commission.commission_id < bindparam("after"),
        )
    )
    .order_by(_commission.commission_id.desc())
    .limit(bindparam("limit"))
)


async def find_attribution(
    database: Database, order_id: str, person: str | None, party: str | None
) -> tuple[Attribution, bool] | None:
    """An order's attribution, if the reader has to do with it; and whether they may see every line of it."""
    row = await _ATTRIBUTION.row(database, order_id=order_id, person=person, party=party)
    return (_decode(ATTRIBUTIONS, row), bool(row["whole"])) if row else None


async def list_commissions(
    database: Database, person: str, state: str | None, after: str | None, limit: int
) -> list[Commission]:
    rows = await _COMMISSIONS.rows(database, person=person, state=state, after=after, limit=limit)
    return [_decode(COMMISSIONS, row) for row in rows]


# --- compliance -------------------------------------------------------------------------------------------------------

_HAS_ROLE = Query(
    select(func.count())
    .select_from(GRANTS.table)
    .where(_grant.party_id == bindparam("party"), _grant.person_id == bindparam("person"))
    .where(_grant.role == bindparam("role"))
)
_NAMED = """
SELECT table_name || '.' || column_name AS name FROM information_schema.columns
WHERE table_schema = current_schema() AND column_name ~ $1 ORDER BY 1
"""
HIERARCHY = "(^|_)(parent|ancestor|upline|downline|sponsor|referr[a-z]*|recruit[a-z]*|inviter|team|level|depth)(_|$)"
FEES = "(^|_)(fee|fees|deposit|dues|charge|minimum)(_|$)"
_COUNTS = """
SELECT (SELECT count(*) FROM angels) AS angels,
       (SELECT count(*) FROM commissions) AS commissions,
       (SELECT coalesce(max(angels), 0)
        FROM (SELECT count(DISTINCT angel) AS angels FROM commissions GROUP BY line_id) AS lines)
        AS most_angels_of_a_line,
       (SELECT count(*) FROM commissions WHERE angel = buyer) AS own_purchases,
       (SELECT count(*) FROM commissions c WHERE NOT EXISTS (
            SELECT 1 FROM attributions a, jsonb_array_elements(a.lines) line
            WHERE a.order_id = c.order_id AND line ->> 'line_id' = c.line_id
              AND line ->> 'angel' = c.angel AND line ->> 'commission_id' = c.commission_id)) AS without_a_sale,
       EXISTS (SELECT 1 FROM pg_index WHERE indrelid = 'commissions'::regclass AND indisunique
            AND indexrelid = to_regclass('commissions_one_line_id')) AS one_angel_per_line
"""


class Compliance(NamedTuple):
    """What the schema and the data say about levels, fees and rewards for recruiting."""

    hierarchy_columns: list[str]
    fee_columns: list[str]
    angels: int
    commissions: int
    most_angels_of_a_line: int
    own_purchases: int
    without_a_sale: int
    one_angel_per_line: bool


async def measure_compliance(database: Database) -> Compliance:
    hierarchy = await database.pool.fetch(_NAMED, HIERARCHY)
    fees = await database.pool.fetch(_NAMED, FEES)
    counts = await database.pool.fetchrow(_COUNTS)
    assert counts is not None  # noqa: S101 - aggregates always give a row
    return Compliance([row["name"] for row in hierarchy], [row["name"] for row in fees], *counts)


async def is_ops(database: Database, person: str | None) -> bool:
    row = await _HAS_ROLE.row(database, party="platform", person=person, role="ops")
    return row is not None and row[0] > 0
