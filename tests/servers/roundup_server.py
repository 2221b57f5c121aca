"""A running Roundup for tests, and what people do with it."""

import base64
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from tests.servers.server import ScriptedServer

By = Literal["customer", "agent", "reader", "root"]


class RoundupServer(ScriptedServer):
    """A running Roundup with the tracker that its template "classic" makes.

    Everybody sees everything; there are no internal notes. `agent`, `customer` and `reader` have the role User. The
    accounts of agent and customer are in other time zones; the reader's is in UTC, as its questions are read in it.
    """

    script = "roundup.sh"
    title = "Roundup"

    def __init__(self) -> None:
        super().__init__()
        parts = self.base_url.split("/")
        self._origin = "/".join(parts[:3])

    def password(self, by: By) -> str:
        """Return the password of an account."""
        return self.values[f"{by.upper()}_PASSWORD"]

    def create_ticket(self, subject: str, text: str, by: By = "customer") -> int:
        """Create an issue with its first message and return its number."""
        body = {"title": subject, "priority": "bug", "messages": [str(self._message(text, by))]}
        return int(self.call(by, "POST", "/issue", body)["id"])

    def reply(self, ticket: int, text: str, by: By = "agent", *, author: By | None = None) -> int:
        """Add a message and return its id; as `author` anybody may be named, and Roundup believes it."""
        message = self._message(text, by, author)
        self._change(f"/issue/{ticket}", by, {"@op": "add", "messages": [str(message)]})
        return message

    def attach(self, ticket: int, name: str, text: str, by: By = "customer") -> int:
        """Attach a file of text to an issue and return the id of the file."""
        file = self.call(by, "POST", "/file", {"name": name, "content": text, "type": "text/plain"})["id"]
        self._change(f"/issue/{ticket}", by, {"@op": "add", "files": [file]})
        return int(file)

    def set_status(self, ticket: int, status: str, by: By = "agent") -> None:
        """Set the status by its name, for example in-progress or resolved."""
        self._change(f"/issue/{ticket}", by, {"status": status})

    def assign(self, ticket: int, to: By | None, by: By = "agent") -> None:
        """Assign an issue to somebody or, with None, to nobody."""
        self._change(f"/issue/{ticket}", by, {"assignedto": str(self.user_id(to)) if to else "-1"})

    def edit(self, message: int, text: str) -> None:
        """Change the text of a message in place."""
        self._change(f"/msg/{message}", "root", {"content": text})

    def remove_reply(self, ticket: int, message: int, by: By = "agent") -> None:
        """Take a message off an issue; the message itself stays."""
        self._change(f"/issue/{ticket}", by, {"@op": "remove", "messages": [str(message)]})

    def delete(self, ticket: int) -> None:
        """Retire an issue, which is how people delete: it leaves the searches and still answers."""
        self.call("root", "DELETE", f"/issue/{ticket}", tag=self._tag(f"/issue/{ticket}"))

    def set_time_zone(self, by: By, zone: str) -> None:
        """Set the zone of an account, as hours from UTC; times in its questions are read in it."""
        self._change(f"/user/{self.user_id(by)}", "root", {"timezone": zone})

    def write_replies(self, ticket: int, times: Sequence[datetime], *, by: By = "customer") -> list[int]:
        """Write messages with these times straight into the database, as fast as that is; return their ids."""
        with closing(self._database()) as database, database:
            first = self._take_ids(database, "msg", len(times))
            ids = list(range(first, first + len(times)))
            user = self.user_id(by)
            for key, at in zip(ids, times, strict=True):
                when = _database_time(at)
                database.execute(
                    "INSERT INTO _msg (id, _activity, _actor, _author, _creation, _creator, _date, __retired__)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                    (key, when, user, user, when, user, when),
                )
                database.execute("INSERT INTO issue_messages (linkid, nodeid) VALUES (?, ?)", (key, ticket))
                self._write_text(key, f"text of {key}")
            database.execute("UPDATE _issue SET _activity = ? WHERE id = ?", (_database_time(max(times)), ticket))
        return ids

    def backdate(self, at: datetime, ticket: int) -> None:
        """Let an issue and its messages have been made and changed last at this instant."""
        when = _database_time(at)
        of_ticket = "id IN (SELECT linkid FROM issue_messages WHERE nodeid = ?)"
        with closing(self._database()) as database, database:
            database.execute("UPDATE _issue SET _activity = ?, _creation = ? WHERE id = ?", (when, when, ticket))
            database.execute(
                f"UPDATE _msg SET _activity = ?, _creation = ?, _date = ? WHERE {of_ticket}", (when, when, when, ticket)
            )

    def ticket(self, ticket: int, by: By = "root") -> dict[str, Any]:
        """Return the attributes of an issue, with names beside the ids."""
        fields = "title,status,creator,creation,actor,activity,assignedto,messages,files,nosy"
        return dict(self.call(by, "GET", f"/issue/{ticket}?@fields={fields}&@verbose=2")["attributes"])

    def messages(self, ticket: int, by: By = "root") -> list[dict[str, Any]]:
        """Return the messages of an issue with their texts, in the order of their ids."""
        ids = "&".join(f"id={row['id']}" for row in self.ticket(ticket, by)["messages"])
        path = f"/msg?{ids}&@fields=author,creator,creation,date,content&@verbose=3&@sort=id"
        return list(self.call(by, "GET", path)["collection"])

    def call(self, by: By, method: str, path: str, body: Any = None, *, tag: str | None = None) -> Any:
        """Call the REST API below /rest/data, for example `GET /issue/1`, and return what is in the answer's `data`."""
        login = f"{self.login(by)}:{self.password(by)}".encode()
        headers = {
            "Authorization": f"Basic {base64.b64encode(login).decode()}",
            "X-Requested-With": "rest",
            "Origin": self._origin,
            "Referer": f"{self.base_url}/",
            **({"If-Match": tag} if tag else {}),
        }
        return self.send(method, f"/rest/data{quote(path, safe='/?&=@,:;+%~')}", headers, body)["data"]

    def _message(self, text: str, by: By, author: By | None = None) -> int:
        # Without an author the message could not be put on an issue; the date is not set by itself either.
        body = {"content": text, "author": str(self.user_id(author or by)), "date": "."}
        return int(self.call(by, "POST", "/msg", body)["id"])

    def _change(self, path: str, by: By, fields: dict[str, Any]) -> None:
        self.call(by, "PATCH", path, fields, tag=self._tag(path))

    def _tag(self, path: str) -> str:
        return str(self.call("root", "GET", path)["@etag"])

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(Path(self.values["TRACKER"]) / "db" / "db", timeout=30)

    def _take_ids(self, database: sqlite3.Connection, name: str, count: int) -> int:
        """Return the first of `count` new ids; Roundup counts them in a table of its own."""
        first = int(database.execute("SELECT num FROM ids WHERE name = ?", (name,)).fetchone()[0])
        database.execute("UPDATE ids SET num = ? WHERE name = ?", (first + count, name))
        return first

    def _write_text(self, message: int, text: str) -> None:
        """Write the text of a message where Roundup looks for it: in files, a thousand to a folder."""
        folder = Path(self.values["TRACKER"]) / "db" / "files" / "msg" / str(message // 1000)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"msg{message}").write_text(text)


def _database_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f")[:-3]
