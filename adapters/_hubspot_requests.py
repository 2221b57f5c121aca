"""Asking HubSpot: lists page by page, and the names of what can go wrong with any request.

https://developers.hubspot.com/docs/api-reference/error-handling
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from adapters._hubspot_answers import ABOUT_SCOPES, LATER, insist_on_theirs, page_of, wait_seconds
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.paging import Pages

Params = dict[str, str | int]


class HubspotRequests:
    """Requests to one account.

    `now` is the time of the newest answer; `offset` is how far the account's clocks are from UTC, once that is known.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self.now: datetime | None = None
        self.offset: timedelta | None = None

    async def pages(self, path: str, params: Params, *expect: int) -> AsyncGenerator[Response, None]:
        """Yield the answers of a list until one names no next page: a page may be short and not be the last."""
        turned, after = Pages(path), ""
        while True:
            turned.turn_to(after)
            response = await self.get(path, params | ({"after": after} if after else {}), *expect)
            yield response
            following = page_of(response).after
            if following is None:
                return
            after = following

    async def get(self, path: str, params: Params, *expect: int) -> Response:
        """Read `path`."""
        return await self._ask(lambda statuses: self._http.get(path, params=params, expect=statuses), expect)

    async def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """Read by POST."""
        return await self._ask(lambda statuses: self._http.post(path, json=body, expect=statuses), ())

    async def _ask(self, send: Callable[[Collection[int]], Awaitable[Response]], expect: Iterable[int]) -> Response:
        """Send a request.

        HubSpot says only in the body which of its limits was reached. So where Http gave up without a wait, it is asked
        once more for that; the answer may be good, too.

        Raises:
            PauseSystem: 403, unless it is in `expect`.
            RetryLater: with the wait, where one can be told.
            UnexpectedAnswer: any other status that is not in `expect`.
        """
        statuses = {*expect, 403, *(LATER - {429})}
        try:
            try:
                response = await send(statuses)
            except RetryLater as later:
                if later.wait_seconds is not None:
                    raise
                response = await send(statuses | LATER)
        except Refused as refused:
            failure = RetryLater if refused.status >= 500 else UnexpectedAnswer
            raise failure(str(refused)) from None
        self.now = response.answered_at or self.now
        if response.status in LATER:
            local = self.now + self.offset if self.now is not None and self.offset is not None else None
            wait = wait_seconds(response, local)
            raise RetryLater(f"HubSpot does not answer {response.path} now ({response.status})", wait)
        if response.status == 403 and 403 not in expect:
            insist_on_theirs(response)
            raise PauseSystem(f"HubSpot refuses {response.path}: {ABOUT_SCOPES}")
        return response
