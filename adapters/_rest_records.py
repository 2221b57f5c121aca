"""Records of a system that nobody wrote an adapter for, turned into tickets and replies as its settings say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from adapters._rest_config import AttachmentFields, ReplyFields, ReplyOptions, TicketOptions
from adapters._rest_expressions import TICKET, Expression, Times, Unfit
from adapters._rest_rules import (
    Rule,
    WordTable,
    as_body,
    as_key,
    as_optional_key,
    as_text,
    as_word,
    doubt_flag,
    doubt_mark,
    is_true,
    kind_of,
    no_doubt,
)
from syncd.model.communication import Channel
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import (
    Attachment,
    Author,
    AuthorKind,
    Body,
    BodyFormat,
    Reply,
    Ticket,
    Unavailability,
    Unavailable,
    Visibility,
)
from syncd.sources.trial import TriedField

Json = Mapping[str, Any]


class TicketReading:
    """What the record of a ticket means."""

    def __init__(self, options: TicketOptions, times: Times, base_url: str) -> None:
        fields, statuses = options.fields, WordTable.of("ticket.statuses", options.statuses)
        self._statuses = statuses
        self._base_url = base_url.rstrip("/")
        self._link_template = fields.link_template
        makers = {
            "id": (as_key, no_doubt),
            "number": (as_key, no_doubt),
            "link": (as_text, no_doubt),
            "subject": (as_text, no_doubt),
            "status": (as_word, statuses.doubt),
            "assignee": (as_text, no_doubt),
            "updated_at": (_optional(times.parse), no_doubt),
        }
        tables = {"status": statuses}
        self.rules = {name: _rule("ticket.fields", fields, name, *how, tables) for name, how in makers.items()}
        self._gone = _optional_rule("ticket.gone", options.gone, is_true, doubt_mark)
        self._merged = _optional_rule("ticket.merged_into", options.merged_into, as_optional_key, no_doubt)

    def key(self, record: Json, name: str, about: str) -> str:
        """Return the id or the number in a record."""
        return str(self._value(name, record, about))

    def ticket(self, record: Json) -> Ticket | Unavailable:
        """Return a ticket, or that it counts as gone or was merged."""
        ticket_id = self.key(record, "id", "a ticket")
        about = f"ticket {ticket_id}"
        if self._merged and (into := self._merged.value(record, about)):
            return Unavailable(ticket_id, Unavailability.MERGED, into)
        if self._gone and self._gone.value(record, about):
            return Unavailable(ticket_id, Unavailability.GONE)
        number = self.key(record, "number", about)
        word = self._value("status", record, about)
        return Ticket(
            id=ticket_id,
            number=number,
            link=self._filled_link(ticket_id, number) or self._value("link", record, about),
            subject=self._value("subject", record, about),
            vendor_status=word,
            status=self._statuses.find(word),
            assignee=self._value("assignee", record, about),
            updated_at=self._value("updated_at", record, about),
        )

    def tried(self, record: Json) -> list[TriedField]:
        """Return what each field of a record becomes."""
        rules = [*self.rules.values(), self._gone, self._merged]
        tried = [rule.tried(record, "ticket") for rule in rules if rule is not None]
        if self._link_template:
            tried.insert(2, self._tried_link(record))
        return tried

    def _value(self, name: str, record: Json, about: str) -> Any:
        rule = self.rules[name]
        return None if rule is None else rule.value(record, about)

    def _filled_link(self, ticket_id: str, number: str) -> str | None:
        return self._link_template.format(base_url=self._base_url, id=ticket_id, number=number) or None

    def _tried_link(self, record: Json) -> TriedField:
        try:
            link, problem = self._filled_link(*(self.key(record, name, "") for name in ("id", "number"))), None
        except UnexpectedAnswer:
            link, problem = "", "cannot be filled in without an id and a number"
        return TriedField("ticket.link", link or "", self._link_template, problem=problem)


class ReplyReading:
    """What the records of replies mean, those beside a ticket and the first message inside it."""

    def __init__(self, options: ReplyOptions, times: Times) -> None:
        self._kinds = WordTable.of("replies.author_kinds", options.author_kinds, AuthorKind)
        self._formats = WordTable.of("replies.body_formats", options.body_formats, BodyFormat)
        self._channels = WordTable.of("replies.channels", options.channels, Channel)
        self._times = times
        self._rules = self._rules_of("replies.fields", options.fields)
        self._first = self._rules_of("replies.first", options.first) if options.first else None
        self._files = _Files("replies.fields.attachments", options.fields.attachments)
        self._first_files = _Files("replies.first.attachments", options.first.attachments if options.first else None)
        self._skip = _optional_rule("replies.skip", options.skip, is_true, doubt_mark)
        self._oldest_is_first = (
            options.oldest_is_first and options.first is None and options.fields.first_message is None
        )
        expressions = [rule.expression for rule in [*self._rules.values(), self._skip] if rule is not None]
        self.needs_ticket = self._first is not None or any(one.asks_for_ticket for one in expressions)

    def replies(self, ticket_id: str, ticket: Json | None, records: Sequence[Json], *, whole: bool) -> list[Reply]:
        """Return the replies of a ticket, oldest first, each once; `whole`: the records are all there are."""
        first = self._first_message(ticket_id, ticket)
        found = {first.id: first} if first else {}
        for number, record in enumerate(records, start=1):
            scope = {**record, TICKET: ticket}
            about = f"reply {number} of ticket {ticket_id}"
            if self._skip is None or not self._skip.value(scope, about):
                reply = self._reply(self._rules, self._files, scope, about)
                if first and reply.id == first.id:
                    _require_same(first, reply)
                found.setdefault(reply.id, reply)
        ordered = sorted(found.values(), key=lambda reply: reply.created_at)
        if whole and self._oldest_is_first and ordered:
            ordered[0] = replace(ordered[0], first_message=True)
        return ordered

    def tried(self, ticket: Json, records: Sequence[Json]) -> list[TriedField]:
        """Return what each field of each reply becomes, oldest first as far as their times can be read."""
        scopes = [(self._rules, self._files, {**record, TICKET: ticket}) for record in records]
        scopes.sort(key=lambda one: self._time_of(one[2]))
        if self._first is not None:
            scopes.insert(0, (self._first, self._first_files, {**ticket, TICKET: ticket}))
        tried: list[TriedField] = []
        for number, (rules, files, scope) in enumerate(scopes):
            place = f"replies[{number}]"
            skipped = self._skip.tried(scope, place) if self._skip and rules is self._rules else None
            tried += [skipped] if skipped else []
            if skipped is None or skipped.found is not True:
                tried += [rule.tried(scope, place) for rule in rules.values()] + files.tried(scope, place)
        return tried

    def _first_message(self, ticket_id: str, ticket: Json | None) -> Reply | None:
        """Return the message that is part of the ticket; a ticket without a text has none."""
        if self._first is None or ticket is None:
            return None
        scope, about = {**ticket, TICKET: ticket}, f"the first message of ticket {ticket_id}"
        body = replace(self._first["body"], make=_optional(as_body)).value(scope, about)
        if body is None:
            return None
        return replace(self._reply(self._first, self._first_files, scope, about), first_message=True)

    def _rules_of(self, place: str, fields: ReplyFields) -> dict[str, Rule]:
        makers = {
            "id": (as_key, no_doubt),
            "author": (as_text, no_doubt),
            "author_kind": (self._kinds.find, self._kinds.doubt),
            "public": (_visibility, doubt_flag),
            "body": (as_body, no_doubt),
            "body_format": (self._formats.find, self._formats.doubt),
            "channel": (as_word, self._channels.doubt),
            "created_at": (self._times.parse, no_doubt),
            "edited_at": (_optional(self._times.parse), no_doubt),
            "subject": (as_text, no_doubt),
            "first_message": (is_true, doubt_mark),
            "written_on": (as_optional_key, no_doubt),
        }
        tables = {"channel": self._channels}
        rules = {name: _rule(place, fields, name, *how, tables) for name, how in makers.items()}
        return {name: rule for name, rule in rules.items() if rule is not None}

    def _reply(self, rules: Mapping[str, Rule], files: "_Files", scope: Json, about: str) -> Reply:
        reply_id = rules["id"].value(scope, about)
        about = f"reply {reply_id}"
        values = {name: rule.value(scope, about) for name, rule in rules.items()}
        created_at, edited_at = values["created_at"], values.get("edited_at")
        return Reply(
            id=reply_id,
            author=Author(values.get("author_kind") or AuthorKind.UNKNOWN, values.get("author")),
            visibility=values["public"],
            body=Body(values["body"], values.get("body_format") or BodyFormat.TEXT),
            created_at=created_at,
            edited_at=edited_at if edited_at and edited_at > created_at else None,
            subject=values.get("subject"),
            channel=self._channels.find(values.get("channel")) or Channel.OTHER,
            vendor_channel=values.get("channel"),
            attachments=files.read(scope, about),
            first_message=values.get("first_message", False),
            written_on=values.get("written_on"),
        )

    def _time_of(self, scope: Json) -> float:
        try:
            instant: datetime = self._times.parse(self._rules["created_at"].expression.find(scope))
            return instant.timestamp()
        except Unfit:
            return float("inf")


class _Files:
    """The files of a reply."""

    def __init__(self, place: str, fields: AttachmentFields | None) -> None:
        self._fields = fields
        self._rule = _optional_rule(place, fields.list if fields else None, self._attachments, no_doubt)

    def read(self, scope: Json, about: str) -> tuple[Attachment, ...]:
        """Return the files of a reply."""
        found: tuple[Attachment, ...] = self._rule.value(scope, about) if self._rule else ()
        return found

    def tried(self, scope: Json, place: str) -> list[TriedField]:
        """Return what becomes of them, if the settings speak of files."""
        return [self._rule.tried(scope, place)] if self._rule else []

    def _attachments(self, found: Any) -> tuple[Attachment, ...]:
        if not isinstance(found, list | None):
            raise Unfit(f"gives {kind_of(found)} where a list of files is needed")
        return tuple(self._attachment(one) for one in found or ())

    def _attachment(self, entry: Any) -> Attachment:
        fields = self._fields
        if fields is None or not isinstance(entry, dict):
            raise Unfit(f"gives a list with {kind_of(entry)} in it where files are needed")
        link = as_text(fields.link.find(entry)) if fields.link else None
        size = fields.size.find(entry) if fields.size else None
        return Attachment(
            name=as_text(fields.name.find(entry)) or "attachment",
            size_bytes=size if isinstance(size, int) and not isinstance(size, bool) else None,
            media_type=as_text(fields.media_type.find(entry)) if fields.media_type else None,
            link=link if link and _is_web_address(link) else None,
        )


def _require_same(first: Reply, reply: Reply) -> None:
    """Raise if a reply has the id of the first message by chance: it would be lost."""
    if reply.body.text != first.body.text and reply.created_at != first.created_at:
        raise UnexpectedAnswer(f"replies.first.id gives the id of another reply ({reply.id}); write a text before it")


def _is_web_address(link: str) -> bool:
    try:
        return urlsplit(link).scheme in {"https", "http"}
    except ValueError:
        return False


def _visibility(found: Any) -> Visibility:
    return Visibility.PUBLIC if found is True else Visibility.INTERNAL


def _optional(parse: Any) -> Any:
    """Return a way to read what may be missing."""
    return lambda found: None if found is None or found == "" else parse(found)


def _rule(place: str, fields: Any, name: str, make: Any, doubt: Any, tables: Mapping[str, WordTable]) -> Rule | None:
    expression = getattr(fields, name)
    return Rule(f"{place}.{name}", expression, make, doubt, tables.get(name)) if expression else None


def _optional_rule(place: str, expression: Expression | None, make: Any, doubt: Any) -> Rule | None:
    return None if expression is None else Rule(place, expression, make, doubt)
