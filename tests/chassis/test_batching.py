"""Natural batching: whoever is alone is served at once, in one transaction; whoever comes in a crowd shares one."""

import asyncio
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from chassis.decision import Refused
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Open, Spend, tell_desk


def batches() -> tuple[float, float]:
    """How many batches the toy's desks have run, and how many messages were in them."""
    values = [
        REGISTRY.get_sample_value(f"buluo_desk_batch_messages_{it}", {"service": "escrow"}) for it in ("count", "sum")
    ]
    return values[0] or 0.0, values[1] or 0.0


async def test_sixty_four_callers_at_once_share_transactions(service: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    ran_before, messages_before = batches()

    async def client() -> None:
        for _ in range(10):
            await tell_desk(service, Add(BUYER, jar))

    await asyncio.gather(*(client() for _ in range(64)))
    ran, messages = batches()
    assert messages - messages_before == 640
    assert (messages - messages_before) / (ran - ran_before) > 5
    assert await toy.coins_in(service, jar) == 640


async def test_a_command_alone_is_exactly_one_transaction(service: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    for n in range(5):
        await tell_desk(service, Add(BUYER, jar), key=f"key-{n}")
    # Every row carries the transaction that wrote it: each command has one, the same for all that it wrote.
    writers = "SELECT array_agg(DISTINCT xmin::text ORDER BY xmin::text) FROM"
    fetch = service.database.pool.fetchval
    inbox, history = await fetch(f"{writers} inbox"), await fetch(f"{writers} history")
    assert len(inbox) == 6
    assert inbox == history
    assert set(await fetch(f"{writers} coins")) < set(inbox)
    assert set(await fetch(f"{writers} jars")) < set(inbox)


async def test_a_command_alone_takes_three_statements_and_no_begin(service: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    seen: list[str] = []
    for connection in await held(service):
        connection.add_query_logger(lambda record: seen.append(record.query))
    await tell_desk(service, Add(BUYER, jar))
    # Look up, load, save: each its own implicit transaction, so the save alone is the one that writes.
    assert [query.split()[0] for query in seen] == ["SELECT", "SELECT", "WITH"]


async def held(service: Service) -> "list[asyncpg.Connection[asyncpg.Record]]":
    """Every connection of the pool."""
    return [holder._con for holder in service.database.pool._holders if holder._con]


async def test_no_timer_stands_between_a_caller_and_the_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))
    fired: list[float] = []
    loop = asyncio.get_running_loop()
    call_at = loop.call_at

    def watched(when: float, callback: Any, *args: Any, **given: Any) -> asyncio.TimerHandle:
        def fire(*given_args: Any) -> None:
            fired.append(when)
            callback(*given_args)

        return call_at(when, fire, *args, **given)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_at", watched)
        for _ in range(20):
            await tell_desk(service, Add(BUYER, jar))
    # Only the service's own sweeps may have woken by the clock meanwhile; none of the twenty answers waited for one.
    assert len(fired) < 20


async def test_one_batch_sees_its_own_earlier_decisions(service: Service) -> None:
    """Ten coins, a hundred buyers in one batch: ten are served, ninety refused, one row changes once."""
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar, 10))
    answers = await asyncio.gather(*(tell_desk(service, Spend(BUYER, jar)) for _ in range(100)), return_exceptions=True)
    refused = [each for each in answers if isinstance(each, Refused)]
    assert {each.code for each in refused} == {"sold_out"}
    assert len(refused) == 90
    assert await toy.coins_in(service, jar) == 0
