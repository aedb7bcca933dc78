"""Personal data at rest: envelope encryption, and keyed hashes by which a row is found without its content.

Every sealed value has its own data key, wrapped by the master key; what it is about (`phone:<index>`,
`recipient:<id>`) is authenticated with it, so a ciphertext moved to another row does not open. Layout, in bytes:
version 1, master key id 4, nonce 12, wrapped data key 48, nonce 12, ciphertext.
"""

import hmac
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION = b"\x01"
_ID, _NONCE, _WRAPPED = 4, 12, KEY_BYTES + 16


class NotOpened(Exception):  # noqa: N818
    """Sealed under a master key that is not here, altered, or about something else."""


def key_of(base64_text: str) -> bytes:
    """A 32-byte key out of a setting; ValueError, without the text, for anything else."""
    try:
        key = b64decode(base64_text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("a key is 32 bytes in base64")
    return key


def key_id(master: bytes) -> bytes:
    """Names a master key inside what it sealed, so that several can be in use while one is replaced."""
    return sha256(b"buluo master key id" + master).digest()[:_ID]


class Vault:
    """Seals under the first master key, opens under any of them."""

    def __init__(self, master: bytes, retired: Sequence[bytes] = ()) -> None:
        self._current = key_id(master)
        self._masters = {key_id(key): AESGCM(key) for key in (*retired, master)}

    def seal(self, plain: str, about: str) -> bytes:
        data_key, name = AESGCM.generate_key(bit_length=256), about.encode()
        outer, inner = secrets.token_bytes(_NONCE), secrets.token_bytes(_NONCE)
        wrapped = self._masters[self._current].encrypt(outer, data_key, name)
        return (
            _VERSION + self._current + outer + wrapped + inner + AESGCM(data_key).encrypt(inner, plain.encode(), name)
        )

    def open(self, sealed: bytes, about: str) -> str:
        """What was sealed about this; NotOpened otherwise."""
        name, parts = about.encode(), _split(sealed, 1, _ID, _NONCE, _WRAPPED, _NONCE)
        version, master, outer, wrapped, inner, ciphertext = parts
        if version != _VERSION or master not in self._masters:
            raise NotOpened
        try:
            data_key = self._masters[master].decrypt(outer, wrapped, name)
            return AESGCM(data_key).decrypt(inner, ciphertext, name).decode()
        except (InvalidTag, ValueError) as error:
            raise NotOpened from error


def _split(whole: bytes, *lengths: int) -> tuple[bytes, ...]:
    parts, start = [], 0
    for length in lengths:
        parts.append(whole[start : start + length])
        start += length
    return (*parts, whole[start:])


class Marks:
    """Keyed hashes, one key per purpose: equal things are found again, none can be turned back or guessed offline."""

    def __init__(self, index_key: bytes) -> None:
        self._index_key = index_key

    def _mac(self, purpose: str, *parts: str) -> bytes:
        key = hmac.digest(self._index_key, b"buluo " + purpose.encode(), "sha256")
        return hmac.digest(key, "\x1f".join(parts).encode(), "sha256")

    def phone_index(self, phone: str) -> str:
        """Finds a phone number's row: 64 hex digits."""
        return self._mac("phone", phone).hex()

    def code(self, code_id: str, code: str) -> bytes:
        return self._mac("code", code_id, code)

    def refresh(self, session_id: str, generation: int, secret: str) -> str:
        """Proves that a refresh token was once made here, whatever its session says of it now."""
        return _text(self._mac("refresh", session_id, str(generation), secret)[:16])

    def api_secret(self, principal: str, idempotency_key: str) -> str:
        """An API key's secret, 256 bits: the repeated request gives the same one, and it is stored nowhere."""
        return _text(self._mac("api key", principal, idempotency_key))

    def request(self, body: str) -> bytes:
        """What a repeated request is known by where its body is personal: a plain hash of it could be guessed."""
        return self._mac("request", body)

    def party_secret(self, party_id: str) -> bytes:
        """The secret under which this party, and no other, recognises a person again."""
        return self._mac("reference", party_id)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def hashed(secret: str) -> bytes:
    """How a random secret of 128 bits or more is stored."""
    return sha256(secret.encode()).digest()


def matches(secret: str, stored: bytes) -> bool:
    return hmac.compare_digest(hashed(secret), stored)
