"""What is asked of Freshdesk and Freshservice: their paths, how their lists go on, and which answers are none.

https://developers.freshdesk.com/api/#introduction (errors, pagination), https://api.freshservice.com/#pagination
"""

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from adapters._fresh_records import Flavour, must_be
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.paging import Pages, next_link
from syncd.sources.records import Record, record_of, records_of

API = "/api/v2"
PAGE_SIZE = 100  # the most; a larger one is refused
# A 403 with one of these words is about the account or its key, and not about the ticket that was asked for.
ABOUT_THE_ACCOUNT = {
    "account_suspended": "the account is suspended",
    "invalid_credentials": "it refuses the API key",
    "password_expired": "the password of the agent has expired",
    "password_lockout": "the agent is locked out after too many failed sign-ins",
    "require_feature": "the plan of the account lacks the feature",
    "ssl_required": "it wants https",
}

Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list, and the vendor's own time at which it was told."""

    rows: list[Record]
    has_next: bool
    answered_at: datetime | None


class FreshApi:
    """Reads of one account. `list_params` go with the list of tickets."""

    def __init__(self, http: Http, flavour: Flavour, list_params: Params) -> None:
        self._http = http
        self._flavour = flavour
        self._list_params = list_params

    async def find_me(self) -> Record | None:
        """Return the agent whom the key stands for, or None if that is not told."""
        response = await self._get("agents/me", expect={404})
        return self._one(response, "agent") if response.status == 200 else None

    async def find_agent(self, agent_id: str) -> Record | None:
        """Return an agent; None if there is none with that id, or if it may not be seen."""
        response = await self._get(f"agents/{agent_id}", expect={404})
        return self._one(response, "agent") if response.status == 200 else None

    async def agents(self) -> list[Record] | None:
        """Return all agents, or None if the key may not list them: that takes an administrator."""
        found: list[Record] = []
        async for page in self._pages("agents", "agents"):
            if page is None:
                return None
            found += page.rows
        return found

    async def ticket(self, ticket_id: str) -> tuple[Record, bool]:
        """Return a ticket and whether it is archived: then the usual path does not find it.

        https://developers.freshdesk.com/api/#archive_tickets

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        response = await self._get(f"tickets/{ticket_id}", {"include": "stats"}, expect={404})
        archived = self._flavour.archive and self._is_absent(response)
        if archived:
            response = await self._get(f"tickets/archived/{ticket_id}", expect={404}, lacking="require_feature")
        return must_be(self._one(self._there(response, ticket_id), "ticket"), ticket_id), archived

    async def find_conversations(self, ticket_id: str, *, is_archived: bool) -> list[Record] | None:
        """Return all conversations of a ticket, in any order; None if the path is not there (any more).

        The ticket's own `include=conversations` is no way to them: it ends at the tenth without a word.

        One that is deleted while pages are turned moves those behind it forward, past a border. So the pages before
        the last are read once more, backwards: what has moved forward is on one of them.

        Raises:
            TicketUnavailable: forbidden.
        """
        path = f"tickets/{'archived/' if is_archived else ''}{ticket_id}/conversations"
        read = [page async for page in self._pages(path, "conversations", ticket_id)]
        again = range(len(read) - 1, 0, -1)
        read += [await self._page(path, {}, "conversations", number, ticket_id) for number in again]
        pages = [page for page in read if page is not None]
        return [row for page in pages for row in page.rows] if len(pages) == len(read) else None

    async def see_tickets(self) -> int:
        """Ask for one ticket of the list, to learn whether it may be read; return the status, 200, 400 or 403."""
        params = {"per_page": 1, **self._list_params}
        response = await self._get("tickets", params, expect={400})
        if response.status == 200:
            self._rows(response, "tickets")
        return response.status

    async def changed(self, since: datetime, number: int) -> Listed:
        """Return a page of the tickets that changed at an instant or later.

        https://developers.freshdesk.com/api/#list_all_tickets, https://api.freshservice.com/#view_all_ticket

        Without `updated_since` only tickets of the last 30 days would be told.
        """
        if number > self._flavour.most_pages:
            raise UnexpectedAnswer(f"the list of tickets does not end within {self._flavour.most_pages} pages")
        when = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        page = await self._page("tickets", {"updated_since": when, **self._list_params}, "tickets", number)
        if page is None:
            raise PauseSystem(f"{self._flavour.title} does not show its tickets to this agent: give it a role that may")
        return page

    async def _pages(self, path: str, name: str, ticket_id: str = "") -> AsyncGenerator[Listed | None, None]:
        """Yield the pages of a list to its end, or None if there is none."""
        pages = Pages(path)
        for number in range(1, self._flavour.most_pages + 1):
            page = await self._page(path, {}, name, number, ticket_id)
            yield page
            if page is None or not page.has_next:
                return
            pages.turn_to(",".join(row.get_key("id") for row in page.rows))
        raise UnexpectedAnswer(f"{path} does not end within {self._flavour.most_pages} pages")

    async def _page(self, path: str, params: Params, name: str, number: int, ticket_id: str = "") -> Listed | None:
        """Return one page of a list; a full one is not believed to be the last, though no link goes on from it."""
        response = await self._get(path, {**params, "per_page": PAGE_SIZE, "page": number}, expect={404})
        if response.status == 403 and ticket_id:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.FORBIDDEN))
        if response.status == 403 or self._is_absent(response):
            return None
        rows = self._rows(response, name)
        has_next = next_link(response.headers) is not None or len(rows) >= PAGE_SIZE
        return Listed(rows, has_next, response.answered_at)

    async def _get(
        self, path: str, params: Params | None = None, *, expect: Collection[int] = (), lacking: str = ""
    ) -> Response:
        """Read a path; a 403 that is about the account stops everything, any other is returned.

        `lacking` is the word of a 403 that says that there is no such thing here: it is returned as a 404.
        """
        try:
            response = await self._http.get(f"{API}/{path}", params=params, expect={403, *expect})
        except Refused as refused:
            message = str(refused)
        else:
            word = _error_word(response) if response.status == 403 else ""
            if word and word == lacking:
                return Response(404, response.headers, b"", response.path)
            if word in ABOUT_THE_ACCOUNT:
                raise PauseSystem(f"{self._flavour.title}: {ABOUT_THE_ACCOUNT[word]} ({word} from {response.path})")
            if response.status == 403 and not word:
                raise UnexpectedAnswer(f"{response.path} answered 403 without the word of {self._flavour.title}")
            return response
        raise UnexpectedAnswer(message)

    def _there(self, response: Response, ticket_id: str) -> Response:
        """Return an answer about a ticket that is there.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        if response.status == 403:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.FORBIDDEN))
        if self._is_absent(response):
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        return response

    def _is_absent(self, response: Response) -> bool:
        """Tell whether an answer is the vendor's 404, which is empty or JSON.

        Raises:
            UnexpectedAnswer: it is the 404 of somebody else, a proxy or a wrong address.
        """
        if response.status == 404 and response.body.strip():
            response.json()
        return response.status == 404

    def _one(self, response: Response, name: str) -> Record:
        row = record_of(response)
        return row.get_record(name) if self._flavour.wrapped else row

    def _rows(self, response: Response, name: str) -> list[Record]:
        return record_of(response).get_records(name) if self._flavour.wrapped else records_of(response)


def _error_word(response: Response) -> str:
    """Return the `code` of an error, wherever it stands, or "" if there is none."""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return ""
    errors = body.get("errors") if isinstance(body, dict) else None
    holders = [body, *(errors if isinstance(errors, list) else [])]
    words = [holder.get("code") for holder in holders if isinstance(holder, dict)]
    return next((word for word in words if isinstance(word, str) and word), "")
