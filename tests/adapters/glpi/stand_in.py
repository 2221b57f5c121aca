"""A GLPI that speaks its legacy API as strictly as the real one, and has its traps.

It ignores parameters that it does not know, and criteria outside the search, without a word; counts ranges with their
last row; answers 206 on last pages too; writes its own clock's times; and shows a session the entities active in it.
`longest_page` is not GLPI's: it lets tests cross the borders of pages with few rows.
"""

import json
import re
from datetime import UTC, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from tests.adapters.stand_in import HTML, StandIn, answer_json

TOKEN, APP_TOKEN = "user-token-of-syncd", "app-token-of-syncd"
READER, AGENT, CUSTOMER, COLLEAGUE = 3, 5, 9, 11
STATUSES = {"new": 1, "assigned": 2, "planned": 3, "pending": 4, "solved": 5, "closed": 6, "approval": 10}
REQUESTER, ASSIGNED, OBSERVER = 1, 2, 3
RANGE = re.compile(r"[0-9]+-[0-9]+")
CRITERION = re.compile(r"criteria\[(\d+)\]\[(\w+)\]")
DISPLAY = re.compile(r"forcedisplay\[\d+\]")
HTML_CODES = {10: (("&", "&#38;"), ("<", "&#60;"), (">", "&#62;")), 9: (("<", "&lt;"), (">", "&gt;")), 11: ()}


class GlpiStandIn(StandIn):
    """One GLPI, its API client and the account that reads.

    `entities` are those of the profile; a session begins in entity 0 alone, and sees those that were there when it was
    widened. `version` decides how texts are stored, and whether a missing right is 401 or 403.
    """

    prefix = "/glpi"

    def __init__(self, clock):
        super().__init__(clock)
        self.version = 11
        self.zone, self.ahead = ZoneInfo("UTC"), timedelta()  # of the clock of the tests, to reach other seasons
        self.user_token, self.app_token = TOKEN, None
        self.sessions = {}
        self.opened = 0
        self.entities = {0, 1}
        self.rights = {"ticket": 1024 | 1, "followup": 8192 | 1, "task": 8192 | 1}
        self.interface = "central"
        self.unreadable = set()  # item types that the profile may not read
        self.forbidden = set()  # tickets that the profile may not read
        self.api_enabled = True
        self.longest_page = 1000
        self.search_knows_trash, self.filters_lists, self.wraps_session = True, True, True
        self.stuck = self.ignores_criteria = self.shows_nothing = False
        self.options = {"Ticket.name": 1, "Ticket.id": 2, "Ticket.status": 12, "Ticket.date_mod": 19}
        self.tickets, self.actors = {}, {}
        self.rows = {"ITILFollowup": [], "ITILSolution": [], "TicketTask": []}
        self.ids = count(101)
        self.users = {
            READER: {"id": READER, "name": "syncd", "realname": None, "firstname": None},
            AGENT: {"id": AGENT, "name": "anna", "realname": "Ångström", "firstname": "Anna"},
            CUSTOMER: {"id": CUSTOMER, "name": "carl", "realname": "Carlsen", "firstname": "Carl"},
            COLLEAGUE: {"id": COLLEAGUE, "name": "otto", "realname": "Ohm", "firstname": "Otto"},
        }

    # What people do in it.

    def open_ticket(self, at=None, text="<p>It does not open.</p>", opener=CUSTOMER, entity=0, **fields):
        """Open a ticket: the customer requests it, the agent is assigned."""
        key, stamp = next(self.ids), self.stamp(at)
        self.tickets[key] = {
            "id": key,
            "entities_id": entity,
            "name": self.stored("Locker & key"),
            "content": self.stored(text),
            "status": STATUSES["new"],
            "type": 1,
            "requesttypes_id": 1,
            "users_id_recipient": opener,
            "users_id_lastupdater": opener,
            "date": stamp,
            "date_creation": stamp,
            "date_mod": stamp,
            "solvedate": None,
            "closedate": None,
            "is_deleted": 0,
            **fields,
        }
        self.actors[key] = []
        self.act(key, CUSTOMER, REQUESTER)
        self.act(key, AGENT, ASSIGNED)
        return key

    def act(self, ticket, user, role, email=""):
        """Let somebody take part in a ticket."""
        row = {"id": next(self.ids), "tickets_id": ticket, "users_id": user, "type": role, "alternative_email": email}
        self.actors[ticket].append(row)

    def follow_up(self, ticket, text="<p>text</p>", by=CUSTOMER, at=None, private=0, source=0, **fields):
        """Write a followup; those on a ticket that others were merged into are copied into these."""
        stamp = self.stamp(at)
        row = {"id": next(self.ids), "itemtype": "Ticket", "items_id": ticket, "date": stamp, "users_id": by}
        row |= {"users_id_editor": 0, "content": self.stored(text), "is_private": private, "requesttypes_id": 2}
        row |= {"date_creation": stamp, "date_mod": stamp, "timeline_position": 4, "sourceitems_id": source, **fields}
        self.rows["ITILFollowup"].append(row)
        self.touch(ticket, at)
        for merged in self.merged_into(ticket) if not source else ():
            self.follow_up(merged, text, by, at, private, source=ticket, **fields)
        return row["id"]

    def solve(self, ticket, text="<p>solved</p>", by=AGENT, at=None):
        """Write a solution, which solves the ticket."""
        stamp = self.stamp(at)
        row = {"id": next(self.ids), "itemtype": "Ticket", "items_id": ticket, "solutiontypes_id": 0}
        row |= {"content": self.stored(text), "date_creation": stamp, "date_mod": stamp, "date_approval": None}
        row |= {"users_id": by, "user_name": None, "users_id_editor": 0, "status": 2}
        self.rows["ITILSolution"].append(row)
        self.set_status(ticket, "solved", at)
        return row["id"]

    def plan(self, ticket, text="<p>look at it</p>", by=AGENT, at=None, private=0, source=0):
        """Write a task."""
        stamp = self.stamp(at)
        row = {"id": next(self.ids), "tickets_id": ticket, "date": stamp, "users_id": by, "users_id_editor": 0}
        row |= {"content": self.stored(text), "is_private": private, "state": 1, "date_creation": stamp}
        row |= {"date_mod": stamp, "sourceitems_id": source}
        self.rows["TicketTask"].append(row)
        self.touch(ticket, at)
        return row["id"]

    def edit(self, itemtype, key, text, at=None, by=AGENT):
        """Change an item in place."""
        (row,) = [one for one in self.rows[itemtype] if one["id"] == key]
        row |= {"content": self.stored(text), "users_id_editor": by, "date_mod": self.stamp(at)}
        self.touch(row.get("items_id", row.get("tickets_id")), at)

    def remove(self, itemtype, key):
        """Delete an item: its row is gone, and its ticket is touched."""
        (row,) = [one for one in self.rows[itemtype] if one["id"] == key]
        self.rows[itemtype].remove(row)
        self.touch(row["items_id"])

    def set_status(self, ticket, name, at=None):
        self.tickets[ticket]["status"] = STATUSES[name]
        self.touch(ticket, at)

    def touch(self, ticket, at=None):
        """Change a ticket at an instant, or now; earlier ones do not set it back."""
        row = self.tickets[ticket]
        row["date_mod"] = max(row["date_mod"], self.stamp(at)) if at else self.stamp()

    def delete(self, ticket):
        """Put a ticket into the trash."""
        self.tickets[ticket]["is_deleted"] = 1
        self.touch(ticket)

    def purge(self, ticket):
        """Remove a ticket for ever."""
        del self.tickets[ticket]

    def merge(self, source, target, *, with_followups=True):
        """Merge a ticket into another: a followup of its text, copies of its followups, and then the trash."""
        old = self.tickets[source]
        key = self.follow_up(target, "", old["users_id_recipient"], source=source, date=old["date_creation"])
        self.row(key)["content"] = old["name"] + self.stored("<br /><br />") + old["content"]
        for row in [one for one in self.rows["ITILFollowup"] if one["items_id"] == source and with_followups]:
            copy = {**row, "id": next(self.ids), "items_id": target, "sourceitems_id": source}
            self.rows["ITILFollowup"].append(copy)
        self.delete(source)
        self.touch(target)

    def row(self, key):
        """Return a followup."""
        return next(one for one in self.rows["ITILFollowup"] if one["id"] == key)

    def merged_into(self, target):
        """Return the tickets that were merged into one."""
        rows = self.rows["ITILFollowup"]
        sources = {one["sourceitems_id"] for one in rows if one["items_id"] == target and one["sourceitems_id"]}
        return sorted(key for key in sources if self.tickets.get(key, {}).get("is_deleted"))

    def end_sessions(self):
        """Let all sessions end, as PHP does after a while."""
        self.sessions.clear()

    def now(self):
        return self.clock.now() + self.ahead

    def link(self, ticket):
        return f"{self.base_url}/front/ticket.form.php?id={ticket}"

    def stamp(self, at=None):
        """Return an instant as GLPI's clock shows it."""
        return (at or self.now()).astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def stored(self, text):
        """Return a text as the database of this version holds it."""
        for char, code in HTML_CODES[self.version]:
            text = text.replace(char, code)
        return text

    # How it answers.

    async def answer(self, request, path):
        response = await self._answer(request, path)
        response.headers["Date"] = self.now().astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return response

    async def _answer(self, request, path):
        base, _, rest = path.lstrip("/").partition("/")
        if base != "apirest.php":
            return answer_page(404)
        body = await request.read()
        refused = self._refuse_client(request, body)
        if refused is not None or rest == "initSession":
            return refused or self._open_session(request)
        token = request.headers.get("Session-Token")
        if not token:
            return error("ERROR_SESSION_TOKEN_MISSING", "parameter session_token is missing or empty", 400)
        if token not in self.sessions:
            return error("ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid", 401)
        if request.method == "POST":
            return self._change_entities(rest, token, body)
        return self._read(rest.split("/"), request.query, self.sessions[token])

    def _refuse_client(self, request, body):
        """Return what GLPI says before it looks at the session, if anything."""
        if not self.api_enabled:
            return error("ERROR", "API disabled", 400)
        if request.method not in {"GET", "POST"}:
            return error("ERROR_METHOD_NOT_ALLOWED", "Method Not Allowed", 405)
        if request.method == "GET" and body:
            return error("ERROR_JSON_PAYLOAD_FORBIDDEN", "GET Request should not have json payload (http body)", 400)
        if self.app_token and request.headers.get("App-Token") != self.app_token:
            return error("ERROR_WRONG_APP_TOKEN_PARAMETER", "parameter app_token seems wrong", 400)
        return None

    def _open_session(self, request):
        if request.method != "GET" or request.headers.get("Authorization") != f"user_token {self.user_token}":
            return error("ERROR_GLPI_LOGIN_USER_TOKEN", "parameter user_token seems invalid", 401)
        self.opened += 1
        token = f"session-{self.opened}"
        self.sessions[token] = {0}
        return answer_json({"session_token": token})

    def _change_entities(self, path, token, body):
        wanted = json.loads(body)
        if path != "changeActiveEntities" or not isinstance(wanted.get("is_recursive", False), bool):
            return error("ERROR", "Bad Request", 400)
        # A given value goes through intval(), so that "all" would be entity 0.
        self.sessions[token] = {0} if "entities_id" in wanted else set(self.entities)
        return answer_json(True)

    def _read(self, parts, query, seen):
        match parts:
            case ["search", "Ticket"]:
                return self._search(query, seen)
            case ["Ticket", key] if key.isdecimal():
                return self._ticket(int(key), query, seen)
            case ["Ticket", key, itemtype] if key.isdecimal():
                return self._below(int(key), itemtype, query, seen)
            case ["User", key]:
                return self._user(int(key))
        return self._read_whole("/".join(parts), query)

    def _read_whole(self, path, query):
        """Answer what hangs on no single record. Criteria are ignored here, without a word."""
        if path == "getFullSession":
            session = self._session()
            return answer_json({"session": session} if self.wraps_session else session)
        if path == "listSearchOptions/Ticket":
            return answer_json(self._options())
        if path == "Ticket":
            return self._page("Ticket", list(self.tickets.values()), query)
        if path == "ITILFollowup":
            return self._followups(query)
        return error("ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM", "resource not found", 400)

    def _session(self):
        profile = {"id": 4, "name": "syncd", "interface": self.interface, **self.rights}
        return {
            "glpi_currenttime": self.stamp(),
            "glpiID": READER,
            "glpiname": "syncd",
            "glpiactiveprofile": profile,
            "valid_id": "secret",
        }

    def _options(self):
        options = {"common": "Characteristics"}
        for uid, number in self.options.items():
            options[str(number)] = {"name": "x", "table": "glpi_tickets", "field": uid.split(".")[1], "uid": uid}
        for number in (4, 5, 66):
            options[str(number)] = {"name": "x", "table": "glpi_users", "uid": "Ticket.Ticket_User.User.name"}
        return options

    def _denied(self):
        text = "You don't have permission to perform this action."
        return error("ERROR_RIGHT_MISSING", text, 403 if self.version >= 11 else 401)

    def _sees(self, ticket, seen):
        return ticket["entities_id"] in seen and ticket["id"] not in self.forbidden and self.rights["ticket"] & 1024

    def _ticket(self, key, query, seen):
        if key not in self.tickets:
            return error("ERROR_ITEM_NOT_FOUND", "Item not found", 404)
        if not self._sees(self.tickets[key], seen):
            return self._denied()
        return answer_json(self._with_links(self.tickets[key], query))

    def _with_links(self, row, query):
        if query.get("get_hateoas") == "false":
            return row
        return {**row, "links": [{"rel": "Entity", "href": f"{self.base_url}/apirest.php/Entity/0"}] * 9}

    def _below(self, key, itemtype, query, seen):
        if itemtype in self.unreadable:
            return self._denied()
        if key not in self.tickets:
            return error("ERROR_ITEM_NOT_FOUND", "Item not found", 404)
        if not self._sees(self.tickets[key], seen):
            return self._denied()
        if itemtype == "Ticket_User":
            return self._page(itemtype, self.actors[key], query)
        if itemtype not in self.rows:
            return error("ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM", "resource not found", 400)
        rows = [one for one in self.rows[itemtype] if one.get("items_id", one.get("tickets_id")) == key]
        return self._page(itemtype, [one for one in rows if self._sees_item(one)], query)

    def _sees_item(self, row):
        return bool(self.rights["followup"] & (8192 if row.get("is_private") else 1))

    def _followups(self, query):
        rows = [one for one in self.rows["ITILFollowup"] if self._sees_item(one)]
        wanted = query.get("searchText[sourceitems_id]")
        if wanted is not None and self.filters_lists:
            pattern = re.compile(("" if wanted.startswith("^") else ".*") + re.escape(wanted.strip("^$")))
            exact = wanted.endswith("$")
            match = pattern.fullmatch if exact else pattern.match
            rows = [one for one in rows if match(str(one["sourceitems_id"]))]
        return self._page("ITILFollowup", rows, query)

    def _user(self, key):
        if "User" in self.unreadable:
            return self._denied()
        if key not in self.users:
            return error("ERROR_ITEM_NOT_FOUND", "Item not found", 404)
        return answer_json(self.users[key])

    def _page(self, itemtype, rows, query):
        """Return a page of a list. The status of a last page that is not the first is 206, too."""
        text = query.get("range", "0-49")
        if not RANGE.fullmatch(text):
            return error("ERROR", "range must be in format : [start-end] with integers", 400)
        if query.get("sort", "id") != "id" or query.get("order", "ASC") not in {"ASC", "DESC"}:
            return error("ERROR", "sort param is not a field", 400)
        first, last = map(int, text.split("-"))
        total = len(rows)
        if first > total:
            return error("ERROR_RANGE_EXCEED_TOTAL", f"Provided range exceed total count of data: {total}", 400)
        rows = sorted(rows, key=lambda one: one["id"], reverse=query.get("order") == "DESC")
        shown = rows[first : last + 1][: self.longest_page]
        last = min(last, total - 1)
        headers = {"Accept-Range": f"{itemtype} 990"}
        if total:
            headers["Content-Range"] = f"{first}-{last}/{total}"
        status = 206 if last - first + 1 < total else 200
        return answer_json([self._with_links(one, query) for one in shown], status, headers)

    def _search(self, query, seen):
        if "Ticket" in self.unreadable:
            return self._denied()
        criteria = self._criteria(query)
        if isinstance(criteria, str):
            return error("ERROR", criteria, 400)
        trash = self.search_knows_trash and query.get("is_deleted") == "1"
        rows = [one for one in self.tickets.values() if self._sees(one, seen) and bool(one["is_deleted"]) == trash]
        if criteria and not self.ignores_criteria:
            rows = [one for one in rows if any(fits(one) for fits in criteria) and not self.shows_nothing]
        order = {str(number): uid.split(".")[1] for uid, number in self.options.items()}.get(query.get("sort"), "name")
        rows.sort(key=lambda one: one[order], reverse=query.get("order") == "DESC")
        first, last = map(int, query.get("range", "0-49").split("-"))
        if first > len(rows):
            return error("ERROR_RANGE_EXCEED_TOTAL", "Provided range exceed total count of data", 400)
        if self.stuck:
            rows = sorted(self.tickets.values(), key=lambda one: one["date_mod"])
        shown = rows[first : last + 1][: self.longest_page]
        total = 10_000 if self.stuck else len(rows)
        answer = {"totalcount": total, "count": len(shown), "sort": [query.get("sort")], "order": ["ASC"]}
        if shown:
            fields = [value for name, value in query.items() if DISPLAY.fullmatch(name)]
            answer["data"] = [self._found(one, fields) for one in shown]
        answer["content-range"] = f"{first}-{min(last, total - 1)}/{total}"
        return answer_json(answer, 200 if len(shown) >= total else 206)

    def _criteria(self, query):
        """Return what rows must fit, or what is wrong with the criteria."""
        parts = {}
        for name, value in query.items():
            if match := CRITERION.fullmatch(name):
                parts.setdefault(match[1], {})[match[2]] = value
        fields = {str(number): uid.split(".")[1] for uid, number in self.options.items()}
        found = []
        for one in parts.values():
            if not {"field", "searchtype", "value"} <= one.keys():
                return "Malformed search criteria"
            if one["field"] not in fields:
                return "Bad field ID in search criteria"
            found.append(self._fits(fields[one["field"]], one["searchtype"], one["value"]))
        return found

    def _fits(self, field, searchtype, value):
        if searchtype == "morethan":
            return lambda row: str(row[field]) > value
        assert searchtype == "equals"
        return lambda row: str(row[field]) == value

    def _found(self, row, fields):
        """Return a ticket as a search shows it: always its name, its id and its entity, and what was asked for."""
        names = {str(number): uid.split(".")[1] for uid, number in self.options.items()}
        assigned = [one["users_id"] for one in self.actors[row["id"]] if one["type"] == ASSIGNED]
        shown = {str(self.options["Ticket.name"]): row["name"], "80": "Root entity"}
        shown |= {number: row[names[number]] for number in fields if number in names}
        if "5" in fields:
            shown["5"] = None if not assigned else str(assigned[0]) if len(assigned) == 1 else [*map(str, assigned)]
        return shown


def error(code, text, status):
    """Return an error as GLPI has it: a list of a code and a sentence."""
    return answer_json([code, text], status)


def answer_page(status):
    """Return a web page, as the server beside the API has it."""
    response = answer_json(None, status)
    response.body, response.content_type = HTML.encode(), "text/html"
    return response
