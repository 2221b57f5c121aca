"""A strict stand-in for one company at Front over HTTP (Core API), with the traps of the real one."""

import re
from email.utils import format_datetime
from urllib.parse import unquote, urlencode
from zlib import crc32

from tests.adapters.stand_in import StandIn, answer_json

TOKEN = "front-token-1"
WEB = "https://app.frontapp.com"
NAMED_HOST = "https://acme.api.frontapp.com"  # what addresses in answers begin with, whoever was asked
EVENT_TYPES = {"assign", "unassign", "archive", "reopen", "trash", "restore", "reminder", "comment", "mention"}
EVENT_TYPES |= {"inbound", "outbound", "out_reply", "move", "forward", "tag", "untag", "sending_error"}
EVENT_TYPES |= {"message_bounce_error", "conversations_merged", "link_added", "link_removed", "ticket_status_update"}
EVENT_TYPES |= {"custom_field_updated", "macro_triggered", "topic_identified"}
SECONDS = re.compile(r"\d{1,10}(\.\d{1,3})?")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class FrontStandIn(StandIn):
    """One company with one inbox. What it holds is changed by calling its methods."""

    def __init__(self, clock):
        super().__init__(clock)
        self.largest_page, self.events_page = 100, 15
        self.event_lag = 0  # seconds until an event is listed
        self.has_ticketing = True
        self.has_date = True
        self.is_after_included = True  # whether q[after] is a bound that belongs to what it bounds
        self.ignored = set()  # parameters that are taken and not heeded
        self.are_states_of_then = False  # events hold their conversations as they were when they happened
        self.partial_targets = False  # events hold no more than type and id of their messages
        self.refused_scopes = set()  # first or last parts of paths that answer 403
        self.stuck = False  # the events name the page that was asked for as their next one
        self.endless = None  # the last part of a path whose pages never end, and hold nothing after the first
        self.conversations, self.merged, self.forbidden = {}, {}, set()
        self.events = []
        self.states_then = {}  # by the ids of events
        self.places = {}  # what page tokens stand for
        self._last_id = 4_000_000
        self.agent = {
            "id": "tea_2q21",
            "email": "anne@acme.test",
            "username": "anne",
            "first_name": "Änne",
            "last_name": "Agent",
            "type": "user",
            "is_admin": False,
        }

    # What the company holds.

    def open_conversation(self, at=None, *, inbound=True, text="hello", **fields):
        """Make a conversation with its first message; return (conversation id, message id)."""
        at = at or self.clock.now()
        conversation_id = self._new_id("cnv")
        self.conversations[conversation_id] = {
            "id": conversation_id,
            "type": "conversation",
            "subject": "Locker",
            "status": "unassigned",
            "ticket_ids": [],
            "assignee": None,
            "recipient": {"name": "Cus Tomer", "handle": "cus@tomer.test", "role": "from", "_links": {}},
            "tags": [],
            "links": [],
            "custom_fields": {},
            "is_private": False,
            "scheduled_reminders": [],
            "created_at": stamp(at),
            "updated_at": stamp(at),
            "waiting_since": stamp(at) if inbound else None,
            "metadata": {},
            "rows": [],
            "notes": [],
        }
        if self.has_ticketing:
            ticketing = {"ticket_ids": [f"TICKET-{len(self.conversations)}"], "status_id": "sts_5x"}
            self.conversations[conversation_id] |= {**ticketing, "status_category": "open"}
        self.conversations[conversation_id] |= fields
        return conversation_id, self.write(conversation_id, text, at, inbound=inbound, is_reply=False)

    def write(self, conversation_id, text, at=None, /, *, inbound=True, is_reply=True, event=True, **fields):
        """Add a message, with its event; return its id."""
        at = at or self.clock.now()
        agent, customer = ("support@acme.test", None), ("cus@tomer.test", "Cus Tomer")
        sender, receiver = (customer, agent) if inbound else (agent, customer)
        message = {
            "id": self._new_id("msg"),
            "message_uid": f"uid-{self._last_id}",
            "type": "email",
            "is_inbound": inbound,
            "draft_mode": None,
            "error_type": None,
            "version": None,
            "created_at": stamp(at),
            "subject": "Re: Locker" if is_reply else "Locker",
            "blurb": text[:40],
            "author": None if inbound else self.agent,
            "recipients": [
                {"handle": handle, "name": name, "role": role, "_links": {"related": {"contact": None}}}
                for (handle, name), role in ((sender, "from"), (receiver, "to"))
            ],
            "body": f"<p>{text}</p>",
            "text": text,
            "attachments": [],
            "signature": None,
            "metadata": {},
            **fields,
        }
        conversation = self.conversations[conversation_id]
        conversation["rows"].append(message)
        if is_reply and not inbound and not message["draft_mode"]:
            conversation["waiting_since"] = None
        if event:
            kind = "inbound" if inbound else ("out_reply" if is_reply else "outbound")
            self.emit(kind, conversation_id, at, target=("message", message))
        return message["id"]

    def comment(self, conversation_id, text, at=None, **fields):
        """Add a comment, with its event; return its id."""
        at = at or self.clock.now()
        note = {"id": self._new_id("com"), "author": self.agent, "body": text, "posted_at": stamp(at)}
        note |= {"attachments": [], "is_pinned": False, **fields}
        self.conversations[conversation_id]["notes"].append(note)
        self.emit("comment", conversation_id, at, target=("comment", note))
        return note["id"]

    def emit(self, kind, conversation_id, at=None, target=None):
        """Let an event happen; return its id."""
        at = at or self.clock.now()
        conversation = self.conversations[conversation_id]
        conversation["updated_at"] = max(conversation["updated_at"] or 0, stamp(at))
        self.events.append((at, self._new_id("evt"), kind, conversation_id, target))
        self.states_then[self.events[-1][1]] = self._shown(conversation)
        return self.events[-1][1]

    def set_status(self, conversation_id, status, kind="archive", at=None):
        """Archive, reopen or trash a conversation."""
        conversation = self.conversations[conversation_id]
        conversation["status"] = status
        if self.has_ticketing and status != "deleted":
            conversation["status_category"] = "resolved" if status == "archived" else "open"
        self.emit(kind, conversation_id, at)

    def merge(self, old, into, at=None):
        """Merge a conversation into another: its messages move and keep their ids, its own id answers 301."""
        moved = self.conversations.pop(old)
        self.conversations[into]["rows"] += moved["rows"]
        self.conversations[into]["notes"] += moved["notes"]
        self.events = [event for event in self.events if event[3] != old]
        self.merged[old] = into
        self.emit("conversations_merged", into, at, target=("deleted_conversation_ids", [old]))

    def delete(self, conversation_id):
        """Delete a conversation for good."""
        del self.conversations[conversation_id]
        self.events = [event for event in self.events if event[3] != conversation_id]

    def message(self, message_id):
        """Return a message, to change it."""
        rows = (row for conversation in self.conversations.values() for row in conversation["rows"])
        return next(row for row in rows if row["id"] == message_id)

    def number(self, conversation_id):
        """Return what people call a conversation."""
        return next(iter(self.conversations[conversation_id]["ticket_ids"]), conversation_id)

    def _new_id(self, prefix):
        self._last_id += 1
        return f"{prefix}_{base36(self._last_id)}"

    # How it answers.

    async def answer(self, request, path):
        response = self._answer(request, unquote(path))
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True) if self.has_date else "today"
        response.headers["X-Ratelimit-Limit"], response.headers["X-Ratelimit-Remaining"] = "50", "49"
        return response

    def _answer(self, request, path):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return error(401, "Unauthorized")
        if request.method != "GET":
            return error(405, "Method not allowed")
        parts = path.strip("/").split("/")
        if self.refused_scopes & {parts[0], parts[-1]}:
            return error(403, "Forbidden")
        return self._read(parts, list(request.query.items()))

    def _read(self, parts, query):
        match parts:
            case ["me"] if not query:
                return answer_json({"_links": {}, "id": "cmp_1", "name": "Acme"})
            case ["conversations"] | ["conversations", "search", _]:
                rows = self._search(parts[2]) if len(parts) > 1 else [*map(self._shown, self.conversations.values())]
                return self._page_of(parts, rows[::-1], query, self.largest_page)
            case ["conversations", conversation_id, *part] if part in ([], ["messages"], ["comments"]):
                return self._of_conversation(conversation_id, part, query)
            case ["messages" | "comments", part_id] if not query:
                return self._parent(parts[0], part_id)
            case ["events"]:
                return self._events(query)
        return error(404, "Not found")

    def _search(self, text):
        """Return conversations that have a text anywhere, as a search does."""
        return [
            self._shown(one)
            for one in self.conversations.values()
            if text.lower() in " ".join([*one["ticket_ids"], *(row["text"] for row in one["rows"])]).lower()
        ]

    def _of_conversation(self, conversation_id, part, query):
        if conversation_id in self.merged:
            place = "/".join(["https://api2.frontapp.com/conversations", self.merged[conversation_id], *part])
            return answer_json({}, 301, {"Location": place})
        if conversation_id in self.forbidden or conversation_id not in self.conversations:
            return error(403 if conversation_id in self.forbidden else 404, "Not found")
        conversation = self.conversations[conversation_id]
        if part == ["messages"]:
            return self._messages(conversation, query)
        if query:
            return error(400, "Bad request")
        return self._comments(conversation) if part else answer_json(self._shown(conversation))

    def _messages(self, conversation, query):
        given = dict(query)
        if set(given) - {"limit", "sort_by", "sort_order", "page_token"} or given.get("sort_by", "x") != "created_at":
            return error(400, "Bad request")
        rows = sorted(conversation["rows"], key=lambda row: (row["created_at"], row["id"]))
        rows = rows if given.get("sort_order") == "asc" else rows[::-1]
        return self._page_of(["conversations", conversation["id"], "messages"], rows, query, self.largest_page)

    def _comments(self, conversation):
        return answer_json({"_links": {}, "_results": conversation["notes"][::-1]})

    def _parent(self, kind, part_id):
        field = "rows" if kind == "messages" else "notes"
        for conversation in self.conversations.values():
            for row in conversation[field]:
                if row["id"] == part_id:
                    place = f"{NAMED_HOST}/conversations/{conversation['id']}"
                    return answer_json({**row, "_links": {"related": {"conversation": place}}})
        return error(404, "Not found")

    def _events(self, query):
        types = [value for name, value in query if name == "q[types][]"]
        given = {name: value for name, value in query if name != "q[types][]"}
        after = given.get("q[after]", "0")
        if (
            set(given) - {"q[after]", "q[before]", "sort_by", "sort_order", "limit", "page_token"}
            or set(types) - EVENT_TYPES
            or not SECONDS.fullmatch(after)
        ):
            return error(400, "Bad request")
        horizon = self.clock.now().timestamp() - self.event_lag
        rows = [event for event in self.events if stamp(event[0]) <= horizon and (not types or event[2] in types)]
        if "q[after]" not in self.ignored:
            bound = float(after)
            rows = [one for one in rows if stamp(one[0]) > bound or (self.is_after_included and stamp(one[0]) == bound)]
        is_rising = given.get("sort_order") == "asc" and "sort_order" not in self.ignored
        rows.sort(key=lambda event: event[:2], reverse=not is_rising)
        shown = [self._shown_event(*event) for event in rows]
        return self._page_of(["events"], shown, query, self.events_page)

    def _shown_event(self, at, event_id, kind, conversation_id, target):
        """Return an event; its conversation is as it is now, or as it was then."""
        inbox = {"_meta": {"type": "inboxes"}, "data": [{"id": "inb_1", "name": "Support"}]}
        shown = {"_links": {}, "id": event_id, "type": kind, "emitted_at": stamp(at), "source": inbox}
        now = self._shown(self.conversations[conversation_id])
        shown["conversation"] = self.states_then[event_id] if self.are_states_of_then else now
        if target is not None:
            meta, data = target
            if self.partial_targets and meta == "message":
                data = {"_links": {}, "id": data["id"], "type": data["type"]}
            shown["target"] = {"_meta": {"type": meta}, "data": data}
        return shown

    def _shown(self, conversation):
        shown = {key: value for key, value in conversation.items() if key not in {"rows", "notes"}}
        place = f"{NAMED_HOST}/conversations/{conversation['id']}"
        return shown | {"_links": {"self": place, "related": {"messages": f"{place}/messages"}}}

    def _page_of(self, parts, rows, query, largest):
        """Return a page; the next one is an address at another host, with everything in it, or null."""
        given = dict(query)
        limit = given.get("limit", "50")
        if not limit.isdecimal() or not 1 <= int(limit) <= (15 if parts == ["events"] else 100):
            return error(400, "Bad request")
        begin = 0
        if "page_token" in given:
            kept, begin = self.places.get(given["page_token"], (None, 0))
            if kept != [pair for pair in query if pair[0] != "page_token"]:
                return error(400, "Bad page token")
        end = begin + min(int(limit), largest)
        is_endless = self.endless == parts[-1]
        following = None
        if end < len(rows) or is_endless or (self.stuck and parts == ["events"]):
            end = begin if self.stuck and parts == ["events"] else end
            following = self._address_of(parts, query, end)
        page = rows[begin : begin + min(int(limit), largest)]
        return answer_json({"_pagination": {"next": following}, "_links": {}, "_results": page})

    def _address_of(self, parts, query, begin):
        token = f"t{base36(crc32('/'.join([*parts, str(begin)]).encode()))}"
        kept = [pair for pair in query if pair[0] != "page_token"]
        self.places[token] = (kept, begin)
        return f"{NAMED_HOST}/{'/'.join(parts)}?{urlencode([*kept, ('page_token', token)])}"


def base36(number):
    """Return a number as Front writes those in ids."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text or "0"


def stamp(instant):
    """Return an instant as Front writes it: seconds with milliseconds behind the point."""
    return round(instant.timestamp(), 3)


def error(status, message, headers=None):
    """Return an error in Front's shape."""
    return answer_json({"_error": {"status": status, "title": message, "message": message}}, status, headers)
