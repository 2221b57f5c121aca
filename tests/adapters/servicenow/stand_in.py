"""A strict stand-in for one ServiceNow instance over HTTP, with the traps of the real one.

It reads encoded queries as ServiceNow does: a part that it does not understand is left out without a word. Rows are cut
to the limit before those are left out that the account may not see. A table without a read ACL is empty, not refused.
"""

import re
from base64 import b64decode
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from tests.adapters.stand_in import HTML, StandIn, answer_json

API = "/api/now/v2/table/"
PARAMETERS = {
    *("sysparm_query", "sysparm_fields", "sysparm_limit", "sysparm_offset"),
    *("sysparm_display_value", "sysparm_exclude_reference_link"),
}
TIMES = {"sys_created_on", "sys_updated_on"}
REFERENCES = {
    **dict.fromkeys(("caller_id", "assigned_to", "contact", "opened_by", "user"), "sys_user"),
    "consumer": "csm_consumer",
    "role": "sys_user_role",
}
_TICKET = {
    *("sys_id", "number", "short_description", "description", "state", "active", "contact_type", "sys_class_name"),
    *("sys_created_on", "sys_created_by", "sys_updated_on", "assigned_to", "opened_by", "comments", "work_notes"),
}
COLUMNS = {
    "incident": _TICKET | {"caller_id"},
    "sn_customerservice_case": _TICKET | {"contact", "consumer"},
    "problem": _TICKET,
    "sys_journal_field": {"sys_id", "name", "element", "element_id", "value", "sys_created_on", "sys_created_by"},
    "sys_user": {"sys_id", "user_name", "name", "sys_class_name", "time_zone"},
    "sys_user_role": {"sys_id", "name"},
    "sys_user_has_role": {"sys_id", "user", "role"},
    "csm_consumer": {"sys_id", "name", "user"},
}
_PART = re.compile(r"([a-z_.]+)(>=|<=|!=|=|IN)(.*)", re.DOTALL)


class ServiceNowStandIn(StandIn):
    """One instance with tickets of `table`."""

    login, password, api_key = "syncd", "password-1", "api-key-1"
    client_id, client_secret = "client-1", "client-secret-1"

    def __init__(self, clock, table="incident"):
        super().__init__(clock)
        self.table = table
        self.tables = {name: {} for name in COLUMNS}
        self.most_rows = 10_000  # of a page, whatever is asked
        self.closed = set()  # tables without a read ACL
        self.forbidden = set()  # tables that are answered with 403
        self.hidden = set()  # rows that the account may not see
        self.ignored = set()  # fields that queries do not know, so that their parts are left out
        self.query_zone = UTC  # in which times in queries are read
        self.display_zone, self.display_form = UTC, "%Y-%m-%d %H:%M:%S"
        self.header_form = "{at} - {name} ({label})"
        self.labels = {"comments": "Additional comments", "work_notes": "Work notes"}
        self.has_links, self.has_totals, self.bare_links, self.is_stuck = True, True, False, False
        self.heeds_offset = True
        self.evaluates_scripts = True
        self.tokens = {}  # token -> end
        self.grants = []
        self._count = 0
        self.roles = {name: self._add("sys_user_role", name=name) for name in ("itil", "snc_internal")}
        self.account = self.add_user(self.login, "Sync Account")
        self.agent = self.add_user("anna.agent", "Anna Agent", roles=["itil", "snc_internal"])
        self.customer = self.add_user("carl.customer", "Carl Customer", roles=["snc_internal"])
        self.guest = self.add_user("guest", "Guest")

    # What the instance holds.

    def add_user(self, login, name, roles=(), kind="sys_user"):
        """Add a user; return the sys_id."""
        user = self._add("sys_user", user_name=login, name=name, sys_class_name=kind, time_zone="GMT")
        for role in roles:
            self._add("sys_user_has_role", user=user, role=self.roles[role])
        return user

    def open_ticket(self, at=None, *, text="It does not work.", caller="customer", **fields):
        """Make a ticket; return the sys_id. Its description is no row of the journal."""
        at = stamp(at or self.clock.now())
        prefix = {"incident": "INC", "sn_customerservice_case": "CS"}.get(self.table, "PRB")
        customer = {"incident": "caller_id", "sn_customerservice_case": "contact"}.get(self.table, "opened_by")
        plain = dict.fromkeys(COLUMNS[self.table], "") | {
            "number": f"{prefix}{1000 + self._count:07}",
            "short_description": "Printer",
            "description": text,
            "state": "1",
            "active": "true",
            "contact_type": "email",
            "sys_class_name": self.table,
            "sys_created_on": at,
            "sys_updated_on": at,
            "sys_created_by": "carl.customer",
            customer: getattr(self, caller) if caller else "",
        }
        del plain["sys_id"]
        return self._add(self.table, **{**plain, **fields})

    def write(self, ticket, text, login="anna.agent", at=None, *, element="comments", touches=True, **fields):
        """Add a comment or work note; return its sys_id."""
        at = stamp(at or self.clock.now())
        row = {"name": self.table, "element": element, "element_id": ticket, "value": text}
        written = {"sys_created_on": at, "sys_created_by": login}
        entry = self._add("sys_journal_field", **{**row, **written, **fields})
        if touches:
            ticket_row = self.tables[self.table][ticket]
            ticket_row["sys_updated_on"] = max(ticket_row["sys_updated_on"], at)
        return entry

    def change(self, ticket, at=None, **fields):
        """Change fields of a ticket."""
        self.tables[self.table][ticket] |= {**fields, "sys_updated_on": stamp(at or self.clock.now())}

    def delete(self, ticket):
        """Delete a ticket; rows of its journal stay, as those of archived tickets do."""
        del self.tables[self.table][ticket]

    def number_of(self, ticket):
        return self.tables[self.table][ticket]["number"]

    def link_of(self, ticket):
        return f"{self.base_url}/nav_to.do?uri=%2F{self.table}.do%3Fsys_id%3D{ticket}%26sysparm_view%3Dess"

    def _add(self, table, **fields):
        self._count += 1
        sys_id = md5(str(self._count).encode()).hexdigest()
        self.tables[table][sys_id] = {"sys_id": sys_id, **fields}
        return sys_id

    # How it answers.

    async def answer(self, request, path):
        """Answer, and say when by the instance's clock."""
        response = await self._answer(request, path)
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
        return response

    async def _answer(self, request, path):
        """Answer a request for a token, a list, or one record."""
        if path == "/oauth_token.do" and request.method == "POST":
            return self._give_token(dict(await request.post()))
        table, _, sys_id = path.removeprefix(API).partition("/")
        refusal = self._refusal(request, path, table)
        return refusal or (self._one(table, sys_id, request.query) if sys_id else self._list(table, request))

    def _refusal(self, request, path, table):
        """Return the answer to who may not read, or asks for what is not there, or None."""
        refused, headers = None, {}
        if "application/json" not in request.headers.get("Accept", ""):
            refused = 406, "Requested response type is not supported"
        elif not self._is_known(request.headers):
            refused, headers = (401, "User Not Authenticated"), {"WWW-Authenticate": 'BASIC realm="Service-now"'}
        elif request.method != "GET" or not path.startswith(API):
            refused = 400, "Requested URI does not represent any resource"
        elif set(request.query) - PARAMETERS:
            refused = 400, f"unknown parameters {sorted(set(request.query) - PARAMETERS)}"
        elif table not in COLUMNS:
            refused = 400, f"Invalid table {table}"
        elif table in self.forbidden:
            refused = 403, "User Not Authorized"
        return refused and error(*refused, headers)

    def _give_token(self, form):
        wanted = {"client_id": self.client_id, "client_secret": self.client_secret}
        if form.get("grant_type") == "password":
            wanted |= {"grant_type": "password", "username": self.login, "password": self.password}
        else:
            wanted |= {"grant_type": "client_credentials"}
        if form != wanted:
            return answer_json({"error": "server_error", "error_description": "access_denied"}, 401)
        self.grants.append(form["grant_type"])
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = self.clock.monotonic() + 1799
        return answer_json({"access_token": token, "scope": "useraccount", "token_type": "Bearer", "expires_in": 1799})

    def _is_known(self, headers):
        if "x-sn-apikey" in headers:
            return headers["x-sn-apikey"] == self.api_key
        scheme, _, secret = headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            return b64decode(secret).decode() == f"{self.login}:{self.password}"
        return scheme == "Bearer" and self.clock.monotonic() < self.tokens.get(secret, 0)

    def _one(self, table, sys_id, query):
        row = self.tables[table].get(sys_id)
        if row is None or sys_id in self.hidden or table in self.closed:
            return error(404, "No Record found")
        return answer_json({"result": self._shown(table, row, query)})

    def _list(self, table, request):
        query = request.query
        rows = self._found(table, query.get("sysparm_query", ""))
        limit = min(int(query.get("sysparm_limit", 10_000)), self.most_rows)
        offset = int(query.get("sysparm_offset", 0)) if self.heeds_offset else 0
        cut = rows[offset : offset + limit]
        allowed = [row for row in cut if row["sys_id"] not in self.hidden and table not in self.closed]
        headers = {"X-Total-Count": str(len(rows))} if self.has_totals else {}
        headers |= self._links(request, offset, limit, len(rows)) if self.has_links else {}
        return answer_json({"result": [self._shown(table, row, query) for row in allowed]}, headers=headers)

    def _links(self, request, offset, limit, total):
        """Return the header Link; the address in it is that of a host that only the instance knows."""
        places = {"first": 0, "prev": offset - limit, "next": offset + limit, "last": total - 1 - (total - 1) % limit}
        if self.is_stuck:
            places["next"] = offset
        if offset == 0:
            del places["prev"]
        if places["next"] >= total and not self.is_stuck:
            del places["next"]
        links = []
        for relation, place in places.items():
            query = {**request.query, "sysparm_offset": str(place)}
            text = "&".join(f"{k}={v}" for k, v in query.items()) if self.bare_links else urlencode(query)
            links.append(f'<https://inside.example{request.path}?{text}>;rel="{relation}"')
        return {"Link": ",".join(links)} if total > limit or self.is_stuck else {}

    # How it reads queries.

    def _found(self, table, text):
        rows, order = list(self.tables[table].values()), []
        for part in filter(None, text.split("^")):
            if part.startswith("ORDERBY"):
                order.append((part.removeprefix("ORDERBYDESC").removeprefix("ORDERBY"), "ORDERBYDESC" in part))
                continue
            match = _PART.fullmatch(part)
            if match and match[1] not in self.ignored and self._has_column(table, match[1]):
                rows = [row for row in rows if self._fits(table, row, *match.groups())]
        for field, descending in reversed(order):
            if field not in self.ignored and self._has_column(table, field):
                rows.sort(key=lambda row: self._value(table, row, field), reverse=descending)
        return rows

    def _has_column(self, table, path):
        return path.partition(".")[0] in COLUMNS[table]

    def _fits(self, table, row, field, operator, operand):
        value = self._value(table, row, field)
        if field in TIMES:
            literal = datetime.fromisoformat(operand).replace(tzinfo=self.query_zone)
            operand = stamp(literal)
        if operand == "javascript:gs.getUserName()":
            if not self.evaluates_scripts:
                return True
            operand = self.login
        if operator == "IN":
            return value.lower() in operand.lower().split(",")
        comparisons = {"=": value.lower() == operand.lower(), ">=": value >= operand, "<=": value <= operand}
        return comparisons.get(operator, value != operand)

    def _value(self, table, row, path):
        field, _, rest = path.partition(".")
        value = row.get(field, "")
        if not rest:
            return value
        target = REFERENCES.get(field)
        if target is None or target in self.closed or value not in self.tables[target]:
            return ""
        return self._value(target, self.tables[target][value], rest)

    def _shown(self, table, row, query):
        """Return a row as it is asked for: unknown fields are left out, journals are empty unless displayed."""
        display = query.get("sysparm_display_value", "false")
        shown = {}
        for path in query["sysparm_fields"].split(",") if "sysparm_fields" in query else COLUMNS[table]:
            if not self._has_column(table, path):
                continue
            value = self._value(table, row, path)
            if display == "all":
                shown[path] = {"value": value, "display_value": self._displayed(row, path, value)}
            elif path in REFERENCES and value and query.get("sysparm_exclude_reference_link") != "true":
                shown[path] = {"link": f"https://inside.example{API}{REFERENCES[path]}/{value}", "value": value}
            else:
                shown[path] = value
        return shown

    def _displayed(self, row, path, value):
        if path in self.labels:
            return self._journal_text(row["sys_id"], path)
        return self._local(value) if path in TIMES else value

    def _local(self, text):
        return parse_stamp(text).astimezone(self.display_zone).strftime(self.display_form)

    def _journal_text(self, ticket, element):
        """Return a journal as one text, newest first."""
        rows = reversed(self.tables["sys_journal_field"].values())
        entries = [row for row in rows if (row["element_id"], row["element"]) == (ticket, element)]
        entries.sort(key=lambda row: row["sys_created_on"], reverse=True)
        names = {user["user_name"]: user["name"] for user in self.tables["sys_user"].values()}
        texts = []
        for row in entries:
            name = names.get(row["sys_created_by"], row["sys_created_by"])
            label = self.labels[element]
            header = self.header_form.format(at=self._local(row["sys_created_on"]), name=name, label=label)
            texts.append(f"{header}\n{row['value']}\n\n")
        return "".join(texts)


def stamp(instant):
    """Return an instant as ServiceNow stores it: UTC, whole seconds, no zone."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def error(status, message, headers=None):
    """Return an error as ServiceNow words it."""
    return answer_json({"error": {"message": message, "detail": ""}, "status": "failure"}, status, headers)


def parse_stamp(text):
    """Return the instant of such a text."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BERLIN, CHICAGO = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Chicago")
HIBERNATING = (200, {}, HTML.replace("Sign in", "Instance Hibernating page"), "text/html")
