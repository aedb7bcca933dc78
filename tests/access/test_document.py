"""The reader of the document sees what there is: otherwise the tests beside this one would prove less than they say."""

from tests.access.document import operations

TREE = {"$ref": "#/components/schemas/Tree"}


def test_the_document_is_read_whole() -> None:
    """Members behind references, alternatives and lists, and of what contains itself."""
    leaf = {"type": "integer", "minimum": 0, "maximum": 9}
    tree = {"type": "object", "properties": {"n": leaf, "more": {"type": "array", "items": TREE}}}
    said = {
        "operationId": "create_tree",
        "requestBody": {"content": {"application/json": {"schema": {"anyOf": [TREE, {"type": "null"}]}}}},
        "responses": {"201": {"content": {"application/json": {"schema": {"type": "array", "items": TREE}}}}},
    }
    whole = {"paths": {"/trees": {"post": said}}, "components": {"schemas": {"Tree": tree}}}
    (operation,) = operations(whole).values()
    assert operation.answered() == operation.declared() == operation.declared_at(("more", 0)) == {"n", "more"}
    assert operation.integers() == {("n",): leaf}
    assert operation.fits("POST", "/trees")
    assert not operation.fits("POST", "/trees/1")
