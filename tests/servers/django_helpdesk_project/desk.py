"""What people do at a django-helpdesk without its REST API: mails, the public form, files, merges.

Reads one request a line, `{"do": ..., ...}`, and answers each with one line of JSON, until the input ends.
"""

import base64
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 (Django must be set up before)
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.db import connections, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402
from helpdesk.email import extract_email_metadata  # noqa: E402
from helpdesk.models import FollowUp, Queue, Ticket  # noqa: E402
from helpdesk.update_ticket import update_ticket  # noqa: E402

logging.disable(logging.WARNING)


def browser(login: str) -> Client:
    """Return a browser with somebody logged in."""
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(User.objects.get(username=login))
    return client


def mail(message: str) -> int:
    """Hand in a mail as the mail gateway does."""
    return extract_email_metadata(message, Queue.objects.get(slug="support"), logging.getLogger("mail")).pk


def form(login: str, subject: str, text: str) -> int:
    """Fill in the public form."""
    fields = {
        "queue": Queue.objects.get(slug="support").pk,
        "title": subject,
        "body": text,
        "priority": 3,
        "submitter_email": User.objects.get(username=login).email,
    }
    answer = browser(login).post("/tickets/submit/", fields)
    if answer.status_code != 302:
        raise RuntimeError(f"the form was answered with {answer.status_code}")
    return Ticket.objects.latest("id").pk


def file(login: str, ticket: int, text: str, name: str, data: str) -> int:
    """Reply with a file."""
    uploaded = SimpleUploadedFile(name, base64.b64decode(data))
    user, about = User.objects.get(username=login), Ticket.objects.get(pk=ticket)
    return update_ticket(user, about, comment=text, files=[uploaded], public=True).pk


def merge(login: str, source: int, target: int) -> int:
    """Merge a ticket into another one, in the browser."""
    answer = browser(login).post(f"/tickets/merge?tickets={source}&tickets={target}", {"chosen_ticket": target})
    if answer.status_code != 302:
        raise RuntimeError(f"the merge was answered with {answer.status_code}")
    return target


def replies(login: str | None, ticket: int, count: int, public: bool) -> list[int]:
    """Write many replies at once, without mails; without a login they came by mail."""
    user = User.objects.get(username=login) if login else None
    about = Ticket.objects.get(pk=ticket)
    title = about.title if login else f"E-Mail Received from {about.submitter_email}"
    with transaction.atomic():
        made = [
            FollowUp.objects.create(
                ticket=about, title=title, date=timezone.now(), public=public, comment=f"text {number}", user=user
            )
            for number in range(1, count + 1)
        ]
    return [followup.pk for followup in made]


TASKS: dict[str, Callable[..., Any]] = {"mail": mail, "form": form, "file": file, "merge": merge, "replies": replies}


def answer_to(line: str) -> dict[str, Any]:
    """Do one request; what went wrong is told to who asked."""
    try:
        request = json.loads(line)
        return {"result": TASKS[request.pop("do")](**request)}
    except Exception as error:  # noqa: BLE001 (whatever it is, the other side has to know)
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        # The file of the database may be another one at the next request.
        connections.close_all()


for asked in sys.stdin:
    sys.stdout.write(json.dumps(answer_to(asked)) + "\n")
    sys.stdout.flush()
