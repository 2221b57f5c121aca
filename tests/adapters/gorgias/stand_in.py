"""A strict stand-in for one Gorgias account over HTTP, with the traps of the real one."""

import base64
from datetime import UTC, datetime
from email.utils import format_datetime

from tests.adapters.stand_in import StandIn, answer_json

ORDERS = {f"{field}_datetime:{way}" for field in ("created", "updated") for way in ("asc", "desc")}
TICKET_FILTERS = {"customer_id", "view_id", "rule_id", "external_id", "ticket_ids", "trashed"}
MESSAGE_FILTERS = {"ticket_id"}
PAGING = {"order_by", "limit", "cursor"}
DETAIL_ONLY = {"messages", "events", "satisfaction_survey", "reply_options"}
LIST_ONLY = {"messages_count", "excerpt", "integrations"}


def stamp(at):
    """Return a time as Gorgias writes most of them."""
    return at.astimezone(UTC).isoformat() if at is not None else None


class GorgiasStandIn(StandIn):
    """One account, with an agent and a customer. What it holds is changed by calling its methods."""

    email, api_key = "anne@acme.test", "key-1"
    client_id, client_secret, refresh_token = "app-1", "app-secret-1", "refresh-1"

    def __init__(self, clock):
        super().__init__(clock)
        self.page_size = 100  # a page may hold less than was asked for
        self.bucket, self.leak_per_second = 1_000_000, 1_000_000
        self.hidden = set()  # ids of rows that lists do not show yet
        self.ids_form = "repeated"  # how a list takes ids: else "comma", "refused", "ignored"
        self.inline_cap = None  # of the messages inside a ticket
        self.counts_public_only = False  # what messages_count counts is not documented
        self.has_date = True
        self.sorts = True
        self.stuck = False  # every page names itself as the next one
        self.scopes = {"account", "tickets", "messages"}
        self.forbidden = set()
        self.tickets, self.messages = {}, {}
        self.tokens = {"ready-1": float("inf")}
        self.throttled = 0
        self._level, self._level_at = 0.0, 0.0
        self._last_id = 212_000_000
        self.agent = {"id": 501, "email": self.email, "name": "Änne Agent", "firstname": "Änne", "lastname": "Agent"}
        self.bot = {"id": 9, "email": "support@gorgias.test", "name": "Gorgias Bot", "firstname": "Gorgias Bot"}
        self.customer = {"id": 8801, "email": "vera@bear.test", "name": "Vera Bear", "firstname": "Vera"}

    # What the account holds.

    def open_ticket(self, at, *, from_agent=False, text="hello", **fields):
        """Make a ticket with its first message; return (ticket id, message id)."""
        ticket_id = self._new_id()
        self.tickets[ticket_id] = {
            "id": ticket_id,
            "uri": f"/api/tickets/{ticket_id}/",
            "external_id": None,
            "language": "en",
            "status": "open",
            "priority": "normal",
            "channel": "email",
            "via": "email",
            "from_agent": from_agent,
            "customer": self.customer,
            "assignee_user": self.agent,
            "assignee_user_id": 501,
            "assignee_team": None,
            "subject": "My order",
            "tags": [{"id": 3, "name": "vip", "decoration": None}],
            "spam": False,
            "is_unread": True,
            "created_datetime": stamp(at),
            "opened_datetime": None,
            "last_message_datetime": stamp(at),
            "updated_datetime": stamp(at),
            "closed_datetime": None,
            "snooze_datetime": None,
            "trashed_datetime": None,
            **fields,
        }
        return ticket_id, self.add(ticket_id, text, at, from_agent=from_agent)

    def add(self, ticket_id, text, at=None, *, from_agent=False, moves=True, **fields):
        """Add a message; return its id. What an agent writes is sent at once, unless told otherwise."""
        at = at or self.clock.now()
        message_id = self._new_id()
        self.messages[message_id] = {
            "id": message_id,
            "uri": f"/api/tickets/{ticket_id}/messages/{message_id}/",
            "message_id": f"<{message_id}@bear.test>",
            "ticket_id": ticket_id,
            "external_id": None,
            "public": True,
            "channel": "email",
            "via": "helpdesk" if from_agent else "email",
            "from_agent": from_agent,
            "sender": self.agent if from_agent else self.customer,
            "receiver": self.customer if from_agent else None,
            "integration_id": 7,
            "rule_id": None,
            "source": {
                "type": "email",
                "to": [{"name": "", "address": "support@acme.test"}],
                "from": {"name": "Vera", "address": "vera@bear.test"},
            },
            "subject": "My order",
            "body_text": text,
            "body_html": f"<div>{text}</div>",
            "stripped_text": None,
            "stripped_html": None,
            "stripped_signature": None,
            "attachments": None,
            "created_datetime": stamp(at),
            "sent_datetime": stamp(at) if from_agent else None,
            "failed_datetime": None,
            "opened_datetime": None,
            "last_sending_error": None,
            "is_retriable": False,
            "intents": [],
            "actions": None,
            "meta": None,
            "macros": [],
            **fields,
        }
        if moves:
            self.touch(ticket_id, at)
        return message_id

    def note(self, ticket_id, text, at=None):
        """Add an internal note, which is never sent and has no receiver."""
        marks = {"public": False, "channel": "internal-note", "via": "internal-note", "receiver": None}
        source = {"type": "internal-note", "to": [], "from": {"name": "Änne", "address": self.email}}
        return self.add(ticket_id, text, at, from_agent=True, sent_datetime=None, source=source, **marks)

    def touch(self, ticket_id, at=None, **fields):
        """Change a ticket: its time of change moves on."""
        at, ticket = stamp(at or self.clock.now()), self.tickets[ticket_id]
        self.tickets[ticket_id] = {**ticket, **fields, "updated_datetime": max(ticket["updated_datetime"], at)}

    def delete(self, ticket_id):
        """Delete a ticket for good."""
        del self.tickets[ticket_id]
        self.messages = {key: one for key, one in self.messages.items() if one["ticket_id"] != ticket_id}

    def merge(self, old, into, *, leaves_it=False):
        """Merge a ticket into another: its messages move with their ids; it is gone, or left without messages."""
        for message in self.messages.values():
            if message["ticket_id"] == old:
                message["ticket_id"] = into
        self.touch(into)
        if leaves_it:
            self.touch(old, status="closed")
        else:
            del self.tickets[old]

    def fill_bucket(self):
        """Let other programs of the account make as many requests as there may be."""
        self._level, self._level_at = self.bucket, self.clock.monotonic()

    def link(self, ticket_id):
        """Return the address that agents copy."""
        return f"{self.origin}/app/ticket/{ticket_id}"

    def _new_id(self):
        self._last_id += 1
        return self._last_id

    # How it answers.

    async def answer(self, request, path):
        self._level = max(0.0, self._level - (self.clock.monotonic() - self._level_at) * self.leak_per_second)
        self._level_at = self.clock.monotonic()
        if self._level + 1 > self.bucket:
            self.throttled += 1
            response = error(429, "Too many requests", {"Retry-after": "5"})
        else:
            self._level += 1
            response = await self._answer(request, path)
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True) if self.has_date else "yesterday"
        if not path.startswith("/oauth"):
            response.headers["X-Gorgias-Account-Api-Call-Limit"] = f"{int(self._level)}/{self.bucket}"
        return response

    async def _answer(self, request, path):
        if path == "/oauth/token":
            return await self._give_token(request)
        if not self._is_signed_in(request.headers.get("Authorization", "")):
            return error(401, "Unauthorized")
        if request.method != "GET":
            return error(405, "Method not allowed")
        return self._read(request, path)

    def _read(self, request, path):
        match path.removesuffix("/").split("/"):
            case ["", "api", ("account" | "tickets" | "messages") as kind, *_] if kind not in self.scopes:
                return error(403, "Forbidden")
            case ["", "api", "account"]:
                return answer_json({"domain": "acme", "created_datetime": "2020-01-01T00:00:00+00:00", "settings": []})
            case ["", "api", "tickets"]:
                return self._list_tickets(request.query)
            case ["", "api", "tickets", number] if number.isdecimal():
                return self._one(int(number))
            case ["", "api", "messages"]:
                return self._list_messages(request.query)
        return error(404, "Not found")

    def _is_signed_in(self, header):
        kind, _, secret = header.partition(" ")
        if kind == "Basic":
            return base64.b64decode(secret).decode() == f"{self.email}:{self.api_key}"
        return kind == "Bearer" and self.clock.monotonic() < self.tokens.get(secret, 0)

    async def _give_token(self, request):
        form = await request.post() if request.content_type == "application/x-www-form-urlencoded" else {}
        app = {"client_id": self.client_id, "client_secret": self.client_secret}
        if dict(form) != {"grant_type": "refresh_token", "refresh_token": self.refresh_token, **app}:
            return error(400, "invalid_grant")
        token = f"issued-{len(self.tokens)}"
        self.tokens[token] = self.clock.monotonic() + 86_400
        return answer_json({"access_token": token, "token_type": "Bearer", "expires_in": 86_400})

    def _one(self, ticket_id):
        if ticket_id in self.forbidden:
            return error(403, "Forbidden")
        if ticket_id not in self.tickets:
            return error(404, "Ticket not found")
        inside = sorted(self._messages_of(ticket_id), key=lambda one: (one["created_datetime"], one["id"]))
        inside = inside[-self.inline_cap :] if self.inline_cap else inside
        more = {"messages": inside, "events": [], "satisfaction_survey": None, "reply_options": {}}
        return answer_json({**self.tickets[ticket_id], "requester": self.customer, **more})

    def _messages_of(self, ticket_id):
        return [one for one in self.messages.values() if one["ticket_id"] == ticket_id]

    def _list_tickets(self, query):
        rows = [one for one in self.tickets.values() if one["id"] not in self.forbidden]
        if query.get("trashed", "true") == "false":
            rows = [one for one in rows if one["trashed_datetime"] is None]
        if "ticket_ids" in query:
            told = query.getall("ticket_ids")
            if self.ids_form == "refused" or (self.ids_form == "repeated" and not all(map(str.isdecimal, told))):
                return error(400, "ticket_ids: not a valid integer")
            asked = set(told if self.ids_form == "repeated" else ",".join(told[:1]).split(","))
            if len(told) > 100:
                return error(400, "ticket_ids: longer than maximum length 100")
            rows = [one for one in rows if str(one["id"]) in asked or self.ids_form == "ignored"]
        shown = [{**one, "messages_count": self._count(one["id"]), "excerpt": "", "integrations": []} for one in rows]
        return self._page(shown, query, TICKET_FILTERS)

    def _count(self, ticket_id):
        return sum(one["public"] or not self.counts_public_only for one in self._messages_of(ticket_id))

    def _list_messages(self, query):
        rows = list(self.messages.values())
        if "ticket_id" in query:
            rows = self._messages_of(int(query["ticket_id"]))
        return self._page(rows, query, MESSAGE_FILTERS)

    def _page(self, rows, query, filters):
        """Return a page: the cursor is the place of its last row, in the order that was asked for."""
        order, limit = query.get("order_by", "created_datetime:desc"), query.get("limit", "30")
        if set(query) - filters - PAGING or order not in ORDERS or not limit.isdecimal() or not 1 <= int(limit) <= 100:
            return error(400, "unknown or wrong parameters")
        field, _, way = order.partition(":")
        rows = [one for one in rows if one["id"] not in self.hidden]
        if self.sorts:
            rows = sorted(rows, key=lambda one: place_of(one, field), reverse=way == "desc")
        if (cursor := query.get("cursor")) and not self.stuck:
            after = parse_cursor(cursor)
            is_later = [(place_of(one, field) < after) == (way == "desc") for one in rows]
            rows = [one for one, fits in zip(rows, is_later, strict=True) if fits and place_of(one, field) != after]
        shown = rows[: min(int(limit), self.page_size)]
        has_more = len(rows) > len(shown)
        following = make_cursor(shown[-1], field) if has_more else None
        if self.stuck:
            following = "c3R1Y2s="
        meta = {"prev_cursor": None, "next_cursor": following}
        return answer_json({"object": "list", "uri": "/api/list/", "data": shown, "meta": meta})


def place_of(row, field):
    """Return where a row stands in the order of a field."""
    at = datetime.fromisoformat(row[field])
    return (at if at.tzinfo else at.replace(tzinfo=UTC), row["id"])


def make_cursor(row, field):
    """Return a cursor: a direction, an id and a time, encoded."""
    at, row_id = place_of(row, field)
    return base64.b64encode(f"next__{row_id}__{at.isoformat()}".encode()).decode()


def parse_cursor(cursor):
    """Return the place that a cursor names."""
    _, row_id, at = base64.b64decode(cursor).decode().split("__")
    return datetime.fromisoformat(at), int(row_id)


def error(status, message, headers=None):
    """Return an error as Gorgias writes it."""
    return answer_json({"error": {"msg": message, "data": {}}}, status, headers)
