"""The webhooks that vendors sign; each page of docs/adapters says where they are set up and what is signed.

Where the header that tells the kind of an event is not signed, nothing hangs on it but which ticket is read once more.
"""

import re
from collections.abc import Iterable

from syncd.sources.records import Record
from syncd.sources.webhook import HookRequest, Named, Webhook
from syncd.sources.webhook_bodies import find_key_at, find_record_of, named_at, records_of
from syncd.sources.webhook_proofs import EitherProof, SharedSecret, Signature, Stamp

NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def _stamp_and_body(request: HookRequest, stamp: str) -> Iterable[bytes]:
    return (stamp.encode(errors="replace") + request.body,)


def _stamp_colon_body(request: HookRequest, stamp: str) -> Iterable[bytes]:
    return (stamp.encode(errors="replace") + b":" + request.body,)


def _body_and_stamp(request: HookRequest, stamp: str) -> Iterable[bytes]:
    return (request.body + stamp.encode(errors="replace"),)


def _method_address_body_stamp(request: HookRequest, stamp: str) -> Iterable[bytes]:
    for address in request.addresses:
        yield f"{request.method}{address}".encode(errors="replace") + request.body + stamp.encode(errors="replace")


def _named(key: str | None) -> Named:
    return Named() if key is None else Named(ids=frozenset({key}))


def _of_zendesk(request: HookRequest) -> Named:
    """An event of Zendesk names its subject; what a trigger sends is written by an administrator."""
    record = find_record_of(request)
    if record is None:
        return Named()
    kind = record.find_text("type") or ""
    if kind.startswith("zen:event-type:"):
        is_about_ticket = kind.startswith(("zen:event-type:ticket.", "zen:event-type:messaging_ticket."))
        return _named(find_key_at(record, "detail.id") if is_about_ticket else None)
    return named_at("ticket_id", "ticket.id")(request)


ZENDESK = Webhook(
    Signature(
        "X-Zendesk-Webhook-Signature",
        "sha256",
        "base64",
        signed=_stamp_and_body,
        stamp=Stamp("X-Zendesk-Webhook-Signature-Timestamp", "iso"),
    ),
    _of_zendesk,
    NUMBER,
)

JIRA = Webhook(Signature("X-Hub-Signature", "sha256", "hex", "sha256="), named_at("issue.id"), NUMBER)


def _of_intercom(request: HookRequest) -> Named:
    """Tickets have a prefix here, as conversations have numbers of the same kind."""
    record = find_record_of(request)
    data = None if record is None else record.find_record("data")
    item = None if data is None else data.find_record("item")
    key = None if item is None else item.find_key("id")
    kind = None if item is None else item.raw("type")
    if key is None or kind not in {"conversation", "ticket"}:
        return Named()
    return _named(key if kind == "conversation" else f"ticket-{key}")


INTERCOM = Webhook(
    Signature("X-Hub-Signature", "sha1", "hex", "sha1="), _of_intercom, re.compile(r"(?:ticket-)?[0-9]{1,20}", re.ASCII)
)


def _of_help_scout(request: HookRequest) -> Named:
    """Events about customers have an id of the same kind in the same place."""
    is_about_conversation = request.header("X-HelpScout-Event").startswith("convo.")
    return named_at("id")(request) if is_about_conversation else Named()


HELP_SCOUT = Webhook(Signature("X-HelpScout-Signature", "sha1", "base64"), _of_help_scout, NUMBER)


def _of_hubspot(request: HookRequest) -> Named:
    """Events of conversations name a thread, of which the ticket is not known here."""
    return Named(frozenset(key for event in records_of(request) if (key := _ticket_of_event(event)) is not None))


def _ticket_of_event(event: Record) -> str | None:
    kind = event.find_text("subscriptionType") or ""
    is_about_ticket = kind.startswith("ticket.") or (kind.startswith("object.") and event.raw("objectTypeId") == "0-5")
    return event.find_key("objectId") if is_about_ticket else None


HUBSPOT = Webhook(
    Signature(
        "X-HubSpot-Signature-v3",
        "sha256",
        "base64",
        signed=_method_address_body_stamp,
        stamp=Stamp("X-HubSpot-Request-Timestamp", "milliseconds"),
    ),
    _of_hubspot,
    NUMBER,
)

FRONT = Webhook(
    EitherProof(
        "X-Front-Request-Timestamp",
        Signature(
            "X-Front-Signature",
            "sha256",
            "base64",
            signed=_stamp_colon_body,
            stamp=Stamp("X-Front-Request-Timestamp", "milliseconds"),
        ),
        Signature("X-Front-Signature", "sha1", "base64"),
    ),
    named_at("payload.conversation.id", "conversation.id"),
    re.compile(r"cnv_[0-9a-z]{1,40}", re.ASCII),
    challenge_header="X-Front-Challenge",
    accepted=200,
)

ZAMMAD = Webhook(Signature("X-Hub-Signature", "sha1", "hex", "sha1="), named_at("ticket.id", "ticket_id"), NUMBER)

REDMINE = Webhook(
    EitherProof(
        "X-Redmine-Signature-256",
        Signature("X-Redmine-Signature-256", "sha256", "hex", "sha256="),
        SharedSecret(),  # before Redmine 7 a plugin sends them, each in its own way
    ),
    named_at("data.issue.id", "payload.issue.id", "ticket_id"),
    NUMBER,
)

GLPI = Webhook(
    Signature(
        "X-GLPI-signature",
        "sha256",
        "hex",
        signed=_body_and_stamp,
        # GLPI signs when it queues a webhook, and its scheduler may send it much later.
        stamp=Stamp("X-GLPI-timestamp", "seconds", tolerance=None),
    ),
    named_at("ticket_id", "parent_item.id", "item.items_id", "item.id"),
    NUMBER,
)
