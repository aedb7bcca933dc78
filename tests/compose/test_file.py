"""The compose file keeps its promises: nothing open to the world, nobody root, nothing secret written down."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.catalogue import SERVICES
from deploy import keys
from gateway.settings import UpstreamSettings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
ALL: dict[str, dict[str, Any]] = FILE["services"]
ONE_SHOTS = {"keys", "databases"}
TOOLS = {"story", "verify"}
PROCESSES = {*SERVICES, "provider"}
LASTING = ALL.keys() - ONE_SHOTS - TOOLS
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
BECOME_ANOTHER = {"postgres", "rabbitmq"}
"""Their images prepare a folder as root and then give it up; the rights for that, and no others."""


def mounts(name: str) -> dict[str, str]:
    """Source -> where it is in the container, and how."""
    return dict(volume.split(":", 1) for volume in ALL[name].get("volumes", ()))


def test_every_service_is_there() -> None:
    assert {*SERVICES, "provider", "postgres", "rabbitmq", "prometheus"} == LASTING


def test_the_file_has_a_name_and_no_version() -> None:
    assert FILE["name"] == "buluo"
    assert "version" not in FILE


# --- closed ----------------------------------------------------------------------------------------------------------


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = {name: service["ports"] for name, service in ALL.items() if "ports" in service}
    assert ports.keys() == {"gateway", "provider", "prometheus"}
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)


def test_databases_broker_and_services_have_no_way_out_and_none_in() -> None:
    assert FILE["networks"]["inside"]["internal"] is True
    for name in ("postgres", "rabbitmq", "order", "partner", "tribe", "distribution", "databases"):
        assert ALL[name]["networks"] == ["inside"], name


def test_the_story_has_no_secret_and_no_way_to_a_database() -> None:
    assert ALL["story"]["networks"] == ["outside"]
    assert mounts("story") == {}


@pytest.mark.parametrize("name", ALL)
def test_a_container_can_do_little(name: str) -> None:
    service = ALL[name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name in BECOME_ANOTHER:
        assert set(service["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"}
    else:
        assert "cap_add" not in service
        assert int(service["user"].partition(":")[0]) > 0


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_stands_in_the_file() -> None:
    for name, service in ALL.items():
        for variable, value in service.get("environment", {}).items():
            secret = re.search("PASSWORD|SECRET|TOKEN|KEY|BROKER_URL|DATABASE_URL", variable)
            assert not secret or (variable.endswith("_FILE") and value.startswith("/run/buluo/")), (name, variable)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", TEXT)


def test_only_keys_sees_all_secrets() -> None:
    assert [name for name in ALL if "secrets-vault" in mounts(name)] == ["keys"]
    assert ALL["keys"]["network_mode"] == "none"


def test_everybody_else_sees_its_own_and_cannot_write_it() -> None:
    allowed = {name: {name} for name in (*PROCESSES, "postgres", "rabbitmq", "databases")}
    allowed |= {"verify": {"databases"}, "story": set(), "prometheus": set()}
    for name in ALL.keys() - {"keys"}:
        secret = {source for source in mounts(name) if source.startswith("secrets-")}
        assert secret == {f"secrets-{room}" for room in allowed[name]}, name
        assert {mounts(name)[each] for each in secret} <= {"/run/buluo:ro"}


def test_every_room_of_secrets_is_mounted_and_made_ready() -> None:
    rooms = {"vault", *keys.rooms(keys.Keys.make(), "sandbox")}
    assert {source for source in mounts("keys") if source.startswith("secrets-")} == {
        f"secrets-{room}" for room in rooms
    }
    prepared = re.search(r"for room in ([a-z ]+);", DOCKERFILE)
    assert prepared
    assert set(prepared[1].split()) == rooms


# --- lives -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LASTING))
def test_what_lasts_is_watched_and_comes_back(name: str) -> None:
    assert ALL[name]["restart"] == "unless-stopped"
    assert ALL[name]["healthcheck"]["test"][0] == "CMD"
    assert ALL[name]["deploy"]["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", sorted({*PROCESSES, "postgres", "rabbitmq"}))
def test_what_drains_has_the_time_to(name: str) -> None:
    assert ALL[name]["stop_grace_period"] == "35s"


@pytest.mark.parametrize("name", sorted(ONE_SHOTS | TOOLS))
def test_what_runs_once_is_not_started_again(name: str) -> None:
    assert "restart" not in ALL[name]


def test_tools_start_only_when_asked_for() -> None:
    assert {name for name, service in ALL.items() if service.get("profiles")} == TOOLS


def test_everything_begins_after_what_it_needs() -> None:
    for name, service in ALL.items():
        for other, needed in service.get("depends_on", {}).items():
            ended = needed["condition"] == "service_completed_successfully"
            assert ended == (other in ONE_SHOTS), (name, other)
    assert all(ALL[name]["depends_on"].keys() == {"databases", "rabbitmq"} for name in SERVICES)


def test_services_start_without_the_broker() -> None:
    assert {ALL[name]["depends_on"]["rabbitmq"]["condition"] for name in SERVICES} == {"service_started"}


def test_the_gateway_finds_its_services_by_their_names() -> None:
    assert UpstreamSettings(_env_file=None).urls() == {
        name: f"http://{name}:8000" for name in SERVICES if name != "gateway"
    }


# --- images ----------------------------------------------------------------------------------------------------------


def test_images_are_pinned() -> None:
    images = {service["image"] for service in ALL.values() if not service["image"].startswith("buluo:")}
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert len(bases) == 1
    assert all(re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z]+)*(@sha256:[0-9a-f]{64})?$", image) for image in images | bases)


def test_the_image_is_built_with_the_uv_of_the_makefile_and_the_lock() -> None:
    makefile = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    image = re.search(r"^ARG UV_VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert makefile
    assert image
    assert makefile[1] == image[1]
    assert "uv sync --locked --no-dev" in DOCKERFILE
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)


def test_every_package_is_in_the_image() -> None:
    for package in ("contracts", "chassis", "services", "gateway", "onebox", "sandbox", "deploy"):
        assert f"COPY {package} {package}\n" in DOCKERFILE
        assert f"!{package}\n" in (ROOT / ".dockerignore").read_text()


def test_what_can_be_set_is_in_the_example() -> None:
    example = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert example == set(re.findall(r"\$\{([A-Z_]+)", TEXT)) - {"LANG"}


# --- metrics ---------------------------------------------------------------------------------------------------------

PROMETHEUS = ROOT / "deploy/prometheus/prometheus.yml"


def test_every_process_and_the_broker_are_scraped() -> None:
    jobs = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    targets = {target for job in jobs for group in job["static_configs"] for target in group["targets"]}
    services = {f"{name}:8000" for name in SERVICES if name != "gateway"}
    assert targets == services | {"gateway:8001", "rabbitmq:15692", "127.0.0.1:9090"}
    assert ALL["gateway"]["environment"]["BULUO_INSIDE_PORT"] == "8001"


def test_prometheus_takes_its_configuration() -> None:
    if not shutil.which("promtool"):
        pytest.skip("NO PROMTOOL on this machine (Debian: package prometheus): prometheus.yml is NOT CHECKED")
    checked = subprocess.run(["promtool", "check", "config", PROMETHEUS], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


# --- docker compose --------------------------------------------------------------------------------------------------


def has_compose() -> bool:
    asked = ["docker", "compose", "version"]
    return bool(shutil.which("docker")) and not subprocess.run(asked, capture_output=True, check=False).returncode


def compose_config(text: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What compose itself says of a file; it needs no daemon for that."""
    if not has_compose():
        pytest.skip("NO DOCKER COMPOSE on this machine: docker-compose.yml is read by these tests, NOT BY COMPOSE")
    path = folder / "docker-compose.yml"
    path.write_text(text)
    command = ["docker", "compose", "--file", path, "--profile", "*", "config", "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_compose_takes_the_file(tmp_path: Path) -> None:
    said = compose_config(TEXT, tmp_path)
    assert said.returncode == 0, said.stderr


def test_compose_finds_a_slip_of_the_pen(tmp_path: Path) -> None:
    assert compose_config(TEXT.replace("service_healthy", "service_helthy", 1), tmp_path).returncode != 0
