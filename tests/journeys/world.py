"""Worlds for journeys: oneboxes in processes of their own, so that they can be killed, and where their databases lie."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self

import asyncpg
import httpx

from onebox.postgres import Postgres
from tests.journeys.nursery import fork

READY_SECONDS = 90.0
STOPPED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a onebox listens. One that comes back after a kill comes back there: pay pages and callbacks stay valid."""

    gateway: int
    provider: int
    metrics: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway}"

    @classmethod
    def free(cls) -> Self:
        return cls(free_port(), free_port(), free_port())


def free_port() -> int:
    """Below the range from which the system takes the ports of clients, so that none takes it while nobody listens."""
    while True:
        port = random.randrange(15_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass(slots=True)
class Process:
    """A onebox in a process of its own."""

    folder: Path
    ports: Ports
    process: ForkServerProcess

    @property
    def url(self) -> str:
        return self.ports.url

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.metrics}/metrics"

    async def kill(self) -> None:
        """SIGKILL: no clean-up of any kind."""
        self.process.kill()
        await self.ended()

    async def stop(self) -> None:
        """SIGTERM, if it still runs."""
        self.process.terminate()
        await self.ended()

    async def ended(self, within_seconds: float = STOPPED_SECONDS) -> int | None:
        """The exit code, once there is one; negative for the signal that ended it."""
        await asyncio.to_thread(self.process.join, within_seconds)
        return self.process.exitcode


def start(folder: Path, ports: Ports, *, trap: str | None = None, mutant: str | None = None) -> Process:
    """`python -m onebox serve`, not waited for. What it says goes to `process.log` in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        "serve", "--folder", str(folder), "--port", str(ports.gateway),
        "--provider-port", str(ports.provider), "--metrics-port", str(ports.metrics),
    ]  # fmt: skip
    return Process(folder, ports, fork(arguments, folder / "process.log", trap=trap, mutant=mutant))


@asynccontextmanager
async def onebox(folder: Path, ports: Ports | None = None, *, mutant: str | None = None) -> AsyncIterator[Process]:
    """A onebox on its ports, any free ones if not given, once it is ready; stopped at the end if it still runs."""
    running = start(folder, ports or Ports.free(), mutant=mutant)
    try:
        await become_ready(running)
        yield running
    finally:
        await running.stop()


async def become_ready(running: Process) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(int(READY_SECONDS / 0.05)):
            if not running.process.is_alive():
                break
            try:
                if (await client.get(f"{running.url}/readyz", timeout=2)).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)
    said = (running.folder / "process.log").read_text(errors="replace")[-2_000:]
    raise RuntimeError(f"the world did not start (exit {running.process.exitcode}):\n{said}")


@asynccontextmanager
async def superuser(folder: Path, database: str = "postgres") -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection as the administrator of a world's server: for statistics, and for tampering."""
    with Postgres.start(folder / "postgres") as server:
        connection = await asyncpg.connect(server.admin_url, database=database)
        try:
            yield connection
        finally:
            await connection.close()


def data_folder(folder: Path) -> Path:
    """Where the files of a world's databases lie."""
    place = folder / "postgres" / "data"
    return place.readlink() / place.name if place.is_symlink() else place


def interrupt(process_id: int) -> None:
    """SIGKILL to a process that is not our child."""
    os.kill(process_id, signal.SIGKILL)
