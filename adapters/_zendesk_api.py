"""Zendesk's endpoints: what is asked, how its lists go on, and which of its answers are none. It returns raw records.

https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/
"""

from collections.abc import Collection, Iterable
from typing import Any

from adapters._zendesk_records import Json, check_ids
from syncd.model.errors import PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response

EXPORTS = "/api/v2/incremental"
OVERLAP_SECONDS = 300  # how far the exports were seen to lag; it also keeps start_time the 60 s back that are required
LARGEST_PAGE, SMALLEST_PAGE = 1000, 50  # records of an export
ITEMS_PER_REQUEST = 100  # ids of show_many, comments on a page
TIMED_OUT = frozenset({504, 524})
NOT_NOW = frozenset({409, 520, 524})  # Zendesk means "again later" by them, which Http cannot know


class ZendeskApi:
    """Reads of one account."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def get(self, path: str, params: Json | None = None, expect: Collection[int] = ()) -> Response:
        """Read a path.

        Raises:
            RetryLater, UnexpectedAnswer: any status that is not in `expect`; beside what Http raises.
        """
        try:
            return await self._http.get(path, params=params, expect=expect)
        except Refused as refused:
            status, message = refused.status, str(refused)
        if status in NOT_NOW:
            raise RetryLater(f"Zendesk cannot answer now: {message}")
        raise UnexpectedAnswer(message)

    async def show(self, ticket_id: str) -> Json:
        """Return a ticket.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        response = await self.get(f"/api/v2/tickets/{ticket_id}", expect={403, 404})
        ticket: Json = answer_of(_available(response, ticket_id), "ticket", dict)["ticket"]
        check_ids(ticket, response.path)
        return ticket

    async def show_many(self, what: str, ids: Iterable[int]) -> list[Json]:
        """Return tickets or users, a hundred per request; which of the ids are unknown is not told."""
        wanted = sorted(set(ids))
        found: list[Json] = []
        for place in range(0, len(wanted), ITEMS_PER_REQUEST):
            part = ",".join(map(str, wanted[place : place + ITEMS_PER_REQUEST]))
            response = await self.get(f"/api/v2/{what}/show_many", {"ids": part}, expect={404})
            if response.status != 404 or _error_word(response) != "RecordNotFound":
                found += answer_of(response, what)[what]
        return found

    async def comments(self, ticket_id: str, after: str | None, *, newest_first: bool) -> tuple[Json, str | None]:
        """Return an answer with `comments` and their `users`, and the token of the next page if there is one.

        Raises:
            TicketUnavailable: gone or forbidden.
            UnexpectedAnswer: more is to come, but the token is none or the last one again.
        """
        path = f"/api/v2/tickets/{ticket_id}/comments"
        place: Json = {"page[size]": ITEMS_PER_REQUEST, "sort": "-created_at" if newest_first else "created_at"}
        place |= {"include": "users"} if after is None else {"include": "users", "page[after]": after}
        answer = answer_of(_available(await self.get(path, place, expect={403, 404}), ticket_id), "comments")
        meta = answer.get("meta")
        if not isinstance(meta, dict) or not isinstance(meta.get("has_more"), bool):
            raise UnexpectedAnswer(f"{path} answered without meta.has_more")
        token = meta.get("after_cursor") if meta["has_more"] else None
        if meta["has_more"] and token in {None, after}:
            raise UnexpectedAnswer(f"{path} gave no new after_cursor though more is to come")
        return answer, token


class Exports:
    """The incremental exports for one sweep: ten requests a minute, for administrators alone."""

    def __init__(self, api: ZendeskApi) -> None:
        self._api = api
        self._page_size = LARGEST_PAGE
        self._bookmarks: set[str] = set()

    async def tickets(self, bookmark: str) -> tuple[list[Json], str, bool]:
        """Return a page of tickets, the bookmark behind it, and whether it is the last page.

        A bookmark is the export's own cursor, or @ and the Unix time to begin at.
        """
        place: Json = {"cursor": bookmark}
        if bookmark.startswith("@"):
            place = {"start_time": max(0, int(bookmark[1:]) - OVERLAP_SECONDS)}
        answer = await self._page("tickets/cursor", "tickets", place)
        after, ended = answer.get("after_cursor"), answer["end_of_stream"]
        self._bookmarks.add(bookmark)
        if not ended and (not after or after in self._bookmarks):
            raise UnexpectedAnswer(f"{EXPORTS}/tickets/cursor gave no new after_cursor though more is to come")
        return answer["tickets"], after or bookmark, ended

    async def events(self, start_time: int) -> tuple[list[Json], int, bool]:
        """Return a page of events with their comments, the time to go on from, and whether it is the last page."""
        place = {"start_time": start_time, "include": "comment_events"}
        answer = await self._page("ticket_events", "ticket_events", place)
        events, end_time, ended = answer["ticket_events"], answer.get("end_time"), answer["end_of_stream"]
        if not events and end_time is None:
            return [], start_time, True
        if not isinstance(end_time, int) or (end_time <= start_time and not ended):
            raise UnexpectedAnswer(f"{EXPORTS}/ticket_events stands still at {end_time} though more is to come")
        return events, end_time, ended

    async def _page(self, name: str, key: str, place: Json) -> Json:
        """Read a page, in smaller and smaller pieces while Zendesk cannot make it in time."""
        while True:
            size = {} if self._page_size == LARGEST_PAGE else {"per_page": self._page_size}
            response = await self._api.get(f"{EXPORTS}/{name}", {**place, **size}, expect={403, *TIMED_OUT})
            if response.status == 403:
                raise PauseSystem(
                    "Zendesk refuses the exports: the user is no admin (any more); make it one and resume"
                )
            if response.status not in TIMED_OUT:
                answer = answer_of(response, key)
                if not isinstance(answer.get("end_of_stream"), bool):
                    raise UnexpectedAnswer(f"{response.path} answered without end_of_stream")
                return answer
            if self._page_size // 2 < SMALLEST_PAGE:
                raise RetryLater(f"{response.path} is too slow: status {response.status} for {self._page_size} records")
            self._page_size //= 2


def answer_of(response: Response, key: str, kind: type = list) -> Json:
    """Return the JSON object of an answer that has `key`; an error may hide behind a 200.

    Raises:
        UnexpectedAnswer: no JSON object, another one, or one that tells of an error.
    """
    value = response.json()
    if not isinstance(value, dict) or not isinstance(value.get(key), kind) or value.get("error"):
        raise UnexpectedAnswer(f"{response.path} answered {response.status} without {key}")
    for row in value[key] if kind is list else ():
        check_ids(row, f"{response.path}: {key}")
    return value


def _available(response: Response, ticket_id: str) -> Response:
    """Return an answer about a ticket. Only Zendesk's own words say that one is gone: a proxy has a 404 too.

    Raises:
        TicketUnavailable: gone or forbidden.
        UnexpectedAnswer: a 403 or 404 about something else.
    """
    if response.status not in {403, 404}:
        return response
    word = _error_word(response)
    if response.status == 403 and word:
        raise TicketUnavailable(Unavailable(ticket_id, Unavailability.FORBIDDEN))
    if word == "RecordNotFound":
        raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
    raise UnexpectedAnswer(
        f"{response.path} answered {response.status}, but not that the ticket is gone: check base_url"
    )


def _error_word(response: Response) -> Any:
    """Return what Zendesk calls an error; `error` is a word, or an object with a title."""
    value = response.json()
    error = value.get("error") if isinstance(value, dict) else None
    return error.get("title") if isinstance(error, dict) else error
