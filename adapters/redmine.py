"""Redmine: an issue's description and its journals with notes are its replies; the list of issues is the change feed.

Three things shape this module. Journals come with a single issue and nowhere else, all of them at once. A key that is
not good any more makes an anonymous visitor of us where a site lets visitors in, without an error: so it is asked who
we are before anything is concluded from what is missing. Redmine does not say who is a customer: roles do.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from datetime import date, datetime
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from adapters._redmine_api import MOST_ROWS, Memberships, RedmineApi
from adapters._redmine_feed import Bookmark
from adapters._redmine_records import NO_ROLES, Conversation, Sides, Statuses, parse_ticket
from adapters._webhooks_signed import REDMINE
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    AuthorKind,
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, HeaderAuthentication, Http, Refused
from syncd.sources.links import match_ticket_ref
from syncd.sources.paging import Pages
from syncd.sources.records import Record

REPORTER = ("Reporter",)


class RedmineConfig(AdapterConfig):
    """`[systems.NAME.options]` of a Redmine."""

    api_key: SecretStr = Field(min_length=1, description="API access key of the account (My account > API access key).")
    customer_roles: tuple[str, ...] = Field(
        default=REPORTER,
        description="Names of the roles that customers have; the members of all other roles are agents. Somebody with "
        "roles of both sides is an agent.",
    )
    agent_roles: tuple[str, ...] = Field(
        default=(),
        description="In the place of customer_roles: names of the roles that agents have; the members of all other "
        "roles are customers.",
    )
    agents: tuple[int, ...] = Field(
        default=(),
        description="Ids of users who are agents although no role says so: administrators, former colleagues.",
    )
    non_members: Literal["unknown", "customer", "agent"] = Field(
        default="unknown",
        description="What those are who write in a project without being its members. Who opened an issue is its "
        "customer in any case.",
    )

    @field_validator("base_url")
    @classmethod
    def _without_slash(cls, base_url: str) -> str:
        return base_url.rstrip("/")

    @model_validator(mode="after")
    def _one_side_is_named(self) -> "RedmineConfig":
        if self.agent_roles and "customer_roles" in self.model_fields_set:
            raise ValueError("name the roles of one side, agent_roles or customer_roles; all others are the other side")
        return self


_NUMBER = re.compile(r"#?([1-9][0-9]{0,9})", re.ASCII)
_LINK = re.compile(r"^[^?#]*/issues/([1-9][0-9]{0,9})(?=[/.?#]|$)", re.ASCII)


class Redmine(Adapter[RedmineConfig]):
    """Issues and their notes, as an ordinary account sees them."""

    config = RedmineConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_TICKETS})
    title = "Redmine"
    documentation = "https://www.redmine.org/projects/redmine/wiki/Rest_api"
    permissions = (
        "a member of the projects concerned, with a role that has View issues and View private notes and that sees all "
        "issues"
    )
    webhook = REDMINE

    def __init__(self, options: RedmineConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = RedmineApi(http)
        self._memberships = Memberships(self._api)
        self._statuses: Statuses | None = None
        self._day: date | None = None
        self._sides = Sides(
            agent_roles=_names(options.agent_roles),
            customer_roles=_names(options.customer_roles),
            agents=frozenset(map(str, options.agents)),
            non_members=AuthorKind(options.non_members),
        )

    @classmethod
    def connection(cls, options: RedmineConfig) -> Connection:
        """Return how to reach it. Redmine sets no limit; a request takes one of its few processes for about 40 ms."""
        authentication = HeaderAuthentication(options.api_key, header="X-Redmine-API-Key")
        return Connection(options.base_url, authentication, requests_per_minute=300, concurrency=2)

    async def check(self) -> Identity:
        """Tell the account, its projects, and what its roles keep from it.

        https://www.redmine.org/projects/redmine/wiki/Rest_Users and .../Rest_Roles
        """
        self._forget()
        try:
            me = await self._api.who_am_i()
        except Refused as refused:
            raise PauseSystem(
                f"there is no Redmine at {self.options.base_url} (status {refused.status}); set base_url to the "
                "address of its start page"
            ) from None
        account, memberships = me.get_text("login"), me.find_records("memberships")
        if me.is_true("admin"):
            warnings = ["the account is an administrator: use one with the least permissions"]
        else:
            warnings = await self._lacks(memberships)
        missing = await self._unknown_roles()
        if missing:
            warnings.append(f"there is no role {', '.join(missing)}, named in the options: who is an agent is guessed")
        if await self._api.count_issues() == 0:
            warnings.append("the account sees no issue: make it a member of the projects concerned")
        names = [one.get_record("project").find_text("name") or "" for one in memberships]
        return Identity(account, (f"member of: {', '.join(names) or 'no project'}",), tuple(warnings))

    async def _lacks(self, memberships: Sequence[Record]) -> list[str]:
        """Return what roles of the account keep from it, one sentence a role."""
        found = {role.get_key("id"): role for one in memberships for role in one.get_records("roles")}
        return [lack for key in sorted(found) for lack in _lacks_of(await self._api.role(key))]

    async def _unknown_roles(self) -> list[str]:
        named = self.options.agent_roles or self.options.customer_roles
        known = _names(await self._api.role_names())
        return [name for name in named if name.casefold() not in known]

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find an issue by its number, with or without #, or by a link to it, its notes or its feed."""
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint="this is no issue of Redmine; write its number, such as 123, or a link that ends in /issues/123",
        )
        return await self._ticket(await self._api.issue(match[1]))

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """List a hundred at a time, and ask one by one for those that the list does not show, to learn why."""
        wanted = [key for key in dict.fromkeys(ids) if _NUMBER.fullmatch(key)]
        shown: dict[str, Record] = {}
        for batch in _batches(wanted, MOST_ROWS):
            shown |= {issue.get_key("id"): issue for issue in await self._api.issues(batch)}
        states: list[Ticket | Unavailable] = []
        for key in dict.fromkeys(ids):
            try:
                states.append(await self._ticket(shown[key] if key in shown else await self._asked(key)))
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def _asked(self, key: str) -> Record:
        if not _NUMBER.fullmatch(key):
            raise TicketUnavailable(Unavailable(key, Unavailability.GONE))
        return await self._api.issue(key)

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:  # noqa: ARG002 - see below
        """Yield the description and all journals with words or files: one request, whatever `since` is.

        The journals come together, in an order that the account prefers. The older ones are yielded too: an edited note
        keeps its time and id, one that was made public later shows up only now, and so does, once a year, one from the
        hour that a server's local clock counts twice.
        https://www.redmine.org/projects/redmine/wiki/Rest_IssueJournals
        """
        issue = await self._api.issue(ticket.id, include="journals,attachments")
        conversation = Conversation(issue, self.options.base_url)
        project_id = issue.get_record("project").get_key("id")
        kinds = {key: await self._kind(key, project_id, conversation.opened_by) for key in sorted(conversation.authors)}
        for reply in conversation.replies(kinds):
            yield reply

    async def _kind(self, user_id: str, project_id: str, opened_by: str | None) -> AuthorKind:
        named = user_id in self._sides.agents
        roles = NO_ROLES if named else await self._memberships.roles_of(user_id, project_id)
        return self._sides.kind_of(user_id, roles, opened_by)

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the issues that changed. An idle sweep is two requests: the list, and who we are.

        Each page begins anew at the time of the last row, as rows move while they are read. Only where a whole page has
        the same time an offset is used, and its last row is read again: if it is not there, rows have moved.
        """
        mark = Bookmark.parse(start)
        begin, offset, last = mark.begin, 0, ""
        pages = Pages("the list of changed issues")
        while True:
            pages.turn_to(f"{begin.isoformat()}+{offset}")
            page = await self._api.changed(begin, offset)
            if offset and (not page.rows or page.rows[0].id != last):
                raise UnexpectedAnswer("issues changed place in their list while it was read; it will be read again")
            await self._api.who_am_i()
            news, mark = mark.news(page.rows), mark.moved_over(page)
            self._forget_at(mark.newest.date())
            yield ChangePage(mark.cursor(), news)
            if page.is_last:
                return
            newest, last = page.rows[-1].updated_at, page.rows[-1].id
            begin, offset = (newest, 0) if newest > begin else (begin, offset + len(page.rows) - 1)

    async def _ticket(self, issue: Record) -> Ticket:
        if self._statuses is None:
            self._statuses = await self._api.statuses()
        return parse_ticket(issue, self._statuses, self.options.base_url)

    def _forget(self) -> None:
        self._statuses = None
        self._memberships.forget()

    def _forget_at(self, day: date) -> None:
        """Forget roles and statuses once a day of the feed, because they change."""
        if self._day != day:
            self._day = day
            self._forget()


def _names(roles: Collection[str]) -> frozenset[str]:
    return frozenset(role.casefold() for role in roles)


def _lacks_of(role: Record) -> Iterator[str]:
    """Yield what a role keeps from the account."""
    name, granted = role.get_text("name"), role.raw("permissions")
    if not isinstance(granted, list):
        raise UnexpectedAnswer(f"{role.where} has no permissions")
    if "view_issues" not in granted:
        yield f"the role {name} lacks View issues"
    if "view_private_notes" not in granted:
        yield f"the role {name} lacks View private notes: such notes are missing, and not listed as withheld"
    if role.find_text("issues_visibility") not in {None, "all"}:
        yield f"the role {name} does not see all issues: set its Issues visibility to All issues"


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for begin in range(0, len(keys), size):
        yield keys[begin : begin + size]
