"""What answers carry is not what requests take: a body has the members that its operation declares, of their types.

Every case is a valid body with one thing wrong in it, each sent alone, by somebody who may: only the wrong thing is
left to refuse. That the bodies are valid is the matrix's business, which sends the same ones.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.access.calls import CALLS, Call, filled
from tests.access.cast import House, Someone
from tests.access.document import Operation, Path
from tests.access.door import Answer
from tests.access.matrix import ROLES, ROWS

pytestmark = pytest.mark.asyncio(loop_scope="package")

WITH_BODY = {name: call for name, call in CALLS.items() if call.body is not None and name != "create_callback"}
# One row per kind of body is enough: a move's body is the same for every move.
BODIES = {name: call for name, call in WITH_BODY.items() if not name.endswith(("/asked", "/operators"))}
NO_INTEGERS = ("1.0", "1.5", "1e2", '"1"', "true", "NaN", "[1]", '{"amount": 1}', "99999999999999999999")
HOLE = "\x01hole\x01"


async def send(someone: Someone, house: House, call: Call, raw: bytes) -> Answer:
    headers = {"if-match": '"1"'} if call.method in {"PATCH", "PUT"} else {}
    path = filled(call.path, Things(house.ours.things))
    return await someone.call(call.method, path, raw=raw, headers=headers)


class Things(dict[str, str]):
    """What a body names and nobody has made before the test: codes, phones."""

    def __missing__(self, name: str) -> str:
        made = {
            "phone": "+8617712345678",
            "code": "123456",
            "code_id": f"cod_{'0' * 32}",
            "newcomer": f"per_{'0' * 32}",
        }
        return made[name]


def let_in(house: House, name: str) -> Someone:
    return house.roles[next(role for role in ROLES if role in ROWS[name].let_in)]


def body_of(house: House, call: Call) -> Any:
    return filled(call.body, Things(house.ours.things))


@pytest.mark.parametrize("name", BODIES)
async def test_a_member_that_a_request_does_not_declare_is_refused(
    house: House, document: Mapping[str, Operation], name: str
) -> None:
    """Every member of every answer of every operation, one at a time."""
    operation = document[ROWS[name].operation]
    names = frozenset().union(*(each.answered() for each in document.values())) - operation.declared()
    assert len(names) > 100
    call, someone = BODIES[name], let_in(house, name)
    body = body_of(house, call)
    taken = []
    for injected in sorted(names):
        answer = await send(someone, house, call, json.dumps({**body, injected: 1}).encode())
        if answer.status != 422 or f"/{injected}" not in answer.body.decode():
            taken.append((injected, str(answer)))
    assert taken == []


@pytest.mark.parametrize(
    "name", [name for name, call in BODIES.items() if "{" in json.dumps(list((call.body or {}).values()))]
)
async def test_nor_is_one_deeper_in_the_body(house: House, document: Mapping[str, Operation], name: str) -> None:
    """Into every object inside the body, each member of this operation's own answer that is not there already."""
    call, someone = BODIES[name], let_in(house, name)
    operation, body = document[ROWS[name].operation], body_of(house, call)
    answered = operation.answered() | {"id", "state", "role", "version"}
    objects = [at for at, node in _nodes(body) if at and isinstance(node, dict)]
    taken = []
    for at in objects:
        for injected in sorted(answered - operation.declared_at(at)):
            changed = copy.deepcopy(body)
            _at(changed, at)[injected] = 1
            answer = await send(someone, house, call, json.dumps(changed).encode())
            if answer.status != 422:
                taken.append((at, injected, str(answer)))
    assert taken == []


@pytest.mark.parametrize("name", BODIES)
async def test_an_integer_is_an_integer(house: House, document: Mapping[str, Operation], name: str) -> None:
    """Amounts, quantities, rates, hours and versions: no float, no text, no boolean, nothing out of bounds."""
    call, someone = BODIES[name], let_in(house, name)
    operation, body = document[ROWS[name].operation], body_of(house, call)
    taken = []
    for at, schema in operation.integers().items():
        assert isinstance(_at(body, at), int), f"the body of {name} lacks {at}: calls.py must send every integer"
        low, high = int(schema["minimum"]) - 1, int(schema["maximum"]) + 1
        for literal in (*NO_INTEGERS, str(low), str(high)):
            answer = await send(someone, house, call, _with(body, at, literal))
            if answer.status != 422:
                taken.append((at, literal, str(answer)))
    assert taken == []


async def test_there_is_a_body_for_every_operation_that_takes_one(document: Mapping[str, Operation]) -> None:
    taking = {operation.id for operation in document.values() if operation.body is not None}
    assert {ROWS[name].operation for name in BODIES} == taking


def _nodes(node: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield at, node
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in members:
        yield from _nodes(value, (*at, key))


def _at(body: Any, at: Path) -> Any:
    for key in at:
        body = body[key]
    return body


def _with(body: Any, at: Path, literal: str) -> bytes:
    """The body with this literal, whatever it is, where the integer was."""
    changed = copy.deepcopy(body)
    _at(changed, at[:-1])[at[-1]] = HOLE
    return json.dumps(changed).replace(json.dumps(HOLE), literal).encode()
