"""Writes what the code promises beside it: `python -m contracts.publish`.

`schemas/<type>.json` is the JSON schema of each fact, `golden/<type>.json` one whole envelope of it. Commit both.
A change that would break a hearer is refused, naming the field, and nothing is written: give the type a new version.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts.catalogue import CATALOGUE
from contracts.compatibility import breaks
from contracts.fact import Envelope, Fact
from contracts.samples import SAMPLES, envelope_of

HERE = Path(__file__).parent
SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(fact: type[Fact]) -> dict[str, Any]:
    """The fact's JSON schema; `x-subject` and `x-state` are as much a promise as the fields are."""
    return {
        "$schema": SCHEMA_DIALECT,
        **fact.model_json_schema(),
        "title": fact.type,
        "x-subject": fact.subject_field,
        "x-state": fact.is_state,
    }


def documents(facts: Iterable[type[Fact]]) -> dict[str, str]:
    """Every file to write, by its path below this folder."""
    written = {}
    for fact in facts:
        written[f"schemas/{fact.type}.json"] = _text(schema_of(fact))
        written[f"golden/{fact.type}.json"] = _text(envelope_of(SAMPLES[fact]).model_dump(mode="json"))
    return written


def refusals(facts: Iterable[type[Fact]], folder: Path) -> list[str]:
    """Every promise committed in `folder` that these facts would break; empty if all are kept."""
    by_type = {fact.type: fact for fact in facts}
    found = []
    for path in sorted((folder / "schemas").glob("*.json")):
        fact = by_type.get(path.stem)
        if fact is None:
            found.append(f"{path.stem}: has hearers, but nobody says it any more")
        else:
            found += [
                f"{path.stem}: {broken}" for broken in breaks(json.loads(path.read_text("utf-8")), schema_of(fact))
            ]
            found += _unreadable(fact, folder / "golden" / path.name)
    return found


def _unreadable(fact: type[Fact], golden: Path) -> list[str]:
    """A schema cannot show every rule: what was once said must still be read, whatever the schema says."""
    if not golden.exists():
        return []
    try:
        fact.model_validate(Envelope.model_validate_json(golden.read_text("utf-8")).data)
    except ValidationError as error:
        return [f"{fact.type}: {'.'.join(map(str, e['loc'])) or 'the fact'}: {e['msg']}" for e in error.errors()]
    return []


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def main(folder: Path = HERE) -> int:
    """Write every file below `folder`; or write nothing, say why on stderr, and return 1."""
    facts = [entry.fact for entry in CATALOGUE.values()]
    refused = refusals(facts, folder)
    if refused:
        sys.stderr.write("\n".join(["Refused: a hearer would break. Give the type a new version.", *refused]) + "\n")
        return 1
    for name, text in documents(facts).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
