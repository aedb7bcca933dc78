"""One document for the whole: names resolved, errors declared, nobody's promise lost."""

from typing import Any

import pytest
from fastapi import FastAPI

from chassis import problems, web
from chassis.web import who
from gateway.openapi import METHODS, REF, merge
from tests.gateway.world import world


async def document() -> dict[str, Any]:
    async with world() as here, here.anyone() as client:
        answer = await client.get("/openapi.json")
        assert answer.status_code == 200
        again = await client.get("/openapi.json")
        assert again.content == answer.content
        return dict(answer.json())


def every(node: Any, key: str) -> list[Any]:
    if isinstance(node, dict):
        return [value for name, value in node.items() if name == key] + [
            found for value in node.values() for found in every(value, key)
        ]
    return [found for value in node for found in every(value, key)] if isinstance(node, list) else []


async def test_every_operation_says_who_may_and_declares_its_errors_as_problems() -> None:
    whole = await document()
    assert whole["openapi"] == "3.1.0"
    operations = [each for item in whole["paths"].values() for each in item.values()]
    assert len(operations) == 14
    for operation in operations:
        assert operation["x-who"]
        assert operation["tags"] == ["gateway"]
        for status, response in operation["responses"].items():
            if status[0] in "45":
                assert list(response["content"]) == ["application/problem+json"]
        assert {"401", "404", "413", "415", "431", "500", "503"} <= set(operation["responses"])


async def test_every_reference_leads_somewhere_and_the_frameworks_own_errors_are_gone() -> None:
    whole = await document()
    for reference in every(whole, "$ref"):
        assert reference.removeprefix(REF) in whole["components"]["schemas"], reference
    assert "HTTPValidationError" not in whole["components"]["schemas"]


async def test_the_key_of_a_keyed_operation_is_documented_and_required() -> None:
    whole = await document()
    (header,) = [each for each in whole["paths"]["/v1/recipients"]["post"]["parameters"] if each["in"] == "header"]
    assert (header["name"].lower(), header["required"]) == ("idempotency-key", True)


async def test_signing_in_needs_no_token_and_oneself_a_persons() -> None:
    paths = (await document())["paths"]
    assert {} in paths["/v1/sessions"]["post"]["security"]
    assert paths["/v1/me"]["get"]["security"] == [{"accessToken": []}]
    assert {"apiKey": []} in paths["/v1/events"]["get"]["security"]


async def test_the_inside_is_not_in_the_document() -> None:
    assert all(path.startswith("/v1/") for path in (await document())["paths"])


def service_with(name: str, fields: dict[str, Any], path: str = "") -> dict[str, Any]:
    """A service whose `Thing` has these fields, inside a `Box` of everybody's shape."""
    app = FastAPI(title=name)
    router = web.router()
    thing = type("Thing", (web.Out,), {"__annotations__": fields})
    box = type("Box", (web.Out,), {"__annotations__": {"thing": thing}})

    @router.get(f"/{path or name}", operation_id=f"get_{name}", response_model=box, openapi_extra=who("any"))
    async def get() -> None: ...

    app.include_router(router)
    return dict(app.openapi())


def test_one_name_with_one_meaning_stays_and_with_two_gets_its_services_name() -> None:
    same = merge({"order": service_with("order", {"n": int}), "tribe": service_with("tribe", {"n": int})})
    assert {"Thing", "Box", "Problem"} <= set(same["components"]["schemas"])
    two = merge({"order": service_with("order", {"n": int}), "tribe": service_with("tribe", {"n": str})})
    schemas = two["components"]["schemas"]
    assert {"OrderThing", "TribeThing", "OrderBox", "TribeBox", "Problem"} <= set(schemas)
    assert schemas["OrderBox"]["properties"]["thing"]["$ref"] == REF + "OrderThing"
    answer = two["paths"]["/v1/tribe"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["$ref"] == REF + "TribeBox"


def test_two_owners_of_one_path_or_one_operation_are_a_defect() -> None:
    with pytest.raises(ValueError, match="two owners"):
        merge({"order": service_with("order", {}, "x"), "tribe": service_with("tribe", {}, "x")})
    one = service_with("order", {}, "x")
    with pytest.raises(ValueError, match="named twice"):
        merge({"order": one, "tribe": {**service_with("tribe", {}, "y"), "paths": {"/v1/y": one["paths"]["/v1/x"]}}})


def test_problems_are_documented_for_every_status_an_operation_may_have() -> None:
    assert set(problems.documented(*problems.EVERY_OPERATION)) >= {400, 401, 403, 404, 409, 422}
    assert "get" in METHODS
