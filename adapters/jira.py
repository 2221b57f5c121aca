"""Jira Service Management, Cloud (API v3) and Data Center (API v2): issues with their comments.

Both speak nearly the same. Cloud hands out changed issues with their comments, a hundred a request, and each comment
says whether customers see it. Data Center names the changed issues; whether customers see a comment is told there by
Service Management alone, issue by issue. docs/adapters/jira.md names the pages relied on.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from adapters._jira_api import ISSUES_AT_ONCE, JiraApi
from adapters._jira_feed import Bookmark, Row, milliseconds
from adapters._jira_records import Issue, parse_ticket, replies_of, undecided
from adapters._webhooks_signed import JIRA
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import ChangePage, Cursor, Identity, Reply, Ticket, TicketRef, Unavailability, Unavailable
from syncd.sources.adapter import (
    Adapter,
    AdapterConfig,
    Authentication,
    BasicAuthentication,
    Capability,
    Connection,
    HeaderAuthentication,
    Http,
)
from syncd.sources.links import match_ticket_ref
from syncd.sources.records import Record

GATEWAY = "api.atlassian.com"

Item = TypeVar("Item")

_KEY = r"[A-Za-z][A-Za-z0-9_]*-[1-9][0-9]{0,9}"
_NUMBER = re.compile(_KEY, re.ASCII)
# The issue that is selected, else the last key of the path: what else stands in the query may name another issue.
_LINK = re.compile(rf"^(?:[^?#]*\?(?:[^#]*&)?selectedIssue=|[^?#]*/)({_KEY})(?=$|[/?#&])", re.ASCII)
_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


class JiraConfig(AdapterConfig):
    """The site, its deployment, and one of two ways to sign in."""

    base_url: str = Field(
        description="Address of the site, with its context path if it has one; for Cloud tokens with scopes and "
        "service accounts https://api.atlassian.com/ex/jira/CLOUD_ID."
    )
    deployment: Literal["cloud", "data_center"] = Field("cloud", description="cloud or data_center.")
    email: str | None = Field(None, description="Account whose api_token it is (Cloud).")
    api_token: SecretStr | None = Field(None, description="API token of that account (Cloud); it ends within a year.")
    token: SecretStr | None = Field(
        None, description="Personal access token (Data Center), or access token of a service account (Cloud)."
    )
    site_url: str | None = Field(
        None, description="Address at which people open the site, where base_url is another one; links are made of it."
    )
    projects: tuple[str, ...] = Field(
        (), description="Keys of the projects whose changes are read; empty means all that the account sees."
    )
    plain_issues: Literal["internal", "public"] = Field(
        "internal",
        description="What description and comments are on issues that are no requests of a customer: internal, or "
        "public unless they are restricted.",
    )

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        given = {name for name in ("email", "api_token", "token") if getattr(self, name)}
        ways = ({"token"},) if self.deployment == "data_center" else ({"email", "api_token"}, {"token"})
        if given not in ways:
            named = " or ".join(" with ".join(sorted(way, reverse=True)) for way in ways)
            raise ValueError(f"give exactly one way to sign in: {named}; found: {', '.join(sorted(given)) or 'none'}")
        if urlsplit(self.base_url).hostname == GATEWAY and self.site_url is None:
            raise ValueError(f"with a base_url at {GATEWAY} give site_url, the address at which people open the site")
        return self

    @field_validator("site_url")
    @classmethod
    def _is_web_address(cls, site_url: str | None) -> str | None:
        parts = urlsplit(site_url or "https://none")
        if (
            parts.scheme not in {"https", "http"}
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise ValueError("write the address of the site as https://HOST")
        return site_url

    @field_validator("projects")
    @classmethod
    def _are_keys(cls, projects: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_PROJECT.fullmatch(key) for key in projects):
            raise ValueError("name projects by their keys, such as ABC")
        return tuple(key.upper() for key in projects)


class Jira(Adapter[JiraConfig]):
    """Requests and other issues of one Jira site."""

    config = JiraConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    title = "Jira Service Management (Cloud and Data Center)"
    documentation = "https://developer.atlassian.com/cloud/jira/platform/rest/v3/"
    permissions = (
        "an agent of the service projects concerned (Browse projects, internal comments); scopes to read alone"
    )
    webhook = JIRA

    def __init__(self, options: JiraConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._is_cloud = options.deployment == "cloud"
        self._site = (options.site_url or options.base_url).rstrip("/")
        self._api = JiraApi(http, options.projects, is_cloud=self._is_cloud)

    @classmethod
    def connection(cls, options: JiraConfig) -> Connection:
        """Return the connection. Cloud stops bursts of hundreds a second; Data Center shares its server with people.

        https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
        """
        authentication: Authentication
        if options.api_token and options.email:
            authentication = BasicAuthentication(options.email, options.api_token)
        else:
            authentication = HeaderAuthentication(options.token or SecretStr(""), scheme="Bearer")
        pace = 300 if options.deployment == "cloud" else 120
        return Connection(options.base_url, authentication, requests_per_minute=pace)

    async def available(self) -> frozenset[Capability]:
        """Return all for Cloud; Data Center does not hand out replies in bulk that tell whether customers see them."""
        return self.capabilities if self._is_cloud else self.capabilities - {Capability.BULK_REPLIES}

    async def check(self) -> Identity:
        """Tell who we are, and what of it all is hidden from us: Jira answers that with empty lists."""
        me = await self._api.me()
        names = [me.find_text(name) for name in ("displayName", "emailAddress", "accountId", "name")]
        hidden = [key for key in self.options.projects if not await self._api.sees_project(key)]
        warnings, notes = [], []
        if hidden:
            warnings.append(f"the account does not see the projects {', '.join(hidden)}: the change feed will fail")
        elif not await self._api.sees_any():
            warnings.append("the account sees no issue: grant it Browse projects on the projects concerned")
        if not await self._api.has_service_management():
            warnings.append(
                "Service Management is not there for this account: without it all comments count as internal"
            )
        if self.options.api_token:
            notes.append("API tokens of Atlassian end after a year at most: note the day")
        return Identity(next((name for name in names if name), "unnamed"), tuple(notes), tuple(warnings))

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find an issue by its key, also one that it had before it was moved, or by any link with the key in it."""
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self._site,
            link_hosts=self.link_hosts,
            hint="a ticket of Jira is named by its key, such as ABC-123, or by a link with the key in it",
        )
        return parse_ticket(await self._api.state(match[match.lastindex or 0].upper()), self._site)

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Return states, a hundred a request; an issue that is left out is asked for by itself, to learn why."""
        found: dict[str, Ticket | Unavailable] = {}
        for batch in _batches([key for key in dict.fromkeys(ids) if _ID.fullmatch(key)]):
            states = [parse_ticket(raw, self._site) for raw in await self._api.states(batch)]
            found |= {state.id: state for state in states if state.id in batch}
        for key in ids:
            if key not in found:
                found[key] = await self._state(key)
        return list(found.values())

    async def _state(self, key: str) -> Ticket | Unavailable:
        if not _ID.fullmatch(key):
            return Unavailable(key, Unavailability.GONE)
        try:
            return parse_ticket(await self._api.state(key), self._site)
        except TicketUnavailable as error:
            return error.unavailable

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield description and comments: those that come with the issue, or page by page where they were cut."""
        known = await self._api.request_fields()
        issue = Issue.parse(await self._api.whole(ticket.id, known), known, self._site)
        comments: Sequence[Record] = issue.comments
        if not issue.has_all_comments:
            comments = await self._api.comments(ticket.id, since)
        unsaid, told = undecided(issue, comments), dict[str, bool]()
        if unsaid:
            told = await self._api.public_comments(ticket.id)
            if not unsaid & told.keys():
                raise UnexpectedAnswer(
                    f"Service Management names none of the comments of {ticket.number}: the account has to be an agent "
                    "of its project"
                )
        for reply in self._replies(issue, comments, told):
            if since is None or reply.created_at >= since:
                yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield issues whose change was not told yet; on Cloud with states and replies. An idle sweep is one search.

        https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile/
        """
        mark = Bookmark.parse(start)
        wide, answered, found = mark.is_wide, None, 0
        async for rows, answered in self._api.changed(mark.begin):
            found += len(rows)
            for batch in _batches([row for row in dict.fromkeys(rows) if mark.is_news(row)]):
                states, replies = await self._hand_out(batch) if self._is_cloud else ((), {})
                # A copy that is older than the search said is told again, when it has caught up.
                told = {row.id: row.updated_ms for row in batch}
                told |= {one.id: min(told[one.id], _changed_ms(one)) for one in states}
                mark = mark.moved_over(told, answered)
                yield ChangePage(mark.cursor(), tuple(told), tuple(states), replies)
        if not found:
            mark = await self._doubt_nothing(mark)
        yield ChangePage(mark.finished(answered, wide=wide).cursor(), ())

    async def _hand_out(self, rows: Sequence[Row]) -> tuple[Sequence[Ticket], dict[str, tuple[Reply, ...]]]:
        """Return issues that changed, and the replies of those whose comments are all there and say who sees them."""
        wanted, known = {row.id: row.updated_ms for row in rows}, await self._api.request_fields()
        states: list[Ticket] = []
        replies: dict[str, tuple[Reply, ...]] = {}
        for raw in await self._api.whole_many(list(wanted), known):
            issue, state = Issue.parse(raw, known, self._site), parse_ticket(raw, self._site)
            if issue.id not in wanted:
                continue
            states.append(state)
            is_late = _changed_ms(state) < wanted[issue.id]
            if issue.has_all_comments and not is_late and not undecided(issue, issue.comments):
                replies[issue.id] = tuple(self._replies(issue, issue.comments, {}))
        return states, replies

    async def _doubt_nothing(self, mark: Bookmark) -> Bookmark:
        """Return the bookmark if Jira may rightly have found nothing: an account without rights is told so, too.

        Raises:
            PauseSystem: our token has ended.
            UnexpectedAnswer: an issue that should be found is there, but not for the search.
        """
        await self._api.me()
        if mark.newest is None:
            return mark
        state = await self._state(mark.newest)
        inside = isinstance(state, Ticket) and (
            not self.options.projects or state.number.rpartition("-")[0] in self.options.projects
        )
        if inside:
            raise UnexpectedAnswer(
                f"the search of Jira does not find {mark.newest}, which changed and is there: its index is behind, or "
                "JQL is bounded for this account"
            )
        return mark.without(mark.newest)

    def _replies(self, issue: Issue, comments: Sequence[Record], told: dict[str, bool]) -> Iterator[Reply]:
        yield from replies_of(issue, comments, told, plain_public=self.options.plain_issues == "public")


def _changed_ms(ticket: Ticket) -> int:
    return milliseconds(ticket.updated_at) if ticket.updated_at else 0


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[place : place + ISSUES_AT_ONCE] for place in range(0, len(items), ISSUES_AT_ONCE))
