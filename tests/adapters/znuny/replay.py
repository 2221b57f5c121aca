"""A server that plays the recorded answers of a running OTOBO, beside this file in `recorded`."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from tests.adapters.stand_in import StandIn

RECORDED = Path(__file__).with_name("recorded")
SERVICE = "/nph-genericinterface.pl/Webservice/GenericTicketConnectorREST"
USER, PASSWORD = "peter.meyer", "peter.meyer-pass1"
SIGNED_IN = {"SessionID", "UserLogin", "Password"}


class Recording:
    """One answer as it came: status, type and body, and what was asked."""

    def __init__(self, name, status, method, address):
        parts = urlsplit(address)
        self.name, self.status, self.method, self.path = name, int(status), method, parts.path
        self.query = dict(parse_qsl(parts.query))
        self.body = (RECORDED / f"{name}.json").read_bytes()
        lines = (RECORDED / f"{name}.headers.txt").read_text().splitlines()
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        self.content_type = headers.get("Content-Type", "").partition(";")[0]

    def answer(self):
        """Return it as an answer."""
        kind = {"content_type": self.content_type} if self.content_type else {}
        return web.Response(status=self.status, body=self.body, **kind)


CALLS = [line.split("\t") for line in (RECORDED / "calls.tsv").read_text().splitlines()]
RECORDINGS = {name: Recording(name, status, method, address) for name, status, method, address, _ in CALLS}


class Replay(StandIn):
    """Plays the recordings that a test names, to who is signed in as they were recorded.

    A request is answered by the recording of the same method and path that asks for the same ticket number or time.
    What else is asked changes how much an answer holds and not what it looks like: there a test names one recording
    for each path. Several tickets at once that were not recorded so are put together from their own recordings; a
    ticket that the test names no recording of does not exist, which fails them all.
    """

    prefix = "/otobo"

    def __init__(self, clock, *names):
        super().__init__(clock)
        self.named = [RECORDINGS[name] for name in names]
        self.session = json.loads(RECORDINGS["session_create"].body)["SessionID"]

    def play_next(self, *names):
        """Let the next requests be answered by these, whatever they ask."""
        for name in names:
            one = RECORDINGS[name]
            self.next_answers.append((one.status, {}, one.body.decode(), one.content_type))

    async def answer(self, request, path):
        route = path.removeprefix(SERVICE)
        if (request.method, route) == ("POST", "/Session"):
            signed = await request.json() == {"UserLogin": USER, "Password": PASSWORD}
            return RECORDINGS["session_create" if signed else "session_create_bad"].answer()
        if refusal := self._refusal(request):
            return RECORDINGS[refusal].answer()
        found = self._find(request.method, route, request.query) or self._put_together(route)
        return found if isinstance(found, web.Response) else found.answer()

    def _refusal(self, request):
        query = request.query
        if "SessionID" in query:
            return None if query["SessionID"] == self.session else "error_bad_session"
        if "UserLogin" in query:
            return None if (query["UserLogin"], query.get("Password")) == (USER, PASSWORD) else "error_bad_password"
        return "error_none"

    def _find(self, method, route, query):
        for one in self.named:
            if (one.method, one.path) == (method, route) and _telling(one.query) == _telling(query):
                return one
        return None

    def _put_together(self, route):
        singles = [self._find("GET", f"/Ticket/{key}", {}) for key in route.removeprefix("/Ticket/").split(",")]
        if not all(singles):
            return RECORDINGS["ticket_404"].answer()
        tickets = [ticket for one in singles for ticket in json.loads(one.body)["Ticket"]]
        return web.json_response({"Ticket": tickets})


def _telling(query):
    """Return what of a query decides which tickets are found: their number, or the time since they changed."""
    since = next((value for key, value in query.items() if key.endswith("ChangeTimeNewerDate")), None)
    return query.get("TicketNumber"), since
