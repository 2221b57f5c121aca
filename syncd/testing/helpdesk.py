"""A helpdesk to try things out with: a small ticketing system in memory, with an HTTP face and faults on demand.

    async with Helpdesk(clock) as helpdesk:
        ticket = helpdesk.create_ticket("Locker", "My locker does not open.")
        helpdesk.faults.throttle(30)

It is strict: what its API does not know is refused, as is a request without its token.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import orjson
from aiohttp import web

from syncd.model.clock import Clock
from syncd.testing.helpdesk_faults import HelpdeskFaults
from syncd.testing.helpdesk_records import DeskChange, DeskFile, DeskReply, DeskTicket, HelpdeskRecords

__all__ = ["DeskFile", "DeskReply", "DeskTicket", "Helpdesk", "Story"]

Story = Sequence[tuple[float, Callable[["Helpdesk"], object]]]
"""What happens at the helpdesk: (seconds after the start of the story, what is done then), in order of time."""

DEFAULT_TOKEN = "helpdesk-token"  # noqa: S105 - it opens nothing but this helpdesk


class Helpdesk(HelpdeskRecords):
    """The helpdesk on a loopback port.

    `page_size` is how many replies or changes go on a page. Without `feed` there is no change list to ask for; with
    `bulk_replies` a page of it carries tickets and replies; with `bulk_tickets` many tickets can be asked at once.
    `requests` holds what was asked, as `GET /api/...`.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        token: str = DEFAULT_TOKEN,
        page_size: int = 3,
        feed: bool = True,
        bulk_replies: bool = True,
        bulk_tickets: bool = True,
    ) -> None:
        super().__init__(clock)
        self.token = token
        self.page_size = page_size
        self.feed = feed
        self.bulk_replies = bulk_replies
        self.bulk_tickets = bulk_tickets
        self.faults = HelpdeskFaults()
        self.requests: list[str] = []
        self.base_url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1, on a free port unless one is given; `base_url` tells where."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/api/me", self._get_me)
        app.router.add_get("/api/tickets", self._get_tickets)
        app.router.add_get("/api/tickets/{id}", self._get_ticket)
        app.router.add_get("/api/tickets/{id}/replies", self._get_replies)
        app.router.add_get("/api/changes", self._get_changes)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def link(self, ticket: DeskTicket) -> str:
        """Return the web address of a ticket, as people copy it."""
        return f"{self.base_url}/tickets/{ticket.number}"

    async def play(self, story: Story) -> None:
        """Let a story happen in its time, by the helpdesk's clock."""
        began = self.clock.monotonic()
        for after_seconds, action in story:
            await self.clock.sleep(began + after_seconds - self.clock.monotonic())
            action(self)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        if fault := self.faults.next_answer():
            return await fault()
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "unauthorized", "The token is not valid.")
        try:
            return await handler(request)
        except web.HTTPException as refused:
            return _error(refused.status, "refused", refused.text or "")

    async def _get_me(self, request: web.Request) -> web.Response:
        _query(request)
        return _json({"account": "syncd", "role": "agent"})

    async def _get_tickets(self, request: web.Request) -> web.Response:
        query = _query(request, "ids", "number")
        if "number" in query:
            named = [ticket for ticket in self.tickets.values() if ticket.number == query["number"]]
            asked = [ticket.id for ticket in named]
        elif self.bulk_tickets:
            asked = [one for one in query.get("ids", "").split(",") if one]
        else:
            raise web.HTTPBadRequest(text="Tickets are asked for one by one.")
        known = {one: self.tickets[one] for one in asked if one in self.tickets and not self.tickets[one].deleted}
        return _json(
            {
                "tickets": [self._ticket_value(ticket) for ticket in known.values() if not ticket.forbidden],
                "forbidden": [ticket.id for ticket in known.values() if ticket.forbidden],
                "missing": [one for one in asked if one not in known],
            }
        )

    async def _get_ticket(self, request: web.Request) -> web.Response:
        _query(request)
        return _json(self._ticket_value(self._visible_ticket(request)))

    async def _get_replies(self, request: web.Request) -> web.Response:
        query = _query(request, "since", "page")
        replies = self._visible_ticket(request).replies
        if "since" in query:
            since = _instant(query["since"])
            replies = [reply for reply in replies if reply.created_at >= since]
        if self.faults.take_empty_replies():
            replies = []
        begin = _number(query.get("page", "0"))
        end = begin + self.page_size
        following = str(self.faults.token_or(end, begin)) if end < len(replies) else None
        listed = self.faults.muddled([_reply_value(reply) for reply in replies[begin:end]])
        return _json({"replies": listed, "next_page": following})

    async def _get_changes(self, request: web.Request) -> web.Response:
        if not self.feed:
            raise web.HTTPNotFound(text="This helpdesk has no list of changes.")
        query = _query(request, "since", "after")
        after = self._seq_before(_instant(query["since"])) if "since" in query else _number(query.get("after", "0"))
        changes = self.changes[after:]
        page = changes[: self.page_size]
        if self.faults.take_empty_page():
            page, changes = [], []
        last = page[-1].seq if page else after
        value = {
            "changes": [
                {"seq": one.seq, "at": one.at, "ticket_id": one.ticket_id, "reply_id": one.reply_id} for one in page
            ],
            "more": len(changes) > len(page) or self.faults.repeats_token,
            "last": self.faults.token_or(last, 0 if "since" in query else after),
        }
        return _json(value | self._bulk_value(page) if self.bulk_replies else value)

    def _seq_before(self, since: datetime) -> int:
        """Return the number of the last change before the first one at `since` or later."""
        return next((one.seq - 1 for one in self.changes if one.at >= since), len(self.changes))

    def _bulk_value(self, page: Sequence[DeskChange]) -> dict[str, Any]:
        """Return the tickets and the changed replies of a page, without those that may not be seen."""
        tickets = [self.tickets[one] for one in dict.fromkeys(change.ticket_id for change in page)]
        visible = [ticket for ticket in tickets if not ticket.deleted and not ticket.forbidden]
        changed = {change.reply_id for change in page}
        return {
            "tickets": [self._ticket_value(ticket) for ticket in visible],
            "forbidden": [ticket.id for ticket in tickets if ticket.forbidden and not ticket.deleted],
            "missing": [ticket.id for ticket in tickets if ticket.deleted],
            "replies": self.faults.muddled(
                [_reply_value(reply) for ticket in visible for reply in ticket.replies if reply.id in changed]
            ),
        }

    def _visible_ticket(self, request: web.Request) -> DeskTicket:
        ticket = self.tickets.get(request.match_info["id"])
        if ticket is None or ticket.deleted:
            raise web.HTTPNotFound(text="There is no such ticket.")
        if ticket.forbidden:
            raise web.HTTPForbidden(text="This account may not see the ticket.")
        return ticket

    def _ticket_value(self, ticket: DeskTicket) -> dict[str, Any]:
        return {
            "id": ticket.id,
            "number": ticket.number,
            "link": self.link(ticket),
            "subject": ticket.subject,
            "status": ticket.status,
            "assignee": ticket.assignee,
            "merged_into": ticket.merged_into,
            "updated_at": ticket.updated_at,
        }


def _reply_value(reply: DeskReply) -> dict[str, Any]:
    return {
        "id": reply.id,
        "ticket_id": reply.ticket_id,
        "author": {"name": reply.author, "kind": reply.author_kind},
        "public": reply.public,
        "redacted": reply.redacted,
        "text": reply.text,
        "format": reply.format,
        "files": [{"name": file.name, "size_bytes": file.size_bytes} for file in reply.files],
        "channel": reply.channel,
        "first": reply.first,
        "created_at": reply.created_at,
        "edited_at": reply.edited_at,
    }


def _query(request: web.Request, *known: str) -> Mapping[str, str]:
    """Return the parameters of a request; one that the API does not know is refused."""
    for name in request.query:
        if name not in known:
            raise web.HTTPBadRequest(text=f"There is no parameter {name} here.")
    return request.query


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise web.HTTPBadRequest(text="An instant is written as 2026-03-02T09:00:00+00:00.") from None
    if instant.tzinfo is None:
        raise web.HTTPBadRequest(text="An instant needs its offset.")
    return instant


def _number(text: str) -> int:
    if not text.isdecimal():
        raise web.HTTPBadRequest(text="A place in a list is a number.")
    return int(text)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


def _error(status: int, code: str, message: str) -> web.Response:
    return _json({"error": {"code": code, "message": message}}, status)
