"""The internal token: who asks, said by the gateway to one service for 60 seconds, signed with Ed25519 (decision 0008).

It carries ids and scopes only. Services verify it with the gateway's public key: no service can make one.
"""

import time
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from chassis.caller import Caller
from chassis.decision import Unauthenticated

ALGORITHM: Final = "Ed25519"
ISSUER: Final = "buluo-gateway"
TYPE: Final = "buluo-internal+jwt"
LIFETIME_SECONDS: Final = 60
_REMEMBERED_MAX = 10_000


class Issuer:
    """Makes internal tokens (the gateway alone). One token serves every request of a session for half its lifetime."""

    def __init__(self, private_key: OKPKey) -> None:
        self._key = private_key
        self._made: dict[tuple[str, Caller], tuple[float, str]] = {}

    def token(self, service: str, caller: Caller) -> str:
        """A token for `service`; `caller.request_id` is not part of it (it travels in its own header)."""
        now = time.time()
        known = self._made.get((service, caller))
        if known and known[0] > now:
            return known[1]
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": service,
            "iat": int(now),
            "exp": int(now) + LIFETIME_SECONDS,
            "sub": caller.person_id or "",
            "party": caller.party_id or "",
            "key": caller.key_id or "",
            "scopes": sorted(caller.scopes),
        }
        token = jwt.encode({"alg": ALGORITHM, "typ": TYPE}, claims, self._key, algorithms=[ALGORITHM])
        if len(self._made) >= _REMEMBERED_MAX:
            self._made.clear()
        self._made[service, caller] = (now + LIFETIME_SECONDS / 2, token)
        return token


class Verifier:
    """Reads internal tokens for one service. A verified token is remembered until it expires."""

    def __init__(self, service: str, public_key: OKPKey) -> None:
        self._service = service
        self._key = public_key
        self._known: dict[str, tuple[float, Caller]] = {}

    def caller(self, token: str) -> Caller:
        """The caller that a token names; Unauthenticated for any token not made for this service and now."""
        known = self._known.get(token)
        if known and known[0] > time.time():
            return known[1]
        claims = self._verified(token)
        caller = Caller(
            person_id=claims["sub"] or None,
            party_id=claims.get("party") or None,
            key_id=claims.get("key") or None,
            scopes=frozenset(claims.get("scopes", ())),
        )
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.clear()
        self._known[token] = (float(claims["exp"]), caller)
        return caller

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            read = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            if read.header.get("typ") != TYPE:
                raise Unauthenticated
            jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": ISSUER},
                aud={"essential": True, "value": self._service},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": True, "allow_blank": True},
            ).validate(read.claims)
        except (JoseError, ValueError) as error:
            raise Unauthenticated from error
        return read.claims
