"""Help Scout, Inbox API 2.0: conversations with their threads, all changes of an account from one list.

Two things shape this module. A conversation does not say when it was modified, though its list can be narrowed and
sorted by that: so how far the feed got is told by the clock of Help Scout's answers. And the list is paged by number
while it moves: so it is read from its end. docs/adapters/help_scout.md says what maps to what.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from adapters._help_scout_api import HelpScoutApi, stamp
from adapters._help_scout_records import embedded_threads, find_replies, parse_replies, parse_ticket
from adapters._webhooks_signed import HELP_SCOUT
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
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, Http, TokenAuthentication
from syncd.sources.links import match_ticket_ref
from syncd.sources.records import Record, find_instant_in


class HelpScoutConfig(AdapterConfig):
    """`[systems.NAME.options]` of a Help Scout account."""

    base_url: str = Field(
        "https://api.helpscout.net/v2", description="Address of the API with its version; the same for every account."
    )
    client_id: str = Field(min_length=1, description="App ID of an OAuth2 application (Your Profile > My apps).")
    client_secret: SecretStr = Field(min_length=1, description="App Secret of that application.")
    web_url: str = Field(
        "https://secure.helpscout.net",
        description="Address of the pages that agents use: ticket links begin with it. It is never called.",
    )

    @field_validator("web_url")
    @classmethod
    def _is_web_address(cls, web_url: str) -> str:
        parts = urlsplit(web_url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("write it as https://HOST")
        return web_url.rstrip("/")


OVERLAP = timedelta(minutes=5)  # how late the list may show a change: undocumented, so it is generous
EARLIEST = datetime(2011, 1, 1, tzinfo=UTC)  # Help Scout opened in 2011
_NUMBER = re.compile(r"#?([1-9][0-9]{0,18})", re.ASCII)
_LINK = re.compile(r"^[^?#]*/conversation/([1-9][0-9]{0,18})(?:/[0-9]{1,19})?/?(?=[?#]|$)", re.ASCII)
_CURSOR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)


class HelpScout(Adapter[HelpScoutConfig]):
    """Conversations of one Help Scout account, as far as the user of the app sees them."""

    config = HelpScoutConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_REPLIES})
    title = "Help Scout"
    documentation = "https://developer.helpscout.com/mailbox-api/"
    permissions = (
        "an OAuth2 app of a user with the role User who has access to the inboxes concerned; nothing is written"
    )
    webhook = HELP_SCOUT

    def __init__(self, options: HelpScoutConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = HelpScoutApi(http)

    @classmethod
    def connection(cls, options: HelpScoutConfig) -> Connection:
        """Sign in as the app, with a token for two days, and take half of the smallest plan's 200 requests a minute.

        All programs of the account share that limit, so half is left to them.
        https://developer.helpscout.com/mailbox-api/overview/authentication/ and .../overview/rate-limiting/
        """
        authentication = TokenAuthentication("/oauth2/token", options.client_id, options.client_secret)
        return Connection(options.base_url, authentication, requests_per_minute=100)

    async def check(self) -> Identity:
        """Tell whom the app acts as, and which inboxes that user sees: conversations of others are out of reach."""
        me = await self._api.me()
        user_id = me.get_key("id")
        account = f"{me.find_text('email') or user_id} ({me.find_text('role') or 'role unknown'})"
        inboxes = await self._api.inboxes()
        if not inboxes.records:
            return Identity(account, (), ("the app's user sees no inbox: give it access to the inboxes concerned",))
        names = ", ".join(inbox.find_text("name") or inbox.get_key("id") for inbox in inboxes.records)
        return Identity(account, (f"inboxes ({inboxes.total}): {names}",))

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a conversation by its number, or by a link, which names the id first and then the number.

        The number is searched for with `status=all`: without it a closed conversation is not found.
        """
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.web_url,
            link_hosts=self.link_hosts,
            hint="this is no conversation of Help Scout; write its number, such as 4711, or a link like "
            f"{self.options.web_url}/conversation/ID/NUMBER/",
        )
        if ref.link is not None:
            return self._get_ticket(await self._api.conversation(match[1]))
        found = await self._api.by_number(match[1])
        if not found:
            raise TicketUnavailable(Unavailable(match[1], Unavailability.GONE))
        if len(found) > 1:
            raise InvalidTicketRef(f"{len(found)} conversations have the number {match[1]}; name it by its link")
        return self._get_ticket(found[0])

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for one after the other: Help Scout documents no list of several by their ids."""
        states: list[Ticket | Unavailable] = []
        for ticket_id in dict.fromkeys(ids):
            try:
                states.append(self._state(await self._conversation(ticket_id)))
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:  # noqa: ARG002
        """Yield all messages and notes of a conversation, oldest first, whatever `since` is.

        There is no filter by time, a conversation has a hundred threads at most, and a draft that is published later
        may keep its old time: so all are read, in one request as a rule. Those of a long conversation, which may not
        all have come inside it, are read from their own list too.
        """
        conversation = await self._conversation(ticket.id)
        self._get_ticket(conversation)
        found = find_replies(conversation)
        if found is None:
            found = parse_replies(conversation, await self._api.threads(ticket.id))
        for reply in found:
            yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the modified conversations with their threads. A quiet sweep is one request.

        A cursor is the time of the first answer of a sweep: all that was modified before it, and was listed in time,
        is in that sweep. Until the last page of a sweep is stored, the cursor stays where it was.
        https://developer.helpscout.com/mailbox-api/endpoints/conversations/list/
        """
        since = _parse_start(start)
        reached: datetime | None = None
        async with aclosing(self._api.changed(max(since, EARLIEST) - OVERLAP)) as pages:
            async for page, ended in pages:
                reached = reached or max(since, page.answered_at or since)
                yield self._change_page(page.records, Cursor(stamp(reached if ended else since)))

    def _change_page(self, conversations: Sequence[Record], cursor: Cursor) -> ChangePage:
        """Return a page. What of a conversation cannot be read, or may not be all, is left to be read by itself."""
        ids: list[str] = []
        states: list[Ticket | Unavailable] = []
        replies: dict[str, tuple[Reply, ...]] = {}
        for conversation in conversations:
            ids.append(conversation.get_key("id"))
            embedded_threads(conversation)  # threads that are no list are no single conversation's matter
            try:
                known = find_replies(conversation)
                states.append(parse_ticket(conversation, known, self.options.web_url))
            except UnexpectedAnswer:
                continue
            if known is not None:
                replies[ids[-1]] = known
        return ChangePage(cursor, tuple(ids), tuple(states), MappingProxyType(replies))

    async def _conversation(self, ticket_id: str) -> Record:
        if not _NUMBER.fullmatch(ticket_id):
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        return await self._api.conversation(ticket_id)

    def _state(self, conversation: Record) -> Ticket | Unavailable:
        return parse_ticket(conversation, find_replies(conversation), self.options.web_url)

    def _get_ticket(self, conversation: Record) -> Ticket:
        """Return the ticket.

        Raises:
            TicketUnavailable: deleted.
        """
        state = self._state(conversation)
        if isinstance(state, Unavailable):
            raise TicketUnavailable(state)
        return state


def _parse_start(start: Cursor | datetime) -> datetime:
    """Return the second to go on from."""
    if isinstance(start, datetime):
        return start.astimezone(UTC).replace(microsecond=0)
    instant = find_instant_in(start) if _CURSOR.fullmatch(start) else None
    if instant is None:
        raise UnexpectedAnswer("the stored cursor is none of Help Scout's: was the system another one before?")
    return instant
