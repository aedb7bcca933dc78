"""Every refusal has its words, in every language, about the same things."""

import json
from importlib.resources import files
from string import Formatter
from typing import Any

import pytest

from contracts.problems import LANGUAGES, codes, text

PROMISED = frozenset(
    [
        "invalid_request",
        "malformed_json",
        "not_found",
        "method_not_allowed",
        "not_acceptable",
        "unsupported_media_type",
        "body_too_large",
        "unauthenticated",
        "token_expired",
        "forbidden",
        "wrong_role",
        "idempotency_key_missing",
        "idempotency_key_reused",
        "if_match_required",
        "version_stale",
        "not_yet_known",
        "overloaded",
        "unavailable",
        "upstream_unavailable",
        "internal_error",
        "deadline_exceeded",
        "request_in_flight",
        "state_conflict",
        "sold_out",
        "price_changed",
        "values_missing",
        "offer_withdrawn",
        "merchant_not_open",
        "partnership_not_active",
        "recipient_invalid",
        "touch_invalid",
        "link_expired",
        "own_purchase",
        "rail_exceeded",
        "payment_closed",
        "amount_mismatch",
        "checkout_closed",
        "already_paid",
        "too_late",
        "tracking_final",
        "already_member",
        "already_staff",
        "last_owner",
        "code_invalid",
        "code_expired",
        "too_many_attempts",
        "session_revoked",
        "key_expired",
        "scope_missing",
        "sandbox_only",
        "signature_invalid",
        "duplicate_name",
        "currency_mismatch",
        "application_exists",
        "not_an_angel",
        "clock_backwards",
        "limit_reached",
        "provider_unavailable",
        "personal_data_gone",
    ]
)


def _written(language: str) -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = json.loads(
        files("contracts.problems").joinpath(f"{language}.json").read_text("utf-8")
    )
    return loaded


def _params(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_a_code_is_never_renamed() -> None:
    assert codes() >= PROMISED


def test_every_language_has_every_code() -> None:
    assert [set(_written(language)) for language in LANGUAGES] == [codes()] * len(LANGUAGES)


@pytest.mark.parametrize("code", sorted(codes()))
def test_the_languages_speak_of_the_same_things(code: str) -> None:
    said = [_written(language)[code] for language in LANGUAGES]
    assert all(set(words) == {"title", "detail"} and all(words.values()) for words in said)
    params = [_params(words["title"]) | _params(words["detail"]) for words in said]
    assert all(found == params[0] for found in params)
    assert all(name.isidentifier() for name in params[0])


def test_the_values_stand_in_the_sentence() -> None:
    params = {"state": "shipped", "move": "cancel"}
    assert "It is shipped now, so cancel is not possible" in text("state_conflict", "en", params).detail
    assert "“shipped”" in text("state_conflict", "zh", params).detail


@pytest.mark.parametrize("params", [None, {}, {"state": None}, {"state": "{move}"}, {"other": 1}])
def test_a_missing_value_shows_its_name(params: dict[str, Any] | None) -> None:
    assert "move" in text("state_conflict", "en", params).detail


@pytest.mark.parametrize(
    ("asked", "title"), [("en", "Not found"), ("en-GB", "Not found"), ("zh-CN", "找不到"), ("eo", "找不到")]
)
def test_an_unknown_language_is_answered_in_the_first(asked: str, title: str) -> None:
    assert text("not_found", asked).title == title


def test_an_unknown_code_speaks_for_itself() -> None:
    assert text("brand_new", "en").title == "brand_new"
