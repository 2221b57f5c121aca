"""A strict stand-in for one Zendesk account over HTTP, with the traps of the real one.

It refuses parameters, paths and paces that Zendesk does not have, keeps time by the virtual clock, and counts what it
is asked. What it holds is changed by calling its methods.
"""

import asyncio
from base64 import b64decode, b64encode
from collections import deque
from datetime import UTC, datetime

from aiohttp import web

RATE_BODY = {
    "error": "APIRateLimitExceeded",
    "description": "Number of allowed incremental export API requests per minute exceeded",
}


class ZendeskStandIn:
    """One account. `role` is the role of the user that the credentials stand for."""

    email, api_token, oauth_token = "syncd@example.com", "api-token-1", "oauth-token-1"
    client_id, client_secret = "syncd", "client-secret-1"

    def __init__(self, clock):
        self.clock = clock
        self.role = "admin"
        self.exports_open = True
        self.export_page, self.comments_page = 1000, 100
        self.slow_above = 100_000  # exports of more records than this time out
        self.stuck = False  # the exports hand out the same place again and again
        self.sideload = True  # off: events have flags in the place of comments
        self.repeat_comments_token = False
        self.export_requests_per_minute = 10
        self.forbidden = set()
        self.next_answers = deque()  # (status, headers, body text, content type), or "hang"
        self.throttled = 0
        self.meanwhile = {}  # what happens just before the next request to a path is served
        self.requests = []  # (path, query)
        self.tokens = {}  # access token -> end
        self.users, self.tickets, self.comments, self.events = {}, {}, {}, []
        self._next_id = 1000
        self._export_times, self._sample_times = deque(), deque()
        self.agent = self.add_user("Anna Agent", "agent")
        self.customer = self.add_user("Carl Customer", "end-user")

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    # What the account holds.

    def add_user(self, name, role):
        user_id = self._new_id()
        self.users[user_id] = {"id": user_id, "name": name, "role": role, "email": f"u{user_id}@example.com"}
        return user_id

    def open_ticket(self, at, *, requester=None, subject="Invoice", via="email", text="hello", author=None, **fields):
        """Make a ticket with its first comment; return (ticket id, comment id)."""
        ticket_id = self._new_id()
        self.tickets[ticket_id] = {
            "id": ticket_id,
            "subject": subject,
            "raw_subject": subject,
            "description": text,
            "status": "new",
            "via": {"channel": via, "source": {"from": {}, "to": {}, "rel": None}},
            "requester_id": requester or self.customer,
            "submitter_id": requester or self.customer,
            "assignee_id": None,
            "created_at": stamp(at),
            **fields,
        }
        self.comments[ticket_id] = []
        created = [{"id": self._new_id(), "event_type": "Create", "via": "Email", "subject": subject}]
        created.append({"id": self._new_id(), "event_type": "Create", "via": "Email", "status": "new"})
        comment = self.comment(ticket_id, author or requester or self.customer, text, at, via=via, beside=created)
        return ticket_id, comment

    def comment(self, ticket_id, author, text, at=None, *, public=True, via="email", beside=(), **fields):
        """Add a comment, with other changes of the same audit beside it; return its id."""
        at = at or self.clock.now()
        comment = {
            "id": self._new_id(),
            "type": "Comment",
            "author_id": author,
            "body": text,
            "html_body": f'<div class="zd-comment" dir="auto"><p>{text}</p></div>',
            "plain_body": text,
            "public": public,
            "attachments": [],
            "audit_id": self._next_id,
            "created_at": stamp(at),
            "via": {"channel": via, "source": {"from": {}, "to": {}, "rel": None}},
            "metadata": {},
            **fields,
        }
        self.comments[ticket_id].append(comment)
        self.audit(ticket_id, at, [*beside, {"comment": comment}], author)
        return comment["id"]

    def change(self, ticket_id, at=None, **fields):
        """Change fields of a ticket in an audit of its own."""
        self.tickets[ticket_id] |= fields
        self.audit(ticket_id, at or self.clock.now(), [self.changed(key, value) for key, value in fields.items()])

    def changed(self, key, value):
        return {"id": self._new_id(), "event_type": "Change", "via": "Web", key: value, "previous_value": "open"}

    def audit(self, ticket_id, at, children, updater=-1):
        seconds = int(at.timestamp())
        ticket = self.tickets[ticket_id]
        ticket["updated_at"] = max(ticket.get("updated_at", ""), stamp(at))
        ticket["generated_timestamp"] = max(ticket.get("generated_timestamp", 0), seconds)
        event = {"id": self._new_id(), "ticket_id": ticket_id, "timestamp": seconds, "created_at": stamp(at)}
        event |= {"updater_id": updater, "via": "Email", "event_type": "Audit", "child_events": children}
        self.events.append(event)

    def make_private(self, ticket_id, comment_id):
        """Turn a comment private in place, as Zendesk does: no new comment, no new id."""
        next(raw for raw in self.comments[ticket_id] if raw["id"] == comment_id)["public"] = False
        child = {"id": self._new_id(), "event_type": "CommentPrivacyChange", "comment_id": comment_id, "public": False}
        self.audit(ticket_id, self.clock.now(), [child])

    def count(self, path_part):
        return sum(path_part in path for path, _ in self.requests)

    def _new_id(self):
        self._next_id += 1
        return self._next_id

    # How it answers.

    async def _serve(self, request):
        self.requests.append((request.path, dict(request.query)))
        self.meanwhile.pop(request.path, lambda: None)()
        if self.next_answers:
            answer = self.next_answers.popleft()
            if answer == "hang":
                await asyncio.Event().wait()
            status, headers, text, kind = answer
            return web.Response(status=status, headers=headers, text=text, content_type=kind)
        if request.path == "/oauth/tokens":
            return await self._give_token(request)
        parts = request.path.removeprefix("/api/v2/").removesuffix(".json").split("/")
        if request.method != "GET" or not request.path.startswith("/api/v2/"):
            return error(404, "InvalidEndpoint")
        return self._refusal(request, parts) or self._read(parts, request.query)

    def _refusal(self, request, parts):
        """Return the answer to who may not read, or None. Without credentials users/me is open, as in the real one."""
        given = request.headers.get("Authorization")
        if (given is None and parts != ["users", "me"]) or (given is not None and not self._is_known(given)):
            headers = {"WWW-Authenticate": 'Basic realm="Web Password"'}
            return web.json_response({"error": "Couldn't authenticate you"}, status=401, headers=headers)
        if parts == ["users", "me"]:
            return self._me(anonymous=given is None)
        if self.role == "end-user":
            return error(403, {"title": "Forbidden", "message": "You do not have access to this page."})
        return None

    def _read(self, parts, query):
        match parts:
            case ["incremental", "ticket_events", "sample"]:
                return self._sample(query)
            case ["incremental", *name]:
                return self._export("/".join(name), query)
            case ["tickets" | "users" as what, "show_many"]:
                return self._show_many(what, query)
            case ["tickets", number]:
                return self._about(number, query, lambda: {"ticket": plain(self.tickets[int(number)])}, set())
            case ["tickets", number, "comments"]:
                known = {"page[size]", "page[after]", "sort", "include", "include_inline_images"}
                return self._about(number, query, lambda: self._comments(int(number), query), known)
        return error(404, "InvalidEndpoint")

    async def _give_token(self, request):
        form = await request.json() if request.content_type == "application/json" else {}
        wanted = {"grant_type": "client_credentials", "client_id": self.client_id, "scope": "read"}
        if {**wanted, "client_secret": self.client_secret} != {k: v for k, v in form.items() if k != "expires_in"}:
            return web.json_response({"error": "invalid_client"}, status=401)
        if not 300 <= form.get("expires_in", 0) <= 172_800:
            return web.json_response({"error": "invalid_request"}, status=400)
        token = f"issued-{len(self.tokens)}"
        self.tokens[token] = self.clock.monotonic() + form["expires_in"]
        answer = {"access_token": token, "token_type": "bearer", "scope": "read", "expires_in": form["expires_in"]}
        return web.json_response(answer)

    def _is_known(self, given):
        scheme, _, secret = given.partition(" ")
        if scheme == "Basic":
            return b64decode(secret).decode() == f"{self.email}/token:{self.api_token}"
        good_until = self.tokens.get(secret, float("inf") if secret == self.oauth_token else 0)
        return scheme == "Bearer" and self.clock.monotonic() < good_until

    def _me(self, *, anonymous):
        if anonymous:
            return web.json_response({"user": {"id": None, "name": "Anonymous user", "role": "end-user"}})
        user = {"id": 1, "email": self.email, "role": self.role, "active": True, "suspended": False}
        return web.json_response({"user": user})

    def _about(self, number, query, answer, known):
        if set(query) - known:
            return error(400, "InvalidParameter")
        if not number.isdecimal() or int(number) not in self.tickets:
            return error(404, "RecordNotFound")
        if int(number) in self.forbidden:
            return error(403, {"title": "Forbidden", "message": "You do not have access to this page."})
        return web.json_response(answer())

    def _show_many(self, what, query):
        ids = [int(text) for text in query["ids"].split(",")]
        if set(query) != {"ids"} or len(ids) > 100:
            return error(400, "TooManyIds")
        rows = [getattr(self, what).get(key) for key in ids if key not in self.forbidden]
        found = [plain(row) for row in rows if row is not None]
        return web.json_response({what: found, "next_page": None, "previous_page": None, "count": len(found)})

    def _comments(self, ticket_id, query):
        descending = query.get("sort") == "-created_at"
        rows = sorted(self.comments[ticket_id], key=lambda raw: (raw["created_at"], raw["id"]), reverse=descending)
        begin = int(b64decode(query["page[after]"])) if "page[after]" in query else 0
        end = begin + min(int(query["page[size]"]), self.comments_page)
        token = b64encode(str(0 if self.repeat_comments_token else min(end, len(rows))).encode()).decode()
        meta = {"has_more": end < len(rows), "after_cursor": token, "before_cursor": token}
        answer = {"comments": rows[begin:end], "meta": meta, "links": {"next": None, "prev": None}}
        if query.get("include") == "users":
            authors = {raw["author_id"] for raw in rows[begin:end]}
            answer["users"] = [user for user in self.users.values() if user["id"] in authors]
        return answer

    # The exports.

    def _sample(self, query):
        if too_many(self._sample_times, self.clock.monotonic(), 10, 1200):
            return web.json_response(RATE_BODY, status=429)
        return self._export("ticket_events", {**query, "per_page": "50", "include": "comment_events"})

    def _export(self, name, query):
        if too_many(
            self._export_times, self.clock.monotonic(), self.export_requests_per_minute, 60.5
        ):  # a network jitters
            self.throttled += 1
            return web.json_response(RATE_BODY, status=429, headers={"Retry-After": "30"})
        if self.role != "admin" or not self.exports_open:
            return error(403, {"title": "Forbidden", "message": "You do not have access to this page."})
        size = min(int(query.get("per_page", 1000)), self.export_page)
        if int(query.get("per_page", 1000)) > self.slow_above:
            return web.Response(status=504, text="<html>Gateway Timeout</html>", content_type="text/html")
        horizon = self.clock.now().timestamp() - 60
        answer = None
        if int(query.get("start_time", 0)) > horizon:
            answer = None
        elif name == "ticket_events" and set(query) <= {"start_time", "include", "per_page"}:
            answer = self._events(query, size, horizon)
        elif name == "tickets/cursor" and set(query) - {"per_page"} in ({"start_time"}, {"cursor"}):
            answer = self._ticket_pages(query, size, horizon)
        return web.json_response(answer) if answer else error(400, "InvalidValue")

    def _events(self, query, size, horizon):
        start_time = int(query["start_time"])
        rows = [event for event in self.events if start_time <= event["timestamp"] <= horizon]
        rows.sort(key=lambda event: (event["timestamp"], event["id"]))
        end = min(size, len(rows))
        while end < len(rows) and rows[end]["timestamp"] == rows[end - 1]["timestamp"]:
            end += 1  # the size is a minimum: the last second is never cut
        shown = [self._shown(event) for event in rows[:end]]
        if not shown:
            return {"ticket_events": [], "count": 0, "end_time": None, "next_page": None, "end_of_stream": True}
        end_time = start_time if self.stuck else rows[end - 1]["timestamp"]
        ended = end == len(rows) and not self.stuck
        answer = {"ticket_events": shown, "count": end, "end_time": end_time, "end_of_stream": ended}
        return answer | {"next_page": f"{self.base_url}/api/v2/incremental/ticket_events?start_time={end_time}"}

    def _shown(self, event):
        """Return an event as the export has it: comments without plain_body, or flags without the side-load."""
        children = []
        for child in event["child_events"]:
            raw = child.get("comment")
            if raw and self.sideload:
                kept = {key: value for key, value in raw.items() if key not in {"plain_body", "metadata"}}
                children.append({**kept, "event_type": raw["type"], "via_reference_id": None})
            elif raw:
                flags = {"comment_present": True, "comment_public": raw["public"]}
                children.append({"id": raw["id"], "event_type": "Comment", **flags})
            else:
                children.append(child)
        return {**event, "child_events": children}

    def _ticket_pages(self, query, size, horizon):
        begin = (int(query.get("start_time", 0)), 0)
        if "cursor" in query:
            seconds, _, number = b64decode(query["cursor"]).decode().partition("||")
            begin = (int(seconds), int(number) + 1)
        rows = [row for row in self.tickets.values() if row["generated_timestamp"] <= horizon]
        rows = sorted((row["generated_timestamp"], row["id"], row) for row in rows)
        rows = [row for row in rows if row[:2] >= begin]
        page = rows[:size]
        after = b64encode(f"{page[-1][0]}||{page[-1][1]}".encode()).decode() if page else query.get("cursor")
        if self.stuck:
            after = query.get("cursor") or b64encode(b"1||1").decode()
        return {
            "tickets": [row[2] for row in page],
            "after_cursor": after,
            "after_url": None,
            "before_cursor": None,
            "before_url": None,
            "end_of_stream": len(page) == len(rows) and not self.stuck,
        }


def stamp(instant):
    """Return an instant as Zendesk writes it: whole seconds, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_stamp(text):
    """Return the instant of such a text."""
    return datetime.fromisoformat(text)


def plain(row):
    """Return a record as everything but the exports has it."""
    return {key: value for key, value in row.items() if key != "generated_timestamp"}


def error(status, word):
    """Return an error as Zendesk words it: `error` is a text or an object."""
    return web.json_response({"error": word, "description": "Not found"}, status=status)


def too_many(times, now, limit, seconds):
    """Count a request and tell whether it is one too many in its window."""
    while times and times[0] <= now - seconds:
        times.popleft()
    if len(times) >= limit:
        return True
    times.append(now)
    return False
