"""What the merged OpenAPI document says: operations, the members of requests and answers, where integers are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document, with the document it is in."""

    id: str
    method: str
    path: str
    said: Schema
    whole: Schema

    @property
    def service(self) -> str:
        return str(self.said["tags"][0])

    @property
    def who(self) -> tuple[str, ...]:
        return tuple(self.said["x-who"])

    @property
    def moves(self) -> list[str]:
        """The values of its `{move}`, if it has one."""
        found = [each for each in self.said.get("parameters", ()) if each["name"] == "move"]
        return list(self._resolved(found[0]["schema"])["enum"]) if found else []

    @property
    def body(self) -> Schema | None:
        """The schema of its JSON body."""
        content = self.said.get("requestBody", {}).get("content", {})
        found: Schema | None = content.get("application/json", {}).get("schema")
        return found

    @property
    def answers(self) -> Iterator[Schema]:
        for status, response in self.said["responses"].items():
            schema = response.get("content", {}).get("application/json", {}).get("schema")
            if status.startswith("2") and schema:
                yield schema

    def fits(self, method: str, path: str) -> bool:
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", self.path)
        return self.method == method and re.fullmatch(pattern, path.partition("?")[0]) is not None

    def declared(self) -> frozenset[str]:
        """The members that its body may have, in any of its forms."""
        return frozenset(name for form in self._forms(self.body or {}) for name in form.get("properties", {}))

    def declared_at(self, at: Path) -> frozenset[str]:
        """The same of an object inside its body."""
        forms = list(self._forms(self.body or {}))
        for key in at:
            inner = [form.get("items" if isinstance(key, int) else "properties", {}) for form in forms]
            within = inner if isinstance(key, int) else [each.get(key, {}) for each in inner]
            forms = [form for schema in within for form in self._forms(schema)]
        return frozenset(name for form in forms for name in form.get("properties", {}))

    def answered(self) -> frozenset[str]:
        """The members of its answers, however deep."""
        return frozenset(name for schema in self.answers for name in self._members(schema, ()))

    def integers(self) -> dict[Path, Schema]:
        """Where its body has integers: path -> schema. 0 stands for the first of a list."""
        return dict(self._integers(self.body or {}, (), ()))

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def _forms(self, schema: Schema) -> Iterator[Schema]:
        schema = self._resolved(schema)
        forms = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        if not forms:
            yield schema
        for form in forms:
            yield from self._forms(form)

    def _members(self, schema: Schema, inside: tuple[int, ...]) -> Iterator[str]:
        for form in self._forms(schema):
            if id(form) in inside:
                continue
            for name, member in form.get("properties", {}).items():
                yield name
                yield from self._members(member, (*inside, id(form)))
            if "items" in form:
                yield from self._members(form["items"], (*inside, id(form)))

    def _integers(self, schema: Schema, at: Path, inside: tuple[int, ...]) -> Iterator[tuple[Path, Schema]]:
        for form in self._forms(schema):
            if id(form) in inside:
                continue
            if form.get("type") == "integer":
                yield at, form
            for name, member in form.get("properties", {}).items():
                yield from self._integers(member, (*at, name), (*inside, id(form)))
            if "items" in form:
                yield from self._integers(form["items"], (*at, 0), (*inside, id(form)))


def operations(whole: Schema) -> dict[str, Operation]:
    found = [
        Operation(said["operationId"], method.upper(), path, said, whole)
        for path, item in whole["paths"].items()
        for method, said in item.items()
    ]
    return {operation.id: operation for operation in found}
