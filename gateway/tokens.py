"""What a client holds: access tokens (signed, 15 minutes) and refresh tokens (opaque, used once).

An access token is read without a database, so a request is served while the gateway's own is down; a session that has
ended is out at the latest when its token is.
"""

import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OKPKey

from chassis.caller import Caller
from chassis.decision import Refused, Unauthenticated
from gateway.vault import Marks

ALGORITHM: Final = "Ed25519"
ISSUER: Final = "buluo"
AUDIENCE: Final = "buluo"
TYPE: Final = "at+jwt"
_REMEMBERED_MAX = 10_000
_TOKEN_MAX_CHARACTERS = 2_048
_PERSON = re.compile("per_[0-9a-f]{32}")
_LEEWAY_SECONDS = 10  # the clocks of two replicas
_CLAIMS = jwt.JWTClaimsRegistry(
    leeway=_LEEWAY_SECONDS,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    iat={"essential": True},
    sub={"essential": True},
    sid={"essential": True},
    jti={"essential": True},
)


class TokenExpired(Refused):
    status, code = 401, "token_expired"


class AccessTokens:
    """Signs and reads access tokens with one key, one algorithm, one type; nothing in a token chooses any of them."""

    def __init__(self, key: OKPKey, lifetime_seconds: int) -> None:
        self._key = key
        self._kid = key.thumbprint()
        self._lifetime_seconds = lifetime_seconds
        self._known: dict[str, tuple[float, Caller]] = {}

    def make(self, person_id: str, session_id: str) -> tuple[str, int]:
        """A token and when it expires (seconds since 1970)."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + self._lifetime_seconds,
            "sub": person_id, "sid": session_id, "jti": secrets.token_hex(16),
        }  # fmt: skip
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._kid}
        return jwt.encode(header, claims, self._key, algorithms=[ALGORITHM]), now + self._lifetime_seconds

    def caller(self, token: str) -> Caller:
        """The person a token names; TokenExpired for one of ours that is too old, Unauthenticated for any other."""
        known = self._known.get(token)
        if known and known[0] > time.time():
            return known[1]
        claims = self._verified(token)
        caller = Caller(person_id=claims["sub"])
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.clear()
        self._known[token] = (float(claims["exp"]), caller)
        return caller

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > _TOKEN_MAX_CHARACTERS:
            raise Unauthenticated
        try:
            read = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            # Exactly our header: no jku, x5u, jwk or crit can ask for anything.
            if read.header != {"alg": ALGORITHM, "typ": TYPE, "kid": self._kid}:
                raise Unauthenticated
            _CLAIMS.validate(read.claims)
        except ExpiredTokenError as error:
            raise TokenExpired from error
        except (JoseError, ValueError, TypeError) as error:
            raise Unauthenticated from error
        if not isinstance(read.claims["sub"], str) or not _PERSON.fullmatch(read.claims["sub"]):
            raise Unauthenticated
        return dict(read.claims)


_REFRESH = re.compile(r"(ses_[0-9a-f]{32})\.([0-9]{1,9})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})")


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """`{session}.{generation}.{secret}.{mark}`: the mark shows that it was made here, the secret that it is the latest.

    Without the mark, whoever knows a session's id could end the session with an invented token.
    """

    session_id: str
    generation: int
    secret: str

    @classmethod
    def next(cls, session_id: str, generation: int) -> "RefreshToken":
        return cls(session_id, generation, secrets.token_urlsafe(32))

    @classmethod
    def read(cls, text: str, marks: Marks) -> "RefreshToken | None":
        """The token in a text; None for what was never made here."""
        found = _REFRESH.fullmatch(text)
        if not found:
            return None
        token = cls(found[1], int(found[2]), found[3])
        return token if secrets.compare_digest(token.text(marks), text) else None

    def text(self, marks: Marks) -> str:
        mark = marks.refresh(self.session_id, self.generation, self.secret)
        return f"{self.session_id}.{self.generation}.{self.secret}.{mark}"
