"""The gateway's tables, and how they are read. Personal data lies in `sealed_*` columns only."""

from typing import Any

from sqlalchemy import MetaData, Text, bindparam, or_, select
from sqlalchemy.sql import ColumnElement

from chassis import clock, grants, mailbox
from chassis.db import Query, Window
from chassis.store import Appended, Keyed
from gateway.domain import (
    ApiKey,
    Code,
    Disclosure,
    Event,
    KeyRing,
    Operation,
    Person,
    Phone,
    Recipient,
    Record,
    Session,
)

METADATA = MetaData()
mailbox.install(METADATA)

CLOCK = clock.store(METADATA)
GRANTS = grants.store(METADATA)
PHONES = Keyed(Phone, "phones", "phone_index", METADATA, pinned=("sealed_phone",), unique=(("person_id",),))
CODES = Keyed(
    Code, "codes", "code_id", METADATA, pinned=("phone_index", "code_mac", "expires_at"), checks=("attempts_left >= 0",)
)
PERSONS = Keyed(
    Person, "persons", "person_id", METADATA, pinned=("phone_index", "created_at"), unique=(("phone_index",),)
)
SESSIONS = Keyed(
    Session, "sessions", "session_id", METADATA,
    pinned=("person_id", "created_at", "expires_at"), indexes=(("person_id",),),
)  # fmt: skip
API_KEYS = Keyed(
    ApiKey, "api_keys", "key_id", METADATA,
    pinned=("party_id", "scopes", "secret_hash", "created_by", "created_at", "expires_at"), indexes=(("party_id",),),
)  # fmt: skip
KEY_RINGS = Keyed(KeyRing, "key_rings", "party_id", METADATA)
RECIPIENTS = Keyed(
    Recipient, "recipients", "recipient_id", METADATA,
    pinned=("person_id", "region_code", "created_at"), indexes=(("person_id",),),
    checks=("(sealed IS NULL) = (state = 'erased')",),
)  # fmt: skip
DISCLOSURES = Keyed(
    Disclosure, "disclosures", "disclosure_id", METADATA,
    pinned=("recipient_id", "person_id", "order_id", "purpose", "shown_to", "on_behalf_of", "at"),
    indexes=(("person_id",),),
)  # fmt: skip
OPERATIONS = Keyed(
    Operation, "operations", "operation_id", METADATA, pinned=("kind", "person_id", "target_at", "created_at")
)
EVENTS = Appended(
    Record, "events", METADATA, row=Event, primary_key=("event_id",),
    rows=lambda record: record.events, indexes=(("party_id", "event_id"),),
)  # fmt: skip

STORES = (
    CLOCK, GRANTS, PHONES, CODES, PERSONS, SESSIONS, API_KEYS, KEY_RINGS, RECIPIENTS, DISCLOSURES, OPERATIONS, EVENTS,
)  # fmt: skip

SHOWN_MAX = 100
"""Sessions, recipients and grants in one answer about oneself."""


def _columns(store: Keyed | Appended) -> list[Any]:
    return [store.table.c[field.name] for field in store.codec.fields]


_keys, _grants, _events = API_KEYS.table.c, GRANTS.table.c, EVENTS.table.c
_person = bindparam("person", type_=Text)
_parties_of_person = select(_grants.party_id).where(_grants.person_id == _person, _grants.role.is_not(None))


def _unless_given(column: ColumnElement[object], name: str) -> ColumnElement[bool]:
    """The filter of an optional query parameter."""
    given = bindparam(name, type_=Text)
    return or_(given.is_(None), column == given)


def _older(column: ColumnElement[object]) -> ColumnElement[bool]:
    after = bindparam("after", type_=Text)
    return or_(after.is_(None), column < after)


PERSON = Query(
    select(*_columns(PERSONS), PHONES.table.c.sealed_phone)
    .join(PHONES.table, PHONES.table.c.phone_index == PERSONS.table.c.phone_index)
    .where(PERSONS.table.c.person_id == _person)
)
GRANTS_OF = Query(
    select(_grants.party_id, _grants.role)
    .where(_grants.person_id == _person, _grants.role.is_not(None))
    .order_by(_grants.party_id)
    .limit(SHOWN_MAX)
)
SESSIONS_OF = Query(
    select(*_columns(SESSIONS))
    .where(
        SESSIONS.table.c.person_id == _person,
        SESSIONS.table.c.state == "active",
        SESSIONS.table.c.expires_at > bindparam("now"),
    )
    .order_by(SESSIONS.table.c.session_id.desc())
    .limit(SHOWN_MAX)
)
RECIPIENTS_OF = Query(
    select(*_columns(RECIPIENTS))
    .where(RECIPIENTS.table.c.person_id == _person, RECIPIENTS.table.c.state == "kept")
    .order_by(RECIPIENTS.table.c.recipient_id.desc())
    .limit(SHOWN_MAX)
)
RECIPIENT = Query(select(*_columns(RECIPIENTS)).where(RECIPIENTS.table.c.recipient_id == bindparam("recipient_id")))
OPERATION = Query(
    select(*_columns(OPERATIONS)).where(
        OPERATIONS.table.c.operation_id == bindparam("operation_id"), OPERATIONS.table.c.person_id == _person
    )
)
KEYS_OF_OWNER = Query(
    select(*_columns(API_KEYS))
    .where(
        _keys.party_id.in_(_parties_of_person.where(_grants.role == "owner")),
        _unless_given(_keys.party_id, "party_id"),
        _keys.state == "active",
        _older(_keys.key_id),
    )
    .order_by(_keys.key_id.desc())
    .limit(bindparam("limit"))
)
EVENTS_SEEN = Query(
    select(*_columns(EVENTS))
    .where(
        or_(
            _events.party_id == _person,
            _events.party_id.in_(_parties_of_person),
            _events.party_id == bindparam("party", type_=Text),
        ),
        _unless_given(_events.party_id, "party_id"),
        _unless_given(_events.type, "type"),
        _unless_given(_events.subject, "subject"),
        _older(_events.event_id),
    )
    .order_by(_events.event_id.desc())
    .limit(bindparam("limit"))
)

KEY_BY_ID_SQL = (
    f"SELECT {', '.join(field.name for field in API_KEYS.codec.fields)} FROM api_keys WHERE key_id = ANY($1::text[])"
)


def key_window() -> Window:
    """Reads API keys by id, batched: one for each process."""
    return Window(KEY_BY_ID_SQL)
