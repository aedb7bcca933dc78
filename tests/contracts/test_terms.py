"""Terms give away a line exactly once."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.samples.story import GOODS, MERCHANT, PARTNER
from contracts.terms import ROLES, LineTerms, Terms


def _share(role: str, bps: Any, payee: str | None = None, matures: str = "release") -> dict[str, Any]:
    return {"role": role, "payee": payee, "bps": bps, "matures": matures}


def _line(*shares: dict[str, Any]) -> dict[str, Any]:
    return {"line_id": GOODS, "shares": list(shares)}


def test_shares_in_order_that_sum_to_the_whole_are_terms() -> None:
    line = _line(_share("seller", 9000, MERCHANT), _share("partner", 700, PARTNER), _share("angel", 300))
    assert [share.role for share in LineTerms.model_validate(line).shares] == ["seller", "partner", "angel"]


def test_every_role_can_have_its_share() -> None:
    shares = [_share(role, 5000 if role == "seller" else 1000) for role in ROLES]
    assert len(LineTerms.model_validate(_line(*shares)).shares) == len(ROLES)


REFUSED = {
    "less than the whole": [_share("seller", 9999)],
    "more than the whole": [_share("seller", 9000), _share("partner", 1001)],
    "a role twice": [_share("seller", 9000), _share("angel", 500), _share("angel", 500)],
    "roles out of order": [_share("partner", 1000), _share("seller", 9000)],
    "a role nobody knows": [_share("seller", 9000), _share("upline", 1000)],
    "nobody": [],
    "a fraction of a basis point": [_share("seller", 10_000.0)],
    "a negative share": [_share("seller", 10_001), _share("partner", -1)],
    "a payee who cannot be paid": [_share("seller", 10_000, "ord_" + "0" * 32)],
    "an unknown maturity": [_share("seller", 10_000, matures="someday")],
}


@pytest.mark.parametrize("shares", REFUSED.values(), ids=REFUSED.keys())
def test_terms_are_refused_for(shares: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        LineTerms.model_validate(_line(*shares))


def test_an_order_without_lines_has_no_terms() -> None:
    with pytest.raises(ValidationError):
        Terms.model_validate({"lines": []})


def test_terms_travel_unharmed() -> None:
    terms = Terms.model_validate({"lines": [_line(_share("seller", 10_000, MERCHANT))]})
    assert terms.version == 1
    assert Terms.model_validate_json(terms.model_dump_json()) == terms
