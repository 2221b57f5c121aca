"""The adapter for the helpdesk of `syncd.testing.helpdesk`: the model to copy for an adapter of your own."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
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
from syncd.sources.links import parse_ticket_link

STATUSES = {
    "new": ThreadStatus.CREATED,
    "open": ThreadStatus.ONGOING,
    "pending": ThreadStatus.ONGOING,
    "closed": ThreadStatus.CLOSED,
}
CHANNELS = {"email": Channel.EMAIL, "chat": Channel.CHAT, "phone": Channel.PHONE}
AUTHORS = {"customer": AuthorKind.CUSTOMER, "agent": AuthorKind.AGENT, "system": AuthorKind.SYSTEM}
TICKETS_PER_REQUEST = 50


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

    @classmethod
    def connection(cls, options: InMemoryConfig) -> Connection:
        """Sign in with a bearer token; the helpdesk bears 600 requests a minute."""
        return Connection(options.base_url, HeaderAuthentication(options.token, scheme="Bearer"), 600)

    async def check(self) -> Identity:
        """Ask who we are."""
        me = _value(await self.http.get("/api/me"))
        return Identity(f"{me['account']} ({me['role']})")

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by a number like HD-1, or by a link like https://HOST/tickets/HD-1."""
        text = ref.number or ""
        if ref.link is not None:
            text = parse_ticket_link(ref.link, self.options.base_url, self.link_hosts).path.rpartition("/tickets/")[2]
        if not (match := re.fullmatch(r"#?(HD-[0-9]{1,9})/?", text.strip())):
            raise InvalidTicketRef("the helpdesk's tickets are named like HD-1, or by a link that ends so")
        found = _tickets(_value(await self.http.get("/api/tickets", params={"number": match[1]})))
        first = found[0] if found else Unavailable(match[1], Unavailability.GONE)
        if isinstance(first, Unavailable):
            raise TicketUnavailable(first)
        return first

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for many at once."""
        found: list[Ticket | Unavailable] = []
        for begin in range(0, len(ids), TICKETS_PER_REQUEST):
            some = ",".join(ids[begin : begin + TICKETS_PER_REQUEST])
            found += _tickets(_value(await self.http.get("/api/tickets", params={"ids": some})))
        return found

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Read page by page; the helpdesk lists the oldest first, and takes `since` itself."""
        params = {"since": since.isoformat()} if since else {}
        while True:
            response = await self.http.get(f"/api/tickets/{ticket.id}/replies", params=params, expect={403, 404})
            if unavailable := _unavailable(response, ticket.id):
                raise TicketUnavailable(unavailable)
            page = _value(response)
            for item in page["replies"]:
                yield _reply(item)
            if page["next_page"] is None:
                return
            if page["next_page"] == params.get("page", "0"):
                raise UnexpectedAnswer(f"{response.path} names page {page['next_page']} as the one after itself")
            params["page"] = page["next_page"]

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Read the list of changes; the cursor is the number of the last change seen.

        A cursor's own change is asked for again: if it does not come, the list is not the one that we know.
        """
        known = 0 if isinstance(start, datetime) else int(start)
        params = {"since": start.isoformat()} if isinstance(start, datetime) else {"after": str(max(known - 1, 0))}
        while True:
            page = _value(await self.http.get("/api/changes", params=params))
            changes = page["changes"]
            if known and not any(change["seq"] == known for change in changes):
                raise UnexpectedAnswer(f"the list of changes does not hold change {known}, which it had")
            yield _change_page(page, [change for change in changes if change["seq"] > known])
            if not page["more"]:
                return
            if str(page["last"]) == params.get("after", "0"):
                raise UnexpectedAnswer(f"the list of changes names page {page['last']} as the one after itself")
            known, params = 0, {"after": str(page["last"])}


class InMemoryPlain(InMemory):
    """The same helpdesk as a poorer one: no list of changes, and tickets one by one."""

    capabilities = frozenset()
    title = "Helpdesk (in memory, without a change feed)"

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for one after the other; one that cannot be seen does not stop the others."""
        found: list[Ticket | Unavailable] = []
        for ticket_id in ids:
            response = await self.http.get(f"/api/tickets/{ticket_id}", expect={403, 404})
            found.append(_unavailable(response, ticket_id) or _ticket(_value(response)))
        return found


def _value(response: Response) -> dict[str, Any]:
    """Return the JSON object of an answer. An error with status 200 is a failure, not an empty answer."""
    value = response.json()
    if not isinstance(value, dict) or "error" in value:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} with an error inside")
    return value


def _unavailable(response: Response, ticket_id: str) -> Unavailable | None:
    reasons = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
    return Unavailable(ticket_id, reasons[response.status]) if response.status in reasons else None


def _tickets(value: Mapping[str, Any]) -> list[Ticket | Unavailable]:
    return [
        *(_ticket(item) for item in value["tickets"]),
        *(Unavailable(ticket_id, Unavailability.FORBIDDEN) for ticket_id in value["forbidden"]),
        *(Unavailable(ticket_id, Unavailability.GONE) for ticket_id in value["missing"]),
    ]


def _ticket(item: Mapping[str, Any]) -> Ticket | Unavailable:
    if item["merged_into"]:
        return Unavailable(item["id"], Unavailability.MERGED, item["merged_into"])
    return Ticket(
        id=item["id"],
        number=item["number"],
        link=item["link"],
        subject=item["subject"],
        vendor_status=item["status"],
        status=STATUSES.get(item["status"]),
        assignee=item["assignee"],
        updated_at=datetime.fromisoformat(item["updated_at"]),
    )


def _reply(item: Mapping[str, Any]) -> Reply:
    """Return a reply. Only a plain `true` makes it public, and a redacted one is not for the customer any more."""
    public = item["public"] is True and not item["redacted"]
    return Reply(
        id=item["id"],
        author=Author(AUTHORS.get(item["author"]["kind"], AuthorKind.UNKNOWN), item["author"]["name"]),
        visibility=Visibility.PUBLIC if public else Visibility.INTERNAL,
        body=Body(item["text"], BodyFormat(item["format"])),
        created_at=datetime.fromisoformat(item["created_at"]),
        edited_at=datetime.fromisoformat(item["edited_at"]) if item["edited_at"] else None,
        channel=CHANNELS.get(item["channel"], Channel.OTHER),
        vendor_channel=item["channel"],
        attachments=tuple(Attachment(file["name"], file["size_bytes"]) for file in item["files"]),
        first_message=item["first"],
    )


def _change_page(page: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]) -> ChangePage:
    """Return a page; tickets of which a changed reply is not handed over are left to be asked for."""
    cursor, ticket_ids = Cursor(str(page["last"])), tuple(dict.fromkeys(change["ticket_id"] for change in changes))
    if "replies" not in page:
        return ChangePage(cursor, ticket_ids)
    changed = {change["reply_id"] for change in changes} - {None}
    replies: defaultdict[str, list[Reply]] = defaultdict(list)
    for item in page["replies"]:
        if item["id"] in changed:
            replies[item["ticket_id"]].append(_reply(item))
    handed = {reply.id for some in replies.values() for reply in some}
    untold = {change["ticket_id"] for change in changes if change["reply_id"] not in handed | {None}}
    return ChangePage(
        cursor=cursor,
        ticket_ids=ticket_ids,
        tickets=tuple(ticket for ticket in _tickets(page) if _id_of(ticket) in ticket_ids),
        replies={ticket_id: tuple(replies[ticket_id]) for ticket_id in ticket_ids if ticket_id not in untold},
    )


def _id_of(ticket: Ticket | Unavailable) -> str:
    return ticket.id if isinstance(ticket, Ticket) else ticket.ticket_id
