"""The two languages of the timeline: every line is written as a pair, so neither can be forgotten."""

import os
from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    zh = "zh"
    en = "en"


@dataclass(frozen=True, slots=True)
class Words:
    """One sentence in both languages."""

    zh: str
    en: str

    def __call__(self, language: Language) -> str:
        return self.zh if language is Language.zh else self.en


def language_of_environment() -> Language:
    """Chinese where the locale says so, else English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return Language.zh if value.lower().startswith("zh") else Language.en
    return Language.en


def yuan(amount: int) -> str:
    """Minor units as people read them: 3990 is ¥39.90. For the eye only; nothing is computed from it."""
    sign = "-" if amount < 0 else ""
    return f"{sign}¥{abs(amount) // 100:,}.{abs(amount) % 100:02d}"
