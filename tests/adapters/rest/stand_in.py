"""A strict stand-in for ticketing systems that nobody wrote an adapter for: one account in several flavours.

A flavour is how it signs people in (`signing`), how it writes times (`times`), and how its lists go on (`paging`). It
refuses parameters that it does not know, unless it is of the kind that ignores them (`ignores_parameters`).
"""

from base64 import b64decode
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from tests.adapters.stand_in import StandIn, answer_json, refuse_surplus

DOTTED = "%Y-%m-%d.%H:%M:%S"
COUNTED = {"page_number": {"page", "per_page"}, "offset": {"start", "count"}, "cursor": {"cursor", "count"}}


class RestStandIn(StandIn):
    """One account of a system."""

    prefix = "/desk"
    agent, customer = 7, 9
    token, user, password, client = "token-1", "syncd", "password-1", "client-secret-1"

    def __init__(self, clock, *, signing="header", times="iso", paging="none", page_size=3):
        super().__init__(clock)
        self.signing, self.times, self.paging, self.page_size = signing, times, paging, page_size
        self.feed_newest_first = False
        self.replies_newest_first = False
        self.ignores_parameters = False  # and answers everything to whoever asks for some of it
        self.stuck = False  # every page names itself as its next one, and a counted list begins anew for ever
        self.past_the_end_is_404 = False
        self.clamps = 100  # the most rows on a page, whatever is asked for
        self.most_by_ids = 100  # the most messages that are answered by their ids
        self.tickets, self.messages, self.forbidden = {}, {}, set()
        self.role = "agent"
        self.sessions = 0
        self._next_id = 100

    # What the account holds.

    def open_ticket(self, at, text="hello", **fields):
        """Make a ticket with its first message and return (ticket, message)."""
        ticket_id = self._new_id()
        self.tickets[ticket_id] = {
            "id": ticket_id,
            "nr": f"T-{ticket_id}",
            "title": "Printer",
            "state": {"name": "new"},
            "owner": None,
            "customer": {"id": self.customer},
            "deleted": False,
            "merged_into": None,
            "changed": at,
            **fields,
        }
        self.tickets[ticket_id]["description"] = text
        return ticket_id, self.write(ticket_id, text, by=self.customer, at=at)

    def write(self, ticket_id, text, *, by=None, at=None, public=True, **fields):
        """Add a message and return its id."""
        message_id, at = self._new_id(), at or self.clock.now()
        by = self.agent if by is None else by
        self.messages[message_id] = {
            "id": message_id,
            "ticket": ticket_id,
            "author": {"id": by, "name": "Anna Agent" if by == self.agent else "Carl Customer"},
            "public": public,
            "text": text,
            "html": False,
            "via": "mail",
            "created": at,
            "edited": None,
            "files": [],
            **fields,
        }
        ticket = self.tickets[ticket_id]
        ticket["changed"] = max(ticket["changed"], at)
        return message_id

    def change(self, ticket_id, at=None, **fields):
        """Change fields of a ticket."""
        self.tickets[ticket_id] |= {**fields, "changed": at or self.clock.now()}

    def delete(self, ticket_id):
        """Remove a ticket with all of its messages."""
        del self.tickets[ticket_id]
        self.messages = {key: one for key, one in self.messages.items() if one["ticket"] != ticket_id}

    def link(self, ticket_id):
        """Return the address of a ticket for people."""
        return f"{self.base_url}/view/{self.tickets[ticket_id]['nr']}?tab=all"

    def _new_id(self):
        self._next_id += 1
        return self._next_id

    # How it answers.

    async def answer(self, request, path):
        """Answer one request."""
        if path == "/token" and self.signing == "oauth":
            return await self._give_token(request)
        if path == "/session" and self.signing == "session":
            return await self._open_session(request)
        answer = self._refusal(request) or self._route(request, path.strip("/").split("/"))
        answer.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
        return answer

    def _refusal(self, request):
        given = request.headers.get("Authorization", "")
        good = {
            "header": given == f"Token {self.token}",
            "basic": given.startswith("Basic ") and b64decode(given[6:]).decode() == f"{self.user}:{self.password}",
            "parameter": request.query.get("key") == self.token,
            "oauth": given == f"Bearer {self.token}",
            "session": request.headers.get("X-Session") == f"session-{self.sessions}",
        }[self.signing]
        return None if good else answer_json({"error": "who are you?"}, 401)

    async def _give_token(self, request):
        form = await request.post()
        wanted = {"grant_type": "refresh_token", "client_id": "syncd", "client_secret": self.client}
        if dict(form) != {**wanted, "refresh_token": "refresh-1"}:
            return answer_json({"error": "invalid_client"}, 401)
        return answer_json({"access_token": self.token, "expires_in": 3600})

    async def _open_session(self, request):
        if await request.json() != {"login": self.user, "password": self.password}:
            return answer_json({"error": "wrong"}, 401)
        self.sessions += 1
        return answer_json({"session": f"session-{self.sessions}"})

    def _route(self, request, parts):
        query = {key: value for key, value in request.query.items() if key != "key"}
        match parts:
            case ["me"]:
                answer = answer_json({"user": {"name": self.user, "role": self.role}})
            case ["tickets"]:
                answer = self._many_tickets(query)
            case ["tickets", key]:
                answer = self._one_ticket(key, query)
            case ["tickets", key, "messages"]:
                answer = self._messages_of(key, request, query)
            case ["search"]:
                answer = self._search(query)
            case ["messages"]:
                answer = self._messages_by_id(request.query.getall("id", []), query)
            case ["changes"]:
                answer = self._changes(request, query)
            case _:
                answer = web.Response(status=404, text="<html>no such page</html>", content_type="text/html")
        return answer

    def _messages_by_id(self, ids, query):
        rows = [self._shown_message(self.messages[int(key)]) for key in ids if int(key) in self.messages]
        return refuse_surplus(query, {"id"}) or answer_json({"rows": rows[: self.most_by_ids]})

    def _one_ticket(self, key, query):
        refusal = refuse_surplus(query, {"with"})
        if refusal or not key.isdecimal() or int(key) not in self.tickets:
            return refusal or answer_json({"error": "no such ticket"}, 404)
        if int(key) in self.forbidden:
            return answer_json({"error": "not for you"}, 403)
        return answer_json({"ticket": self._shown_ticket(self.tickets[int(key)])})

    def _many_tickets(self, query):
        ids = [int(key) for key in query.get("ids", "").split(",") if key.isdecimal()]
        if len(ids) > 3:
            return answer_json({"error": "too many"}, 400)
        readable = [self.tickets[key] for key in ids if key in self.tickets and key not in self.forbidden]
        return refuse_surplus(query, {"ids"}) or answer_json({"rows": [self._shown_ticket(one) for one in readable]})

    def _search(self, query):
        """Find by a part of the number, as searches do."""
        found = [one for one in self.tickets.values() if query.get("number", "") in one["nr"]]
        return refuse_surplus(query, {"number"}) or answer_json({"rows": [self._shown_ticket(one) for one in found]})

    def _messages_of(self, key, request, query):
        if not key.isdecimal() or int(key) not in self.tickets:
            return answer_json({"error": "no such ticket"}, 404)
        rows = self._messages_in(int(key))
        if "since" in query and not self.ignores_parameters:
            rows = [one for one in rows if one["created"] >= self._parsed(query["since"])]
        if self.replies_newest_first:
            rows.reverse()
        return self._page([self._shown_message(one) for one in rows], request, {"since"})

    def _changes(self, request, query):
        rows = sorted(self.tickets.values(), key=lambda one: (one["changed"], one["id"]))
        if "since" in query and not self.ignores_parameters:
            rows = [one for one in rows if one["changed"].replace(microsecond=0) >= self._parsed(query["since"])]
        if self.feed_newest_first:
            rows.reverse()
        return self._page([self._shown_ticket(one) for one in rows], request, {"since"})

    def _page(self, rows, request, known):
        query = request.query
        refusal = refuse_surplus(query, {*known, "key", "from", *COUNTED.get(self.paging, set())})
        if refusal and not self.ignores_parameters:
            return refusal
        asked = int(query.get("per_page", query.get("count", self.page_size)))
        size = min(asked, self.clamps) if self.paging != "none" else len(rows)
        begin = self._begin(query, size)
        end = begin + size
        if begin and begin >= len(rows) and self.past_the_end_is_404:
            return answer_json({"error": "no such page"}, 404)
        following = begin if self.stuck else end
        more = self.stuck or end < len(rows)
        body, headers = {"rows": rows[0:size] if self.stuck else rows[begin:end]}, {}
        address = f"https://inner.test{request.path}?from={following}"
        address += f"&since={query['since'].replace('+', '%2B')}" if "since" in query else ""
        if self.paging == "link_header" and more:
            headers["Link"] = f'<{address}>; rel="next", <https://inner.test/x>; rel="first"'
        if self.paging == "next_address":
            body["next"] = address if more else None
        if self.paging == "cursor":
            body |= {"cursor": f"c{following}" if more else ""}
        if self.paging in {"page_number", "offset"}:
            body |= {"total": len(rows) + 100 * self.stuck, "more": more}
        return answer_json(body, headers=headers)

    def _begin(self, query, size):
        if "from" in query:
            return int(query["from"])
        if "cursor" in query:
            return int(query["cursor"][1:])
        if "start" in query:
            return int(query["start"])
        return (int(query.get("page", 1)) - 1) * size

    def _messages_in(self, ticket_id):
        rows = [one for one in self.messages.values() if one["ticket"] == ticket_id]
        return sorted(rows, key=lambda one: (one["created"], one["id"]))

    def _shown_ticket(self, ticket):
        thread = self._messages_in(ticket["id"])
        shown = [self._shown_message(one) for one in thread]
        return {
            **ticket,
            "changed": self._written(ticket["changed"]),
            "opened": self._written(thread[0]["created"]) if thread else None,
            "thread": shown,
            "message_ids": [one["id"] for one in thread],
        }

    def _shown_message(self, message):
        edited = message["edited"] and self._written(message["edited"])
        return {**message, "created": self._written(message["created"]), "edited": edited}

    def _written(self, at):
        if self.times == "epoch":
            return int(at.timestamp())
        at = at.astimezone(UTC)
        return (
            at.strftime(DOTTED) if self.times == "dotted" else at.isoformat(timespec="seconds").replace("+00:00", "Z")
        )

    def _parsed(self, text):
        if self.times == "epoch":
            return datetime.fromtimestamp(int(text), UTC)
        if self.times == "dotted":
            return datetime.strptime(text, DOTTED).replace(tzinfo=UTC)
        return datetime.fromisoformat(text)
