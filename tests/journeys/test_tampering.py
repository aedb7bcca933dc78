"""Whoever changes a row by hand, even as superuser, is found out, and the row is named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from onebox import world
from tests.journeys.evidence import evidence
from tests.journeys.nursery import fork
from tests.journeys.people import Life, buyers, live, stage_at
from tests.journeys.template import Template
from tests.journeys.world import superuser


@asynccontextmanager
async def tampering(folder: Path) -> AsyncIterator[Any]:
    """A connection to escrow's database for which no trigger and no constraint of ours exists."""
    async with superuser(folder, "buluo_escrow") as admin:
        await admin.execute("SET session_replication_role = replica")
        yield admin


async def verify(folder: Path) -> tuple[int | None, str]:
    """(exit code, what it prints) of `python -m onebox verify`."""
    log = folder / "verify.log"
    log.unlink(missing_ok=True)
    process = fork(["verify", "--folder", str(folder)], log)
    await asyncio.to_thread(process.join)
    return process.exitcode, log.read_text()


@pytest.mark.slow
async def test_one_changed_posting_unbalances_the_public_proof_and_verify_fails_and_names_it(
    world_folder: Path, template: Template
) -> None:
    async with world.running(world_folder, durable=False) as running, stage_at(running.url) as stage:
        template.enter(stage)
        (buyer,) = await buyers(stage, 1)
        life = await live(stage, buyer, Life())
        await stage.timeline.quiet(running.services)
        assert (await stage.timeline.books())["imbalance"] == 0
        assert (await verify(world_folder))[0] == 0

        async with tampering(world_folder) as admin:
            entry_id = await admin.fetchval(
                "UPDATE postings SET amount = amount + 1 WHERE order_id = $1 AND kind = 'release' AND n = 1"
                " RETURNING entry_id",
                life.order_id,
            )
        assert (await stage.timeline.books())["imbalance"] != 0
        exit_code, printed = await verify(world_folder)
        assert exit_code == 1
        assert entry_id in printed


@pytest.mark.slow
async def test_an_edited_hold_an_edited_and_a_deleted_history_row_are_each_named(
    world_folder: Path, template: Template
) -> None:
    async with world.running(world_folder, durable=False) as running, stage_at(running.url) as stage:
        template.enter(stage)
        people = await buyers(stage, 4)
        lived = await asyncio.gather(*(live(stage, buyer, Life()) for buyer in people))
        await stage.timeline.quiet(running.services)
    edited, rewritten, gap, cut = (life.order_id for life in lived)

    async with evidence(world_folder) as here, tampering(world_folder) as admin:
        assert await here.violations() == []
        await admin.execute("UPDATE holds SET seller = buyer WHERE order_id = $1", edited)
        await admin.execute("UPDATE history SET actor = 'nobody' WHERE key = $1 AND sequence = 2", rewritten)
        await admin.execute("DELETE FROM history WHERE key = $1 AND sequence = 2", gap)
        await admin.execute(
            "DELETE FROM history AS h WHERE key = $1"
            " AND sequence = (SELECT max(sequence) FROM history WHERE kind = h.kind AND key = h.key)",
            cut,
        )
        found = await here.violations()
    check = "escrow: history is whole and chained: holds"
    assert f"{check} {edited}: was changed without a history" in found
    assert f"{check} {rewritten} history 2: was changed" in found
    assert f"{check} {gap} history 3: a row before it is missing" in found
    assert f"{check} {cut}: its history ends elsewhere" in found
    assert not [each for each in found if not any(order_id in each for order_id in (edited, rewritten, gap, cut))]
