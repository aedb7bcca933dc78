"""The provider's file."""

import stat
from pathlib import Path

from sandbox.store import Store


def test_its_owner_alone_reads_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "data" / "sandbox.sqlite3")
    store.insert("events", {"id": "evt_1", "notify_url": "http://x", "body": b"", "born_at": 0.0})
    files = list((tmp_path / "data").iterdir())
    assert len(files) > 1, "the log beside it has the same things in it"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    store.close()
