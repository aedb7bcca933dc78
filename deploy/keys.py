"""What a deployment keeps secret: made once, on the first start, and handed out on every start.

    python -m deploy.keys            make what is missing, hand out
    python -m deploy.keys show       print all of it, to be kept in a safe place
    python -m deploy.keys restore    take it from standard input, before the first start

Each container has a volume of its own with what it needs and nothing else. What Buluo's processes get is one file for
each setting, named like its variable.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from contracts.catalogue import SERVICES
from deploy import broker
from onebox.secrets import Secrets

ROOT = Path("/secrets")
Files = Mapping[str, str]
EVERYBODY_MAY_READ = frozenset({"definitions.json"})
"""RabbitMQ reads it under a number of its own; it holds salted hashes of random passwords."""


@dataclass(frozen=True, slots=True)
class Keys:
    """`world` is what every deployment has; the passwords are of PostgreSQL's administrator and the broker's users."""

    world: Secrets
    postgres_password: str
    broker_passwords: dict[str, str]

    @classmethod
    def make(cls) -> Self:
        passwords: dict[str, str] = {service: secrets.token_urlsafe(32) for service in SERVICES}
        return cls(Secrets.make(), secrets.token_urlsafe(32), passwords)

    @classmethod
    def of(cls, text: str) -> Self:
        """Out of what `show` printed. TypeError or ValueError where it is anything else."""
        value: dict[str, Any] = json.loads(text)
        return cls(**{**value, "world": Secrets(**value["world"])})

    def text(self) -> str:
        return json.dumps(asdict(self), indent=1)


def rooms(keys: Keys, mode: str) -> dict[str, Files]:
    """Who gets which files. The sandbox's own secret is nobody's in production: there it would be free money."""
    world = keys.world
    urls = {_variable(service, "database_url"): database_url(keys, service) for service in SERVICES}
    admin = f"postgresql://postgres:{keys.postgres_password}@postgres:5432/postgres"
    made: dict[str, dict[str, str]] = {
        "postgres": {"password": keys.postgres_password},
        "rabbitmq": {"definitions.json": json.dumps(broker.definitions(keys.broker_passwords))},
        "databases": {"BULUO_DATABASE_ADMIN_URL": admin, **urls},
        "provider": {},
    }
    for service in SERVICES:
        own = _variable(service, "database_url")
        made[service] = {
            own: urls[own],
            "BULUO_BROKER_URL": f"amqp://{service}:{keys.broker_passwords[service]}@rabbitmq:5672/{broker.VHOST}",
            "BULUO_INTERNAL_KEY": json.dumps(world.public(world.signing_key)),
        }
    made["gateway"] |= {
        "BULUO_GATEWAY_SIGNING_KEY": json.dumps(world.signing_key),
        "BULUO_GATEWAY_MASTER_KEY": world.master_key,
        "BULUO_GATEWAY_INDEX_KEY": world.index_key,
    }
    made["distribution"]["BULUO_DISTRIBUTION_TOKEN_KEY"] = json.dumps(world.distribution_key)
    made["tribe"]["BULUO_TRIBE_TOKEN_KEY"] = json.dumps(world.tribe_key)
    if mode == "sandbox":
        made["escrow"]["BULUO_ESCROW_SANDBOX_SECRET"] = world.sandbox_secret
        made["provider"]["BULUO_SANDBOX_SECRET"] = world.sandbox_secret
    return dict(made)


def database_url(keys: Keys, service: str) -> str:
    name = f"buluo_{service}"
    return f"postgresql://{name}:{keys.world.database_passwords[service]}@postgres:5432/{name}"


def _variable(service: str, name: str) -> str:
    return f"BULUO_{service}_{name}".upper()


def write(folder: Path, files: Files) -> None:
    """These files and no others, each in one piece."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        made = folder / f".{name}"
        made.unlink(missing_ok=True)
        made.touch(mode=0o600)
        made.write_text(text)
        made.chmod(0o444 if name in EVERYBODY_MAY_READ else 0o400)
        made.replace(folder / name)
    for stranger in folder.iterdir():
        if stranger.name not in files:
            stranger.unlink()


def vault(root: Path) -> Path:
    return root / "vault"


def kept(root: Path) -> Keys | None:
    path = vault(root) / "secrets.json"
    return Keys.of(path.read_text()) if path.exists() else None


def hand_out(root: Path, mode: str) -> None:
    """Make what there is not yet, and give to each what is its own."""
    keys = kept(root)
    if keys is None:
        keys = Keys.make()
        write(vault(root), {"secrets.json": keys.text()})
    for room, files in rooms(keys, mode).items():
        write(root / room, files)


def restore(root: Path, text: str) -> None:
    """Take over the secrets of another deployment, or of this one before its volumes were lost."""
    if kept(root):
        sys.exit("this deployment has its secrets already: nothing is changed")
    write(vault(root), {"secrets.json": Keys.of(text).text()})


def main(arguments: list[str], root: Path = ROOT) -> None:
    match arguments:
        case []:
            hand_out(root, os.environ.get("BULUO_MODE", "sandbox"))
        case ["show"]:
            keys = kept(root)
            if keys is None:
                sys.exit("there are no secrets yet: start the deployment once")
            sys.stdout.write(keys.text() + "\n")
        case ["restore"]:
            restore(root, sys.stdin.read())
        case _:
            sys.exit("usage: python -m deploy.keys [show | restore]")


if __name__ == "__main__":
    main(sys.argv[1:])
