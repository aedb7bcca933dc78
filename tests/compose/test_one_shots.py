"""What runs before the others: secrets and the broker's users; and the small programs every container starts with."""

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from chassis.bus.topology import HEARERS, Names
from contracts import catalogue
from contracts.catalogue import SERVICES
from deploy import broker, databases, keys

ROOT = Path(__file__).parents[2]


def handed_out(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_secrets_are_made_once_and_handed_out_again(tmp_path: Path) -> None:
    keys.hand_out(tmp_path, "sandbox")
    first = handed_out(tmp_path)
    keys.hand_out(tmp_path, "sandbox")
    second = handed_out(tmp_path)
    salted = "rabbitmq/definitions.json"
    assert {**first, salted: ""} == {**second, salted: ""}


def test_two_deployments_share_no_secret(tmp_path: Path) -> None:
    for each in ("a", "b"):
        keys.hand_out(tmp_path / each, "sandbox")
    a, b = (handed_out(tmp_path / each) for each in ("a", "b"))
    assert all(a[name] != b[name] for name in a)


def test_nobody_but_their_owner_can_read_secrets(tmp_path: Path) -> None:
    keys.hand_out(tmp_path, "sandbox")
    modes = {path: stat.S_IMODE((tmp_path / path).stat().st_mode) for path in handed_out(tmp_path)}
    assert modes.pop("rabbitmq/definitions.json") == 0o444
    assert set(modes.values()) == {0o400}


def test_a_service_gets_its_own_database_and_user_and_no_other(tmp_path: Path) -> None:
    keys.hand_out(tmp_path, "sandbox")
    files = handed_out(tmp_path)
    known = json.loads(files["vault/secrets.json"])
    for service in SERVICES:
        own = "".join(text for path, text in files.items() if path.startswith(f"{service}/"))
        for other in SERVICES:
            assert (known["broker_passwords"][other] in own) == (other == service)
            assert (known["world"]["database_passwords"][other] in own) == (other == service)
        assert known["postgres_password"] not in own
        assert (known["world"]["signing_key"]["d"] in own) == (service == "gateway")


def test_in_production_nobody_gets_what_belongs_to_the_sandbox(tmp_path: Path) -> None:
    keys.hand_out(tmp_path, "sandbox")
    secret = json.loads(handed_out(tmp_path)["vault/secrets.json"])["world"]["sandbox_secret"]
    holders = {path for path, text in handed_out(tmp_path).items() if secret in text} - {"vault/secrets.json"}
    assert holders == {"escrow/BULUO_ESCROW_SANDBOX_SECRET", "provider/BULUO_SANDBOX_SECRET"}
    keys.hand_out(tmp_path, "production")
    assert not holders & handed_out(tmp_path).keys()


def test_the_broker_is_told_no_password(tmp_path: Path) -> None:
    keys.hand_out(tmp_path, "sandbox")
    files = handed_out(tmp_path)
    passwords = json.loads(files["vault/secrets.json"])["broker_passwords"]
    assert not [each for each in passwords.values() if each in files["rabbitmq/definitions.json"]]


def test_shown_secrets_can_be_restored_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys.main([], tmp_path / "a")
    keys.main(["show"], tmp_path / "a")
    shown = capsys.readouterr().out
    keys.restore(tmp_path / "b", shown)
    keys.main([], tmp_path / "b")
    a, b = handed_out(tmp_path / "a"), handed_out(tmp_path / "b")
    assert {path for path in a if a[path] != b[path]} == {"rabbitmq/definitions.json"}


def test_secrets_in_use_are_not_replaced(tmp_path: Path) -> None:
    keys.hand_out(tmp_path, "sandbox")
    before = handed_out(tmp_path)
    with pytest.raises(SystemExit, match="already"):
        keys.restore(tmp_path, keys.Keys.make().text())
    assert handed_out(tmp_path) == before


def test_restoring_takes_nothing_else_for_secrets(tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        keys.restore(tmp_path, '{"world": {}}')
    assert handed_out(tmp_path) == {}


def test_the_one_shot_for_databases_gets_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.hand_out(tmp_path, "sandbox")
    for path in (tmp_path / "databases").iterdir():
        monkeypatch.setenv(path.name, path.read_text())
    assert databases.urls().keys() == set(SERVICES)
    assert len(set(databases.urls().values())) == len(SERVICES)
    assert os.environ["BULUO_DATABASE_ADMIN_URL"].startswith("postgresql://postgres:")


# --- the broker's users ----------------------------------------------------------------------------------------------

NAMES = Names()
MADE = broker.definitions({service: f"pass of {service}" for service in SERVICES})


def may(service: str, what: str, name: str) -> bool:
    (rights,) = [each for each in MADE["permissions"] if each["user"] == service]
    return bool(re.search(rights[what], name))


def test_every_queue_and_binding_is_there_before_anybody_connects() -> None:
    assert {each["name"] for each in MADE["queues"]} == {
        name for hearer in HEARERS for name in (NAMES.queue(hearer), NAMES.dead_queue(hearer))
    }
    bound = {(each["destination"], each["routing_key"]) for each in MADE["bindings"]}
    for fact_type in catalogue.CATALOGUE:
        for hearer in catalogue.hearers(fact_type):
            assert (NAMES.queue(hearer), f"{hearer}.{fact_type}") in bound


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_its_own_queues_alone(service: str) -> None:
    readable = {each["name"] for each in MADE["queues"] if may(service, "read", each["name"])}
    assert readable == {NAMES.queue(service), NAMES.dead_queue(service)}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_its_own_facts_alone(service: str) -> None:
    (topics,) = [each for each in MADE["topic_permissions"] if each["user"] == service]
    for fact_type, entry in catalogue.CATALOGUE.items():
        for hearer in catalogue.hearers(fact_type):
            assert bool(re.search(topics["write"], f"{hearer}.{fact_type}")) == (entry.producer == service)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_publishes_nowhere_but_to_the_exchange_of_facts(service: str) -> None:
    assert may(service, "write", NAMES.exchange)
    assert not may(service, "write", "amq.default")
    assert not may(service, "write", NAMES.dead_exchange)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("what", ["configure", "write", "read"])
def test_nobody_has_rights_to_what_is_not_ours(service: str, what: str) -> None:
    for name in ("amq.topic", "buluo.eventsx", "buluo_events", "other", "", "xbuluo.order"):
        assert not may(service, what, name)


def test_nobody_is_an_administrator() -> None:
    assert [user["tags"] for user in MADE["users"]] == [[]] * len(SERVICES)
    assert "guest" not in json.dumps(MADE)


# --- what every container runs ---------------------------------------------------------------------------------------


def entered(folder: Path, *command: str, **environment: str) -> str:
    done = subprocess.run(
        [ROOT / "deploy/enter.sh", *command],
        env={"PATH": os.environ["PATH"], "BULUO_SETTINGS_FOLDER": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_file_is_a_setting_to_the_byte(tmp_path: Path) -> None:
    key = '{"kty": "OKP", "d": "a b $HOME `id` \'\\"*"}'
    (tmp_path / "BULUO_INTERNAL_KEY").write_text(key)
    (tmp_path / "PATH").write_text("not ours")
    assert entered(tmp_path, "printenv", "BULUO_INTERNAL_KEY") == key + "\n"


def test_what_the_environment_says_wins(tmp_path: Path) -> None:
    (tmp_path / "BULUO_MODE").write_text("sandbox")
    assert entered(tmp_path, "printenv", "BULUO_MODE", BULUO_MODE="production") == "production\n"


def test_a_container_without_files_starts_too(tmp_path: Path) -> None:
    assert entered(tmp_path, "echo", "started") == "started\n"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
async def test_healthy_is_who_answers_200(status: int, code: int) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 500)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert await asked(server.server_port) == code


async def test_unhealthy_is_who_does_not_listen() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    assert await asked(port) == 1


async def asked(port: int) -> int:
    command = [sys.executable, "-I", "-S", str(ROOT / "deploy/healthy.py"), str(port), "/readyz"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()
