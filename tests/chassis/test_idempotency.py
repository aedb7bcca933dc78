"""A keyed command has one effect and one answer, however often, from wherever and through whichever replica it comes."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from chassis.desk import KeyReused
from chassis.service import Service
from tests.chassis import toy
from tests.chassis.toy import BUYER, Add, Empty, Open, Spend, tell_desk

SOMEBODY_ELSE = replace(BUYER, person_id="per_" + "2" * 32)


@pytest.fixture
async def jar(service: Service) -> str:
    made = toy.a_jar()
    await tell_desk(service, Open(BUYER, made))
    return made


async def test_fifty_at_once_under_one_key_are_one_execution_and_fifty_equal_answers(
    service: Service, jar: str
) -> None:
    reruns = REGISTRY.get_sample_value("buluo_desk_reruns_total", {"service": "escrow"})
    answers = await asyncio.gather(*(tell_desk(service, Add(BUYER, jar), key="k") for _ in range(50)))
    assert {answer.body for answer in answers} == {b'{"coins": 1}'}
    assert [answer.replayed for answer in answers].count(False) == 1
    assert await toy.coins_in(service, jar) == 1
    # The database alone would sort them out as well, but by running the batch again and again.
    assert REGISTRY.get_sample_value("buluo_desk_reruns_total", {"service": "escrow"}) == reruns


async def test_fifty_at_once_through_two_replicas_are_one_execution(service: Service, jar: str) -> None:
    async with toy.build(service.database.url) as replica:
        answers = await asyncio.gather(
            *(tell_desk([service, replica][n % 2], Add(BUYER, jar), key="k") for n in range(50))
        )
    assert {answer.body for answer in answers} == {b'{"coins": 1}'}
    assert [answer.replayed for answer in answers].count(False) == 1
    assert await toy.coins_in(service, jar) == 1


async def test_a_repeated_key_gets_the_first_answer_long_after(service: Service, jar: str) -> None:
    first = await tell_desk(service, Add(BUYER, jar), key="k")
    await tell_desk(service, Add(BUYER, jar), key="another")
    again = await tell_desk(service, Add(BUYER, jar), key="k")
    assert (again.body, first.replayed, again.replayed) == (first.body, False, True)
    assert await toy.coins_in(service, jar) == 2


async def test_a_key_with_another_body_is_refused_422(service: Service, jar: str) -> None:
    await tell_desk(service, Add(BUYER, jar), key="k", body=b"one")
    with pytest.raises(KeyReused) as refusal:
        await tell_desk(service, Add(BUYER, jar, 2), key="k", body=b"two")
    assert refusal.value.status == 422
    assert await toy.coins_in(service, jar) == 1


async def test_a_key_with_another_body_is_refused_while_the_first_is_in_flight(service: Service, jar: str) -> None:
    answers = await asyncio.gather(
        tell_desk(service, Add(BUYER, jar), key="k", body=b"one"),
        tell_desk(service, Add(BUYER, jar), key="k", body=b"two"),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in answers] == ["Reply", "KeyReused"]


async def test_the_same_key_of_another_caller_or_for_another_operation_is_another_key(
    service: Service, jar: str
) -> None:
    await tell_desk(service, Add(BUYER, jar), key="k")
    await tell_desk(service, Add(SOMEBODY_ELSE, jar), key="k")
    await service.desk.ask(Add(BUYER, jar), operation="another", key="k")
    assert await toy.coins_in(service, jar) == 3


async def test_commands_without_a_key_are_each_their_own(service: Service, jar: str) -> None:
    await asyncio.gather(*(tell_desk(service, Add(BUYER, jar)) for _ in range(3)))
    assert await toy.coins_in(service, jar) == 3


async def test_a_refusal_is_not_kept_and_the_same_key_decides_again(service: Service, jar: str) -> None:
    for _ in range(2):
        with pytest.raises(Empty):
            await tell_desk(service, Spend(BUYER, jar), key="k")
    await tell_desk(service, Add(BUYER, jar))
    assert not (await tell_desk(service, Spend(BUYER, jar), key="k")).replayed
    assert (await tell_desk(service, Spend(BUYER, jar), key="k")).replayed
    assert await toy.coins_in(service, jar) == 0


async def test_a_duplicate_in_flight_waits_for_the_firsts_refusal_too(service: Service, jar: str) -> None:
    answers = await asyncio.gather(
        *(tell_desk(service, Spend(BUYER, jar), key="k") for _ in range(5)), return_exceptions=True
    )
    assert {type(each) for each in answers} == {Empty}


async def test_a_duplicate_is_answered_although_the_first_caller_went_away(service: Service) -> None:
    """The jar comes late; the client has cut its connection meanwhile and asked again with the same key."""
    jar = toy.a_jar()
    first = asyncio.create_task(tell_desk(service, Add(BUYER, jar), key="k"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(tell_desk(service, Add(BUYER, jar), key="k"))
    await asyncio.sleep(0.3)
    first.cancel()
    await asyncio.sleep(0.05)
    await tell_desk(service, Open(BUYER, jar))
    assert (await second).body == b'{"coins": 1}'
    assert await toy.coins_in(service, jar) == 1
