"""A strict stand-in for a Znuny with the sample web service, as its sources say and a running OTOBO answered.

It answers errors with status 200, types as they come from its database, keys in any order, searches that fail with {},
and ignores parameters that it does not know. What it holds is changed by calling its methods.
"""

import random
import re
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from tests.adapters.stand_in import StandIn, answer_json

STATES = {
    "new": (1, "new"),
    "closed successful": (2, "closed"),
    "open": (4, "open"),
    "removed": (5, "removed"),
    "pending reminder": (6, "pending reminder"),
    "pending auto close+": (7, "pending auto"),
    "merged": (9, "merged"),
    "wartet auf Kunden": (23, "open"),
}
SENDERS = {"agent": "1", "system": "2", "customer": "3"}
EMAIL, PHONE, INTERNAL, CHAT = 1, 2, 3, 4
ROOT, AGENT = 1, 2
FORM = "%Y-%m-%d %H:%M:%S"


class ZnunyStandIn(StandIn):
    """One Znuny. `reads_headers` is off for OTOBO and older ones; `zone` is its OTRSTimeZone."""

    prefix = "/znuny"
    user, password = "syncd", "pass+word 1"
    web_service = "GenericTicketConnectorREST"
    most_sessions = 20

    def __init__(self, clock):
        super().__init__(clock)
        self.zone = UTC
        self.reads_headers = True
        self.has_history_route = True
        self.heeds_limit = True
        self.leaks_limit = False  # before March 2021: the limit of articles shrinks from ticket to ticket
        self.always_full = False  # searches answer as many ids as they may
        self.searches_fail = False  # searches with a time find nothing, whatever there is
        self.sessions = []
        self.tickets, self.articles, self.history = {}, {}, []
        self.closed_to_us = set()
        self._next_article = 1

    # What it holds.

    def text(self, at):
        """Return an instant as its clock shows it."""
        return at.astimezone(self.zone).strftime(FORM)

    def open_ticket(self, at=None, *, state="new", title="Drucker druckt nicht", number=None, **fields):
        """Make a ticket without an article; return its id."""
        at = at or self.clock.now()
        ticket_id = len(self.tickets) + 1
        self.tickets[ticket_id] = {
            "TicketID": ticket_id,
            "TicketNumber": number or f"{at:%Y%m%d}{10_000_000 + ticket_id}",
            "Title": title,
            "Queue": "Support",
            "QueueID": 5,
            "CustomerID": "customer.test",
            "CustomerUserID": "carla.customer",
            "Owner": "root@localhost",
            "OwnerID": ROOT,
            "Lock": "unlock",
            "Created": self.text(at),
            "CreateBy": ROOT,
            "Changed": self.text(at),
            "ChangeBy": ROOT,
            "ArchiveFlag": "n",
            "ServiceID": "",
            "SLAID": "",
            "UntilTime": 0,
        } | fields
        self.articles[ticket_id] = []
        self._set_state(ticket_id, state)
        self.note_history(ticket_id, at, "NewTicket")
        return ticket_id

    def write(self, ticket_id, text="hello", at=None, *, sender="customer", visible=True, channel=EMAIL, **fields):
        """Add an article; return its id. As in Znuny, one by a customer leaves the ticket's time of change alone."""
        at = at or self.clock.now()
        article_id, self._next_article = self._next_article, self._next_article + 1
        agent = sender == "agent"
        self.articles[ticket_id].append(
            {
                "ArticleID": article_id,
                "ArticleNumber": 1000 - article_id,  # in no order
                "TicketID": ticket_id,
                "SenderType": sender,
                "SenderTypeID": SENDERS[sender],
                "IsVisibleForCustomer": int(visible),
                "CommunicationChannelID": channel,
                "From": "Peter Meyer" if agent else '"Carla Customer" <carla@customer.test>',
                "To": "Support",
                "Cc": "",
                "Subject": "Re: Drucker",
                "Body": f"\n{text}\n\n",
                "ContentType": "text/plain; charset=utf8",
                "MessageID": "",
                "CreateTime": self.text(at),
                "CreateBy": AGENT if agent else ROOT,
                "ChangeTime": self.text(at),
                "IncomingTime": int(at.timestamp()),
                "TimeUnit": 0,
            }
            | fields
        )
        if agent:
            self.tickets[ticket_id]["Changed"] = self.text(at)
        self.note_history(ticket_id, at, "AddNote", article_id)
        return article_id

    def attach(self, article_id, name, kind="application/pdf", size=60, **fields):
        """Hang a file on an article. The HTML of a body is one too, named file-2."""
        (article,) = (one for articles in self.articles.values() for one in articles if one["ArticleID"] == article_id)
        files = article.setdefault("Attachment", [])
        files.append(
            {
                "FileID": str(len(files) + 1),
                "Filename": name,
                "ContentType": kind,
                "ContentID": "",
                "ContentAlternative": "",
                "Disposition": "attachment",
                "FilesizeRaw": str(size),
                "Content": "PHA+",
            }
            | fields
        )

    def change(self, ticket_id, at=None, *, state=None, **fields):
        """Change a ticket, with an entry in its history."""
        at = at or self.clock.now()
        if state:
            self._set_state(ticket_id, state)
        self.tickets[ticket_id] |= fields | {"Changed": self.text(at)}
        self.note_history(ticket_id, at, "StateUpdate")

    def merge(self, ticket_id, into, at=None):
        """Move the articles of a ticket to another one; what is left says so."""
        at = at or self.clock.now()
        moved, self.articles[ticket_id] = self.articles[ticket_id], []
        self.articles[into] = sorted(
            self.articles[into] + [one | {"TicketID": into} for one in moved], key=lambda one: one["ArticleID"]
        )
        self.write(ticket_id, "Merged.", at, sender="agent", channel=INTERNAL, Subject="Ticket Merged")
        self.change(ticket_id, at, state="merged")
        self.change(into, at)
        names = [f"{self.tickets[one]['TicketNumber']}/{one}" for one in (ticket_id, into)]
        self.note_history(ticket_id, at, "Merged", name=f"Merged Ticket ({names[0]}) to ({names[1]})")

    def delete(self, ticket_id):
        """Remove a ticket with all that it has."""
        del self.tickets[ticket_id], self.articles[ticket_id]
        self.history = [one for one in self.history if one["TicketID"] != str(ticket_id)]

    def note_history(self, ticket_id, at, kind, article_id=0, name=""):
        """Add an entry to the history of a ticket."""
        self.history.append(
            {
                "TicketID": str(ticket_id),
                "HistoryType": kind,
                "Name": name,
                "ArticleID": article_id,
                "CreateTime": self.text(at),
                "CreateBy": ROOT,
            }
        )

    def link(self, ticket_id):
        return f"{self.base_url}/index.pl?Action=AgentTicketZoom;TicketID={ticket_id}"

    def _set_state(self, ticket_id, state):
        state_id, kind = STATES[state]
        self.tickets[ticket_id] |= {"State": state, "StateID": state_id, "StateType": kind}

    # What it answers.

    async def answer(self, request, path):
        service = f"/nph-genericinterface.pl/Webservice/{self.web_service}"
        if not path.startswith("/nph-genericinterface.pl/"):
            return web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html")
        if not path.startswith(f"{service}/"):
            return web.Response(status=500)
        route = path.removeprefix(service)
        if (request.method, route) == ("POST", "/Session"):
            return self._open_session(await request.json())
        if request.method == "GET":
            name, _, rest = route.strip("/").partition("/")
            if name == "Ticket":
                return self._get(request, rest) if rest else self._search(request)
            if name == "TicketHistory" and rest and self.has_history_route:
                return self._get_history(request, rest)
        text = f"HTTP::REST Error while determine Operation for request URI '{route}'."
        return web.Response(status=500, text=text, content_type="text/plain")

    def _open_session(self, body):
        if (body.get("UserLogin"), body.get("Password")) != (self.user, self.password):
            return failed("SessionCreate.AuthFail", "SessionCreate: Authorization failing!")
        if len(self.sessions) >= self.most_sessions:
            return failed("SessionCreate.AuthFail", "Session limit reached! Please try again later.")
        self.sessions.append(f"session{len(self.sessions)}")
        return shuffled({"SessionID": self.sessions[-1]})

    def _is_signed_in(self, request):
        given = dict(request.query)
        if self.reads_headers:
            prefix = "X-OTRS-Header-"
            given |= {key[len(prefix) :]: one for key, one in request.headers.items() if key.startswith(prefix)}
        if given.get("SessionID"):
            return given["SessionID"] in self.sessions
        return (given.get("UserLogin"), given.get("Password")) == (self.user, self.password)

    def _search(self, request):
        if not self._is_signed_in(request):
            return failed("TicketSearch.AuthFail", "TicketSearch: Authorization failing!")
        query = request.query
        found = [one for one in self.tickets.values() if one["TicketID"] not in self.closed_to_us]
        if query.get("SearchInArchive") != "AllTickets":
            found = [one for one in found if one["ArchiveFlag"] == "n"]
        if "TicketNumber" in query:
            found = [one for one in found if one["TicketNumber"] == query["TicketNumber"]]
        for name in ("TicketChangeTimeNewerDate", "TicketLastChangeTimeNewerDate"):
            if name in query:
                found = self._since(found, name, query[name])
        found = self._sorted(found, query)
        limit = int(query.get("Limit", 500)) if self.heeds_limit else 500
        ids = [str(one["TicketID"]) for one in found[:limit]]
        if self.always_full and ids and limit > 1:
            ids = [ids[place % len(ids)] for place in range(limit)]
        return shuffled({"TicketID": ids} if ids else {})

    def _since(self, found, name, text):
        """Nothing is found from a time that is none, or that is still to come; what is meant is in its own zone."""
        is_time = re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)
        if self.searches_fail or not is_time or text > self.text(self.clock.now()):
            return []
        if name == "TicketLastChangeTimeNewerDate":
            return [one for one in found if one["Changed"] >= text]
        changed = {one["TicketID"] for one in self.history if one["CreateTime"] >= text}
        return [one for one in found if str(one["TicketID"]) in changed]

    @staticmethod
    def _sorted(found, query):
        """Newest ticket first unless asked for otherwise; those of one second by id, ascending."""
        key = {"Changed": "Changed", "Age": "Created"}[query.get("SortBy", "Age")]
        by_id = sorted(found, key=lambda one: one["TicketID"])
        return sorted(by_id, key=lambda one: one[key], reverse=query.get("OrderBy", "Down") == "Down")

    def _get(self, request, rest):
        if not self._is_signed_in(request):
            return failed("TicketGet.AuthFail", "TicketGet: Authorization failing!")
        ids = rest.split(",")
        if not all(one.isdecimal() and one[0] != "0" for one in ids):
            return failed("TicketGet.WrongStructure", "TicketGet: Invalid ticket ID parameter(s) found!")
        if any(int(one) not in self.tickets or int(one) in self.closed_to_us for one in ids):
            return failed("TicketGet.AccessDenied", "TicketGet: User does not have access to the ticket!")
        limit = int(request.query.get("ArticleLimit", 0))
        tickets = []
        for one in map(int, ids):
            articles = list(self.articles[one])
            limited = min(limit, len(articles))
            if limited:
                if request.query.get("ArticleOrder") == "DESC":  # without a limit the order is not heeded
                    articles.reverse()
                articles = articles[:limited]
                limit = limited if self.leaks_limit else limit
            tickets.append(self._ticket(one, articles, request.query))
        return shuffled({"Ticket": tickets})

    def _ticket(self, ticket_id, articles, query):
        ticket = self.tickets[ticket_id] | {"Age": int(self.clock.monotonic())}
        if query.get("AllArticles") == "1" and articles:
            ticket["Article"] = [self._article(one, query) for one in articles]
        return ticket

    def _article(self, article, query):
        files = article.get("Attachment", []) if query.get("Attachments") == "1" else []
        if query.get("HTMLBodyAsAttachment") != "1":
            files = [one for one in files if not one["Filename"].startswith("file-")]
        if query.get("GetAttachmentContents") == "0":
            files = [one | {"Content": ""} for one in files]
        return {key: one for key, one in article.items() if key != "Attachment"} | (
            {"Attachment": files} if files else {}
        )

    def _get_history(self, request, rest):
        if not self._is_signed_in(request):
            return failed("TicketHistoryGet.AuthFail", "TicketHistoryGet: Authorization failing!")
        if int(rest) not in self.tickets or int(rest) in self.closed_to_us:
            return failed("TicketHistoryGet.AccessDenied", "TicketHistoryGet: no access")
        entries = [one for one in self.history if one["TicketID"] == rest]
        return shuffled({"TicketHistory": [{"TicketID": rest, "History": entries}]})


def failed(code, message):
    """Return an error, which has status 200."""
    return shuffled({"Error": {"ErrorCode": code, "ErrorMessage": message}})


def shuffled(value):
    """Return a JSON answer whose keys are in any order."""
    return answer_json(_shuffled(value))


def _shuffled(value):
    if isinstance(value, list):
        return [_shuffled(one) for one in value]
    if isinstance(value, dict):
        pairs = list(value.items())
        random.shuffle(pairs)
        return {key: _shuffled(one) for key, one in pairs}
    return value


BERLIN, NEW_YORK, SYDNEY = map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Australia/Sydney"))


def ago(clock, **past):
    """Return the instant so long before now."""
    return clock.now() - timedelta(**past)
