"""A strict stand-in for one HubSpot account over HTTP, with the traps of the real one.

It refuses paths and parameters that HubSpot does not have, keeps time by the virtual clock, lists late what it is
searched for, and has an id, a token and a page for everything that can go wrong. What it holds is changed by methods.
"""

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

from tests.adapters.stand_in import StandIn, answer_json, refuse_surplus

TOKEN = "pat-eu1-token-1"
PORTAL = 4711
WEB_HOST = "app-eu1.hubspot.com"
AGENT, CUSTOMER, BOT, OWNER = "A-8835724", "V-101", "B-7", "55501"
CORRELATION = "c033cdaa-2c40-4a64-ae48-b4cec88dad24"
OWNERS_READ = "crm.objects.owners.read"
OPERATORS = {"GTE": lambda found, value: found >= value, "GT": lambda found, value: found > value}
PIPELINES = [
    {
        "id": "0",
        "label": "Support Pipeline",
        "displayOrder": 0,
        "stages": [
            {"id": "1", "label": "New", "displayOrder": 0, "archived": False, "metadata": {"ticketState": "OPEN"}},
            {"id": "2", "label": "Waiting on contact", "displayOrder": 1, "archived": False, "metadata": {}},
            {"id": "3", "label": "Waiting on us", "displayOrder": 2, "archived": False, "metadata": {}},
            {"id": "4", "label": "Closed", "displayOrder": 3, "archived": False, "metadata": {"ticketState": "CLOSED"}},
        ],
    }
]
CHANNELS = {"1000": "LIVE_CHAT", "1001": "FB_MESSENGER", "1002": "EMAIL", "1003": "FORMS", "1007": "WHATSAPP"}
THREAD_LIST = {
    "associatedTicketId",
    "association",
    "sort",
    "latestMessageTimestampAfter",
    "limit",
    "after",
    "archived",
}


class HubspotStandIn(StandIn):
    """One account, read by the owner of the token."""

    def __init__(self, clock):
        super().__init__(clock)
        self.largest_page = 100  # of lists
        self.largest_search = 200
        self.search_cap = 10_000
        self.index_lag = timedelta(seconds=30)
        self.thread_lag = timedelta(0)
        self.stuck = False  # every page names itself as its next one
        self.stalls_at = None  # a token that comes again once, though there is more
        self.is_after_included = True  # whether latestMessageTimestampAfter is a bound that belongs to what it bounds
        self.knows_ticket_filter = True  # off: as older versions, which ignore it
        self.search_ignores_order = False
        self.oldest_first = False
        self.has_date = True
        self.scopes = {"tickets", "conversations.read", OWNERS_READ}
        self.refresh_token, self.client_secret, self.tokens_given = "refresh-token-1", "client-secret-1", 0
        self.pipelines = [dict(pipeline, stages=list(pipeline["stages"])) for pipeline in PIPELINES]
        self.channels = dict(CHANNELS)
        self.actors = {AGENT: "Anna Agent", CUSTOMER: "Carl Customer", BOT: "Robbie"}
        self.owners = {OWNER: ("Otto", "Owner")}
        self.tickets, self.threads, self.messages, self.originals = {}, {}, {}, {}
        self.modified = {}  # when each ticket was modified, all times
        self.merged, self.forbidden_threads = {}, set()
        self._next_id = 4_215_513_000

    # What it holds.

    def new_id(self):
        self._next_id += 7
        return str(self._next_id)

    def open_ticket(self, at=None, **properties):
        """Make a ticket without a thread; return its id."""
        ticket_id, at = self.new_id(), at or self.clock.now()
        given = {"subject": "Locker", "content": None, "hs_pipeline": "0", "hs_pipeline_stage": "1"}
        given |= {"hubspot_owner_id": OWNER, "hs_ticket_priority": None} | properties
        self.tickets[ticket_id] = {"properties": given, "createdAt": at, "archived": False}
        self.modified[ticket_id] = [at]
        return ticket_id

    def open_thread(self, ticket_id=None, at=None, channel="1002", **fields):
        """Make a thread without messages; return its id."""
        thread_id, at = self.new_id(), at or self.clock.now()
        thread = {"id": thread_id, "createdAt": stamp(at), "status": "OPEN", "inboxId": "9", "spam": False}
        thread |= {"originalChannelId": channel, "originalChannelAccountId": "8", "associatedContactId": "101"}
        self.threads[thread_id] = thread | {"archived": False, "latest": None, "ticket": ticket_id} | fields
        self.messages[thread_id] = []
        return thread_id

    def write(self, thread_id, text, at=None, *, by=AGENT, kind="MESSAGE", touches=True, **fields):
        """Write into a thread, which makes it and its ticket newer; return the message's id."""
        at = at or self.clock.now()
        message_id = f"{int(self.new_id()):032x}"
        message = {"id": message_id, "conversationsThreadId": thread_id, "createdAt": stamp(at), "createdBy": by}
        message |= {"client": {"clientType": "HUBSPOT"}, "archived": False, "recipients": [], "type": kind}
        message |= {"senders": [sender(by, self.actors.get(by))] if by else []}
        if kind in {"MESSAGE", "COMMENT", "WELCOME_MESSAGE"}:
            message |= {"text": text, "richText": f"<p>{text}</p>", "attachments": []}
        if kind == "MESSAGE":
            incoming = bool(by) and by.startswith(("V-", "E-"))
            message |= {"subject": "Re: Locker", "channelId": self.threads[thread_id]["originalChannelId"]}
            message |= {"channelAccountId": "8", "truncationStatus": "NOT_TRUNCATED", "updatedAt": stamp(at)}
            message |= {"direction": "INCOMING" if incoming else "OUTGOING"}
            message |= {"status": {"statusType": "RECEIVED" if incoming else "SENT"}}
        self.messages[thread_id].append({key: value for key, value in (message | fields).items() if value is not ...})
        thread = self.threads[thread_id]
        if kind == "MESSAGE":
            thread["latest"] = max(thread["latest"] or at, at)
        if thread["ticket"] and touches:
            self.touch(thread["ticket"], at)
        return message_id

    def event(self, thread_id, kind, **fields):
        return self.write(thread_id, "", kind=kind, senders=[{"actorId": "S-hubspot"}], **fields)

    def touch(self, ticket_id, at=None, **properties):
        """Modify a ticket."""
        self.tickets[ticket_id]["properties"] |= properties
        self.modified[ticket_id].append(max(at or self.clock.now(), self.modified[ticket_id][-1]))

    def merge(self, loser, winner):
        """Merge a ticket into another: its threads move."""
        self.merged[loser] = winner
        for thread in self.threads.values():
            thread["ticket"] = winner if thread["ticket"] == loser else thread["ticket"]
        self.touch(winner)

    def delete_ticket(self, ticket_id):
        self.tickets[ticket_id]["archived"] = True

    def link(self, ticket_id):
        return f"https://{WEB_HOST}/contacts/{PORTAL}/record/0-5/{ticket_id}"

    # How it answers.

    async def answer(self, request, path):
        response = await self._answer(request, path)
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True) if self.has_date else "yesterday"
        if not path.endswith("/search"):
            response.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] = "10000"
        return response

    async def _answer(self, request, path):
        if path == "/oauth/v1/token":
            return self._token(await request.post())
        if request.headers.get("Authorization") not in {f"Bearer {TOKEN}", f"Bearer oauth-{self.tokens_given}"}:
            return error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
        parts = path.strip("/").split("/")
        body = await request.json() if request.method == "POST" else None
        found = error(404, None, "resource not found")
        match [request.method, *parts]:
            case ["GET", "account-info", "v3", "details"]:
                account = {"portalId": PORTAL, "uiDomain": WEB_HOST, "timeZone": "Europe/Berlin"}
                found = answer_json(account | {"utcOffset": "+01:00", "utcOffsetMilliseconds": 3_600_000})
            case [method, "crm", "v3", *rest]:
                found = self._refusal_of("owners" in rest, OWNERS_READ, "tickets") or self._crm(
                    request, method, rest, body
                )
            case [method, "conversations", "v3", "conversations", *rest]:
                found = self._refusal_of(True, "conversations.read") or self._conversations(request, method, rest, body)
        return found

    def _refusal_of(self, is_first, *scopes):
        """Return the refusal of a request that needs the first of some scopes, or the last."""
        if (scopes[0] if is_first else scopes[-1]) in self.scopes:
            return None
        return error(403, "MISSING_SCOPES", "This app hasn't been granted all required scopes")

    def _token(self, form):
        given = (form.get("grant_type"), form.get("client_secret"), form.get("refresh_token"))
        if given != ("refresh_token", self.client_secret, self.refresh_token):
            return answer_json({"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}, 400)
        self.tokens_given += 1
        token = {"access_token": f"oauth-{self.tokens_given}", "refresh_token": self.refresh_token}
        return answer_json(token | {"expires_in": 1800, "token_type": "bearer"})

    # The CRM.

    def _crm(self, request, method, parts, body):
        found = error(404, None, "resource not found")
        match [method, *parts]:
            case ["GET", "pipelines", "tickets"]:
                found = answer_json({"results": self.pipelines})
            case ["GET", "owners"]:
                found = answer_json({"results": [self._owner(key) for key in self.owners]})
            case ["GET", "owners", key] if key in self.owners:
                found = answer_json(self._owner(key))
            case ["GET", "objects", "tickets"]:
                found = answer_json({"results": [self._ticket(key) for key in list(self.tickets)[:1]]})
            case ["POST", "objects", "tickets", "search"]:
                found = self._search(body)
            case ["POST", "objects", "tickets", "batch", "read"]:
                found = self._batch(body)
            case ["GET", "objects", "tickets", key] if self._is_there(self.merged.get(key, key)):
                wanted = request.query.get("properties", "").split(",")
                found = answer_json(self._ticket(self.merged.get(key, key), wanted))
        return found

    def _is_there(self, key):
        return key in self.tickets and not self.tickets[key]["archived"] and key not in self.merged

    def _owner(self, key):
        first, last = self.owners[key]
        return {"id": key, "email": "o@x.test", "firstName": first, "lastName": last, "userId": 1, "archived": False}

    def _ticket(self, key, wanted=(), modified=None):
        """Return a ticket: properties are texts, and those that were not asked for or do not exist are missing."""
        ticket, at = self.tickets[key], modified or self.modified[key][-1]
        known = ticket["properties"] | {"hs_object_id": key, "hs_lastmodifieddate": stamp(at)}
        shown = {name: value for name, value in known.items() if name in {*wanted, "hs_object_id"}}
        found = {"id": key, "properties": shown, "createdAt": stamp(ticket["createdAt"]), "updatedAt": stamp(at)}
        return found | {"archived": False, "url": self.link(key)}

    def _batch(self, body):
        if set(body) - {"properties", "propertiesWithHistory", "inputs", "idProperty"} or len(body["inputs"]) > 100:
            return error(400, "VALIDATION_ERROR", "Invalid input JSON")
        keys = [one["id"] for one in body["inputs"]]
        if not all(isinstance(key, str) and key.isdecimal() for key in keys):
            return error(400, "VALIDATION_ERROR", "id is no number")
        lost = [key for key in keys if not self._is_there(key)]
        results = [self._ticket(key, body["properties"]) for key in keys if key not in lost]
        answer = {"status": "COMPLETE", "results": results}
        if not lost:
            return answer_json(answer)
        failure = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some TICKET objects"}
        return answer_json(answer | {"numErrors": 1, "errors": [failure | {"context": {"ids": lost}}]}, 207)

    def _search(self, body):
        if set(body) != {"filterGroups", "sorts", "properties", "limit", "after"} or body["limit"] > 200:
            return error(400, "VALIDATION_ERROR", "Invalid input JSON")
        begin, size = int(body["after"]), min(body["limit"], self.largest_search)
        if begin + size > self.search_cap:
            return error(400, "VALIDATION_ERROR", "The offset is beyond 10,000 results")
        rows = self._indexed()
        for one in body["filterGroups"][0]["filters"]:
            if not isinstance(one["value"], str):
                return error(400, "VALIDATION_ERROR", "value is no string")
            fits = OPERATORS[one["operator"]]
            rows = [row for row in rows if fits(number(row, one["propertyName"]), int(one["value"]))]
        (order,) = body["sorts"]
        assert order["direction"] == "ASCENDING"
        rows = sorted(rows, key=lambda row: number(row, order["propertyName"]), reverse=self.search_ignores_order)
        if self.stuck:
            rows, begin = self._indexed()[: size + 1], 0
        shown = [self._ticket(key, body["properties"], at) for key, at in rows[begin : begin + size]]
        answer = {"total": len(rows), "results": shown}
        if begin + size < len(rows):
            answer["paging"] = {"next": {"after": str(begin + size), "link": "https://elsewhere.test/?after=1"}}
        return answer_json(answer)

    def _indexed(self):
        """Return what the index knows by now: it lags, and then it has an older state of a ticket or none."""
        known = self.clock.now() - self.index_lag
        rows = []
        for key, times in self.modified.items():
            seen = [at for at in times if at <= known]
            if seen and self._is_there(key):
                rows.append((key, seen[-1]))
        return rows

    # Conversations.

    def _conversations(self, request, method, parts, body):
        found = error(404, "OBJECT_NOT_FOUND", "not found")
        match [method, *parts]:
            case ["GET", "inboxes"]:
                found = answer_json({"results": [{"id": "9", "name": "Inbox"}]})
            case ["GET", "channels"]:
                found = self._list(request, [{"id": key, "name": name} for key, name in self.channels.items()])
            case ["POST", "actors", "batch", "read"]:
                found = self._actors(body)
            case ["GET", "threads"]:
                found = self._thread_list(request)
            case ["GET", "threads", key] if key in self.threads:
                found = answer_json(self._thread(key, request.query))
            case ["GET", "threads", key, "messages"] if key in self.threads:
                found = self._message_list(request, key)
            case ["GET", "threads", _, "messages", message, "original-content"] if message in self.originals:
                found = answer_json(self.originals[message])
        return found

    def _actors(self, body):
        known = [key for key in body["inputs"] if key in self.actors]
        results = [{"id": key, "type": "AGENT", "name": self.actors[key], "email": "", "avatar": ""} for key in known]
        answer = {"status": "COMPLETE", "results": results}
        return answer_json(answer) if len(known) == len(body["inputs"]) else answer_json(answer | {"errors": [{}]}, 207)

    def _message_list(self, request, key):
        if key in self.forbidden_threads:
            return error(403, "BANNED", "You do not have permissions to view this thread")
        rows = sorted(self.messages[key], key=lambda one: one["createdAt"], reverse=not self.oldest_first)
        return refuse_surplus(request.query, {"limit", "after", "sort", "archived"}) or self._list(request, rows)

    def _thread(self, key, query):
        thread = self.threads[key]
        shown = {name: value for name, value in thread.items() if name not in {"latest", "ticket"}}
        if thread["latest"] is not None:
            shown["latestMessageTimestamp"] = stamp(thread["latest"])
        if query.get("association") == "TICKET" and thread["ticket"] is not None:
            shown["threadAssociations"] = {"associatedTicketId": thread["ticket"]}
        return shown

    def _thread_list(self, request):
        query = request.query
        if (refusal := refuse_surplus(query, THREAD_LIST)) is not None:
            return refusal
        ticket, after = query.get("associatedTicketId"), query.get("latestMessageTimestampAfter")
        rows = [one for one in self.threads.values() if not one["archived"]]
        if ticket is not None and self.knows_ticket_filter:
            rows = [one for one in rows if one["ticket"] == ticket and self._is_there(ticket)]
        if query.get("sort") == "latestMessageTimestamp":
            if after is None:
                return error(400, "VALIDATION_ERROR", "latestMessageTimestampAfter is required")
            begin, known = datetime.fromisoformat(after), self.clock.now() - self.thread_lag
            rows = [one for one in rows if one["latest"] is not None and begin <= one["latest"] <= known]
            rows = [one for one in rows if self.is_after_included or one["latest"] != begin]
            rows.sort(key=lambda one: one["latest"])
        elif after is not None or query.get("sort", "id") != "id":
            return error(400, "VALIDATION_ERROR", "Invalid sort")
        return self._list(request, [self._thread(one["id"], query) for one in rows], may_stick=ticket is None)

    def _list(self, request, rows, *, may_stick=False):
        """Return a page. A full one names a next one, which may be empty; its token is encoded for an address."""
        token = request.query.get("after", "")
        if "%" in token:
            return error(400, "VALIDATION_ERROR", "The token was encoded twice")
        begin = int(base64.b64decode(token).decode() or 0) if token else 0
        size = min(int(request.query.get("limit", 100)), self.largest_page)
        answer = {"results": rows[begin : begin + size]}
        following = begin + size
        if may_stick and begin == self.stalls_at:
            following, self.stalls_at = begin, None
        if may_stick and self.stuck:
            answer["results"], following = rows[:size], 1
        if len(answer["results"]) == size or following == 1:
            after = quote(base64.b64encode(f"{following}\n".encode()).decode())
            answer["paging"] = {"next": {"after": after, "link": f"https://elsewhere.test/?after={after}"}}
        return answer_json(answer)


def number(row, name):
    """Return a property of a row of the index as the number that is compared."""
    key, at = row
    return int(key) if name == "hs_object_id" else round(at.timestamp() * 1000)


def sender(actor, name):
    """Return a sender; one who is known by an address alone has no id."""
    found = {
        "name": name,
        "senderField": "FROM",
        "deliveryIdentifier": {"type": "HS_EMAIL_ADDRESS", "value": "a@x.test"},
    }
    return found if actor.startswith("E-") else found | {"actorId": actor}


def stamp(instant):
    """Return an instant as HubSpot writes it; without milliseconds where there are none."""
    fine = "milliseconds" if instant.microsecond else "seconds"
    return instant.astimezone(UTC).isoformat(timespec=fine).replace("+00:00", "Z")


def error(status, category, text):
    """Return an error as HubSpot words it; the CRM's 404 has no category."""
    body = {"status": "error", "message": text, "correlationId": CORRELATION}
    return answer_json(body | ({"category": category} if category else {}), status)


def limited(policy, **headers):
    """Return what goes into `next_answers` for a limit that was reached."""
    body = f'{{"status":"error","message":"limit","errorType":"RATE_LIMIT","policyName":"{policy}"}}'
    return (429, headers, body, "application/json")
