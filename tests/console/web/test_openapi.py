"""The document of the control API: it is valid, it is served, and it names what the answers hold."""

import json

import pytest
import schemathesis

from syncd.console.web.control import DOCUMENT, ROUTES
from syncd.console.web.control_answers import Failure
from syncd.console.web.control_route import PREFIX
from syncd.console.web.openapi import describe
from syncd.model.delivery import DeliveryState
from tests.console.web.stock import add_deliveries, add_link


@pytest.fixture(scope="module")
def document():
    """Return the document."""
    return json.loads(json.dumps(describe(ROUTES, PREFIX)))


def operations(document):
    """Return every operation with its method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_it_is_served(served, document):
    """Whoever may read gets it, as it is made from the routes."""
    answer = await served.get(DOCUMENT, token=None)
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "application/json")
    assert answer.json == document
    assert (await served.get(DOCUMENT, token=None, headers={"Via": "1.1 proxy"})).status == 401


def test_it_is_valid(document):
    """It is OpenAPI 3.1 as that is written down."""
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()


async def test_it_has_every_route_and_no_other(unstarted, document):
    """What is routed below /api/v1/ is described, but for the document itself."""
    routed = {
        (route.method, route.resource.canonical)
        for route in unstarted.make().router.routes()
        if route.resource.canonical.startswith(f"{PREFIX}/") and route.method != "HEAD"
    }
    assert routed == operations(document).keys() | {("GET", DOCUMENT)}


def test_what_changes_something_takes_the_token(document):
    """Every operation that changes something needs the bearer token, and says what comes without."""
    for (method, path), operation in operations(document).items():
        needed = operation.get("security", document["security"])
        assert (method, path, {} in needed) == (method, path, method == "GET")
        assert {"401", "403", "421", "429", "500", "503"} <= operation["responses"].keys()
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(names)) == len(names)


def test_every_failure_has_the_same_shape(document):
    """A sentence, and the single mistakes where there are some."""
    for operation in operations(document).values():
        for status, answer in operation["responses"].items():
            if status >= "400":
                reference = answer["content"]["application/json"]["schema"]["$ref"]
                assert reference == f"#/components/schemas/{Failure.__name__}"


async def test_it_names_every_key_of_an_answer(served, document):
    """A key that the commands show and the document does not name is one that nobody has written down."""
    link_id = await add_link(served.database)
    (one,) = await add_deliveries(served.database, link_id, 1, DeliveryState.IN_DOUBT)
    (poll, _) = (await served.ask("POST", f"{PREFIX}/polls", body={})).json["requests"]
    answers = {
        "LinksTold": "/links",
        "LinkTold": f"/links/{link_id}",
        "DeliveriesTold": "/deliveries",
        "DeliveryInFullTold": f"/deliveries/{one}",
        "RequestTold": f"/requests/{poll['id']}",
        "StatusTold": "/status",
        "ApisTold": "/apis",
        "SystemsTold": "/systems",
    }
    schemas = document["components"]["schemas"]
    for name, path in answers.items():
        answer = await served.get(PREFIX + path)
        assert unnamed(answer.json, schemas[name], schemas, name) == []


def unnamed(value, schema, schemas, place):
    """Return where a value has keys that its schema does not name."""
    for one in schema.get("anyOf", []):
        if "$ref" in one:
            schema = one
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list) and "items" in schema:
        return [found for one in value for found in unnamed(one, schema["items"], schemas, place)]
    if not isinstance(value, dict):
        return []
    if "properties" not in schema:
        inner = schema.get("additionalProperties")
        inside = value.values() if isinstance(inner, dict) else []
        return [found for one in inside for found in unnamed(one, inner, schemas, place)]
    missing = [f"{place}.{key}" for key in value.keys() - schema["properties"].keys()]
    known = value.keys() & schema["properties"].keys()
    return missing + [
        found for key in known for found in unnamed(value[key], schema["properties"][key], schemas, f"{place}.{key}")
    ]
