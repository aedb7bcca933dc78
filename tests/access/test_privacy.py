"""Nothing that anybody was answered while the matrix was walked carries what is not theirs to read."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.access.cast import House
from tests.access.conftest import Walked
from tests.access.door import Answer

pytestmark = pytest.mark.asyncio(loop_scope="package")

# The story's phone numbers begin with 177 (people) and 188 (recipients); inside an id the same digits mean nothing.
PHONE = re.compile(r"(?<![0-9a-f])(?:\+?86)?1(?:77|88)[0-9]{8}(?![0-9a-f])")
CANARY = re.compile(r"Canary (?:Lane )?[0-9a-f]{12}")
SHOWN_TO = frozenset({"owner", "staff", "key"})
"""Who is shown where the order goes: the seller's people, and its key with the scope."""
NEVER = re.compile("sealed|password|secret|private|_hash|_mac|ciphertext|master|phone_index|person_index")
ALLOWED = {"secret": "/v1/api-keys", "content_hash": "/v1/"}
"""Where a member of such a name is meant: a new key's secret, once; the public hash of a public text."""


def is_disclosure(who: str, answer: Answer) -> bool:
    return answer.path == "/v1/disclosures" and answer.status == 201 and who in SHOWN_TO


async def test_enough_was_heard_to_say_so(walked: Walked) -> None:
    assert len(walked.heard) > 2_000
    assert {answer.status for _, answer in walked.heard} >= {200, 201, 202, 204, 401, 403, 404, 409}


async def test_numbers_names_and_addresses_are_shown_to_whoever_ships_and_to_nobody_else(walked: Walked) -> None:
    shown, leaked = 0, []
    for who, answer in walked.heard:
        if PHONE.search(answer.body.decode()) or CANARY.search(answer.body.decode()):
            if is_disclosure(who, answer):
                shown += 1
            else:
                leaked.append(f"{who}: {answer}")
    assert leaked == []
    assert shown == len(SHOWN_TO)


async def test_headers_carry_no_personal_data_either(walked: Walked) -> None:
    for who, answer in walked.heard:
        text = json.dumps(dict(answer.headers))
        assert not PHONE.search(text), who
        assert not CANARY.search(text), who


async def test_oneself_is_shown_masked(house: House) -> None:
    buyer = house.ours.buyer
    me = await buyer.get("/v1/me")
    assert me["masked_phone"].endswith(buyer.phone[-4:])
    assert "****" in me["masked_phone"]
    assert me["recipients"]
    for recipient in me["recipients"]:
        assert "*" in recipient["phone"]
        assert "*" in recipient["name"]
        assert "address" not in recipient


async def test_no_answer_has_a_member_that_is_kept_sealed(walked: Walked) -> None:
    found = set()
    for _, answer in walked.heard:
        for name in set(_names(_json(answer))):
            if NEVER.search(name) and not answer.path.startswith(ALLOWED.get(name, "\0")):
                found.add((answer.path, name))
    assert found == set()
    made = [answer for _, answer in walked.heard if answer.path == "/v1/api-keys" and "secret" in _names(_json(answer))]
    assert made
    assert {answer.method for answer in made} == {"POST"}


async def test_tokens_are_answered_to_whoever_signs_in_and_to_nobody_else(walked: Walked) -> None:
    for _, answer in walked.heard:
        if {"access_token", "refresh_token"} & set(_names(_json(answer))):
            assert (answer.method, answer.path) == ("POST", "/v1/sessions")


async def test_a_refusal_says_nothing_of_the_inside(walked: Walked) -> None:
    """Problems name codes and members, never tables, classes, statements or files."""
    inside = re.compile(r"Traceback|asyncpg|sqlalchemy|SELECT |INSERT |\.py\b|NoneType|violates|constraint \"")
    for _, answer in walked.heard:
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert not inside.search(answer.body.decode()), str(answer)
            assert set(answer.json) >= {"type", "title", "status", "detail", "instance", "code", "trace_id"}


async def test_everything_private_is_not_to_be_stored(walked: Walked) -> None:
    for who, answer in walked.heard:
        assert "no-store" in answer.headers["cache-control"], f"{who}: {answer}"
        assert answer.headers["x-content-type-options"] == "nosniff"


def _json(answer: Answer) -> Any:
    return json.loads(answer.body) if answer.body else None


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _names(value)
