"""ServiceNow (Table API): tickets of one table, and their comments from the journal of the whole instance.

docs/adapters/servicenow.md names the pages relied on, and says what maps to what and what ServiceNow cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from adapters._servicenow_api import IDS_PER_REQUEST, Question, TableApi
from adapters._servicenow_check import Checks
from adapters._servicenow_feed import Bookmark, Mark, entries_of, first_anchor, journal_of, news, shows_rows, tickets_of
from adapters._servicenow_people import People
from adapters._servicenow_records import (
    COMMENTS,
    WORK_NOTES,
    Entry,
    SeenTicket,
    find_value,
    first_message,
    get_value,
    parse_journal_text,
    parse_ticket,
    reply_of,
    ticket_fields,
    ticket_of,
)
from adapters._webhooks_shared import SERVICENOW
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
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

WAYS = ({"username", "password"}, {"client_id", "client_secret"}, {"api_key"})
WITH_USER = WAYS[0] | WAYS[1]
CUSTOMER_FIELDS = {"incident": ("caller_id",), "sn_customerservice_case": ("contact", "consumer.user")}
TICKETS_KEPT = 20_000
SYS_ID = re.compile(r"[0-9a-f]{32}")
_WORD = r"[A-Za-z][A-Za-z_]{0,19}-?[0-9]{1,18}"
_NUMBER = re.compile(rf"(?P<id>[0-9a-f]{{32}})|(?P<number>{_WORD})", re.ASCII)
_BEGINS = r"(?:(?<![A-Za-z_])|(?<=3[DFdf]))"  # links are encoded once or twice inside others
_IS = r"(?:=|%(?:25)?3[Dd])"
_LINK = re.compile(
    rf"(?:{_BEGINS}sys_id{_IS}|/record/[a-z0-9_]+/)(?P<id>[0-9a-f]{{32}})(?![0-9a-f])"
    rf"|{_BEGINS}number{_IS}(?P<number>{_WORD})(?![0-9A-Za-z])",
    re.ASCII,
)


class ServiceNowConfig(AdapterConfig):
    """`[systems.NAME.options]` of a ServiceNow instance: one of three ways to sign in, one table of tickets."""

    base_url: str = Field(description="Address of the instance, https://INSTANCE.service-now.com or its own domain.")
    username: str | None = Field(None, description="Login of the account, with password; or with an OAuth client too.")
    password: SecretStr | None = Field(None, description="Password of that account.")
    client_id: str | None = Field(None, description="Client id of an OAuth application registry entry.")
    client_secret: SecretStr | None = Field(
        None, description="Secret of that client. Without username and password the grant is client_credentials."
    )
    api_key: SecretStr | None = Field(None, description="API key of an inbound authentication profile.")
    table: str = Field(
        "incident",
        pattern=r"^[a-z][a-z0-9_]{1,79}$",
        description="Table of the tickets: incident, sn_customerservice_case, or another that extends task.",
    )
    replies_from: Literal["journal", "display"] = Field(
        "journal",
        description="Where replies come from: the table sys_journal_field, or the text that a ticket displays, for "
        "accounts that may not read that table. Decide before the first link: replies have other ids in the other.",
    )
    customer_fields: tuple[str, ...] = Field(
        (),
        description="Fields of a ticket that refer to the customer's user; empty: caller_id for incidents, contact and "
        "consumer.user for cases, opened_by for others.",
    )
    agent_roles: tuple[str, ...] = Field(
        ("itil", "sn_customerservice_agent", "sn_customerservice_manager"),
        min_length=1,
        description="Roles that make a writer an agent, unless the writer is the customer of that ticket.",
    )
    automatic_users: tuple[str, ...] = Field(
        ("system",),
        description="Logins (with display: full names) whose comments are automatic messages, such as integrations.",
    )

    @field_validator("table")
    @classmethod
    def _one_kind_of_ticket(cls, table: str) -> str:
        if table == "task":
            raise ValueError(
                "name the table of the tickets, such as incident: task holds every kind, with other states"
            )
        return table

    @field_validator("customer_fields", "agent_roles")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(not re.fullmatch(r"[a-z][a-z0-9_.]*", name, re.ASCII) for name in names):
            raise ValueError("names consist of small letters, digits, _ and .")
        return names

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        given = {name for name in WITH_USER | WAYS[2] if getattr(self, name)}
        if given not in (*WAYS, WITH_USER):
            ways = "username with password, or client_id with client_secret (with or without both), or api_key"
            raise ValueError(f"give exactly one way to sign in: {ways}; found: {', '.join(sorted(given)) or 'none'}")
        return self


class ServiceNow(Adapter[ServiceNowConfig]):
    """Tickets of one table of a ServiceNow instance."""

    config = ServiceNowConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    title = "ServiceNow"
    documentation = "https://www.servicenow.com/docs/r/australia/api-reference/rest-apis/c_TableAPI.html"
    permissions = "read access to the table of tickets, sys_journal_field, sys_user, sys_user_has_role; time zone GMT"
    webhook = SERVICENOW

    def __init__(self, options: ServiceNowConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = TableApi(http)
        self._customer_fields = options.customer_fields or CUSTOMER_FIELDS.get(options.table, ("opened_by",))
        self._fields = ticket_fields(self._customer_fields)
        self._key = "user_name" if options.replies_from == "journal" else "name"
        self._people = People(self._api, self._key, options.agent_roles, options.automatic_users)
        self._journal = journal_of(options.table)
        self._changed = tickets_of(options.table, self._fields, self._parse)
        self._seen: dict[str, SeenTicket] = {}

    @classmethod
    def connection(cls, options: ServiceNowConfig) -> Connection:
        """Return the connection. An instance sets no limit by default, but serves few REST requests at once.

        https://www.servicenow.com/docs/r/australia/api-reference/rest-api-explorer/inbound-REST-API-rate-limiting.html
        """
        authentication: Authentication
        if options.client_id and options.client_secret:
            form: dict[str, str | int] = {"grant_type": "client_credentials"}
            secret_form = {}
            if options.username and options.password:
                form = {"grant_type": "password", "username": options.username}
                secret_form = {"password": options.password}
            client = (options.client_id, options.client_secret)
            authentication = TokenAuthentication("/oauth_token.do", *client, form=form, secret_form=secret_form)
        elif options.api_key:
            authentication = HeaderAuthentication(options.api_key, header="x-sn-apikey")
        else:
            authentication = BasicAuthentication(options.username or "", options.password or SecretStr(""))
        return Connection(options.base_url, authentication, requests_per_minute=120, concurrency=2)

    async def check(self) -> Identity:
        """Tell the account, and whether it sees tickets, the journal and roles, and reads times as UTC."""
        checks = Checks(self._api, self._changed, by_journal=self.options.replies_from == "journal")
        account, warnings = await checks.account(self.options.username or "")
        warnings += await checks.tickets()
        if not await self._people.sees_roles():
            warnings.append(
                "the account sees no roles (sys_user_has_role): only the customer and the assignee of a ticket are "
                "known, other writers count as unknown"
            )
        notes = (f"tickets: {self.options.table}", f"replies: {self.options.replies_from}")
        return Identity(account, notes, tuple(warnings))

    async def available(self) -> frozenset[Capability]:
        """Return all capabilities; without the journal, replies are read ticket by ticket."""
        bulk = {Capability.BULK_REPLIES} if self.options.replies_from == "display" else set()
        return self.capabilities - bulk

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number, its sys_id, or any of ServiceNow's links to it."""
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint="this is no ticket of ServiceNow: write its number, such as INC0010001, or a link with its sys_id",
        )
        if match["id"]:
            return self._state(self._keep(self._parse(await self._get(match["id"]))))
        number = match["number"]
        question = Question(self.options.table, f"number={number}", self._fields, limit=2)
        found = [self._parse(row) for row in (await self._api.page(question)).rows]
        if any(seen.number.casefold() != number.casefold() for seen in found) or len(found) > 1:
            raise UnexpectedAnswer(f"{self.options.table} answers several tickets for one number: write a link instead")
        if not found:
            raise TicketUnavailable(Unavailable(number, Unavailability.GONE))
        return self._state(self._keep(found[0]))

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Return the state of tickets, a hundred per request. What is not shown is gone, or hidden: it looks alike."""
        seen = await self._read(key for key in dict.fromkeys(ids) if SYS_ID.fullmatch(key))
        if ids and not seen and not await shows_rows(self._api, self._changed):
            raise PauseSystem(f"the account sees no ticket in {self.options.table} any more: grant it read access")
        gone = [Unavailable(key, Unavailability.GONE) for key in dict.fromkeys(ids) if key not in seen]
        return [*gone, *map(self._state, seen.values())]

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield the description, comments and work notes. Times are compared here, in UTC, and never in a query.

        https://www.servicenow.com/docs/r/australia/platform-administration/c_JournalFields.html
        """
        since = since and since.replace(microsecond=0)
        if self.options.replies_from == "display":
            seen, entries = await self._displayed(ticket.id)
        else:
            seen = self._parse(await self._get(ticket.id))
            entries = await self._journal_of(seen, since)
        self._keep(seen)
        first = first_message(seen, self._people.automatic)
        entries = sorted((one for one in entries if since is None or one.at >= since), key=lambda one: (one.at, one.id))
        authors = await self._people.authors((entry, seen) for entry in entries)
        replies = [reply_of(entry, seen, author) for entry, author in zip(entries, authors, strict=True)]
        for reply in sorted([first, *replies], key=lambda reply: (reply.created_at, not reply.first_message)):
            if since is None or reply.created_at >= since:
                yield reply

    async def _displayed(self, ticket_id: str) -> tuple[SeenTicket, list[Entry]]:
        """Return a ticket with the entries of the texts that it displays."""
        record = await self._get(ticket_id, COMMENTS, WORK_NOTES)
        seen = self._parse(record)
        return seen, [
            entry for element in (COMMENTS, WORK_NOTES) for entry in parse_journal_text(record, element, seen)
        ]

    async def _journal_of(self, seen: SeenTicket, since: datetime | None) -> list[Entry]:
        """Return a ticket's rows of the journal.

        Raises:
            PauseSystem: there is none, though the ticket displays comments: the journal may not be read.
        """
        found = await entries_of(self._api, seen.id, since)
        if not found and find_value(await self._get(seen.id, COMMENTS), COMMENTS, "display_value"):
            raise PauseSystem(
                "sys_journal_field answers nothing though the ticket has comments: grant the account read access to "
                "it, or set replies_from = display; then resume the system"
            )
        return found

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the new rows of the journal, and then the tickets that changed."""
        mode = self.options.replies_from
        if isinstance(start, datetime):
            anchored = await first_anchor(self._api, self._changed, start)
            if anchored is None:
                return
            mark = Bookmark(Mark(start), anchored, mode)
        else:
            mark = Bookmark.parse(start)
        if mark.replies_from != mode:
            raise PauseSystem(
                f"replies_from was {mark.replies_from} and is {mode} now, so that every reply would be sent again: set "
                "it back, or begin anew with a system of another name"
            )
        is_open = False
        if mode == "journal":
            async for entries, journal in news(self._api, self._journal, mark.journal):
                mark = replace(mark, journal=journal)
                yield await self._journal_page(entries, mark.cursor())
            # A row that came again, or came now, is a proof of this very sweep.
            is_open = bool(mark.journal.anchor) or await shows_rows(self._api, self._journal)
        async for changed, reached in news(self._api, self._changed, mark.tickets):
            mark = replace(mark, tickets=reached)
            yield self._ticket_page(changed, mark.cursor(), is_open=is_open)

    async def _journal_page(self, entries: list[Entry], cursor: Cursor) -> ChangePage:
        """Return new comments with the state of their tickets, which is asked for if it is older than the comment."""
        for entry in entries[-1:]:
            self._people.forget_before(entry.at)
        newest = {entry.ticket_id: entry.at for entry in entries}
        known = {
            key: self._seen[key] for key in newest if key in self._seen and self._seen[key].updated_at >= newest[key]
        }
        known |= await self._read(key for key in newest if key not in known and SYS_ID.fullmatch(key))
        told = [(entry, known[entry.ticket_id]) for entry in entries if entry.ticket_id in known]
        replies: dict[str, list[Reply]] = {}
        for (entry, seen), author in zip(told, await self._people.authors(told), strict=True):
            replies.setdefault(seen.id, []).append(reply_of(entry, seen, author))
        states = tuple(map(self._state, known.values()))
        return ChangePage(cursor, tuple(newest), states, {key: tuple(found) for key, found in replies.items()})

    def _ticket_page(self, changed: list[SeenTicket], cursor: Cursor, *, is_open: bool) -> ChangePage:
        """Return changed tickets. Their comments came with the journal, if that is open and names their table."""
        for seen in changed[-1:]:
            self._people.forget_before(seen.updated_at)
        tickets = {seen.id: seen for seen in map(self._keep, changed)}
        told = [seen for seen in changed if is_open and seen.table in {self.options.table, "task"}]
        replies = {seen.id: (first_message(seen, self._people.automatic),) for seen in told}
        return ChangePage(cursor, tuple(tickets), tuple(map(self._state, tickets.values())), replies)

    async def _read(self, ids: Iterable[str]) -> dict[str, SeenTicket]:
        """Return those of these tickets that the account sees."""
        wanted = list(ids)
        found: dict[str, SeenTicket] = {}
        for place in range(0, len(wanted), IDS_PER_REQUEST):
            part = wanted[place : place + IDS_PER_REQUEST]
            async for rows in self._api.pages(Question(self.options.table, f"sys_idIN{','.join(part)}", self._fields)):
                seen = [self._parse(row) for row in rows]
                if any(one.id not in part for one in seen):
                    raise UnexpectedAnswer(
                        f"{self.options.table} answered other tickets: part of the query was ignored"
                    )
                found |= {one.id: self._keep(one) for one in seen}
        return found

    async def _get(self, sys_id: str, *journals: str) -> Record:
        """Return one ticket; with the texts of journals, which are displayed alone."""
        fields = (*self._fields, *journals)
        found = await self._api.find(self.options.table, sys_id, fields, display=bool(journals))
        if isinstance(found, Unavailability):
            raise TicketUnavailable(Unavailable(sys_id, found))
        if get_value(found, "sys_id") != sys_id:
            raise UnexpectedAnswer(f"{found.where} is another ticket than the one asked for")
        return found

    def _parse(self, record: Record) -> SeenTicket:
        return parse_ticket(record, self._customer_fields, self._key)

    def _keep(self, seen: SeenTicket) -> SeenTicket:
        """Remember a ticket without its text; the longest known are forgotten where there are too many."""
        self._seen.pop(seen.id, None)
        self._seen[seen.id] = replace(seen, text="")
        while len(self._seen) > TICKETS_KEPT:
            del self._seen[next(iter(self._seen))]
        return seen

    def _state(self, seen: SeenTicket) -> Ticket:
        return ticket_of(seen, self.options.table, self.options.base_url)
