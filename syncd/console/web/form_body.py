"""Reading a form as browsers send it: as it may come from anybody, in UTF-8 alone and in bounded time."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping

from syncd.console.web.guards import Refused

FORM = "application/x-www-form-urlencoded"
BODY_SECONDS = 30.0


async def read_form(request: web.Request) -> MultiMapping[object]:
    """Return the fields of a form.

    Raises:
        Refused: it cannot be read, or does not arrive.
    """
    # Whoever sends a body says what letters it is in, and Python knows some ("punycode") that take minutes to read.
    if request.content_type != FORM or (request.charset or "utf-8").lower() != "utf-8":
        raise Refused(400, f"the form cannot be read; send it in UTF-8, as {FORM}")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            form = await request.post()
    except TimeoutError:
        raise Refused(408, f"the form did not arrive within {BODY_SECONDS:g} s") from None
    except (ValueError, HttpProcessingError):
        raise Refused(400, f"the form cannot be read; send it in UTF-8, as {FORM}") from None
    if any("\0" in str(value) for value in form.values()):
        raise Refused(400, "the form has a NUL in it, which no text can have")
    return form
