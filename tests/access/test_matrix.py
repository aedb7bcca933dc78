"""Every operation, every role, on one's own things, on another's, and on what does not exist."""

from collections.abc import Mapping

import pytest

from chassis.web import PUBLIC
from tests.access.calls import CALLS
from tests.access.cast import House
from tests.access.conftest import Walked
from tests.access.document import Operation
from tests.access.matrix import RELATIONS, ROLES, ROWS
from tests.access.walk import ask_cell, request, seen, wrong

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("name", ROWS)
async def test_row(walked: Walked, name: str) -> None:
    assert wrong(walked.cells[name]) == []


async def test_the_matrix_has_a_row_for_every_operation_and_every_move_and_for_nothing_else(
    document: Mapping[str, Operation],
) -> None:
    """A new operation without a row fails here."""
    needed = {(each.id, move) for each in document.values() for move in each.moves or [""]}
    assert {(row.operation, row.move) for row in ROWS.values()} == needed
    assert ROWS.keys() == CALLS.keys()
    for name, call in CALLS.items():
        assert document[ROWS[name].operation].fits(call.method, call.path), name


async def test_the_matrix_is_walked_whole(walked: Walked) -> None:
    """Every role on ours; every role but the one at home there on theirs and on nothing, where a thing is named."""
    for name, row in ROWS.items():
        asked = {(cell.role, cell.whose) for cell in walked.cells[name]}
        assert {role for role, whose in asked if whose == "ours"} == set(ROLES), name
        if row.others != "-":
            assert {role for role, whose in asked if whose == "theirs"} >= set(ROLES) - {"rival"}, name
        if row.others in {"404", "ok"}:
            assert {role for role, whose in asked if whose == "nothing"} == set(ROLES), name


async def test_every_operation_says_of_itself_who_may_as_the_matrix_does(document: Mapping[str, Operation]) -> None:
    for operation in document.values():
        rows = [row for row in ROWS.values() if row.operation == operation.id]
        let_in = frozenset(role for row in rows for role in row.let_in)
        said = [RELATIONS[word] for word in operation.who]
        assert let_in <= frozenset().union(*said), f"{operation.id}: more are let in than x-who says"
        assert all(roles & let_in for roles in said if roles), f"{operation.id}: x-who names somebody who is not let in"
        assert operation.said["x-keys"] == any(row.cells["key"] != "403!" for row in rows), operation.id
        assert operation.said["security"] == _security(operation), operation.id


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    anyone: list[dict[str, list[str]]] = [{}] if PUBLIC & set(operation.who) else []
    keys: list[dict[str, list[str]]] = [{"apiKey": []}] if operation.said["x-keys"] else []
    return [] if "signed" in operation.who else [*anyone, {"accessToken": []}, *keys]


async def test_whoever_has_not_signed_in_is_refused_before_anything_is_looked_up(
    document: Mapping[str, Operation],
) -> None:
    for row in ROWS.values():
        public = bool(PUBLIC & set(document[row.operation].who)) and "signed" not in document[row.operation].who
        assert (row.cells["anyone"] == "401!") != public, row.name


async def test_no_key_is_let_in_without_its_scope() -> None:
    """What the bare key may, anyone may."""
    for row in ROWS.values():
        assert ("bare" in row.let_in) <= ("anyone" in row.let_in), row.name


async def test_a_key_that_may_only_read_changes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every `:read` scope it sees what the key with all scopes sees, and does what the bare key does."""
    monkeypatch.setitem(house.roles, "key", house.ours.reader)
    found = []
    for row in ROWS.values():
        expected = row.cells["key" if CALLS[row.name].method == "GET" else "bare"].rstrip("!")
        found.append(await ask_cell(house, row, "key", "ours", expected))
    assert wrong(found) == []


async def test_whoever_was_dismissed_is_a_stranger_again(house: House) -> None:
    """A role ends for every service as soon as the fact is heard, with the session that is still open."""
    ours, clerk = house.ours, await house.person("clerk")
    path = f"/v1/staff/{ours['merchant']}/{clerk.person_id}"
    rows = [
        ROWS[name] for name in ("list_orders/sold", "get_order", "get_hold", "get_attribution", "create_stock_movement")
    ]
    for version, role in enumerate(("staff", None)):
        await ours.owner.done("PUT", path, {"role": role}, version)
        await house.settled()
        for row in rows:
            expected = row.cells["staff" if role else "stranger"]
            with house.later():
                answer = await request(clerk, CALLS[row.name], ours.things, 1)
            assert seen(CALLS[row.name], answer, ours.things) == expected, f"{row.name}: {answer}"


async def test_the_cast_is_who_the_roles_say(house: House) -> None:
    """Otherwise the matrix would prove something else."""
    ours = house.ours
    roles = {grant["party"]: grant["role"] for grant in (await ours.owner.get("/v1/me"))["grants"]}
    assert roles[ours["merchant"]] == "owner"
    for role in ("staff", "pickup"):
        grants = (await ours.people[role].get("/v1/me"))["grants"]
        assert [(each["party"], each["role"]) for each in grants if each["party"] == ours["merchant"]] == [
            (ours["merchant"], role)
        ]
    for role in ("stranger", "rival", "buyer", "member", "angel", "partner"):
        grants = (await house.roles[role].get("/v1/me"))["grants"]
        assert ours["merchant"] not in {each["party"] for each in grants}
