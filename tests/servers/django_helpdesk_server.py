"""A running django-helpdesk for tests, and what people do with it."""

import base64
import json
import subprocess
from email.message import EmailMessage
from typing import Any, Literal

from tests.servers.server import FOLDER, ScriptedServer

By = Literal["customer", "agent", "reader", "root"]

STATUSES = {"Open": 1, "Reopened": 2, "Resolved": 3, "Closed": 4, "Duplicate": 5}
CUSTOMER_MAIL = "carla@customer.test"


class DjangoHelpdeskServer(ScriptedServer):
    """A running django-helpdesk.

    `agent` and `reader` are staff, for whom alone the REST API answers; `customer` writes mails or fills in the public
    form. What REST cannot do is done by a process of its own, which is started when it is needed first.
    """

    script = "django_helpdesk.sh"
    title = "django-helpdesk"

    def __init__(self) -> None:
        super().__init__()
        self.queue_id = int(self.values["QUEUE_ID"])
        self._desk: subprocess.Popen[str] | None = None

    def token(self, by: By) -> str:
        """Return the API token of an account."""
        return self.values[f"{by.upper()}_TOKEN"]

    def create_ticket(self, subject: str, text: str, by: By = "customer") -> int:
        """Create a ticket of the customer and return its number: by mail, or by an agent in the customer's name."""
        if by == "customer":
            return self.receive_mail(subject, text)
        fields = {"queue": self.queue_id, "title": subject, "description": text, "priority": 3}
        return int(self.call(by, "POST", "/tickets/", {**fields, "submitter_email": CUSTOMER_MAIL})["id"])

    def fill_in_form(self, subject: str, text: str, by: By = "customer") -> int:
        """Create a ticket with the public form, logged in, and return its number."""
        return int(self._ask("form", login=self.login(by), subject=subject, text=text))

    def receive_mail(
        self, subject: str, text: str, *, sender: str = CUSTOMER_MAIL, files: dict[str, bytes] | None = None
    ) -> int:
        """Hand in a mail as the mail gateway does and return the number of its ticket.

        `[support-N]` in the subject makes it a reply to ticket N.
        """
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, "support@example.test", subject
        mail.set_content(text)
        for name, data in (files or {}).items():
            mail.add_attachment(data, "application", "octet-stream", filename=name)
        return int(self._ask("mail", message=mail.as_string()))

    def reply(self, ticket: int, text: str, by: By = "agent", *, status: str | None = None) -> int:
        """Add a public reply, of the customer by mail, and return its id; an agent's may set a status as well.

        What looks like a template in an agent's text is run as one, as the product does.
        """
        if by != "customer":
            return self._follow_up(ticket, by, comment=text, public=True, **_new_status(status))
        self.receive_mail(f"Re: [support-{ticket}]", text)
        return self._last_followup(ticket)

    def note(self, ticket: int, text: str, by: By = "agent") -> int:
        """Add an internal note and return its id."""
        return self._follow_up(ticket, by, comment=text, public=False)

    def attach(self, ticket: int, name: str, data: bytes, text: str = "", by: By = "agent") -> int:
        """Add a public reply with a file and return its id."""
        coded = base64.b64encode(data).decode()
        return int(self._ask("file", login=self.login(by), ticket=ticket, text=text, name=name, data=coded))

    def set_status(self, ticket: int, status: str, by: By = "agent", *, traceless: bool = False) -> None:
        """Set the status by its name: with a followup that tells so, or without a trace as PATCH does it."""
        if traceless:
            self.call(by, "PATCH", f"/tickets/{ticket}/", _new_status(status, "status"))
        else:
            self._follow_up(ticket, by, public=True, **_new_status(status))

    def assign(self, ticket: int, to: By | None, by: By = "agent") -> None:
        """Assign a ticket to somebody or, with None, to nobody."""
        self.call(by, "PATCH", f"/tickets/{ticket}/", {"assigned_to": self.user_id(to) if to else None})

    def edit(self, followup: int, text: str, by: By = "agent") -> None:
        """Change the text of a reply or note in place."""
        self.call(by, "PATCH", f"/followups/{followup}/", {"comment": text})

    def publish(self, followup: int, public: bool, by: By = "agent") -> None:
        """Make an internal note a public reply, or the other way round."""
        self.call(by, "PATCH", f"/followups/{followup}/", {"public": public})

    def delete_reply(self, followup: int) -> None:
        """Delete a reply or note."""
        self.call("root", "DELETE", f"/followups/{followup}/")

    def merge(self, source: int, target: int, by: By = "agent") -> None:
        """Merge the ticket `source` into `target`."""
        self._ask("merge", login=self.login(by), source=source, target=target)

    def delete(self, ticket: int) -> None:
        """Delete a ticket for good."""
        self.call("root", "DELETE", f"/tickets/{ticket}/")

    def write_replies(self, ticket: int, count: int, by: By = "customer", *, public: bool = True) -> list[int]:
        """Write many replies at once, those of the customer as if they came by mail; return their ids."""
        login = None if by == "customer" else self.login(by)
        return list(self._ask("replies", login=login, ticket=ticket, count=count, public=public))

    def set_time_zone(self, zone: str) -> None:
        """Start the server anew with times in this zone in its answers; a plain start brings UTC back."""
        self.stop()
        self.run_script("start", environment={"SYNCD_DJANGO_HELPDESK_ZONE": zone})

    def ticket(self, ticket: int, by: By = "reader") -> dict[str, Any]:
        """Return a ticket with all its followups."""
        return dict(self.call(by, "GET", f"/tickets/{ticket}/"))

    def call(self, by: By, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API below /api, for example `GET /tickets/1/`, and return the parsed answer."""
        return self.send(method, f"/api{path}", {"Authorization": f"Token {self.token(by)}"}, body)

    def close(self) -> None:
        """End the process that does what REST cannot."""
        if self._desk is not None:
            self._desk.communicate(timeout=30)
            self._desk = None

    def _follow_up(self, ticket: int, by: By, **fields: Any) -> int:
        return int(self.call(by, "POST", "/followups/", {"ticket": ticket, **fields})["id"])

    def _last_followup(self, ticket: int) -> int:
        return max(int(row["id"]) for row in self.ticket(ticket)["followup_set"])

    def _ask(self, task: str, **fields: Any) -> Any:
        if self._desk is None:
            command = [FOLDER / self.script, "desk"]
            self._desk = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._desk.stdin is not None
        assert self._desk.stdout is not None
        self._desk.stdin.write(json.dumps({"do": task, **fields}) + "\n")
        self._desk.stdin.flush()
        answer = json.loads(self._desk.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise RuntimeError(f"django-helpdesk, {task}: {answer['error']}")
        return answer["result"]


def _new_status(status: str | None, field: str = "new_status") -> dict[str, int]:
    return {field: STATUSES[status]} if status else {}
