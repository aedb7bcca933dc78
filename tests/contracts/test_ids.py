"""An id says what it names and when it was born."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts.ids import CategoryCode, OrderId, PartyId, RegionCode, SellerId, born_at
from contracts.samples.story import BUYER, MERCHANT, ORDER, START, TRIBE


def test_an_id_carries_its_birth() -> None:
    born = born_at(ORDER)
    assert born is not None
    assert abs(born - START) < timedelta(milliseconds=1)


@pytest.mark.parametrize("no_id", ["", "ord_", "ord_" + "z" * 32, "platform", "ord_" + "f" * 32, ORDER[:-1]])
def test_what_is_no_id_has_no_birth(no_id: str) -> None:
    assert born_at(no_id) is None


ACCEPTED = [
    (OrderId, ORDER),
    (PartyId, MERCHANT),
    (PartyId, TRIBE),
    (PartyId, "platform"),
    (SellerId, MERCHANT),
    (RegionCode, "320500"),
    (CategoryCode, "tea-ware"),
]
REFUSED = [
    (OrderId, BUYER),
    (OrderId, ORDER.upper()),
    (OrderId, ORDER + "\n"),
    (PartyId, BUYER),
    (PartyId, "platforms"),
    (SellerId, TRIBE),
    (RegionCode, "020500"),
    (RegionCode, "32050"),
    (CategoryCode, "Tea"),
    (CategoryCode, "-tea"),
    (CategoryCode, "t" * 33),
]


@pytest.mark.parametrize(("kind", "value"), ACCEPTED)
def test_an_id_of_the_right_kind_is_taken(kind: Any, value: str) -> None:
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_an_id_of_another_kind_is_refused(kind: Any, value: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)
