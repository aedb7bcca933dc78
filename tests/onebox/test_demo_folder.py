"""The demo begins in a fresh folder, and what it throws away for that is its own."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from onebox import __main__ as onebox


@pytest.fixture(autouse=True)
def no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends before it begins: what matters is what it left of the folder."""
    monkeypatch.setattr(onebox.uvloop, "run", lambda coroutine: coroutine.close() or 0)
    monkeypatch.setattr(onebox, "_quiet_logs", lambda _: None)


def demo(folder: Path) -> int:
    return CliRunner().invoke(onebox.app, ["demo", "--folder", str(folder)]).exit_code


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "secrets.json"
    precious.write_text("of a world that somebody serves")
    assert demo(tmp_path) == 2
    assert precious.exists()


def test_what_a_demo_left_is_thrown_away(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert demo(folder) == 0
    left = folder / "secrets.json"
    left.write_text("of the last demo")
    assert demo(folder) == 0
    assert not left.exists()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert demo(tmp_path) == 0
