"""A frozen dataclass survives its row, and so does its digest."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from chassis.rows import Codec, digest
from tests.chassis import toy
from tests.support import admin_url


@dataclass(frozen=True, slots=True)
class Part:
    z_amount: int
    at: datetime | None
    a_name: str
    bb: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    text: str
    maybe_text: str | None
    number: Annotated[int, Field(ge=0)]
    flag: bool
    maybe_flag: bool | None
    at: datetime
    maybe_at: datetime | None
    raw: bytes | None
    uuid: UUID | None
    state: Literal["open", "closed"]
    maybe_state: Literal["open"] | None
    parts: tuple[Part, ...]
    part: Part | None
    names: tuple[str, ...] | None
    pairs: tuple[tuple[int, str], ...]


TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
OFFSETS = st.integers(-12 * 60, 12 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
YEARS = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - the zone is drawn beside it
TIMES = st.datetimes(*YEARS, timezones=st.just(UTC) | OFFSETS)
PARTS = st.builds(Part, st.integers(), st.none() | TIMES, TEXT, st.lists(TEXT, max_size=3).map(tuple))
BIGINTS = st.integers(-(2**63), 2**63 - 1)
WHOLES = st.builds(
    Whole, TEXT, st.none() | TEXT, BIGINTS, st.booleans(), st.none() | st.booleans(), TIMES, st.none() | TIMES,
    st.none() | st.binary(), st.none() | st.uuids(), st.sampled_from(["open", "closed"]), st.sampled_from([None, "open"]),
    st.lists(PARTS, max_size=3).map(tuple), st.none() | PARTS, st.none() | st.lists(TEXT, max_size=3).map(tuple),
    st.lists(st.tuples(st.integers(), TEXT), max_size=2).map(tuple),
)  # fmt: skip
CODEC = Codec.of(Whole)
ECHO = "SELECT " + ", ".join(
    f"${n}::text::jsonb" if each.sql == "jsonb" else f"${n}::{each.sql}" for n, each in enumerate(CODEC.fields, 1)
)


@given(WHOLES)
def test_what_is_decoded_is_what_was_encoded(value: Whole) -> None:
    encoded = CODEC.encode(value)
    assert CODEC.decode(encoded) == value
    assert digest(CODEC.encode(CODEC.decode(encoded))) == digest(encoded)


def test_postgresql_gives_back_the_same_value_with_the_same_digest() -> None:
    """jsonb reorders keys and rewrites numbers, timestamptz forgets its zone: neither shows."""
    with asyncio.Runner() as runner:
        connection = toy.connected(admin_url())
        postgresql = runner.run(connection.__aenter__())

        @settings(deadline=None)
        @given(WHOLES)
        def check(value: Whole) -> None:
            row = runner.run(postgresql.fetchrow(ECHO, *CODEC.encode(value)))
            assert row
            assert CODEC.decode(row) == value
            assert digest(CODEC.encode(CODEC.decode(row))) == digest(CODEC.encode(value))

        check()
        runner.run(connection.__aexit__(None, None, None))


@given(WHOLES, WHOLES)
def test_different_values_have_different_digests(one: Whole, other: Whole) -> None:
    same = CODEC.encode(one) == CODEC.encode(other)
    assert (digest(CODEC.encode(one)) == digest(CODEC.encode(other))) == same


@given(WHOLES, st.sampled_from([timedelta(microseconds=1), timedelta(days=-1)]))
def test_a_change_of_one_column_changes_the_digest(value: Whole, by: timedelta) -> None:
    changed = replace(value, at=value.at + by)
    assert digest(CODEC.encode(changed)) != digest(CODEC.encode(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a\x1f\x01b", "c"), ("a", "b\x1f\x01c")),
        (("ab", "c"), ("a", "bc")),
        ((None, "x"), ("", "x")),
        (("1:a",), ("1", "a")),
        (("-",), (None,)),
    ],
)
def test_no_two_rows_read_alike(one: Iterable[Any], other: Iterable[Any]) -> None:
    assert digest(tuple(one)) != digest(tuple(other))


@dataclass(frozen=True)
class Outer:
    inner: dict[str, int]


@pytest.mark.parametrize(
    "hint",
    [dict[str, int], tuple[dict[str, int], ...], frozenset[str], tuple[frozenset[str], ...], Outer, Outer | None],
    ids=str,
)
def test_a_field_without_an_order_is_refused_when_the_table_is_made(hint: Any) -> None:
    kind = dataclass(frozen=True)(type("Bad", (), {"__annotations__": {"key": str, "value": hint}}))
    with pytest.raises(TypeError, match=r"Bad\.value"):
        Codec.of(kind)


def test_a_time_without_a_zone_has_no_digest() -> None:
    with pytest.raises(TypeError):
        digest((datetime(2026, 1, 1),))  # noqa: DTZ001
