"""The three headers by which each side knows that a request comes from the other."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.refusals import Refused

SKEW_MAX_SECONDS = 300
NONCE_MAX_CHARACTERS = 64
TIMESTAMP_MAX_DIGITS = 12


@dataclass(frozen=True)
class Message:
    """What a signature covers, besides its time and nonce. `path` is as sent, without the query."""

    method: str
    path: str
    body: bytes


def headers(secret: str, message: Message, at_seconds: float) -> dict[str, str]:
    """Sign one request, with a fresh nonce."""
    timestamp, nonce = str(int(at_seconds)), secrets.token_hex(16)
    return {
        "Sandbox-Timestamp": timestamp,
        "Sandbox-Nonce": nonce,
        "Sandbox-Signature": _signature(secret, message, timestamp, nonce),
    }


def verify(secret: str, message: Message, given: Mapping[str, str], at_seconds: float) -> None:
    """Return if the headers prove knowledge of the secret within the allowed skew; else raise Refused (401)."""
    timestamp, nonce = given.get("Sandbox-Timestamp", ""), given.get("Sandbox-Nonce", "")
    expected = _signature(secret, message, timestamp, nonce)
    matches = hmac.compare_digest(expected.encode(), given.get("Sandbox-Signature", "").encode())
    if not (matches and _is_fresh(timestamp, at_seconds) and 0 < len(nonce) <= NONCE_MAX_CHARACTERS):
        raise Refused(401, "signature_refused", "The signature headers are missing, wrong or too old.")


def _signature(secret: str, message: Message, timestamp: str, nonce: str) -> str:
    head = f"{message.method}\n{message.path}\n{timestamp}\n{nonce}\n"
    return base64.b64encode(hmac.digest(secret.encode(), head.encode() + message.body, hashlib.sha256)).decode()


def _is_fresh(timestamp: str, at_seconds: float) -> bool:
    is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= TIMESTAMP_MAX_DIGITS
    return is_number and abs(int(timestamp) - at_seconds) <= SKEW_MAX_SECONDS
