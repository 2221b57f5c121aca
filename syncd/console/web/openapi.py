"""The OpenAPI document of the control API, made from the routes and models that check its requests."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from syncd.console.web.control_answers import Failure
from syncd.console.web.control_models import HIGHEST_ID
from syncd.console.web.control_route import Route

VERSION = "1"
JSON = "application/json"
BEARER: dict[str, list[str]] = {"bearer": []}
_REF = "#/components/schemas/{model}"

_FAILURES = {
    400: "What was asked for makes no sense, or is no JSON. Nothing was changed.",
    401: "The token is missing or wrong.",
    403: "No token is set in the settings, or a page of another site has sent this.",
    404: "There is nothing of that id or name.",
    408: "The body did not arrive in time.",
    409: "It does not fit to how things stand. Nothing was changed.",
    413: "The body is too large: more than 1 MiB.",
    415: "The body is not application/json in UTF-8.",
    421: "Asked under a name that is not ours; [console] hosts names those that are.",
    422: "The body or the query does not fit; `problems` says where.",
    429: "Asked too often, or with too many wrong tokens.",
    500: "A bug of syncd; its log has the details.",
    503: "The database cannot be used now; nothing is known to have been changed.",
}
_HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "required": True, "description": "Seconds."}},
    503: {"Retry-After": {"schema": {"type": "integer"}, "required": True, "description": "Seconds."}},
}
_PATH = {
    "id": {"type": "integer", "minimum": 0, "maximum": HIGHEST_ID},
    "name": {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$"},
}
_WHO = {
    "name": "X-Syncd-Who",
    "in": "header",
    "required": False,
    "description": "Who asks, for the records: the name of the program, or of the person who uses it. Its first 80 "
    "characters are kept.",
    "schema": {"type": "string"},
}


def describe(routes: Sequence[Route], prefix: str) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(prefix + route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "syncd",
            "version": VERSION,
            "description": "The control API of syncd: registering links, and what the commands do. Answers may have "
            "more keys than are described here; new ones may come with every version.",
        },
        "security": [BEARER],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "[console] token of the settings. What changes nothing needs none on the machine "
                    "itself, under its own address.",
                }
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    asked = {route.body for route in routes if route.body is not None}
    told = {model for route in routes for model in route.answers.values()} | {Failure}
    named: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in _sorted(asked)]
    named += [(model, "serialization") for model in _sorted(told)]
    _, schema = models_json_schema(named, ref_template=_REF)
    found: dict[str, Any] = schema["$defs"]
    return found


def _sorted(models: set[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: model.__name__)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _name(route),
        "tags": [route.path.split("/")[1]],
        "parameters": [*_in_path(route), *_in_query(route), *([_WHO] if route.changes else [])],
        "responses": _answers(route) | _failures(route),
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(route.body)}}}
    if not route.changes:
        operation["security"] = [BEARER, {}]
    return operation


def _name(route: Route) -> str:
    return "_".join([route.method.lower(), *(part.strip("{}") for part in route.path.split("/") if part)])


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": _PATH[name]} for name in route.parameters]


def _in_query(route: Route) -> list[dict[str, Any]]:
    """Return the parameters of a route's query; a value that is left out is none, so `null` is not among them."""
    if route.query is None:
        return []
    # Nothing stands in a query as a reference: it has no parts.
    schema = route.query.model_json_schema(mode="validation")
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": one.pop("description", ""),
            "schema": _resolved(one, schema.get("$defs", {})),
        }
        for name, one in schema["properties"].items()
    ]


def _resolved(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    schema = next((one for one in schema.get("anyOf", []) if one != {"type": "null"}), schema)
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    return {key: value for key, value in schema.items() if key not in {"title", "description"}}


def _answers(route: Route) -> dict[str, Any]:
    return {
        str(status): {"description": model.__doc__, "content": {JSON: {"schema": _ref(model)}}}
        for status, model in route.answers.items()
    }


def _failures(route: Route) -> dict[str, Any]:
    statuses = {401, 403, 421, 429, 500, 503}
    if route.parameters:
        statuses |= {404}
    if route.body is not None:
        statuses |= {400, 408, 413, 415, 422}
    if route.query is not None:
        statuses |= {422}
    if route.can_conflict:
        statuses |= {409}
    return {
        str(status): {
            "description": _FAILURES[status],
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
            "content": {JSON: {"schema": _ref(Failure)}},
        }
        for status in sorted(statuses)
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
