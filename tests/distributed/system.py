"""Six processes, their databases, the sandbox provider and names of their own at the broker: a deployment in small."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from chassis.bus.topology import Names
from contracts.catalogue import SERVICES
from onebox.provider import ProviderProcess
from onebox.secrets import Secrets
from tests import support
from tests.bus import broker
from tests.chassis import toy
from tests.journeys.world import free_port

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 90.0


@dataclass
class System:
    """What runs, and how to end and begin parts of it."""

    folder: Path
    environment: dict[str, str]
    ports: dict[str, int]
    databases: dict[str, str]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    def inside(self, service: str) -> str:
        """Where a process answers the inside alone."""
        return f"http://127.0.0.1:{self.ports['inside' if service == 'gateway' else service]}"

    def start(self, *services: str) -> None:
        for service in services:
            self.processes[service] = self.run(service)

    def run(self, service: str, *arguments: str) -> "subprocess.Popen[bytes]":
        package = support.package_of(service)
        own = {"BULUO_PORT": str(self.ports[service])}
        if service == "gateway":
            own["BULUO_INSIDE_PORT"] = str(self.ports["inside"])
        with self.log(service).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", package, *arguments],
                env={**self.environment, **own}, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    async def ready(self, *services: str) -> None:
        """Until each answers so. Its last words where it does not."""
        async with httpx.AsyncClient(timeout=5) as client:
            for service in services:
                await self._ready(client, service)

    async def _ready(self, client: httpx.AsyncClient, service: str) -> None:
        for _ in range(int(READY_SECONDS / 0.1)):
            try:
                answer = await client.get(f"{self.inside(service)}/readyz")
                if answer.json() == {"status": "ready"}:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{service} is not ready:\n{self.log(service).read_text(errors='replace')[-2_000:]}")

    async def quiet(self, within_seconds: float = 60) -> None:
        """Nothing waits anywhere, in two looks in a row."""
        looks = 0
        async with httpx.AsyncClient(timeout=10) as client:
            for _ in range(int(within_seconds / 0.2)):
                said = await asyncio.gather(*(client.get(f"{self.inside(each)}/internal/clock") for each in SERVICES))
                looks = looks + 1 if all(each.json()["quiet"] for each in said) else 0
                if looks == 2:
                    return
                await asyncio.sleep(0.2)
        raise TimeoutError([each.json() for each in said])

    async def kill(self, service: str) -> None:
        self.processes[service].kill()
        await self.ended(service)

    async def stop(self, *services: str) -> dict[str, int]:
        """SIGTERM; the exit codes."""
        for service in services:
            self.processes[service].terminate()
        return {service: await self.ended(service) for service in services}

    async def ended(self, service: str, within_seconds: float = 40) -> int:
        return await asyncio.to_thread(self.processes.pop(service).wait, within_seconds)


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[System]:
    """Everything made and nothing started but the provider; what runs at the end is stopped."""
    secrets = Secrets.of_world(folder)
    async with AsyncExitStack() as stack:
        names = await stack.enter_async_context(broker.names())
        databases = {each: await stack.enter_async_context(support.fresh_database(each)) for each in SERVICES}
        provider = await stack.enter_async_context(ProviderProcess(folder, secrets.sandbox_secret, free_port()))
        ports = {each: free_port() for each in (*SERVICES, "inside")}
        made = System(folder, _environment(secrets, names, databases, ports, provider.url), ports, databases)
        try:
            yield made
        finally:
            for process in made.processes.values():
                process.terminate()
            for service in list(made.processes):
                try:
                    await made.ended(service)
                except subprocess.TimeoutExpired:
                    await made.kill(service)


@asynccontextmanager
async def empty_database() -> AsyncIterator[str]:
    """The URL of a database that no migration has seen."""
    name = f"buluo_t_{uuid4().hex[:12]}"
    async with toy.connected(support.admin_url()) as admin:
        await admin.execute(f"CREATE DATABASE {name}")
        try:
            yield support.url_of(name)
        finally:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _environment(
    secrets: Secrets, names: Names, databases: dict[str, str], ports: dict[str, int], provider_url: str
) -> dict[str, str]:
    gateway = f"http://127.0.0.1:{ports['gateway']}"
    return {
        **os.environ,
        **{f"BULUO_{each.upper()}_DATABASE_URL": url for each, url in databases.items()},
        **{f"BULUO_GATEWAY_{each.upper()}_URL": f"http://127.0.0.1:{ports[each]}" for each in SERVICES},
        "BULUO_BROKER_URL": broker.url(),
        "BULUO_BROKER_NAMESPACE": names.namespace,
        "BULUO_INTERNAL_KEY": json.dumps(secrets.public(secrets.signing_key)),
        "BULUO_GATEWAY_SIGNING_KEY": json.dumps(secrets.signing_key),
        "BULUO_GATEWAY_MASTER_KEY": secrets.master_key,
        "BULUO_GATEWAY_INDEX_KEY": secrets.index_key,
        "BULUO_DISTRIBUTION_TOKEN_KEY": json.dumps(secrets.distribution_key),
        "BULUO_TRIBE_TOKEN_KEY": json.dumps(secrets.tribe_key),
        "BULUO_ESCROW_SANDBOX_URL": provider_url,
        "BULUO_ESCROW_SANDBOX_SECRET": secrets.sandbox_secret,
        "BULUO_ESCROW_CALLBACK_URL": gateway,
        "BULUO_DISTRIBUTION_PUBLIC_URL": gateway,
    }
