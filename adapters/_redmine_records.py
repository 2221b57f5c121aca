"""What Redmine's answers mean: issues, journals and roles as values. No I/O.

https://www.redmine.org/projects/redmine/wiki/Rest_Issues, and app/views/issues/show.api.rsb of its source
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, Reply, Ticket, Visibility
from syncd.sources.records import Record

DESCRIPTION = "description"
"""The vendor's channel of the first message, which is no journal; that of a journal is NOTE."""
NOTE = "note"
NO_ROLES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Statuses:
    """The statuses of a Redmine: which are closed, and with which one the issues of a tracker begin."""

    closed: frozenset[str]
    first: Mapping[str, str]
    first_open: str | None

    @classmethod
    def of(cls, statuses: Collection[Record], trackers: Collection[Record]) -> "Statuses":
        """Return them from the lists of statuses (in their order) and trackers."""
        closed = frozenset(status.get_key("id") for status in statuses if status.is_true("is_closed"))
        ids = [status.get_key("id") for status in statuses]
        first = {}
        for tracker in trackers:
            default = tracker.find_record("default_status")
            if default is not None:
                first[tracker.get_key("id")] = default.get_key("id")
        return cls(closed, first, next((key for key in ids if key not in closed), None))

    def level_of(self, issue: Record) -> ThreadStatus:
        """Return the level of an issue. Since Redmine 5 its status says itself whether it is closed."""
        status, tracker = issue.get_record("status"), issue.find_record("tracker")
        key = status.get_key("id")
        if status.is_true("is_closed") or key in self.closed:
            return ThreadStatus.CLOSED
        first = self.first.get(tracker.get_key("id"), self.first_open) if tracker else self.first_open
        return ThreadStatus.CREATED if key == first else ThreadStatus.ONGOING


@dataclass(frozen=True, slots=True)
class Sides:
    """Who is an agent and who a customer, as the options say it. Names of roles are compared in any case of letters."""

    agent_roles: frozenset[str]
    customer_roles: frozenset[str]
    agents: frozenset[str]
    non_members: AuthorKind

    def kind_of(self, user_id: str, roles: frozenset[str], opened_by: str | None) -> AuthorKind:
        """Return the kind of somebody with these roles in the project of an issue that `opened_by` wrote."""
        if user_id in self.agents:
            return AuthorKind.AGENT
        if roles:
            names = {role.casefold() for role in roles}
            is_agent = names & self.agent_roles if self.agent_roles else names - self.customer_roles
            return AuthorKind.AGENT if is_agent else AuthorKind.CUSTOMER
        return AuthorKind.CUSTOMER if user_id == opened_by else self.non_members


def parse_ticket(issue: Record, statuses: Statuses, base_url: str) -> Ticket:
    """Return an issue as a ticket. Its number is its id; a group can be its assignee, too."""
    key = issue.get_key("id")
    assignee = issue.find_record("assigned_to")
    return Ticket(
        id=key,
        number=key,
        link=f"{base_url}/issues/{key}",
        subject=issue.find_text("subject"),
        vendor_status=issue.get_record("status").find_text("name"),
        status=statuses.level_of(issue),
        assignee=assignee.find_text("name") if assignee else None,
        updated_at=issue.find_instant("updated_on"),
    )


def roles_in(membership: Record) -> frozenset[str]:
    """Return the names of the roles of a membership, those that come with a group included."""
    return frozenset(role.get_text("name") for role in membership.get_records("roles"))


def find_user_id(record: Record, name: str) -> str | None:
    """Return the id of a person in a record, None if there is nobody."""
    person = record.find_record(name)
    return person.get_key("id") if person else None


class Conversation:
    """The messages of one issue: its description, and the journals with words or files.

    A private issue is for its author, its assignee and agents: where no customer opened it, all of it is internal.
    """

    def __init__(self, issue: Record, base_url: str) -> None:
        self._issue = issue
        self._base_url = base_url
        self.opened_by = find_user_id(issue, "author")
        self._journals = sorted(issue.get_records("journals"), key=lambda one: (_written_at(one), one.get_int("id")))
        self._files = {file.get_key("id"): file for file in issue.get_records("attachments")}
        told = {key for journal in self._journals for key, _ in _attached(journal)}
        self._first_files = tuple(self._file(key, None) for key in self._files if key not in told)
        # Redmine splits a private note with a file in two: the file goes into a public journal of the same person and
        # time, whose notes are null and not an empty text. Either mark keeps the file inside.
        self._private = {(find_user_id(one, "user"), _written_at(one)) for one in self._journals if not _is_public(one)}

    @property
    def authors(self) -> set[str]:
        """Return the ids of those who wrote."""
        writers = {find_user_id(one, "user") for one in self._journals if _says_something(one)}
        return {key for key in (*writers, self.opened_by) if key is not None}

    def replies(self, kinds: Mapping[str, AuthorKind]) -> list[Reply]:
        """Return the messages, oldest first; `kinds` says of which kind each author is."""
        shared = self._issue.raw("is_private") is False
        shared = shared or kinds.get(self.opened_by or "") is AuthorKind.CUSTOMER
        visibility = Visibility.PUBLIC if shared else Visibility.INTERNAL
        later = [self._later(one, kinds, visibility) for one in self._journals if _says_something(one)]
        return [self._first(kinds, visibility), *later]

    def _first(self, kinds: Mapping[str, AuthorKind], visibility: Visibility) -> Reply:
        """Return the description, which is no journal: what became of it later is told by the journals."""
        edits = [_written_at(one) for one in self._journals if _changes_description(one)]
        return Reply(
            id=f"issue-{self._issue.get_key('id')}",
            author=_author(self._issue.find_record("author"), kinds),
            visibility=visibility,
            body=Body(self._issue.find_text("description") or ""),
            created_at=self._issue.get_instant("created_on"),
            edited_at=max(edits, default=None),
            channel=Channel.OTHER,
            vendor_channel=DESCRIPTION,
            attachments=self._first_files,
            first_message=True,
        )

    def _later(self, journal: Record, kinds: Mapping[str, AuthorKind], visibility: Visibility) -> Reply:
        written_at, edited_at = _written_at(journal), journal.find_instant("updated_on")
        text = _words(journal)
        beside_private = (find_user_id(journal, "user"), written_at) in self._private
        split = not text and (journal.raw("notes") is None or beside_private)
        return Reply(
            id=journal.get_key("id"),
            author=_author(journal.find_record("user"), kinds),
            visibility=visibility if _is_public(journal) and not split else Visibility.INTERNAL,
            body=Body(text),
            created_at=written_at,
            edited_at=edited_at if edited_at != written_at else None,  # Redmine 6 sets it for every journal
            channel=Channel.OTHER,
            vendor_channel=NOTE,
            attachments=tuple(self._file(key, name) for key, name in _attached(journal)),
        )

    def _file(self, key: str, name: str | None) -> Attachment:
        """Return a file, by the name that it had when it was attached; one that was deleted since has no link."""
        file = self._files.get(key)
        if file is None:
            return Attachment(name or "")
        return Attachment(
            name=name or file.find_text("filename") or "",
            size_bytes=file.find_int("filesize"),
            media_type=file.find_text("content_type"),
            link=f"{self._base_url}/attachments/{key}",
        )


def _author(person: Record | None, kinds: Mapping[str, AuthorKind]) -> Author:
    if person is None:
        return Author(AuthorKind.UNKNOWN)
    return Author(kinds.get(person.get_key("id"), AuthorKind.UNKNOWN), person.find_text("name"))


def _written_at(journal: Record) -> datetime:
    return journal.get_instant("created_on")


def _is_public(journal: Record) -> bool:
    return journal.raw("private_notes") is False


def _words(journal: Record) -> str:
    """Return the notes of a journal, empty where it only tells of changed fields; never missing."""
    if "notes" not in journal:
        raise UnexpectedAnswer(f"{journal.where} has no notes")
    text = journal.find_text("notes") or ""
    return text if text.strip() else ""


def _says_something(journal: Record) -> bool:
    return bool(_words(journal) or _attached(journal))


def _attached(journal: Record) -> list[tuple[str, str]]:
    """Return id and name of the files that a journal attached; one that it removed has no new value."""
    return [
        (detail.get_key("name"), detail.get_text("new_value"))
        for detail in journal.get_records("details")
        if detail.find_text("property") == "attachment" and detail.raw("new_value")
    ]


def _changes_description(journal: Record) -> bool:
    return any(
        (detail.find_text("property"), detail.raw("name")) == ("attr", "description")
        for detail in journal.get_records("details")
    )
