"""Gorgias's endpoints: what is asked, how its lists are turned, and which of its answers are none.

https://developers.gorgias.com/reference/pagination and https://developers.gorgias.com/reference/errors
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Response
from syncd.sources.paging import Pages
from syncd.sources.records import Record, record_of

Params = list[tuple[str, str | int]]

TICKETS, MESSAGES = "/api/tickets", "/api/messages"
PER_PAGE = 100  # the most that a list answers, and the most ids that it takes
UNAVAILABLE = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
_LIMIT_HEADER = "X-Gorgias-Account-Api-Call-Limit"  # on every answer of the API


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and when it was answered, by Gorgias's clock."""

    records: list[Record]
    next_cursor: str | None
    answered_at: datetime | None


class GorgiasApi:
    """Reads of one account."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def account(self) -> Record | None:
        """Return the account (/reference/get-account), or None if the credentials may not read it.

        Raises:
            PauseSystem: there is no such account.
        """
        response = await self._http.get("/api/account", expect=UNAVAILABLE)
        if response.status == 404:
            raise PauseSystem("/api/account answered 404: base_url must be https://DOMAIN.gorgias.com of your account")
        return None if response.status == 403 else _record(response)

    async def ticket(self, ticket_id: str) -> tuple[Record, datetime | None]:
        """Return a ticket with its messages inside, and when it was answered (/reference/get-ticket).

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        response = await self._http.get(f"{TICKETS}/{ticket_id}", expect=UNAVAILABLE)
        if response.status in UNAVAILABLE:
            _refuse_others(response)
            raise TicketUnavailable(Unavailable(ticket_id, UNAVAILABLE[response.status]))
        record = _record(response)
        if record.get_key("id") != ticket_id:
            raise UnexpectedAnswer(f"{response.path} answered another ticket than the one asked for")
        return record, response.answered_at

    async def tickets(self, ids: Sequence[str]) -> Page:
        """Return those of these tickets that one request shows (/reference/list-tickets); none if that is refused.

        Trashed ones are among them.
        """
        params: Params = [*(("ticket_ids", ticket_id) for ticket_id in ids), ("limit", PER_PAGE)]
        page = await self._page(TICKETS, params, expect={400})
        return page or Page([], None, None)

    async def newest(self, path: str) -> Page:
        """Return a list's first row, to see whether it may be read."""
        return await self._page(path, [("limit", 1)]) or Page([], None, None)

    async def newest_first(self, path: str, field: str, until: datetime) -> AsyncGenerator[Page, None]:
        """Yield a list's pages from its newest row back to those before an instant: no list has a filter by time.

        A page's cursor is the place of its last row, so rows that come meanwhile only come again.
        """
        async with aclosing(self._pages(path, [("order_by", f"{field}:desc"), ("limit", PER_PAGE)])) as pages:
            async for page in pages:
                yield page
                told = [find_time(record, field) for record in page.records]
                times = [instant for instant in told if instant is not None]
                if page.records and not times:
                    raise UnexpectedAnswer(f"{path} answers rows without {field}")
                if any(later > earlier for earlier, later in pairwise(times)):
                    raise UnexpectedAnswer(f"{path} is not sorted by {field} from the newest on, as it was asked for")
                if times and times[-1] < until:
                    return

    async def messages_of(self, ticket_id: str) -> list[Record]:
        """Return all messages of a ticket, each once, the newest first (/reference/list-messages)."""
        params: Params = [("ticket_id", ticket_id), ("order_by", "created_datetime:desc"), ("limit", PER_PAGE)]
        found: dict[str, Record] = {}
        async with aclosing(self._pages(MESSAGES, params)) as pages:
            async for page in pages:
                if any(record.get_key("ticket_id") != ticket_id for record in page.records):
                    raise UnexpectedAnswer(f"{MESSAGES} answers messages of another ticket than the one asked for")
                found |= {record.get_key("id"): record for record in page.records}
        return list(found.values())

    async def _pages(self, path: str, params: Params) -> AsyncGenerator[Page, None]:
        pages, cursor = Pages(path), ""
        while True:
            pages.turn_to(cursor)
            page = await self._page(path, [*params, ("cursor", cursor)] if cursor else params)
            if page is None:
                return
            yield page
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    async def _page(self, path: str, params: Params, expect: set[int] | None = None) -> Page | None:
        """Return a page, or None for a status that is expected.

        Raises:
            PauseSystem: the credentials may not read this list.
        """
        response = await self._http.get(path, params=params, expect={403, *(expect or ())})
        if response.status == 403:
            raise PauseSystem(f"{path} answered 403: the user's role or the app's scopes must allow to read it")
        if expect and response.status in expect:
            return None
        answer = _record(response)
        next_cursor = answer.get_record("meta").find_text("next_cursor")
        return Page(answer.get_records("data"), next_cursor, response.answered_at)


def find_time(record: Record, field: str) -> datetime | None:
    """Return when a row is said to be, or None if that cannot be read: the row then fails by itself."""
    try:
        return record.find_instant(field)
    except UnexpectedAnswer:
        return None


def _record(response: Response) -> Record:
    record = record_of(response)
    if "error" in record:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} with an error inside")
    return record


def _refuse_others(response: Response) -> None:
    """Refuse a 403 or 404 that is not Gorgias's own: a proxy's says nothing about a ticket.

    Raises:
        UnexpectedAnswer: it has none of the marks of Gorgias's API.
    """
    if _LIMIT_HEADER not in response.headers and "error" not in record_of(response):
        raise UnexpectedAnswer(f"{response.path} answered {response.status}, but not in the way of Gorgias's API")
