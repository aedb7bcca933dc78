"""A service in a process of its own: `python -m services.<name>` serves it, `python -m services.<name> migrate` first
brings its database to the newest version.

It listens at once and is ready once its database is there and migrated; the broker may come later. SIGTERM ends it
within 30 s: requests under way are answered, what waits on the desk is decided, what was decided is handed on.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from operator import attrgetter

import asyncpg
import structlog
import uvicorn
import uvloop
from fastapi import Request, Response
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from chassis import logs, migrate, problems
from chassis.bus.rabbit import RabbitBus
from chassis.db import Database, is_outage
from chassis.service import Service
from chassis.settings import OwnSettings, ProcessSettings
from chassis.web import App, Receive, Scope, Send, not_ready

Build = Callable[..., Service]
"""`build(database=..., bus=..., chassis=...)`, as every service has it."""

RETRY_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 75
"""Longer than the gateway keeps an idle connection: who closes first must not be who is about to be asked."""
INSIDE = frozenset({"/livez", "/readyz", "/metrics", "/internal/clock"})

log = structlog.get_logger("run")


def main(name: str, build: Build, front: Callable[[Service], App] = attrgetter("app")) -> None:
    """The command line of a service. `front` is what the world reaches, where that is not the service's own app.

    Exits with 1 and a readable list where a setting is missing or wrong.
    """
    package = "gateway" if name == "gateway" else f"services.{name}"
    arguments = sys.argv[1:]
    try:
        url = OwnSettings(_env_prefix=f"BULUO_{name.upper()}_").database_url.get_secret_value()
        if arguments == ["migrate"]:
            migrate.upgrade(package, url)
        elif arguments:
            sys.exit(f"usage: python -m {package} [migrate]")
        else:
            uvloop.run(serve(package, build, front, ProcessSettings(), url))
    except ValidationError as error:
        sys.exit(readable(error, name))


def readable(error: ValidationError, service: str) -> str:
    """Each wrong setting by the name of its variable, without its value."""
    prefixes = {kind.__name__: str(kind.model_config.get("env_prefix")) for kind in _kinds(BaseSettings)}
    prefix = prefixes.get(error.title, "").replace("{SERVICE}", service.upper())
    return "\n".join(
        f"{prefix}{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}" for each in error.errors()
    )


def _kinds(kind: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


async def serve(
    package: str, build: Build, front: Callable[[Service], App], settings: ProcessSettings, url: str
) -> None:
    """Serve until SIGTERM or SIGINT."""
    logs.to_stdout()
    database = Database(url, pool_max=settings.database_pool_max)
    bus = RabbitBus(settings.broker_url.get_secret_value(), database, namespace=settings.broker_namespace)
    service = build(database=database, bus=bus, chassis=settings)
    stopped = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    async with AsyncExitStack() as stack:
        door = Door(service, package)
        opening = asyncio.create_task(door.open())
        # Left in reverse: first no more requests, then the service.
        stack.push_async_callback(door.close, opening)
        await stack.enter_async_context(_listening(door.before(front(service)), settings.port, settings))
        if settings.inside_port:
            inside = only(INSIDE, door.before(service.app))
            await stack.enter_async_context(_listening(inside, settings.inside_port, settings))
        log.info("listening", service=service.name, port=settings.port)
        await stopped.wait()
        log.info("stopping", service=service.name)


class Door:
    """Lets requests in once the service runs; until then it says why not."""

    def __init__(self, service: Service, package: str) -> None:
        self._service = service
        self._package = package
        self._shut = "unreachable"
        self._entered = False

    def before(self, app: App) -> App:
        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            if self._entered:
                with logs.correlated(scope):
                    await app(scope, receive, send)
            elif scope["type"] == "http":
                await self._answer(scope)(scope, receive, send)

        return door

    def _answer(self, scope: Scope) -> Response:
        if scope["path"] == "/livez":
            return Response('{"status": "alive"}', media_type="application/json")
        if scope["path"] == "/readyz":
            return not_ready(self._shut)
        return problems.problem(Request(scope), 503, "unavailable")

    async def open(self) -> None:
        """Start the service as soon as its database is there, and not behind this code."""
        said = ""
        while not self._entered:
            self._shut = await self._try()
            if self._shut != said:
                said = self._shut
                log.warning("ready" if self._entered else "not_ready", service=self._service.name, database=said)
            if not self._entered:
                await asyncio.sleep(RETRY_SECONDS)

    async def _try(self) -> str:
        try:
            if await migrate.is_behind(self._package, self._service.database.url):
                return "behind"
            await self._service.__aenter__()
        except Exception as error:
            if not (is_outage(error) or isinstance(error, asyncpg.PostgresError)):
                log.exception("start_failed", service=self._service.name)
            await self._service.database.close()
            return "unreachable"
        self._entered = True
        return "ready"

    async def close(self, opening: "asyncio.Task[None]") -> None:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if self._entered:
            await self._service.__aexit__()


def only(paths: frozenset[str], app: App) -> App:
    """The app for these paths alone: what is for the inside opens no second way to the rest."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in paths:
            await problems.problem(Request(scope), 404, "not_found")(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to one of its servers."""
        yield


@asynccontextmanager
async def _listening(app: App, port: int, settings: ProcessSettings) -> AsyncIterator[None]:
    """The app behind uvicorn; on the way out, requests under way get `drain_seconds`."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=port,
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
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
