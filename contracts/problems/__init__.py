"""What a refusal says to people, in their language. A code is a promise and is never renamed; its words may improve."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

LANGUAGES = ("zh", "en")
"""The first one speaks to whoever asks for a language we do not have."""


@dataclass(frozen=True, slots=True)
class Text:
    """The `title` and `detail` of a problem, ready to be read."""

    title: str
    detail: str


class _Params(dict[str, str]):
    """A missing value shows its own name: half a sentence explains more than a second error would."""

    def __missing__(self, name: str) -> str:
        return name


def _load(language: str) -> dict[str, Text]:
    texts = json.loads(files(__name__).joinpath(f"{language}.json").read_text("utf-8"))
    return {code: Text(**text) for code, text in texts.items()}


_TEXTS: dict[str, dict[str, Text]] = {language: _load(language) for language in LANGUAGES}


def codes() -> frozenset[str]:
    """Every code that has its words, in every language."""
    return frozenset(_TEXTS[LANGUAGES[0]])


def text(code: str, language: str, params: Mapping[str, Any] | None = None) -> Text:
    """The words for `code` in `language` (`zh`, `en-GB`, ...). Never raises: an unknown code speaks for itself."""
    texts = _TEXTS.get(language.lower().partition("-")[0], _TEXTS[LANGUAGES[0]])
    template = texts.get(code)
    if template is None:
        return Text(code, code)
    values = _Params({name: str(value) for name, value in (params or {}).items()})
    return Text(template.title.format_map(values), template.detail.format_map(values))
