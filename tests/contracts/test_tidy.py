"""No field of any fact can carry what people wrote or who they are: there is no type for it to hide in."""

import importlib
from typing import Any, get_args

import pytest
from pydantic import StringConstraints

from contracts import fact as fact_types
from contracts import ids, money
from contracts.catalogue import CATALOGUE
from contracts.fact import Fact, Part
from contracts.publish import schema_of

SPEECHLESS = (fact_types.ReasonCode, fact_types.Token, fact_types.Fingerprint, money.Currency)
"""Strings that are codes: with every id of contracts.ids, the only ones a fact may carry."""


def _patterns(types: tuple[Any, ...]) -> set[str]:
    return {
        str(constraint.pattern)
        for alias in types
        for constraint in get_args(alias)
        if isinstance(constraint, StringConstraints)
    }


ALLOWED = _patterns((*SPEECHLESS, *vars(ids).values()))
OPAQUE = {"boolean", "integer", "null"}


def _speaking(node: dict[str, Any], definitions: dict[str, Any], path: str) -> list[str]:
    """The fields below `node` that could carry free text or a free structure."""
    if "$ref" in node:
        return _speaking(definitions[node["$ref"].rpartition("/")[2]], definitions, path)
    if "anyOf" in node:
        return [found for option in node["anyOf"] for found in _speaking(option, definitions, path)]
    kind = node.get("type")
    if kind == "array":
        return _speaking(node["items"], definitions, f"{path}[]")
    if kind == "object" and "properties" in node:
        fields = node["properties"].items()
        return [found for name, field in fields for found in _speaking(field, definitions, f"{path}.{name}")]
    codes_only = "const" in node or "enum" in node or node.get("format") == "date-time"
    return [] if kind in OPAQUE or codes_only or node.get("pattern") in ALLOWED else [path]


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_no_field_type_can_carry_personal_data(entry: Any) -> None:
    schema = schema_of(entry.fact)
    assert _speaking(schema, schema.get("$defs", {}), entry.fact.type) == []


class Diary(Part):
    """What a fact must never hold."""

    text: str


class Gossip(Fact):
    """What a fact must never be."""

    type = "tribe.gossip.v1"
    subject_field = "about"

    about: ids.PersonId
    nickname: str
    pages: tuple[Diary, ...]
    anything: dict[str, int]
    size: float


def test_the_guard_sees_free_text_wherever_it_hides() -> None:
    schema = schema_of(Gossip)
    assert _speaking(schema, schema["$defs"], "") == [".nickname", ".pages[].text", ".anything", ".size"]


def _lists(node: Any) -> list[dict[str, Any]]:
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    here = [node] if isinstance(node, dict) and node.get("type") == "array" else []
    return here + [found for part in parts for found in _lists(part)]


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_every_list_has_an_end(entry: Any) -> None:
    assert all("maxItems" in found for found in _lists(schema_of(entry.fact)))


@pytest.mark.parametrize("module", ["order", "escrow", "partner", "tribe", "distribution", "gateway"])
def test_every_part_says_what_it_is(module: str) -> None:
    found = vars(importlib.import_module(f"contracts.{module}")).values()
    assert all(part.__doc__ for part in found if isinstance(part, type) and issubclass(part, Part))
