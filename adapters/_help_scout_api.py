"""Help Scout's endpoints: what is asked, how its lists are read, and which of its answers are none.

https://developer.helpscout.com/mailbox-api/
"""

import re
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.records import Record, record_of

Params = dict[str, str | int]

EMBED: Params = {"embed": "threads"}
ALL: Params = {"status": "all"}  # else only active conversations are listed
UNAVAILABLE = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
_MOVED_TO = re.compile(r"/conversations/([1-9][0-9]{0,18})/?(?:[?#]|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, how many pages and records there are, and when it was answered, by Help Scout's clock."""

    records: list[Record]
    pages: int
    total: int
    answered_at: datetime | None

    @property
    def ids(self) -> set[str]:
        """Return the ids of what is on it."""
        return {record.get_key("id") for record in self.records}


class HelpScoutApi:
    """Reads of one account."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def me(self) -> Record:
        """Return the user whom the app acts as (/endpoints/users/get-me/).

        Raises:
            PauseSystem: there is no such user, or no API.
        """
        response = await self._get("/users/me", {}, expect={403, 404})
        if response.status != 200:
            raise PauseSystem(
                f"{response.path} answered {response.status}: base_url must be the API's address with its version, "
                "https://api.helpscout.net/v2, and the account's plan must have the API"
            )
        return record_of(response)

    async def inboxes(self) -> Page:
        """Return the inboxes that this user sees (/endpoints/mailboxes/list/)."""
        return await self._page("/mailboxes", "mailboxes", {}, 1)

    async def by_number(self, number: str) -> list[Record]:
        """Return the conversations that have this number (/endpoints/conversations/list/)."""
        page = await self._page("/conversations", "conversations", {**ALL, **EMBED, "number": number}, 1)
        return [record for record in page.records if record.get_key("number") == number]

    async def conversation(self, ticket_id: str) -> Record:
        """Return a conversation with its threads inside (/endpoints/conversations/get/).

        One that was merged into another is answered with 301 and the place of the other, which is read and not
        followed: following it would hide the merge.

        Raises:
            TicketUnavailable: gone, forbidden, or merged.
            PauseSystem: forbidden like everything else, which is no matter of one conversation.
        """
        path = f"/conversations/{ticket_id}"
        response = await self._get(path, EMBED, expect={301, *UNAVAILABLE})
        if response.status == 301:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.MERGED, _moved_to(response, ticket_id)))
        if response.status in UNAVAILABLE:
            _insist_on_theirs(response)
            if response.status == 403:
                await self.inboxes()
            raise TicketUnavailable(Unavailable(ticket_id, UNAVAILABLE[response.status]))
        conversation = record_of(response)
        told = conversation.get_key("id")
        if told != ticket_id:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.MERGED, told))
        return conversation

    async def threads(self, ticket_id: str) -> list[Record]:
        """Return all threads of a conversation, newest first (/endpoints/conversations/threads/list/).

        Raises:
            TicketUnavailable: the conversation was merged or deleted since it was read; its threads are then 404.
            UnexpectedAnswer: a thread went away meanwhile: all older ones moved forward, and one of them to a page that
                was read already. It would look deleted.
        """
        path, number = f"/conversations/{ticket_id}/threads", 1
        response = await self._get(path, {"page": number}, expect=UNAVAILABLE)
        threads: list[Record] = []
        known: set[str] = set()
        counted = 0
        while response.status not in UNAVAILABLE:
            page = _page_in(response, "threads", number)
            if page.total < counted:
                raise UnexpectedAnswer(f"{path} lost a thread while it was read; it has to be read again")
            if page.records and page.ids <= known:
                raise UnexpectedAnswer(f"{path} gives the same page again and again")
            counted = page.total
            threads += page.records
            known |= page.ids
            if number >= page.pages:
                return threads
            number += 1
            response = await self._get(path, {"page": number}, expect=UNAVAILABLE)
        await self.conversation(ticket_id)
        raise UnexpectedAnswer(f"{path} answered {response.status}, but its conversation is there")

    async def changed(self, since: datetime) -> AsyncGenerator[tuple[Page, bool], None]:
        """Yield the pages of conversations modified since an instant, each with whether the list has ended.

        Pages are numbered, and the list moves while it is read: what is modified goes to its end, what is deleted
        leaves it, and everything behind moves forward. Read from the last page to the first, nothing can slip
        through: it only moves to pages still to come. What moved to the end meanwhile was modified after the first
        answer, and is found from that answer's time on. Where fewer came than were counted (the order of
        conversations modified in the same second is nowhere promised), the list is read again, while that helps.
        """
        page = await self._changed_page(since, 1)
        ended = page.pages <= 1
        yield page, ended
        seen: set[str] = set()
        while not ended:
            counted, known = page.total, len(seen)
            before: set[str] = set()
            for number in range(max(page.pages, 1), 0, -1):
                page = await self._changed_page(since, number)
                if page.ids and page.ids == before:
                    raise UnexpectedAnswer("/conversations gives the same page again and again")
                before = page.ids
                seen |= before
                ended = number == 1 and (len(seen) >= min(counted, page.total) or len(seen) == known)
                yield page, ended

    async def _changed_page(self, since: datetime, number: int) -> Page:
        """Read a page. `modifiedSince` is whole seconds and Z; Help Scout refuses fractions."""
        place = {"modifiedSince": stamp(since), "sortField": "modifiedAt", "sortOrder": "asc"}
        return await self._page("/conversations", "conversations", {**ALL, **EMBED, **place}, number)

    async def _page(self, path: str, name: str, params: Params, number: int) -> Page:
        """Read a page of a list of the account.

        Raises:
            PauseSystem: the user may not read it.
        """
        response = await self._get(path, {**params, "page": number}, expect={403})
        if response.status == 403:
            _insist_on_theirs(response)
            raise PauseSystem(
                f"Help Scout refuses {path}: the app's user needs access to the inboxes, and the account's plan must "
                "have the API; mend it, then resume the system"
            )
        return _page_in(response, name, number)

    async def _get(self, path: str, params: Params, expect: Collection[int]) -> Response:
        """Read a path.

        Raises:
            UnexpectedAnswer: any status that is not in `expect`; beside what Http raises.
        """
        try:
            return await self._http.get(path, params=params, expect=expect)
        except Refused as refused:
            message = str(refused)
        raise UnexpectedAnswer(message)


def stamp(instant: datetime) -> str:
    """Return an instant as Help Scout wants it: whole seconds, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _page_in(response: Response, name: str, number: int) -> Page:
    """Return the page in an answer. Where a list is empty, the place of its records is missing altogether.

    Raises:
        UnexpectedAnswer: another page than the one asked for, or nothing though something is counted.
    """
    answer = record_of(response)
    paging, inside = answer.get_record("page"), answer.find_record("_embedded")
    pages, total = paging.get_int("totalPages"), paging.get_int("totalElements")
    records = inside.find_records(name) if inside is not None else []
    if total and paging.get_int("number") != number:
        raise UnexpectedAnswer(f"{response.path} answered another page than the one asked for")
    if total and not records and number <= pages:
        raise UnexpectedAnswer(f"{response.path} answered no {name} though it counts some")
    return Page(records, pages, total, response.answered_at)


def _insist_on_theirs(response: Response) -> None:
    """Accept a refusal that bears Help Scout's marks: a proxy has a 403 and a 404 too.

    https://developer.helpscout.com/mailbox-api/overview/errors/

    Raises:
        UnexpectedAnswer: it is somebody else's, and says nothing about what was asked for.
    """
    if "Correlation-ID" not in response.headers and not record_of(response).find_text("logRef"):
        raise UnexpectedAnswer(
            f"{response.path} answered {response.status}, but not as Help Scout does: check base_url"
        )


def _moved_to(response: Response, ticket_id: str) -> str:
    """Return the id of the conversation that a `Location` names; its host does not matter, as nobody goes there."""
    match = _MOVED_TO.search(response.headers.get("Location", ""))
    if match is None or match[1] == ticket_id:
        raise UnexpectedAnswer(f"{response.path} is redirected, but to no other conversation: check base_url")
    return match[1]
