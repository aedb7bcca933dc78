"""What the inside of a world may read and the gateway never routes: metrics of every service on one page."""

from collections.abc import Mapping

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chassis.service import Service


def app(services: Mapping[str, Service]) -> FastAPI:
    """`/metrics` for Prometheus; listens on its own port, on 127.0.0.1."""
    inside = FastAPI(title="Buluo, inside", openapi_url=None, docs_url=None, redoc_url=None)

    @inside.get("/metrics")
    async def metrics() -> Response:
        for service in services.values():
            await service.measure()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return inside
