"""What the provider is made of. `build` returns the whole application; nothing happens at import."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from sandbox import pages, routes
from sandbox.courier import Courier
from sandbox.faults import Faults
from sandbox.refusals import Refused
from sandbox.settings import SandboxSettings
from sandbox.store import Store


def build(settings: SandboxSettings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The application; its lifespan delivers callbacks (through `transport` if given). One process per data file."""
    store, faults, secret = Store(settings.data_path), Faults(), settings.secret.get_secret_value()
    courier = Courier(store, faults, secret, transport)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        delivery = asyncio.create_task(courier.run())
        delivery.add_done_callback(_tell_if_it_failed)
        try:
            yield
        finally:
            delivery.cancel()
            await asyncio.wait([delivery])
            store.close()

    # The signature proves who speaks, so a body is JSON whatever its Content-Type says.
    app = FastAPI(title="Sandbox payment provider", lifespan=lifespan, openapi_url=None, strict_content_type=False)
    app.include_router(routes.router(routes.Api(store, faults, courier, settings.public_url), secret))
    app.include_router(pages.router(pages.PayPages(store, faults, courier)))
    app.get("/livez")(_livez)
    app.exception_handler(Refused)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    return app


def _tell_if_it_failed(delivery: asyncio.Task[None]) -> None:
    """A provider that calls nobody back any more must not look healthy in its log."""
    if not delivery.cancelled() and (error := delivery.exception()):
        logging.getLogger("sandbox").critical("callbacks are no longer delivered", exc_info=error)


async def _livez() -> dict[str, str]:
    return {"status": "ok"}


async def _refused(_: Request, refused: Refused) -> JSONResponse:
    return JSONResponse({"code": refused.code, "message": refused.message}, refused.status)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    problems = (f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors())
    return JSONResponse({"code": "invalid", "message": "; ".join(problems)}, 422)
