"""Front's endpoints: what is asked, how its lists are read, and what its refusals mean.

https://dev.frontapp.com/reference/introduction
"""

import re
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters._front_records import MESSAGE_EVENTS, STATE_EVENTS, WRITTEN_EVENTS, ticket_numbers
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.paging import Pages, path_below
from syncd.sources.records import Record, record_of

Params = Sequence[tuple[str, str | int]]

UNAVAILABLE = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
MOVED = 301
LARGEST_PAGE = 100
EVENTS_PAGE = 15  # both what Front gives unasked and the most that it documents
EVENT_TYPES = tuple(sorted(MESSAGE_EVENTS | STATE_EVENTS | WRITTEN_EVENTS))
SEARCH = "/conversations/search"
MOST_SEARCH_PAGES = 5
MOST_EMPTY_PAGES = 20  # of events in a row, if each names a next one
PARENTS: Mapping[str, str] = {"msg": "/messages", "com": "/comments"}
_MOVED_TO = re.compile(r"/conversations/(cnv_[0-9a-z]{1,40})(?=$|[/?#])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and when it was answered by Front's clock."""

    records: list[Record]
    following: str | None
    answered_at: datetime | None


class FrontApi:
    """Reads of one company. Next pages are named by addresses of another host: their path and query are used alone."""

    def __init__(self, http: Http, base_url: str) -> None:
        self._http = http
        self._base_url = base_url

    async def me(self) -> Record:
        """Return the company that the token is of (/reference/api-token-details).

        Raises:
            PauseSystem: there is no API at this address.
        """
        response = await self._get("/me", expect=UNAVAILABLE)
        if response.status != 200:
            raise PauseSystem(f"{response.path} answered {response.status}: check base_url and the scopes of the token")
        return record_of(response)

    async def sees_conversations(self) -> bool:
        """Ask for one conversation (/reference/list-conversations).

        Raises:
            PauseSystem: the token may not read conversations.
        """
        response = await self._get("/conversations", [("limit", 1)], expect={403})
        if response.status == 403:
            raise PauseSystem("Front refuses conversations: give the token the scope for reading shared resources")
        return bool(_page_in(response).records)

    async def sees_events(self) -> bool:
        """Ask for one event: 403 says that the token may not read them (/reference/list-events)."""
        response = await self._get("/events", [("limit", 1)], expect={403})
        if response.status == 403:
            return False
        _page_in(response)
        return True

    async def conversation(self, ticket_id: str) -> Record:
        """Return a conversation (/reference/get-conversation-by-id).

        Raises:
            TicketUnavailable: gone, forbidden, or merged.
        """
        conversation = record_of(await self._of_ticket(f"/conversations/{ticket_id}", (), ticket_id))
        told = conversation.get_key("id")
        if told != ticket_id:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.MERGED, told))
        return conversation

    async def conversation_of(self, part_id: str) -> str:
        """Return the id of the conversation that a message or comment is in (/reference/get-message).

        Raises:
            TicketUnavailable: the message is gone or forbidden.
        """
        response = await self._of_ticket(f"{PARENTS[part_id[:3]]}/{part_id}", (), part_id)
        related = record_of(response).get_record("_links").get_record("related")
        match = _MOVED_TO.search(related.get_text("conversation"))
        if match is None:
            raise UnexpectedAnswer(f"{response.path} names no conversation")
        return match[1]

    async def by_number(self, number: str) -> list[Record]:
        """Return the conversations that have this ticket id: a search finds it in texts as well (/docs/search-1).

        Raises:
            UnexpectedAnswer: so much was found that the end was not reached, and none of it has the ticket id.
        """
        path: str = f"{SEARCH}/{number}"
        params: Params = (("limit", LARGEST_PAGE),)
        meant: dict[str, Record] = {}
        pages = Pages(path)
        for _ in range(MOST_SEARCH_PAGES):
            pages.turn_to(path)
            page = _page_in(await self._get(path, params))
            named = (one for one in page.records if number.lower() in map(str.lower, ticket_numbers(one)))
            meant |= {one.get_key("id"): one for one in named}
            if page.following is None:
                return list(meant.values())
            path, params = path_below(page.following, self._base_url), ()
        if meant:
            return list(meant.values())
        raise UnexpectedAnswer("the search finds too many conversations with that text; name the ticket by its link")

    async def messages(self, ticket_id: str) -> list[Record]:
        """Return all messages of a conversation: there is no filter by time (/reference/list-conversation-messages).

        Raises:
            TicketUnavailable: gone, forbidden, or merged.
        """
        order = (("limit", LARGEST_PAGE), ("sort_by", "created_at"), ("sort_order", "asc"))
        return await self._all_of(f"/conversations/{ticket_id}/messages", order, ticket_id)

    async def comments(self, ticket_id: str) -> list[Record]:
        """Return all comments of a conversation (/reference/list-conversation-comments).

        Raises:
            TicketUnavailable: gone or merged.
            UnexpectedAnswer: the messages can be read, but not the comments.
        """
        path = f"/conversations/{ticket_id}/comments"
        try:
            return await self._all_of(path, (), ticket_id, is_paged=False)
        except TicketUnavailable as error:
            if error.unavailable.reason is Unavailability.MERGED:
                raise
        await self.conversation(ticket_id)
        raise UnexpectedAnswer(f"{path} is refused, though its conversation is there: the token needs comments:read")

    async def events(self, since: int) -> AsyncGenerator[Page, None]:
        """Yield the pages of events after an instant in milliseconds, oldest first (/reference/list-events).

        The default is newest first. Whether the bound itself is inside is not documented; so one millisecond more.
        """
        path, params = "/events", _events_asked(since - 1)
        pages, empty = Pages(path), 0
        while True:
            pages.turn_to(path)
            page = _page_in(await self._get(path, params))
            empty = 0 if page.records else empty + 1
            if page.following is not None and empty >= MOST_EMPTY_PAGES:
                raise UnexpectedAnswer("/events names one more page again and again, and there is nothing on any")
            yield page
            if page.following is None:
                return
            path, params = path_below(page.following, self._base_url), ()

    async def _all_of(self, path: str, params: Params, ticket_id: str, *, is_paged: bool = True) -> list[Record]:
        found: dict[str, Record] = {}
        pages = Pages(path)
        while True:
            pages.turn_to(path)
            page = _page_in(await self._of_ticket(path, params, ticket_id), is_paged=is_paged)
            known = len(found)
            found |= {record.get_key("id"): record for record in page.records}
            if page.following is None:
                return list(found.values())
            if len(found) == known:
                raise UnexpectedAnswer(f"{path.partition('?')[0]} names one more page, and there is nothing new on any")
            path, params = path_below(page.following, self._base_url), ()

    async def _of_ticket(self, path: str, params: Params, ticket_id: str) -> Response:
        """Read what belongs to a conversation. The 301 of a merged one is read, and not followed: that would hide it.

        Raises:
            TicketUnavailable: gone, forbidden, or merged.
            PauseSystem: forbidden like everything else, which is no matter of one conversation.
        """
        response = await self._get(path, params, expect={MOVED, *UNAVAILABLE})
        if response.status == MOVED:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.MERGED, _moved_to(response, ticket_id)))
        if response.status in UNAVAILABLE:
            record_of(response)  # Front answers in JSON; a proxy's page says nothing about a conversation
            if response.status == 403:
                await self.sees_conversations()
            raise TicketUnavailable(Unavailable(ticket_id, UNAVAILABLE[response.status]))
        return response

    async def _get(self, path: str, params: Params = (), expect: Collection[int] = ()) -> Response:
        """Read a path. A path with a query is the next page of a list, and has all that it needs.

        Raises:
            UnexpectedAnswer: any status that is not in `expect`; beside what Http raises.
        """
        try:
            return await self._http.get(path, params=params or None, expect=expect)
        except Refused as refused:
            message = str(refused)
        raise UnexpectedAnswer(message)


def _events_asked(after: int) -> Params:
    """Return the query of the first page of events: seconds with three digits behind the point, whole numbers apart."""
    seconds, thousandths = divmod(max(after, 0), 1000)
    types = [("q[types][]", name) for name in EVENT_TYPES]
    bound = ("q[after]", f"{seconds}.{thousandths:03d}")
    return (*types, bound, ("sort_by", "created_at"), ("sort_order", "asc"), ("limit", EVENTS_PAGE))


def _page_in(response: Response, *, is_paged: bool = True) -> Page:
    """Return the page in an answer; that it is the last only `_pagination` says, never that it is short."""
    answer = record_of(response)
    if "_error" in answer:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} with an error inside")
    paging = answer.get_record("_pagination") if is_paged else answer.find_record("_pagination")
    following = paging.find_text("next") if paging is not None else None
    if is_paged and paging is not None and "next" not in paging:
        raise UnexpectedAnswer(f"{response.path} does not say whether there is a next page")
    return Page(answer.get_records("_results"), following, response.answered_at)


def _moved_to(response: Response, ticket_id: str) -> str:
    """Return the conversation that a `Location` names; its host does not matter, as nobody goes there."""
    match = _MOVED_TO.search(response.headers.get("Location", ""))
    if match is None or match[1] == ticket_id:
        raise UnexpectedAnswer(f"{response.path} is redirected, but to no other conversation: check base_url")
    return match[1]
