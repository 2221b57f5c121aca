"""What Jira's JSON means: issues, their comments, who wrote them, and whether customers see them. No I/O."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from adapters._jira_document import file_names, markdown_of
from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.sources.records import Record

STATUSES = {
    "new": ThreadStatus.CREATED,
    "indeterminate": ThreadStatus.ONGOING,
    "undefined": ThreadStatus.ONGOING,
    "done": ThreadStatus.CLOSED,
}
STATE_FIELDS = ("summary", "status", "updated", "assignee")
WHOLE_FIELDS = (*STATE_FIELDS, "created", "reporter", "description", "attachment", "comment")
CHANNEL_PROPERTY = "request.channel.type"
NOTE_PROPERTY = "sd.public.comment"
REQUEST_TYPE = "com.atlassian.servicedesk:vp-origin"
PARTICIPANTS = "com.atlassian.servicedesk:sd-request-participants"

_WIKI_FILE = re.compile(r"\[\^([^\]|\n]+)|!([^!|\n]+)[!|]")


@dataclass(frozen=True, slots=True)
class RequestFields:
    """The ids of the fields that make an issue a request; None where the site has no such field."""

    request_type: str | None = None
    participants: str | None = None

    @classmethod
    def parse(cls, fields: Iterable[Record]) -> "RequestFields":
        """Return the ids by the types of the fields, because their names are translated."""
        found: dict[str, str] = {}
        for one in fields:
            schema = one.find_record("schema")
            custom = schema.find_text("custom") if schema else None
            if custom in {REQUEST_TYPE, PARTICIPANTS}:
                found.setdefault(str(custom), one.get_key("id"))
        return cls(found.get(REQUEST_TYPE), found.get(PARTICIPANTS))

    @property
    def ids(self) -> tuple[str, ...]:
        """Return those that there are."""
        return tuple(one for one in (self.request_type, self.participants) if one)


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue with what its comments are judged by; `comments` are those that came with it.

    `askers` are the accounts of reporter and participants, `rendered` the HTML of texts by comment id (Data Center),
    `comments_total` how many comments there are, or None where the issue does not tell.
    """

    id: str
    created_at: datetime
    updated_at: datetime
    summary: str | None
    reporter: Record | None
    askers: frozenset[str]
    is_request: bool
    channel: str | None
    files: Mapping[str, Attachment]
    description: Any = field(repr=False)
    rendered: Mapping[str, str] = field(repr=False)
    comments: tuple[Record, ...] = field(repr=False)
    comments_total: int | None

    @classmethod
    def parse(cls, raw: Record, known: RequestFields, site: str) -> "Issue":
        """Return what an answer with WHOLE_FIELDS says."""
        fields = raw.get_record("fields")
        people = [fields.find_record("reporter")]
        people += fields.find_records(known.participants) if known.participants else []
        embedded = fields.find_record("comment")
        return cls(
            id=raw.get_key("id"),
            created_at=fields.get_instant("created"),
            updated_at=fields.get_instant("updated"),
            summary=fields.find_text("summary"),
            reporter=people[0],
            askers=frozenset(key for key in map(account_key, people) if key),
            is_request=known.request_type is not None and bool(fields.raw(known.request_type)),
            channel=_channel_word(raw),
            files=_files(fields.find_records("attachment"), site),
            description=fields.raw("description"),
            rendered=_rendered(raw),
            comments=tuple(embedded.get_records("comments")) if embedded else (),
            comments_total=embedded.get_int("total") if embedded else None,
        )

    @property
    def has_all_comments(self) -> bool:
        """Tell whether the comments that came with the issue are all of them: long threads are cut."""
        return len(self.comments) == self.comments_total


def parse_ticket(raw: Record, site: str) -> Ticket:
    """Return the state of an issue. Names of statuses are free, so their category tells the level."""
    fields = raw.get_record("fields")
    status = fields.get_record("status")
    category, assignee = status.find_record("statusCategory"), fields.find_record("assignee")
    key = raw.get_text("key")
    return Ticket(
        id=raw.get_key("id"),
        number=key,
        link=f"{site}/browse/{key}",
        subject=fields.find_text("summary"),
        vendor_status=status.find_text("name"),
        status=STATUSES.get((category.find_text("key") or "").lower()) if category else None,
        assignee=assignee.find_text("displayName") if assignee else None,
        updated_at=fields.get_instant("updated"),
    )


def account_key(user: Record | None) -> str | None:
    """Return what tells people apart: the account id of Cloud, the key or name of Data Center."""
    if user is None:
        return None
    return user.find_key("accountId") or user.find_key("key") or user.find_key("name")


def undecided(issue: Issue, comments: Sequence[Record]) -> set[str]:
    """Return the ids of a request's comments that do not say themselves whether customers see them."""
    if not issue.is_request:
        return set()
    return {one.get_key("id") for one in comments if "jsdPublic" not in one and one.raw("visibility") is None}


def replies_of(
    issue: Issue, comments: Sequence[Record], told_public: Mapping[str, bool], *, plain_public: bool
) -> list[Reply]:
    """Return the description and the comments, oldest first.

    `told_public` is what Service Management says of comments that do not say it themselves. `plain_public`: comments
    of issues that are no requests, which no customer sees in a portal, count as public.
    """
    internal = _internal_ids(issue, comments, told_public, plain_public=plain_public)
    replies = [_reply(one, issue, is_internal=one.get_key("id") in internal) for one in comments]
    replies.append(_first_message(issue, is_public=issue.is_request or plain_public))
    return sorted(replies, key=lambda reply: (reply.created_at, not reply.first_message, len(reply.id), reply.id))


def _internal_ids(
    issue: Issue, comments: Sequence[Record], told_public: Mapping[str, bool], *, plain_public: bool
) -> Collection[str]:
    """Return the ids of comments that no customer may see: answers to such comments are among them."""
    internal: set[str] = set()
    for one in sorted(comments, key=_place_of):
        key = one.get_key("id")
        told = one.raw("jsdPublic") is True or told_public.get(key) is True
        shown = told if issue.is_request else plain_public
        parent = one.find_key("parentId")
        if not shown or told_public.get(key) is False or _is_restricted(one) or (parent and parent in internal):
            internal.add(key)
    return internal


def _place_of(comment: Record) -> tuple[datetime, int, str]:
    key = comment.get_key("id")
    return comment.get_instant("created"), len(key), key


def _is_restricted(comment: Record) -> bool:
    """Tell whether a comment says of itself, in any of three ways, that it is not for everybody."""
    if comment.raw("visibility") is not None or ("jsdPublic" in comment and comment.raw("jsdPublic") is not True):
        return True
    marks = [one.raw("value") for one in comment.find_records("properties") if one.raw("key") == NOTE_PROPERTY]
    return any(not isinstance(mark, dict) or mark.get("internal") is not False for mark in marks)


def _first_message(issue: Issue, *, is_public: bool) -> Reply:
    """Return the description; where there is none, the summary is all that was asked."""
    author = _author(issue.reporter, issue)
    return Reply(
        id=f"description:{issue.id}",
        author=author,
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=_body(issue.description, issue.rendered.get("")) or Body(issue.summary or ""),
        created_at=issue.created_at,
        channel=_channel(issue.channel),
        vendor_channel=issue.channel,
        attachments=_shown_files(issue.description, issue.files),
        first_message=True,
    )


def _reply(raw: Record, issue: Issue, *, is_internal: bool) -> Reply:
    key, created = raw.get_key("id"), raw.get_instant("created")
    updated = raw.find_instant("updated")
    is_stranger = raw.raw("jsdAuthorCanSeeRequest") is False
    body = _body(raw.raw("body"), raw.find_text("renderedBody") or issue.rendered.get(key))
    if body is None and raw.raw("body") is None:
        raise UnexpectedAnswer(f"{raw.where} has no body")
    return Reply(
        id=key,
        author=_author(raw.find_record("author"), issue, is_stranger=is_stranger),
        visibility=Visibility.INTERNAL if is_internal else Visibility.PUBLIC,
        body=body or Body(""),
        created_at=created,
        edited_at=updated if updated and updated > created else None,
        channel=Channel.EMAIL if is_stranger else _channel(issue.channel),
        vendor_channel=issue.channel,
        attachments=_shown_files(raw.raw("body"), issue.files),
    )


def _author(user: Record | None, issue: Issue, *, is_stranger: bool = False) -> Author:
    """Return who wrote. An agent who asks is a customer, and one who wrote by mail without being on the request."""
    kind = user.find_text("accountType") if user else None
    if is_stranger or kind == "customer" or account_key(user) in issue.askers:
        return Author(AuthorKind.CUSTOMER)
    if kind == "app":
        return Author(AuthorKind.SYSTEM)
    if user is None or account_key(user) is None or (kind != "atlassian" and "accountId" in user):
        return Author(AuthorKind.UNKNOWN)
    return Author(AuthorKind.AGENT, user.find_text("displayName"))


def _body(raw: Any, html: str | None) -> Body | None:
    """Return a text: HTML where Jira made it, a document as Markdown, or wiki text as it is; None if it is empty."""
    if raw is None or raw == "":
        return None
    if not isinstance(raw, dict | str):
        raise UnexpectedAnswer("a text of Jira is neither text nor document")
    if html:
        return Body(html, BodyFormat.HTML)
    if isinstance(raw, str):
        return Body(raw)
    text = markdown_of(raw)
    return Body(text, BodyFormat.MARKDOWN) if text else None


def _channel(word: str | None) -> Channel:
    """Return the channel: a request that came by mail is answered by mail; nothing tells it for a single comment."""
    if word == "email":
        return Channel.EMAIL
    return Channel.CHAT if word and "chat" in word else Channel.OTHER


def _channel_word(raw: Record) -> str | None:
    properties = raw.raw("properties")
    value = properties.get(CHANNEL_PROPERTY) if isinstance(properties, dict) else None
    word = value.get("value") if isinstance(value, dict) else value
    return word.strip().lower() or None if isinstance(word, str) else None


def _rendered(raw: Record) -> Mapping[str, str]:
    """Return the HTML of the comments that came along, by their ids, and that of the description under ''."""
    fields = raw.find_record("renderedFields")
    if fields is None:
        return {}
    comment = fields.find_record("comment")
    texts = {one.get_key("id"): one.find_text("body") for one in (comment.find_records("comments") if comment else [])}
    texts[""] = fields.find_text("description")
    return {key: text for key, text in texts.items() if text}


def _files(attachments: Iterable[Record], site: str) -> Mapping[str, Attachment]:
    """Return the files of an issue by name, with the address at which people get them."""
    files: dict[str, Attachment] = {}
    for one in attachments:
        name, key = one.find_text("filename") or "attachment", one.get_key("id")
        link = f"{site}/secure/attachment/{quote(key, safe='')}/{quote(name, safe='')}"
        files[name] = Attachment(name, one.find_int("size"), one.find_text("mimeType"), link)
    return files


def _shown_files(body: Any, files: Mapping[str, Attachment]) -> tuple[Attachment, ...]:
    """Return the files that a text shows; Jira hangs them on the issue, and names them in the text."""
    names: Iterable[str] = file_names(body)
    if isinstance(body, str):
        names = dict.fromkeys(linked or shown for linked, shown in _WIKI_FILE.findall(body))
    return tuple(files[name] for name in names if name in files)
