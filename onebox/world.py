"""A world: every service and the gateway in this process, their databases, and the sandbox provider beside them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from json import dumps
from pathlib import Path
from typing import Any, Final

import uvicorn
from pydantic import HttpUrl, SecretStr

from chassis import migrate
from chassis.bus.local import Hall, LocalBus
from chassis.db import Database
from chassis.service import Service
from chassis.settings import ChassisSettings
from chassis.web import App
from contracts.catalogue import SERVICES
from gateway import edge
from gateway.settings import GatewaySettings
from onebox import inside
from onebox.postgres import Postgres
from onebox.provider import ProviderProcess
from onebox.secrets import Secrets
from services.distribution.settings import DistributionSettings
from services.escrow.settings import EscrowSettings
from services.tribe.settings import TribeSettings

PACKAGES: Final[dict[str, str]] = {name: "gateway" if name == "gateway" else f"services.{name}" for name in SERVICES}
DRAIN_SECONDS: Final = 5
PRELOAD: Final = ("pg_stat_statements",)


@dataclass(frozen=True, slots=True)
class World:
    """A running world. `url` is its gateway; `services` are its rooms, by name."""

    url: str
    services: Mapping[str, Service]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def databases(folder: Path, *, durable: bool = True) -> AsyncIterator[dict[str, Database]]:
    """The world's PostgreSQL, started, with a migrated database and a role of its own for every service.

    `durable=False` is for worlds made to be thrown away: faster, and a power cut may cost them.
    """
    secrets = Secrets.of_world(folder)
    postgres = await asyncio.to_thread(Postgres.start, folder / "postgres", preload=PRELOAD, durable=durable)
    try:
        urls: dict[str, str] = {
            name: await postgres.ensure_database(f"buluo_{name}", f"buluo_{name}", secrets.database_passwords[name])
            for name in SERVICES
        }
        await asyncio.to_thread(_migrate, urls)
        yield {name: Database(url, pool_max=5) for name, url in urls.items()}
    finally:
        await asyncio.to_thread(postgres.stop)


def _migrate(urls: Mapping[str, str]) -> None:
    for name, url in urls.items():
        migrate.upgrade(PACKAGES[name], url)


@asynccontextmanager
async def running(
    folder: Path, *, port: int = 0, provider_port: int = 0, metrics_port: int = 0, durable: bool = True
) -> AsyncIterator[World]:
    """The whole world behind one port, its metrics behind another, until the block ends; port 0 is any free one."""
    port, provider_port = port or free_port(), provider_port or free_port()
    secrets = Secrets.of_world(folder)
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        provider = ProviderProcess(folder, secrets.sandbox_secret, provider_port)
        stack.push_async_exit(provider)
        await provider.start()  # It takes a second of its own: the databases start meanwhile.
        open_databases = await stack.enter_async_context(databases(folder, durable=durable))
        await provider.ready()
        services, app = assemble(open_databases, secrets, url, provider.url)
        for service in services.values():
            await stack.enter_async_context(service)
        await stack.enter_async_context(_listening(inside.app(services), metrics_port or free_port()))
        await stack.enter_async_context(_listening(app, port))
        yield World(url, services)


def assemble(
    open_databases: Mapping[str, Database], secrets: Secrets, url: str, provider_url: str
) -> tuple[dict[str, Service], App]:
    """Every service through its own `build()`, joined by a local bus, and the edge in front of them."""
    chassis = ChassisSettings(internal_key=_secret(secrets.public(secrets.signing_key)))
    hall = Hall(expected=SERVICES)
    own: dict[str, Any] = {
        "escrow": EscrowSettings(
            sandbox_url=HttpUrl(provider_url),
            callback_url=HttpUrl(url),
            sandbox_secret=SecretStr(secrets.sandbox_secret),
        ),
        "distribution": DistributionSettings(token_key=_secret(secrets.distribution_key)),
        "tribe": TribeSettings(token_key=_secret(secrets.tribe_key)),
    }
    services: dict[str, Service] = {}
    for name in SERVICES:
        if name != "gateway":
            database = open_databases[name]
            services[name] = import_module(f"{PACKAGES[name]}.service").build(
                database=database, bus=LocalBus(hall, database), chassis=chassis, settings=own.get(name)
            )
    upstreams = {name: service.app for name, service in services.items()}
    settings = GatewaySettings(
        signing_key=_secret(secrets.signing_key),
        master_key=SecretStr(secrets.master_key),
        index_key=SecretStr(secrets.index_key),
    )
    database = open_databases["gateway"]
    build_gateway = import_module("gateway.service").build
    services["gateway"] = build_gateway(
        database=database, bus=LocalBus(hall, database), chassis=chassis, settings=settings, upstreams=upstreams
    )
    return services, edge.app(services["gateway"], upstreams)


def _secret(jwk: Mapping[str, Any]) -> SecretStr:
    return SecretStr(dumps(dict(jwk)))


@asynccontextmanager
async def _listening(app: App, port: int) -> AsyncIterator[None]:
    """The app behind uvicorn on 127.0.0.1; on the way out, requests under way get a few seconds."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    # Signals belong to whoever runs the world, not to the server inside it.
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` would take the signals
    try:
        while not server.started:
            if serving.done():
                await serving
                raise OSError(f"port {port} is taken")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
