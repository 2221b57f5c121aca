"""A ticketing system that nobody wrote an adapter for: what is asked and what it means stands in the settings.

Paths, parameters and paging are settings, and so is a JMESPath expression (https://jmespath.org/specification.html) for
each field. docs/adapters/rest.md tells how to get there by trial; docs/recipes has complete settings.
"""

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from adapters._rest_api import RestApi
from adapters._rest_config import ChangeOptions, CheckOptions, ReplyOptions, TicketOptions, TimesOptions
from adapters._rest_expressions import Expression, HeaderName, mistake
from adapters._rest_feed import Change, Feed
from adapters._rest_hook import webhook_of
from adapters._rest_lookup import Lookup
from adapters._rest_records import ReplyReading, TicketReading
from adapters._rest_replies import ReplyLists
from adapters._rest_rules import Rule, as_key, as_text, is_true
from adapters._rest_signing import AuthenticationOptions, authentication_of
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import ChangePage, Cursor, Identity, Reply, Ticket, TicketRef, Unavailable
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, Http, Refused
from syncd.sources.links import match_ticket_ref
from syncd.sources.trial import TriedField
from syncd.sources.webhook import Webhook


class RestConfig(AdapterConfig):
    """Everything about the system."""

    authentication: AuthenticationOptions = Field(description="How to sign in: one table inside it.")
    headers: dict[HeaderName, str] = Field({}, description="Further headers of every request.")
    secret_headers: dict[HeaderName, SecretStr] = Field({}, description="Further headers that are secret.")
    requests_per_minute: float = Field(60, gt=0, le=60_000, description="The pace that the system bears.")
    concurrency: int = Field(2, ge=1, le=50, description="Requests under way at once.")
    failed: Expression | None = Field(None, description="Gives anything but nothing or false on a failure inside 200.")
    times: TimesOptions = Field(TimesOptions(), description="How times are written.")
    check: CheckOptions = Field(description="How to see that the credentials are good.")
    ticket: TicketOptions = Field(description="How tickets are named, found and read.")
    replies: ReplyOptions = Field(description="Where replies are and what they mean.")
    changes: ChangeOptions | None = Field(None, description="A list of what changed, if there is one.")
    webhook_ticket: Expression | None = Field(None, description="Gives the id, or ids, of a webhook's body; ticket_id.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        replies, changes, fields = self.replies, self.changes, self.ticket.fields
        if replies.path and not replies.places_used & {"id", "number"}:
            raise mistake("replies: needs the place {id} or {number}, else each ticket gets the replies of all")
        told = replies.first is not None or replies.fields.first_message is not None or not replies.oldest_is_first
        if "since" in replies.places_used and not told:
            raise mistake(
                "replies: where {since} is asked, say what the first message is: fields.first_message or first"
            )
        if changes and changes.about == "tickets" and not (changes.changed_at or fields.updated_at):
            raise mistake("changes: needs changed_at, or ticket.fields.updated_at")
        if changes and changes.replies and (replies.path or replies.ids):
            raise mistake(
                "changes: replies is for systems whose tickets hold their replies, without replies.path and ids"
            )
        return self


class Rest(Adapter[RestConfig]):
    """Tickets and replies of one system that is described by its settings."""

    config = RestConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    title = "REST, described in the settings"
    documentation = "https://jmespath.org/specification.html"
    permissions = "an account that may read all tickets, their replies and internal notes, and change nothing"
    webhook = webhook_of(None)

    def __init__(self, options: RestConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = RestApi(http, options.base_url, options.failed)
        self._tickets = TicketReading(options.ticket, options.times.answered, options.base_url)
        self._lookup = Lookup(options.ticket, self._api, self._tickets)
        self._replies = ReplyReading(options.replies, options.times.answered)
        self._lists = ReplyLists(options.replies, self._api, self._lookup, options.times, self._replies.needs_ticket)
        self._feed = self._open_feed(options.changes) if options.changes else None

    @classmethod
    def connection(cls, options: RestConfig) -> Connection:
        """Sign in and keep a pace as the settings say."""
        return Connection(
            options.base_url,
            authentication_of(options.authentication),
            options.requests_per_minute,
            options.concurrency,
            headers=options.headers,
            secret_headers=options.secret_headers,
        )

    @classmethod
    def described_webhook(cls, options: RestConfig) -> Webhook:
        """Return how the settings say that webhooks are read."""
        return webhook_of(options.webhook_ticket)

    async def check(self) -> Identity:
        """Ask what the settings say, and pause where the answer is none for whom we should be."""
        asked = self.options.check
        response = await self._api.get(asked, {}, expect={403, 404})
        if not 200 <= response.status < 300:
            raise PauseSystem(
                f"{response.path} answered {response.status}: mend the credentials, base_url or check.path"
            )
        value = self._api.value_of(response)
        if asked.require and not Rule("check.require", asked.require, is_true).value(value, "check"):
            raise PauseSystem("check.require does not give true: this is not the account that it should be")
        account = Rule("check.account", asked.account, as_text).value(value, "check") if asked.account else None
        if asked.account and not account:
            raise PauseSystem("check.account gives nothing: the system does not say who we are")
        return Identity(account or "an account that the system does not name")

    @classmethod
    def described(cls, options: RestConfig) -> frozenset[Capability]:
        """Return what the settings describe."""
        described = {
            Capability.BULK_TICKETS: options.ticket.by_ids is not None,
            Capability.CHANGE_FEED: options.changes is not None,
            Capability.BULK_REPLIES: options.changes is not None and options.changes.replies is not None,
        }
        return frozenset(one for one, is_there in described.items() if is_there)

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number or link."""
        record = await self._lookup.find(*self._parse_ref(ref))
        ticket = self._tickets.ticket(record)
        if isinstance(ticket, Unavailable):
            raise TicketUnavailable(ticket)
        return ticket

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Return the state of tickets, many at once where the settings say how.

        One that cannot be read is left out, so that it does not stop the others; if none can be read, that is told.
        """
        found: list[Ticket | Unavailable] = []
        failures: list[UnexpectedAnswer] = []
        async for one in self._lookup.many(ids):
            if isinstance(one, UnexpectedAnswer):
                failures.append(one)
                continue
            try:
                found.append(one if isinstance(one, Unavailable) else self._tickets.ticket(one))
            except UnexpectedAnswer as error:
                failures.append(error)
        if failures and not found:
            raise failures[0]
        return found

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield the replies of a ticket from where the settings say they are."""
        # Systems tell whole seconds or minutes: what was written a little earlier in them may be later than `since`.
        since = since and since.replace(second=0, microsecond=0)
        read = await self._lists.read(ticket.id, ticket.number, since)
        for reply in self._replies.replies(ticket.id, read.ticket, read.records, whole=read.is_whole):
            if since is None or reply.created_at >= since:
                yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield what changed; a cursor is the time of the newest change that was told."""
        if self._feed is None:
            raise UnexpectedAnswer("the settings of this system describe no list of changes (changes)")
        async with aclosing(self._feed.read(parse_cursor(start))) as pages:
            async for page in pages:
                yield self._change_page(page.changes, Cursor(page.reached.astimezone(UTC).isoformat()))

    async def trial(self, ref: TicketRef) -> list[TriedField]:
        """Tell what every expression makes of a ticket and its replies; none that fails stops another."""
        name, value = self._parse_ref(ref)
        record, tried = await self._lookup.try_to_find(name, value)
        if record is None:
            return tried
        tried += self._tickets.tried(record)
        keys = {one: self._key_or(record, one, value) for one in ("id", "number")}
        try:
            records = await self._lists.records(record, keys["id"], keys["number"])
        except (UnexpectedAnswer, TicketUnavailable, Refused) as error:
            return [*tried, TriedField("replies", "", problem=str(error))]
        return tried + self._replies.tried(record, records)

    def _key_or(self, record: Mapping[str, Any], name: str, otherwise: str) -> str:
        try:
            return self._tickets.key(record, name, "a ticket")
        except UnexpectedAnswer:
            return otherwise

    def _parse_ref(self, ref: TicketRef) -> tuple[str, str]:
        """Return what names a ticket, its id or its number, and the text."""
        options = self.options.ticket
        match = match_ticket_ref(
            ref,
            number=re.compile(options.number_pattern, re.ASCII),
            link=re.compile(options.link_pattern, re.ASCII),
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint=f"this names no ticket of the system: {options.hint}",
        )
        groups = match.groupdict()
        name, value = next(((one, groups[one]) for one in ("number", "id") if groups.get(one)), ("number", match[0]))
        if not value.strip():
            raise InvalidTicketRef(f"this names no ticket of the system: {options.hint}")
        return name, value

    def _open_feed(self, options: ChangeOptions) -> Feed:
        fields = self.options.ticket.fields
        ticket_id = Rule("changes.ticket_id", options.ticket_id or fields.id, as_key)
        changed_at = options.changed_at or fields.updated_at
        if changed_at is None:
            raise AssertionError("the settings were checked")
        times = self.options.times
        return Feed(
            options, self._api, times.asked, ticket_id, Rule("changes.changed_at", changed_at, times.answered.parse)
        )

    def _change_page(self, changes: Sequence[Change], cursor: Cursor) -> ChangePage:
        """Return a page; where its records hold replies they come along, unless one of them cannot be read."""
        ids = tuple(dict.fromkeys(change.ticket_id for change in changes))
        rows = self.options.changes.replies if self.options.changes else None
        tickets: dict[str, Ticket | Unavailable] = {}
        replies: dict[str, tuple[Reply, ...]] = {}
        for change in changes if rows else ():
            tickets.pop(change.ticket_id, None)
            replies.pop(change.ticket_id, None)
            found = self._lists.records_inside(change.record, rows, "changes.replies")
            try:
                ticket = self._tickets.ticket(change.record)
                told = self._replies.replies(change.ticket_id, change.record, found, whole=True)
            except UnexpectedAnswer:
                continue  # it is read by itself, and fails by itself
            tickets[change.ticket_id] = ticket
            if isinstance(ticket, Ticket):
                replies[change.ticket_id] = tuple(told)
        return ChangePage(cursor, ids, tuple(tickets.values()), replies)


def parse_cursor(start: Cursor | datetime) -> datetime:
    """Return the instant that a reading starts at."""
    if isinstance(start, datetime):
        return start
    try:
        instant = datetime.fromisoformat(start)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise UnexpectedAnswer("the stored cursor is none of this system's: was it another one before?")
    return instant
