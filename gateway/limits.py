"""What a request may weigh before anybody reads it: its head, its body, its depth, and how long it takes."""

import asyncio
import re

from chassis.decision import InvalidRequest, Refused
from chassis.web import Receive, Scope

HEADERS_MAX = 64
HEAD_BYTES_MAX = 16_384
DEPTH_MAX = 32

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class HeadTooLarge(Refused):
    status, code = 431, "head_too_large"


class BodyTooLarge(Refused):
    status, code = 413, "body_too_large"


class BodyTooSlow(Refused):
    status, code = 408, "body_too_slow"


class UnsupportedMediaType(Refused):
    status, code = 415, "unsupported_media_type"


class Gone(Exception):  # noqa: N818
    """The client has hung up."""


def check_head(scope: Scope) -> None:
    headers = scope["headers"]
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in headers)
    if len(headers) > HEADERS_MAX or size > HEAD_BYTES_MAX:
        raise HeadTooLarge


async def read_body(headers: dict[bytes, bytes], receive: Receive, *, most: int, seconds: float) -> bytes:
    """The whole body, counted as it arrives: a length that was promised wrongly, or not at all, changes nothing."""
    promised = headers.get(b"content-length", b"0")
    if not promised.isdigit() or len(promised) > 18 or int(promised) > most:
        raise BodyTooLarge({"limit_bytes": most})
    try:
        async with asyncio.timeout(seconds):
            return await _collect(receive, most)
    except TimeoutError as error:
        raise BodyTooSlow from error


async def _collect(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > most:
            raise BodyTooLarge({"limit_bytes": most})
        if not message.get("more_body", False):
            return bytes(body)


def check_json(content_type: bytes, body: bytes) -> None:
    """A body is JSON and says so; and it is not nested so deep that reading it would hurt."""
    if not body:
        return
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise UnsupportedMediaType
    if depth_of(body) > DEPTH_MAX:
        raise InvalidRequest.at("", f"nested deeper than {DEPTH_MAX}")


def depth_of(body: bytes) -> int:
    """How deep the brackets of a JSON text go; exact for valid JSON."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return 0
    depth = deepest = 0
    for found in _BRACKETS.finditer(_STRINGS.sub(b"", body)):
        depth += 1 if found[0] in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
