"""The story that `make demo` plays: in both languages, and again in a world that has seen it."""

import re
from pathlib import Path

import pytest

from onebox import world
from onebox.story import play
from onebox.story.words import Language

PROOF = re.compile(
    r"proof: captured (?P<captured>\d+) = suspense 0 \+ held (?P<held>\d+) \+ released (?P<released>\d+) "
    r"\+ refunded (?P<refunded>\d+), imbalance 0"
)


@pytest.mark.slow
async def test_the_story_holds_in_both_languages_and_again_after_a_restart_in_the_same_world(
    world_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    english = await played(world_folder, Language.en, capsys)
    chinese = await played(world_folder, Language.zh, capsys)
    assert "Trading through escrow" in english
    assert "担保交易" in chinese
    assert "Trading through escrow" not in chinese
    once, twice = proof(english), proof(chinese)
    assert once["captured"] > 0
    assert twice == {name: 2 * amount for name, amount in once.items()}


async def played(folder: Path, language: Language, capsys: pytest.CaptureFixture[str]) -> str:
    """What a world prints that tells the story and then stops."""
    async with world.running(folder, durable=False) as running:
        assert await play.story(running, language) == 0, capsys.readouterr().out
    return capsys.readouterr().out


def proof(printed: str) -> dict[str, int]:
    """The amounts of the last line, which must be the proof, and must add up."""
    found = PROOF.fullmatch(printed.rstrip("\n").rpartition("\n")[2])
    assert found, printed
    amounts = {name: int(digits) for name, digits in found.groupdict().items()}
    assert amounts["captured"] == amounts["held"] + amounts["released"] + amounts["refunded"]
    return amounts


def test_a_last_line_that_does_not_prove_is_found() -> None:
    line = "proof: captured 10 = suspense 0 + held 1 + released 2 + refunded 7, imbalance 0"
    assert proof(f"…\n\n{line}\n")["refunded"] == 7
    for wrong in (
        line.replace("7", "8"),
        line.replace("imbalance 0", "imbalance 1"),
        line.replace("suspense 0", "suspense 1"),
    ):
        with pytest.raises(AssertionError):
            proof(wrong)
