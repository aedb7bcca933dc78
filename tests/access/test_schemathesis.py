"""Schemathesis asks every operation what its document allows and what it does not: no 5xx, nothing undocumented.

Small and seeded here; `SCHEMATHESIS_EXAMPLES=500 pytest tests/access/test_schemathesis.py` asks as long as one likes,
and something else every time.
"""

import asyncio
import os
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.access import cast
from tests.access.cast import House, Someone
from tests.access.matrix import ROWS

pytestmark = pytest.mark.asyncio(loop_scope="package")

LONG = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
EXAMPLES = {GenerationMode.POSITIVE: LONG or 6, GenerationMode.NEGATIVE: LONG or 4}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXCLUDED = {"create_clock_advance": "it moves the whole world's clock; tests/gateway/test_clock.py asks it"}
OPERATIONS = sorted({row.operation for row in ROWS.values()} - EXCLUDED.keys())
ID = re.compile("([a-z]{3})_[0-9a-f]{32}")
TOKENS = {"token": "link_token", "touch_token": "touch_token", "recipient_token": "recipient_token"}


class Fuzz:
    """The operations as Schemathesis sees them, and ids that it could not guess."""

    def __init__(self, house: House, whole: Mapping[str, Any], own: cast.Story) -> None:
        schema = schemathesis.openapi.from_dict(dict(whole))
        found = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
        self.operations = {operation.definition.raw["operationId"]: operation for operation in found}
        self.url = house.world.url
        self.own, self.person = own, own.owner
        self.session = requests.Session()
        self.answers = Counter[tuple[str, int]]()
        self._known: dict[str, list[str]] = {}
        for story in (own, own, own, house.ours):
            for thing in story.things.values():
                self._known.setdefault(thing[:3], []).append(thing)
        self._tokens = {name: own[thing] for name, thing in TOKENS.items()}

    def ask(self, operation: APIOperation[Any, Any, Any, Any], someone: Someone | None) -> None:
        raw = operation.definition.raw
        takes = raw.get("parameters") or raw.get("requestBody")
        for mode, most in EXAMPLES.items():
            if takes or mode is GenerationMode.POSITIVE:  # what takes nothing cannot be given anything wrong
                self._ask(operation, mode, most, someone)

    def _ask(self, operation: Any, mode: GenerationMode, most: int, someone: Someone | None) -> None:
        @settings(
            max_examples=most,
            derandomize=not LONG,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode), dice=st.randoms(use_true_random=False))
        def asked(case: Case[Any], dice: random.Random) -> None:
            self._prepare(case, dice)
            headers = {"Authorization": f"Bearer {someone.token}"} if someone else {}
            answer = case.call_and_validate(base_url=self.url, session=self.session, headers=headers, checks=CHECKS)
            self.answers[operation.definition.raw["operationId"], answer.status_code] += 1

        asked()

    def _prepare(self, case: Case[Any], dice: random.Random) -> None:
        """Most ids become ones that exist, mostly the person's own; `wait` goes, because it only makes answers slow."""
        if case.headers and dice.random() < 0.8:
            case.headers.pop("Authorization", None)
        if case.query:
            case.query.pop("wait", None)
        for part in ("path_parameters", "query", "body"):
            found = getattr(case, part)
            if isinstance(found, dict | list):
                setattr(case, part, self._known_instead(found, dice))
        if case.headers and "if-match" in case.headers and dice.random() < 0.7:
            case.headers["if-match"] = dice.choice(['"0"', '"1"', '"2"', 'W/"1"'])

    def _known_instead(self, node: Any, dice: random.Random, name: str = "") -> Any:
        if isinstance(node, dict):
            return {key: self._known_instead(value, dice, key) for key, value in node.items()}
        if isinstance(node, list):
            return [self._known_instead(value, dice) for value in node]
        if not isinstance(node, str) or dice.random() < 0.3:
            return node
        found = ID.fullmatch(node)
        if found and found[1] in self._known:
            return dice.choice(self._known[found[1]])
        return self._tokens.get(name, node)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def fuzz(house: House) -> AsyncIterator[Fuzz]:
    """The person owns a merchant and a partner, and has bought; others of that story work and write there."""
    own = await cast.story(house, alone=frozenset({"owner", "partner", "buyer"}))
    whole = (await house.door.call("GET", "/openapi.json")).json
    fuzz = Fuzz(house, whole, own)
    with house.later():
        yield fuzz
    fuzz.session.close()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("who", ["anyone", "somebody"])
async def test_every_answer_is_one_that_is_documented(fuzz: Fuzz, operation: str, who: str) -> None:
    someone = fuzz.person if who == "somebody" else None
    await asyncio.to_thread(fuzz.ask, fuzz.operations[operation], someone)


async def test_every_operation_is_asked(fuzz: Fuzz) -> None:
    assert {*OPERATIONS, *EXCLUDED} == fuzz.operations.keys()


async def test_schemathesis_came_through_the_doors(fuzz: Fuzz) -> None:
    """Refusals alone would prove little: most operations have also done what they are for."""
    done = {operation for operation, status in fuzz.answers if status < 300}
    assert len(done) > len(OPERATIONS) / 2, sorted(set(OPERATIONS) - done)


@pytest.mark.parametrize("spoiled", ["404 is not documented", "version is text"])
async def test_schemathesis_is_seen_to_fail(house: House, fuzz: Fuzz, spoiled: str) -> None:
    whole = (await house.door.call("GET", "/openapi.json")).json
    if spoiled == "version is text":
        whole["components"]["schemas"]["OfferOut"]["properties"]["version"] = {"type": "string"}
    else:
        del whole["paths"]["/v1/offers/{offer_id}"]["get"]["responses"]["404"]
    wrong = Fuzz(house, whole, fuzz.own)
    with pytest.raises(FailureGroup):
        await asyncio.to_thread(wrong.ask, wrong.operations["get_offer"], None)
    wrong.session.close()
