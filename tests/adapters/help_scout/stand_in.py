"""A strict stand-in for one Help Scout account over HTTP (Inbox API 2.0), with the traps of the real one."""

import re
from collections import deque
from datetime import UTC, datetime
from email.utils import format_datetime

from tests.adapters.stand_in import StandIn, answer_json

WEB = "https://secure.helpscout.net"
LIST_PARAMETERS = {"status", "modifiedSince", "sortField", "sortOrder", "embed", "page", "number", "mailbox", "query"}
SORT_FIELDS = {"createdAt", "modifiedAt", "number", "status", "subject"}
WHOLE_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class HelpScoutStandIn(StandIn):
    """One account with one inbox that the app's user sees. What it holds is changed by calling its methods."""

    prefix = "/v2"
    client_id, client_secret = "app-1", "app-secret-1"

    def __init__(self, clock):
        super().__init__(clock)
        self.page_size, self.threads_page = 50, 25
        self.calls_per_minute = 100_000
        self.lag_seconds = 0  # how late the list of conversations shows a change
        self.embed_cap = None  # of the newest threads inside a conversation
        self.counts_everything = True  # off: `threads` counts published messages and notes alone, as the old API did
        self.hides = set()  # ids that the list counts and does not show
        self.stuck = False  # every page of the list is its first one
        self.repeat_threads = False
        self.has_date = True
        self.has_plan = True  # off: the account's plan has no API any more, and everything is 403
        self.role = "owner"
        self.inboxes = {85: "Support"}
        self.conversations, self.merged, self.forbidden = {}, {}, set()
        self.tokens = {}
        self.throttled = 0
        self._calls = deque()
        self._last_id = 2_391_938_000
        self.agent = {"id": 501, "type": "user", "first": "Änne", "last": "Agent", "email": "anne@acme.test"}
        self.customer = {"id": 29418, "type": "customer", "first": "Vernon", "last": "Bear", "email": "v@bear.test"}

    # What the account holds.

    def open_conversation(self, at, *, kind="email", by=None, text="hello", **fields):
        """Make a conversation with its first message; return (conversation id, thread id)."""
        by = by or self.customer
        conversation_id = self._new_id()
        self.conversations[conversation_id] = {
            "id": conversation_id,
            "number": 100 + len(self.conversations) + len(self.merged),
            "type": kind,
            "folderId": 11,
            "status": "active",
            "state": "published",
            "subject": "I need help!",
            "preview": text[:80],
            "mailboxId": 85,
            "assignee": {"id": 501, "first": "Änne", "last": "Agent", "email": "anne@acme.test"},
            "createdBy": by,
            "createdAt": stamp(at),
            "userUpdatedAt": stamp(at),
            "customerWaitingSince": {"time": stamp(at), "friendly": "a while ago"},
            "source": {"type": "email", "via": by["type"]},
            "tags": [],
            "primaryCustomer": self.customer,
            **fields,
            "modified": at,
            "rows": [],
        }
        thread = self.add(conversation_id, "customer" if by["type"] == "customer" else "message", text, at, by=by)
        return conversation_id, thread

    def add(self, conversation_id, kind, text, at=None, *, by=None, source="email", **fields):
        """Add a thread; return its id."""
        at = at or self.clock.now()
        by = by or (self.customer if kind == "customer" else self.agent)
        thread = {
            "id": self._new_id(),
            "type": kind,
            "status": "active",
            "state": "published",
            "action": {"type": "default", "associatedEntities": {}},
            "body": text,
            "source": {"type": source, "via": by["type"]},
            "customer": self.customer,  # on answers of agents too
            "createdBy": by,
            "to": [],
            "cc": [],
            "bcc": [],
            "createdAt": stamp(at),
            **fields,
        }
        self.conversations[conversation_id]["rows"].append(thread)
        self.touch(conversation_id, at)
        return thread["id"]

    def touch(self, conversation_id, at=None, **fields):
        """Change a conversation: its time of modification moves, which no answer shows."""
        conversation = self.conversations[conversation_id]
        conversation |= fields
        conversation["modified"] = max(conversation["modified"], at or self.clock.now())

    def thread(self, thread_id):
        """Return a thread, to change it: Help Scout keeps no time of an edit."""
        rows = (row for conversation in self.conversations.values() for row in conversation["rows"])
        return next(row for row in rows if row["id"] == thread_id)

    def merge(self, old, into):
        """Merge a conversation into another: its threads move, its id answers 301."""
        moved = self.conversations.pop(old)
        self.conversations[into]["rows"] += moved["rows"]
        self.merged[old] = into
        self.add(into, "lineitem", None, action={"type": "merged", "text": "merged", "associatedEntities": {}})

    def link(self, conversation_id):
        """Return the address that agents copy."""
        return f"{WEB}/conversation/{conversation_id}/{self.conversations[conversation_id]['number']}/"

    def _new_id(self):
        self._last_id += 1
        return self._last_id

    # How it answers.

    async def answer(self, request, path):
        response = await self._answer(request, path)
        response.headers["Correlation-ID"] = "d1f5ecbf"
        response.headers["X-RateLimit-Limit-Minute"] = str(self.calls_per_minute)
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True) if self.has_date else "yesterday"
        return response

    async def _answer(self, request, path):
        if path == "/oauth2/token":
            return await self._give_token(request)
        if self._is_one_too_many():
            self.throttled += 1
            return error(429, "Too many requests", {"X-RateLimit-Retry-After": "20"})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.clock.monotonic() >= self.tokens.get(token, 0):
            return error(401, "Unauthorized")
        if request.method != "GET":
            return error(405, "Method not allowed")
        if not self.has_plan:
            return error(403, "Forbidden")
        return self._read(path.strip("/").split("/"), dict(request.query))

    def _is_one_too_many(self):
        now = self.clock.monotonic()
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        self._calls.append(now)
        return len(self._calls) > self.calls_per_minute

    async def _give_token(self, request):
        form = await request.post() if request.content_type == "application/x-www-form-urlencoded" else {}
        wanted = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        if request.method != "POST" or dict(form) != wanted:
            return error(400, "Bad request")
        token = f"issued-{len(self.tokens)}"
        self.tokens[token] = self.clock.monotonic() + 172_800
        return answer_json({"token_type": "bearer", "access_token": token, "expires_in": 172_800})

    def _read(self, parts, query):
        match parts:
            case ["users", "me"] if not query:
                user = {"id": 501, "firstName": "Änne", "lastName": "Agent", "email": "anne@acme.test"}
                return answer_json({**user, "role": self.role, "timezone": "Europe/Berlin"})
            case ["mailboxes"] if set(query) <= {"page"}:
                rows = [{"id": key, "name": name, "slug": "x"} for key, name in self.inboxes.items()]
                return self._page_of("mailboxes", rows, query, 50)
            case ["conversations"]:
                return self._list(query)
            case ["conversations", number] if set(query) <= {"embed"}:
                return self._one(int(number), query)
            case ["conversations", number, "threads"] if set(query) <= {"page"}:
                return self._threads(int(number), query)
        return error(404, "Not found")

    def _list(self, query):
        since = query.get("modifiedSince")
        if (
            set(query) - LIST_PARAMETERS
            or query.get("sortField", "createdAt") not in SORT_FIELDS
            or query.get("sortOrder", "desc") not in {"asc", "desc"}
            or (since is not None and not WHOLE_SECONDS.fullmatch(since))
        ):
            return error(400, "Bad request")
        rows = [one for one in self.conversations.values() if one["id"] not in self.forbidden]
        status = query.get("status", "active")
        rows = [one for one in rows if status in {"all", one["status"]}]
        if "number" in query:
            rows = [one for one in rows if str(one["number"]) == query["number"]]
        if since is not None:
            horizon = self.clock.now().timestamp() - self.lag_seconds
            rows = [one for one in rows if stamp(one["modified"]) >= since]
            rows = [one for one in rows if one["modified"].timestamp() <= horizon]
        field = query.get("sortField", "createdAt").replace("modifiedAt", "modified")
        rows.sort(key=lambda one: one[field], reverse=query.get("sortOrder", "desc") == "desc")
        shown = [self._shown(one, query) for one in rows]
        return self._page_of("conversations", shown, query, self.page_size, stuck=self.stuck, hides=self.hides)

    def _page_of(self, name, rows, query, size, *, stuck=False, hides=()):
        """Return a page: numbers from 1, a link to the next, and no place for records where there are none."""
        asked = int(query.get("page", 1))
        number = 1 if stuck else asked
        on_page = [row for row in rows[(number - 1) * size : number * size] if row["id"] not in hides]
        pages = asked + 1 if stuck else -(-len(rows) // size)
        answer = {"page": {"size": size, "totalElements": len(rows), "totalPages": pages, "number": number}}
        answer["_links"] = {"self": {"href": f"{self.base_url}/{name}?page={number}"}}
        if number < pages:
            answer["_links"]["next"] = {"href": f"{self.base_url}/{name}?page={asked if stuck else number + 1}"}
        if on_page:
            answer["_embedded"] = {name: on_page}
        return answer_json(answer)

    def _one(self, conversation_id, query):
        if conversation_id in self.merged:
            place = f"https://api.helpscout.net/v2/conversations/{self.merged[conversation_id]}"
            return answer_json({}, 301, {"Location": place})
        if conversation_id in self.forbidden:
            return error(403, "Forbidden")
        if conversation_id not in self.conversations:
            return error(404, "Not found")
        return answer_json(self._shown(self.conversations[conversation_id], query))

    def _shown(self, conversation, query):
        """Return a conversation as answers have it: without its time of modification, and with a count of threads."""
        rows = conversation["rows"]
        counted = rows if self.counts_everything else [row for row in rows if is_counted(row)]
        shown = {key: value for key, value in conversation.items() if key not in {"rows", "modified"}}
        shown["threads"] = len(counted)
        if query.get("embed") == "threads" and rows:
            shown["_embedded"] = {"threads": newest_first(rows)[: self.embed_cap]}
        return shown

    def _threads(self, conversation_id, query):
        """Return threads, newest first; those of a merged conversation are 404."""
        if conversation_id in self.forbidden or conversation_id not in self.conversations:
            return error(403 if conversation_id in self.forbidden else 404, "Not found")
        rows = newest_first(self.conversations[conversation_id]["rows"])
        if self.repeat_threads:
            rows = rows[: self.threads_page] * 4
        return self._page_of("threads", rows, query, self.threads_page)


def is_counted(row):
    """Tell whether the old API counted a thread."""
    return row["type"] != "lineitem" and row["state"] == "published"


def newest_first(rows):
    """Return threads in Help Scout's order."""
    return sorted(rows, key=lambda row: (row["createdAt"] or "", row["id"]), reverse=True)


def stamp(instant):
    """Return an instant as Help Scout writes it: whole seconds, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_stamp(text):
    """Return the instant of such a text."""
    return datetime.fromisoformat(text)


def error(status, message, headers=None):
    """Return an error in Help Scout's shape."""
    return answer_json({"message": message, "logRef": "d1f5ecbf", "_embedded": {"errors": []}}, status, headers)
