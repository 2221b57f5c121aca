"""Real ticketing systems for tests: installed and started by the scripts beside this file, on loopback alone.

A system that is not installed skips its tests with the way to install it; `SYNCD_TEST_SERVERS=required` installs it,
and makes anything that goes wrong a failure. Each worker of pytest-xdist has a server of its own.
"""

import base64
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from adapters.request_tracker import RequestTracker
from syncd.model.clock import SystemClock
from syncd.sources.http import VendorHttp

SCRIPT = Path(__file__).with_name("request_tracker.sh")
FIRST_PORT = 8081

By = Literal["customer", "agent", "reader", "root"]


class RequestTrackerServer:
    """A running Request Tracker. All methods are synchronous: they return when RT has answered.

    `agent` works in the queue `queue`; `customer` is unprivileged and the requestor of all tickets; `reader` has the
    permissions that docs/adapters/request_tracker.md asks for; nobody but `root` sees the queue `hidden_queue`.
    """

    def __init__(self, port: int) -> None:
        self._environment = {**os.environ, "SYNCD_RT_PORT": str(port)}
        values = self.run_script("start")
        self.base_url = values["BASE_URL"]
        self.agent_token, self.customer_token = values["AGENT_TOKEN"], values["CUSTOMER_TOKEN"]
        self.reader_token, self.root_token = values["READER_TOKEN"], values["ROOT_TOKEN"]
        self.agent_login, self.customer_login, self.reader_login = "peter.meyer", "carla.customer", "syncd"
        self.queue, self.hidden_queue = values["QUEUE"], values["HIDDEN_QUEUE"]
        self._database = values["DATABASE"]
        self._user_ids = {"customer": int(values["CUSTOMER_ID"]), "agent": int(values["AGENT_ID"])}

    def run_script(self, command: str) -> dict[str, str]:
        """Run the script and return the KEY=VALUE lines it printed; its complaints are in the error."""
        done = subprocess.run(
            [SCRIPT, command], env=self._environment, text=True, capture_output=True, timeout=900, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{SCRIPT.name} {command} failed: {done.stderr.strip()}")
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def stop(self) -> None:
        """Stop the server; what it holds stays."""
        self.run_script("stop")

    def start(self) -> None:
        """Start the server again."""
        self.run_script("start")

    def reset(self) -> None:
        """Forget all tickets; accounts and tokens stay. Ticket and transaction ids begin anew."""
        self.run_script("reset")

    def create_ticket(
        self,
        subject: str,
        content: str,
        by: By = "customer",
        *,
        queue: str | None = None,
        content_type: str = "text/plain",
    ) -> int:
        """Create a ticket of the customer and return its number."""
        ticket = {"Subject": subject, "Content": content, "ContentType": content_type, "Queue": queue or self.queue}
        return int(self.call(by, "POST", "/ticket", {**ticket, "Requestor": "carla@customer.test"})["id"])

    def correspond(
        self,
        ticket: int,
        content: str,
        by: By = "agent",
        content_type: str = "text/plain",
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Add a public reply, with files by their names."""
        attachments = [
            {"FileName": name, "FileType": "application/octet-stream", "FileContent": base64.b64encode(data).decode()}
            for name, data in (files or {}).items()
        ]
        body = {
            "Content": content,
            "ContentType": content_type,
            **({"Attachments": attachments} if attachments else {}),
        }
        self.call(by, "POST", f"/ticket/{ticket}/correspond", body)

    def comment(self, ticket: int, content: str, by: By = "agent") -> None:
        """Add an internal comment."""
        self.call(by, "POST", f"/ticket/{ticket}/comment", {"Content": content, "ContentType": "text/plain"})

    def set_status(self, ticket: int, status: str, by: By = "agent") -> None:
        """Set the status; a refusal, which RT answers with 200, is an error here."""
        self._put(by, f"/ticket/{ticket}", {"Status": status}, expected="changed from|[Dd]eleted")

    def merge(self, source: int, target: int) -> None:
        """Merge the ticket `source` into `target`."""
        self._put("root", f"/ticket/{source}", {"MergeInto": target}, expected="Merge Successful")

    def delete(self, ticket: int) -> None:
        """Delete a ticket, the way people do: by its status."""
        self.set_status(ticket, "deleted", by="root")

    def move(self, ticket: int, queue: str) -> None:
        """Move a ticket to another queue."""
        self._put("root", f"/ticket/{ticket}", {"Queue": queue}, expected="changed from")

    def own(self, ticket: int, login: str) -> None:
        """Make somebody the owner of a ticket."""
        self._put("root", f"/ticket/{ticket}", {"Owner": login}, expected="changed from|Given")

    def set_time_zone(self, login: str, zone: str) -> None:
        """Set the time zone that a user prefers; empty means the server's."""
        self._put("root", f"/user/{login}", {"Timezone": zone}, expected=r"changed from|^\[\]$")

    def receive_mail(self, message: bytes) -> None:
        """Hand in a mail as the mail gateway does; `[rt.test #N]` in its subject makes it a reply to ticket N."""
        form = {"action": "correspond", "queue": self.queue, "message": message.decode("latin-1")}
        request = Request(f"{self.base_url}/REST/1.0/NoAuth/mail-gateway", urlencode(form, encoding="latin-1").encode())
        with urlopen(request, timeout=60) as answer:
            text = answer.read().decode()
        if not text.startswith("ok"):
            raise RuntimeError(f"Request Tracker refused the mail: {text[:200]}")

    def write_history(
        self,
        ticket: int,
        times: Sequence[datetime],
        *,
        by: Literal["customer", "agent"] = "customer",
        kind: Literal["Correspond", "Comment"] = "Correspond",
        first_id: int | None = None,
    ) -> list[int]:
        """Write messages with these times straight into the database, where REST would take minutes; return their ids.

        They get ascending ids after all others, or from `first_id` on: as if committed late, if that is a lower one.
        """
        with closing(sqlite3.connect(self._database, timeout=30)) as database, database:
            last = database.execute("SELECT MAX(id) FROM Transactions").fetchone()[0]
            ids = list(range(first_id or last + 1, (first_id or last + 1) + len(times)))
            for key, at in zip(ids, times, strict=True):
                database.execute(
                    "INSERT INTO Transactions (id, ObjectType, ObjectId, Type, Creator, Created) "
                    "VALUES (?, 'RT::Ticket', ?, ?, ?, ?)",
                    (key, ticket, kind, self._user_ids[by], _database_time(at)),
                )
                database.execute(
                    "INSERT INTO Attachments (TransactionId, Parent, ContentType, Headers, Content, Creator, Created) "
                    "VALUES (?, 0, 'text/plain', 'X-RT-Interface: Email', ?, ?, ?)",
                    (key, f"text of {key}", self._user_ids[by], _database_time(at)),
                )
        return ids

    def backdate(self, at: datetime, ticket: int | None = None) -> None:
        """Let all transactions, or those of one ticket, have been made at this instant."""
        query = "UPDATE Transactions SET Created = ? WHERE ObjectType = 'RT::Ticket'"
        with closing(sqlite3.connect(self._database, timeout=30)) as database, database:
            if ticket is None:
                database.execute(query, (_database_time(at),))
            else:
                database.execute(f"{query} AND ObjectId = ?", (_database_time(at), ticket))

    def transactions(self, ticket: int) -> list[dict[str, Any]]:
        """Return the ids and types of all transactions of a ticket, as root sees them."""
        path = f"/ticket/{ticket}/history?fields=Type,Created,ObjectId&orderby=id&per_page=100"
        return list(self.call("root", "GET", path)["items"])

    def call(self, by: By, method: str, path: str, body: Any = None) -> Any:
        """Call REST 2 and return the parsed answer."""
        token = {
            "customer": self.customer_token,
            "agent": self.agent_token,
            "reader": self.reader_token,
            "root": self.root_token,
        }[by]
        headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.base_url}/REST/2.0{path}", data, headers, method=method)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def _put(self, by: By, path: str, body: Any, expected: str) -> None:
        said = json.dumps(self.call(by, "PUT", path, body))
        if not re.search(expected, said):
            raise RuntimeError(f"Request Tracker refused {sorted(body)} of {path}: {said}")


def _database_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.fixture(scope="session")
def request_tracker() -> Iterator[RequestTrackerServer]:
    """Start a Request Tracker without tickets; afterwards it is stopped again, unless it ran before."""
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", ""))
    port = FIRST_PORT + (int(worker) if worker else 0)
    status = subprocess.run(
        [SCRIPT, "status"], env={**os.environ, "SYNCD_RT_PORT": str(port)}, text=True, capture_output=True, check=False
    )
    if "STATUS=missing" in status.stdout and os.environ.get("SYNCD_TEST_SERVERS") != "required":
        pytest.skip("Request Tracker is not installed; tests/servers/request_tracker.sh install")
    server = RequestTrackerServer(port)
    server.reset()
    yield server
    if "STATUS=running" not in status.stdout:
        server.stop()


@pytest.fixture
async def connect(request_tracker):
    """Return what builds an adapter for one of the accounts; its requests are counted in `adapter.http`."""
    opened = []

    def build(token=None, **options):
        address = {"base_url": request_tracker.base_url, "token": token or request_tracker.reader_token}
        settings = RequestTracker.config(**(address | options))
        http = VendorHttp(RequestTracker.connection(settings), clock=SystemClock(), requests_per_minute=60_000)
        opened.append(http)
        return RequestTracker(settings, http)

    yield build
    for http in opened:
        await http.close()


@pytest.fixture
def adapter(connect):
    """Return an adapter with the least permissions that it needs."""
    return connect()


@pytest.fixture
def ticket(request_tracker):
    """Return the number of a new ticket of the customer."""
    return request_tracker.create_ticket("Printer", "It does not print.")
