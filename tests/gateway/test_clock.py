"""Moving the sandbox's clock: step by step, to every due time on the way, and nobody is left behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.caller import SYSTEM
from contracts.gateway import ClockAdvanced
from gateway.advance import Look, next_step
from gateway.handlers import ADVANCE_CLOCK
from tests import support
from tests.gateway.world import World, key, world

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def listening(here: World) -> list[int]:
    """The stand-ins take over the offset as their services would; the offsets that were said."""
    heard: list[int] = []

    def hand_off(deliveries: Any) -> None:
        for delivery in deliveries:
            assert isinstance(delivery.fact, ClockAdvanced)
            heard.append(delivery.fact.offset_seconds)
            for each in here.standins.values():
                each.offset_seconds = delivery.fact.offset_seconds
            here.service.bus._sent.append(delivery.id)  # type: ignore[attr-defined]
            here.service.bus._wake.set()  # type: ignore[attr-defined]

    here.service.desk.bus.hand_off = hand_off  # type: ignore[method-assign]
    return heard


async def ended(client: Any, operation_id: str) -> dict[str, Any]:
    for _ in range(400):
        operation = (await client.get(f"/v1/operations/{operation_id}")).json()
        if operation["state"] != "running":
            return dict(operation)
        await asyncio.sleep(0.05)
    raise AssertionError("the operation did not end")


async def test_time_passes_in_steps_to_every_due_time_and_stops_at_the_target() -> None:
    async with world() as here, here.someone() as client:
        heard, now = listening(here), datetime.now(UTC)
        here.standins["order"].due = [now + timedelta(days=1), now + timedelta(days=9)]
        here.standins["escrow"].due = [now + timedelta(days=2)]
        asked = await client.post("/v1/sandbox/clock/advance", json={"by_seconds": 3 * 86_400}, headers=key())
        assert asked.status_code == 202
        operation = await ended(client, asked.json()["operation_id"])
        assert (operation["state"], operation["progress"]) == ("succeeded", {"steps": 3})
        days = [round(offset / 86_400) for offset in heard]
        assert days == [1, 2, 3]
        assert await here.service.offset_seconds() == heard[-1]
        moved = (await here.service.now()) - datetime.now(UTC)
        assert abs(moved - timedelta(days=3)) < timedelta(seconds=5)


async def test_the_clock_moves_to_a_moment_once_per_key() -> None:
    async with world() as here, here.someone() as client:
        heard, target = listening(here), datetime.now(UTC) + timedelta(hours=1)
        given, body = key(), {"to": target.isoformat()}
        first = await client.post("/v1/sandbox/clock/advance", json=body, headers=given)
        again = await client.post("/v1/sandbox/clock/advance", json=body, headers=given)
        assert first.json() == again.json()
        await ended(client, first.json()["operation_id"])
        assert len(heard) == 1


async def test_the_clock_never_goes_back() -> None:
    async with world() as here, here.someone() as client:
        answer = await client.post("/v1/sandbox/clock/advance", json={"to": "2001-01-01T00:00:00Z"}, headers=key())
        assert (answer.status_code, answer.json()["code"]) == (409, "clock_backwards")
        far = await client.post("/v1/sandbox/clock/advance", json={"to": "2101-01-01T00:00:00Z"}, headers=key())
        assert far.status_code == 422


async def test_a_body_says_to_where_or_how_far_and_not_both() -> None:
    async with world() as here, here.someone() as client:
        for body in ({}, {"to": "2031-01-01T00:00:00Z", "by_seconds": 1}, {"by_seconds": 0}, {"by_seconds": 1.5},
                     {"by_seconds": "1"}, {"to": "2031-01-01T00:00:00"}, {"by_seconds": 1, "offset_seconds": 1}):  # fmt: skip
            answer = await client.post("/v1/sandbox/clock/advance", json=body, headers=key())
            assert answer.status_code == 422, body


async def test_production_has_one_clock() -> None:
    async def deliver(phone: str, code: str) -> None:
        codes.append(code)

    codes: list[str] = []
    async with world(mode="production", sandbox_codes=False, deliver_code=deliver) as here, here.anyone() as client:
        code_id = (await client.post("/v1/sessions/codes", json={"phone": "13800001111"})).json()["code_id"]
        session = (await client.post("/v1/sessions", json={"code_id": code_id, "code": codes[0]})).json()
        answer = await client.post(
            "/v1/sandbox/clock/advance", json={"by_seconds": 1},
            headers={**key(), "authorization": f"Bearer {session['access_token']}"},
        )  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (404, "sandbox_only")


async def test_an_advance_that_cannot_settle_fails_and_names_who_is_not_quiet() -> None:
    async with world(clock_patience_seconds=0.2) as here, here.someone() as client:
        heard = listening(here)
        here.standins["escrow"].quiet = False
        asked = await client.post("/v1/sandbox/clock/advance", json={"by_seconds": 60}, headers=key())
        operation = await ended(client, asked.json()["operation_id"])
        assert (operation["state"], operation["reason"]) == ("failed", "not_quiet: escrow")
        assert heard == []


async def test_a_service_that_missed_the_clock_is_waited_for() -> None:
    async with world(clock_patience_seconds=0.3) as here, here.someone() as client:
        listening(here)
        await here.service.database.pool.execute(
            "INSERT INTO clock_offsets (deployment, offset_seconds, version, row_version, said, head)"
            " VALUES ('sandbox', 100, 1, 1, 0, '')"
        )
        asked = await client.post("/v1/sandbox/clock/advance", json={"by_seconds": 60}, headers=key())
        operation = await ended(client, asked.json()["operation_id"])
        assert operation["state"] == "failed"
        for each in here.standins.values():
            each.offset_seconds = 100
        asked = await client.post("/v1/sandbox/clock/advance", json={"by_seconds": 60}, headers=key())
        assert (await ended(client, asked.json()["operation_id"]))["state"] == "succeeded"


async def test_an_advance_that_a_crash_left_is_taken_up_where_it_stood() -> None:
    async with world() as here, here.someone() as client:
        heard = listening(here)
        here.service.worker.take = lambda *_: None  # type: ignore[method-assign]
        here.service.desk.instruct = lambda _: None
        asked = await client.post("/v1/sandbox/clock/advance", json={"by_seconds": 60}, headers=key())
        operation_id = asked.json()["operation_id"]
        assert (await client.get(f"/v1/operations/{operation_id}")).json()["state"] == "running"
        del here.service.worker.take  # the process starts again: its sweep finds the instruction
        await here.service.database.pool.execute("UPDATE instructions SET next_at = now()")
        assert (await ended(client, operation_id))["state"] == "succeeded"
        assert len(heard) == 1
        kinds = await here.service.database.pool.fetch("SELECT kind, state FROM instructions")
        assert [tuple(row) for row in kinds] == [(ADVANCE_CLOCK, "done")]


async def test_an_operation_is_seen_by_who_asked_for_it() -> None:
    async with world() as here, here.someone() as client, here.someone() as stranger, here.anyone() as anyone:
        listening(here)
        asked = await client.post("/v1/sandbox/clock/advance", json={"by_seconds": 1}, headers=key())
        path = f"/v1/operations/{asked.json()['operation_id']}"
        assert (await client.get(path)).status_code == 200
        assert (await stranger.get(path)).status_code == 404
        assert (await anyone.get(path)).status_code == 401
        assert (
            await anyone.post("/v1/sandbox/clock/advance", json={"by_seconds": 1}, headers=key())
        ).status_code == 401
        assert (await client.get(f"/v1/operations/{support.new_id('opn')}")).status_code == 404


def look(name: str, due_in: timedelta | None) -> Look:
    return Look(name, NOW, 0, None if due_in is None else NOW + due_in, quiet=True)


def test_a_step_goes_to_the_nearest_due_time_in_whole_seconds() -> None:
    hour, target = timedelta(hours=1), NOW + timedelta(days=1)
    assert next_step([look("a", None), look("b", None)], NOW, target) == timedelta(days=1)
    assert next_step([look("a", 3 * hour), look("b", 2 * hour)], NOW, target) == 2 * hour
    assert next_step([look("a", timedelta(days=2))], NOW, target) == timedelta(days=1)
    assert next_step([look("a", timedelta(milliseconds=1))], NOW, target) == timedelta(seconds=1)
    assert next_step([look("a", timedelta(seconds=1, milliseconds=1))], NOW, target) == timedelta(seconds=2)
    assert next_step([look("a", -hour)], NOW, target) == timedelta(days=1)


def test_an_unheard_offset_or_a_passed_deadline_is_not_settled() -> None:
    assert look("a", timedelta(seconds=1)).settled(0)
    assert not look("a", timedelta(0)).settled(0)
    assert not look("a", None).settled(1)
    assert not Look("a", NOW, 0, None, quiet=False).settled(0)


def test_the_system_takes_the_steps() -> None:
    assert SYSTEM.actor == "system"
