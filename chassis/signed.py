"""Small signed statements that a client carries from one service to another: recipients, invitations."""

import time
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

ALGORITHM = "Ed25519"


class NotSigned(Exception):  # noqa: N818
    """Not signed by this key for this purpose, or expired."""


def sign(key: OKPKey, purpose: str, claims: Mapping[str, Any], lifetime_seconds: int) -> str:
    """A statement for one purpose (`recipient`, `touch`), valid for `lifetime_seconds`: ids, no personal data."""
    body = {**claims, "exp": int(time.time()) + lifetime_seconds}
    return jwt.encode({"alg": ALGORITHM, "typ": f"buluo-{purpose}+jwt"}, body, key, algorithms=[ALGORITHM])


def read(key: OKPKey, purpose: str, token: str) -> dict[str, Any]:
    """The claims of a statement; NotSigned for any that this key did not sign for this purpose, or that has expired."""
    try:
        statement = jwt.decode(token, key, algorithms=[ALGORITHM])
        if statement.header.get("typ") != f"buluo-{purpose}+jwt":
            raise NotSigned
        jwt.JWTClaimsRegistry(exp={"essential": True}).validate(statement.claims)
    except (JoseError, ValueError) as error:
        raise NotSigned from error
    return dict(statement.claims)
