"""A strict stand-in for one Salesforce organisation over HTTP, with the traps of the real one.

Its query language is in soql.py. It keeps time by the virtual clock; what it holds is changed by its methods.
"""

import re
from datetime import UTC, datetime, timedelta

from aiohttp import web

from tests.adapters.salesforce.soql import Malformed, Query
from tests.adapters.stand_in import HTML, StandIn, answer_json, refuse_surplus

API = "/services/data/v62.0"
CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "3MVG9.key-1", "app-secret-1", "5Aep.refresh-1"
LONGEST_ADDRESS = 16_384
TIMES = ("CreatedDate", "SystemModstamp", "LastModifiedDate", "MessageDate")
AGENT, CUSTOMER, MACHINE, ROUTER = (
    "005000000000001AAA",
    "005000000000002AAA",
    "005000000000003AAA",
    "005000000000004AAA",
)
QUEUE = "00G000000000001AAA"
PEOPLE = {
    AGENT: {"Name": "Änne Agent", "UserType": "Standard"},
    CUSTOMER: {"Name": "Carl Customer", "UserType": "CspLitePortal"},
    MACHINE: {"Name": "Automated Process", "UserType": "AutomatedProcess"},
    ROUTER: {"Name": "Case Router", "UserType": "Standard"},
    QUEUE: {"Name": "First Level"},
}
STAMPED = {"Id": "", "CreatedDate": None, "SystemModstamp": None, "LastModifiedDate": None, "IsDeleted": False}
BLANKS = {
    "Case": STAMPED
    | {"CaseNumber": "", "Subject": "Locker", "Description": None, "Status": "New", "IsClosed": False, "Origin": "Web"}
    | {"OwnerId": QUEUE, "MasterRecordId": None, "CreatedById": ROUTER},
    "EmailMessage": STAMPED
    | {"ParentId": None, "Subject": "Re: Locker", "TextBody": None, "HtmlBody": None, "FromName": "ACME Support"}
    | {"FromAddress": "support@acme.test", "ToAddress": "carl@mail.test", "CcAddress": None, "BccAddress": None}
    | {"Incoming": False, "Status": "3", "MessageDate": None, "IsPrivateDraft": False, "IsBounced": False}
    | {"IsExternallyVisible": False, "CreatedById": AGENT},
    "CaseComment": STAMPED | {"ParentId": None, "CommentBody": "", "IsPublished": True, "CreatedById": AGENT},
}
PREFIXES = {"Case": "500", "EmailMessage": "02s", "CaseComment": "00a"}
RELATIONS = {"Owner": "OwnerId", "CreatedBy": "CreatedById", "Parent": "ParentId"}


def long_id(short):
    """Return the 18 characters of an id of 15."""
    chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    groups = [short[0:5], short[5:10], short[10:15]]
    return short + "".join(chars[sum(2**i for i, c in enumerate(g) if "A" <= c <= "Z")] for g in groups)


class SalesforceStandIn(StandIn):
    """One organisation, read by the user of the app."""

    def __init__(self, clock):
        super().__init__(clock)
        self.page_size = 2000  # rows of a page at most; long texts make pages shorter
        self.tables = {kind: {} for kind in BLANKS}
        self.hidden = {}  # by object: fields that the user does not see; "*" hides the object
        self.invisible = set()  # cases that are not shared with the user: nothing tells that they are there
        self.tokens = set()
        self.view_all = True  # off: mails cannot be asked for without naming their case
        self.slow_above = None  # queries of more rows than this take too long
        self.quota_used_up = False
        self.stuck = False  # the next page of every page is that page itself
        self.tells_user = True
        self.forgets_ids = False  # rows of one second are not told apart by their ids
        self.lies_about_total = 0
        self.locators, self._numbers, self.width = {}, 1000, 8

    # What it holds.

    def add(self, kind, at=None, **fields):
        """Make a record; return its id."""
        at = at or self.clock.now()
        self._numbers += 1
        key = long_id(f"{PREFIXES[kind]}Ac0000{self._numbers:06x}")
        times = {"CreatedDate": at, "SystemModstamp": at, "LastModifiedDate": at}
        self.tables[kind][key] = BLANKS[kind] | times | {"Id": key} | fields
        return key

    def open_case(self, at=None, *, description="My locker does not open.", **fields):
        """Make a case as a form on the web does."""
        number = str(self._numbers + 1).zfill(self.width)
        return self.add("Case", at, **({"Description": description, "CaseNumber": number} | fields))

    def open_by_mail(self, at=None, *, text="My locker does not open.", origin="Email", after=0, **fields):
        """Make a case as Email-to-Case does, with its mail; return both ids."""
        at = at or self.clock.now()
        case_id = self.open_case(at, description=text, Origin=origin, SuppliedEmail="carl@mail.test")
        mail = self.mail(case_id, text, at + timedelta(seconds=after), incoming=True, **fields)
        return case_id, mail

    def mail(self, case_id, text, at=None, *, incoming=False, **fields):
        """Make a mail on a case."""
        at = at or self.clock.now()
        if incoming:
            outside = {"FromName": "Carl", "FromAddress": "carl@mail.test", "ToAddress": "support@acme.test"}
            fields = outside | {"Incoming": True, "Status": "0", "CreatedById": ROUTER} | fields
        return self.add("EmailMessage", at, ParentId=case_id, **({"TextBody": text, "MessageDate": at} | fields))

    def comment(self, case_id, text, at=None, **fields):
        """Write a comment on a case."""
        return self.add("CaseComment", at, ParentId=case_id, CommentBody=text, **fields)

    def change(self, kind, key, **fields):
        """Change a record now, which stamps it."""
        now = self.clock.now()
        self.tables[kind][key] |= {"SystemModstamp": now, "LastModifiedDate": now} | fields

    def merge(self, loser, winner, *, keeps=False, stamps=True):
        """Merge a case into another: its mails and comments move, without a word in them."""
        for kind in ("EmailMessage", "CaseComment"):
            for key, row in self.tables[kind].items():
                if row["ParentId"] == loser:
                    self.change(kind, key, ParentId=winner) if stamps else row.update(ParentId=winner)
        self.change("Case", loser, MasterRecordId=winner, IsDeleted=not keeps, Status="Closed", IsClosed=True)

    def purge(self, kind, key):
        """Empty the recycle bin of a record."""
        del self.tables[kind][key]

    def number(self, case_id):
        return self.tables["Case"][case_id]["CaseNumber"]

    # How it answers.

    async def answer(self, request, path):
        if len(request.raw_path) > LONGEST_ADDRESS:
            return web.Response(status=414, text=HTML, content_type="text/html")
        if path == "/services/oauth2/token":
            return self._token(await request.post()) if request.method == "POST" else refusal(404, "NOT_FOUND")
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return refusal(401, "INVALID_SESSION_ID")
        if self.quota_used_up:
            return refusal(403, "REQUEST_LIMIT_EXCEEDED")
        return self._user() if path == "/services/oauth2/userinfo" else self._data(request, path)

    def _user(self):
        if not self.tells_user:
            return web.Response(status=403, text="Missing_OAuth_Token", content_type="text/html")
        return answer_json({"sub": "x", "user_id": AGENT, "preferred_username": "syncd@acme.test"})

    def _data(self, request, path):
        known = {"q"} if path == f"{API}/queryAll" else set()
        surplus = refuse_surplus(request.query, known)
        if surplus:
            return surplus
        if path == f"{API}/limits/":
            return answer_json({"DailyApiRequests": {"Max": 15000, "Remaining": 14976}, "SingleEmail": {"Max": 15}})
        if path == f"{API}/queryAll":
            return self._query(request.query["q"])
        kind = path.removeprefix(f"{API}/sobjects/").removesuffix("/describe")
        if kind in self.tables and not self._hides(kind, "*"):
            fields = [{"name": name, "type": "string"} for name in BLANKS[kind] if not self._hides(kind, name)]
            return answer_json({"name": kind, "queryable": True, "fields": fields})
        if path.startswith(f"{API}/query/"):
            return self._page(path.rsplit("/", 1)[1])
        return refusal(404, "NOT_FOUND")

    def _token(self, form):
        grant = form.get("grant_type")
        good = form.get("client_id") == CLIENT_ID and form.get("client_secret") == CLIENT_SECRET
        if grant == "refresh_token":
            good = good and form.get("refresh_token") == REFRESH_TOKEN
        elif grant != "client_credentials":
            return answer_json(
                {"error": "unsupported_grant_type", "error_description": "grant type not supported"}, 400
            )
        if not good:
            return answer_json({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)
        token = f"00DAc!token.{len(self.tokens)}"
        self.tokens.add(token)
        other = {"instance_url": "https://elsewhere.test", "token_type": "Bearer", "issued_at": "1790000000000"}
        return answer_json({"access_token": token, **other})  # no expires_in

    def _query(self, soql):
        try:
            query = Query(re.sub(r"Id > '\w+'", "Id > ''", soql) if self.forgets_ids else soql, self._value)
            rows = self._rows(query, soql)
        except Malformed as error:
            return refusal(400, error.code)
        name = f"0r8xx{len(self.locators):03}"
        self.locators[name] = [self._render(query, row) for row in rows]
        return self._page(f"{name}-0")

    def _rows(self, query, soql):
        if query.kind not in self.tables or self._hides(query.kind, "*"):
            raise Malformed("INVALID_TYPE")
        for name in query.fields:
            self._require(query.kind, name)
        if query.kind == "EmailMessage" and not self.view_all and "ParentId =" not in soql:
            raise Malformed("OPERATION_TOO_LARGE")
        if self.slow_above is not None and (query.limit or 0) > self.slow_above:
            raise Malformed("QUERY_TIMEOUT")
        return query.run(row for row in self.tables[query.kind].values() if self._shares(query.kind, row))

    def _page(self, locator):
        name, _, start = locator.rpartition("-")
        if name not in self.locators:
            return refusal(400, "INVALID_QUERY_LOCATOR")
        records, begin = self.locators[name], int(start)
        end = begin + self.page_size
        body = {"totalSize": len(records) + self.lies_about_total, "done": end >= len(records)}
        if self.stuck:
            body |= {"done": False, "nextRecordsUrl": f"{API}/query/{locator}"}
        elif end < len(records):
            body["nextRecordsUrl"] = f"{API}/query/{name}-{end}"
        return answer_json(body | {"records": records[begin:end]}, headers={"Sforce-Limit-Info": "api-usage=24/15000"})

    def _hides(self, kind, name):
        return name in self.hidden.get(kind, ())

    def _shares(self, kind, row):
        return row["Id" if kind == "Case" else "ParentId"] not in self.invisible

    def _require(self, kind, name):
        relation, dot, _ = name.partition(".")
        base = RELATIONS.get(relation) if dot else name
        if base not in BLANKS[kind] or self._hides(kind, base):
            raise Malformed("INVALID_FIELD", name)

    def _value(self, row, name):
        if name not in row:
            raise Malformed("INVALID_FIELD", name)
        value = row[name]
        return whole_second(value) if isinstance(value, datetime) else value

    def _render(self, query, row):
        shown = {"attributes": {"type": query.kind, "url": f"{API}/sobjects/{query.kind}/{row['Id']}"}}
        for name in query.fields:
            relation, dot, inner = name.partition(".")
            if not dot:
                shown[name] = stamp(row[name])
                continue
            key = row[RELATIONS[relation]]
            other = self.tables["Case"].get(key) if relation == "Parent" else PEOPLE.get(key)
            if other is None or key in self.invisible:
                shown[relation] = None
                continue
            shown.setdefault(relation, {"attributes": {"type": "Name"}})[inner] = stamp(other.get(inner))
        return shown


def whole_second(at):
    """Return the second that an instant is in: Salesforce stamps no finer."""
    return at.replace(microsecond=0)


def stamp(value):
    """Return a value as Salesforce writes it: instants end in +0000, without a colon."""
    return (
        whole_second(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        if isinstance(value, datetime)
        else value
    )


def refusal(status, code):
    """Return an error as Salesforce answers it: a list of objects."""
    return answer_json([{"message": f"about {code.lower()}", "errorCode": code}], status)
