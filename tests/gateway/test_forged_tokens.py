"""What is not exactly a token of ours is nobody's: every class of forgery is 401, on public operations too."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey, RSAKey

from chassis.auth import Issuer
from chassis.caller import Caller
from tests import support
from tests.gateway.world import world

KID = support.KEY.thumbprint()
HEADER = {"alg": "Ed25519", "typ": "at+jwt", "kid": KID}
OTHER_KEY = OKPKey.generate_key("Ed25519")


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "iss": "buluo", "aud": "buluo", "iat": now, "exp": now + 600, "sub": support.new_id("per"),
        "sid": support.new_id("ses"), "jti": "j",
    }  # fmt: skip
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(body: dict[str, Any], key: Any = support.KEY, **header: Any) -> str:
    """Signed as it stands: no library would make these headers."""
    head = {name: value for name, value in {**HEADER, **header}.items() if value is not ...}
    unsigned = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
    private: Ed25519PrivateKey = key.private_key
    return f"{unsigned}.{b64(private.sign(unsigned.encode()))}"


def hs256_with(secret: bytes) -> str:
    head = {**HEADER, "alg": "HS256"}
    unsigned = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims()).encode())}"
    return f"{unsigned}.{b64(hmac.new(secret, unsigned.encode(), hashlib.sha256).digest())}"


def unsigned(alg: str) -> str:
    return f"{b64(json.dumps({**HEADER, 'alg': alg}).encode())}.{b64(json.dumps(claims()).encode())}."


def tampered(part: int) -> str:
    parts = signed(claims()).split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    raw[len(raw) // 2] ^= 1
    parts[part] = b64(bytes(raw))
    return ".".join(parts)


def another_person() -> str:
    head, _, signature = signed(claims()).split(".")
    return f"{head}.{b64(json.dumps(claims()).encode())}.{signature}"


PUBLIC_JWK = json.dumps(support.KEY.as_dict(private=False)).encode()
PUBLIC_PEM = support.KEY.as_pem(private=False)
PUBLIC_RAW = base64.urlsafe_b64decode(str(support.KEY.as_dict(private=False)["x"]) + "==")

FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned("none"),
    "alg None in capitals": lambda: unsigned("NONE"),
    "no signature": lambda: unsigned("Ed25519"),
    "HS256 with the public JWK": lambda: hs256_with(PUBLIC_JWK),
    "HS256 with the public PEM": lambda: hs256_with(PUBLIC_PEM),
    "HS256 with the raw public key": lambda: hs256_with(PUBLIC_RAW),
    "RS256 with a key of their own": lambda: jwt.encode(
        {**HEADER, "alg": "RS256"}, claims(), RSAKey.generate_key(2048), algorithms=["RS256"]
    ),
    "another Ed25519 key": lambda: signed(claims(), OTHER_KEY),
    "another key under its own kid": lambda: signed(claims(), OTHER_KEY, kid=OTHER_KEY.thumbprint()),
    "another key, brought along": lambda: signed(claims(), OTHER_KEY, jwk=OTHER_KEY.as_dict(private=False)),
    "jku": lambda: signed(claims(), jku="https://evil.example/keys"),
    "x5u": lambda: signed(claims(), x5u="https://evil.example/cert"),
    "crit": lambda: signed(claims(), crit=["exp"]),
    "kid as a path": lambda: signed(claims(), kid="../../../../dev/null"),
    "kid as SQL": lambda: signed(claims(), kid="x' UNION SELECT 'key"),
    "no kid": lambda: signed(claims(), kid=...),
    "typ of an internal token": lambda: signed(claims(), typ="buluo-internal+jwt"),
    "typ of a recipient token": lambda: signed(claims(), typ="buluo-recipient+jwt"),
    "typ JWT": lambda: signed(claims(), typ="JWT"),
    "no typ": lambda: signed(claims(), typ=...),
    "wrong audience": lambda: signed(claims(aud="order")),
    "no audience": lambda: signed(claims(aud=...)),
    "wrong issuer": lambda: signed(claims(iss="buluo-gateway")),
    "no issuer": lambda: signed(claims(iss=...)),
    "expired": lambda: signed(claims(exp=int(time.time()) - 11)),
    "no exp": lambda: signed(claims(exp=...)),
    "exp as text": lambda: signed(claims(exp="9999999999")),
    "not yet valid": lambda: signed(claims(nbf=int(time.time()) + 60)),
    "issued in the future": lambda: signed(claims(iat=int(time.time()) + 3600)),
    "no iat": lambda: signed(claims(iat=...)),
    "no sub": lambda: signed(claims(sub=...)),
    "sub that is no person": lambda: signed(claims(sub="platform")),
    "sub that is a list": lambda: signed(claims(sub=["per_1"])),
    "no sid": lambda: signed(claims(sid=...)),
    "no jti": lambda: signed(claims(jti=...)),
    "header tampered with": lambda: tampered(0),
    "claims tampered with": lambda: tampered(1),
    "signature tampered with": lambda: tampered(2),
    "the signature of another token": another_person,
    "an internal token": lambda: Issuer(support.KEY).token("order", Caller(person_id=support.new_id("per"))),
    "five parts, as if encrypted": lambda: ".".join([b64(json.dumps({**HEADER, "alg": "dir", "enc": "A256GCM"}).encode()), *"abcd"]),
    "not a token": lambda: "x",
    "nothing": lambda: "",
    "two dots": lambda: "..",
    "very long": lambda: "a" * 5_000,
    "a key that is none": lambda: "key_" + "0" * 32 + "_" + "A" * 43,
    "a key of a wrong shape": lambda: "key_x",
}  # fmt: skip


async def test_every_class_of_forged_token_is_401_and_reaches_nobody() -> None:
    assert len(FORGED) >= 25
    async with world() as here, here.anyone() as client:
        genuine = await client.get("/v1/me", headers={"authorization": f"Bearer {signed(claims())}"})
        assert genuine.status_code == 404  # a good token, of a person who is not there
        for name, forge in FORGED.items():
            for path in ("/v1/orders", "/v1/products"):
                answer = await client.get(path, headers={"authorization": f"Bearer {forge()}"})
                assert answer.status_code == 401, name
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.json()["code"] == ("token_expired" if name == "expired" else "unauthenticated"), name
        assert not here.standins["order"].seen


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "bearer", "Token x", "Bearer  ", "Negotiate abc"])
async def test_another_scheme_is_401(header: str) -> None:
    async with world() as here, here.anyone(authorization=header) as client:
        assert (await client.get("/v1/orders")).status_code == 401


async def test_two_authorisations_are_none() -> None:
    from tests.gateway.test_edge import call

    good = f"Bearer {signed(claims())}".encode()
    async with world() as here:
        status, _, _ = await call(here, "/v1/orders", headers=[(b"authorization", good), (b"authorization", good)])
        assert status == 401
