"""Gorgias: tickets and messages of one account, all changes from its two lists.

No list of Gorgias can be asked for what is new: both are read from their newest row back to what is known.
docs/adapters/gorgias.md says what maps to what and what Gorgias cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from adapters._gorgias_api import MESSAGES, PER_PAGE, TICKETS, GorgiasApi
from adapters._gorgias_feed import Bookmark, Readings, Walk, changed_tickets, new_messages
from adapters._gorgias_records import SeenTicket, parse_message, parse_ticket, replies_of
from adapters._webhooks_shared import GORGIAS
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import ChangePage, Cursor, Identity, Reply, Ticket, TicketRef, Unavailability, Unavailable
from syncd.sources.adapter import (
    Adapter,
    AdapterConfig,
    Authentication,
    BasicAuthentication,
    Capability,
    Connection,
    HeaderAuthentication,
    Http,
    TokenAuthentication,
)
from syncd.sources.links import match_ticket_ref
from syncd.sources.records import Record

WAYS = ({"email", "api_key"}, {"client_id", "client_secret", "refresh_token"}, {"access_token"})
_NUMBER = re.compile(r"#?([1-9][0-9]{0,18})", re.ASCII)
_LINK = re.compile(
    r"^[^?#]*/(?:app/tickets?|app/(?:views|tickets)/[0-9A-Za-z_-]+|api/tickets)/([1-9][0-9]{0,18})/?(?=[?#]|$)",
    re.ASCII,
)


class GorgiasConfig(AdapterConfig):
    """`[systems.NAME.options]` of a Gorgias account: one of three ways to sign in."""

    base_url: str = Field(description="Address of the account, https://DOMAIN.gorgias.com, without a path.")
    email: str | None = Field(None, min_length=1, description="Login of the user whose API key it is, with api_key.")
    api_key: SecretStr | None = Field(None, description="That user's key (Settings > REST API).")
    client_id: str | None = Field(None, min_length=1, description="Client id of an OAuth app.")
    client_secret: SecretStr | None = Field(None, description="Secret of that app.")
    refresh_token: SecretStr | None = Field(
        None, description="Refresh token that the account gave that app (scope offline); it has no end."
    )
    access_token: SecretStr | None = Field(None, description="A ready OAuth access token: good for 24 hours.")

    @field_validator("base_url")
    @classmethod
    def _without_path(cls, base_url: str) -> str:
        base_url = base_url.rstrip("/").removesuffix("/api")
        if urlsplit(base_url).path:
            raise ValueError("write it without a path: https://DOMAIN.gorgias.com")
        return base_url

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        given = {name for name in set[str]().union(*WAYS) if getattr(self, name)}
        if given not in WAYS:
            ways = "email with api_key, or client_id with client_secret and refresh_token, or access_token"
            raise ValueError(f"give exactly one way to sign in: {ways}; found: {', '.join(sorted(given)) or 'none'}")
        return self


class Gorgias(Adapter[GorgiasConfig]):
    """Tickets of one Gorgias account."""

    config = GorgiasConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    title = "Gorgias"
    documentation = "https://developers.gorgias.com/reference/introduction"
    permissions = "an API key of a user who sees all tickets, or an OAuth app with the scopes offline and tickets:read"
    webhook = GORGIAS

    def __init__(self, options: GorgiasConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = GorgiasApi(http)
        self._readings = Readings()

    @classmethod
    def connection(cls, options: GorgiasConfig) -> Connection:
        """Take three quarters of the 40 requests in 20 seconds that an API key has, which other programs may share.

        https://developers.gorgias.com/reference/limitations
        https://developers.gorgias.com/docs/oauth2-authentication-for-creating-apps-with-gorgias
        """
        authentication: Authentication
        if options.client_id and options.client_secret and options.refresh_token:
            authentication = TokenAuthentication(
                "/oauth/token",
                options.client_id,
                options.client_secret,
                form={"grant_type": "refresh_token"},
                secret_form={"refresh_token": options.refresh_token},
            )
        elif options.access_token:
            authentication = HeaderAuthentication(options.access_token, scheme="Bearer")
        else:
            authentication = BasicAuthentication(options.email or "", options.api_key or SecretStr(""))
        return Connection(options.base_url, authentication, requests_per_minute=90, concurrency=2)

    @classmethod
    def warnings(cls, options: GorgiasConfig) -> tuple[str, ...]:
        """Warn of a token that ends within a day."""
        if not options.access_token:
            return ()
        return ("access_token ends 24 hours after it was given out, and the system then pauses: use a refresh_token",)

    async def check(self) -> Identity:
        """Tell which account answers, and whether its tickets and messages can be seen."""
        account = await self._api.account()
        name = urlsplit(self.options.base_url).hostname
        notes: tuple[str, ...] = ()
        if account is None:
            notes = ("the account's own record may not be read (scope account:read); it is not needed",)
        else:
            name = account.find_text("domain") or name
        first = [await self._api.newest(path) for path in (TICKETS, MESSAGES)]
        warnings = () if all(page.records for page in first) else ("the account shows no tickets or no messages yet",)
        return Identity(f"{name} ({self.options.email or 'OAuth'})", notes, warnings)

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number, which is its id, or by a link of an agent's or of the API."""
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint="this is no ticket of Gorgias; write its number, such as 123456789, or a link like "
            f"{self.options.base_url}/app/ticket/123456789",
        )
        return (await self._single(match[1])).ticket

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for a hundred at once, and by itself for what a list leaves out: only a 404 says that it is gone.

        So it also works where the list takes ids in another form than is documented.
        """
        states: list[Ticket | Unavailable] = []
        wanted = list(dict.fromkeys(ids))
        for place in range(0, len(wanted), PER_PAGE):
            part = wanted[place : place + PER_PAGE]
            numbers = [ticket_id for ticket_id in part if _NUMBER.fullmatch(ticket_id)]
            listed = await self._listed(numbers) if numbers else {}
            for ticket_id in part:
                try:
                    seen = listed[ticket_id] if ticket_id in listed else await self._single(ticket_id)
                except TicketUnavailable as error:
                    states.append(error.unavailable)
                    continue
                if seen is not None:
                    self._readings.count(ticket_id, seen.messages)
                    states.append(seen.ticket)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:  # noqa: ARG002
        """Yield all messages of a ticket, oldest first, whatever `since` is: a message may go out long after its time.

        The list of messages is read, as no upper bound is known for those inside a ticket. It says nothing of a ticket
        that is gone, so where it is empty the ticket is asked.
        """
        rows = await self._api.messages_of(ticket.id) if _NUMBER.fullmatch(ticket.id) else []
        if not rows and (await self._record(ticket.id))[0].find_records("messages"):
            raise UnexpectedAnswer(f"{MESSAGES} answers no message of a ticket that has some")
        messages = [parse_message(row) for row in rows]
        found = replies_of(messages)
        self._readings.read(ticket.id, messages, found[0].id if found else None)
        for reply in found:
            yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets that changed, and the messages that are new: two requests where little is.

        Both lists are read from their newest row, so nothing is safe before they are at their ends: until the last
        page the cursor stays where it was.
        """
        mark = Bookmark(start, start) if isinstance(start, datetime) else Bookmark.parse(start)
        changed = await changed_tickets(self._api, mark.tickets)
        known = self._readings.known()  # now: a ticket that is read meanwhile has no rows kept here
        news = await new_messages(self._api, mark.messages, known)
        if changed.is_empty or news.is_empty:
            if isinstance(start, datetime):
                return
            raise UnexpectedAnswer("Gorgias shows no ticket or no message at all any more, though it did before")
        ids = list(dict.fromkeys([*changed.rows, *news.rows]))
        for place in range(0, max(len(ids), 1), PER_PAGE):
            is_last = place + PER_PAGE >= len(ids)
            reached = Bookmark(changed.reached, news.reached) if is_last else mark
            yield self._change_page(ids[place : place + PER_PAGE], changed, news, reached.cursor())

    def _change_page(self, ids: Sequence[str], changed: Walk, news: Walk, cursor: Cursor) -> ChangePage:
        """Return a page. A ticket that cannot be read, or whose news do not explain its change, is left to be read."""
        seen: dict[str, SeenTicket] = {}
        replies: dict[str, tuple[Reply, ...]] = {}
        for ticket_id in ids:
            try:
                for row in changed.rows.get(ticket_id, [])[:1]:
                    seen[ticket_id] = parse_ticket(row, self.options.base_url, changed.answered_at)
                told = self._told(ticket_id, seen.get(ticket_id), news)
            except UnexpectedAnswer:
                continue
            if told is not None:
                replies[ticket_id] = told
        tickets = tuple(one.ticket for one in seen.values())
        return ChangePage(cursor, tuple(ids), tickets, MappingProxyType(replies))

    def _told(self, ticket_id: str, seen: SeenTicket | None, news: Walk) -> tuple[Reply, ...] | None:
        """Return the new replies of a ticket, or None if it has to be read."""
        reading = self._readings.find(ticket_id) if ticket_id in news.kept else None
        if reading is None or reading.first is None:
            return None
        parsed = map(parse_message, news.rows.get(ticket_id, []))
        messages = list({message.id: message for message in parsed}.values())
        if seen is not None:
            reading = reading.explains(seen.messages, messages)
            if reading is None:
                return None
            self._readings.keep(ticket_id, reading)
        return tuple(replies_of(messages, reading.first))

    async def _listed(self, ids: Sequence[str]) -> dict[str, SeenTicket | None]:
        """Return those of these tickets that a list shows; None for one that cannot be read, and fails by itself."""
        found: dict[str, SeenTicket | None] = {}
        page = await self._api.tickets(ids)
        for row in page.records:
            if (ticket_id := row.get_key("id")) in ids:
                try:
                    found[ticket_id] = parse_ticket(row, self.options.base_url, page.answered_at)
                except UnexpectedAnswer:
                    found[ticket_id] = None
        return found

    async def _single(self, ticket_id: str) -> SeenTicket:
        record, answered_at = await self._record(ticket_id)
        return parse_ticket(record, self.options.base_url, answered_at)

    async def _record(self, ticket_id: str) -> tuple[Record, datetime | None]:
        if not _NUMBER.fullmatch(ticket_id):
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        return await self._api.ticket(ticket_id)
