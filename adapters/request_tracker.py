"""Request Tracker 5 (REST 2): its transactions are the change feed and the replies; texts hang on them as attachments.

Three things shape this module. A list of transactions does not tell an ordinary account where it ends, and rows that
the account may not see are cut out of its pages: so it is read until its newest visible row was met, whatever a single
page holds. Times in a query are read in the account's own zone, those in answers are UTC: so ids lead, and times are
compared in answers alone. `Content` in a list is plain for texts and garbage for files: so files are never read.
"""

import asyncio
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import Field, SecretStr, field_validator

from adapters._request_tracker_feed import LATE, Bookmark, changes_query
from adapters._request_tracker_lists import API, LOOK_BACK_PAGES, MOST_ROWS, Lists, Params, in_path, only
from adapters._request_tracker_records import (
    Part,
    Transaction,
    body_of,
    channel_of,
    files_of,
    parse_ticket,
    text_parts,
)
from adapters._webhooks_shared import REQUEST_TRACKER
from syncd.model.errors import InvalidTicketRef, PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    Author,
    AuthorKind,
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
    Visibility,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, HeaderAuthentication, Http, Refused
from syncd.sources.links import parse_ticket_link
from syncd.sources.records import Record


class RequestTrackerConfig(AdapterConfig):
    """`[systems.NAME.options]` of a Request Tracker."""

    token: SecretStr = Field(
        min_length=1,
        description="Authentication token of the account (Logged in as > Settings > Auth Tokens), such as 1-31-0a1b...",
    )
    queues: tuple[str, ...] = Field(
        default=(),
        description="Names of the queues whose changes are read; empty means all that the account sees. Name them "
        "where the account sees a small part of a busy Request Tracker.",
    )

    @field_validator("base_url")
    @classmethod
    def _without_api(cls, base_url: str) -> str:
        return base_url.rstrip("/").removesuffix(API)


MESSAGES = ("Create", "Correspond", "Comment")
LINKED = "AddLink"  # what a merge leaves in the histories
EMPTY_PAGES = 20  # in a row, within one ticket
REPLIES_AT_ONCE = 50
TEXT_BYTES = 8 * 1024 * 1024  # of texts in one answer
USERS_KEPT = 10_000

Item = TypeVar("Item")

_HISTORY: Params = [("fields", "Type,Creator,Created,ObjectId"), ("fields[Creator]", "Name,RealName")]
_OWNER = ("fields[Owner]", "Name,RealName")
_NUMBER = re.compile(r"#?([1-9][0-9]{0,17})", re.ASCII)
_LINK_PATH = re.compile(r"/(?:(?:Ticket|SelfService)/[A-Za-z]+\.html|m/ticket/(?:show|history))$")
_LINK_ID = re.compile(r"(?:^|[&;])id=([1-9][0-9]{0,17})(?:[&;]|$)", re.ASCII)
_TOKEN_OWNER = re.compile(r"[0-9]+-([0-9]+)-")


class RequestTracker(Adapter[RequestTrackerConfig]):
    """Reads a Request Tracker as an ordinary account; root is told more, and differently."""

    config = RequestTrackerConfig
    capabilities = frozenset({Capability.CHANGE_FEED, Capability.BULK_TICKETS})
    title = "Request Tracker"
    documentation = "https://docs.bestpractical.com/rt/5.0.8/RT/REST2.html"
    permissions = (
        "a privileged user with SeeQueue and ShowTicket on the queues concerned, and ShowTicketComments if internal "
        "comments shall be listed as withheld"
    )
    webhook = REQUEST_TRACKER

    def __init__(self, options: RequestTrackerConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._lists = Lists(http)
        self._kinds: dict[str, AuthorKind] = {}

    @classmethod
    def connection(cls, options: RequestTrackerConfig) -> Connection:
        """Return how to reach it. RT sets no limit, but a request costs it a quarter of a second of CPU."""
        authentication = HeaderAuthentication(options.token, scheme="token")
        return Connection(options.base_url, authentication, requests_per_minute=120, concurrency=2)

    async def check(self) -> Identity:
        """Tell the account, whose user id stands in the token (RT has no "who am I"), and the queues it sees."""
        version = await self._version()
        account, warnings = await self._account()
        queues = await self._lists.newest("queues/all", [("fields", "Name")])
        names = [str(row.get("Name")) for row in queues.rows] if queues else []
        hidden = [name for name in self.options.queues if await self._lists.find(f"queue/{in_path(name)}") is None]
        everything = (await self._lists.page("transactions", [("query", changes_query(())), *_HISTORY])).total
        if not names:
            warnings.append("the account sees no queue: grant it SeeQueue and ShowTicket on the queues concerned")
        if hidden:
            warnings.append(f"the account does not see {', '.join(hidden)}, named in the option queues")
        if everything is not None:
            warnings.append("the account sees everything (SuperUser): use one with the least permissions")
        notes = (f"Request Tracker {version}", f"queues: {', '.join(names) or 'none'}")
        return Identity(account, notes, tuple(warnings))

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number, with or without #, or by a link of RT's pages."""
        if ref.number is not None:
            match = _NUMBER.fullmatch(ref.number.strip())
        else:
            parts = parse_ticket_link(str(ref.link), self.options.base_url, self.link_hosts)
            match = _LINK_ID.search(parts.query) if _LINK_PATH.search(parts.path) else None
        if match is None:
            raise InvalidTicketRef(
                "this is no ticket of Request Tracker; write its number, such as 123, or a link that ends in "
                "/Ticket/Display.html?id=123"
            )
        state = await self._ticket(match[1])
        if isinstance(state, Unavailable):
            raise TicketUnavailable(state)
        return state

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Search for a hundred at a time, and ask one by one for those that searches never show."""
        states: dict[str, Ticket | Unavailable] = {}
        wanted = [key for key in dict.fromkeys(ids) if _NUMBER.fullmatch(key)]
        fields: Params = [("fields", "Subject,Status,LastUpdated,Owner"), _OWNER]
        for batch in _batches(wanted, MOST_ROWS):
            query = ("query", " OR ".join(f"id = {key}" for key in batch))
            async for row in self._lists.whole("tickets", [query, *fields]):
                states[str(row.get("id"))] = parse_ticket(row, self.options.base_url)
        return [states.get(key) or await self._ticket(key) for key in dict.fromkeys(ids)]

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield messages and comments, those of tickets that were merged into this one too.

        It costs two requests at once for the ticket and its history, and two for each 50 replies: their parts, and the
        texts among them. The ticket is asked for because RT shows the history of a deleted one as if nothing had
        happened, that of the other for a merged one, and an empty one for what is forbidden or gone.
        """
        rows = {row.id: row for row in await self._available_history(ticket, since) if row.type in MESSAGES}
        wanted = sorted(
            (row for row in rows.values() if since is None or row.created_at >= since),
            key=lambda row: (row.created_at, row.id),
        )
        for batch in _batches(wanted, REPLIES_AT_ONCE):
            parts = await self._parts(ticket, batch)
            chosen = {row.id: text_parts(parts[row.id]) for row in batch}
            texts = await self._texts(ticket, [part for found in chosen.values() for part in found])
            for row in batch:
                kind = await self._kind_of(row.login)
                channel, interface = channel_of(parts[row.id], kind)
                yield Reply(
                    id=str(row.id),
                    author=Author(kind, row.real_name or row.login or None),
                    visibility=Visibility.INTERNAL if row.type == "Comment" else Visibility.PUBLIC,
                    body=body_of(chosen[row.id], texts),
                    created_at=row.created_at,
                    subject=next((part.subject for part in parts[row.id] if part.subject), None),
                    channel=channel,
                    vendor_channel=interface,
                    attachments=files_of(parts[row.id], self.options.base_url),
                    first_message=row.type == "Create" and row.ticket_id == ticket.id,
                    written_on=row.ticket_id,
                )

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets with new messages, comments, statuses and merges. An idle sweep is one request."""
        mark = Bookmark.parse(start)
        since = mark.start
        params: Params = [("query", changes_query(self.options.queues)), *_HISTORY]
        page = await self._lists.newest("transactions", params)
        newest = [Transaction.parse(row) for row in page.rows] if page else []
        answered_at = page.answered_at if page else None
        if page is None and since is None:
            raise RetryLater(
                f"the newest {LOOK_BACK_PAGES} pages of changes hold none that the account may see; grant it "
                "ShowTicketComments, or name its queues in the option queues"
            )
        if page is None or mark.reached_by(newest):
            yield ChangePage(mark.moved_over(newest, answered_at).cursor(), mark.news(newest, since))
            return
        latest = max(row.id for row in newest)
        params = [("query", mark.query(self.options.queues)), *_HISTORY]
        async for rows in self._lists.walk("transactions", params, latest, latest - mark.after):
            tickets, mark = mark.news(rows, since), mark.moved_over(rows, answered_at)
            yield ChangePage(mark.cursor(), tickets)

    async def _version(self) -> str:
        try:
            data = (await self.http.get(f"{API}/rt")).json()
            return str(data["Version"])
        except (Refused, UnexpectedAnswer, KeyError, TypeError):
            pass
        raise PauseSystem(
            f"there is no Request Tracker with REST 2 at {self.options.base_url}; set base_url to the address of its "
            "start page (RT 5 has REST 2, RT 4.4 needs the extension RT::Extension::REST2)"
        )

    async def _account(self) -> tuple[str, list[str]]:
        owner = _TOKEN_OWNER.match(self.options.token.get_secret_value())
        user = await self._lists.find(f"user/{owner[1]}") if owner else None
        if user is None:
            return "the owner of the token", []
        if str(user.get("Privileged")) == "1":
            return str(user.get("Name")), []
        return str(user.get("Name")), ["the account is not privileged: it cannot tell agents from customers"]

    async def _ticket(self, key: str) -> Ticket | Unavailable:
        """Ask for one ticket. One that was merged is answered with the other, one that was deleted as any other."""
        if not _NUMBER.fullmatch(key):
            return Unavailable(key, Unavailability.GONE)
        response = await self.http.get(f"{API}/ticket/{key}", params=[_OWNER], expect=(403, 404))
        if response.status in {403, 404}:
            return Unavailable(key, Unavailability.FORBIDDEN if response.status == 403 else Unavailability.GONE)
        data = response.json()
        ticket = parse_ticket(data if isinstance(data, dict) else {}, self.options.base_url)
        if ticket.id != key:
            return Unavailable(key, Unavailability.MERGED, ticket.id)
        return Unavailable(key, Unavailability.GONE) if ticket.vendor_status == "deleted" else ticket

    async def _available_history(self, ticket: Ticket, since: datetime | None) -> list[Transaction]:
        """Return the transactions of a ticket that is there; what its history says of any other is dropped unread."""
        history = asyncio.create_task(self._history(ticket, since))
        try:
            state = await self._ticket(ticket.id)
            if isinstance(state, Unavailable):
                raise TicketUnavailable(state)
            return await history
        finally:
            history.cancel()
            await asyncio.gather(history, return_exceptions=True)

    async def _history(self, ticket: Ticket, since: datetime | None) -> list[Transaction]:
        """Return the transactions of a ticket, at least those since an instant.

        The newest page is enough as a rule: it goes back behind the instant, or to the ticket's own creation, which
        is the oldest of all unless another ticket was merged in; then the history is walked to its end.
        """
        path = f"ticket/{ticket.id}/history"
        params: Params = [only("Type", [*MESSAGES, LINKED]), *_HISTORY]
        rows: list[Transaction] = []
        async for page in self._lists.downward(path, params):
            rows += [Transaction.parse(row) for row in page.rows]
            if since is not None and any(row.created_at < since - LATE for row in rows):
                return rows
            if any(row.type == "Create" and row.ticket_id == ticket.id for row in rows):
                if all(row.type != LINKED for row in rows):
                    return rows
                break
        if not rows:
            return []
        latest = max(row.id for row in rows)
        return [row async for page in self._lists.walk(path, params, latest, EMPTY_PAGES * MOST_ROWS) for row in page]

    async def _parts(self, ticket: Ticket, rows: Sequence[Transaction]) -> dict[int, list[Part]]:
        """Return the parts of these transactions, without their contents.

        The parts of visible transactions are all visible, so here a page that is not full is the last.
        """
        found: dict[int, list[Part]] = {row.id: [] for row in rows}
        params: Params = [
            only("TransactionId", [row.id for row in rows]),
            ("fields", "TransactionId,ContentType,Filename,ContentLength,Subject,Headers"),
        ]
        async for row in self._lists.whole(f"ticket/{ticket.id}/attachments", params):
            part = Part.parse(row)
            if part.transaction_id in found:
                found[part.transaction_id].append(part)
        return found

    async def _texts(self, ticket: Ticket, parts: Sequence[Part]) -> dict[int, str]:
        """Return the texts of these parts: plain from a list, or from the single resource, which has base64."""
        texts: dict[int, str] = {}
        for batch in _by_size(parts):
            wanted = {part.id for part in batch}
            params: Params = [only("id", sorted(wanted)), ("fields", "Content")]
            async for row in self._lists.whole(f"ticket/{ticket.id}/attachments", params):
                key = Record(row, "an attachment").get_int("id")
                if key in wanted and isinstance(row.get("Content"), str):
                    texts[key] = row["Content"]
            for key in sorted(wanted - texts.keys()):
                single = await self._lists.find(f"attachment/{key}")
                if single is None:
                    raise UnexpectedAnswer(f"Request Tracker lists attachment {key} but does not show it")
                texts[key] = b64decode(str(single.get("Content") or "")).decode("utf-8", "replace")
        return texts

    async def _kind_of(self, login: str) -> AuthorKind:
        """Tell agents from customers: agents are "privileged" users. Each user is asked for once."""
        if login == "RT_System":
            return AuthorKind.SYSTEM
        if login not in self._kinds:
            user = await self._lists.find(f"user/{in_path(login)}") if in_path(login) else None
            if len(self._kinds) >= USERS_KEPT:
                self._kinds.clear()
            # A login of digits alone is looked up as a user id, and finds somebody else.
            if user is None or str(user.get("Name")).lower() != login.lower():
                self._kinds[login] = AuthorKind.UNKNOWN
            else:
                agent = str(user.get("Privileged")) == "1"
                self._kinds[login] = AuthorKind.AGENT if agent else AuthorKind.CUSTOMER
        return self._kinds[login]


def _by_size(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Yield the parts in groups whose texts fit into one answer; a larger one stands alone."""
    group: list[Part] = []
    size = 0
    for part in parts:
        if group and (size + part.size_bytes > TEXT_BYTES or len(group) == MOST_ROWS):
            yield group
            group, size = [], 0
        group.append(part)
        size += part.size_bytes
    if group:
        yield group


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
