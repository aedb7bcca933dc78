"""One OpenAPI document for the whole: what every service says of its own routes, put together as one promise."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from fastapi import Response

from chassis.problems import MEDIA_TYPE, documented
from chassis.web import PUBLIC
from gateway.doors import UpstreamUnavailable
from gateway.routing import OWNERS
from gateway.upstream import Unreachable, Upstream

Document = dict[str, Any]

REF = "#/components/schemas/"
EDGE_STATUSES = (401, 404, 405, 413, 415, 500, 503)
"""Refusals of the edge itself, possible on every operation."""
EDGE_ONLY = {"408": "The body took too long to arrive.", "431": "Too many headers, or too large."}
FRAMEWORKS_OWN = frozenset({"HTTPValidationError", "ValidationError"})
METHODS = frozenset({"get", "post", "put", "patch", "delete"})

INFO = {
    "title": "Buluo",
    "version": "1",
    "description": (
        "Tribe commerce: money is held until the buyer has the goods; partners, tribes and one-level angels share what"
        " it earns.\n\nOperations that need an `Idempotency-Key` are done once per key: repeat a request whose answer"
        " was lost with the same key and body. Every error is `application/problem+json`; `code` is what a program"
        " acts on. Lists are `{data, has_more}`: go on with `starting_after` = the last id."
    ),
}
SECURITY_SCHEMES = {
    "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "of `POST /v1/sessions`"},
    "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "key_…", "description": "of `POST /v1/api-keys`"},
}


class OpenApi:
    """Serves the merged document; it is made once every service has told its part."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._made: bytes | None = None

    async def response(self) -> Response:
        """The document; UpstreamUnavailable while a service does not answer."""
        if self._made is None:
            self._made = json.dumps(merge(await self._parts()), ensure_ascii=False).encode()
        return Response(self._made, 200, {"cache-control": "no-cache"}, "application/json")

    async def _parts(self) -> dict[str, Document]:
        names = sorted(set(OWNERS.values()) & set(self._upstream.services))
        return dict(zip(names, await asyncio.gather(*map(self._part, names)), strict=True))

    async def _part(self, name: str) -> Document:
        try:
            answer = await self._upstream.fetch(name, "/openapi.json")
        except Unreachable as error:
            raise UpstreamUnavailable from error
        if answer.status != 200:
            raise UpstreamUnavailable
        part: Document = json.loads(answer.body)
        return part


def merge(parts: Mapping[str, Document]) -> Document:
    """The services' documents as one. Pure; raises ValueError where two services claim one path or one operation."""
    paths: Document = {}
    schemas: Document = {}
    for service, part in _distinct(parts).items():
        schemas.update(part.get("components", {}).get("schemas", {}))
        for path, item in part["paths"].items():
            if path in paths:
                raise ValueError(f"{path} has two owners")
            paths[path] = {method: _operation(service, operation) for method, operation in item.items()}
    _require_distinct_operations(paths)
    for name in FRAMEWORKS_OWN:
        schemas.pop(name, None)
    components = {"schemas": dict(sorted(schemas.items())), "securitySchemes": SECURITY_SCHEMES}
    return {"openapi": "3.1.0", "info": INFO, "paths": dict(sorted(paths.items())), "components": components}


def _require_distinct_operations(paths: Document) -> None:
    ids = [operation["operationId"] for item in paths.values() for operation in item.values()]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise ValueError(f"operations named twice: {', '.join(twice)}")


def _operation(service: str, operation: Document) -> Document:
    """One operation with its owner as tag, who may sign in how, and every error as a problem."""
    responses = dict(operation.get("responses", {}))
    for status, words in documented(*EDGE_STATUSES).items():
        responses.setdefault(str(status), {"description": words["description"]})
    for edge_status, description in EDGE_ONLY.items():
        responses.setdefault(edge_status, {"description": description})
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            responses[status] = {**response, "content": {MEDIA_TYPE: {"schema": {"$ref": f"{REF}Problem"}}}}
    return {**operation, "tags": [service], "responses": responses, "security": _security(operation)}


def _security(operation: Document) -> list[Document]:
    relations = frozenset(operation.get("x-who", ()))
    signed_in: list[Document] = [{"accessToken": []}, {"apiKey": []}]
    if "signed" in relations:
        return []
    if PUBLIC & relations:
        return [{}, *signed_in]
    return signed_in if operation.get("x-keys", True) else signed_in[:1]


# --- names ------------------------------------------------------------------------------------------------------------


def _distinct(parts: Mapping[str, Document]) -> dict[str, Document]:
    """The parts with one meaning per schema name: a name that means two things gets its service's name in front."""
    meanings: dict[str, set[str]] = {}
    whole = {service: part.get("components", {}).get("schemas", {}) for service, part in parts.items()}
    for schemas in whole.values():
        for name in schemas:
            meanings.setdefault(name, set()).add(_meaning(name, schemas))
    clashing = {name for name, found in meanings.items() if len(found) > 1}
    return {
        service: _renamed(part, {name: service.capitalize() + name for name in clashing if name in whole[service]})
        for service, part in parts.items()
    }


def _meaning(name: str, schemas: Document) -> str:
    """A schema with everything it refers to, as text: equal texts are equal promises."""
    seen: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen[each] = schemas.get(each)
            waiting += _references(seen[each])
    return json.dumps(seen, sort_keys=True)


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"].removeprefix(REF)] if isinstance(node.get("$ref"), str) else []
        return own + [name for value in node.values() for name in _references(value)]
    return [name for value in node for name in _references(value)] if isinstance(node, list) else []


def _renamed(part: Document, names: Mapping[str, str]) -> Document:
    if not names:
        return part
    renamed: Document = _with_references(part, names)
    schemas = renamed["components"]["schemas"]
    renamed["components"]["schemas"] = {names.get(name, name): schema for name, schema in schemas.items()}
    return renamed


def _with_references(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _reference(value, names) if key == "$ref" else _with_references(value, names)
                for key, value in node.items()}  # fmt: skip
    return [_with_references(value, names) for value in node] if isinstance(node, list) else node


def _reference(value: Any, names: Mapping[str, str]) -> Any:
    name = value.removeprefix(REF) if isinstance(value, str) else ""
    return REF + names[name] if name in names else value
