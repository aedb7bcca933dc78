"""What cannot be decided or stored concerns its own message alone; nothing is dropped, nothing stands in the way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from chassis.decision import Applied, Instruction, say
from chassis.desk import Defect
from chassis.moment import Moment
from chassis.service import Service
from chassis.touches import ask, maybe
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Jar, Misbehave, Open, cancelled, completed, expired, tell_desk
from tests.support import hear


def defects() -> float:
    return REGISTRY.get_sample_value("buluo_desk_defects_total", {"service": "escrow"}) or 0


async def parked(service: Service) -> "list[asyncpg.Record]":
    return await service.database.pool.fetch(
        "SELECT type, keys::text, reason, poison FROM parked ORDER BY poison DESC, at"
    )


async def test_a_bug_on_a_fact_parks_it_with_its_reason_and_alarms(service: Service) -> None:
    jar, neighbour = toy.a_jar(), toy.a_jar()
    before = defects()
    await hear(service, expired(jar), expired(neighbour))
    await hear(service, cancelled(jar, "bug"), completed(neighbour))
    (row,) = await parked(service)
    assert tuple(row) == ("order.cancelled.v1", f'["Jar:{jar}"]', "ZeroDivisionError", True)
    assert await toy.coins_in(service, neighbour) == 1
    assert defects() == before + 1


async def test_a_refused_fact_is_parked_not_swallowed(service: Service) -> None:
    jar = toy.a_jar()
    await hear(service, expired(jar), cancelled(jar, "refused"))
    (row,) = await parked(service)
    assert (row["reason"], row["poison"]) == ("Empty: sold_out", True)
    await hear(service, completed(jar))
    assert await toy.coins_in(service, jar) == 0, "what comes after it waits"


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
async def test_later_facts_of_a_poisoned_key_wait_behind_it(service: Service, together: bool) -> None:
    jar = toy.a_jar()
    await hear(service, expired(jar))
    if together:
        await hear(service, cancelled(jar, "bug"), completed(jar))
    else:
        await hear(service, cancelled(jar, "bug"))
        await hear(service, completed(jar))
    assert await toy.coins_in(service, jar) == 0
    assert [(row["reason"], row["poison"]) for row in await parked(service)] == [
        ("ZeroDivisionError", True),
        ("behind_poison", False),
    ]
    # A person discards the poison; what waited behind it goes on by itself.
    await service.database.pool.execute("DELETE FROM parked WHERE poison")
    await toy.eventually(lambda: there_are(service, jar, 1))
    assert await parked(service) == []


async def there_are(service: Service, jar: str, coins: int) -> bool:
    return await toy.coins_in(service, jar) == coins


async def test_a_parked_fact_that_turns_out_to_be_poison_says_so_in_place(service: Service) -> None:
    jar = toy.a_jar()
    await hear(service, cancelled(jar, "bug"))
    assert [row["reason"] for row in await parked(service)] == ["not_yet_known"]
    await hear(service, expired(jar))

    async def blamed() -> bool:
        return [(row["reason"], row["poison"]) for row in await parked(service)] == [("ZeroDivisionError", True)]

    await toy.eventually(blamed)


async def test_a_bug_in_a_command_is_500_for_its_caller_alone(service: Service) -> None:
    jar = toy.a_jar()
    await tell_desk(service, Open(BUYER, jar))

    def crash(_jar: Jar | None, _at: Moment) -> Any:
        raise ZeroDivisionError

    answers = await asyncio.gather(
        tell_desk(service, Add(BUYER, jar)),
        tell_desk(service, Misbehave(BUYER, jar, crash)),
        tell_desk(service, Add(BUYER, jar)),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in answers] == ["Reply", "Defect", "Reply"]
    assert await toy.coins_in(service, jar) == 2


def with_coins(coins: int) -> Callable[[Jar | None, Moment], Applied]:
    def decide(jar: Jar | None, at: Moment) -> Applied:
        assert jar
        return Applied((replace(jar, coins=coins),), reply={})

    return decide


def with_note(note: str) -> Callable[[Jar | None, Moment], Applied]:
    def decide(jar: Jar | None, at: Moment) -> Applied:
        assert jar
        return Applied((replace(jar, note=note),), reply={})

    return decide


UNSTORABLE = {
    "a NUL byte": with_note("\x00"),
    "half a surrogate pair": with_note("\ud800"),
    "a number too large for the column": with_coins(2**70),
    "a broken CHECK": with_coins(-5000),
}


@pytest.mark.parametrize("how", UNSTORABLE.values(), ids=UNSTORABLE.keys())
async def test_one_value_that_the_database_refuses_is_found_among_128(
    service: Service, how: Callable[[Jar | None, Moment], Applied]
) -> None:
    jars = [toy.a_jar() for _ in range(128)]
    await asyncio.gather(*(tell_desk(service, Open(BUYER, jar)) for jar in jars))
    asked = [
        tell_desk(service, Misbehave(BUYER, jar, how) if n == 77 else Add(BUYER, jar)) for n, jar in enumerate(jars)
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [n for n, each in enumerate(answers) if isinstance(each, Exception)] == [77]
    assert isinstance(answers[77], Defect)
    assert await toy.count(service, "jars WHERE coins = 1") == 127


@pytest.mark.parametrize(("reason", "parked_for"), [("nul", "CharacterNotInRepertoireError"),
                                                    ("check", "CheckViolationError"),
                                                    ("too_large", "DataError")])  # fmt: skip
async def test_a_fact_whose_effect_the_database_refuses_is_parked_and_its_neighbours_are_applied(
    service: Service, reason: str, parked_for: str
) -> None:
    jars = [toy.a_jar() for _ in range(20)]
    await hear(service, *(expired(jar) for jar in jars))
    await hear(service, *(cancelled(jar, reason) if n == 7 else completed(jar) for n, jar in enumerate(jars)))
    (row,) = await parked(service)
    assert (row["reason"], row["poison"]) == (parked_for, True)
    assert await toy.count(service, "jars WHERE coins = 1") == 19


def speaks_nonsense(jar: Jar | None, at: Moment) -> Applied:
    """The jar changes, and then the fact is about something else."""
    assert jar
    return Applied((replace(jar, coins=99),), (say(expired(toy.a_jar())),))


def instructs_nonsense(jar: Jar | None, at: Moment) -> Applied:
    assert jar
    return Applied((replace(jar, coins=99),), instructions=(Instruction("one", "fetch", {"what": object()}),))


def answers_nonsense(jar: Jar | None, at: Moment) -> Applied:
    assert jar
    return Applied((replace(jar, coins=99),), reply=object())


def moves_what_is_pinned(jar: Jar | None, at: Moment) -> Applied:
    assert jar
    return Applied((replace(jar, coins=99, owner="somebody else"),))


def changes_what_is_no_aggregate(jar: Jar | None, at: Moment) -> Applied:
    assert jar
    return Applied((replace(jar, coins=99), at))


@pytest.mark.parametrize(
    "how",
    [speaks_nonsense, instructs_nonsense, answers_nonsense, moves_what_is_pinned, changes_what_is_no_aggregate],
    ids=lambda how: how.__name__,
)
async def test_a_decision_that_fails_half_way_has_no_half(
    service: Service, how: Callable[[Jar | None, Moment], Applied]
) -> None:
    jar, neighbour = toy.a_jar(), toy.a_jar()
    await asyncio.gather(tell_desk(service, Open(BUYER, jar)), tell_desk(service, Open(BUYER, neighbour)))
    answers = await asyncio.gather(
        tell_desk(service, Misbehave(BUYER, jar, how)),
        tell_desk(service, Add(BUYER, neighbour)),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in answers] == ["Defect", "Reply"]
    assert await toy.coins_in(service, jar) == 0
    assert await toy.coins_in(service, neighbour) == 1
    assert await toy.count(service, "history WHERE key = $1", jar) == 1


async def test_a_defect_of_the_desk_itself_loses_no_fact(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = toy.a_jar()
    with monkeypatch.context() as patch:
        patch.setattr(service.desk, "_serve", None)
        hearing = asyncio.create_task(hear(service, expired(jar)))
        await asyncio.sleep(0.1)
        assert not hearing.done()
    await hearing
    assert await toy.coins_in(service, jar) == 0


async def test_a_key_that_no_json_can_hold_is_parked_all_the_same(service: Service) -> None:
    strange = 'a "quoted" \\ key'
    fact = expired(toy.a_jar()).model_copy(update={"order_id": strange})
    await hear(service, cancelled(toy.a_jar(), "early").model_copy(update={"order_id": strange}))
    assert len(await parked(service)) == 1
    await hear(service, fact)
    assert await toy.coins_in(service, strange) == 0


async def test_a_service_that_touches_what_it_does_not_keep_does_not_start(url: str) -> None:
    asked = {**toy.ASKED, Add: ask(toy.add, maybe(toy.Mark, "jar_id"))}
    with pytest.raises(TypeError, match="Add touches Mark"):
        toy.build(url, asked=asked)


async def test_what_turns_out_to_be_poison_while_the_poison_is_read_is_not_forgotten(service: Service) -> None:
    jar = toy.a_jar()
    await hear(service, expired(jar))
    await service.parked.stop()
    fetch = service.database.pool.fetch

    async def slow(sql: str) -> "list[asyncpg.Record]":
        rows = await fetch(sql)
        await hear(service, cancelled(jar, "bug"))
        return rows

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return slow if name == "fetch" else getattr(service.database.pool, name)

    service.desk.pool = Slow()  # type: ignore[assignment]
    await service.desk.learn_poison()
    await hear(service, completed(jar))
    assert await toy.coins_in(service, jar) == 0
