"""The chassis' own tables, in every service's database: inbox, outbox, parked facts, instructions and history.

A fact leaves only through the outbox, in the transaction of the change it tells of, and arrives only through the inbox,
in the transaction of its effect: together nothing is lost and nothing is applied twice (decision 0002).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB


def _now() -> Column[object]:
    return Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())


def install(metadata: MetaData) -> None:
    """Add the mailbox tables to a service's metadata, so that its migrations carry them."""
    Table(
        "inbox",
        metadata,
        Column("id", LargeBinary, primary_key=True),
        Column("source", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("fingerprint", LargeBinary),
        Column("reply", LargeBinary),
        _now(),
        Index("inbox_by_at", "at"),
    )
    Table(
        "outbox",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("type", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("body", Text, nullable=False),
        _now(),
        Column("sent_at", DateTime(timezone=True)),
        Index("outbox_unsent", "at", postgresql_where=text("sent_at IS NULL")),
        Index("outbox_by_sent_at", "sent_at"),
    )
    Table(
        "parked",
        metadata,
        Column("id", LargeBinary, primary_key=True),
        Column("type", Text, nullable=False),
        Column("keys", JSONB, nullable=False),
        Column("body", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("poison", Boolean, nullable=False),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        _now(),
        Column("next_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
        Index("parked_by_next_at", "next_at", postgresql_where=text("NOT poison")),
    )
    Table(
        "instructions",
        metadata,
        Column("id", Text, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("body", JSONB, nullable=False),
        Column("state", Text, nullable=False, server_default=text("'due'")),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("error", Text),
        _now(),
        Column(
            "next_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("clock_timestamp() + interval '10 seconds'"),
        ),
        Index("instructions_due", "next_at", postgresql_where=text("state = 'due'")),
    )
    Table(
        "history",
        metadata,
        Column("kind", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("sequence", BigInteger, primary_key=True),
        Column("source", Text, nullable=False),
        Column("message", LargeBinary, nullable=False),
        Column("actor", Text, nullable=False),
        Column("on_behalf_of", Text),
        Column("reason", Text, nullable=False),
        Column("request_id", Text, nullable=False),
        Column("before", LargeBinary),
        Column("after", LargeBinary, nullable=False),
        Column("prev_hash", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        _now(),
    )


FUNCTIONS = (
    # One clock for every rule: the database's, moved forward by the sandbox offset. Refused a NULL offset, it is the
    # plain clock before the first row is there.
    """
    CREATE FUNCTION business_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
        SELECT clock_timestamp()
             + coalesce((SELECT max(offset_seconds) FROM clock_offsets), 0) * interval '1 second'
    $$
    """,
    # The desk counts what its save statement touched; a row that moved in between undoes the whole statement.
    """
    CREATE FUNCTION desk_check(touched bigint[], meant bigint[]) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF touched IS DISTINCT FROM meant THEN
            RAISE EXCEPTION 'stale: touched %, meant %', touched, meant USING ERRCODE = '40001';
        END IF;
        RETURN true;
    END $$
    """,
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% rows are only ever added', TG_TABLE_NAME USING ERRCODE = '42501';
    END $$
    """,
    """
    CREATE TRIGGER history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)
"""Run once by every service's first migration, after its tables exist."""

LOOK_UP = """
SELECT NULL::bytea AS id, NULL::bytea AS fingerprint, NULL::bytea AS reply, false AS parked,
       clock_timestamp() AS system_now, business_now() AS now
UNION ALL SELECT id, fingerprint, reply, false, NULL, NULL FROM inbox WHERE id = ANY($1::bytea[])
UNION ALL SELECT id, NULL, NULL, true, NULL, NULL FROM parked WHERE id = ANY($1::bytea[])
"""
"""What is already known of these message ids, and what time it is: one statement."""

INBOX = (("id", "bytea"), ("source", "text"), ("outcome", "text"), ("fingerprint", "bytea"), ("reply", "bytea"))
OUTBOX = (
    ("id", "uuid"),
    ("type", "text"),
    ("subject", "text"),
    ("sequence", "bigint"),
    ("body", "text"),
    ("sent_at", "timestamptz"),
)
PARKED = (
    ("id", "bytea"),
    ("type", "text"),
    ("keys", "jsonb"),
    ("body", "text"),
    ("reason", "text"),
    ("poison", "boolean"),
)
INSTRUCTIONS = (("id", "text"), ("kind", "text"), ("body", "jsonb"), ("next_at", "timestamptz"))
HISTORY = (
    ("kind", "text"),
    ("key", "text"),
    ("sequence", "bigint"),
    ("source", "text"),
    ("message", "bytea"),
    ("actor", "text"),
    ("on_behalf_of", "text"),
    ("reason", "text"),
    ("request_id", "text"),
    ("before", "bytea"),
    ("after", "bytea"),
    ("prev_hash", "bytea"),
    ("hash", "bytea"),
)

TAKE_PARKED = """
UPDATE parked SET attempts = attempts + 1,
       next_at = clock_timestamp() + power(2, least(attempts, 3)) * interval '1 second'
WHERE id IN (SELECT id FROM parked WHERE NOT poison AND next_at <= clock_timestamp()
             ORDER BY next_at LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING id, body
"""
"""Never more than 8 s apart: another replica may have applied what the fact waits for, and nobody here is woken."""
POISON = """
INSERT INTO parked (id, type, keys, body, reason, poison) VALUES ($1, $2, $3::text::jsonb, $4, $5, true)
ON CONFLICT (id) DO UPDATE SET poison = true, reason = excluded.reason
"""
POISON_KEYS = "SELECT DISTINCT jsonb_array_elements_text(keys) AS key FROM parked WHERE poison"
TAKE_INSTRUCTIONS = """
UPDATE instructions SET attempts = attempts + 1,
       next_at = clock_timestamp() + (5 + least(300, power(2, least(attempts, 9)))) * interval '1 second'
WHERE id IN (SELECT id FROM instructions WHERE state = 'due' AND next_at <= clock_timestamp()
             ORDER BY next_at LIMIT 50 FOR UPDATE SKIP LOCKED)
RETURNING id, kind, body, attempts
"""
LEFT_IN_OUTBOX = """
SELECT id, body FROM outbox
WHERE sent_at IS NULL AND at < clock_timestamp() - $1 * interval '1 second' ORDER BY at LIMIT $2
"""
MARK_SENT = "UPDATE outbox SET sent_at = clock_timestamp() WHERE id = ANY($1::uuid[]) AND sent_at IS NULL"
