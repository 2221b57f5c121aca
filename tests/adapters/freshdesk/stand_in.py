"""A strict stand-in for one account of Freshdesk; that of Freshservice, its sibling, is made from it.

It refuses parameters and paths that the vendor does not have, counts the requests of a minute, has an archive, a trash
and a list that ends at a page. What it holds is changed by calling its methods.
"""

from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from tests.adapters.stand_in import StandIn, answer_json

LIST_PARAMETERS = {
    *("filter", "requester_id", "email", "company_id", "updated_since"),
    *("include", "order_by", "order_type", "per_page", "page"),
}
STATS = ("first_responded_at", "agent_responded_at", "requester_responded_at", "resolved_at", "closed_at")


class FreshStandIn(StandIn):
    """One account. The key stands for the first agent; only an administrator sees the other agents."""

    api_key = "key-1"
    product = "Freshdesk"
    list_parameters = LIST_PARAMETERS
    orders = ("created_at", "due_by", "updated_at", "status")
    has_archive = True

    def __init__(self, clock):
        super().__init__(clock)
        self.is_admin, self.ticket_scope = True, 1
        self.page_size = 100  # rows on a page, whatever more was asked for
        self.most_pages = 300
        self.per_minute, self.lists_per_minute, self.views_per_minute = 200, 20, 200
        self.is_exclusive = False  # whether updated_since leaves out its own second
        self.repeats_next = False  # every page names itself as the one behind it
        self.sorts_badly = False
        self.is_suspended = False
        self.loses_conversations = False
        self.tells_date = True
        self.forbidden, self.archived = set(), set()
        self.agents, self.tickets, self.conversations = {}, {}, {}
        self.throttled = 0
        self._window, self._used = -1, Counter()
        self._last_ticket, self._last_id = 0, 5000
        self.me = self.add_agent("Anna Agent")
        self.customer = self.new_id()

    # What the account holds.

    def new_id(self):
        self._last_id += 1
        return self._last_id

    def add_agent(self, name):
        """Add an agent; return the id."""
        agent_id = self.new_id()
        contact = {"name": name, "email": f"a{agent_id}@acme.test", "active": True, "time_zone": "Berlin"}
        scope = {"available": True, "ticket_scope": self.ticket_scope, "type": "support_agent"}
        self.agents[agent_id] = {"id": agent_id, **scope, "contact": contact}
        return agent_id

    def open_ticket(self, at, text="It does not open.", **fields):
        """Open a ticket; return its id. Its first message is the description, and no conversation."""
        self._last_ticket += 1
        self.tickets[self._last_ticket] = {
            "id": self._last_ticket,
            "subject": "Locker",
            "description": f"<div>{text}</div>",
            "description_text": text,
            "status": 2,
            "source": 1,
            "priority": 1,
            "requester_id": self.customer,
            "responder_id": None,
            "group_id": None,
            "type": None,
            "spam": False,
            "to_emails": None,
            "attachments": [],
            "tags": [],
            "custom_fields": {},
            "created_at": stamp(at),
            "updated_at": stamp(at),
            "stats": dict.fromkeys(STATS),
            **fields,
        }
        self.conversations[self._last_ticket] = []
        return self._last_ticket

    def write(self, ticket_id, text, *, by=None, at=None, **fields):
        """Add a conversation, by the customer unless `by` is another; return its id."""
        at, user = at or self.clock.now(), by or self.customer
        incoming = user == self.customer
        row = {
            "id": self.new_id(),
            "ticket_id": ticket_id,
            "user_id": user,
            "incoming": incoming,
            "private": False,
            "source": 0,
            "body": f"<div>{text}</div>",
            "body_text": text,
            "support_email": "support@acme.test",
            "to_emails": ["carla@customer.test"],
            "attachments": [],
            "created_at": stamp(at),
            "updated_at": stamp(at),
            **fields,
        }
        self.conversations[ticket_id].append(row)
        stats = self.tickets[ticket_id]["stats"]
        if not row["incoming"] and not row["private"]:
            stats["first_responded_at"] = stats["first_responded_at"] or stamp(at)
        self.touch(ticket_id, at)
        return row["id"]

    def note(self, ticket_id, text, **fields):
        """Add an internal note of the first agent."""
        fields = {"private": True, "source": 2, "to_emails": [], "support_email": None, **fields}
        return self.write(ticket_id, text, by=self.me, **fields)

    def touch(self, ticket_id, at=None, **fields):
        """Change a ticket."""
        self.tickets[ticket_id] |= {"updated_at": stamp(at or self.clock.now()), **fields}

    def archive(self, ticket_id):
        """Move a ticket to the archive: its own path does not find it any more."""
        self.archived.add(ticket_id)
        self.tickets[ticket_id]["archived"] = True

    def purge(self, ticket_id):
        """Delete a ticket for good."""
        del self.tickets[ticket_id], self.conversations[ticket_id]

    # How it answers.

    async def answer(self, request, path):
        response = self._refusal(request, path) or self._route(path, request.query)
        remaining = max(0, self.per_minute - self._used["all"])
        response.headers["X-Ratelimit-Total"] = str(self.per_minute)
        response.headers["X-Ratelimit-Remaining"] = str(remaining)
        response.headers["Date"] = (
            format_datetime(self.clock.now().astimezone(UTC), usegmt=True) if self.tells_date else "soon"
        )
        return response

    def _refusal(self, request, path):
        """Return the answer to a request that is not heard, or None. What fails counts against the limit, too."""
        cost, is_list = 1 + ("include" in request.query), path == "/api/v2/tickets"
        is_view = path.removeprefix("/api/v2/tickets/").isdecimal()
        window, second = divmod(self.clock.monotonic(), 60)
        if window != self._window:
            self._window, self._used = window, Counter()
        self._used["all"] += cost
        self._used["lists"] += is_list
        self._used["views"] += is_view
        limits = {"all": self.per_minute, "lists": self.lists_per_minute, "views": self.views_per_minute}
        if any(self._used[kind] > limit for kind, limit in limits.items()):
            self.throttled += 1
            body = {"message": "You have exceeded the limit of requests per minute"}
            return answer_json(body, 429, {"Retry-After": str(60 - int(second))})
        expected = "Basic " + b64encode(f"{self.api_key}:X".encode()).decode()
        if request.headers.get("Authorization") != expected:
            return error("invalid_credentials", 401)
        if self.is_suspended:
            return error("account_suspended", 403)
        if request.headers.get("Accept") not in {"application/json", "*/*"}:
            return web.Response(status=406)
        return None if request.method == "GET" else web.Response(status=405)

    def _route(self, path, query):
        match path.strip("/").split("/"):
            case ["api", "v2", "agents", *rest]:
                return self._show_agents(rest, query)
            case ["api", "v2", "tickets"]:
                return self._list(query)
            case ["api", "v2", "tickets", "archived", number, *rest] if self.product == "Freshdesk":
                return self._about(number, rest, query, in_archive=True)
            case ["api", "v2", "tickets", number, *rest]:
                return self._about(number, rest, query, in_archive=False)
        return web.Response(status=404)

    def _show_agents(self, rest, query):
        if rest == ["me"]:
            return self.one("agent", {**self.agents[self.me], "ticket_scope": self.ticket_scope})
        if not self.is_admin:
            return error("access_denied", 403)
        if not rest:
            return self._page("agents", list(self.agents.values()), query, {"per_page", "page"})
        found = self.agents.get(int(rest[0]))
        return self.one("agent", found) if found else web.Response(status=404)

    def _about(self, number, rest, query, *, in_archive):
        if in_archive and not self.has_archive:
            return error("require_feature", 403)
        ticket_id = int(number) if number.isdecimal() else 0
        if ticket_id not in self.tickets or (ticket_id in self.archived) != in_archive:
            return web.Response(status=404)
        if ticket_id in self.forbidden:
            return error("access_denied", 403)
        if rest == ["conversations"] and not self.loses_conversations:
            return self._page("conversations", self.conversations[ticket_id], query, {"per_page", "page"})
        if rest or (set(query) - {"include"}) or (in_archive and query):
            return error("invalid_field", 400) if not rest else web.Response(status=404)
        wanted = set(query.get("include", "").split(","))
        ticket = {key: value for key, value in self.tickets[ticket_id].items() if key != "stats" or "stats" in wanted}
        if "conversations" in wanted:
            ticket["conversations"] = self.conversations[ticket_id][:10]  # without a word about the others
        return self.one("ticket", ticket)

    def _list(self, query):
        if query.get("order_by", "created_at") not in self.orders or query.get("order_type", "asc") not in {
            "asc",
            "desc",
        }:
            return error("invalid_value", 400)
        rows = [row for row in self.tickets.values() if self._is_listed(row, query)]
        order = query.get("order_by", "created_at")
        rows.sort(key=lambda row: (row[order], row["id"]), reverse=query.get("order_type", "desc") == "desc")
        if self.sorts_badly:
            rows.sort(key=lambda row: row["id"])
        hidden = {"description", "description_text", "attachments", "stats", "deleted"}
        plain = [{key: value for key, value in row.items() if key not in hidden} for row in rows]
        return self._page("tickets", plain, query, self.list_parameters)

    def _is_listed(self, row, query):
        if row["spam"] or row.get("deleted") or row["id"] in self.archived or row["id"] in self.forbidden:
            return False
        since = query.get("updated_since")
        if since is None:
            return row["created_at"] >= stamp(self.clock.now() - timedelta(days=30))
        since = stamp(datetime.fromisoformat(since))
        return row["updated_at"] > since or (row["updated_at"] == since and not self.is_exclusive)

    def _page(self, name, rows, query, known):
        size, number = query.get("per_page", "30"), query.get("page", "1")
        if set(query) - known:
            return error("invalid_field", 400)
        if not (size.isdecimal() and 1 <= int(size) <= 100 and number.isdecimal() and int(number)):
            return error("invalid_value", 400)
        if int(number) > self.most_pages:
            return error("invalid_value", 400, "You cannot access tickets beyond the 300th page")
        size, number = min(int(size), self.page_size), int(number)
        headers = {}
        if size * number < len(rows) or self.repeats_next:
            following = number if self.repeats_next else number + 1
            address = f"https://acme.{self.product.lower()}.com/api/v2/{name}?per_page={size}&page={following}"
            headers["link"] = f'<{address}>;rel="next"'
        return self.many(name, rows[size * (number - 1) : size * number], headers)

    def one(self, name, record):
        """Return the answer with one record: here it is the record itself."""
        return answer_json(record)

    def many(self, name, rows, headers):
        """Return the answer with several records."""
        return answer_json(rows, headers=headers)


class FreshdeskStandIn(FreshStandIn):
    """One account of Freshdesk."""


def error(code, status, message="Sorry"):
    """Return an error as the vendor words it."""
    if status == 400:
        errors = [{"field": "x", "message": message, "code": code}]
        return answer_json({"description": "Validation failed", "errors": errors}, 400)
    return answer_json({"code": code, "message": message}, status)


def stamp(at):
    """Return an instant in the vendor's way: UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
