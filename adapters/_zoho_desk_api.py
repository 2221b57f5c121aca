"""Zoho Desk's endpoints: what is asked, and what its refusals mean.

https://desk.zoho.com/DeskAPIDocument#Introduction
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.paging import path_below
from syncd.sources.records import Record, record_of

Params = Mapping[str, str | int]

API = "/api/v1"
PAGE = 100  # the most that searches and comments give; threads would give twice as many
LAST_PLACE = 4999  # Zoho answers 422 to a search that begins behind it
CREDITS_LEFT = "X-Rate-Limit-Remaining-v3"

GONE_CODES = frozenset({"RESOURCE_NOT_FOUND", "URL_NOT_FOUND"})  # of a ticket that is not there both were seen
FORBIDDEN_CODE = "FORBIDDEN"
MISTAKES = {
    "OAUTH_ORG_MISMATCH": "org_id is not the organisation of the credentials",
    "SCOPE_MISMATCH": "the refresh token lacks a scope; make one with all scopes that the documentation names",
    "LICENSE_ACCESS_LIMITED": "the plan of the account, or the user's licence, does not allow this",
    FORBIDDEN_CODE: "the user whose refresh token this is may not read tickets",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search, and how many there are in all, if that is told."""

    rows: Sequence[Record]
    total: int | None

    def ends_at(self, place: int) -> bool:
        """Tell whether a page that began at this place is surely the last one.

        A full page never is: what is counted could be the page.
        """
        return self.total is not None and len(self.rows) < PAGE and place + len(self.rows) >= self.total


class ZohoDeskApi:
    """Reads of one organisation."""

    def __init__(self, http: Http, base_url: str) -> None:
        self._http = http
        self._base_url = base_url

    async def organizations(self) -> list[Record]:
        """Return the organisations that the credentials belong to (#Organizations_Getallorganizations)."""
        return _rows(await self._get("/organizations"))

    async def me(self) -> tuple[Record, str | None]:
        """Return the signed-in agent, and how many of the day's credits are left (#MyInfo)."""
        response = await self._get("/myinfo")
        return _answer(response), response.headers.get(CREDITS_LEFT)

    async def now(self) -> datetime:
        """Return the time by Zoho's own clock; asking for ourselves is the cheapest request there is.

        Raises:
            UnexpectedAnswer: no time in the answer.
        """
        response = await self._get("/myinfo")
        _answer(response)
        if response.answered_at is None:
            raise UnexpectedAnswer(f"{response.path} answered without a Date, so that no end of the search is known")
        return response.answered_at

    async def sees_tickets(self) -> bool:
        """Tell whether a search finds any ticket; it needs the scopes that all else needs."""
        return bool(_rows(await self._get("/tickets/search", {"limit": 1})))

    async def find_number(self, number: str) -> str | None:
        """Return the id of the ticket with a number, or None (#Search_SearchTickets).

        Raises:
            UnexpectedAnswer: tickets with other numbers, so that the condition was ignored.
        """
        rows = _rows(await self._get("/tickets/search", {"ticketNumber": number, "limit": 2}))
        if any(row.get_key("ticketNumber") != number for row in rows):
            raise UnexpectedAnswer(f"{API}/tickets/search ignored the number: it answered other tickets")
        return rows[0].get_key("id") if rows else None

    async def changed(self, since: datetime, until: datetime, place: int) -> Found:
        """Return tickets modified between two instants, oldest first, from a place on; the first is at 0 here.

        https://desk.zoho.com/DeskAPIDocument#Search_SearchTickets
        """
        if place > LAST_PLACE:
            raise UnexpectedAnswer(f"{API}/tickets/search has more tickets of one instant than it lets us read")
        times = f"{_stamp(since)},{_stamp(until)}"
        params: Params = {"modifiedTimeRange": times, "sortBy": "modifiedTime", "from": place, "limit": PAGE}
        response = await self._get("/tickets/search", params)
        rows = _rows(response)
        total = None if response.status == 204 else _answer(response).find_int("count")
        if total is not None and not rows and place < total:
            raise UnexpectedAnswer(f"{response.path} answered no tickets though it counts some")
        return Found(rows, total)

    async def ticket(self, ticket_id: str) -> Record:
        """Return a ticket (#Tickets_Getaticket).

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        return _answer(await self._of_ticket(f"/tickets/{ticket_id}", ticket_id, {"include": "assignee"}))

    async def threads(self, ticket_id: str, expected: int | None) -> list[Record]:
        """Return the list of a ticket's threads, with the beginnings of their texts (#Threads_Listallthreads)."""
        return await self._list(ticket_id, "threads", "sendDateTime", expected)

    async def comments(self, ticket_id: str, expected: int | None) -> list[Record]:
        """Return a ticket's comments (#TicketsComments_Listallticketcomments)."""
        return await self._list(ticket_id, "comments", "commentedTime", expected)

    async def thread(self, ticket_id: str, thread_id: str) -> tuple[Record, str]:
        """Return a thread with its whole text; a very long one has it at an address of its own.

        https://desk.zoho.com/DeskAPIDocument#Threads_Getathread

        Raises:
            TicketUnavailable: the ticket is gone.
            UnexpectedAnswer: the thread is gone and the ticket is not, or its text is nowhere.
        """
        response = await self._get(f"/tickets/{ticket_id}/threads/{thread_id}", expect={403, 404})
        if response.status in {403, 404}:
            await self.ticket(ticket_id)
            raise UnexpectedAnswer(f"{response.path} answered {response.status}, but its ticket is there")
        detail = _answer(response)
        if detail.get_key("id") != thread_id:
            raise UnexpectedAnswer(f"{response.path} answered another thread")
        text = detail.find_text("content") or ""
        if detail.raw("isContentTruncated") not in (False, None):
            text = await self._whole_text(detail, text)
        elif "content" not in detail:
            raise UnexpectedAnswer(f"{response.path} has no content")
        return detail, text

    async def _whole_text(self, detail: Record, beginning: str) -> str:
        """Return the text behind `fullContentURL`, of which the path alone is used.

        Whether it comes as JSON or bare is not documented; bare text is believed if it begins as it should.
        """
        path = path_below(detail.get_text("fullContentURL"), self._base_url)
        try:
            response = await self._http.get(path)
        except Refused as refused:
            message = str(refused)
        else:
            if "json" in response.headers.get("Content-Type", "").lower():
                return _answer(response).get_text("content")
            text = response.body.decode("utf-8", "replace").strip()
            if beginning and text.startswith(beginning.strip()[:100]):
                return text
            message = f"{response.path} answered another text than the one that was cut"
        raise UnexpectedAnswer(message)

    async def _list(self, ticket_id: str, name: str, order: str, expected: int | None) -> list[Record]:
        """Return all rows of a ticket's list; the first is at 1 here.

        Nothing says which page is the last: neither a short page alone (Zoho may give fewer than asked for) nor
        a count that may be hidden from us. Where they do not agree, the list is read until it is empty.

        Raises:
            TicketUnavailable: the ticket is gone or forbidden.
        """
        rows: dict[str, Record] = {}
        place, is_last = 1, False
        while not is_last:
            params: Params = {"from": place, "limit": PAGE, "sortBy": order}
            page = _rows(await self._of_ticket(f"/tickets/{ticket_id}/{name}", ticket_id, params))
            new = {row.get_key("id"): row for row in page}
            if page and not new.keys() - rows.keys():
                raise UnexpectedAnswer(f"the {name} of a ticket come again and again")
            rows |= new
            place += len(page)
            is_last = not page or (len(page) < PAGE and expected is not None and len(rows) >= expected)
        return list(rows.values())

    async def _of_ticket(self, path: str, ticket_id: str, params: Params) -> Response:
        """Read what belongs to a ticket.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        response = await self._get(path, params, expect={403, 404})
        if response.status in {403, 404}:
            reason = Unavailability.GONE if response.status == 404 else Unavailability.FORBIDDEN
            raise TicketUnavailable(Unavailable(ticket_id, reason))
        return response

    async def _get(self, path: str, params: Params | None = None, expect: Collection[int] = ()) -> Response:
        """Read; of what is expected only refusals in Zoho's own words come back.

        Raises:
            PauseSystem: we are not let in.
            UnexpectedAnswer: any other status.
        """
        try:
            response = await self._http.get(f"{API}{path}", params=params, expect={403, *expect})
        except Refused as refused:
            message = str(refused)
        else:
            if response.status not in {403, 404} or _is_of_ticket(response, expect):
                return response
            message = f"{response.path} answered {response.status}, but not as Zoho Desk does: check base_url"
        raise UnexpectedAnswer(message)


def _is_of_ticket(response: Response, expect: Collection[int]) -> bool:
    """Tell whether a refusal is about a ticket; a proxy's is about nothing.

    Raises:
        PauseSystem: it is about ourselves.
    """
    code = record_of(response).find_text("errorCode") or ""
    if response.status == 403 and code in MISTAKES and not (code == FORBIDDEN_CODE and 403 in expect):
        raise PauseSystem(f"Zoho Desk refuses {response.path} ({code}): {MISTAKES[code]}; mend it, then resume")
    return code == FORBIDDEN_CODE if response.status == 403 else code in GONE_CODES


def _answer(response: Response) -> Record:
    """Return the object in an answer.

    Raises:
        UnexpectedAnswer: no object, nothing at all, or an error with status 200.
    """
    if response.status == 204:
        raise UnexpectedAnswer(f"{response.path} answered nothing")
    record = record_of(response)
    if "errorCode" in record:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} with an error inside")
    return record


def _rows(response: Response) -> list[Record]:
    """Return the rows of a list. An empty one is 204 without a body, and no JSON."""
    return [] if response.status == 204 else _answer(response).get_records("data")


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
