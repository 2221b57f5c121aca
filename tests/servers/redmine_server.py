"""A running Redmine for tests, and what people do with it."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any, Literal
from urllib.parse import quote

from tests.servers.server import ScriptedServer

By = Literal["customer", "agent", "reader", "root"]

STATUSES = {"New": 1, "In Progress": 2, "Resolved": 3, "Feedback": 4, "Closed": 5, "Rejected": 6}
SUPPORT_TRACKER = 3
# Redmine writes the local time of its server into the database; redmine.sh starts it in India, where no clock jumps.
SERVER_ZONE = timezone(timedelta(hours=5, minutes=30))


class RedmineServer(ScriptedServer):
    """A running Redmine.

    `agent` works in both projects and `customer` reports in `project`; `reader` has the permissions that
    docs/adapters/redmine.md asks for, in `project` alone: what is in `hidden_project` answers it with 403. The reader
    prefers another time zone, and the newest note first.
    """

    script = "redmine.sh"
    title = "Redmine"

    def __init__(self) -> None:
        super().__init__()
        self.project, self.hidden_project = self.values["PROJECT"], self.values["HIDDEN_PROJECT"]

    def key(self, by: By) -> str:
        """Return the API key of an account."""
        return self.values[f"{by.upper()}_KEY"]

    def create_ticket(self, subject: str, text: str, by: By = "customer", *, project: str | None = None) -> int:
        """Create an issue and return its number."""
        issue = {
            "project_id": project or self.project,
            "tracker_id": SUPPORT_TRACKER,
            "subject": subject,
            "description": text,
        }
        return int(self.call(by, "POST", "/issues.json", {"issue": issue})["issue"]["id"])

    def reply(
        self, ticket: int, text: str, by: By = "agent", *, files: Mapping[str, bytes] | None = None, **fields: Any
    ) -> int:
        """Add a public note, with files by their names and changed fields beside it; return the id of its journal."""
        uploads = [{"token": self._upload(name, data, by), "filename": name} for name, data in (files or {}).items()]
        return self._update(ticket, by, notes=text, **fields, **({"uploads": uploads} if uploads else {}))

    def note(self, ticket: int, text: str, by: By = "agent") -> int:
        """Add a private note and return the id of its journal."""
        return self._update(ticket, by, notes=text, private_notes=True)

    def attach(self, ticket: int, name: str, data: bytes, by: By = "customer") -> int:
        """Attach a file without a word and return the id of the journal that tells so."""
        return self._update(ticket, by, uploads=[{"token": self._upload(name, data, by), "filename": name}])

    def set_status(self, ticket: int, status: str, by: By = "agent") -> int:
        """Set the status by its name and return the id of the journal that tells so."""
        return self._update(ticket, by, status_id=STATUSES[status])

    def assign(self, ticket: int, to: By | None, by: By = "agent") -> int:
        """Assign an issue to somebody or, with None, to nobody; return the id of the journal that tells so."""
        return self._update(ticket, by, assigned_to_id=self.user_id(to) if to else "")

    def edit(self, journal: int, text: str, by: By = "agent") -> None:
        """Change the text of a note in place; an empty one makes it disappear."""
        self.call(by, "PUT", f"/journals/{journal}.json", {"journal": {"notes": text}})

    def move(self, ticket: int, project: str) -> None:
        """Move an issue to another project."""
        self.call("root", "PUT", f"/issues/{ticket}.json", {"issue": {"project_id": project}})
        if self.ticket(ticket)["project"]["id"] != self._project_id(project):
            raise RuntimeError(f"Redmine did not move {ticket} to {project}")

    def delete(self, ticket: int) -> None:
        """Delete an issue for good."""
        self.call("root", "DELETE", f"/issues/{ticket}.json")

    def write_replies(
        self, ticket: int, times: Sequence[datetime], *, by: By = "customer", private: bool = False
    ) -> list[int]:
        """Write notes with these times straight into the database, as fast as that is; return the ids of the journals.

        The issue is changed at the last of these times, if it was not changed later.
        """
        with closing(sqlite3.connect(self.values["DATABASE"], timeout=30)) as database, database:
            last = database.execute("SELECT COALESCE(MAX(id), 0) FROM journals").fetchone()[0]
            ids = list(range(last + 1, last + 1 + len(times)))
            database.executemany(
                "INSERT INTO journals (id, journalized_id, journalized_type, user_id, notes, created_on, private_notes)"
                " VALUES (?, ?, 'Issue', ?, ?, ?, ?)",
                [
                    (key, ticket, self.user_id(by), f"text of {key}", _database_time(at), int(private))
                    for key, at in zip(ids, times, strict=True)
                ],
            )
            database.execute(
                "UPDATE issues SET updated_on = MAX(updated_on, ?) WHERE id = ?", (_database_time(max(times)), ticket)
            )
        return ids

    def write_tickets(self, count: int, at: datetime) -> list[int]:
        """Create many issues of the customer, all made and changed at the same time; return their numbers."""
        number = self.create_ticket("Copied", "text")
        self.backdate(at, number)
        with closing(sqlite3.connect(self.values["DATABASE"], timeout=30)) as database, database:
            names = [row[1] for row in database.execute("PRAGMA table_info(issues)") if row[1] not in {"id", "root_id"}]
            kept = ", ".join(names)
            for key in range(number + 1, number + count):
                copy = f"INSERT INTO issues (id, root_id, {kept}) SELECT ?, ?, {kept} FROM issues WHERE id = ?"
                database.execute(copy, (key, key, number))
        return list(range(number, number + count))

    def backdate(self, at: datetime, ticket: int) -> None:
        """Let an issue and its journals have been made and changed last at this instant."""
        when = _database_time(at)
        with closing(sqlite3.connect(self.values["DATABASE"], timeout=30)) as database, database:
            database.execute("UPDATE issues SET created_on = ?, updated_on = ? WHERE id = ?", (when, when, ticket))
            database.execute("UPDATE journals SET created_on = ? WHERE journalized_id = ?", (when, ticket))

    def ticket(self, ticket: int, by: By = "root") -> dict[str, Any]:
        """Return an issue with its journals and attachments."""
        return dict(self.call(by, "GET", f"/issues/{ticket}.json?include=journals,attachments")["issue"])

    def call(self, by: By, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API, for example `GET /issues/1.json`, and return the parsed answer."""
        return self.send(method, path, {"X-Redmine-API-Key": self.key(by)}, body)

    def _upload(self, name: str, data: bytes, by: By) -> str:
        return str(self.call(by, "POST", f"/uploads.json?filename={quote(name)}", data)["upload"]["token"])

    def _update(self, ticket: int, by: By, **fields: Any) -> int:
        """Change an issue; what Redmine ignores without a word is an error here."""
        before = self._last_journal(ticket)
        self.call(by, "PUT", f"/issues/{ticket}.json", {"issue": fields})
        after = self._last_journal(ticket)
        if after == before:
            raise RuntimeError(f"Redmine ignored {sorted(fields)} of issue {ticket} by {by}")
        return after

    def _last_journal(self, ticket: int) -> int:
        return max((journal["id"] for journal in self.ticket(ticket)["journals"]), default=0)

    def _project_id(self, project: str) -> int:
        return int(self.values["PROJECT_ID" if project == self.project else "HIDDEN_PROJECT_ID"])


def _database_time(at: datetime) -> str:
    return at.astimezone(SERVER_ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")
