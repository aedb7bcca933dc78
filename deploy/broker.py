"""RabbitMQ's definitions: the topology as the processes declare it, and a user for each service with least rights.

The queues are there before anybody connects, so nobody needs rights to make those of others. A service may
- say only its own facts: what it publishes is `hearer.its_name.…`, which topic permissions hold;
- read only its own queue and its own dead letters;
- declare and bind all of the topology, as every process does at its start: what is there already stays as it is.
"""

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from chassis.bus import topology
from chassis.bus.topology import HEARERS, Names

VHOST: Final = "buluo"


def definitions(passwords: Mapping[str, str], names: Names = Names()) -> dict[str, Any]:  # noqa: B008 - frozen
    """What RabbitMQ loads at its start. `passwords` of the users, by service."""
    noted = Noted()
    asyncio.run(topology.declare(cast("AbstractChannel", noted), names))
    return {
        "vhosts": [{"name": VHOST}],
        "users": [_user(service, password) for service, password in passwords.items()],
        "permissions": [rights(service, names) for service in passwords],
        "topic_permissions": [topics(service, names) for service in passwords],
        "exchanges": noted.exchanges,
        "queues": noted.queues,
        "bindings": noted.bindings,
    }


def rights(service: str, names: Names) -> dict[str, str]:
    """The three patterns. Binding is writing to a queue and reading from an exchange."""
    exchanges = (names.exchange, names.dead_exchange)
    queues = [queue for hearer in HEARERS for queue in (names.queue(hearer), names.dead_queue(hearer))]
    own = [names.queue(service), names.dead_queue(service)] if service in HEARERS else []
    return {
        "user": service,
        "vhost": VHOST,
        "configure": one_of([*exchanges, *queues]),
        "write": one_of([names.exchange, *queues]),
        "read": one_of([*exchanges, *own]),
    }


def topics(service: str, names: Names) -> dict[str, str]:
    """A fact travels as `hearer.producer.fact.vN`: only the producer may say it."""
    hearers = "|".join(HEARERS)
    return {
        "user": service,
        "vhost": VHOST,
        "exchange": names.exchange,
        "write": rf"^({hearers})\.{service}\.[a-z_]+\.v[0-9]+$",
        "read": ".*",
    }


def one_of(names: Iterable[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in names)})$"


def _user(name: str, password: str) -> dict[str, Any]:
    salt = secrets.token_bytes(4)
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }


class Noted:
    """Stands for a channel: notes what is declared on it, as a definitions file has it."""

    def __init__(self) -> None:
        self.exchanges: list[dict[str, Any]] = []
        self.queues: list[dict[str, Any]] = []
        self.bindings: list[dict[str, Any]] = []

    async def declare_exchange(self, name: str, kind: ExchangeType, *, durable: bool) -> str:
        named = {"name": name, "vhost": VHOST, "type": kind.value, "durable": durable}
        self.exchanges.append(named | {"auto_delete": False, "internal": False, "arguments": {}})
        return name

    async def declare_queue(self, name: str, *, durable: bool, arguments: dict[str, Any]) -> "NotedQueue":
        named = {"name": name, "vhost": VHOST, "durable": durable}
        self.queues.append(named | {"auto_delete": False, "arguments": arguments})
        return NotedQueue(name, self.bindings)


@dataclass(frozen=True, slots=True)
class NotedQueue:
    name: str
    bindings: list[dict[str, Any]]

    async def bind(self, exchange: str, routing_key: str) -> None:
        bound = {"source": exchange, "vhost": VHOST, "destination": self.name, "destination_type": "queue"}
        self.bindings.append(bound | {"routing_key": routing_key, "arguments": {}})
