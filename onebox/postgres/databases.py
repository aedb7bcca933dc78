"""One database and one role per service: a role owns its database and can enter no other."""

import base64
import hashlib
import hmac
import os
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

SCRAM_ROUNDS = 4096
SETUP_LOCK = 0x6275_6C75_6F  # "buluo": services of several processes are set up one after the other


def url_for(admin_url: str, database: str, role: str, password: str) -> str:
    """The same server, another database, as this role."""
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    netloc = f"{quote(role, safe='')}:{quote(password, safe='')}@{address}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{quote(database, safe='')}"))


async def ensure_database(admin_url: str, name: str, role: str, password: str) -> None:
    """Create what is missing, set the password, take everybody else's rights. Safe to repeat and to race."""
    verifier = scram_verifier(password)
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", SETUP_LOCK)
        await _ensure_role(connection, role, verifier)
        await _ensure_database(connection, name, role)
        await _say(connection, "revoke all on database %I from public", name)
    finally:
        await connection.close()


async def close_to_strangers(admin_url: str) -> None:
    """Only the administrator may enter the databases a new server comes with. For a server that is all ours."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", SETUP_LOCK)
        for name in ("postgres", "template1"):
            await _say(connection, "revoke all on database %I from public", name)
    finally:
        await connection.close()


async def _ensure_role(connection: asyncpg.Connection, role: str, verifier: str) -> None:
    known = await connection.fetchval("select true from pg_roles where rolname = $1", role)
    action = "alter" if known else "create"
    await _say(connection, f"{action} role %I login nocreatedb nocreaterole password %L", role, verifier)
    # An administrator that is no superuser may give a database only to a role it is a member of.
    if not await connection.fetchval("select rolsuper from pg_roles where rolname = current_user"):
        await _say(connection, "grant %I to current_user", role)


async def _ensure_database(connection: asyncpg.Connection, name: str, role: str) -> None:
    if await connection.fetchval("select true from pg_database where datname = $1", name):
        await _say(connection, "alter database %I owner to %I", name, role)
    else:
        await _say(connection, "create database %I owner %I", name, role)


async def _say(connection: asyncpg.Connection, template: str, *names: str) -> None:
    """Execute a statement that takes no parameters; the server itself quotes the names."""
    places = ", ".join(f"${number}::text" for number in range(1, len(names) + 2))
    await connection.execute(await connection.fetchval(f"select format({places})", template, *names))


def scram_verifier(password: str) -> str:
    """What the server stores instead of the password (RFC 5803): no statement, log or statistic ever holds it."""
    if not password.isascii():
        raise ValueError("A database password is ASCII: anything else would have to be normalised.")
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ROUNDS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${SCRAM_ROUNDS}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
