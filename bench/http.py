"""An HTTP/1.1 client for load: one kept connection per client, no feature that a driver does not need.

A general client costs milliseconds of CPU per request, on the same cores as the system under test; this one costs tens
of microseconds, so that many clients really are concurrent.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit


class Answer:
    """Status, headers by lower-case name, and the body's JSON."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One kept connection to one host. Requests on it go one after the other, as from one phone."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._head = (
            f"host: {self._host}:{self._port}\r\ncontent-type: application/json\r\naccept: application/json\r\n"
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request and read its whole answer.

        A kept connection that the server has closed in the meantime is opened again, once: such a request was not read.
        """
        kept = self._streams is not None
        try:
            return await self._request(method, path, body, headers)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            await self.close()
            if not kept or getattr(error, "partial", b""):
                raise
        return await self._request(method, path, body, headers)

    async def _request(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        payload = b"" if body is None else json.dumps(body).encode()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(
            f"{method} {path} HTTP/1.1\r\n{self._head}{lines}content-length: {len(payload)}\r\n\r\n".encode() + payload
        )
        answer = await self._read(reader)
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        lines = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in lines}
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, await self._chunks(reader))
        length = int(headers.get("content-length", "0"))
        return Answer(status, headers, await reader.readexactly(length) if length else b"")

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return body
