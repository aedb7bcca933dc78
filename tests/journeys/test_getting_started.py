"""docs/start.md does what it says: its blocks are run, in their order, against a world."""

import asyncio
import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from tests.journeys.world import Process

PAGE = Path(__file__).resolve().parents[2] / "docs" / "start.md"
BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = "api=http://127.0.0.1:8000\n"
MARK = "---- end of block ----"
NEEDED = ("bash", "curl", "jq", "python3")


def blocks(page: str) -> list[tuple[str, str]]:
    """(commands, JSON that they print at last, or "") of every block but the one that makes the world."""
    found = [(language, text) for language, text in BLOCK.findall(page) if "make serve" not in text]
    pairs = [[text, ""] if language == "sh" else ["", text] for language, text in found]
    for before, this in pairwise(pairs):
        if not this[0]:
            before[1] = this[1]
    return [(commands, printed) for commands, printed in pairs if commands]


async def run(script: str) -> str:
    """What bash prints; the test fails with bash's own words if a command does."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "no_proxy": "127.0.0.1"},
    )  # fmt: skip
    printed, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode() + printed.decode()
    return printed.decode()


def last_json(printed: str) -> object:
    """The JSON value that a block printed at its end."""
    for match in re.finditer(r"^[{\[]", printed, re.MULTILINE):
        try:
            return json.loads(printed[match.start() :])
        except ValueError:
            continue
    return printed


async def test_every_block_of_getting_started_runs_as_written_and_prints_what_it_promises(calm: Process) -> None:
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        pytest.skip(f"docs/start.md was NOT run: {', '.join(missing)} is not installed")
    page = blocks(PAGE.read_text())
    assert len(page) >= 8
    assert sum(ADDRESS in commands for commands, _ in page) == 1
    script = f"echo '{MARK}'\n".join(commands for commands, _ in page).replace(ADDRESS, f"api={calm.url}\n")
    printed = (await run(script)).split(f"{MARK}\n")
    for (commands, promised), said in zip(page, printed, strict=True):
        if "escrow/proof" in commands:
            assert json.loads(said)["imbalance"] == json.loads(promised)["imbalance"] == 0
        elif promised:
            assert last_json(said) == json.loads(promised), commands


def test_a_block_that_prints_something_else_is_found() -> None:
    page = '```sh\nmake serve\n```\n\n```sh\necho 1\n```\n\n```json\n{"a": 1}\n```\n\n```sh\necho 2\n```\n'
    assert blocks(page) == [("echo 1\n", '{"a": 1}\n'), ("echo 2\n", "")]
    assert last_json('sf_1\n{\n  "a": 2\n}\n') == {"a": 2}
