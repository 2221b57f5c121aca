"""A strict stand-in for one Intercom workspace over HTTP (API version 2.14), with the traps of the real one."""

import base64
import json
from collections import deque
from email.utils import format_datetime

from tests.adapters.stand_in import StandIn, answer_json

VERSION = "2.14"
WORKSPACE = "xwvpdtlu"
MOST_PARTS, LARGEST_PAGE = 500, 150
FIELDS = {"id", "created_at", "updated_at"}  # of those that a search takes; ticket_id is none of them


class IntercomStandIn(StandIn):
    """One workspace with two agents. What it holds is changed by calling its methods."""

    token = "dG9rOmFiYw=="

    def __init__(self, clock):
        super().__init__(clock)
        self.page_size = LARGEST_PAGE
        self.per_ten_seconds = 10_000
        self.lag_seconds = 0  # how late the searches show a change
        self.stuck = False  # every page of a search is its first one
        self.sorts, self.filters, self.takes_in, self.has_date = True, True, True, True
        self.has_conversations, self.has_tickets, self.has_admins, self.has_app = True, True, True, True
        self.conversations, self.tickets, self.forbidden = {}, {}, set()
        self.ghosts = []  # what was deleted and is in the index for a while
        self.searches = []  # each with what it asked for
        self.throttled = 0
        self._calls = deque()
        self._last_id, self._last_part, self._last_number = 215_470_000_000_000, 22_000_000_000, 20
        self.agent = {"type": "admin", "id": "814860", "name": "Änne Agent", "email": "anne@acme.test"}
        self.customer = {"type": "user", "id": "6762f204", "name": "Joe Bloggs", "email": "joe@bloggs.test"}

    # What the workspace holds. Times are whole seconds.

    def open_conversation(self, at, *, text="<p>Hi</p>", kind="conversation", **fields):
        """Make a conversation; its first message is its source, and no part. Return its id."""
        key = self._new_id()
        source = {"type": kind, "id": "403918396", "delivered_as": "customer_initiated", "subject": "", "body": text}
        source |= {"author": self.customer, "attachments": [], "url": None, "redacted": False}
        self.conversations[key] = {
            "type": "conversation",
            "id": key,
            "created_at": seconds(at),
            "updated_at": seconds(at),
            "title": None,
            "state": "open",
            "open": True,
            "source": source,
            "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "6762f204"}]},
            "admin_assignee_id": int(self.agent["id"]),
            "team_assignee_id": None,
            "statistics": {"type": "conversation_statistics", "last_admin_reply_at": None},
            "ticket": None,
            "priority": "not_priority",
            **fields,
            "rows": [],
        }
        return key

    def open_ticket(self, at, *, description="It does not open.", key=None, **fields):
        """Make a ticket, which has a number that people see and another id; return its id."""
        key = key or self._new_id()
        self._last_number += 1
        self.tickets[key] = {
            "type": "ticket",
            "id": key,
            "ticket_id": str(self._last_number),
            "category": "Customer",
            "ticket_attributes": {"_default_title_": "Locker", "_default_description_": description},
            "ticket_state": state_of("submitted"),
            "admin_assignee_id": self.agent["id"],
            "created_at": seconds(at),
            "updated_at": seconds(at),
            "open": True,
            "is_shared": True,
            **fields,
            "rows": [],
        }
        return key

    def convert(self, key):
        """Make a conversation a ticket, too: it keeps its id, and its first message is a part of the ticket."""
        conversation = self.conversations[key]
        self.open_ticket(self.clock.now(), description=None, key=key, created_at=conversation["created_at"])
        number = self.tickets[key]["ticket_id"]
        conversation["ticket"] = {"type": "ticket", "id": key, "ticket_id": number}
        body = conversation["source"]["body"]
        self.tickets[key]["rows"].append(self._part("comment", body, conversation["created_at"], self.customer, {}))
        return key

    def add(self, key, kind, text, at=None, *, by=None, **fields):
        """Add a part to a conversation or ticket; return its id."""
        at = seconds(at or self.clock.now())
        thing = self._thing(key)
        part = self._part(kind, text, at, by or self.agent, fields)
        thing["rows"].append(part)
        if kind != "note" and part["author"]["type"] == "admin" and "statistics" in thing:
            thing["statistics"] = {**(thing["statistics"] or {}), "last_admin_reply_at": at}
        thing["updated_at"] = max(thing["updated_at"], at)
        return part["id"]

    def touch(self, key, at=None, **fields):
        """Change a conversation or ticket."""
        thing = self._thing(key)
        thing |= fields
        thing["updated_at"] = max(thing["updated_at"], seconds(at or self.clock.now()))

    def part(self, part_id):
        """Return a part, to change it."""
        things = [*self.conversations.values(), *self.tickets.values()]
        return next(row for thing in things for row in thing["rows"] if row["id"] == part_id)

    def delete(self, key):
        """Delete a conversation or ticket."""
        (self.tickets if key in self.tickets else self.conversations).pop(key)

    def _thing(self, key):
        return self.tickets.get(key) or self.conversations[key]

    def _part(self, kind, text, at, by, fields):
        self._last_part += 1
        part = {"type": "conversation_part", "id": str(self._last_part), "part_type": kind, "body": text}
        part |= {"created_at": at, "updated_at": at, "author": by, "attachments": [], "redacted": False}
        return part | {"email_message_metadata": None} | fields

    def _new_id(self):
        self._last_id += 1
        return str(self._last_id)

    # How it answers.

    async def answer(self, request, path):
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return error(401, "unauthorized")
        if request.headers.get("Intercom-Version") != VERSION:
            return error(400, "intercom_version_invalid")
        response = self._throttle() or await self._answer(request, path)
        response.headers["X-RateLimit-Limit"] = str(self.per_ten_seconds)
        response.headers["X-RateLimit-Reset"] = str(self._reset())
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True) if self.has_date else "yesterday"
        return response

    def _reset(self):
        return int(self.clock.now().timestamp()) // 10 * 10 + 10

    def _throttle(self):
        """Return 429 if a slice of ten seconds has had its requests; there is no Retry-After."""
        begun = self._reset() - 10
        while self._calls and self._calls[0] < begun:
            self._calls.popleft()
        self._calls.append(self.clock.now().timestamp())
        if len(self._calls) <= self.per_ten_seconds:
            return None
        self.throttled += 1
        return error(429, "rate_limit_exceeded")

    async def _answer(self, request, path):
        if request.method == "POST" and not request.query:
            return self._searched(path, await request.json())
        if request.method == "GET" and not request.query:
            return self._read(path.strip("/").split("/"))
        return error(404, "not_found")

    def _read(self, parts):
        match parts:
            case ["me"]:
                app = {"type": "app", "id_code": WORKSPACE, "name": "Acme", "region": "US", "timezone": "Etc/UTC"}
                return answer_json({**self.agent, "app": app if self.has_app else None})
            case ["admins"] if self.has_admins:
                robot = {"type": "admin", "id": "1", "name": "Fin", "email": f"operator+{WORKSPACE}@intercom.io"}
                return answer_json({"type": "admin.list", "admins": [self.agent, robot]})
            case ["conversations", key] if self.has_conversations:
                return self._one(self.conversations, key, "conversation")
            case ["tickets", key] if self.has_tickets:
                return self._one(self.tickets, key, "ticket")
            case ["admins"] | ["conversations" | "tickets", _]:
                return error(403, "token_unauthorized")
        return error(404, "not_found")

    def _searched(self, path, asked):
        name = path.strip("/").removesuffix("/search")
        self.searches.append((name, asked))
        if name == "tickets" and not self.has_tickets:
            return error(403, "api_plan_restricted")
        if name == "conversations" and not self.has_conversations:
            return error(403, "token_unauthorized")
        return self._search(name, asked) if name in {"conversations", "tickets"} else error(404, "not_found")

    def _one(self, things, key, kind):
        """Return one with its newest parts, oldest first."""
        if key in self.forbidden:
            return error(403, "forbidden")
        if key not in things:
            return error(404, f"{kind}_not_found" if kind == "ticket" else "not_found")
        rows = sorted(things[key]["rows"], key=lambda row: (row["created_at"], int(row["id"])))
        name = f"{kind}_parts"
        parts = {"type": f"{kind}_part.list", name: rows[-MOST_PARTS:], "total_count": len(rows)}
        return answer_json({**_bare(things[key]), name: parts})

    def _search(self, name, asked):
        """Return a page of a search, as its index has it; `>` means "or equal"."""
        pagination, sort = asked.get("pagination") or {}, asked.get("sort") or {}
        conditions = asked["query"]["value"] if asked["query"]["operator"] == "AND" else [asked["query"]]
        if (
            set(asked) - {"query", "sort", "pagination"}
            or set(pagination) - {"per_page", "starting_after"}
            or not 1 <= pagination.get("per_page", 20) <= LARGEST_PAGE
            or any(condition["field"] not in FIELDS for condition in conditions)
            or any(condition["operator"] not in {">", "IN"} for condition in conditions)
            or (sort and (sort["field"] not in FIELDS or sort["order"] not in {"ascending", "descending"}))
            or (not self.takes_in and conditions[0]["operator"] == "IN")
        ):
            return error(400, "parameter_invalid")
        horizon = self.clock.now().timestamp() - self.lag_seconds
        ghosts = [one for one in self.ghosts if f"{one['type']}s" == name]
        rows = [
            row
            for row in (*getattr(self, name).values(), *ghosts)
            if row.get("indexed_at", row["updated_at"]) <= horizon
        ]
        if self.filters:
            rows = [row for row in rows if all(fits(row, condition) for condition in conditions)]
        field, turned = sort.get("field", "id"), sort.get("order", "descending") == "descending"
        if not self.sorts:
            field, turned = "id", True
        rows.sort(key=lambda row: (row[field], int(row["id"])), reverse=turned)
        return self._page(name, rows, field, turned, pagination)

    def leave_ghost(self, key):
        """Delete one that stays in the index for a while."""
        self.ghosts.append(self._thing(key))
        self.delete(key)

    def _page(self, name, rows, field, turned, pagination):
        """Return a page behind the row that the token names: rows that change places do not shift others."""
        size, token = min(pagination["per_page"], self.page_size), pagination.get("starting_after")
        total = len(rows)
        if token is not None and not self.stuck:
            behind = tuple(json.loads(base64.b64decode(token)))
            places = [(row, (row[field], int(row["id"]))) for row in rows]
            rows = [row for row, place in places if (place < behind if turned else place > behind)]
        page, following = rows[:size], None
        if len(rows) > size or (self.stuck and rows):
            last = [page[-1][field], int(page[-1]["id"])]
            following = {"page": 2, "starting_after": base64.b64encode(json.dumps(last).encode()).decode()}
        answer = {"type": f"{name.removesuffix('s')}.list", name: [_bare(row) for row in page], "total_count": total}
        pages = {"type": "pages", "page": 1, "per_page": size, "total_pages": -(-total // size)}
        return answer_json({**answer, "pages": pages | ({"next": following} if following else {})})


def _bare(thing):
    """Return a conversation or ticket without its parts, as searches have it."""
    return {name: value for name, value in thing.items() if name not in {"rows", "indexed_at"}}


def fits(row, condition):
    """Tell whether a row fulfils a condition."""
    value = row[condition["field"]]
    if condition["operator"] == "IN":
        return value in condition["value"]
    return value >= condition["value"]


def seconds(instant):
    """Return an instant as Intercom tells it."""
    return int(instant.timestamp())


def state_of(category, label=None):
    """Return the state of a ticket; its labels are the workspace's own."""
    label = label or category
    return {
        "type": "ticket_state",
        "id": "8339",
        "category": category,
        "internal_label": label,
        "external_label": label,
    }


def error(status, code):
    """Return an error in Intercom's shape."""
    errors = [{"code": code, "message": "It cannot be done"}]
    return answer_json({"type": "error.list", "request_id": "b68959ea", "errors": errors}, status)
