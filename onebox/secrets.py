"""A world's secrets: made once on its first start, kept in a file that only its owner can read."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from joserfc.jwk import OKPKey

_FILE = "secrets.json"
_SERVICES = ("partner", "tribe", "order", "escrow", "distribution", "gateway")


def _key() -> dict[str, Any]:
    return dict(OKPKey.generate_key("Ed25519").as_dict(private=True))


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys as JWK (Ed25519, private), the master key of personal data as base64, passwords of the database roles."""

    signing_key: dict[str, Any]
    distribution_key: dict[str, Any]
    tribe_key: dict[str, Any]
    master_key: str
    index_key: str
    sandbox_secret: str
    database_passwords: dict[str, str]

    @classmethod
    def make(cls) -> Self:
        return cls(
            signing_key=_key(),
            distribution_key=_key(),
            tribe_key=_key(),
            master_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            index_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            sandbox_secret=secrets.token_urlsafe(48),
            database_passwords={service: secrets.token_urlsafe(24) for service in _SERVICES},
        )

    @classmethod
    def of_world(cls, folder: Path) -> Self:
        """The world's secrets; made on the first call. Two processes that start at once agree on one file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _FILE
        if not path.exists():
            made = path.with_suffix(f".{os.getpid()}")
            made.touch(mode=0o600)
            made.write_text(json.dumps(asdict(cls.make())))
            try:
                os.link(made, path)  # Unlike a rename, a link never replaces what the other process has made.
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return cls(**json.loads(path.read_text()))

    def public(self, key: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in key.items() if name != "d"}
