"""The source keeps the house rules: each is a check, and each check is seen to find its fault."""

from collections.abc import Callable

import pytest

from tests.tidy import code, source

Check = Callable[[str, str], list[str]]

SERVICE_FILES = {
    path: text for path, text in source.python("services", "gateway").items() if not source.in_migrations(path)
}
ALL = source.python()

LINES_MAX = 400
LONGER: dict[str, tuple[int, str]] = {
    "chassis/desk.py": (500, "one loop with one subject: cutting it would hide the order in which things happen"),
}


def findings(check: Check, sources: dict[str, str]) -> list[str]:
    return [found for path, text in sources.items() for found in check(path, text)]


def test_only_the_desk_opens_or_ends_a_transaction() -> None:
    source.none(findings(code.transactions, SERVICE_FILES))


def test_only_the_desk_changes_rows() -> None:
    source.none(findings(code.writes, SERVICE_FILES))


def test_no_float_touches_money() -> None:
    source.none(findings(code.floats, {path: text for path, text in ALL.items() if code.is_money_path(path)}))


def test_a_rule_asks_no_clock_and_draws_no_lot() -> None:
    source.none(findings(code.clocks, {path: text for path, text in SERVICE_FILES.items() if code.is_rule(path)}))


def test_a_domain_knows_no_framework() -> None:
    domains = {path: text for path, text in SERVICE_FILES.items() if path.endswith("/domain.py")}
    source.none(findings(code.domain_imports, domains))


def test_the_contracts_know_pydantic_alone() -> None:
    source.none(findings(code.contract_imports, source.python("contracts")))


def test_nothing_but_constants_is_put_into_sql() -> None:
    source.none(findings(code.sql, {path: text for path, text in ALL.items() if not source.in_migrations(path)}))


def test_every_exception_to_the_sql_rule_is_still_needed() -> None:
    source.none([path for path in code.COMPOSERS if path not in ALL])


def test_a_file_has_one_subject() -> None:
    found = []
    for path, text in ALL.items():
        if not source.in_migrations(path):
            found += code.too_long(path, text, LONGER.get(path, (LINES_MAX, ""))[0])
    source.none(found)


ENTRY_POINTS = (
    {
        "contracts.publish": "`python -m contracts.publish` writes the schemas",
        "chassis.migrations.env": "alembic runs it",
        "chassis.migrate": "run at start, and by hand for a new migration",
        "deploy.keys": "docker-compose.yml runs it before anything else",
        "deploy.books": "`docker compose run --rm verify`",
        "deploy.healthy": "every container's health check",
    }
    | {
        f"{folder.replace('/', '.')}.{name}": f"{starter} imports it by the service's name"
        for folder in source.services()
        for name, starter in (("service", "onebox"), ("store", "chassis.migrate"), ("verify", "onebox.verify"))
    }
    | {"bench.lives": "loads the system from tests and benchmarks"}
)


def test_every_module_is_used() -> None:
    # Tests do not count: what only a test needs is not part of the product.
    source.none(code.unused(ALL, ENTRY_POINTS))


def test_every_folder_says_what_it_is() -> None:
    source.none(code.silent_folders(ALL, source.files()))


# --- each check is seen to fail ------------------------------------------------------------------------------------

PLANTED: list[tuple[Check, str, str]] = [
    (code.transactions, "services/order/store.py", "async def save(c):\n    await c.commit()\n"),
    (code.transactions, "gateway/routes.py", "async def save(c):\n    async with c.transaction():\n        pass\n"),
    (code.writes, "gateway/store.py", "SQL = 'update codes set used = true'\n"),
    (code.writes, "gateway/store.py", "SQL = '''\n  DELETE FROM codes WHERE id = $1'''\n"),
    (code.floats, "services/escrow/domain.py", "fee = amount * 0.15\n"),
    (code.floats, "services/escrow/domain.py", "fee = amount / 100\n"),
    (code.floats, "services/escrow/domain.py", "fee /= 2\n"),
    (code.floats, "contracts/money.py", "def share(amount: int) -> float: ...\n"),
    (code.floats, "contracts/money.py", "part = round(total)\n"),
    (code.clocks, "services/order/domain.py", "from datetime import datetime\nat = datetime.now()\n"),
    (code.clocks, "services/order/handlers.py", "import time\n"),
    (code.clocks, "services/order/goods.py", "from secrets import token_hex\n"),
    (code.clocks, "services/order/goods.py", "from uuid import UUID, uuid4\n"),
    (code.domain_imports, "services/order/domain.py", "from sqlalchemy import select\n"),
    (code.domain_imports, "services/order/domain.py", "from chassis import db\n"),
    (code.domain_imports, "services/order/domain.py", "import services.escrow.domain\n"),
    (code.contract_imports, "contracts/money.py", "from chassis.moment import Moment\n"),
    (code.sql, "services/order/store.py", "q = f\"SELECT * FROM orders WHERE buyer = '{buyer}'\"\n"),
    (code.sql, "services/order/store.py", "q = 'SELECT * FROM orders WHERE buyer = ' + buyer\n"),
    (code.sql, "services/order/store.py", "q = 'select * from orders where buyer = %s' % buyer\n"),
    (code.sql, "services/order/store.py", "q = 'DELETE FROM {}'.format(table)\n"),
]


@pytest.mark.parametrize(("check", "path", "planted"), PLANTED, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_fault_is_found_once(check: Check, path: str, planted: str) -> None:
    assert len(check(path, planted)) == 1


TIDY: list[tuple[Check, str, str]] = [
    (code.clocks, "services/order/domain.py", "from datetime import date, datetime, time\nfrom uuid import UUID\n"),
    (code.floats, "services/escrow/domain.py", "part = total * weight // whole\n"),
    (
        code.domain_imports,
        "services/order/domain.py",
        "from chassis.decision import find_move\nimport services.order.goods\n",
    ),
    (code.sql, "services/order/store.py", "q = f'SELECT {COLUMNS} FROM orders LIMIT {PAGE_MAX}'\n"),
    (code.sql, "services/order/store.py", "q = f'Select a colour, {name}'.title()\n".replace("Select a", "Choose a")),
]


@pytest.mark.parametrize(("check", "path", "tidy"), TIDY, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_tidy_is_left_alone(check: Check, path: str, tidy: str) -> None:
    assert check(path, tidy) == []


def test_a_new_module_of_a_service_is_a_rule_until_it_is_named_an_edge() -> None:
    assert code.is_rule("services/order/pricing.py")
    assert code.is_rule("gateway/handlers.py")
    assert not code.is_rule("services/order/routes.py")
    assert not code.is_rule("services/escrow/providers/sandbox.py")
    assert not code.is_rule("services/order/migrations/0001_first.py")


def test_a_module_nobody_imports_is_found() -> None:
    sources = {
        "chassis/one.py": "from chassis import two\n",
        "chassis/two.py": "",
        "chassis/main.py": "import chassis.one\n",
    }
    assert code.unused(sources, {}) == ["chassis.main"]
    assert code.unused(sources, {"chassis.main": "started by hand"}) == []


def test_a_folder_that_says_nothing_is_found() -> None:
    sources = {"chassis/__init__.py": '"""Speaks."""\n', "gateway/__init__.py": "", "onebox/run.py": ""}
    assert code.silent_folders(sources, {}) == ["gateway", "onebox"]
    assert code.silent_folders(sources, {"onebox/README.md": "# Onebox"}) == ["gateway"]


def test_a_long_file_is_found() -> None:
    assert code.too_long("chassis/long.py", "x = 1\n" * 401, 400) != []
    assert code.too_long("chassis/short.py", "x = 1\n" * 400, 400) == []
