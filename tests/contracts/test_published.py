"""The committed files say what the code says, and no change may break a hearer."""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, create_model

from contracts.catalogue import CATALOGUE, decode
from contracts.compatibility import breaks
from contracts.fact import Envelope, Fact, Part
from contracts.ids import OrderId, PersonId
from contracts.order import OrderPaid
from contracts.publish import HERE, documents, main, refusals, schema_of

FACTS = [entry.fact for entry in CATALOGUE.values()]


def test_the_committed_files_are_the_ones_the_code_would_write() -> None:
    written = documents(FACTS)
    committed = {
        str(path.relative_to(HERE)): path.read_text("utf-8")
        for folder in ("schemas", "golden")
        for path in (HERE / folder).iterdir()
    }
    assert committed == written, "run `python -m contracts.publish`"


def test_the_committed_promises_are_kept() -> None:
    assert refusals(FACTS, HERE) == []


@pytest.mark.parametrize("path", sorted((HERE / "golden").glob("*.json")), ids=lambda path: path.stem)
def test_what_was_once_said_is_still_understood(path: Path) -> None:
    envelope = Envelope.model_validate_json(path.read_text("utf-8"))
    fact = decode(envelope)
    assert fact is not None
    assert fact.type == path.stem
    assert fact.subject == envelope.subject
    assert fact.model_dump(mode="json") == envelope.data


class Piece(Part):
    """A part of the fact below."""

    quantity: Annotated[int, Field(ge=1, le=10)]


class Baked(Fact):
    """A fact made up for these tests."""

    type: ClassVar[str] = "order.baked.v1"
    subject_field: ClassVar[str] = "order_id"

    order_id: OrderId
    by: Literal["baker", "oven"]
    title: Literal["bread"]
    pieces: Annotated[tuple[Piece, ...], Field(max_length=5)]
    eaten_by: PersonId | None


def _changed(**fields: Any) -> type[Fact]:
    return create_model("Baked", __base__=Baked, **fields)


def _without(name: str) -> dict[str, Any]:
    schema = schema_of(Baked)
    del schema["properties"][name]
    schema["required"].remove(name)
    return schema


class NarrowPiece(Part):
    """Fewer pieces than before."""

    quantity: Annotated[int, Field(ge=2, le=10)]


class ExplainedPiece(Part):
    """The same piece in other words, with one optional thing more."""

    quantity: Annotated[int, Field(ge=0, le=20, description="how many")]
    sliced: bool = False


BREAKING = {
    "a new required field": (_changed(oven=(OrderId, ...)), "oven"),
    "another type": (_changed(order_id=(int, ...)), "order_id"),
    "another pattern": (_changed(order_id=(PersonId, ...)), "order_id"),
    "a word less": (_changed(by=(Literal["baker"], ...)), "by"),
    "a constant less": (_changed(title=(Literal["cake"], ...)), "title"),
    "a shorter list": (_changed(pieces=(Annotated[tuple[Piece, ...], Field(max_length=4)], ...)), "pieces"),
    "a new lower bound for a list": (
        _changed(pieces=(Annotated[tuple[Piece, ...], Field(min_length=1, max_length=5)], ...)),
        "pieces",
    ),
    "a narrower part": (_changed(pieces=(Annotated[tuple[NarrowPiece, ...], Field(max_length=5)], ...)), "pieces[]"),
    "no null any more": (_changed(eaten_by=(PersonId, ...)), "eaten_by"),
    "no longer always there": (_changed(eaten_by=(PersonId | None, None)), "eaten_by"),
}


@pytest.mark.parametrize(("changed", "field"), BREAKING.values(), ids=BREAKING.keys())
def test_a_breaking_change_is_refused_and_names_its_field(changed: type[Fact], field: str) -> None:
    found = breaks(schema_of(Baked), schema_of(changed))
    assert found
    assert all(broken.startswith(field) for broken in found)


@pytest.mark.parametrize("name", ["order_id", "by", "title", "pieces", "eaten_by"])
def test_a_removed_field_is_refused(name: str) -> None:
    assert breaks(schema_of(Baked), _without(name)) == [f"{name}: removed"]


def test_another_subject_is_a_breaking_change() -> None:
    assert breaks(schema_of(Baked), {**schema_of(Baked), "x-subject": "eaten_by"})


def test_additions_wider_words_and_better_prose_are_welcome() -> None:
    wider = _changed(
        by=(Literal["baker", "oven", "neighbour"], ...),
        pieces=(Annotated[tuple[ExplainedPiece, ...], Field(max_length=9)], ...),
        warm=(bool, False),
    )
    assert breaks(schema_of(Baked), schema_of(wider)) == []


def _commit(folder: Path, fact: type[Fact], data: dict[str, Any] | None = None) -> None:
    (folder / "schemas").mkdir()
    (folder / "golden").mkdir()
    (folder / "schemas" / f"{fact.type}.json").write_text(json.dumps(schema_of(fact)), "utf-8")
    if data is not None:
        golden = json.loads((HERE / "golden" / "order.paid.v1.json").read_text("utf-8")) | {"data": data}
        (folder / "golden" / f"{fact.type}.json").write_text(json.dumps(golden), "utf-8")


def test_the_refusal_names_type_and_field(tmp_path: Path) -> None:
    _commit(tmp_path, Baked)
    assert refusals([_changed(oven=(OrderId, ...))], tmp_path) == ["order.baked.v1: oven: new and required"]


def test_a_fact_that_is_no_longer_said_is_refused(tmp_path: Path) -> None:
    _commit(tmp_path, Baked)
    assert refusals([], tmp_path) == ["order.baked.v1: has hearers, but nobody says it any more"]


def test_a_rule_that_no_schema_shows_is_found_by_the_golden_sample(tmp_path: Path) -> None:
    _commit(tmp_path, Baked, data={"order_id": "ord_" + "0" * 32, "by": "nobody", "title": "bread", "pieces": []})
    assert [broken.split(": ")[1] for broken in refusals([Baked], tmp_path)] == ["by", "eaten_by"]


def test_a_new_version_of_a_type_is_free_to_differ(tmp_path: Path) -> None:
    _commit(tmp_path, Baked)
    second = _changed(order_id=(int, ...))
    second.type = "order.baked.v2"
    assert refusals([Baked, second], tmp_path) == []


def test_publishing_writes_every_file_and_twice_the_same(tmp_path: Path) -> None:
    assert [main(tmp_path), main(tmp_path)] == [0, 0]
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")}
    assert written == set(documents(FACTS))


def test_publishing_refuses_a_breaking_change_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promised = schema_of(OrderPaid)
    promised["properties"]["paid_by"] = {"type": "string"}
    promised["required"].append("paid_by")
    path = tmp_path / "schemas" / "order.paid.v1.json"
    path.parent.mkdir()
    path.write_text(json.dumps(promised), "utf-8")
    assert main(tmp_path) == 1
    assert "order.paid.v1: paid_by: removed" in capsys.readouterr().err
    assert json.loads(path.read_text("utf-8")) == promised
    assert not (tmp_path / "golden").exists()
