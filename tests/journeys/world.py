"""Worlds for journeys: oneboxes in processes of their own, so that they can be killed, and where their databases lie."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import asyncpg
import httpx

from onebox.postgres import Postgres

READY_SECONDS = 90.0
STOPPED_SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[2]
ONEBOX = ("-m", "onebox")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a onebox listens. One that comes back after a kill comes back there: pay pages and callbacks stay valid."""

    gateway: int
    provider: int
    metrics: int

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

    url: str
    metrics_url: str
    process: subprocess.Popen[bytes]
    folder: Path

    async def kill(self) -> None:
        """SIGKILL: no clean-up of any kind."""
        self.process.kill()
        await self.ended()

    async def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        await self.ended()

    async def ended(self, within_seconds: float = STOPPED_SECONDS) -> int:
        """The exit code, once there is one; negative for the signal that ended it."""
        return await asyncio.to_thread(self.process.wait, within_seconds)


def start(folder: Path, ports: Ports, *, program: Sequence[str] = ONEBOX, **environment: str) -> Process:
    """`python -m onebox serve`, not waited for. What it says goes to `process.log` in its folder."""
    command = [
        sys.executable, *program, "serve", "--folder", str(folder), "--port", str(ports.gateway),
        "--provider-port", str(ports.provider), "--metrics-port", str(ports.metrics),
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "process.log").open("ab") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=ROOT, stdout=log, stderr=log)
    return Process(f"http://127.0.0.1:{ports.gateway}", f"http://127.0.0.1:{ports.metrics}/metrics", process, folder)


@asynccontextmanager
async def onebox(
    folder: Path, ports: Ports | None = None, *, program: Sequence[str] = ONEBOX, ready: bool = True, **environment: str
) -> AsyncIterator[Process]:
    """A onebox on its ports, any free ones if not given, once it is ready; stopped at the end if it still runs."""
    running = start(folder, ports or Ports.free(), program=program, **environment)
    try:
        if ready:
            await become_ready(running)
        yield running
    finally:
        await running.stop()


async def become_ready(running: Process) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(int(READY_SECONDS / 0.05)):
            if running.process.poll() is not None:
                break
            try:
                if (await client.get(f"{running.url}/readyz", timeout=2)).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)
    said = (running.folder / "process.log").read_text(errors="replace")[-2_000:]
    raise RuntimeError(f"the world did not start (exit {running.process.returncode}):\n{said}")


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
