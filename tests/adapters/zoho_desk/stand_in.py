"""A strict stand-in for one organisation in Zoho Desk over HTTP (API v1), with the traps of the real one."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from tests.adapters.stand_in import StandIn, answer_json

API = "/api/v1"
SCOPES = {"Desk.tickets.READ", "Desk.search.READ", "Desk.basic.READ"}
RANGE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z,\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SEARCH = {"modifiedTimeRange", "ticketNumber", "sortBy", "from", "limit"}
SORTS = {"relevance", "modifiedTime", "-modifiedTime", "createdTime", "-createdTime", "customerResponseTime"}
ONLY_ALONE = {"assignee", "isTrashed", "isDeleted"}


class ZohoDeskStandIn(StandIn):
    """One organisation; tokens come from another place of the same stand-in. Change what it holds by its methods."""

    org_id, client_id, client_secret, refresh_token = "640001", "1000.CLIENT", "client-hush", "1000.refresh-hush"

    def __init__(self, clock):
        super().__init__(clock)
        self.search_page, self.list_page = 100, 200  # what it gives at most, whatever is asked for
        self.lag_seconds = 0  # how far the index of the search trails
        self.hides = set()  # fields that the agent's profile may not see
        self.hydrates = False  # on: the search shows tickets as they are, found by what they were
        self.ignores_range = self.ignores_number = self.stuck = False
        self.has_count = self.has_date = self.marks_openings = True
        self.full_text_as = "json"
        self.scopes = set(SCOPES)
        self.credits = 100_000
        self.tokens, self.asked_for_tokens = {}, []
        self.tickets, self.index, self.forbidden = {}, [], set()
        self.agent = {"id": "501", "type": "AGENT", "name": "Änne Agent", "firstName": "Änne", "lastName": "Agent"}
        self.agent["email"] = "anne@acme.test"
        self.contact = {"id": "901", "type": "END_USER", "name": "Carla Customer", "email": "carla@mail.test"}
        self._last_id = 189_200_000_100_000_000

    @property
    def accounts_url(self):
        return f"{self.origin}/accounts"

    # What the organisation holds.

    def open_ticket(self, at=None, text="hello", **fields):
        """Make a ticket that came by mail; return (ticket id, thread id)."""
        ticket_id = self._make_ticket(at or self.clock.now(), {"channel": "Email", "description": None, **fields})
        thread = self.write(ticket_id, text, at, direction="in", opening=True)
        return ticket_id, thread

    def take_call(self, at=None, text="called", **fields):
        """Make a ticket by phone: its text is the description, and there is no thread. Return its id."""
        return self._make_ticket(at or self.clock.now(), {"channel": "Phone", "description": text, **fields})

    def _make_ticket(self, at, fields):
        ticket_id = self._new_id()
        self.tickets[ticket_id] = {
            "id": ticket_id,
            "ticketNumber": str(101 + len(self.tickets)),
            "subject": "Need help",
            "status": "Open",
            "statusType": "Open",
            "createdTime": whole(at),
            "modifiedTime": whole(at),
            "webUrl": self.link(ticket_id),
            "isSpam": False,
            "isArchived": False,
            "isTrashed": False,
            "isDeleted": False,
            "assigneeId": "501",
            "assignee": {"id": "501", "firstName": "Änne", "lastName": "Agent", "email": "anne@acme.test"},
            **fields,
            "threads": [],
            "comments": [],
        }
        self.touch(ticket_id, at)
        return ticket_id

    def write(self, ticket_id, text, at=None, *, direction="out", opening=False, **fields):
        """Add a thread; return its id."""
        at = at or self.clock.now()
        thread = {
            "id": self._new_id(),
            "channel": "EMAIL",
            "direction": direction,
            "visibility": "public",
            "status": "SUCCESS",
            "contentType": "text/html",
            "author": self.agent if direction == "out" else self.contact,
            "isDescriptionThread": opening and self.marks_openings,
            "createdTime": stamp(at),
            "isForward": False,
            "attachmentCount": "0",
            "impersonatedUser": None,
            "attachments": [],
            "text": text,
            "sent": at,
            **fields,
        }
        self.tickets[ticket_id]["threads"].append(thread)
        self.touch(ticket_id, at)
        return thread["id"]

    def comment(self, ticket_id, text, at=None, *, public=False, by=None, **fields):
        """Add a comment; return its id."""
        at = at or self.clock.now()
        comment = {
            "id": self._new_id(),
            "content": text,
            "contentType": "html",
            "isPublic": public,
            "commentedTime": stamp(at),
            "modifiedTime": stamp(at),
            "commenterId": "501",
            "commenter": by or self.agent,
            "attachments": [],
            **fields,
        }
        self.tickets[ticket_id]["comments"].append(comment)
        self.touch(ticket_id, at)
        return comment["id"]

    def thread(self, thread_id):
        """Return a thread, to change it."""
        return next(row for one in self.tickets.values() for row in one["threads"] if row["id"] == thread_id)

    def touch(self, ticket_id, at=None, **fields):
        """Change a ticket: its time of change moves, and the index learns of it when it has caught up."""
        at = at or self.clock.now()
        ticket = self.tickets[ticket_id]
        ticket |= fields
        ticket["modifiedTime"] = max(ticket["modifiedTime"], whole(at))
        self.index.append((at + timedelta(seconds=self.lag_seconds), self._shown(ticket)))

    def purge(self, ticket_id):
        """Take a ticket out of the trash: nothing is left of it."""
        del self.tickets[ticket_id]
        self.index = [entry for entry in self.index if entry[1]["id"] != ticket_id]

    def link(self, ticket_id):
        """Return the address that Zoho has on the ticket: the id is in its fragment."""
        return f"{self.origin}/support/acme/ShowHomePage.do#Cases/dv/{ticket_id}"

    def _new_id(self):
        self._last_id += 1
        return str(self._last_id)

    # How it answers.

    async def answer(self, request, path):
        if path == "/accounts/oauth/v2/token":
            return await self._give_token(request)
        response = self._refusal(request, path) or self._read(path.removeprefix(API), dict(request.query))
        response.headers["X-Rate-Limit-Remaining-v3"] = str(self.credits)
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True) if self.has_date else "soon"
        return response

    async def _give_token(self, request):
        """Give a token, or tell in a 200 that there is none; more than ten in ten minutes are too many."""
        now = self.clock.monotonic()
        self.asked_for_tokens = [at for at in self.asked_for_tokens if at > now - 600] + [now]
        if len(self.asked_for_tokens) > 10:
            said = "You have made too many requests continuously. Please try again after some time."
            return answer_json({"error": "access_denied", "error_description": said})
        form = await request.post() if request.content_type == "application/x-www-form-urlencoded" else {}
        client = {"client_id": self.client_id, "client_secret": self.client_secret}
        wanted = {**client, "refresh_token": self.refresh_token, "grant_type": "refresh_token"}
        if dict(form) != wanted:
            word = "invalid_client" if form.get("client_secret") != self.client_secret else "invalid_code"
            return answer_json({"error": word})
        token = f"1000.access-{len(self.tokens)}"
        self.tokens[token] = now + 3600
        return answer_json({"access_token": token, "api_domain": "x", "token_type": "Bearer", "expires_in": 3600})

    def _refusal(self, request, path):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Zoho-oauthtoken" or self.tokens.get(token, 0) <= self.clock.monotonic():
            return error(401, "INVALID_OAUTH")
        if path != f"{API}/organizations" and request.headers.get("orgId") != self.org_id:
            return error(403, "OAUTH_ORG_MISMATCH")
        if "/search" in path and "Desk.search.READ" not in self.scopes:
            return error(403, "SCOPE_MISMATCH")
        self.credits -= 1 if re.search(r"\d$|myinfo", path) else 3 + int(request.query.get("from", 0)) // 100
        if self.credits < 0:
            return error(429, "THRESHOLD_EXCEEDED", {"Retry-After": "7200"})
        return None

    def _read(self, path, query):
        match path.strip("/").split("/"):
            case ["organizations"] if not query:
                return rows_of([{"id": int(self.org_id), "companyName": "Acme", "portalName": "acme"}])
            case ["myinfo"] if not query:
                return answer_json({"id": "501", "email": "anne@acme.test", "name": "Änne Agent"})
            case ["tickets", "search"]:
                return self._search(query)
            case ["tickets", ticket_id, *rest]:
                return self._of_ticket(ticket_id, rest, query)
        return error(404, "URL_NOT_FOUND")

    def _of_ticket(self, ticket_id, rest, query):
        if ticket_id in self.forbidden:
            return error(403, "FORBIDDEN")
        ticket = self.tickets.get(ticket_id)
        return error(404, "RESOURCE_NOT_FOUND") if ticket is None else self._part_of(ticket, rest, query)

    def _part_of(self, ticket, rest, query):
        match rest:
            case [] if query in ({}, {"include": "assignee"}):
                alone = {name: ticket[name] for name in ONLY_ALONE}
                return answer_json(self._visible(self._shown(ticket) | alone))
            case ["threads"]:
                rows = sorted(ticket["threads"], key=lambda row: (row["sent"], row["id"]))
                return self._list([self._cut(row) for row in rows], query, "sendDateTime", 200)
            case ["threads", thread_id] if not query:
                return self._whole(ticket, thread_id)
            case ["threads", thread_id, "fullContent"] if not query:
                return self._full_text(thread_id)
            case ["comments"]:
                rows = sorted(ticket["comments"], key=lambda row: (row["commentedTime"], row["id"]))
                return self._list(rows, query, "commentedTime", 100)
        return error(422, "UNPROCESSABLE_ENTITY")

    def _list(self, rows, query, order, most):
        """Return a page of a ticket's list: places from 1 (0 is tolerated), newest first unless told otherwise."""
        limit = int(query.get("limit", 100))
        if set(query) - {"from", "limit", "sortBy"} or query.get("sortBy", order).lstrip("-") != order or limit > most:
            return error(422, "UNPROCESSABLE_ENTITY")
        if query.get("sortBy", f"-{order}").startswith("-"):
            rows = rows[::-1]
        place = max(int(query.get("from", 1)), 1) - 1
        return rows_of(rows[place : place + min(limit, self.list_page)])

    def _search(self, query):
        """Return what the index has: places from 0, a count of all, and nothing that is in the trash."""
        place, limit = int(query.get("from", 0)), int(query.get("limit", 10))
        wanted = query.get("modifiedTimeRange")
        bad_range = wanted is not None and not RANGE.fullmatch(wanted)
        known = not set(query) - SEARCH and query.get("sortBy", "relevance") in SORTS
        if not known or bad_range or place > 4999 or not 1 <= limit <= 100:
            return error(422, "UNPROCESSABLE_ENTITY")
        rows = list(self._indexed().values())
        if wanted is not None and not self.ignores_range:
            begin, end = wanted.split(",")
            rows = [row for row in rows if begin <= row["modifiedTime"] <= end]
        if "ticketNumber" in query and not self.ignores_number:
            rows = [row for row in rows if row["ticketNumber"] == query["ticketNumber"]]
        rows.sort(key=lambda row: (row["modifiedTime"], row["id"]))
        total, place = len(rows), 0 if self.stuck else place
        rows = rows[place : place + min(limit, self.search_page)]
        if self.hydrates:
            rows = [self._shown(self.tickets[row["id"]]) for row in rows]
        return rows_of(
            [self._visible(row) for row in rows], total + 1000 if self.stuck else total if self.has_count else None
        )

    def _indexed(self):
        rows = {row["id"]: row for visible_at, row in self.index if visible_at <= self.clock.now()}
        return {key: row for key, row in rows.items() if not self.tickets[key]["isTrashed"]}

    def _shown(self, ticket):
        """Return a ticket as searches have it; its counts are texts."""
        hidden = {"threads", "comments"} | ONLY_ALONE
        counts = {"threadCount": str(len(ticket["threads"])), "commentCount": str(len(ticket["comments"]))}
        return {name: value for name, value in ticket.items() if name not in hidden} | counts

    def _visible(self, shown):
        return {name: value for name, value in shown.items() if name not in self.hides}

    def _cut(self, row):
        """Return a thread as lists have it: of its text only the beginning, and no files."""
        text = re.sub(r"<[^>]*>", "", row["text"])
        summary = text if len(text) <= 180 else f"{text[:180]}..."
        shown = {name: value for name, value in row.items() if name not in {"text", "sent", "attachments"}}
        return {"summary": summary, **shown, "hasAttach": bool(row["attachments"])}

    def _whole(self, ticket, thread_id):
        found = [row for row in ticket["threads"] if row["id"] == thread_id]
        if not found:
            return error(404, "RESOURCE_NOT_FOUND")
        row, text = found[0], found[0]["text"]
        shown = {**self._cut(row), "attachments": row["attachments"], "content": text, "isContentTruncated": False}
        if len(text) > 10_000:
            address = f"https://desk.zoho.com{API}/tickets/{ticket['id']}/threads/{thread_id}/fullContent"
            shown |= {"content": text[:10_000], "isContentTruncated": True, "fullContentURL": address}
        return answer_json(shown)

    def _full_text(self, thread_id):
        text = self.thread(thread_id)["text"]
        if self.full_text_as == "json":
            return answer_json({"content": text})
        return web.Response(text=text if self.full_text_as == "html" else "Sign in", content_type="text/html")


def rows_of(rows, count=None):
    """Return a list; an empty one is 204 without a body."""
    if not rows:
        return web.Response(status=204)
    return answer_json({"data": rows} | ({} if count is None else {"count": count}))


def stamp(instant):
    """Return an instant as Zoho writes it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole(instant):
    """Return an instant as tickets have it: in whole seconds, with milliseconds that are always 0."""
    return stamp(instant.replace(microsecond=0))


def parse_stamp(text):
    """Return the instant of such a text."""
    return datetime.fromisoformat(text)


def error(status, code, headers=None):
    """Return an error in Zoho's shape."""
    return answer_json({"errorCode": code, "message": "A sentence about it."}, status, headers)
