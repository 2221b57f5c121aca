"""Salesforce Service Cloud: cases, with their mails and their comments, over REST and SOQL.

Three things shape this module. A case has no list of replies: they lie in tables of their own, which can be read by the
time of change for all cases at once. Its first message is a mail, or else its description, which is no message of its
own. And a merge moves mails and comments to another case without a word in them.

docs/adapters/salesforce.md names the pages relied on, and says what maps to what and what Salesforce cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from adapters._salesforce_api import CaseFile, SalesforceApi, SlowQuery
from adapters._salesforce_feed import Mark, cursor_of, parse_marks
from adapters._salesforce_hook import SALESFORCE
from adapters._salesforce_merges import UNCLEAR, is_untouched, origin_of
from adapters._salesforce_records import Row, SeenCase, parse_id, with_first_message
from adapters._salesforce_soql import CASE, COMMENT, MAIL, quoted
from syncd.model.errors import PauseSystem, TicketUnavailable
from syncd.model.ticket import (
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, Http, TokenAuthentication
from syncd.sources.links import match_ticket_ref
from syncd.sources.paging import Pages


class SalesforceConfig(AdapterConfig):
    """`[systems.NAME.options]` of a Salesforce organisation."""

    base_url: str = Field(
        description="My Domain of the organisation, https://ACME.my.salesforce.com; never login.salesforce.com."
    )
    client_id: str = Field(min_length=1, description="Consumer key of the app that syncd signs in with.")
    client_secret: SecretStr = Field(min_length=1, description="Consumer secret of that app.")
    refresh_token: SecretStr | None = Field(
        None, description="Refresh token of a user, in the place of the client credentials of an app; must not rotate."
    )
    own_domains: tuple[str, ...] = Field(
        (), description="Mail domains of your own people: mails that go to them alone, or come from them, are internal."
    )
    email_origins: tuple[str, ...] = Field(
        (), description="Origins of the cases that mails open, where their names do not hold the word e-mail."
    )
    description_is_public: bool = Field(
        True, description="Whether the description of a case that no mail opened is a message; false: it is internal."
    )

    @field_validator("base_url")
    @classmethod
    def _of_an_organisation(cls, base_url: str) -> str:
        try:
            host = (urlsplit(base_url).hostname or "").lower()
        except ValueError:
            return base_url  # whoever opens the connection says what is wrong with it
        if host in {"login.salesforce.com", "test.salesforce.com"}:
            raise ValueError(
                f"{host} gives no token for client credentials and has no data: write the organisation's My Domain, "
                "https://ACME.my.salesforce.com (Setup > My Domain)"
            )
        if host.endswith(LIGHTNING):
            raise ValueError("this is the address of the web app: write the one that ends in .my.salesforce.com")
        return base_url.rstrip("/")

    @field_validator("own_domains")
    @classmethod
    def _without_at(cls, own_domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(domain.strip().lower().removeprefix("@") for domain in own_domains)


MY_DOMAIN, LIGHTNING = ".my.salesforce.com", ".lightning.force.com"
FEED_ROWS, FEWEST_FEED_ROWS = 500, 50  # of a table at once: a mail may have two texts of 131,072 characters
ORIGINS_KEPT, CASES_KEPT = 100_000, 2_000

_CASE_ID = r"500[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?"
_NUMBER = re.compile(
    rf"(?P<id>{_CASE_ID})|#?(?P<number>(?=[A-Za-z_-]*[0-9])[A-Za-z0-9][A-Za-z0-9_-]{{0,29}})", re.ASCII
)
_LINK = re.compile(rf"(?:/|%2[Ff])(?P<id>{_CASE_ID})(?=$|[/?#&]|%2[Ff])", re.ASCII)
_HINT = (
    "this is no case; write its number, such as 00001001, or a link such as https://HOST/lightning/r/Case/500.../view"
)
_TABLES = (MAIL, COMMENT, CASE)


class Salesforce(Adapter[SalesforceConfig]):
    """Cases, mails and comments of one organisation."""

    config = SalesforceConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    title = "Salesforce Service Cloud"
    documentation = "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/intro_rest.htm"
    permissions = (
        "API Enabled, and View All on cases (View All Data for the change feed of mails) for the user that the app "
        "runs as, with read access to Case, EmailMessage, CaseComment and User; the app needs the scope api"
    )
    webhook = SALESFORCE

    def __init__(self, options: SalesforceConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        host = (urlsplit(options.base_url).hostname or "").lower()
        lightning = {host.removesuffix(MY_DOMAIN) + LIGHTNING} if host.endswith(MY_DOMAIN) else set()
        super().__init__(options, http, {*link_hosts, *lightning})
        self._api = SalesforceApi(http, options.base_url, options.own_domains)
        self._has_feed: bool | None = None
        self._origins: dict[str, str] = {}
        self._files: dict[str, CaseFile] = {}
        self._feed_rows = FEED_ROWS

    @classmethod
    def connection(cls, options: SalesforceConfig) -> Connection:
        """Sign in as the app, and stay below the 100,000 requests a day of the smallest organisation that has an API.

        Tokens carry no end: they are renewed when they are refused. The `instance_url` beside them is not used, since
        My Domain answers everything, and no address that a vendor named is ever called.
        https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm&type=5
        """
        path, app = "/services/oauth2/token", (options.client_id, options.client_secret)
        authentication = TokenAuthentication(path, *app)
        if options.refresh_token is not None:
            form, secret_form = {"grant_type": "refresh_token"}, {"refresh_token": options.refresh_token}
            authentication = TokenAuthentication(path, *app, form=form, secret_form=secret_form)
        return Connection(options.base_url, authentication, requests_per_minute=60)

    @classmethod
    def warnings(cls, options: SalesforceConfig) -> tuple[str, ...]:
        """Warn that mails between colleagues cannot be told without their domains."""
        missing = "own_domains is empty: a mail that an agent sends to a colleague alone counts as sent to the customer"
        return () if options.own_domains else (missing,)

    async def check(self) -> Identity:
        """Tell the user that the app runs as, what is left of the day's requests, and what is out of sight."""
        remaining, most = await self._api.daily_requests()
        user = await self._api.find_user() or "unknown: the app has no scope that tells its user"
        warnings = list(self.warnings(self.options))
        if not await self._api.has(CASE):
            raise PauseSystem("the Salesforce user does not see the object Case: give it read access to it")
        if not await self._api.sees_cases():
            warnings.append("the user sees no case: give it View All on cases, or share the cases concerned with it")
        warnings += [
            f"no {kind} is visible, so none is read" for kind in (MAIL, COMMENT) if not await self._api.has(kind)
        ]
        self._has_feed = await self._api.sees_feed()
        if not self._has_feed:
            warnings.append("no change feed: mails cannot be asked for all at once without View All Data")
        return Identity(user, (f"{remaining} of {most} requests of the last 24 hours are left",), tuple(warnings))

    async def available(self) -> frozenset[Capability]:
        """Return all capabilities, or reading cases in bulk alone where mails cannot be asked for all at once.

        Cases alone are no feed: a new mail need not change its case.
        """
        if self._has_feed is None:
            self._has_feed = await self._api.sees_feed()
        return self.capabilities if self._has_feed else frozenset({Capability.BULK_TICKETS})

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a case by its number, with or without the zeros before it, by its id, or by a link of any web app."""
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint=_HINT,
        )
        named = match.groupdict()
        if named["id"]:
            return _present((await self._file(parse_id(named["id"]))).case)
        seen = await self._find_number(named["number"])
        if seen is None:
            raise TicketUnavailable(Unavailable(named["number"], Unavailability.GONE))
        return _present(seen)

    async def _find_number(self, number: str) -> SeenCase | None:
        """Return the case of a number. Numbers are texts; people leave their zeros out, whose number differs."""
        found = await self._api.find_numbers(f"CaseNumber IN ({quoted(number)},{quoted(number.zfill(8))})")
        if not found and number.isdecimal() and number.strip("0"):
            found = await self._api.find_numbers(f"CaseNumber LIKE {quoted('%' + number.lstrip('0'))}")
        exact = [one for one in found if one.number == number]
        same = [one for one in found if number.isdecimal() and one.number.lstrip("0") == number.lstrip("0")]
        return next(iter([*exact, *same]), None)

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for a hundred cases at a time. One that is not shown is gone, or is not shared with us: both look alike.

        Raises:
            PauseSystem: no case at all is shown, so that it is the user's permissions that are gone.
        """
        wanted = list(dict.fromkeys(ids))
        found = await self._api.cases([key for key in wanted if re.fullmatch(_CASE_ID, key)])
        if wanted and not found and not await self._api.sees_cases():
            raise PauseSystem("the Salesforce user sees no case any more: check its permissions and sharing rules")
        self._files |= {key: file for key, file in found.items() if isinstance(file.case.state, Ticket)}
        _forget_oldest(self._files, CASES_KEPT)
        return [found[key].case.state if key in found else Unavailable(key, Unavailability.GONE) for key in wanted]

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield mails, comments and the description, oldest first; what was touched since is yielded too."""
        # The core asks for the state of a ticket just before its replies: what that told is used once.
        file = self._files.pop(ticket.id, None) or await self._file(ticket.id)
        case = file.case
        _present(case)
        rows = [self._with_origin(row, file) for row in await self._api.rows(case, since)]
        origins, is_public = self.options.email_origins, self.options.description_is_public
        replies = with_first_message(case, rows, email_origins=origins, is_public=is_public)
        begin = since.replace(microsecond=0) if since is not None else None
        touched = {row.reply.id for row in rows if begin is None or max(row.stamped_at, row.reply.created_at) >= begin}
        for reply in sorted(replies, key=lambda one: (one.created_at, one.id)):
            if reply.id in touched or begin is None or reply.created_at >= begin:
                yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield what changed in the three tables, the replies before the cases, so that their status is the newer one.

        https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/system_fields.htm
        """
        reached = list(parse_marks(start))
        marks = [mark.begin for mark in reached]
        open_tables, pages = set(_TABLES), Pages("the changes")
        while open_tables:
            pages.turn_to(cursor_of(marks))
            rows: list[Row] = []
            cases: list[SeenCase] = []
            for place, kind in enumerate(_TABLES):
                if kind not in open_tables:
                    continue
                news, is_last = await self._changed(kind, marks[place])
                rows += [one for one in news if isinstance(one, Row)]
                cases += [one for one in news if isinstance(one, SeenCase)]
                marks[place] = marks[place].moved_over([_place_of(one) for one in news])
                reached[place] = max(reached[place], marks[place])
                if is_last:
                    open_tables.remove(kind)
            yield self._page(rows, cases, cursor_of(reached))

    async def _changed(self, kind: str, mark: Mark) -> tuple[Sequence[Row | SeenCase], bool]:
        """Return the changes behind a mark, and if they are the last ones; fewer at once where it takes too long."""
        if kind != CASE and not await self._api.has(kind):
            return [], True
        while True:
            limit = self._feed_rows
            try:
                if kind == CASE:
                    cases = await self._api.changed_cases(mark, limit)
                    return cases, len(cases) < limit
                rows = await self._api.changed_rows(kind, mark, limit)
            except SlowQuery:
                if limit <= FEWEST_FEED_ROWS:
                    raise
                self._feed_rows = max(limit // 2, FEWEST_FEED_ROWS)
            else:
                return rows, len(rows) < limit

    def _page(self, rows: Sequence[Row], cases: Sequence[SeenCase], cursor: Cursor) -> ChangePage:
        """Return a page. Where only the case itself tells what a reply is, the case is named without its replies."""
        replies: dict[str, list[Reply]] = {}
        unread: set[str] = set()
        for row in rows:
            told = replies.setdefault(row.case_id, [])
            if self._needs_case(row):
                unread.add(row.case_id)
            elif row.is_shown:
                self._origins.setdefault(row.reply.id, row.case_id)
                told.append(replace(row.reply, written_on=self._written_on(row)))
        unread |= {one.merged_into for one in cases if one.merged_into}
        ids = dict.fromkeys([*replies, *(one.id for one in cases), *sorted(unread)])
        _forget_oldest(self._origins, ORIGINS_KEPT)
        handed = {key: tuple(sorted(replies.get(key, []), key=_age)) for key in ids if key not in unread}
        return ChangePage(cursor, tuple(ids), tuple(one.state for one in cases), handed)

    def _needs_case(self, row: Row) -> bool:
        """Tell whether a row is to be read with its case: it is gone, opens the case, or may have come by a merge."""
        if row.is_gone or row.opens(row.case_created_at):
            return True
        return not (row.is_draft or row.reply.id in self._origins or is_untouched(row))

    def _with_origin(self, row: Row, file: CaseFile) -> Row:
        """Return a row whose reply says where it was written; what is sure is remembered."""
        if row.reply.id not in self._origins:
            origin = origin_of(row, file.case, file.merged)
            if origin == UNCLEAR:
                return replace(row, reply=replace(row.reply, written_on=UNCLEAR))
            self._origins[row.reply.id] = origin
            _forget_oldest(self._origins, ORIGINS_KEPT)
        return replace(row, reply=replace(row.reply, written_on=self._written_on(row)))

    def _written_on(self, row: Row) -> str | None:
        origin = self._origins[row.reply.id]
        return None if origin == row.case_id else origin

    async def _file(self, case_id: str) -> CaseFile:
        file = (await self._api.cases([case_id])).get(case_id)
        if file is None:
            raise TicketUnavailable(Unavailable(case_id, Unavailability.GONE))
        return file


def _present(case: SeenCase) -> Ticket:
    if isinstance(case.state, Unavailable):
        raise TicketUnavailable(case.state)
    return case.state


def _place_of(one: Row | SeenCase) -> tuple[datetime, str]:
    return one.stamped_at, one.reply.id if isinstance(one, Row) else one.id


def _age(reply: Reply) -> tuple[datetime, str]:
    return reply.created_at, reply.id


def _forget_oldest(kept: dict[str, str] | dict[str, CaseFile], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]
