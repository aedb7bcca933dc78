"""What the guards are for: without one of them a fact is lost, and the test beside it shows that with it none is."""

from typing import Any

import pytest

from chassis.bus.consumer import Tray
from chassis.bus.relay import Relay
from chassis.bus.topology import Names, key
from tests.bus import broker
from tests.bus.test_outages import connected
from tests.bus.wires import Place, coins, settled, tell, unsent
from tests.chassis import toy


async def deaf_then_restarted(rabbit: Place) -> dict[int | None, int]:
    """The hearer takes facts into its memory, ends before it has decided them, and runs again: what it knows then."""
    async with rabbit.order() as order:
        async with rabbit.escrow() as escrow:
            await connected(order, escrow)
            taken: list[Any] = []
            escrow.desk.hear = lambda *given, **_: taken.append(given) or True  # type: ignore[method-assign]
            jars = await tell(order, 20)
            await toy.eventually(lambda: _has(taken, 40), 20)
        async with rabbit.escrow() as escrow:
            await settled(order, escrow)
            return await coins(escrow, jars)


async def _has(taken: list[Any], count: int) -> bool:
    return len(taken) >= count


async def test_what_was_only_in_memory_is_delivered_again(rabbit: Place) -> None:
    assert await deaf_then_restarted(rabbit) == {1: 20}


async def test_mutant_acknowledging_on_arrival_loses_what_was_only_in_memory(
    rabbit: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Tray._read

    def acknowledge_and_read(tray: Tray, item: Any) -> None:
        read(tray, item)
        item.left = 0
        tray._soon()

    monkeypatch.setattr(Tray, "_read", acknowledge_and_read)
    assert await deaf_then_restarted(rabbit) == {None: 20}


@pytest.mark.parametrize("mutant", ["no returns", "one copy for all"])
async def test_mutant_that_believes_the_broker_loses_the_hearer_without_a_binding(
    rabbit: Place, names: Names, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    """Returned is taken for confirmed; or escrow's copy is thought to travel with the gateway's."""
    send = Relay._send

    async def believing(relay: Relay, copy: Any, pack: Any) -> Any:
        result = await send(relay, copy, pack)
        return "confirmed" if mutant == "no returns" or copy[0] == "escrow" else result

    monkeypatch.setattr(Relay, "_send", believing)
    async with rabbit.both() as (order, escrow):
        await connected(order, escrow)
        async with broker.connected() as channel:
            queue = await channel.get_queue(names.queue("escrow"), ensure=False)
            await queue.unbind(names.exchange, key("escrow", "order.expired.v1"))
        jars = await tell(order, 5)
        await toy.eventually(lambda: _all_sent(order), 20)
        assert await coins(escrow, jars) == {None: 5}


async def _all_sent(order: Any) -> bool:
    return await unsent(order) == 0
