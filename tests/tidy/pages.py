"""The reference pages that are made from the code: `python -m tests.tidy.pages` writes them, a test holds them equal."""

import ast
import re
from importlib import import_module
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from contracts.catalogue import CATALOGUE, SERVICES, Entry
from tests.tidy.source import ROOT, files

FACTS, METRICS, SETTINGS = "docs/reference/facts.md", "docs/reference/metrics.md", "docs/reference/settings.md"
MADE = "<!-- Made from the code by `python -m tests.tidy.pages`. Change the code, not this page. -->"


# --- facts -------------------------------------------------------------------------------------------------------


def _sentence(doc: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((doc or "").strip().partition("\n\n")[0].split())


def _fields(entry: Entry) -> str:
    names = list(entry.fact.model_fields)
    return ", ".join(f"**{name}**" if name == entry.fact.subject_field else name for name in names)


def _fact_row(entry: Entry) -> str:
    kind = "state" if entry.fact.is_state else "step"
    link = f"[`{entry.fact.type}`](../../contracts/schemas/{entry.fact.type}.json)"
    now = ", ".join(sorted(entry.hearers)) or "nobody"
    later = ", ".join(sorted(entry.later)) or "–"
    return f"| {link} | {kind} | {_sentence(entry.fact.__doc__)} | {_fields(entry)} | {now} | {later} |"


def facts_page() -> str:
    """Every fact of the catalogue: what it means, what it carries, who hears it."""
    lines = [
        "# Facts",
        "",
        MADE,
        "",
        "A fact is what a service says has happened. This page is `contracts/catalogue.py`; the link of a type leads to its",
        "JSON schema. **Step** facts wait for what must come before them; **state** facts carry the whole current state and",
        "a `version`, and the highest wins. The field in bold is the fact's subject. *Later* names the services that will",
        "hear the fact once the feature that needs it is built ([decision 0016](../decisions/0016-hearers-and-later.md)).",
    ]
    for producer in sorted(SERVICES):
        rows = [_fact_row(entry) for entry in CATALOGUE.values() if entry.producer == producer]
        lines += [
            "",
            f"## {producer}",
            "",
            "| fact | kind | meaning | data | heard by | later |",
            "|---|---|---|---|---|---|",
        ]
        lines += rows
    return "\n".join(lines) + "\n"


# --- metrics -----------------------------------------------------------------------------------------------------


def declared_metrics(source: str) -> list[tuple[str, str, str, list[str]]]:
    """(name, kind, help, labels) of every metric a module declares, in its order."""
    found = []
    for node in ast.parse(source).body:
        call = node.value if isinstance(node, ast.Assign) else None
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"Counter", "Gauge", "Histogram", "Summary"}:
            name, help_, labels = (ast.literal_eval(each) for each in (*call.args, ast.List([]))[:3])
            found.append((name, ast.unparse(call.func).lower(), help_, labels))
    return found


def metrics_page() -> str:
    """Every metric of chassis/metrics.py."""
    lines = [
        "# Metrics",
        "",
        MADE,
        "",
        "Every service answers `GET /metrics` in the Prometheus text format; the gateway never routes it to the outside.",
        "Metrics are declared once, in `chassis/metrics.py`, and labelled by service; no label is an id. Money is in minor",
        "units. Two are worth waking somebody: `buluo_ledger_imbalance_minor_units` is always 0, and",
        '`buluo_parked_total{why="poison"}` counts facts that need a person.',
        "",
        "| metric | kind | what it says | labels |",
        "|---|---|---|---|",
    ]
    for name, kind, help_, labels in declared_metrics(files()["chassis/metrics.py"]):
        lines.append(f"| `{name}` | {kind} | {help_} | {', '.join(labels) or '–'} |")
    return "\n".join(lines) + "\n"


# --- settings ----------------------------------------------------------------------------------------------------


def settings_classes() -> list[type[BaseSettings]]:
    """The settings of every room that has a `settings.py`, the shared ones first."""
    paths = [
        path for path in files() if re.fullmatch(r"(chassis|gateway|onebox|sandbox|services/\w+)/settings\.py", path)
    ]
    found = []
    for path in sorted(paths, key=lambda path: (path != "chassis/settings.py", path)):
        module = import_module(path.removesuffix(".py").replace("/", "."))
        own = [
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, BaseSettings) and each.__module__ == module.__name__
        ]
        found += [each for each in own if not any(each in other.__mro__[1:] for other in own)]
    return found


def variable(kind: type[BaseSettings], name: str) -> str:
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, SecretStr):
        return "–"
    return "–" if value is None or value == "" else f"`{value}`"


def settings_page() -> str:
    """Every setting of every room."""
    lines = [
        "# Settings",
        "",
        MADE,
        "",
        "Settings are environment variables, `BULUO_{SERVICE}_{NAME}_{UNIT}`; a name without a service is shared by all",
        "([decision 0010](../decisions/0010-settings-names.md)). `onebox` makes the required keys itself, once, and keeps them",
        "in its data folder.",
    ]
    for kind in settings_classes():
        where = kind.__module__.removesuffix(".settings")
        lines += [
            "",
            f"## {where}",
            "",
            _sentence(kind.__doc__),
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
        ]
        for name, field in kind.model_fields.items():
            lines.append(f"| `{variable(kind, name)}` | {_default(field.default)} | {field.description or '–'} |")
    return "\n".join(lines) + "\n"


PAGES = {FACTS: facts_page, METRICS: metrics_page, SETTINGS: settings_page}


def write() -> None:
    for name, make in PAGES.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write()
