"""A Zendesk account as its API shows it: changed tickets with five comments each, already written as JSON. Pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

TICKETS, COMMENTS, AGENTS = 2_000, 5, 20
BEGAN = 1_772_000_000
"""Unix seconds of the first comment; each comment of the account has a second of its own."""

TICKETS_PER_PAGE, EVENTS_PER_PAGE = 1_000, 1_000
FIRST_AGENT, FIRST_CUSTOMER, FIRST_COMMENT = 1_001, 10_001, 1_000_001
TEXT = (
    "Good morning, the locker by the window does not close any more. Could somebody have a look at it? Thank you! " * 3
)

Json = dict[str, Any]


@dataclass(slots=True)
class Account:
    """Every answer that does not depend on the ids that are asked for, and single users and tickets, as JSON."""

    tickets: dict[int, bytes] = field(default_factory=dict)
    users: dict[int, bytes] = field(default_factory=dict)
    audits: dict[int, bytes] = field(default_factory=dict)
    comments: dict[int, bytes] = field(default_factory=dict)
    ticket_pages: list[bytes] = field(default_factory=list)
    event_pages: list[tuple[int, bytes]] = field(default_factory=list)
    """Each with the second of its last event."""


def made() -> Account:
    """Return the account: an agent answers a customer who wrote first, and they go on in turn."""
    account = Account()
    for number in range(AGENTS):
        account.users[FIRST_AGENT + number] = _user(FIRST_AGENT + number, f"Agent {number}", "agent")
    tickets, events = [], []
    for number in range(1, TICKETS + 1):
        requester = FIRST_CUSTOMER + number
        account.users[requester] = _user(requester, f"Customer {number}", "end-user")
        comments = [_comment(number, index) for index in range(COMMENTS)]
        audits = [_audit(number, comment) for comment in comments]
        account.comments[number] = orjson.dumps(
            {"comments": comments, "meta": {"has_more": False, "after_cursor": None}, "count": COMMENTS}
        )
        account.audits[number] = orjson.dumps({"audits": audits, "meta": {"has_more": False, "after_cursor": None}})
        tickets.append(_ticket(number))
        account.tickets[number] = orjson.dumps({k: v for k, v in tickets[-1].items() if k != "generated_timestamp"})
        events += [_event(number, index, comment) for index, comment in enumerate(comments)]
    events.sort(key=lambda event: event["timestamp"])
    account.ticket_pages = _ticket_pages(tickets)
    account.event_pages = _event_pages(events)
    return account


def second_of(ticket: int, index: int) -> int:
    """Return when a comment was written: first the first ones of all tickets, and so on."""
    return BEGAN + index * TICKETS + ticket


def _at(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _author(ticket: int, index: int) -> int:
    return FIRST_AGENT + ticket % AGENTS if index % 2 else FIRST_CUSTOMER + ticket


def _via() -> Json:
    return {"channel": "email", "source": {"from": {}, "to": {}, "rel": None}}


def _user(number: int, name: str, role: str) -> bytes:
    email = f"u{number}@example.com"
    return orjson.dumps({"id": number, "name": name, "role": role, "email": email, "active": True, "suspended": False})


def _ticket(number: int) -> Json:
    seconds = second_of(number, COMMENTS - 1)
    return {
        "id": number,
        "url": f"https://acme.zendesk.com/api/v2/tickets/{number}.json",
        "external_id": None,
        "via": _via(),
        "created_at": _at(second_of(number, 0)),
        "updated_at": _at(seconds),
        "generated_timestamp": seconds,
        "type": "question",
        "subject": f"Locker {number}",
        "raw_subject": f"Locker {number}",
        "description": TEXT,
        "priority": "normal",
        "status": "open",
        "recipient": None,
        "requester_id": FIRST_CUSTOMER + number,
        "submitter_id": FIRST_CUSTOMER + number,
        "assignee_id": FIRST_AGENT + number % AGENTS,
        "organization_id": None,
        "group_id": 77,
        "collaborator_ids": [],
        "follower_ids": [],
        "has_incidents": False,
        "is_public": True,
        "tags": ["locker", "studio"],
        "custom_fields": [{"id": 360001, "value": None}, {"id": 360002, "value": "berlin"}],
        "fields": [{"id": 360001, "value": None}, {"id": 360002, "value": "berlin"}],
        "satisfaction_rating": {"score": "unoffered"},
        "brand_id": 5,
        "allow_channelback": False,
    }


def _comment(ticket: int, index: int) -> Json:
    number = FIRST_COMMENT + ticket * COMMENTS + index
    text = f"{TEXT} ({ticket}.{index})"
    return {
        "id": number,
        "type": "Comment",
        "author_id": _author(ticket, index),
        "body": text,
        "html_body": f'<div class="zd-comment" dir="auto"><p>{text}</p></div>',
        "plain_body": text,
        "public": True,
        "attachments": [],
        "audit_id": number + 5_000_000,
        "via": _via(),
        "created_at": _at(second_of(ticket, index)),
        "metadata": {"system": {"client": "mail"}, "custom": {}},
    }


def _audit(ticket: int, comment: Json) -> Json:
    told = {key: value for key, value in comment.items() if key not in {"created_at", "metadata", "via"}}
    return {
        "id": comment["audit_id"],
        "ticket_id": ticket,
        "created_at": comment["created_at"],
        "author_id": comment["author_id"],
        "metadata": comment["metadata"],
        "events": [told],
        "via": comment["via"],
    }


def _event(ticket: int, index: int, comment: Json) -> Json:
    told = {key: value for key, value in comment.items() if key not in {"plain_body", "metadata"}}
    children: list[Json] = [{**told, "event_type": "Comment", "via_reference_id": None}]
    if not index:
        children.insert(0, {"id": comment["id"] + 9_000_000, "event_type": "Create", "via": "Email", "status": "new"})
    return {
        "id": comment["audit_id"],
        "ticket_id": ticket,
        "timestamp": second_of(ticket, index),
        "created_at": comment["created_at"],
        "updater_id": comment["author_id"],
        "via": "Email",
        "event_type": "Audit",
        "child_events": children,
    }


def _ticket_pages(tickets: list[Json]) -> list[bytes]:
    parts = [tickets[at : at + TICKETS_PER_PAGE] for at in range(0, len(tickets), TICKETS_PER_PAGE)]
    return [
        orjson.dumps(
            {
                "tickets": part,
                "after_cursor": f"page-{number}",
                "end_of_stream": number == len(parts),
                "count": len(part),
            }
        )
        for number, part in enumerate(parts, 1)
    ]


def _event_pages(events: list[Json]) -> list[tuple[int, bytes]]:
    pages = []
    for at in range(0, len(events), EVENTS_PER_PAGE):
        part, last = events[at : at + EVENTS_PER_PAGE], at + EVENTS_PER_PAGE >= len(events)
        end = part[-1]["timestamp"]
        told = {"ticket_events": part, "count": len(part), "end_time": end, "next_page": None, "end_of_stream": last}
        pages.append((end, orjson.dumps(told)))
    return pages
