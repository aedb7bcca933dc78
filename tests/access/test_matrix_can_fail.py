"""The matrix can fail: take one owner predicate away, and it names that operation's cells, and no others."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from chassis.db import Query, Window
from services.escrow import store as escrow
from services.order import store as order
from services.tribe import handlers, publishing
from tests.access.cast import MAKERS, House
from tests.access.document import Operation
from tests.access.matrix import ROWS
from tests.access.walk import walk

pytestmark = pytest.mark.asyncio(loop_scope="package")

Name = tuple[str, str, str]


async def wrong_cells(house: House, document: Mapping[str, Operation], service: str) -> set[Name]:
    """The cells of one service that do not hold, without spending anything."""
    rows = [row for row in ROWS.values() if document[row.operation].service == service]
    return {cell.name for row in rows for cell in await walk(house, row, spending=False) if not cell.holds}


def cells(names: Iterable[str], *expected: str) -> set[Name]:
    """The cells of these rows, on ours and theirs, that are answered so: everything that the predicate keeps out."""
    found = set()
    for name in names:
        row = ROWS[name]
        found |= {(name, role, "ours") for role, cell in row.cells.items() if cell in expected}
        found |= {
            (name, role, "theirs")
            for role, cell in row.cells.items()
            if role != "rival" and row.others in expected and not cell.endswith("!")
        }
    return found


@contextmanager
def things(house: House, made: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """For a while, other things in the stories: those that the broken rule will spend."""
    kept = house.ours.things, house.theirs.things
    house.ours.things, house.theirs.things = {**kept[0], **made["ours"]}, {**kept[1], **made["theirs"]}
    try:
        yield
    finally:
        house.ours.things, house.theirs.things = kept


async def to_spend(house: House, *makers: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"ours": {}, "theirs": {}}
    for whose, story in (("ours", house.ours), ("theirs", house.theirs)):
        for maker in makers:
            found[whose] |= await MAKERS[maker](story, story.owner)
    await house.settled()
    return found


@pytest.mark.parametrize("service", ["escrow", "order", "tribe"])
async def test_as_it_stands_nothing_is_wrong(house: House, document: Mapping[str, Operation], service: str) -> None:
    assert await wrong_cells(house, document, service) == set()


async def test_a_read_without_its_owner_predicate(
    house: House, document: Mapping[str, Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _, predicate = escrow.hold_of_party._sql.rpartition("WHERE h.buyer = asked.person")
    assert "party_ids" in predicate
    monkeypatch.setattr(escrow, "hold_of_party", Window(kept))
    assert await wrong_cells(house, document, "escrow") == cells(["get_hold"], "404")


async def test_a_list_without_its_owner_predicate(
    house: House, document: Mapping[str, Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same list with every order in it."""

    class Whole(Query):
        async def rows(self, database: Any, **given: Any) -> Any:
            return await super().rows(database, **{name: given[name] for name in ("state", "after", "limit")})

    everything = order._ORDERS.order_by(order._ORDER.order_id.desc()).limit(order._LIMIT)
    monkeypatch.setattr(order, "orders_of_seller", Whole(everything))
    assert await wrong_cells(house, document, "order") == cells(["list_orders/sold"], "none")


async def test_a_command_without_its_policy(
    house: House, document: Mapping[str, Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ["delete_content", "delete_content/operators"]
    with things(house, await to_spend(house, "content", "operators_content")):
        monkeypatch.setattr(publishing, "_require_own_or_operator", lambda *_: None)
        assert await wrong_cells(house, document, "tribe") == cells(rows, "404", "403")


async def test_commands_without_require_party(
    house: House, document: Mapping[str, Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both commands of the tribe that a partner's people give."""
    monkeypatch.setattr(handlers, "require_party", lambda *_, **__: None)
    assert await wrong_cells(house, document, "tribe") == cells(["create_tribe", "create_invitation"], "404")
