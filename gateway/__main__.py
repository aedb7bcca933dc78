"""`python -m gateway`: the edge, with RabbitMQ and its own database; the services over HTTP. See chassis/run.py."""

from chassis import run
from chassis.bus.base import Bus
from chassis.db import Database
from chassis.service import Service
from chassis.settings import ChassisSettings
from chassis.web import App
from gateway import edge, service
from gateway.remote import apps, remotes
from gateway.settings import GatewaySettings, UpstreamSettings


def build(*, database: Database, bus: Bus, chassis: ChassisSettings) -> Service:
    """The gateway over services in processes of their own."""
    services = list(remotes(UpstreamSettings()).values())
    return service.build(
        database=database,
        bus=bus,
        chassis=chassis,
        settings=GatewaySettings(),
        upstreams=apps(services),
        closing=[each.close for each in services],
    )


def front(made: Service) -> App:
    """What the world reaches: routed addresses, and nothing of the inside."""
    return edge.app(made, made.api.state.doors.upstream.apps)


if __name__ == "__main__":
    run.main("gateway", build, front)
