"""A strict stand-in for one Request Tracker 5 over REST 2, with the traps of the real one.

It refuses parameters and paths that RT does not have, keeps time by the virtual clock, and lists what it was asked.
What it holds is changed by calling its methods. `most_rows` makes its pages smaller than RT's.
"""

import asyncio
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from tests.adapters.request_tracker.query import BadQuery, by_json, by_sql

INTERNAL = "http://rt.internal.test"
PARAMETERS = {"query", "fields", "fields[Creator]", "fields[Owner]", "orderby", "order", "per_page", "page"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Account:
    """A user with a token."""

    id: int
    login: str
    real_name: str = ""
    privileged: int = 0
    queues: frozenset = frozenset()
    comments: bool = False
    mails: bool = False
    root: bool = False
    zone: str = "UTC"


@dataclass
class StoredTicket:
    """A ticket. `effective_id` is that of the ticket it was merged into."""

    id: int
    queue: str
    subject: str
    effective_id: int
    status: str = "new"
    owner: str = "Nobody"
    updated_at: datetime = EPOCH


@dataclass
class Row:
    """A transaction."""

    id: int
    type: str
    ticket: int
    creator: str
    at: datetime
    field: str = ""


@dataclass
class Node:
    """A part of a message; `listed_content` tells whether lists have its content."""

    id: int
    transaction: int
    content_type: str
    content: bytes
    filename: str = ""
    headers: str = ""
    subject: str = ""
    parent: int = 0
    listed_content: bool = True


class RequestTrackerStandIn:
    """One server on a loopback port."""

    def __init__(self, clock):
        self.clock = clock
        self.most_rows = 100
        self.stuck = False
        self.next_answers = deque()
        self.asked = []
        agents = frozenset({"Support"})
        self.accounts = {
            "1-37-reader": Account(37, "syncd", "syncd", 1, agents, comments=True),
            "1-35-agent": Account(35, "peter.meyer", "Peter Meyer", 1, agents, comments=True, mails=True),
            "1-39-customer": Account(39, "carla.customer", "Carla Customer", 0, agents),
            "1-14-root": Account(14, "root", "Enoch Root", 1, frozenset({"Support", "Billing"}), True, True, root=True),
        }
        self.users = {account.login: account for account in self.accounts.values()}
        self.users["RT_System"] = Account(1, "RT_System", "The RT System itself")
        self.users["Nobody"] = Account(6, "Nobody", "Nobody in particular")
        self.queues = ["General", "Billing", "Support"]
        self.tickets, self.rows, self.nodes = {}, [], []
        self._last_id = 40

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    # What happens at the helpdesk.

    def create_ticket(self, subject, text, at=None, queue="Support", by="carla.customer", **part):
        """Open a ticket; return its id and the id of its first message."""
        key = len(self.tickets) + 1
        self.tickets[key] = StoredTicket(key, queue, subject, key)
        return key, self.write(key, text, by, at, "Create", subject=subject, **part)

    def write(self, ticket, text, by="peter.meyer", at=None, kind="Correspond", row_id=None, **part):
        """Add a message with one text; RT then mails it and keeps a copy of the mail. Return the transaction's id."""
        key = self.add_row(kind, ticket, by, at, row_id=row_id)
        if text is not None:
            part = {"headers": "X-RT-Interface: Web", "content_type": "text/plain", **part}
            self.add_part(key, text, **part)
        copy = self.add_row("CommentEmailRecord" if kind == "Comment" else "EmailRecord", ticket, "RT_System", at)
        self.add_part(copy, text or "", "text/plain")
        return key

    def add_part(self, transaction, content, content_type, **more):
        """Add a part to a message and return its id."""
        data = content if isinstance(content, bytes) else content.encode()
        self.nodes.append(Node(len(self.nodes) + 1, transaction, content_type, data, **more))
        return len(self.nodes)

    def add_row(self, kind, ticket, by="RT_System", at=None, changed="", row_id=None):
        """Add a transaction. With an id of its own it appears as if committed late."""
        at = (at or self.clock.now()).replace(microsecond=0)
        self._last_id = max(self._last_id + 1, row_id or 0)
        self.rows.append(Row(row_id or self._last_id, kind, ticket, by, at, changed))
        self.tickets[ticket].updated_at = at
        return self.rows[-1].id

    def set_status(self, ticket, status, at=None):
        """Change the status of a ticket."""
        self.tickets[ticket].status = status
        return self.add_row("Status", ticket, "peter.meyer", at, "Status")

    def merge(self, source, target):
        """Merge a ticket into another."""
        for key in (source, target):
            self.add_row("AddLink", key, "root", changed="MergedInto")
        self.tickets[source].effective_id = target

    # What REST 2 makes of it.

    async def _answer(self, request):
        self.asked.append(request.rel_url)
        if self.next_answers:
            answer = self.next_answers.popleft()
            if answer == "hang":
                await asyncio.Event().wait()
            return web.Response(status=answer[0], headers=answer[1], body=answer[2], content_type=answer[3])
        return self._refusal(request) or self._answer_signed(request)

    def _refusal(self, request):
        if "Cookie" in request.headers or "Mozilla" in request.headers.get("User-Agent", ""):
            return web.Response(status=302, headers={"Location": f"{INTERNAL}/"})
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        self.account = self.accounts.get(token) if scheme == "token" else None
        return None if self.account else self._json(401, {"message": "Unauthorized"})

    def _answer_signed(self, request):
        unknown = set(request.query) - PARAMETERS
        if unknown or request.method != "GET":
            return self._json(500, {"message": f"the stand-in does not know {unknown or request.method}"})
        try:
            return self._json(*self._resource(request))
        except BadQuery as bad:
            return self._json(400, {"message": str(bad)})
        except AttributeError as undefined:
            return self._json(500, {"message": str(undefined)})

    def _json(self, status, body):
        headers = {"Date": format_datetime(self.clock.now(), usegmt=True)}
        return web.json_response(body, status=status, headers=headers)

    def _resource(self, request):
        match request.path.removeprefix("/REST/2.0/").split("/"):
            case ["rt"]:
                answer = 200, {"Version": "5.0.3+stand-in"}
            case ["user", name]:
                answer = self._user(name)
            case ["queues", "all"]:
                answer = self._list(request, "queue", self.queues, lambda name: name in self.account.queues)
            case ["queue", name]:
                answer = (200, {"Name": name}) if name in self.account.queues else (404, {"message": "Not Found"})
            case ["tickets"]:
                answer = self._list(request, "ticket", self._searched_tickets(request), self._sees_ticket)
            case ["transactions"]:
                answer = self._list(request, "transaction", self._searched_rows(request), self._sees_row)
            case ["ticket", key]:
                answer = self._ticket(key)
            case ["ticket", key, "history"]:
                answer = self._list(request, "transaction", self._history(request, int(key)), self._sees_row)
            case ["ticket", key, "attachments"]:
                answer = self._list(request, "attachment", self._attachments(request, int(key)), self._sees_node)
            case ["attachment", key]:
                answer = self._attachment(int(key))
            case _:
                answer = 404, {"message": "Not Found"}
        return answer

    def _user(self, name):
        found = [user for user in self.users.values() if (str(user.id) if name.isdigit() else user.login) == name]
        if not found:
            return 404, {"message": "Not Found"}
        (user,) = found
        if not self.account.privileged and user is not self.account:
            return 403, {"message": "Forbidden"}
        record = {"Name": user.login, "RealName": user.real_name, "Privileged": user.privileged, "EmailAddress": ""}
        return 200, {**record, "id": user.id} if user is self.account else record

    def _ticket(self, key):
        stored = self.tickets.get(int(key))
        if stored is None:
            return 404, {"message": "Not Found"}
        stored = self.tickets[stored.effective_id]
        if not self._sees_ticket(stored):
            return 403, {"message": "Forbidden"}
        owner = self._expand(stored.owner, ["Name", "RealName"])
        record = {"id": stored.id, "Status": stored.status, "Subject": stored.subject, "Owner": owner, "Type": "ticket"}
        return 200, {**record, "LastUpdated": _text(stored.updated_at), "Resolved": _text(EPOCH)}

    def _attachment(self, key):
        node = next((node for node in self.nodes if node.id == key), None)
        if node is None or not self._sees_node(node):
            return 404, {"message": "Not Found"}
        return 200, {"id": key, "TransactionId": {"id": node.transaction}, "Content": b64encode(node.content).decode()}

    def _sees_ticket(self, stored):
        return stored.queue in self.account.queues

    def _sees_row(self, row):
        hidden = row.type.startswith("Comment") and not self.account.comments
        hidden = hidden or (row.type.endswith("EmailRecord") and not self.account.mails)
        return self._sees_ticket(self.tickets[row.ticket]) and not hidden

    def _sees_node(self, node):
        return self._sees_row(next(row for row in self.rows if row.id == node.transaction))

    def _searched_tickets(self, request):
        fields = {"id": lambda stored: stored.id, "LastUpdated": lambda stored: stored.updated_at}
        fits = by_sql(request.query["query"], fields, ZoneInfo(self.account.zone))
        shown = [stored for stored in self.tickets.values() if fits(stored) and self._sees_ticket(stored)]
        return [stored for stored in shown if stored.status != "deleted" and stored.effective_id == stored.id]

    def _searched_rows(self, request):
        fields = {
            "ObjectType": lambda _: "RT::Ticket",
            "id": lambda row: row.id,
            "Type": lambda row: row.type,
            "Field": lambda row: row.field,
            "Created": lambda row: row.at,
            "TicketQueue": lambda row: self.tickets[row.ticket].queue,
        }
        return list(filter(by_sql(request.query["query"], fields, ZoneInfo(self.account.zone)), self.rows))

    def _history(self, request, key):
        stored = self.tickets.get(key)
        rows = [row for row in self.rows if stored and self.tickets[row.ticket].effective_id == stored.effective_id]
        fields = {"Type": lambda row: row.type, "id": lambda row: row.id}
        return list(filter(by_json(request.query.get("query", "[]"), fields), rows)) if request else rows

    def _attachments(self, request, key):
        rows = {row.id for row in self._history(None, key)}
        fields = {"TransactionId": lambda node: node.transaction, "id": lambda node: node.id}
        fits = by_json(request.query.get("query", "[]"), fields)
        found = [node for node in self.nodes if node.transaction in rows and fits(node)]
        return [node for node in found if node.listed_content or "Content" not in request.query["fields"].split(",")]

    def _list(self, request, kind, rows, visible):
        wanted = [name for name in request.query.get("fields", "").split(",") if name]
        if request.query.get("orderby") == "id" and kind != "queue":
            rows = sorted(rows, key=lambda row: row.id, reverse=request.query.get("order") == "DESC")
        size = min(int(request.query.get("per_page", 20)), self.most_rows)
        page, total = int(request.query.get("page", 1)), None
        if kind == "ticket" or self.account.root:
            total = len(rows)
            page = max(1, min(page, -(-total // size)))
        start = 0 if self.stuck else (page - 1) * size
        items = [self._item(kind, row, wanted, request) for row in rows[start : start + size] if visible(row)]
        body = {"items": items, "count": len(items), "page": page, "per_page": size, "total": total, "pages": None}
        if total is not None:
            body["pages"] = -(-total // size)
            if page < body["pages"]:
                body["next_page"] = f"{INTERNAL}/REST/2.0/{kind}s?page={page + 1}"
        return 200, body

    def _item(self, kind, row, wanted, request):
        key = self.queues.index(row) + 1 if kind == "queue" else row.id
        item = {"id": str(key), "type": kind, "_url": f"{INTERNAL}/REST/2.0/{kind}/{key}"}
        for name in wanted:
            item[name] = self._field(kind, row, name, request.query.get(f"fields[{name}]", "").split(","))
        return item

    def _field(self, kind, row, name, subfields):
        if kind == "attachment" and name == "Parent" and not row.parent:
            raise AttributeError('Can\'t call method "can" on an undefined value')
        readers = {
            "queue": {"Name": lambda: row},
            "ticket": {
                "Subject": lambda: row.subject,
                "Status": lambda: row.status,
                "LastUpdated": lambda: _text(row.updated_at),
                "Owner": lambda: self._expand(row.owner, subfields),
            },
            "transaction": {
                "Type": lambda: row.type,
                "Created": lambda: _text(row.at),
                "ObjectId": lambda: str(row.ticket),
                "Creator": lambda: self._expand(row.creator, subfields),
            },
            "attachment": {
                "TransactionId": lambda: str(row.transaction),
                "ContentType": lambda: row.content_type,
                "Filename": lambda: row.filename,
                "Subject": lambda: row.subject,
                "Headers": lambda: row.headers,
                "ContentLength": lambda: str(len(row.content)),
                "Content": lambda: row.content.decode("utf-8" if row.content_type.startswith("text/") else "latin-1"),
            },
        }[kind]
        return readers.get(name, str)()

    def _expand(self, login, subfields):
        user = self.users[login]
        values = {"Name": user.login, "RealName": user.real_name, "Privileged": "", "id": user.id}
        picked = {name: values[name] for name in subfields if name in values}
        return {"type": "user", "id": login, "_url": f"{INTERNAL}/REST/2.0/user/{login}", **picked}


def _text(at):
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
