"""Intercom: conversations and tickets, all changes of a workspace from its two searches.

Three things shape this module. What agents share are two families, conversations and tickets, each with a search of
its own; a ticket has the number that people see and another id that the API wants. The first message of a conversation
is no part of it. And parts come with a single conversation alone, the newest 500 at once: so the feed names what
changed, and the core reads those that are linked. docs/adapters/intercom.md says what maps to what.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from adapters._intercom_api import NO_ACCESS, VERSION, Found, IntercomApi
from adapters._intercom_feed import Changed, Marks, cursor_of, parse_marks
from adapters._intercom_records import (
    CONVERSATIONS,
    FAMILIES,
    TICKETS,
    Family,
    find_assignee,
    parse_replies,
    parse_state,
    parse_ticket_id,
)
from adapters._webhooks_signed import INTERCOM
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, HeaderAuthentication, Http
from syncd.sources.links import match_ticket_ref
from syncd.sources.paging import Pages
from syncd.sources.records import Record


class IntercomConfig(AdapterConfig):
    """`[systems.NAME.options]` of an Intercom workspace."""

    base_url: str = Field(
        description="Address of the API in the workspace's region: https://api.intercom.io, "
        "https://api.eu.intercom.io or https://api.au.intercom.io."
    )
    access_token: SecretStr = Field(min_length=1, description="Access token of a private app of the workspace.")
    web_url: str = Field(
        "https://app.intercom.com",
        description="Address of the pages that agents use: ticket links begin with it. It is never called.",
    )
    assignments: Literal["public", "internal"] = Field(
        "public",
        description="What words are that come with an assignment: an answer to the customer, as the API documents it, "
        "or a note for the new assignee.",
    )

    @field_validator("web_url")
    @classmethod
    def _is_web_address(cls, web_url: str) -> str:
        parts = urlsplit(web_url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("write it as https://HOST")
        return web_url.rstrip("/")


PAGES_WALKED = 20  # of tickets, newest first, in search of a number
NUMBERS_KEPT = 50_000
# An id has many digits, a ticket's number few: a short number without # would find another ticket than is meant.
_NUMBER = re.compile(r"#(?P<number>[1-9][0-9]{0,9})|(?P<id>[1-9][0-9]{6,19})", re.ASCII)
_LINK = re.compile(r"^[^?#]*/conversations?/(?P<id>[1-9][0-9]{0,19})(?=[/?#]|$)", re.ASCII)


class Intercom(Adapter[IntercomConfig]):
    """Conversations and tickets of one Intercom workspace."""

    config = IntercomConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_TICKETS})
    title = "Intercom"
    documentation = "https://developers.intercom.com/docs/references/rest-api/api.intercom.io"
    permissions = "a private app with Read conversations, Read tickets (if tickets are linked) and Read admins"
    webhook = INTERCOM

    def __init__(self, options: IntercomConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = IntercomApi(http)
        self._workspace: str | None = None
        self._names: dict[str, str | None] = {}
        self._names_of_day = 0
        self._numbers: dict[str, str] = {}

    @classmethod
    def connection(cls, options: IntercomConfig) -> Connection:
        """Sign in with a token, name the version, and take half of the smallest limit that Intercom shows anywhere.

        Limits differ by app and workspace (1,000 to 10,000 a minute) and count in slices of ten seconds; an answer says
        how much is left, and a 429 when it is more again. Without a version the app's own would decide the shape of
        answers.
        https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting
        """
        authentication = HeaderAuthentication(options.access_token, scheme="Bearer")
        headers = {"Intercom-Version": VERSION}
        return Connection(options.base_url, authentication, requests_per_minute=500, headers=headers)

    async def check(self) -> Identity:
        """Tell whom the token stands for, in which workspace, and whether conversations and tickets can be read."""
        me = await self._api.me()
        account, app = me.find_text("email") or me.get_key("id"), me.find_record("app")
        self._workspace = _code_of(app)
        self._names.clear()
        if not await self._api.may_read(CONVERSATIONS):
            raise PauseSystem(NO_ACCESS)
        warnings = [] if self._workspace else ["Intercom does not tell its workspace: tickets have no link"]
        if not await self._api.may_read(TICKETS):
            warnings.append("the token or the plan does not allow to read tickets: conversations alone can be linked")
        if await self._api.find_admins() is None:
            warnings.append("the token may not read admins: whom a ticket is assigned to is not told")
        workspace = (app.find_text("name") if app is not None else None) or self._workspace or "unknown"
        return Identity(account, (f"workspace: {workspace}",), tuple(warnings))

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a conversation by its number, a ticket by # and its number, and either by a link, which holds its id."""
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.web_url,
            link_hosts=self.link_hosts,
            hint="this is nothing of Intercom's; write the long number of a conversation, # and the number of a ticket "
            "(#123), or a link with /conversation/NUMBER in it",
        ).groupdict()
        number = match.get("number")
        if number is None:
            family, item = await self._by_id(match["id"])
        else:
            family, item = TICKETS, await self._by_number(number)
        return await self._state(family, item)

    async def _by_id(self, key: str) -> tuple[Family, Record]:
        """Return what has an id: a conversation, or a ticket, which has its link in the same shape.

        A conversation that was made a ticket is both, under one id; it is followed as the ticket.
        """
        try:
            conversation = await self._api.get(CONVERSATIONS, key)
        except TicketUnavailable as error:
            if error.unavailable.reason is Unavailability.GONE and (ticket := await self._find_ticket(key)):
                return TICKETS, ticket
            raise
        twin = conversation.find_record("ticket")
        ticket = await self._find_ticket(key) if twin is not None and twin.find_key("id") == key else None
        return (CONVERSATIONS, conversation) if ticket is None else (TICKETS, ticket)

    async def _find_ticket(self, key: str) -> Record | None:
        try:
            return await self._api.get(TICKETS, key)
        except TicketUnavailable:
            return None

    async def _by_number(self, number: str) -> Record:
        """Return the ticket with a number that people see; no search takes it, and no path.

        Known are the numbers that were in the feed; else the tickets are walked, newest change first, so far.
        https://developers.intercom.com/docs/references/rest-api/api.intercom.io/tickets/searchtickets

        Raises:
            TicketUnavailable: no ticket has it, or the one that has it is gone.
            InvalidTicketRef: it is not among those that were walked.
        """
        pages, after = Pages("the list of tickets"), None
        for _ in range(PAGES_WALKED):
            if number in self._numbers:
                break
            page = await self._api.newest(TICKETS, after)
            if page is None:
                raise TicketUnavailable(Unavailable(f"#{number}", Unavailability.FORBIDDEN))
            self._remember(page)
            after = page.after
            if after is None:
                break
            pages.turn_to(after)
        key = self._numbers.get(number)
        if key is not None:
            ticket = await self._api.get(TICKETS, key)
            if ticket.get_key("ticket_id") != number:
                raise UnexpectedAnswer("a ticket has another number by itself than in the list of tickets")
            return ticket
        if after is None:
            raise TicketUnavailable(Unavailable(f"#{number}", Unavailability.GONE))
        raise InvalidTicketRef(f"#{number} is not among the tickets that changed lately; name it by its link")

    def _remember(self, page: Found) -> None:
        """Keep the ids of tickets by their numbers; the longest known are forgotten where there are too many."""
        for row in page.rows:
            number = row.find_key("ticket_id")
            if number is not None:
                self._numbers.pop(number, None)
                self._numbers[number] = row.get_key("id")
        while len(self._numbers) > NUMBERS_KEPT:
            del self._numbers[next(iter(self._numbers))]

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Search fifty at a time, and ask one by one for those that the search does not show, to learn why."""
        wanted = {ticket_id: parse_ticket_id(ticket_id) for ticket_id in dict.fromkeys(ids)}
        shown: dict[tuple[Family, str], Record] = {}
        for family in FAMILIES:
            keys = [place[1] for place in wanted.values() if place is not None and place[0] is family]
            shown |= {(family, key): row for key, row in (await self._api.by_ids(family, keys)).items()}
        states: list[Ticket | Unavailable] = []
        for ticket_id, place in wanted.items():
            if place is None:
                states.append(Unavailable(ticket_id, Unavailability.GONE))
                continue
            try:
                states.append(await self._state(place[0], shown.get(place) or await self._api.get(*place)))
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:  # noqa: ARG002 - see below
        """Yield the first message and all messages and notes, oldest first, in one request, whatever `since` is.

        There is no filter by time and no list of parts to turn: the newest 500 come with the conversation. An edited
        or redacted message keeps its id and time, so that the older ones are worth yielding.
        """
        place = parse_ticket_id(ticket.id)
        if place is None:
            raise TicketUnavailable(Unavailable(ticket.id, Unavailability.GONE))
        item = await self._api.get(*place)
        are_assignments_public = self.options.assignments == "public"
        for reply in parse_replies(place[0], item, are_assignments_public=are_assignments_public):
            yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield what changed, conversations and then tickets. A quiet sweep is two requests.

        That searches can be sorted is hardly documented. So nothing hangs on their order: the mark of a family moves
        when its search was read to the end, and not further than to the time at which that reading began.
        """
        marks = parse_marks(start)
        self._forget_names(marks)
        for family in FAMILIES:
            async with aclosing(self._changes_of(family, marks)) as pages:
                async for page in pages:
                    yield page

    async def _changes_of(self, family: Family, marks: Marks) -> AsyncGenerator[ChangePage, None]:
        """Yield the pages of a family, and move its mark at the end; tickets that may not be read are left out."""
        mark, moved = marks[family], marks[family]
        pages, after, began_at = Pages(f"/{family.name}/search"), None, None
        while True:
            page = await self._api.changed(family, mark.begin, after)
            if page is None and family is CONVERSATIONS:
                raise PauseSystem(NO_ACCESS)
            if page is None:
                return
            began_at = began_at or page.answered_at
            rows = [Changed(row.get_key("id"), int(row.get_epoch("updated_at").timestamp())) for row in page.rows]
            news, moved = moved.news(rows), moved.moved_over(rows, page.answered_at, began_at)
            after = page.after
            if family is TICKETS:
                self._remember(page)
            if after is None:
                marks[family] = moved
            yield ChangePage(cursor_of(marks), tuple(f"{family.prefix}{key}" for key in news))
            if after is None:
                return
            pages.turn_to(after)

    async def _state(self, family: Family, item: Record) -> Ticket:
        key = item.get_key("id")
        if self._workspace is None:
            self._workspace = _code_of((await self._api.me()).find_record("app"))
        assignee = find_assignee(item)
        if assignee is not None and assignee not in self._names:
            self._names = {**self._names, assignee: None, **(await self._api.find_admins() or {})}
        link = f"{self.options.web_url}/a/inbox/{self._workspace}/inbox/conversation/{key}" if self._workspace else None
        return parse_state(family, item, link, self._names)

    def _forget_names(self, marks: Marks) -> None:
        """Forget the names of agents once a day of the feed, because they change."""
        day = marks[CONVERSATIONS].newest // 86_400
        if day != self._names_of_day:
            self._names_of_day = day
            self._names.clear()


def _code_of(app: Record | None) -> str:
    """Return the workspace's code in links, or "" if it is not told."""
    return (app.find_text("id_code") if app is not None else None) or ""
