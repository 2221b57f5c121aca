"""How the helpdesk fails when it is told to: once per call, before it looks at the request."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

T = TypeVar("T")

FaultyAnswer = Callable[[], Awaitable[web.StreamResponse]]

_ERROR = b'{"error": {"code": "overloaded", "message": "Please come back later."}}'


class HelpdeskFaults:
    """Faults in the order they were asked for; each is used up by one request.

    `repeats_token` stays until it is set back: every page then names itself as the next one.
    """

    def __init__(self) -> None:
        self.repeats_token = False
        self._answers: deque[FaultyAnswer] = deque()
        self._empty_pages = 0
        self._empty_replies = 0
        self._muddled = 0

    def clear(self) -> None:
        """Forget whatever has not been met yet."""
        self.repeats_token = False
        self._answers.clear()
        self._empty_pages = self._empty_replies = self._muddled = 0

    def throttle(self, seconds: float, times: int = 1) -> None:
        """Answer 429 with Retry-After."""
        self.answer(429, _ERROR, {"Retry-After": f"{seconds:g}"}, times=times)

    def fail(self, status: int = 503, times: int = 1) -> None:
        """Answer with a server error."""
        self.answer(status, _ERROR, times=times)

    def answer_html(self, times: int = 1) -> None:
        """Answer 200 with a login page, as a proxy does."""
        self.answer(200, b"<html><title>Sign in</title></html>", {"Content-Type": "text/html"}, times=times)

    def answer_error(self, times: int = 1) -> None:
        """Answer 200 with an error inside."""
        self.answer(200, _ERROR, times=times)

    def empty_page(self, times: int = 1) -> None:
        """Answer the next request for changes as if nothing had ever changed."""
        self._empty_pages += times

    def empty_replies(self, times: int = 1) -> None:
        """Answer the next request for the replies of a ticket as if nobody had ever written one."""
        self._empty_replies += times

    def muddle(self, times: int = 1) -> None:
        """Hand out the next lists of replies, and the replies of a page of changes, twice over and newest first."""
        self._muddled += times

    def hang(self, times: int = 1) -> None:
        """Leave a request without an answer until the other side gives up."""

        async def never() -> web.StreamResponse:
            await asyncio.Event().wait()
            return web.Response()

        self._answers.extend([never] * times)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, times: int = 1) -> None:
        """Answer with exactly this."""
        kind = {"Content-Type": "application/json", **(headers or {})}

        async def answer() -> web.StreamResponse:
            return web.Response(status=status, body=body, headers=kind)

        self._answers.extend([answer] * times)

    def next_answer(self) -> FaultyAnswer | None:
        """Return the fault that is due for this request, if any, and use it up."""
        return self._answers.popleft() if self._answers else None

    def take_empty_page(self) -> bool:
        """Tell whether this page of changes is to be empty, and use that up."""
        if self._empty_pages == 0:
            return False
        self._empty_pages -= 1
        return True

    def take_empty_replies(self) -> bool:
        """Tell whether this list of replies is to be empty, and use that up."""
        if self._empty_replies == 0:
            return False
        self._empty_replies -= 1
        return True

    def muddled(self, items: list[T]) -> list[T]:
        """Return the items of a list, in a muddle if one is due, which is then used up."""
        if self._muddled == 0 or not items:
            return items
        self._muddled -= 1
        return [*reversed(items), *items]

    def token_or(self, following: int, present: int) -> int:
        """Return the token of the following page, or again that of the present one."""
        return present if self.repeats_token else following
