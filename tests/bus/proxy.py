"""A TCP proxy between a service and the broker, so that the line can be cut, closed, or swallow everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """`close` refuses newcomers and cuts the others; `cut` only cuts; `blackhole` goes on accepting and says nothing."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.swallowed = 0
        """Bytes that a black hole took."""
        self.connections = 0
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()

    async def open(self) -> None:
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        for stream in self._streams:
            stream.transport.abort()

    def blackhole(self) -> None:
        self._passing.clear()

    async def end(self) -> None:
        await self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._streams.add(writer)
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            there, back = await asyncio.open_connection(*self._target)
            self._streams.add(back)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, back))
                    both.create_task(self._pass(there, writer))
            finally:
                self._streams.discard(back)
                back.transport.abort()
        except (OSError, ExceptionGroup):
            pass
        finally:
            self._streams.discard(writer)
            writer.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self._passing.is_set():
                writer.write(data)
                await writer.drain()
            else:
                self.swallowed += len(data)
        raise ConnectionResetError


@asynccontextmanager
async def between(host: str, port: int) -> AsyncIterator[Proxy]:
    """An open proxy to that place."""
    proxy = Proxy(host, port)
    await proxy.open()
    try:
        yield proxy
    finally:
        with suppress(Exception):
            await proxy.end()
