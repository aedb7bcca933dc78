"""Walks the matrix: asks every cell, and says which answered something else than the table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.access.calls import CALLS, Call, filled
from tests.access.cast import MAKERS, House, Someone, unborn
from tests.access.door import Answer
from tests.access.matrix import LET_IN, ROLES, Row

PROBLEM_OF_ITS_OWN = frozenset({"instance", "trace_id"})


@dataclass(frozen=True, slots=True)
class Cell:
    """One request that was made: by whom, on whose thing, what was expected, what came."""

    row: str
    role: str
    whose: str
    expected: str
    answer: Answer
    got: str

    @property
    def name(self) -> tuple[str, str, str]:
        return self.row, self.role, self.whose

    @property
    def holds(self) -> bool:
        return self.got == self.expected

    def __str__(self) -> str:
        return f"{self.row} · {self.role} · {self.whose}: expected {self.expected}, got {self.got} ({self.answer})"


async def walk(house: House, row: Row, *, spending: bool = True) -> list[Cell]:
    """Every cell of a row. Without `spending`, only what leaves the story's things as they are if the table is right."""
    cells = []
    for role in ROLES:
        for whose, expected in _expected(row, role).items():
            spends = CALLS[row.name].method != "GET" and expected in LET_IN
            if spending or not spends:
                cells.append(await ask_cell(house, row, role, whose, expected))
    return cells + _alike(cells)


def _expected(row: Row, role: str) -> dict[str, str]:
    """Whose thing -> what this role is answered."""
    cell, others = row.cells[role], row.others
    if others == "-" and cell.endswith("!"):
        return {"ours": cell[:3]}
    if others == "-":
        return {"ours": cell}
    lists_all = others in {"none", "sees"}
    if cell.endswith("!"):
        return dict.fromkeys(("ours", "theirs") if lists_all else ("ours", "theirs", "nothing"), cell[:3])
    found = {"ours": cell}
    if role != "rival":  # the rival is at home there
        found["theirs"] = cell if others in LET_IN and cell == "403" else others
    if not lists_all:
        found["nothing"] = "404" if cell != "403" or others == "404" else "403"
    return found


async def ask_cell(house: House, row: Row, role: str, whose: str, expected: str) -> Cell:
    """One cell: what this role asks of whose thing, with a thing of its own where it would be spent."""
    call, someone = CALLS[row.name], house.roles[role]
    story = house.theirs if whose == "theirs" else house.ours
    things = dict(story.things)
    if whose == "nothing":
        things = {name: unborn(each) for name, each in things.items()}
    elif call.fresh and (expected == "ok" or call.fresh in {"code", "phone", "newcomer"}):
        things |= await MAKERS[call.fresh](story, someone)
        await house.settled()
    things = _Things(things)
    version = await _version(someone, call, things) if expected == "ok" else call.version
    with house.later():
        answer = await request(someone, call, things, version)
    return Cell(row.name, role, whose, expected, answer, seen(call, answer, things))


class _Things(dict[str, str]):
    """What a row names and nobody has made is unborn."""

    def __missing__(self, name: str) -> str:
        return unborn("per_" + "0" * 32) if name == "newcomer" else "000000"


async def _version(someone: Someone, call: Call, things: Mapping[str, str]) -> int:
    if not call.etag:
        return call.version
    answer = await someone.call("GET", filled(call.etag, things))
    return int(answer.headers["etag"].strip('"'))


async def request(
    someone: Someone, call: Call, things: Mapping[str, str], version: int, body: Any = None, **given: Any
) -> Answer:
    """The call with these things in it; `body` instead of its own."""
    headers = {"if-match": f'"{version}"'} if call.method in {"PATCH", "PUT"} else {}
    if call.body is not None:
        given["json_body"] = filled(call.body, things) if body is None else body
    path, query = filled(call.path, things), filled(call.query, things)
    return await someone.call(call.method, path, query=query, headers=headers, **given)


def seen(call: Call, answer: Answer, things: Mapping[str, str]) -> str:
    """The answer in the words of the table."""
    if answer.status >= 300:
        return str(answer.status)
    if call.thing:
        return "sees" if filled(call.thing, things).encode() in answer.body else "none"
    return "ok"


def _alike(cells: Iterable[Cell]) -> list[Cell]:
    """A foreign thing is answered byte for byte as one that does not exist: cells where it is not."""
    by_name = {cell.name: cell for cell in cells}
    found = []
    for cell in by_name.values():
        nothing = by_name.get((cell.row, cell.role, "nothing"))
        if nothing is None or cell.whose == "nothing" or cell.got != "404" or nothing.got != "404":
            continue
        if _told(cell.answer) != _told(nothing.answer):
            found.append(Cell(cell.row, cell.role, f"{cell.whose}, told apart", "the same 404", cell.answer, "another"))
    return found


def _told(answer: Answer) -> Any:
    body = {name: value for name, value in answer.json.items() if name not in PROBLEM_OF_ITS_OWN}
    headers = {name: value for name, value in answer.headers.items() if name not in {"request-id", "content-length"}}
    return body, headers


def wrong(cells: Iterable[Cell]) -> list[str]:
    return [str(cell) for cell in cells if not cell.holds]
