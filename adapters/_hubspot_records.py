"""HubSpot's records as values. Pure.

docs/adapters/hubspot.md says what maps to what, and names the pages relied on.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.sources.records import Record

MESSAGE, WELCOME = "MESSAGE", "WELCOME_MESSAGE"
EVENTS = frozenset({"ASSIGNMENT", "THREAD_STATUS_CHANGE", "THREAD_INBOX_CHANGE"})
WHOLE = "NOT_TRUNCATED"
AUTOMATA = frozenset("BLIS")  # bots, AI agents, integrations and HubSpot itself
OPENING = timedelta(minutes=1)
"""A ticket that came out of a conversation may be made some seconds before it."""

CHANNELS = {
    "EMAIL": Channel.EMAIL,
    "LIVE_CHAT": Channel.CHAT,
    "CHAT": Channel.CHAT,
    "FB_MESSENGER": Channel.CHAT,
    "FACEBOOK_MESSENGER": Channel.CHAT,
    "WHATSAPP": Channel.TEXT_MESSAGE,
    "SMS": Channel.TEXT_MESSAGE,
    "CALLING": Channel.PHONE,
    "VOICE": Channel.PHONE,
    "FORM": Channel.OTHER,
    "FORMS": Channel.OTHER,
}
CHANNEL_NAMES = {
    "1000": "LIVE_CHAT",
    "1001": "FB_MESSENGER",
    "1002": "EMAIL",
    "1003": "FORMS",
    "1007": "WHATSAPP",
    "1008": "CALLING",
}
ADDRESS_CHANNELS = {
    "HS_EMAIL_ADDRESS": Channel.EMAIL,
    "HS_PHONE_NUMBER": Channel.TEXT_MESSAGE,
    "HS_SHORT_CODE": Channel.TEXT_MESSAGE,
    "CHANNEL_SPECIFIC_OPAQUE_ID": Channel.CHAT,
}
OTHER_ATTACHMENTS = {
    "LOCATION": "a location",
    "CONTACT": "a contact card",
    "UNSUPPORTED_CONTENT": "content that HubSpot cannot show",
}
_SIGNED = re.compile(r"[?&](?:x-(?:amz|goog)-|(?:signature|sig|token|expires|policy|key-pair-id)=)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline: its name, and what it means."""

    label: str
    status: ThreadStatus


@dataclass(frozen=True, slots=True)
class Message:
    """A message or note of a thread, before its agent's name and its whole text are known."""

    reply: Reply
    thread_id: str
    actor: str | None
    touched_at: datetime | None
    is_whole: bool

    @property
    def age(self) -> tuple[datetime, str]:
        """Return what messages are sorted by."""
        return self.reply.created_at, self.reply.id

    @property
    def opens(self) -> bool:
        """Tell whether it can be a ticket's first message: a person's, seen by the customer."""
        return self.reply.visibility is Visibility.PUBLIC and self.reply.author.kind is not AuthorKind.SYSTEM

    def is_worth_telling(self, since: datetime | None) -> bool:
        """Tell whether it may be news: it is if it was written or touched since an instant, as e-mails may come late.

        What is older may have come with a thread that was attached later, and costs nothing if all of it is here.
        """
        instants = (self.reply.created_at, self.touched_at)
        return self.is_whole or since is None or any(at >= since for at in instants if at is not None)

    def withheld(self) -> "Message":
        """Return the message as one that nobody outside may see."""
        return replace(self, reply=replace(self.reply, visibility=Visibility.INTERNAL))


def parse_stages(pipelines: Iterable[Record]) -> dict[tuple[str, str], Stage]:
    """Return the stages of all pipelines by the ids of pipeline and stage.

    A stage without `ticketState` is open. The first one of a pipeline is where its tickets begin.
    """
    stages: dict[tuple[str, str], Stage] = {}
    for pipeline in pipelines:
        rows = [(row.find_int("displayOrder") or 0, row) for row in pipeline.get_records("stages")]
        begin = min((order for order, row in rows if not row.is_true("archived")), default=0)
        for order, row in rows:
            key = (pipeline.get_key("id"), row.get_key("id"))
            status = ThreadStatus.CREATED if order == begin else ThreadStatus.ONGOING
            label = row.find_text("label") or key[1]
            stages[key] = Stage(label, ThreadStatus.CLOSED if _is_closed(row) else status)
    return stages


def _is_closed(stage: Record) -> bool:
    metadata = stage.find_record("metadata")
    if metadata is None:
        return False
    return metadata.raw("ticketState") == "CLOSED" or metadata.find_flag("isClosed") is True


def stage_key(ticket: Record) -> tuple[str, str]:
    """Return the ids of pipeline and stage; empty where a ticket has none."""
    properties = ticket.get_record("properties")
    return properties.find_key("hs_pipeline") or "", properties.find_key("hs_pipeline_stage") or ""


def find_owner_id(ticket: Record) -> str | None:
    """Return who a ticket is assigned to: an owner's id, which is not the id of the same person in conversations."""
    return ticket.get_record("properties").find_key("hubspot_owner_id")


def ticket_of(record: Record, stage: Stage | None, assignee: str | None, link: str) -> Ticket:
    """Return a ticket. Its number is its id; `link` is where it is if HubSpot does not say."""
    ticket_id = record.get_key("id")
    return Ticket(
        id=ticket_id,
        number=ticket_id,
        link=record.find_text("url") or link,
        subject=record.get_record("properties").find_text("subject"),
        vendor_status=stage.label if stage is not None else stage_key(record)[1] or None,
        status=stage.status if stage is not None else None,
        assignee=assignee,
        updated_at=record.find_instant("updatedAt"),
    )


def find_description(ticket: Record, threads: Iterable[Record]) -> Message | None:
    """Return a ticket's description as a message, or None if it is empty.

    It repeats a conversation that was there before the ticket, and is internal then. It is told all the same: a first
    message that vanishes as soon as a conversation comes would look like a failure.
    """
    text, created_at = ticket.get_record("properties").find_text("content"), ticket.get_instant("createdAt")
    if text is None:
        return None
    begun = [thread.find_instant("createdAt") for thread in threads]
    is_copy = any(at is None or at <= created_at + OPENING for at in begun)
    reply = Reply(
        id=f"{ticket.get_key('id')}-description",
        author=Author(AuthorKind.CUSTOMER),
        visibility=Visibility.INTERNAL if is_copy else Visibility.PUBLIC,
        body=Body(text),
        created_at=created_at,
    )
    return Message(reply, thread_id="", actor=None, touched_at=None, is_whole=True)


def find_message(record: Record, thread_id: str, channels: Mapping[str, str]) -> Message | None:
    """Return a message or note, or None for an event.

    Only a MESSAGE is what people wrote to each other, and WELCOME_MESSAGE what the chat said by itself. A COMMENT is a
    note, and so is everything of a type that is not known. What was not sent or was removed is internal, and told all
    the same: if it vanished it would look like a failure.
    """
    kind = record.find_text("type")
    if kind in EVENTS:
        return None
    is_public = kind in {MESSAGE, WELCOME} and not _is_withdrawn(record)
    senders = record.find_records("senders")
    actor = _find_actor(record, senders)
    channel, word = _channel(record, senders, channels) if kind == MESSAGE else (Channel.OTHER, None)
    author = _author_kind(record, actor) if kind != WELCOME else AuthorKind.SYSTEM
    name = next((sender.find_text("name") for sender in senders if sender.find_text("name")), None)
    reply = Reply(
        id=record.get_key("id"),
        author=Author(author, name if author is AuthorKind.AGENT else None),
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=body_of(record) or Body(""),
        created_at=record.get_instant("createdAt"),
        subject=record.find_text("subject"),
        channel=Channel.CHAT if kind == WELCOME else channel,
        vendor_channel=word,
        attachments=tuple(_attachments(record)),
    )
    is_whole = (record.find_text("truncationStatus") or WHOLE) == WHOLE
    return Message(reply, thread_id, actor, record.find_instant("updatedAt"), is_whole)


def _is_withdrawn(record: Record) -> bool:
    """Tell whether a message could not be sent, or was removed."""
    status = record.find_record("status")
    return record.is_true("archived") or (status is not None and status.raw("statusType") == "FAILED")


def body_of(record: Record) -> Body | None:
    """Return the text of a message; chat has no HTML."""
    html, text = record.find_text("richText"), record.find_text("text")
    if html is not None:
        return Body(html, BodyFormat.HTML)
    return None if text is None else Body(text)


def _find_actor(record: Record, senders: Iterable[Record]) -> str | None:
    """Return who wrote a message, such as A-123; who is known by an e-mail address alone may have no id."""
    named = record.find_text("createdBy")
    return named or next((sender.find_text("actorId") for sender in senders if sender.find_text("actorId")), None)


def _author_kind(record: Record, actor: str | None) -> AuthorKind:
    """Return on which side a message was written: by an agent, else by its direction, else by the kind of the actor.

    What comes in is the customer's, also through an integration; what goes out by none but a program is automatic.
    """
    direction, prefix = record.raw("direction"), actor[0] if actor is not None and actor[1:2] == "-" else ""
    if prefix == "A":
        return AuthorKind.AGENT
    if direction == "INCOMING":
        return AuthorKind.CUSTOMER
    if prefix in AUTOMATA:
        return AuthorKind.SYSTEM
    if direction == "OUTGOING":
        client = record.find_record("client")
        automatic = client is not None and client.raw("clientType") == "SYSTEM"
        return AuthorKind.SYSTEM if automatic else AuthorKind.AGENT
    return AuthorKind.CUSTOMER if prefix == "V" else AuthorKind.UNKNOWN


def _channel(record: Record, senders: Iterable[Record], channels: Mapping[str, str]) -> tuple[Channel, str | None]:
    """Return the channel of a message and HubSpot's word for it; a custom channel is told by its addresses."""
    channel_id = record.find_key("channelId") or ""
    word = channels.get(channel_id) or CHANNEL_NAMES.get(channel_id) or channel_id or None
    known = CHANNELS.get(_plain(word)) or CHANNELS.get(CHANNEL_NAMES.get(channel_id, ""))
    if known is not None:
        return known, word
    addresses = (sender.find_record("deliveryIdentifier") for sender in senders)
    kinds = [address.find_text("type") or "" for address in addresses if address is not None]
    return next((ADDRESS_CHANNELS[kind] for kind in kinds if kind in ADDRESS_CHANNELS), Channel.OTHER), word


def _plain(word: str | None) -> str:
    return (word or "").strip().upper().replace(" ", "_").replace("-", "_")


def _attachments(record: Record) -> Iterable[Attachment]:
    """Yield what hangs on a message: files with their links, other things by what they are.

    A link that is signed is a key to a private file, for a few hours, and is left out.
    """
    for item in record.find_records("attachments"):
        kind = item.find_text("type") or "FILE"
        if kind == "FILE":
            link = item.find_text("url") or ""
            yield Attachment(
                item.find_text("name") or "attachment", link=None if _SIGNED.search(link) else link or None
            )
        elif kind in OTHER_ATTACHMENTS:
            yield Attachment(OTHER_ATTACHMENTS[kind])
