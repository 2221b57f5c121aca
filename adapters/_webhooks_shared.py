"""The webhooks of vendors that sign nothing: a secret comes with them, and mostly the operator writes the body."""

import re

from syncd.sources.records import Record
from syncd.sources.webhook import HookRequest, Named, Webhook
from syncd.sources.webhook_bodies import find_key_at, named_by_operator, records_of
from syncd.sources.webhook_proofs import SharedSecret

NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)

FRESHDESK = Webhook(SharedSecret(), named_by_operator("freshdesk_webhook.ticket_id"), NUMBER)

# Its placeholder for the id gives what people quote, such as INC-12.
FRESHSERVICE = Webhook(
    SharedSecret(),
    named_by_operator("freshdesk_webhook.ticket_id"),
    re.compile(r"(?:[A-Z]{1,5}-)?([1-9][0-9]{0,17})", re.ASCII),
)

GORGIAS = Webhook(SharedSecret(), named_by_operator("ticket.id"), NUMBER)

REQUEST_TRACKER = Webhook(SharedSecret(), named_by_operator(), NUMBER)

SERVICENOW = Webhook(SharedSecret(), named_by_operator("sys_id"), re.compile(r"[0-9a-f]{32}", re.ASCII))

ZNUNY = Webhook(SharedSecret(), named_by_operator("TicketID", "Ticket.TicketID", "Event.TicketID"), NUMBER)


def _of_zoho_desk(request: HookRequest) -> Named:
    """A list of events: one about a ticket holds it, one about a thread or a comment names its ticket."""
    return Named(frozenset(key for event in records_of(request) if (key := _ticket_of_event(event)) is not None))


def _ticket_of_event(event: Record) -> str | None:
    kind = event.find_text("eventType") or ""
    if not kind.startswith("Ticket_"):
        return None
    is_part = kind.startswith(("Ticket_Thread_", "Ticket_Comment_"))
    return find_key_at(event, "payload.ticketId" if is_part else "payload.id")


# Zoho takes nothing but 200 for success. Its own token does not cover the body, and needs its keys fetched.
ZOHO_DESK = Webhook(SharedSecret(), _of_zoho_desk, NUMBER, accepted=200)
