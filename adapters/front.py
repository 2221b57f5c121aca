"""Front, Core API: conversations with their messages and comments, and all changes of a company from its events.

Three things shape this module. The events tell of everything, but fifteen at a time and late: they are read up to two
minutes before Front's own clock. They may hold messages in part, and never say which message was the first: so replies
come from them only where all is there and the conversation was read before. And a merged conversation answers with a
redirect, which is read and never followed.

docs/adapters/front.md names the pages relied on, and says what maps to what and what Front cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from adapters._front_api import SEARCH, FrontApi, Page
from adapters._front_known import Known
from adapters._front_records import (
    CONVERSATION_ID,
    Event,
    milliseconds,
    parse_event,
    parse_replies,
    parse_ticket,
)
from adapters._webhooks_signed import FRONT
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
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
from syncd.sources.records import Record


class FrontConfig(AdapterConfig):
    """`[systems.NAME.options]` of a Front company."""

    base_url: str = Field(
        "https://api2.frontapp.com", description="Address of the API, or https://COMPANY.api.frontapp.com."
    )
    api_token: SecretStr = Field(
        min_length=1, description="API token of the company (Settings > Developers > API tokens)."
    )
    web_url: str = Field(
        "https://app.frontapp.com",
        description="Address of the pages that agents use: ticket links begin with it. It is never called.",
    )

    @field_validator("web_url")
    @classmethod
    def _is_web_address(cls, web_url: str) -> str:
        parts = urlsplit(web_url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("write it as https://HOST")
        return web_url.rstrip("/")


LAG = 120_000  # milliseconds: how late an event may appear, and how far the order of events is trusted
DATE_STEP = 1000  # milliseconds: the Date header tells whole seconds
_NUMBER = re.compile(r"(?P<id>(?:cnv|msg|com)_[0-9a-z]{1,40})|#?(?P<number>[A-Za-z0-9](?:[\w.-]{0,60}\d)?)", re.ASCII)
_LINK = re.compile(r"^/open/(?P<id>(?:cnv|msg|com)_[0-9a-z]{1,40})/?(?=[?#]|$)", re.ASCII)
_CURSOR = re.compile(r"[0-9]{1,15}", re.ASCII)
_HINT = (
    "this is no conversation of Front; write its ticket number, its id (cnv_...), or the link that Front copies, which "
    "has /open/cnv_... or /open/msg_... in it (the address in the browser has numbers of another kind)"
)


class Front(Adapter[FrontConfig]):
    """Conversations of one Front company, as far as the token sees them."""

    config = FrontConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_REPLIES})
    title = "Front"
    documentation = "https://dev.frontapp.com/reference/introduction"
    permissions = (
        "an API token with the scope Shared resources (Private resources too for private inboxes), and of its "
        "permissions only those to read conversations, messages, comments, events and teammates"
    )
    webhook = FRONT

    def __init__(self, options: FrontConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = FrontApi(http, options.base_url)
        self._has_feed: bool | None = None
        self._known = Known()

    @classmethod
    def connection(cls, options: FrontConfig) -> Connection:
        """Sign in with the token, and take half of the smallest plan's 50 requests a minute, which all programs share.

        Searches are allowed 40 % of the plan's rate, and bursts five requests a second per resource.
        https://dev.frontapp.com/docs/rate-limiting and https://dev.frontapp.com/docs/authentication
        """
        authentication = HeaderAuthentication(options.api_token, scheme="Bearer")
        return Connection(options.base_url, authentication, 25, concurrency=2, budgets={SEARCH: 10})

    async def check(self) -> Identity:
        """Tell the company, and whether the token sees conversations and events.

        https://dev.frontapp.com/reference/api-token-details
        """
        me = await self._api.me()
        account = me.find_text("name") or me.get_key("id")
        warnings = []
        if not await self._api.sees_conversations():
            warnings.append("the token sees no conversation: give it the inboxes concerned")
        self._has_feed = await self._api.sees_events()
        if self._has_feed:
            return Identity(account, ("the events of the company are open",), tuple(warnings))
        warnings.append("the token may not read events, so there is no change feed: conversations are read one by one")
        return Identity(account, (), tuple(warnings))

    async def available(self) -> frozenset[Capability]:
        """Return all capabilities if the token may read events, else none."""
        if self._has_feed is None:
            await self.check()
        return self.capabilities if self._has_feed else frozenset()

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a conversation by its id, by a link (which may name one of its messages), or by its ticket number.

        https://help.front.com/en/articles/2438 shows the links, https://dev.frontapp.com/docs/search-1 the search.
        """
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.web_url,
            link_hosts=self.link_hosts,
            hint=_HINT,
        )
        named = match["id"]
        if named is None:
            return self._get_ticket(await self._by_number(match["number"]))
        ticket_id = named if named.startswith("cnv_") else await self._api.conversation_of(named)
        return self._get_ticket(await self._api.conversation(ticket_id))

    async def _by_number(self, number: str) -> Record:
        """Search for a number as for any text; only a conversation that has it among its ticket ids is meant.

        Raises:
            TicketUnavailable: the search shows none.
            InvalidTicketRef: it shows several.
        """
        meant = await self._api.by_number(number)
        if not meant:
            raise TicketUnavailable(Unavailable(number, Unavailability.GONE))
        if len(meant) > 1:
            raise InvalidTicketRef(f"{len(meant)} conversations have the number {number}; name it by its link")
        return meant[0]

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for one after the other: Front documents no list of several by their ids.

        https://dev.frontapp.com/reference/get-conversation-by-id
        """
        states: list[Ticket | Unavailable] = []
        for ticket_id in dict.fromkeys(ids):
            try:
                _require_id(ticket_id)
                states.append(self._state(await self._api.conversation(ticket_id)))
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:  # noqa: ARG002
        """Yield all messages and comments of a conversation, oldest first, whatever `since` is.

        There is no filter by time, and a message that was sent late may stand among older ones; a hundred come with
        one request, so nothing is saved by reading less. What is remembered is the first message, for the feed.
        https://dev.frontapp.com/reference/list-conversation-messages and .../list-conversation-comments
        """
        _require_id(ticket.id)
        messages = await self._api.messages(ticket.id)
        replies = parse_replies(messages, await self._api.comments(ticket.id))
        first = next((reply for reply in replies if reply.first_message), None)
        if first is not None:
            self._known.note_first(ticket.id, first)
        for reply in replies:
            yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield what events tell, up to two minutes before the first answer by Front's clock: events may appear late.

        A cursor is an instant in milliseconds; what happened before it was told. Until the last page of a sweep is
        stored, it stays two minutes behind the newest event, as the order of events is not documented more closely.
        https://dev.frontapp.com/reference/list-events
        """
        since = newest = _parse_start(start)
        answered = None
        async with aclosing(self._api.events(since)) as pages:
            async for page in pages:
                answered = answered if answered is not None else _answered(page)
                events = [parse_event(record, self.options.web_url) for record in page.records]
                newest = _require_in_order(events, since, newest)
                is_new = bool(events) and all(event.at > answered + DATE_STEP for event in events)
                ended = page.following is None or is_new
                reached = max(since, (answered if ended else min(newest, answered)) - LAG)
                due = [event for event in events if since <= event.at < answered - LAG]
                yield self._change_page(due, Cursor(str(reached)))
                if ended:
                    return

    def _change_page(self, events: Sequence[Event], cursor: Cursor) -> ChangePage:
        """Return a page. A conversation of which an event does not tell all is left to be read by itself."""
        states: dict[str, Ticket | Unavailable] = {}
        replies: dict[str, list[Reply]] = {}
        unread: set[str] = set()
        for event in events:
            if event.is_internal:
                continue
            for ticket_id in (event.ticket_id, *event.merged_ids):
                replies.setdefault(ticket_id, [])
            state = self._known.find_news(event)
            if state is not None:
                states[event.ticket_id] = state
            reply = self._known.find_reply(event)
            if reply is not None:
                replies[event.ticket_id].append(reply)
            elif event.reply is not None or not event.is_told:
                unread |= {event.ticket_id, *event.merged_ids}
        told = {key: tuple(its) for key, its in replies.items() if key not in unread}
        return ChangePage(cursor, tuple(replies), tuple(states.values()), MappingProxyType(told))

    def _state(self, conversation: Record) -> Ticket | Unavailable:
        state = parse_ticket(conversation, self.options.web_url)
        self._known.note_state(state)
        return state

    def _get_ticket(self, conversation: Record) -> Ticket:
        """Return the ticket.

        Raises:
            InvalidTicketRef: a discussion or a task, which no customer sees.
        """
        state = self._state(conversation)
        if isinstance(state, Unavailable):
            raise InvalidTicketRef("this is a discussion or task of Front, among colleagues; customers see none of it")
        return state


def _require_id(ticket_id: str) -> None:
    if not CONVERSATION_ID.fullmatch(ticket_id):
        raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))


def _parse_start(start: Cursor | datetime) -> int:
    """Return the millisecond to go on from."""
    if isinstance(start, datetime):
        return max(0, milliseconds(start))
    if not _CURSOR.fullmatch(start):
        raise UnexpectedAnswer("the stored cursor is none of Front's: was the system another one before?")
    return int(start)


def _answered(page: Page) -> int:
    """Return when a page was answered, in milliseconds.

    Raises:
        UnexpectedAnswer: it does not say, so that nobody knows what may still appear.
    """
    if page.answered_at is None:
        raise UnexpectedAnswer("/events answered without a Date header, so how far it can be read is not known")
    return milliseconds(page.answered_at)


def _require_in_order(events: Sequence[Event], since: int, newest: int) -> int:
    """Hold events against what was asked, and return the time of the newest so far.

    Raises:
        UnexpectedAnswer: the bound or the order was ignored.
    """
    for event in events:
        if event.at < since - DATE_STEP:
            raise UnexpectedAnswer("/events ignored the bound: it answered events that happened before")
        if event.at < newest - LAG:
            raise UnexpectedAnswer("/events ignored the order: its events are not oldest first")
        newest = max(newest, event.at)
    return newest
