"""Reading what the control API is sent: small, flat JSON that a model knows every key of."""

import asyncio
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from syncd.console.web.guards import Unfit
from syncd.model.errors import Problem

M = TypeVar("M", bound=BaseModel)
BODY_SECONDS = 30.0
LONGEST_PLACE = 80
MOST_PROBLEMS = 20


async def read_body(request: web.Request, model: type[M]) -> M:
    """Return the body of a request as a model.

    Raises:
        Unfit: it is no JSON, or none that fits.
    """
    if request.content_type != "application/json" or request.charset not in {None, "utf-8", "UTF-8"}:
        raise Unfit(415, "send JSON in UTF-8, with Content-Type: application/json")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise Unfit(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _unfit(error, "the body") from None


def read_query(request: web.Request, model: type[M]) -> M:
    """Return the query of a request as a model.

    Raises:
        Unfit: it does not fit.
    """
    twice = [name for name in dict.fromkeys(request.query) if len(request.query.getall(name)) > 1]
    if twice:
        problems = tuple(Problem(_place([name]), "is said twice") for name in twice[:MOST_PROBLEMS])
        raise Unfit(422, f"the query does not fit: {problems[0]}", problems)
    try:
        return model.model_validate_strings(dict(request.query))
    except ValidationError as error:
        raise _unfit(error, "the query") from None


def _unfit(error: ValidationError, what: str) -> Unfit:
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    if mistakes[0]["type"] == "json_invalid":
        return Unfit(400, f"{what} is no JSON that can be read: {mistakes[0]['msg'].removeprefix('Invalid JSON: ')}")
    problems = tuple(
        Problem(_place(one["loc"]), one["msg"].removeprefix("Value error, ")) for one in mistakes[:MOST_PROBLEMS]
    )
    return Unfit(422, f"{what} does not fit: {problems[0]}", problems)


def _place(parts: tuple[int | str, ...] | list[str]) -> str:
    """Return where a mistake is; a key that nobody knows is quoted, and no more than its beginning."""
    return ".".join(str(part) for part in parts).encode("unicode_escape").decode()[:LONGEST_PLACE]
