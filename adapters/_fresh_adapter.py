"""The adapter that Freshdesk and Freshservice share: one API with two faces, which a `Flavour` tells apart."""

import re
from abc import abstractmethod
from base64 import b64encode
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import ClassVar, TypeVar

from pydantic import Field, SecretStr, field_validator

from adapters._fresh_api import FreshApi, Params
from adapters._fresh_feed import Bookmark, Change, Reading
from adapters._fresh_people import Agents
from adapters._fresh_records import (
    Flavour,
    SeenTicket,
    in_order,
    parse_reply,
    parse_seen,
    parse_ticket,
    without_repeated,
)
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
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


class FreshConfig(AdapterConfig):
    """What both products need to sign in."""

    base_url: str = Field(description="The account's own address; no path, and no domain of your own.")
    api_key: SecretStr = Field(min_length=1, description="API key of an agent (Profile settings > Your API key).")

    @field_validator("api_key")
    @classmethod
    def _in_one_piece(cls, api_key: SecretStr) -> SecretStr:
        if any(char.isspace() or char == ":" for char in api_key.get_secret_value()):
            raise ValueError("has a blank, a line end or a colon in it, which no API key has")
        return api_key


TICKETS_KEPT = 200  # read a moment ago, whose replies are asked for next: the core reads some dozens at once
TICKET_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
TICKET_PATH = re.compile(
    r"^/(?:a/|helpdesk/|(?:[A-Za-z]{2,3}(?:-[A-Za-z]{2,4})?/)?support/|api/v2/)tickets/(?:archived/)?"
    r"([1-9][0-9]{0,17})(?=$|[/.?#])",
    re.ASCII,
)

ConfigT = TypeVar("ConfigT", bound=FreshConfig)


class FreshAdapter(Adapter[ConfigT]):
    """Tickets and conversations of one account."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED})
    flavour: ClassVar[Flavour]

    def __init__(self, options: ConfigT, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = FreshApi(http, self.flavour, self.list_params(options))
        self._agents = Agents(self._api)
        self._read: OrderedDict[str, SeenTicket] = OrderedDict()

    @classmethod
    @abstractmethod
    def list_params(cls, options: ConfigT) -> Params:
        """Return what goes with the list of tickets."""

    @classmethod
    def signed_in(cls, options: ConfigT, requests_per_minute: float) -> Connection:
        """Return the connection at a pace. The key is the *user* of HTTP Basic, so both are kept secret as one."""
        pair = b64encode(f"{options.api_key.get_secret_value()}:X".encode()).decode("ascii")
        return Connection(options.base_url, HeaderAuthentication(SecretStr(pair), scheme="Basic"), requests_per_minute)

    async def check(self) -> Identity:
        """Tell whose key it is, and what that agent sees.

        https://developers.freshdesk.com/api/#me
        """
        me = await self._api.find_me()
        self._judge_list(await self._api.see_tickets())
        if me is None:
            return self._without_name()
        person = me.find_record("contact") or me
        warnings = list(self.warnings(self.options))
        if me.find_int("ticket_scope") not in {None, 1}:
            warnings.append("the agent does not see all tickets (ticket_scope is not 1): those of others are left out")
        if not await self._agents.load():
            warnings.append("no administrator: the names of other agents are not shown")
        account = person.find_text("email") or person.find_text("name") or f"agent {me.get_key('id')}"
        return Identity(account, ("the list of changed tickets is open",), tuple(warnings))

    def _judge_list(self, status: int) -> None:
        if status == 403:
            raise PauseSystem(f"{self.flavour.title} does not let this agent read tickets: give it a role that may")
        if status == 400:
            raise PauseSystem(f"{self.flavour.title} refuses the list of tickets as the options have it")

    def _without_name(self) -> Identity:
        """Return who we are if the account does not say so.

        Raises:
            PauseSystem: it always says so; there is something else at the address.
        """
        raise PauseSystem(
            f"{self.options.base_url} does not know {self.flavour.title}'s agents/me: base_url must be "
            f"https://{self.flavour.host}, and the key that of an agent"
        )

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number or by a link to it, of an agent or a customer."""
        match = match_ticket_ref(
            ref,
            number=self.flavour.number,
            link=TICKET_PATH,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint=self.flavour.hint,
        )
        return await self._ticket(match[1])

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for one after the other: no request reads several by their ids.

        One whose answer cannot be read is left out, as long as others can: it must not stop them.
        """
        found: list[Ticket | Unavailable] = []
        failure: UnexpectedAnswer | None = None
        for ticket_id in ids:
            try:
                found.append(await self._ticket(ticket_id))
            except TicketUnavailable as error:
                found.append(error.unavailable)
            except UnexpectedAnswer as error:
                failure = failure or error
        if failure is not None and not found:
            raise failure
        return found

    async def _ticket(self, ticket_id: str) -> Ticket:
        """Return a ticket, and keep what its replies, which are asked for next as a rule, will need of it.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        self._read.pop(ticket_id, None)
        ticket, self._read[ticket_id] = await self._look(ticket_id)
        if len(self._read) > TICKETS_KEPT:
            self._read.popitem(last=False)
        return ticket

    async def _look(self, ticket_id: str) -> tuple[Ticket, SeenTicket]:
        """Ask for a ticket; return its state, and what its replies need of it."""
        if not TICKET_ID.fullmatch(ticket_id):
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        row, is_archived = await self._api.ticket(ticket_id)
        responder = row.find_key("responder_id")
        await self._agents.meet([responder])
        assignee = self._agents.names.get(responder) if responder else None
        state = parse_ticket(row, self.flavour, self.options.base_url, assignee)
        if isinstance(state, Unavailable):
            raise TicketUnavailable(state)
        return state, parse_seen(row, self.flavour, is_archived=is_archived)

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield the description, which is no conversation, and the conversations: all pages, as no filter exists.

        https://developers.freshdesk.com/api/#list_all_ticket_notes
        """
        seen, rows = await self._conversations(ticket.id)
        rows = without_repeated(in_order(rows), seen)
        writers = {row.find_key("user_id") for row in rows if row.find_flag("incoming") is not True}
        await self._agents.meet(writers - {seen.requester_id})
        told = [seen.opening] if seen.opening is not None else []
        told += [parse_reply(row, seen, self._agents.names) for row in rows]
        # Second granularity: an instant within a second is that second.
        since = since and since.replace(microsecond=0)
        for reply in sorted(told, key=lambda one: (one.created_at, not one.first_message)):
            if since is None or reply.created_at >= since:
                yield reply

    async def _conversations(self, ticket_id: str) -> tuple[SeenTicket, list[Record]]:
        """Return a ticket with its conversations; one that was archived since its reading has another path."""
        kept = self._read.pop(ticket_id, None)
        for known in (kept, None):
            seen = known or (await self._look(ticket_id))[1]
            rows = await self._api.find_conversations(ticket_id, is_archived=seen.is_archived)
            if rows is not None:
                return seen, rows
        raise UnexpectedAnswer(f"ticket {ticket_id} is there, but its conversations are not")

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets that changed, from the list of tickets; replies are not in it.

        Where the list is in the order of change, each page is asked for from the newest change of the one before: page
        numbers would shift under changes, and end at the 300th. Where it is not, pages are turned by number, and the
        cursor stays until the last one is told.
        """
        reading = Reading(Bookmark.parse(start), sorts=self.flavour.sorts)
        turned = Pages("the list of tickets")
        while not reading.is_over:
            page = await self._api.changed(reading.asked, reading.number)
            told = [Change(row.get_key("id"), row.get_instant("updated_at")) for row in page.rows]
            if page.has_next:
                turned.turn_to(f"{reading.asked} {','.join(change.ticket_id for change in told)}")
            fresh = reading.take(told, page.answered_at, has_next=page.has_next)
            yield ChangePage(reading.bookmark.cursor(), tuple(change.ticket_id for change in fresh))
