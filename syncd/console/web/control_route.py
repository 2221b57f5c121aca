"""A route of the control API: how it is asked, what it answers. Requests are checked by it, and it is described by it.

There is no other description: openapi.py makes the document from the same routes and models.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from syncd.console.context import CommandContext
from syncd.console.output import json_text
from syncd.console.status import Overview
from syncd.console.web.context import WHO, WebContext, context_of
from syncd.console.web.control_body import read_body, read_query
from syncd.console.web.remembered import Remembered

PREFIX = "/api/v1"
NAMES = {"id": "[0-9]{1,18}", "name": "[^/]{1,64}"}
"""What may stand in a path: ids of syncd, and names of the settings."""

STANDING = web.AppKey("control_standing", Remembered[Overview])


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the control API, after its checks. `body` and `query` are instances of the route's models."""

    web: WebContext
    context: CommandContext
    path: Mapping[str, str]
    body: Any
    query: Any
    standing: Remembered[Overview]

    @property
    def id(self) -> int:
        """Return the id in the path."""
        return int(self.path["id"])

    @property
    def name(self) -> str:
        """Return the name in the path."""
        return self.path["name"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: values that JSON can hold, once instants and words are texts."""

    values: Any
    status: int = 200


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `answers`: what can be answered when all is well, by status."""

    method: str
    path: str
    summary: str
    answer: Callable[[Call], Awaitable[Answer]]
    answers: Mapping[int, type[BaseModel]]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    can_conflict: bool = False

    @property
    def parameters(self) -> list[str]:
        """Return what stands in the path, by name."""
        return [name for name in NAMES if f"{{{name}}}" in self.path]

    @property
    def changes(self) -> bool:
        """Say whether it changes something, which takes the token."""
        return self.method != "GET"


def add_route(app: web.Application, route: Route) -> None:
    """Add a route to the application."""
    path = PREFIX + route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", f"{{{name}:{NAMES[name]}}}")
    if route.method == "GET":
        app.router.add_get(path, partial(_handle, route))  # and HEAD
    else:
        app.router.add_route(route.method, path, partial(_handle, route))


async def _handle(route: Route, request: web.Request) -> web.StreamResponse:
    found = context_of(request)
    call = Call(
        web=found,
        context=found.acting_for(request.get(WHO, "the control API")),
        path=request.match_info,
        body=None if route.body is None else await read_body(request, route.body),
        query=None if route.query is None else read_query(request, route.query),
        standing=request.app[STANDING],
    )
    try:
        answer = await route.answer(call)
    finally:
        if route.changes:
            call.standing.forget()
    return web.json_response(text=json_text(answer.values), status=answer.status)
