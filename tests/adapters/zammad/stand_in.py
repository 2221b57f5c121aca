"""A strict stand-in for one Zammad over HTTP, with the traps of the real one.

It refuses paths that Zammad does not have, ignores parameters that it does not know, and keeps time by the virtual
clock. What it holds is changed by calling its methods.
"""

from datetime import UTC, datetime, timedelta
from random import Random

from aiohttp import web

from tests.adapters.stand_in import StandIn, answer_json

TOKEN = "zammad-token-1"
SYSTEM, CUSTOMER, AGENT, READER, OTHER_AGENT = 1, 2, 3, 4, 5
STATES = {1: "new", 2: "open", 3: "pending reminder", 4: "closed", 5: "merged", 6: "removed", 7: "pending close"}
STATE_TYPE_IDS = {1: 1, 2: 2, 3: 3, 4: 5, 5: 6, 6: 7, 7: 4}
STATE_TYPES = {1: "new", 2: "open", 3: "pending reminder", 4: "pending action", 5: "closed", 6: "merged", 7: "removed"}
ARTICLE_TYPES = {"email": 1, "sms": 2, "chat": 3, "fax": 4, "phone": 5, "note": 10, "web": 11}
SENDERS = {"Agent": 1, "Customer": 2, "System": 3}
COLUMNS = {"id", "number", "title", "updated_at", "created_at"}
OPERATORS = {"is", "after (absolute)", "before (absolute)"}


class ZammadStandIn(StandIn):
    """One Zammad, read by the owner of the token."""

    def __init__(self, clock):
        super().__init__(clock)
        self.largest_page = 200
        self.token_access, self.token_expired, self.maintenance, self.agent = True, False, False, True
        self.names_state_types = True  # off: `expand` names no state types
        self.swallows_conditions = False  # InvalidCondition: logged there, and then there is no condition
        self.ignores_order = False
        self.stuck = False  # the search answers its first page whatever is asked
        self.blind = False  # the search shows nothing
        self.orders_articles = True  # off: as older versions, which give no order
        self.broken_histories = set()  # tickets whose history names something that is gone
        self.hidden_groups = set()
        self.tickets, self.articles, self.histories = {}, {}, []
        self.states = {
            key: {"id": key, "name": name, "state_type_id": STATE_TYPE_IDS[key], "active": True}
            for key, name in STATES.items()
        }
        self.users = {}
        for key, first, last in (
            (SYSTEM, "-", ""),
            (CUSTOMER, "Carl", "Customer"),
            (AGENT, "Anna", "Agent"),
            (READER, "syncd", ""),
            (OTHER_AGENT, "Otto", "Other"),
        ):
            login = f"{first.lower()}@example.com"
            self.users[key] = {"id": key, "login": login, "email": login, "firstname": first, "lastname": last}
        self._next_id = 100

    # What it holds.

    def new_id(self):
        self._next_id += 1
        return self._next_id

    def open_ticket(self, at=None, *, text="hello", sender="Customer", **fields):
        """Make a ticket with its first article; return both ids. Id and number differ."""
        ticket_id, at = self.new_id(), at or self.clock.now()
        ticket = {"id": ticket_id, "number": f"53{ticket_id:04}", "title": "Invoice", "group_id": 1, "state_id": 1}
        ticket |= {"priority_id": 2, "customer_id": CUSTOMER, "owner_id": 1, "article_count": 0, "preferences": {}}
        self.tickets[ticket_id] = ticket | {"created_at": stamp(at), "updated_at": stamp(at)} | fields
        self.log(ticket_id, "Ticket", ticket_id, "created")
        return ticket_id, self.write(ticket_id, text, at, sender=sender)

    def write(self, ticket_id, body, at=None, *, sender="Agent", kind="email", internal=False, by=None, **fields):
        """Write an article, which stamps its ticket; return its id."""
        article_id, at = self.new_id(), at or self.clock.now()
        by = by or {"Agent": AGENT, "Customer": CUSTOMER, "System": SYSTEM}[sender]
        article = {"id": article_id, "ticket_id": ticket_id, "type_id": ARTICLE_TYPES.get(kind, 15), "type": kind}
        article |= {"sender_id": SENDERS[sender], "sender": sender, "internal": internal, "from": "X via <desk@x>"}
        article |= {"to": None, "cc": None, "subject": None, "content_type": "text/html", "body": body}
        article |= {"preferences": {}, "created_by_id": by, "origin_by_id": None, "updated_by_id": by}
        article |= {"attachments": [], "created_at": stamp(at), "updated_at": stamp(at)}
        self.articles[article_id] = article | fields
        self.tickets[ticket_id]["article_count"] += 1
        self.stamp_ticket(ticket_id, at)
        self.log(ticket_id, "Ticket::Article", article_id, "created", related_o_id=ticket_id, related_object="Ticket")
        return article_id

    def stamp_ticket(self, ticket_id, at=None):
        ticket = self.tickets[ticket_id]
        ticket["updated_at"] = max(ticket["updated_at"], stamp(at or self.clock.now()))

    def set_state(self, ticket_id, name):
        self.tickets[ticket_id]["state_id"] = next(key for key, state in self.states.items() if state["name"] == name)
        self.stamp_ticket(ticket_id)

    def mail_out(self, article_id, status="success", retries=1, at=None):
        """Send an article, five seconds after it was written as a rule; its ticket is not stamped by that."""
        article = self.articles[article_id]
        article["preferences"] = {"delivery_status": status, "delivery_retry": retries}
        at = at or datetime.fromisoformat(article["created_at"]) + timedelta(seconds=5)
        article["updated_at"] = stamp(at)

    def publish(self, article_id):
        """Make an internal article public: it keeps its times of writing, and its ticket is stamped."""
        self.articles[article_id] |= {"internal": False, "updated_at": stamp(self.clock.now())}
        self.stamp_ticket(self.articles[article_id]["ticket_id"])

    def merge(self, source, target):
        """Merge a ticket into another: its articles move, with new times of change, and a note stays; return its id."""
        now = self.clock.now()
        for article in self.articles.values():
            if article["ticket_id"] == source:
                article |= {"ticket_id": target, "updated_at": stamp(now)}
        for ticket_id, kind in ((target, "received_merge"), (source, "merged_into")):
            self.log(ticket_id, "Ticket", ticket_id, kind, id_to=target, id_from=source)
        note = self.write(source, "merged", kind="note", content_type="text/plain")
        self.tickets[source] |= {"state_id": 5, "owner_id": 1}
        self.stamp_ticket(target)
        return note

    def delete_ticket(self, ticket_id):
        del self.tickets[ticket_id]
        gone = {key for key, article in self.articles.items() if article["ticket_id"] == ticket_id}
        for key in gone:
            del self.articles[key]
        dead = {("Ticket", ticket_id), *(("Ticket::Article", key) for key in gone)}
        self.histories = [one for one in self.histories if (one["object"], one["o_id"]) not in dead]

    def log(self, ticket_id, what, o_id, kind, **fields):
        entry = {"id": self.new_id(), "o_id": o_id, "object": what, "type": kind, "created_by_id": 1}
        self.histories.append(entry | {"created_at": stamp(self.clock.now()), "of": ticket_id} | fields)

    def link(self, ticket_id):
        return f"{self.base_url}/#ticket/zoom/{ticket_id}"

    # How it answers.

    async def answer(self, request, path):
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.method == "POST" and path == "/api/v1/tickets/search":
            return self._search(await request.json())
        parts = path.removeprefix("/api/v1/").split("/") if path.startswith("/api/v1/") else []
        found = error(404, f"No route matches [{request.method}] {path}")
        match [request.method, *parts]:
            case ["GET", "users", key]:
                found = self._user(key)
            case ["GET", "tickets"]:
                size = min(int(request.query.get("per_page", 100)), 100)
                found = answer_json([self._expanded(row) for row in self._readable()][:size])
            case ["GET", "ticket_states"]:
                found = answer_json([self._state(row) for row in self.states.values()])
            case ["GET", "tickets", key]:
                found = self._of_ticket(key, self._expanded)
            case ["GET", "ticket_articles", "by_ticket", key]:
                found = self._of_ticket(key, self._articles_of)
            case ["GET", "ticket_history", key]:
                found = self._of_ticket(key, self._history_of)
        return found

    def _refusal(self, request):
        given = request.headers.get("Authorization")
        if "application/json" not in request.headers.get("Accept", ""):
            return web.Response(status=403, text="<html>403</html>", content_type="text/html")
        if given is None:
            return error(403, "Authentication required")
        if not self.token_access:
            return error(403, "API token access disabled!")
        if given != f"Token token={TOKEN}":
            return error(401, "Can't find User for Token")
        if self.token_expired:
            return error(401, "Not authorized (token expired)!")
        return error(403, "Maintenance mode enabled!") if self.maintenance else None

    def _user(self, key):
        if key == "me":
            return answer_json(self.users[READER] | {"role_ids": [2], "active": True})
        if not self.agent:
            return error(403, "Not authorized")
        found = self.users.get(int(key))
        return answer_json(found) if found else error(404, f"Couldn't find User with 'id'={key}")

    def _state(self, row):
        return {"state_type": STATE_TYPES.get(row["state_type_id"])} | row if self.names_state_types else row

    def _readable(self):
        return [row for row in self.tickets.values() if self.agent and row["group_id"] not in self.hidden_groups]

    def _expanded(self, row):
        names = {"state": self.states[row["state_id"]]["name"], "owner": self.users[row["owner_id"]]["login"]}
        return (
            row | names | {"article_ids": [key for key, one in self.articles.items() if one["ticket_id"] == row["id"]]}
        )

    def _of_ticket(self, key, answer):
        row = self.tickets.get(int(key))
        if row is None:
            return error(404, f"Couldn't find Ticket with 'id'={key}")
        if row["group_id"] in self.hidden_groups or not self.agent:
            return error(403, "Not authorized")
        value = answer(row)
        return value if isinstance(value, web.Response) else answer_json(value)

    def _articles_of(self, row):
        found = [one for one in self.articles.values() if one["ticket_id"] == row["id"]]
        found.sort(key=lambda one: (one["created_at"], one["id"]), reverse=not self.orders_articles)
        return [self._article(one) for one in found]

    def _article(self, one):
        """Return an article as it is shown: images inside the text have an address with the ticket's present id."""
        address = f"/api/v1/ticket_attachment/{one['ticket_id']}/{one['id']}/"
        shown = one | {"body": (one["body"] or "").replace("cid:", address)}
        for field in ("created_by", "origin_by"):
            user = self.users.get(one[f"{field}_id"])
            shown |= {field: user["login"]} if user else {}
        return shown

    def _history_of(self, row):
        if row["id"] in self.broken_histories:
            return error(404, "Couldn't find Mention with 'id'=5")
        entries = [one for one in self.histories if one["of"] == row["id"]]
        shown = [{key: value for key, value in one.items() if key != "of"} for one in entries]
        return {"history": shown, "assets": {}}

    # The search.

    def _search(self, wanted):
        """Search by condition. Parameters that are not known are ignored; without `expand` the shape is another."""
        if wanted.get("query"):
            return error(500, "Error ID 1: Please contact your administrator.")
        condition = wanted.get("condition") or {}
        for name, test in condition.items():
            if name.partition(".")[2] not in COLUMNS or test.get("operator") not in OPERATORS:
                return error(422, "PG::UndefinedColumn")
        rows = [] if self.blind else [row for row in self._readable() if self._fits(row, condition)]
        rows = self._sorted(rows, wanted)
        size = min(int(wanted.get("per_page", 50)), self.largest_page)
        begin = 0 if self.stuck else (int(wanted.get("page", 1)) - 1) * size
        page = rows[begin : begin + size]
        if not wanted.get("expand"):
            assets = {str(row["id"]): row for row in page}
            return answer_json({"tickets": [row["id"] for row in page], "assets": {"Ticket": assets}})
        return answer_json([self._expanded(row) for row in page])

    def _fits(self, row, condition):
        if self.swallows_conditions or self.stuck:
            return True
        return all(fits(row[name.partition(".")[2]], **test) for name, test in condition.items())

    def _sorted(self, rows, wanted):
        if self.ignores_order:
            wanted = {}
        # A database gives equal rows in any order, and in another one the next time.
        rows = Random(len(self.requests)).sample(rows, len(rows))
        names = wanted.get("sort_by", "updated_at").split(",")
        directions = wanted.get("order_by", "desc").split(",")
        for name, direction in reversed(list(zip(names, directions, strict=True))):
            rows = sorted(rows, key=lambda row: row[name], reverse=direction == "desc")
        return rows


def fits(found, *, operator, value):
    """Tell whether a column fits a condition; `after` and `before` include the instant itself."""
    if operator == "is":
        return found in (value if isinstance(value, list) else [value])
    given, limit = datetime.fromisoformat(found), datetime.fromisoformat(value)
    return given >= limit if operator.startswith("after") else given <= limit


def stamp(instant):
    """Return an instant as Zammad writes it: milliseconds, in UTC."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error(status, text):
    """Return an error as Zammad words it; the text of a 401 and 403 is in a header, too."""
    headers = {"X-Failure": text} if status in {401, 403} else None
    return answer_json({"error": text, "error_human": text}, status, headers)
