"""A process of its own: ready when its database is, gone within 30 s, and plain about a wrong setting."""

import asyncio
import json
import subprocess
import sys
import time

import httpx
import pytest

from tests.distributed.system import ROOT, System, empty_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_it_waits_for_its_migrations_serves_after_them_and_drains_at_the_end(made: System) -> None:
    async with empty_database() as url:
        made.environment["BULUO_ESCROW_DATABASE_URL"] = url
        made.start("escrow")
        async with httpx.AsyncClient(base_url=made.inside("escrow")) as client:
            await listening(client)
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "database": "behind"})
            assert ready.headers["retry-after"] == "1"
            refused = await client.get("/v1/escrow/proof")
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert made.run("escrow", "migrate").wait(60) == 0
            await made.ready("escrow")
            assert (await client.get("/v1/escrow/proof")).status_code == 200
            assert made.run("escrow", "migrate").wait(60) == 0
            started = time.monotonic()
            assert await made.stop("escrow") == {"escrow": 0}
            assert time.monotonic() - started < 30
        said = [json.loads(line) for line in made.log("escrow").read_text().splitlines()]
        assert {"listening", "not_ready", "ready", "stopping"} <= {line["event"] for line in said}


async def listening(client: httpx.AsyncClient) -> None:
    for _ in range(600):
        try:
            if (await client.get("/livez")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    raise TimeoutError("it does not listen")


def test_a_missing_setting_is_named_and_its_value_never_shown() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "services.escrow"], env={"BULUO_INTERNAL_KEY": "secret-words", "PATH": ""},
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith("BULUO_ESCROW_DATABASE_URL: Field required")
    assert "secret-words" not in ended.stderr + ended.stdout
