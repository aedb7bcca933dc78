"""What the code may not say. Each check returns its findings as `path:line: why`; none means tidy."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping

from tests.tidy.source import in_migrations, module_of, package_of

TRANSACTIONS = frozenset({"commit", "rollback", "begin", "begin_nested", "transaction"})

EDGES = frozenset(
    {"__init__", "__main__", "routes", "service", "store", "settings", "schemas", "tokens", "books", "providers"}
)
"""Modules of a service that may know a clock, a key or the database. All others are rules: pure until named here."""

RANDOM = frozenset({"random", "secrets", "uuid", "uuid_utils", "time"})
HARMLESS = frozenset({("uuid", "UUID")})
CLOCKS = frozenset({"now", "utcnow", "today", "time_ns", "urandom", "monotonic", "perf_counter"})

RULES_MAY_IMPORT = frozenset({"chassis.decision", "chassis.moment", "chassis.touches", "chassis.caller"})
"""What of the chassis a domain may know: outcomes, the moment, what absence means, who asks."""

FLOATING = frozenset({"float", "round"})


def _at(path: str, node: ast.AST, why: str) -> str:
    return f"{path}:{getattr(node, 'lineno', 0)}: {why}"


def transactions(path: str, source: str) -> list[str]:
    """Only the desk opens and ends transactions; a service never does."""
    return [
        _at(path, node, f"{node.func.attr}() belongs to the desk")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TRANSACTIONS
    ]


WRITES = re.compile(r"\s*(INSERT INTO|UPDATE \w+ SET|DELETE FROM|TRUNCATE)\b", re.IGNORECASE)


def writes(path: str, source: str) -> list[str]:
    """Only the desk writes: a service has no SQL that changes a row."""
    return [
        _at(path, node, "this SQL changes rows past the desk")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WRITES.match(node.value)
    ]


def floats(path: str, source: str) -> list[str]:
    """Money is an int: no float literal, no `float`, no `round` (but of a time stamp), no true division."""
    found = []
    tree = ast.parse(source)
    of_time = {
        id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and "timestamp()" in ast.unparse(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append(_at(path, node, f"the float {node.value}"))
        elif isinstance(node, ast.Name) and node.id in FLOATING and id(node) not in of_time:
            found.append(_at(path, node, f"the name {node.id}"))
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            found.append(_at(path, node, "a true division"))
    return found


def is_money_path(path: str) -> bool:
    """Every module of contracts and of a service, but those that only wait, call out or are configured."""
    if path.startswith("contracts/"):
        return path not in {"contracts/publish.py", "contracts/ids.py"}  # One joins paths, one reads a time stamp.
    inside = path.removeprefix(package_of(path) + "/")
    waits = inside in {"routes.py", "settings.py", "service.py"} or inside.startswith(("providers/", "migrations/"))
    return path.startswith("services/") and not waits


def is_rule(path: str) -> bool:
    """Whether this module decides: then time, ids and randomness reach it as arguments only."""
    inside = path.removeprefix(package_of(path) + "/").removesuffix(".py")
    if path.startswith("gateway/"):
        return inside in {"domain", "handlers"}
    return path.startswith("services/") and not in_migrations(path) and inside.partition("/")[0] not in EDGES


def clocks(path: str, source: str) -> list[str]:
    """A rule asks no clock and draws no lot."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.partition(".")[0] in RANDOM]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in RANDOM:
            names = [alias.name for alias in node.names if (node.module, alias.name) not in HARMLESS]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            names = [f"{node.func.attr}()"]
        else:
            continue
        found += [_at(path, node, f"{name} makes a rule impure") for name in names]
    return found


def imports(path: str, source: str) -> Iterator[tuple[ast.stmt, str]]:
    """Every module that a file imports, anywhere in it; `from a import b` gives both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module_of(path).split(".")[: -node.level], *([base] if base else [])])
            yield node, base
            yield from ((node, f"{base}.{alias.name}") for alias in node.names)


def domain_imports(path: str, source: str) -> list[str]:
    """A `domain.py` knows the standard library, the contracts, and of the chassis what RULES_MAY_IMPORT lists."""
    own = package_of(path).replace("/", ".")
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            if names == ["chassis"]:
                names = [f"chassis.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            known = top in sys.stdlib_module_names or top == "contracts" or name in RULES_MAY_IMPORT
            if not known and name != own and not name.startswith(f"{own}."):
                found.append(_at(path, node, f"a domain does not know {name}"))
    return found


def contract_imports(path: str, source: str) -> list[str]:
    """The contracts know pydantic and the standard library alone."""
    tops = {(node.lineno, name.partition(".")[0]) for node, name in imports(path, source)}
    return [
        f"{path}:{line}: contracts do not know {top}"
        for line, top in sorted(tops)
        if top not in sys.stdlib_module_names and top not in {"contracts", "pydantic"}
    ]


SQL = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|DROP|ALTER|UNION|TRUNCATE|SET|GRANT)\b", re.IGNORECASE)

COMPOSERS: Mapping[str, str] = {
    "chassis/save.py": "table and column names of STORES; values travel as $n arrays",
    "chassis/store.py": "table and column names of STORES",
    "chassis/deadlines.py": "table, column and condition of a Due, written in service.py",
    "chassis/verify.py": "table, key and column names of STORES",
    "chassis/bus/local.py": "names of the mailbox",
    "onebox/postgres/databases.py": "numbered places; the server itself quotes the names",
    "sandbox/store.py": "table and columns are its callers' constants",
    "sandbox/charges.py": "the column is one of two literals",
    "sandbox/refunds.py": "names of its own table",
    "sandbox/events.py": "names of its own table",
}
"""Files whose job is to compose SQL out of names that stand in the code, and where those names come from."""


def _is_constant(node: ast.expr) -> bool:
    """A NAME in capitals, or names that a store's codec lists, joined by a constant."""
    if isinstance(node, ast.Name):
        return node.id.lstrip("_").isupper()
    if isinstance(node, ast.Attribute):
        return _is_constant(node.value) or node.attr.lstrip("_").isupper()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
        fields = [each for each in ast.walk(node) if isinstance(each, ast.Attribute) and each.attr == "fields"]
        return isinstance(node.func.value, ast.Constant) and bool(fields)
    return False


def sql(path: str, source: str) -> list[str]:
    """SQL is made of constants and $n parameters: nothing else is ever put into its text."""
    if path in COMPOSERS:
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            head = next((part.value for part in node.values if isinstance(part, ast.Constant)), "")
            put_in = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mod, ast.Add)):
            head, put_in = getattr(node.left, "value", ""), [node.right]
            put_in = [each for each in put_in if not isinstance(each, (ast.Constant, ast.JoinedStr))]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            head, put_in = getattr(node.func.value, "value", ""), [*node.args, *(each.value for each in node.keywords)]
        else:
            continue
        if isinstance(head, str) and SQL.match(head):
            found += [
                _at(path, node, f"{ast.unparse(each)} is put into SQL") for each in put_in if not _is_constant(each)
            ]
    return found


def refusal_codes(path: str, source: str) -> list[tuple[str, str]]:
    """(where, code) of every problem code a file names: `code = ...` of a class, and `problem(request, 404, ...)`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                found += [(f"{path}:{line.lineno}", code) for code in _codes_of(line)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("problem") and len(node.args) > 2:
            code = node.args[2]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                found.append((f"{path}:{node.lineno}", code.value))
    return found


def _codes_of(line: ast.stmt) -> list[str]:
    """The literal that a class attribute called `code` is given, alone or in a tuple."""
    pairs: list[tuple[ast.expr, ast.expr | None]] = []
    if isinstance(line, ast.AnnAssign):
        pairs = [(line.target, line.value)]
    elif isinstance(line, ast.Assign):
        target = line.targets[0]
        if isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple):
            pairs = list(zip(target.elts, line.value.elts, strict=True))
        else:
            pairs = [(target, line.value)]
    return [
        value.value
        for target, value in pairs
        if isinstance(target, ast.Name) and target.id == "code"
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]


def too_long(path: str, source: str, lines_max: int) -> list[str]:
    lines = source.count("\n")
    return [f"{path}: {lines} lines, at most {lines_max}"] if lines > lines_max else []


def unused(sources: Mapping[str, str], entry_points: Mapping[str, str]) -> list[str]:
    """Modules that nobody imports, neither statically nor by a name in `entry_points` (module -> who starts it)."""
    used = {name for path, source in sources.items() for _, name in imports(path, source)}
    named = {module_of(path) for path in sources if not path.endswith(("/__init__.py", "/__main__.py"))}
    return sorted(
        name for name in named if name not in used and name not in entry_points and ".migrations." not in name
    )


def silent_folders(sources: Mapping[str, str], readmes: Mapping[str, str]) -> list[str]:
    """Folders with code that say nothing of themselves: no README.md, and no docstring in `__init__.py`."""
    folders = {path.rpartition("/")[0] for path in sources if not in_migrations(path)}
    return sorted(
        folder
        for folder in folders
        if f"{folder}/README.md" not in readmes
        and not ast.get_docstring(ast.parse(sources.get(f"{folder}/__init__.py", "")))
    )
