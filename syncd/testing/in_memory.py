"""The adapter for the helpdesk of `syncd.testing.helpdesk`: the model to copy for an adapter of your own."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from pydantic import Field, SecretStr

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    Attachment,
    Author,
    AuthorKind,
    Body,
    BodyFormat,
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
    Visibility,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, HeaderAuthentication, Response
from syncd.sources.links import match_ticket_ref
from syncd.sources.paging import Pages
from syncd.sources.records import Record, record_of
from syncd.sources.webhook import Webhook
from syncd.sources.webhook_bodies import named_by_operator
from syncd.sources.webhook_proofs import SharedSecret

STATUSES = {
    "new": ThreadStatus.CREATED,
    "open": ThreadStatus.ONGOING,
    "pending": ThreadStatus.ONGOING,
    "closed": ThreadStatus.CLOSED,
}
CHANNELS = {"email": Channel.EMAIL, "chat": Channel.CHAT, "phone": Channel.PHONE}
FORMATS = {one.value: one for one in BodyFormat}
AUTHORS = {"customer": AuthorKind.CUSTOMER, "agent": AuthorKind.AGENT, "system": AuthorKind.SYSTEM}
TICKETS_PER_REQUEST = 50
NUMBER = re.compile(r"#?(HD-[0-9]{1,9})")
LINK = re.compile(r"/tickets/(HD-[0-9]{1,9})/?$")


class InMemoryConfig(AdapterConfig):
    """Options of the helpdesk."""

    token: SecretStr = Field(description="The token of the helpdesk's API.")


class InMemory(Adapter[InMemoryConfig]):
    """A helpdesk whose list of changes carries tickets and replies."""

    config = InMemoryConfig
    capabilities = frozenset({Capability.CHANGE_FEED, Capability.BULK_TICKETS, Capability.BULK_REPLIES})
    title = "Helpdesk (in memory)"
    documentation = "syncd.testing.helpdesk"
    permissions = "the token of the helpdesk"
    webhook = Webhook(SharedSecret(), named_by_operator(), re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII))

    @classmethod
    def connection(cls, options: InMemoryConfig) -> Connection:
        """Sign in with a bearer token; the helpdesk bears 600 requests a minute."""
        return Connection(options.base_url, HeaderAuthentication(options.token, scheme="Bearer"), 600)

    async def check(self) -> Identity:
        """Ask who we are."""
        me = _record(await self.http.get("/api/me"))
        return Identity(f"{me.get_text('account')} ({me.get_text('role')})")

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by a number like HD-1, or by a link like https://HOST/tickets/HD-1."""
        name = match_ticket_ref(
            ref,
            number=NUMBER,
            link=LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint="the helpdesk's tickets are named like HD-1, or by a link that ends so",
        )[1]
        found = _tickets(_record(await self.http.get("/api/tickets", params={"number": name})))
        first = found[0] if found else Unavailable(name, Unavailability.GONE)
        if isinstance(first, Unavailable):
            raise TicketUnavailable(first)
        return first

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for many at once."""
        found: list[Ticket | Unavailable] = []
        for begin in range(0, len(ids), TICKETS_PER_REQUEST):
            some = ",".join(ids[begin : begin + TICKETS_PER_REQUEST])
            found += _tickets(_record(await self.http.get("/api/tickets", params={"ids": some})))
        return found

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Read page by page; the helpdesk lists the oldest first, and takes `since` itself."""
        params = {"since": since.isoformat()} if since else {}
        pages = Pages("the list of replies")
        pages.turn_to("0")
        while True:
            response = await self.http.get(f"/api/tickets/{ticket.id}/replies", params=params, expect={403, 404})
            if unavailable := _unavailable(response, ticket.id):
                raise TicketUnavailable(unavailable)
            page = _record(response)
            for item in page.get_records("replies"):
                yield _reply(item)
            following = page.find_text("next_page")
            if following is None:
                return
            pages.turn_to(following)
            params["page"] = following

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Read the list of changes; the cursor is the number of the last change seen.

        A cursor's own change is asked for again: if it does not come, the list is not the one that we know.
        """
        known = 0 if isinstance(start, datetime) else _parse_cursor(start)
        params = {"since": start.isoformat()} if isinstance(start, datetime) else {"after": str(max(known - 1, 0))}
        pages = Pages("the list of changes")
        pages.turn_to(params.get("after", "0"))
        while True:
            page = _record(await self.http.get("/api/changes", params=params))
            changes = [(change.get_int("seq"), change) for change in page.get_records("changes")]
            if known and not any(number == known for number, _ in changes):
                raise UnexpectedAnswer(f"the list of changes does not hold change {known}, which it had")
            yield _change_page(page, [change for number, change in changes if number > known])
            if page.find_flag("more") is False:
                return
            pages.turn_to(page.get_int("last"))
            known, params = 0, {"after": str(page.get_int("last"))}


class InMemoryPlain(InMemory):
    """The same helpdesk as a poorer one: no list of changes, and tickets one by one."""

    capabilities = frozenset()
    title = "Helpdesk (in memory, without a change feed)"

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for one after the other; one that cannot be seen does not stop the others."""
        found: list[Ticket | Unavailable] = []
        for ticket_id in ids:
            response = await self.http.get(f"/api/tickets/{ticket_id}", expect={403, 404})
            found.append(_unavailable(response, ticket_id) or _ticket(_record(response)))
        return found


def _parse_cursor(cursor: Cursor) -> int:
    if not cursor.isdecimal():
        raise UnexpectedAnswer("the stored cursor of this system was not made by this adapter")
    return int(cursor)


def _record(response: Response) -> Record:
    """Return the JSON object of an answer. An error with status 200 is a failure, not an empty answer."""
    record = record_of(response)
    if "error" in record:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} with an error inside")
    return record


def _unavailable(response: Response, ticket_id: str) -> Unavailable | None:
    reasons = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
    return Unavailable(ticket_id, reasons[response.status]) if response.status in reasons else None


def _tickets(answer: Record) -> list[Ticket | Unavailable]:
    return [
        *(_ticket(item) for item in answer.get_records("tickets")),
        *(Unavailable(ticket_id, Unavailability.FORBIDDEN) for ticket_id in answer.get_texts("forbidden")),
        *(Unavailable(ticket_id, Unavailability.GONE) for ticket_id in answer.get_texts("missing")),
    ]


def _ticket(item: Record) -> Ticket | Unavailable:
    if merged_into := item.find_key("merged_into"):
        return Unavailable(item.get_key("id"), Unavailability.MERGED, merged_into)
    status = item.get_text("status")
    return Ticket(
        id=item.get_key("id"),
        number=item.get_text("number"),
        link=item.find_text("link"),
        subject=item.find_text("subject"),
        vendor_status=status,
        status=STATUSES.get(status),
        assignee=item.find_text("assignee"),
        updated_at=item.find_instant("updated_at"),
    )


def _reply(item: Record) -> Reply:
    """Return a reply. Only a plain `true` makes it public, and a redacted one is not for the customer any more."""
    public = item.is_true("public") and item.find_flag("redacted") is False
    author, channel = item.get_record("author"), item.find_text("channel") or ""
    return Reply(
        id=item.get_key("id"),
        author=Author(AUTHORS.get(author.find_text("kind") or "", AuthorKind.UNKNOWN), author.find_text("name")),
        visibility=Visibility.PUBLIC if public else Visibility.INTERNAL,
        body=Body(item.find_text("text") or "", _format(item)),
        created_at=item.get_instant("created_at"),
        edited_at=item.find_instant("edited_at"),
        channel=CHANNELS.get(channel, Channel.OTHER),
        vendor_channel=channel or None,
        attachments=tuple(
            Attachment(file.get_text("name"), file.find_int("size_bytes")) for file in item.get_records("files")
        ),
        first_message=item.is_true("first"),
    )


def _format(item: Record) -> BodyFormat:
    """Return how a text is to be read; one of a form that is not known would be sent with its marks."""
    word = item.get_text("format")
    if word not in FORMATS:
        raise UnexpectedAnswer(f"{item.where}: format is none of {', '.join(FORMATS)}")
    return FORMATS[word]


def _change_page(page: Record, changes: Sequence[Record]) -> ChangePage:
    """Return a page; tickets of which a changed reply is not handed over are left to be asked for."""
    cursor = Cursor(str(page.get_int("last")))
    touched = [(change.get_key("ticket_id"), change.find_key("reply_id")) for change in changes]
    ticket_ids = tuple(dict.fromkeys(ticket_id for ticket_id, _ in touched))
    if "replies" not in page:
        return ChangePage(cursor, ticket_ids)
    changed = {reply_id for _, reply_id in touched} - {None}
    replies: defaultdict[str, list[Reply]] = defaultdict(list)
    for item in page.get_records("replies"):
        if item.get_key("id") in changed:
            replies[item.get_key("ticket_id")].append(_reply(item))
    handed = {reply.id for some in replies.values() for reply in some}
    untold = {ticket_id for ticket_id, reply_id in touched if reply_id not in handed | {None}}
    return ChangePage(
        cursor=cursor,
        ticket_ids=ticket_ids,
        tickets=tuple(ticket for ticket in _tickets(page) if _id_of(ticket) in ticket_ids),
        replies={ticket_id: tuple(replies[ticket_id]) for ticket_id in ticket_ids if ticket_id not in untold},
    )


def _id_of(ticket: Ticket | Unavailable) -> str:
    return ticket.id if isinstance(ticket, Ticket) else ticket.ticket_id
