"""The sandbox payment provider as a child process: the outside world stays outside, even on one machine."""

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Self

import httpx

READY_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """On Linux the kernel ends the child when its parent is killed; elsewhere it stays until its port is wanted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class ProviderProcess:
    """`python -m sandbox` on its own port with its own state; serves from entering to leaving."""

    def __init__(self, folder: Path, secret: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {
            **os.environ,
            "BULUO_SANDBOX_SECRET": secret,
            "BULUO_SANDBOX_PORT": str(port),
            "BULUO_SANDBOX_DATA_PATH": str(folder / "provider.sqlite3"),
            "BULUO_SANDBOX_PUBLIC_URL": self.url,
        }
        self._log = folder / "provider.log"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        await self.ready()
        return self

    async def start(self) -> None:
        """Start it without waiting until it serves."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sandbox",
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    async def __aexit__(self, *_: object) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def ready(self) -> None:
        """Return when it answers. RuntimeError if it ends first, or does not answer in time."""
        assert self._process is not None  # noqa: S101
        async with httpx.AsyncClient() as client:
            for _ in range(int(READY_SECONDS / 0.05)):
                if self._process.returncode is not None:
                    break
                try:
                    if (await client.get(f"{self.url}/livez", timeout=1)).is_success:
                        return
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
        raise RuntimeError(f"the sandbox provider did not start; see {self._log}")
