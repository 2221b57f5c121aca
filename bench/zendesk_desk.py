"""A Zendesk account as its own process: `python -m bench.zendesk_desk TICKETS REPLIES`; it prints its address.

It answers from texts that it made before, so that what is measured is the one who asks. The exports go on as
Zendesk's do: events by time, with all those of a page's last second, which the next page begins with once more;
tickets by cursor. Without a token it answers 401, to parameters that Zendesk does not know 400. One thing is left
out, as it would be all that is measured: the pace of ten exports a minute.

`/requests` gives the requests since it was last asked, and is none of Zendesk's.
"""

import asyncio
import re
import sys
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from bench.servers import Server, started

TOKEN = "token-of-the-bench"
PAGE = 1000
COMMENTS = 100
BEGAN = int(datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp())
"""When the first comment was written; the others follow, a second each."""

FIRST_TICKET, FIRST_COMMENT, FIRST_AGENT, FIRST_CUSTOMER, AGENTS = 10_001, 5_000_001, 901, 20_001, 12

_PARAMETERS = {
    "incremental/ticket_events": {"start_time", "include", "per_page"},
    "incremental/tickets/cursor": {"start_time", "cursor", "include", "per_page", "exclude_deleted"},
    "users/show_many": {"ids"},
    "tickets/show_many": {"ids"},
    "comments": {"page[size]", "page[after]", "per_page", "sort", "include", "sort_order"},
    "audits": {"page[size]", "page[after]", "per_page", "include"},
}
_OF_TICKET = re.compile(r"tickets/\d+/(comments|audits)")
_WORDS = (
    "the locker by the window does not close any more and I have put my things into another one for the time being",
    "could somebody please have a look at the invoice of March: it names two visits that I did not make",
    "our colleagues have mended it this morning; please tell us should it happen once more",
    "I would like to end my membership at the end of the year, as I am moving to another town with my family",
    "thank you for your patience, we have asked the studio and are waiting for its answer until tomorrow",
)


@dataclass(slots=True)
class Account:
    """What the account holds, as texts: each ticket, each event with its time, the comments of each ticket."""

    tickets: list[bytes] = field(default_factory=list)
    ticket_times: list[int] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    event_times: list[int] = field(default_factory=list)
    comments: list[list[bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def filled(cls, tickets: int, replies: int) -> "Account":
        """Return an account in which customers and agents write in turn, one comment in each ticket after the other."""
        account = cls(comments=[[] for _ in range(tickets)])
        for number in range(tickets * replies):
            at, place = BEGAN + number, number % tickets
            comment = _comment(number, FIRST_CUSTOMER + place, by_agent=number // tickets % 2 == 1)
            account.comments[place].append(orjson.dumps(comment))
            account.events.append(orjson.dumps(_event(number, place, comment)))
            account.event_times.append(at)
        for place in range(tickets):
            at = BEGAN + tickets * (replies - 1) + place
            account.tickets.append(orjson.dumps(_ticket(place, at)))
            account.ticket_times.append(at)
        return account

    def answer(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """Return the answer to a request, None if Zendesk would refuse it."""
        of_ticket = _OF_TICKET.fullmatch(path)
        name = path if of_ticket is None else of_ticket[1]
        if set(query) - _PARAMETERS.get(name, set()):
            return None
        return self._listed_by(name, path, query)

    def _listed_by(self, name: str, path: str, query: Mapping[str, str]) -> bytes | None:
        ids = [int(text) for text in query.get("ids", "").split(",") if text]
        tickets = (self.tickets[number - FIRST_TICKET] for number in ids)
        size = int(query.get("per_page", PAGE))
        ways: dict[str, Callable[[], bytes]] = {
            "incremental/ticket_events": lambda: self._events(int(query["start_time"]), size),
            "incremental/tickets/cursor": lambda: self._tickets(query),
            "tickets/show_many": lambda: _listed("tickets", tickets),
            "users/show_many": lambda: _listed("users", (orjson.dumps(_user(number)) for number in ids)),
            "comments": lambda: self._comments(int(path.split("/")[1]) - FIRST_TICKET, "users" in str(query)),
            "audits": lambda: self._audits(int(path.split("/")[1]) - FIRST_TICKET),
        }
        return ways[name]() if name in ways else None

    def _events(self, start: int, size: int) -> bytes:
        begin = bisect_left(self.event_times, start)
        end = min(begin + size, len(self.events))
        while 0 < end < len(self.events) and self.event_times[end] == self.event_times[end - 1]:
            end += 1
        until = self.event_times[end - 1] if end > begin else None
        ended = end == len(self.events)
        return _listed("ticket_events", self.events[begin:end], count=end - begin, end_time=until, end_of_stream=ended)

    def _tickets(self, query: Mapping[str, str]) -> bytes:
        if "cursor" in query:
            at, _, number = b64decode(query["cursor"]).decode().partition("||")
            begin = bisect_left(self.ticket_times, int(at)) + (int(number) > 0)
        else:
            # tap-zendesk asks with a fraction.
            begin = bisect_left(self.ticket_times, int(float(query["start_time"])))
        end = min(begin + int(query.get("per_page", PAGE)), len(self.tickets))
        after = query.get("cursor")
        if end > begin:
            after = b64encode(b"%d||%d" % (self.ticket_times[end - 1], FIRST_TICKET + end - 1)).decode()
        return _listed("tickets", self.tickets[begin:end], after_cursor=after, end_of_stream=end == len(self.tickets))

    def _comments(self, place: int, with_users: bool) -> bytes:
        comments = self.comments[place]
        meta = {"has_more": False, "after_cursor": None, "before_cursor": None}
        writers = [*range(FIRST_AGENT, FIRST_AGENT + AGENTS), FIRST_CUSTOMER + place]
        beside = {"users": [_user(user_id) for user_id in writers]} if with_users else {}
        return _listed("comments", comments, count=len(comments), meta=meta, next_page=None, **beside)

    def _audits(self, place: int) -> bytes:
        audits = [orjson.dumps(_audit(orjson.loads(one), FIRST_TICKET + place)) for one in self.comments[place]]
        return _listed("audits", audits, count=len(audits), meta={"has_more": False, "after_cursor": None})


def _audit(comment: dict[str, Any], ticket_id: int) -> dict[str, Any]:
    """Return the audit that a comment is an event of."""
    told = {key: value for key, value in comment.items() if key not in {"created_at", "via"}}
    beside = {key: comment[key] for key in ("created_at", "author_id", "via")}
    return {"id": comment["audit_id"], "ticket_id": ticket_id, "metadata": {}, "events": [told], **beside}


def _listed(name: str, rows: Iterable[bytes], **beside: Any) -> bytes:
    return b'{"%b":[%b],%b' % (name.encode(), b",".join(rows), orjson.dumps({"previous_page": None, **beside})[1:])


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _user(user_id: int) -> dict[str, Any]:
    role, name = ("agent", f"Agent {user_id}") if user_id < FIRST_CUSTOMER else ("end-user", f"Customer {user_id}")
    return {"id": user_id, "name": name, "email": f"u{user_id}@example.com", "role": role, "active": True}


def _via(channel: str) -> dict[str, Any]:
    return {
        "channel": channel,
        "source": {"from": {"address": "max@example.com", "name": "Max"}, "to": {}, "rel": None},
    }


def _texts(number: int, *, by_agent: bool) -> tuple[str, str]:
    """Return the HTML of a comment in one of the shapes that mail programs and the agents' editor give it, and text."""
    lines = [f"{_WORDS[(number + shift) % len(_WORDS)]} ({number})." for shift in range(3)]
    body = "\n\n".join(("Hello,", *lines, "Kind regards\nMax"))
    if by_agent:
        inside = "".join(f'<p dir="auto">{line}</p>' for line in lines)
        link = '<a href="https://help.example.com/hc/articles/42" rel="noreferrer">our help</a>'
        html = f'<p dir="auto">Hello,</p>{inside}<p dir="auto">See {link}.<br>Kind regards<br>Anna</p>'
    elif number % 2:
        html = "<br>".join(("Hello,", "", *lines, "", "Kind regards", "Max"))
    else:
        inside = "<div><br></div>".join(f"<div>{line}</div>" for line in lines)
        html = f'<div dir="ltr">Hello,<div><br></div>{inside}<div><b>Max</b></div></div>'
    return f'<div class="zd-comment" dir="auto">{html}</div>', body


def _comment(number: int, customer: int, *, by_agent: bool) -> dict[str, Any]:
    html, body = _texts(number, by_agent=by_agent)
    return {
        "id": FIRST_COMMENT + number,
        "type": "Comment",
        "author_id": FIRST_AGENT + number % AGENTS if by_agent else customer,
        "body": body,
        "html_body": html,
        "public": True,
        "attachments": [],
        "audit_id": 7_000_001 + number,
        "via": _via("web" if by_agent else "email"),
        "created_at": _stamp(BEGAN + number),
    }


def _event(number: int, place: int, comment: dict[str, Any]) -> dict[str, Any]:
    at = BEGAN + number
    changed = {"id": 8_000_001 + number, "via": "Web", "via_reference_id": None, "event_type": "Change"}
    return {
        "id": comment["audit_id"],
        "ticket_id": FIRST_TICKET + place,
        "timestamp": at,
        "created_at": _stamp(at),
        "updater_id": comment["author_id"],
        "via": "Web",
        "system": {"client": "Mozilla/5.0", "location": "Berlin, BE, Germany", "latitude": 52.5, "longitude": 13.4},
        "event_type": "Audit",
        "child_events": [
            {**changed, "status": "open", "previous_value": "new"},
            {**comment, "event_type": "Comment", "via_reference_id": None},
        ],
    }


def _ticket(place: int, at: int) -> dict[str, Any]:
    """Return a ticket; the fields that nobody here reads are there as well, as Zendesk sends them."""
    people = {"requester_id": FIRST_CUSTOMER + place, "submitter_id": FIRST_CUSTOMER + place}
    nothing = dict.fromkeys(("external_id", "type", "recipient", "problem_id", "due_at", "forum_topic_id"))
    lists: dict[str, Any] = {f"{name}_ids": [] for name in ("collaborator", "follower", "email_cc", "followup")}
    return {
        "url": f"https://acme.zendesk.com/api/v2/tickets/{FIRST_TICKET + place}.json",
        "id": FIRST_TICKET + place,
        "subject": f"The locker of studio {place}",
        "raw_subject": f"The locker of studio {place}",
        "description": _WORDS[place % len(_WORDS)],
        "status": "open",
        "priority": "normal",
        "via": _via("email"),
        "assignee_id": FIRST_AGENT + place % AGENTS,
        "group_id": 31,
        "brand_id": 77,
        "tags": ["studio", "locker"],
        # Zendesk tells them twice.
        **{name: [{"id": 360 + number, "value": None} for number in range(8)] for name in ("custom_fields", "fields")},
        "created_at": _stamp(BEGAN - 86_400),
        "updated_at": _stamp(at),
        "generated_timestamp": at,
        **people,
        **nothing,
        **lists,
    }


def served(tickets: int, replies: int) -> AbstractAsyncContextManager[Server]:
    """Serve an account from another process."""
    return started("bench.zendesk_desk", str(tickets), str(replies))


async def requests_of(desk: Server) -> list[str]:
    """Return the addresses that were asked for since this was last called."""
    async with aiohttp.ClientSession() as session, session.get(f"{desk.address}/requests") as response:
        asked: list[str] = await response.json()
        return asked


async def serve(account: Account) -> None:
    """Serve an account until the process is ended."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/requests":
            asked, account.asked = account.asked, []
            return web.json_response(asked)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "Couldn't authenticate you"}, status=401)
        key = str(request.rel_url)
        account.asked.append(key)
        if key not in account.pages:
            path = request.path.removeprefix("/api/v2/").removesuffix(".json")
            told = account.answer(path, request.query)
            if told is None:
                return web.json_response({"error": "InvalidEndpoint"}, status=400)
            account.pages[key] = told
        return web.Response(body=account.pages[key], content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Account.filled(int(sys.argv[1]), int(sys.argv[2]))))
