"""What is asked of Znuny's generic interface, and how its answers are told apart: nearly all of them have status 200.

https://doc.znuny.org/znuny/admin/webservices/provider/index.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.sources.adapter import Http, Response
from syncd.sources.records import Record, record_of

TICKETS_AT_ONCE = 50
"""Ids in one address: all of them have to fit in it."""
TAIL = 10
"""Articles of each ticket that are read with the feed, the newest ones."""
LIMITS = (500, 5_000, 50_000)
"""How many ids a search is asked for. An answer as long as that may be cut, and is asked for again with the next."""

ARTICLES: dict[str, str | int] = {"AllArticles": 1, "Attachments": 1, "GetAttachmentContents": 0}
NEWEST: dict[str, str | int] = {**ARTICLES, "ArticleOrder": "DESC", "ArticleLimit": TAIL}
"""The newest articles of a ticket. The order alone would be ignored: it needs the limit."""
_DENIED = frozenset({"AccessDenied", "NotValidTicketID"})
_CODE = re.compile(r"[A-Za-z]+\.([A-Za-z]+)")
_NO_ROUTE = b"determine Operation"


class NoRoute(PauseSystem):
    """The web service does not have an operation that is needed."""


class NoWebService(RetryLater):
    """The server answered 500 without a word, as it does for a web service that it does not have."""


class _Denied(Exception):
    """A ticket is gone, or closed to the account: the answer is the same."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The paths of the operations, below the web service."""

    search: str
    ticket: str
    history: str


class ZnunyApi:
    """The operations TicketSearch, TicketGet and TicketHistoryGet of one web service."""

    def __init__(self, http: Http, prefix: str, routes: Routes) -> None:
        self._http = http
        self._prefix = prefix
        self._routes = routes

    async def search(self, limit: int, **params: str) -> list[str]:
        """Return the ids of tickets, those that were changed last at the end; an empty answer is no list at all.

        Without SearchInArchive archived tickets would be missing, without a word.
        """
        asked: dict[str, str | int] = {"SortBy": "Changed", "OrderBy": "Up", **params}
        asked |= {"SearchInArchive": "AllTickets", "Limit": limit}
        answer = await self._read(self._routes.search, asked)
        if "TicketID" not in answer:
            return []
        ids = answer.raw("TicketID")
        if not isinstance(ids, list):
            raise UnexpectedAnswer(f"{self._routes.search} answered a TicketID that is no list")
        return [Record({"TicketID": one}, self._routes.search).get_key("TicketID") for one in ids]

    async def changed(self, since: str) -> list[str]:
        """Return the tickets with an entry in their history at `since`, a time of the server's, or later.

        The history has an entry for every article, written after the article is whole; the ticket's own time of change
        leaves out answers of customers. `since` itself is included.
        https://doc.znuny.org/znuny/admin/webservices/provider/index.html

        Raises:
            UnexpectedAnswer: the list does not end.
        """
        for limit in LIMITS:
            ids = await self.search(limit, TicketChangeTimeNewerDate=since)
            if len(ids) < limit:
                return list(dict.fromkeys(ids))
        raise UnexpectedAnswer(f"{self._routes.search} answers as many tickets as it may, however many that are")

    async def find_newest(self) -> str | None:
        """Return the ticket that was changed last of all, or None if the account sees none."""
        ids = await self.search(1, OrderBy="Down")
        if len(ids) > 1:
            raise PauseSystem(
                f"{self._routes.search} does not heed Limit, so that long lists would be cut without a word: let the "
                "web service hand it on to TicketSearch"
            )
        return ids[0] if ids else None

    async def find_tickets(self, ids: Sequence[str], **params: str | int) -> list[Record] | None:
        """Return tickets in one request, or None if one of them is gone or closed to the account: that fails them all.

        Raises:
            UnexpectedAnswer: the answer leaves one out, or holds another.
        """
        path = f"{self._routes.ticket}/{','.join(ids)}"
        try:
            answer = await self._read(path, params)
        except _Denied:
            return None
        tickets = answer.get_records("Ticket")
        if sorted(ticket.get_key("TicketID") for ticket in tickets) != sorted(ids):
            raise UnexpectedAnswer(f"{self._routes.ticket} answered other tickets than it was asked for")
        return tickets

    async def each_ticket(self, ids: Sequence[str], **params: str | int) -> dict[str, Record | None]:
        """Return tickets by their ids, None for each that is gone or closed; halved until the bad ones stand alone."""
        if not ids:
            return {}
        tickets = await self.find_tickets(ids, **params)
        if tickets is not None:
            return {ticket.get_key("TicketID"): ticket for ticket in tickets}
        if len(ids) == 1:
            return {ids[0]: None}
        middle = len(ids) // 2
        first = await self.each_ticket(ids[:middle], **params)
        return first | await self.each_ticket(ids[middle:], **params)

    async def find_merged_into(self, ticket_id: str) -> str | None:
        """Return the ticket that another was merged into, by its history; None if that does not tell.

        The entry is `Merged Ticket (NUMBER/ID) to (NUMBER/ID)`, or the four of them behind %%.
        """
        try:
            answer = await self._read(f"{self._routes.history}/{ticket_id}", {})
        except (NoRoute, _Denied):
            return None  # many web services have no such route
        entries = [entry for one in answer.find_records("TicketHistory") for entry in one.find_records("History")]
        for entry in reversed(entries):
            ids = re.findall(r"[0-9]+", entry.find_text("Name") or "")
            if entry.find_text("HistoryType") == "Merged" and len(ids) == 4 and ids[1] == ticket_id != ids[3]:
                return str(ids[3])
        return None

    async def has_history(self, ticket_id: str) -> bool:
        """Tell whether histories can be read."""
        try:
            await self._read(f"{self._routes.history}/{ticket_id}", {})
        except (NoRoute, _Denied):
            return False
        return True

    async def _read(self, path: str, params: Mapping[str, str | int]) -> Record:
        """Return an answer without an error in it."""
        response = await self._http.get(self._prefix + path, params=params, expect={500})
        if response.status == 500:
            raise self._failure(response)
        answer = record_of(response)
        if "Error" not in answer:
            return answer
        code = _CODE.fullmatch(answer.get_record("Error").find_text("ErrorCode") or "")
        if code and code[1] == "AuthFail":
            raise PauseSystem(
                f"{path} refuses the credentials (Znuny says so with status 200); mend user, password or sign_in in "
                "the options of the system, then resume it"
            )
        if code and code[1] in _DENIED:
            raise _Denied
        raise UnexpectedAnswer(f"{path} answered the error {code[0] if code else 'that it does not name'}")

    @staticmethod
    def _failure(response: Response) -> Exception:
        """Return what a 500 means: by its text, since Znuny has no other status for a path that it does not have."""
        if _NO_ROUTE in response.body:
            return NoRoute(
                f"the web service has no route {response.path}: add it there (Admin > Web Services), or set the "
                "routes in the options of the system, then resume it"
            )
        if not response.body:
            return NoWebService(
                f"{response.path} answered 500 and nothing else, as for a web service that does not exist or is not "
                "valid: check web_service and base_url in the options of the system"
            )
        return RetryLater(f"{response.path} answered 500: see the log of the ticketing system")


def is_session_over(response: Response) -> bool:
    """Tell whether an answer refuses the session, which comes with status 200; long answers are not looked through."""
    return response.body.startswith(b'{"Error"') and b".AuthFail" in response.body[:500]
