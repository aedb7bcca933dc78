"""Who stands at the door: the one place where a client's access token or API key becomes a Caller."""

import re
import time
from collections.abc import Sequence

import asyncpg

from chassis.caller import Caller
from chassis.db import OUTAGE, Database
from chassis.decision import Refused, Unauthenticated
from chassis.desk import Unavailable
from gateway.domain import ApiKey
from gateway.store import API_KEYS, key_window
from gateway.tokens import AccessTokens
from gateway.vault import matches

_KEY = re.compile("(key_[0-9a-f]{32})_([A-Za-z0-9_-]{43})")
_REMEMBERED_MAX = 10_000


class KeyExpired(Refused):
    status, code = 401, "key_expired"


class Credentials:
    """Reads `Authorization`. A key once read is remembered for `cache_seconds`: a deleted one ends within that."""

    def __init__(self, tokens: AccessTokens, database: Database, cache_seconds: float) -> None:
        self._tokens = tokens
        self._database = database
        self._cache_seconds = cache_seconds
        self._window = key_window()
        self._keys: dict[str, tuple[float, ApiKey | None]] = {}

    async def caller(self, headers: Sequence[tuple[bytes, bytes]]) -> Caller | None:
        """The caller, None for a request that brings nothing; Unauthenticated for one that brings anything else."""
        given = [value for name, value in headers if name == b"authorization"]
        if not given:
            return None
        kind, _, token = given[0].decode("latin-1").partition(" ")
        if len(given) > 1 or kind.lower() != "bearer":
            raise Unauthenticated
        if token.startswith("key_"):
            return await self._by_key(token)
        return self._tokens.caller(token)

    async def _by_key(self, token: str) -> Caller:
        found = _KEY.fullmatch(token)
        key = await self._key(found[1]) if found else None
        if found is None or key is None or key.state != "active" or not matches(found[2], key.secret_hash):
            raise Unauthenticated
        if time.time() >= key.expires_at.timestamp():
            raise KeyExpired
        return Caller(party_id=key.party_id, key_id=key.key_id, scopes=frozenset(key.scopes))

    async def _key(self, key_id: str) -> ApiKey | None:
        known = self._keys.get(key_id)
        if known and known[0] > time.monotonic():
            return known[1]
        try:
            row = await self._window.read(self._database, key_id)
        except (*OUTAGE, asyncpg.PostgresError) as error:
            raise Unavailable from error
        key = API_KEYS.codec.decode(tuple(row)) if row else None
        if len(self._keys) >= _REMEMBERED_MAX:
            self._keys.clear()
        self._keys[key_id] = (time.monotonic() + self._cache_seconds, key)
        return key
