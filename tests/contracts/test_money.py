"""Money is whole minor units, and a split loses none of them."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.money import MONEY_MAX, Money, allot

TOTALS = st.integers(min_value=1, max_value=10**9)
WEIGHTS = st.lists(st.integers(min_value=0, max_value=10_000), min_size=1, max_size=12).filter(any)


@given(TOTALS, WEIGHTS)
def test_the_parts_sum_to_the_whole(total: int, weights: list[int]) -> None:
    assert sum(allot(total, weights)) == total


@given(TOTALS, WEIGHTS)
def test_no_part_is_off_by_a_whole_unit(total: int, weights: list[int]) -> None:
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    assert all(abs(part - share) < 1 for part, share in zip(allot(total, weights), exact, strict=True))


@given(TOTALS, WEIGHTS)
def test_what_has_no_weight_gets_nothing(total: int, weights: list[int]) -> None:
    assert all(part == 0 for part, weight in zip(allot(total, weights), weights, strict=True) if weight == 0)


@given(TOTALS, WEIGHTS)
def test_the_larger_remainder_gets_the_unit_and_of_equal_ones_the_earlier(total: int, weights: list[int]) -> None:
    whole = sum(weights)
    extra = [part - total * weight // whole for part, weight in zip(allot(total, weights), weights, strict=True)]
    by_right = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    assert [extra[i] for i in by_right] == sorted(extra, reverse=True)


@given(TOTALS, WEIGHTS)
def test_a_reversal_mirrors_the_split(total: int, weights: list[int]) -> None:
    assert allot(-total, weights) == [-part for part in allot(total, weights)]


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (1, [1, 1, 1], [1, 0, 0]),
        (2, [1, 1, 1], [1, 1, 0]),
        (100, [1, 1, 1], [34, 33, 33]),
        (3990, [8200, 800, 1000], [3272, 319, 399]),
        (0, [3, 7], [0, 0]),
        (5, [0, 1], [0, 5]),
        (10**9, [1, 9_999], [100_000, 999_900_000]),
    ],
)
def test_splits_worked_out_by_hand(total: int, weights: list[int], parts: list[int]) -> None:
    assert allot(total, weights) == parts


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [-1, 2], [3, -1]])
def test_a_split_by_nothing_is_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        allot(100, weights)


@pytest.mark.parametrize(
    "amount", [1.0, 0.5, float("nan"), float("inf"), "1", "1e3", True, False, None, -1, MONEY_MAX + 1, [1]]
)
def test_money_is_a_whole_number_of_minor_units_and_nothing_else(amount: Any) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": amount, "currency": "CNY"})


@pytest.mark.parametrize("amount", ["1.0", "1e3", '"1"', "true", "null", "-1", "10000000000001", "[1]"])
def test_money_on_the_wire_is_no_looser(amount: str) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate_json(f'{{"amount": {amount}, "currency": "CNY"}}')


@pytest.mark.parametrize("currency", ["cny", "CN", "CNYX", "", " CNY", "CNY\n", None, 156])
def test_a_currency_is_three_capital_letters(currency: Any) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": 1, "currency": currency})


def test_money_with_more_to_it_is_not_money() -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": 1, "currency": "CNY", "precision": 2})


@given(st.integers(min_value=0, max_value=MONEY_MAX))
def test_money_travels_unharmed(amount: int) -> None:
    money = Money(amount=amount, currency="CNY")
    assert Money.model_validate_json(money.model_dump_json()) == money
