"""HubSpot: tickets of the CRM, and as their replies the messages of the conversations that belong to them.

Two things shape this module. A ticket holds no replies: none, one or several threads do, and whether they are of the
right ticket is checked, since that filter is younger than the list. And both lists of changes are late and in no exact
order: so they are read by keys that do not move, and again from some minutes before the last sweep.

docs/adapters/hubspot.md names the pages relied on, and says what maps to what and what HubSpot cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from adapters._hubspot_api import HubspotApi, Paths
from adapters._hubspot_feed import Bookmark, Sweep
from adapters._hubspot_names import Names
from adapters._hubspot_records import Message, body_of, find_description, find_message, ticket_of
from adapters._webhooks_signed import HUBSPOT
from syncd.model.errors import InvalidTicketRef, TicketUnavailable
from syncd.model.ticket import (
    Author,
    AuthorKind,
    Body,
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
)
from syncd.sources.adapter import (
    Adapter,
    AdapterConfig,
    Capability,
    Connection,
    HeaderAuthentication,
    Http,
    TokenAuthentication,
)
from syncd.sources.links import match_ticket_ref
from syncd.sources.records import Record


class HubspotConfig(AdapterConfig):
    """`[systems.NAME.options]` of a HubSpot account: a private app's token, or an OAuth app with its refresh token."""

    base_url: str = Field("https://api.hubapi.com", description="Address of the API; the same for every region.")
    web_url: str = Field(
        "https://app.hubspot.com",
        description="Address of the account's pages (https://app-eu1.hubspot.com in the EU). It is never called.",
    )
    access_token: SecretStr | None = Field(None, description="Token of a private app (pat-...): it does not end.")
    client_id: str | None = Field(None, description="Client ID of an OAuth app, instead of a private app.")
    client_secret: SecretStr | None = Field(None, description="Client secret of that app.")
    refresh_token: SecretStr | None = Field(None, description="Refresh token that the account gave that app.")
    api_version: str = Field(
        "v3",
        pattern=r"^(v3|20\d\d-\d\d(-beta)?)$",
        description="Version of the API in its paths: v3, or a date such as 2026-09 once HubSpot retires v3.",
    )
    description_is_message: bool = Field(
        False,
        description="Take the description of a ticket that no conversation began as the customer's first message.",
    )

    @field_validator("web_url")
    @classmethod
    def _is_web_address(cls, web_url: str) -> str:
        parts = urlsplit(web_url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("write it as https://HOST")
        return web_url.rstrip("/")

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        names = ("access_token", "client_id", "client_secret", "refresh_token")
        given = {name for name in names if getattr(self, name)}
        if given not in ({"access_token"}, set(names[1:])):
            raise ValueError("give either access_token, or client_id, client_secret and refresh_token")
        return self


_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_NUMBER = re.compile(r"#?(?P<id>[1-9][0-9]{0,18})", re.ASCII)
_LINK = re.compile(
    r"^/[a-z-]+/(?P<portal>[0-9]{1,18})/(?:[^?#]*/)?"
    r"(?:(?:record/0-5|ticket)/(?P<id>[1-9][0-9]{0,18})|inbox/(?P<thread>[1-9][0-9]{0,18}))(?=$|[/?#])",
    re.ASCII,
)
_HINT = (
    "this is no ticket of HubSpot; write its number (the record id), such as 4215513489, or a link such as "
    "https://app.hubspot.com/contacts/PORTAL/record/0-5/NUMBER"
)


class Hubspot(Adapter[HubspotConfig]):
    """Tickets and conversations of one HubSpot account."""

    config = HubspotConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_TICKETS})
    title = "HubSpot Service Hub"
    documentation = "https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide"
    permissions = "scopes tickets (or crm.objects.tickets.read), conversations.read; crm.objects.owners.read for names"
    webhook = HUBSPOT

    def __init__(self, options: HubspotConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = HubspotApi(http, Paths.of(options.api_version))
        self._names = Names(self._api)

    @classmethod
    def connection(cls, options: HubspotConfig) -> Connection:
        """Return the connection: half of the smallest plan's 100 requests in 10 seconds, and of its searches.

        https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
        """
        authentication: HeaderAuthentication | TokenAuthentication
        if options.client_id and options.client_secret and options.refresh_token:
            version = "v1" if options.api_version == "v3" else options.api_version
            authentication = TokenAuthentication(
                f"/oauth/{version}/token",
                options.client_id,
                options.client_secret,
                form={"grant_type": "refresh_token"},
                secret_form={"refresh_token": options.refresh_token},
            )
        else:
            authentication = HeaderAuthentication(options.access_token or SecretStr(""), scheme="Bearer")
        search = f"{Paths.of(options.api_version).objects}/tickets/search"
        return Connection(options.base_url, authentication, requests_per_minute=300, budgets={search: 120})

    async def check(self) -> Identity:
        """Tell the account, and whether tickets, conversations and owners are open.

        https://developers.hubspot.com/docs/api-reference/account-account-info-v3/guide
        """
        account = await self._api.account()
        await self._api.require_tickets_and_conversations()
        warnings = []
        if account.web_host not in {(urlsplit(self.options.web_url).hostname or "").lower(), *self.link_hosts}:
            warnings.append(f"the account's pages are on {account.web_host}: set web_url to https://{account.web_host}")
        if not await self._api.sees_owners():
            warnings.append("without the scope crm.objects.owners.read nobody is named whom a ticket is assigned to")
        return Identity(f"account {account.portal_id} ({account.web_host})", (), tuple(warnings))

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number, by a link to its record, or by a link to its conversation in the inbox.

        Links carry the account: one of another account would name another ticket here, and is refused.
        """
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.web_url,
            link_hosts=self.link_hosts,
            hint=_HINT,
        )
        named = match.groupdict()
        ticket_id = named["id"]
        if ref.link is not None:
            if named["portal"] != (account := await self._api.account()).portal_id:
                raise InvalidTicketRef(f"the link is of another account than {account.portal_id}, which this system is")
            ticket_id = ticket_id or await self._api.ticket_of_thread(named["thread"])
        if ticket_id is None:
            raise InvalidTicketRef("the link is of a conversation that belongs to no ticket")
        return await self._state_of(await self._api.ticket(ticket_id))

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Read a hundred at a time, and ask one by one for those that are left out, to learn why.

        https://developers.hubspot.com/docs/api-reference/crm-tickets-v3/batch/post-crm-v3-objects-tickets-batch-read
        """
        wanted = [key for key in dict.fromkeys(ids) if _ID.fullmatch(key)]
        found = await self._api.tickets(wanted)
        strange = [key for key in dict.fromkeys(ids) if key not in wanted]
        states: list[Ticket | Unavailable] = [Unavailable(key, Unavailability.GONE) for key in strange]
        for key in wanted:
            try:
                states.append(await self._state_of(found.get(key) or await self._api.ticket(key)))
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield the messages of all threads of a ticket, oldest first.

        All pages of a thread are read: there is no filter by time, and the order is nowhere promised. What is shortened
        in the list is read as a whole, if it may be news: HubSpot cuts more than quotations, and quotations are cut
        later for all vendors.
        https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide
        """
        threads = await self._api.threads(ticket.id)
        messages = await self._descriptions(ticket.id, threads)
        if threads:
            messages += await self._messages(ticket.id, threads)
            messages.sort(key=lambda one: one.age)
        first = next((one.reply.id for one in messages if one.opens), None)
        wanted = [one for one in messages if one.is_worth_telling(since)]
        agents = {one.actor for one in wanted if one.reply.author.kind is AuthorKind.AGENT and one.actor}
        names = await self._names.agents(agent for agent in agents if agent.startswith("A-"))
        for one in wanted:
            name = names.get(one.actor or "") or one.reply.author.name
            author = Author(one.reply.author.kind, name)
            body = one.reply.body if one.is_whole else await self._whole_body(one)
            yield replace(one.reply, author=author, body=body, first_message=one.reply.id == first)

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets whose threads have new messages, then those that were modified.

        A closed ticket has no new message, and a message does not surely modify its ticket: so both lists are read.
        They name tickets alone: what a search shows of them may be older than what is known already.
        https://developers.hubspot.com/docs/api-reference/search/guide
        """
        bookmark = Bookmark.parse(start)
        sweep = Sweep(bookmark)
        async with aclosing(self._api.changed_threads(bookmark.begin)) as pages:
            async for page in pages:
                yield ChangePage(bookmark.cursor(), sweep.threads(page))
        async with aclosing(self._api.changed_tickets(bookmark.begin)) as pages:
            async for page in pages:
                named = sweep.tickets(page)
                is_last = page.after is None
                yield ChangePage((sweep.bookmark() if is_last else bookmark).cursor(), named)

    async def _descriptions(self, ticket_id: str, threads: Sequence[Record]) -> list[Message]:
        """Return the description of a ticket if the settings make it a message, and there is one.

        Raises:
            TicketUnavailable: there are no threads because the ticket is gone, which is not the same as silent.
        """
        is_message = self.options.description_is_message
        if threads and not is_message:
            return []
        state = await self._api.ticket(ticket_id)
        description = find_description(state, threads) if is_message else None
        return [] if description is None else [description]

    async def _messages(self, ticket_id: str, threads: Sequence[Record]) -> list[Message]:
        """Return what is in threads, each once. What is in spam is for nobody, and told as such until it is no spam."""
        channels = await self._names.channels()
        found: dict[str, Message] = {}
        for thread_id, thread in {thread.get_key("id"): thread for thread in threads}.items():
            for record in await self._api.messages(thread_id, ticket_id):
                message = find_message(record, thread_id, channels)
                if message is not None:
                    found[message.reply.id] = message.withheld() if thread.is_true("spam") else message
        return list(found.values())

    async def _whole_body(self, message: Message) -> Body:
        """Return the text of a message as it was written, or what the list showed of it if there is no more."""
        original = await self._api.original(message.thread_id, message.reply.id)
        return (body_of(original) if original is not None else None) or message.reply.body

    async def _state_of(self, record: Record) -> Ticket:
        account = await self._api.account()
        link = f"{self.options.web_url}/contacts/{account.portal_id}/record/0-5/{record.get_key('id')}"
        stage, assignee = await self._names.find_stage(record), await self._names.find_owner(record)
        return ticket_of(record, stage, assignee, link)
