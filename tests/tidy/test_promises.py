"""What the code promises is written down beside it: facts, refusals, settings, metrics, decisions."""

import ast
import json
import re
from importlib import import_module

import pytest

from contracts import problems
from contracts.fact import Fact
from tests.tidy import code, pages, source

FILES = source.files()
SERVICES = source.services()
UNITS = frozenset({"seconds", "minutes", "hours", "days", "bytes", "bps", "max", "min", "port", "version"})
"""What a number counts. A version counts nothing but itself."""


# --- facts ---------------------------------------------------------------------------------------------------------


def facts_named(text: str) -> set[tuple[str, str]]:
    """(contract module, class name) of every call in `text` to a name imported from a contract."""
    tree = ast.parse(text)
    imported: dict[str, tuple[str, str]] = {}
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("contracts."):
            imported |= {alias.asname or alias.name: (str(node.module), alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "contracts":
            modules |= {alias.asname or alias.name: f"contracts.{alias.name}" for alias in node.names}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in imported:
            found.add(imported[node.id])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.add((modules[node.value.id], node.attr))
    return found


def said_by(folder: str) -> set[str]:
    """Wire types of the service's own facts that its code names."""
    producer = folder.rpartition("/")[2]
    found = set()
    for path, text in FILES.items():
        if path.startswith(f"{folder}/") and path.endswith(".py"):
            for module, name in facts_named(text):
                fact = getattr(import_module(module), name, None)
                if isinstance(fact, type) and issubclass(fact, Fact) and hasattr(fact, "type"):
                    found |= {fact.type} if fact.type.startswith(f"{producer}.") else set()
    return found


@pytest.mark.parametrize("folder", SERVICES)
def test_every_fact_said_has_a_committed_schema(folder: str) -> None:
    source.none([type_ for type_ in sorted(said_by(folder)) if f"contracts/schemas/{type_}.json" not in FILES])


@pytest.mark.parametrize("folder", SERVICES)
def test_every_fact_said_stands_in_the_readme_of_its_service(folder: str) -> None:
    source.none(unwritten(said_by(folder), FILES.get(f"{folder}/README.md", "")))


def unwritten(types: set[str], readme: str) -> list[str]:
    """The types that a README does not name; the version may be left out."""
    return [type_ for type_ in sorted(types) if type_.removesuffix(".v1") not in readme]


def test_escrow_is_seen_to_say_its_facts() -> None:
    assert {"escrow.held.v1", "escrow.released.v1", "escrow.refunded.v1"} <= said_by("services/escrow")


def test_a_fact_missing_in_a_readme_is_found() -> None:
    assert unwritten({"escrow.held.v1", "escrow.released.v1"}, "says `escrow.held`") == ["escrow.released.v1"]


# --- refusals ------------------------------------------------------------------------------------------------------

REFUSING = {
    path: text
    for path, text in source.python("chassis", "services", "gateway").items()
    if not source.in_migrations(path)
}


def test_every_refusal_has_its_words() -> None:
    used = [pair for path, text in REFUSING.items() for pair in code.refusal_codes(path, text)]
    source.none([f"{where}: {name}" for where, name in used if name not in problems.codes()])


def test_both_languages_know_the_same_codes() -> None:
    zh, en = (json.loads(FILES[f"contracts/problems/{language}.json"]) for language in ("zh", "en"))
    assert zh.keys() == en.keys()


def test_codes_are_found_however_they_are_given() -> None:
    text = (
        'class A(Refused):\n    status, code = 409, "a"\n'
        'class B(A):\n    code = "b"\n'
        'class C(A):\n    code: ClassVar[str] = "c"\n'
        'problem(request, 404, "d")\n'
    )
    assert sorted(name for _, name in code.refusal_codes("x.py", text)) == ["a", "b", "c", "d"]


# --- settings ------------------------------------------------------------------------------------------------------


def test_every_setting_says_what_it_is() -> None:
    unsaid = [
        pages.variable(kind, name)
        for kind in pages.settings_classes()
        for name, field in kind.model_fields.items()
        if not field.description
    ]
    source.none(unsaid)


def test_every_number_in_a_setting_ends_in_its_unit() -> None:
    unitless = [
        pages.variable(kind, name)
        for kind in pages.settings_classes()
        for name, field in kind.model_fields.items()
        if field.annotation in (int, float) and name.rpartition("_")[2] not in UNITS
    ]
    source.none(unitless)


def test_every_setting_belongs_to_its_room() -> None:
    for kind in pages.settings_classes():
        room = kind.__module__.removesuffix(".settings").rpartition(".")[2]
        expected = {"BULUO_", "BULUO_{SERVICE}_"} if room == "chassis" else {f"BULUO_{room.upper()}_"}
        assert str(kind.model_config.get("env_prefix")) in expected


# --- pages made from the code --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages.PAGES)
def test_a_page_says_what_the_code_says(page: str) -> None:
    assert FILES.get(page) == pages.PAGES[page](), "run: python -m tests.tidy.pages"


def test_a_declared_metric_is_found() -> None:
    text = 'A = Counter("buluo_a_total", "Help.", ["service"])\nB = Gauge("buluo_b", "More.")\nC = other("x")\n'
    assert pages.declared_metrics(text) == [
        ("buluo_a_total", "counter", "Help.", ["service"]),
        ("buluo_b", "gauge", "More.", []),
    ]


# --- decisions -----------------------------------------------------------------------------------------------------

DECISIONS = sorted(path for path in FILES if re.fullmatch(r"docs/decisions/\d{4}-[a-z0-9-]+\.md", path))


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.rpartition("/")[2][:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS)
def test_a_decision_is_one_page_and_says_what_it_costs(path: str) -> None:
    text = FILES[path]
    source.none(
        [part for part in ("# ", "## Context", "## Decision", "## What it costs", "## Rejected") if part not in text]
    )
    assert len(text.splitlines()) <= 70


def test_every_decision_is_listed() -> None:
    listed = FILES["docs/decisions/README.md"]
    source.none([path for path in DECISIONS if path.rpartition("/")[2] not in listed])


def test_every_decision_that_is_referred_to_exists() -> None:
    numbers = {path.rpartition("/")[2][:4] for path in DECISIONS}
    referred = {
        (path, number)
        for path, text in FILES.items()
        if path.endswith((".py", ".md", ".toml", ".ini"))
        for number in re.findall(r"\bdecisions? (\d{4})", text)
    }
    source.none(sorted(f"{path}: {number}" for path, number in referred if number not in numbers))


# --- the first page ------------------------------------------------------------------------------------------------


def opening(readme: str) -> list[str]:
    """What stands before the first heading below the title: (sentences of the first paragraph, then the parts in order)."""
    head = readme.partition("\n## ")[0].split("\n\n")[1:]
    sentences = len(re.findall(r"[.!?](?=\s|$)", head[0]))
    parts = ["picture" if part.startswith("![") else "commands" if part.startswith("```sh") else "" for part in head]
    return [f"{sentences} sentences", *(part for part in parts if part)]


def test_the_readme_opens_with_three_sentences_a_picture_and_two_commands() -> None:
    readme = FILES["README.md"]
    assert opening(readme) == ["3 sentences", "picture", "commands"]
    assert re.findall(r"^make \w+", readme.partition("\n## ")[0], re.MULTILINE) == ["make demo", "make test"]


def test_a_readme_that_rambles_is_found() -> None:
    assert opening("# X\n\nOne. Two.\n\n```sh\nmake demo\n```\n\n![p](p.svg)\n\n## Y") == [
        "2 sentences",
        "commands",
        "picture",
    ]
