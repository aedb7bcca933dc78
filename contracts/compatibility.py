"""May this schema replace that one? Fields are only ever added; what is there keeps its meaning.

A fact said before an upgrade is heard after it, so new code must read old facts; and services are upgraded one by one,
so old code must read new ones, at worst parking a new enum word until it is upgraded too.
"""

from typing import Any

Schema = dict[str, Any]

_WORDS_FOR_PEOPLE = frozenset({"title", "description", "$defs", "$schema", "default", "examples"})
_MAY_SINK = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_MAY_RISE = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_LOOKED_INTO = frozenset({"properties", "required", "items", "anyOf"})


def breaks(old: Schema, new: Schema) -> list[str]:
    """Every way in which `new` breaks the promise of `old`, each naming its field; empty if it keeps it."""
    return _compare(_plain(old, old.get("$defs", {})), _plain(new, new.get("$defs", {})), "")


def _plain(node: Any, definitions: Schema) -> Any:
    """The schema with every reference written out, every constant an enum of one, and without prose."""
    if isinstance(node, list):
        return [_plain(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
    plain = {key: value for key, value in node.items() if key not in _WORDS_FOR_PEOPLE}
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    fields = plain.pop("properties", None)
    plain = {key: _plain(value, definitions) for key, value in plain.items()}
    if fields is not None:  # a field may well be called `title`: names are not keywords
        plain["properties"] = {name: _plain(field, definitions) for name, field in fields.items()}
    return plain


def _compare(old: Schema, new: Schema, path: str) -> list[str]:
    return [
        *_keywords(old, new, path),
        *_fields(old, new, path),
        *_alternatives(old, new, path),
        *(_compare(old["items"], new["items"], f"{path}[]") if "items" in old and "items" in new else ()),
    ]


def _keywords(old: Schema, new: Schema, path: str) -> list[str]:
    here = path or "the fact"
    found = []
    for key in sorted((old.keys() | new.keys()) - _LOOKED_INTO):
        before, after = old.get(key), new.get(key)
        if before != after and not _widened(key, before, after):
            found.append(f"{here}: {key} was {before}, is {after}")
    return found


def _widened(key: str, before: Any, after: Any) -> bool:
    if before is None:
        return False  # a limit where there was none
    if key in _MAY_SINK:
        return after is None or bool(after < before)
    if key in _MAY_RISE:
        return after is None or bool(after > before)
    return key == "enum" and after is not None and set(before) < set(after)


def _fields(old: Schema, new: Schema, path: str) -> list[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    must_before, must_after = set(old.get("required", ())), set(new.get("required", ()))
    found = []
    for name in sorted(before.keys() | after.keys()):
        field = f"{path}.{name}" if path else name
        if name not in after:
            found.append(f"{field}: removed")
        elif name not in before:
            found.extend([f"{field}: new and required"] if name in must_after else [])
        elif (name in must_before) != (name in must_after):
            found.append(f"{field}: {'no longer' if name in must_before else 'now'} required")
        if name in before and name in after:
            found.extend(_compare(before[name], after[name], field))
    return found


def _alternatives(old: Schema, new: Schema, path: str) -> list[str]:
    before, after = old.get("anyOf", []), new.get("anyOf", [])
    if len(before) != len(after):
        return [f"{path or 'the fact'}: changed its type"]
    return [broken for was, now in zip(before, after, strict=True) for broken in _compare(was, now, path)]
