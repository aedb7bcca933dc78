"""What every test of a service needs: a fresh migrated database, the running service, and callers with real tokens."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import httpx
from joserfc.jwk import OKPKey
from uuid_utils.compat import uuid7

from chassis import migrate
from chassis.auth import Issuer
from chassis.bus.local import Hall, LocalBus
from chassis.caller import Caller
from chassis.db import Database
from chassis.message import Delivery
from chassis.service import Service
from chassis.settings import ChassisSettings
from contracts.fact import Fact
from contracts.ids import format_id

KEY = OKPKey.generate_key("Ed25519")
ISSUER = Issuer(KEY)


def package_of(service: str) -> str:
    return "gateway" if service == "gateway" else f"services.{service}"


def new_id(prefix: str) -> str:
    """An id as the product makes them, born now."""
    return format_id(prefix, uuid7())


def settings(**changes: Any) -> ChassisSettings:
    import json

    return ChassisSettings(internal_key=json.dumps(KEY.as_dict(private=False)), **changes)  # type: ignore[arg-type]


def admin_url() -> str:
    """The server of this run: conftest.py has found or started it."""
    return os.environ["BULUO_TEST_DATABASE_URL"]


def url_of(database: str) -> str:
    return urlunsplit(urlsplit(admin_url())._replace(path=f"/{database}"))


@cache
def _migrated() -> set[str]:
    return set()


async def _template(service: str) -> str:
    """A migrated database of this service, made once per test run; every test copies it."""
    import asyncio

    name = f"buluo_t_{os.getpid()}_{service}"
    if service not in _migrated():
        admin = await asyncpg.connect(admin_url())
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        await asyncio.to_thread(migrate.upgrade, package_of(service), url_of(name))
        _migrated().add(service)
    return name


@asynccontextmanager
async def fresh_database(service: str) -> AsyncIterator[str]:
    """The URL of an empty migrated database of this service, dropped afterwards."""
    template = await _template(service)
    name = f"buluo_t_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(admin_url())
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield url_of(name)
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


async def drop_templates() -> None:
    admin = await asyncpg.connect(admin_url())
    for service in _migrated():
        await admin.execute(f"DROP DATABASE IF EXISTS buluo_t_{os.getpid()}_{service} WITH (FORCE)")
    await admin.close()
    _migrated().clear()


def build(service: str, url: str, hall: Hall, **given: Any) -> Service:
    """The service on this database, through the same `build()` as in production."""
    database = Database(url, pool_max=4)
    made: Service = import_module(f"{package_of(service)}.service").build(
        database=database, bus=LocalBus(hall, database), chassis=given.pop("chassis", settings()), **given
    )
    return made


@asynccontextmanager
async def running(service: str, **given: Any) -> AsyncIterator[Service]:
    """One service alone, on a fresh database, with a bus that reaches nobody else."""
    async with fresh_database(service) as url, build(service, url, Hall(), **given) as started:
        yield started


@asynccontextmanager
async def client(service: Service, caller: Caller | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP straight to a service, with the internal token the gateway would make for this caller."""
    headers = {"accept-language": "en"}
    if caller:
        headers["authorization"] = f"Bearer {ISSUER.token(service.name, caller)}"
    transport = httpx.ASGITransport(app=service.app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as made:
        yield made


def key() -> dict[str, str]:
    """A new Idempotency-Key header."""
    return {"idempotency-key": str(uuid4())}


async def hear(service: Service, *facts: Fact) -> None:
    """Deliver facts as their producers' bus would, and wait until each is applied, ignored or parked."""
    import asyncio

    loop = asyncio.get_running_loop()
    heard = []
    for fact in facts:
        done = loop.create_future()
        delivery = delivery_of(fact)
        service.desk.hear(delivery, lambda done=done: done.done() or done.set_result(None))
        heard.append(done)
    await asyncio.wait_for(asyncio.gather(*heard), 10)


def delivery_of(fact: Fact) -> Delivery:
    from datetime import UTC, datetime

    from chassis.envelope import envelope_json

    fact_id = uuid7()
    body = envelope_json(
        fact,
        fact_id,
        source=fact.type.partition(".")[0],
        time=datetime.now(UTC),
        sequence=1,
        causation="test",
        correlation="test",
        audience=(),
    )
    return Delivery(fact_id, fact, "test", body)


async def said(service: Service, fact_type: str | None = None) -> Sequence[dict[str, Any]]:
    """The envelopes this service has said so far, oldest first."""
    import json

    rows = await service.database.pool.fetch("SELECT body FROM outbox ORDER BY at, id")
    found = [json.loads(row["body"]) for row in rows]
    return [each for each in found if fact_type in (None, each["type"])]
