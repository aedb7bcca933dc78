"""The broker of this run: the one that BULUO_TEST_BROKER_URL names, or one on this machine; names of a test's own on it."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel

from chassis.bus.topology import HEARERS, Names

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"


def url() -> str:
    return os.environ.get("BULUO_TEST_BROKER_URL", DEFAULT_URL)


def place() -> tuple[str, int]:
    parts = urlsplit(url())
    return parts.hostname or "127.0.0.1", parts.port or 5672


@cache
def missing() -> str:
    """Why the tests over RabbitMQ cannot run; empty where they can."""
    try:
        with socket.create_connection(place(), timeout=2):
            return ""
    except OSError as error:
        host, port = place()
        return f"NO RABBITMQ at {host}:{port} ({type(error).__name__}): everything over the real broker is NOT TESTED"


@asynccontextmanager
async def connected() -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(url())
    try:
        yield await connection.channel()
    finally:
        await connection.close()


@asynccontextmanager
async def names() -> AsyncIterator[Names]:
    """Names that nobody else uses; what stands under them is deleted afterwards."""
    made = Names(f"buluo-t-{uuid4().hex[:10]}")
    try:
        yield made
    finally:
        async with connected() as channel:
            for hearer in HEARERS:
                await channel.queue_delete(made.queue(hearer))
                await channel.queue_delete(made.dead_queue(hearer))
            await channel.exchange_delete(made.exchange)
            await channel.exchange_delete(made.dead_exchange)


async def waiting_in(queue: str) -> int:
    """Messages ready in a queue."""
    async with connected() as channel:
        found = await channel.declare_queue(queue, passive=True)
        return int(found.declaration_result.message_count or 0)
