"""Zammad: its tickets by time of change from the database, and all articles of a ticket at once.

Three things shape this module. A search by condition is answered by the database, one by query by Elasticsearch, which
lags and finds nothing if it is not there: only conditions are asked, and their answers are held against the question.
A merge moves articles to another ticket without a word in them: the history tells where each was written. And a 403
may be about a ticket's group or about ourselves.

docs/adapters/zammad.md names the pages relied on, and says what maps to what and what Zammad cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from adapters._webhooks_signed import ZAMMAD
from adapters._zammad_api import API, ZammadApi
from adapters._zammad_feed import Mark, in_milliseconds, require_in_order
from adapters._zammad_records import MERGED, NOBODY, Article, SeenTicket, parse_article, ticket_of
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
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
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, HeaderAuthentication, Http
from syncd.sources.links import match_ticket_ref
from syncd.sources.paging import Pages


class ZammadConfig(AdapterConfig):
    """`[systems.NAME.options]` of a Zammad."""

    token: SecretStr = Field(
        min_length=1,
        description="Personal access token of an agent (Profile > Token Access) with the permission ticket.agent.",
    )

    @field_validator("base_url")
    @classmethod
    def _without_api(cls, base_url: str) -> str:
        return base_url.rstrip("/").removesuffix(API)


ORIGINS_KEPT = 100_000  # articles whose ticket of origin is remembered
MOST_MERGED = 50  # tickets whose histories are read to find where the articles of one were written

_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_NUMBER = re.compile(r"\[?(?:[A-Za-z][\w -]{0,30}#|#)?(?P<number>[0-9]{1,40})\]?", re.ASCII)
_LINK = re.compile(
    r"(?:#/?ticket/zoom/number/(?P<number>[0-9]{1,40})"
    r"|(?:#/?ticket/zoom|/(?:desktop|mobile)/(?:tickets|ticket/zoom|ticket))/(?P<id>[1-9][0-9]{0,17}))"
    r"(?=$|[/?#&])",
    re.ASCII,
)
_HINT = "this is no ticket of Zammad; write its number, such as 53003, or a link such as https://HOST/#ticket/zoom/123"


class Zammad(Adapter[ZammadConfig]):
    """Tickets and articles of one Zammad."""

    config = ZammadConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_TICKETS})
    title = "Zammad"
    documentation = "https://docs.zammad.org/en/latest/api/intro.html"
    permissions = "ticket.agent on the token, and read access to the groups concerned for its user"
    webhook = ZAMMAD

    def __init__(self, options: ZammadConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = ZammadApi(http)
        self._origins: dict[str, str] = {}

    @classmethod
    def connection(cls, options: ZammadConfig) -> Connection:
        """Return how to reach it. Zammad sets no limit; two requests at a time leave most of its workers to people.

        https://docs.zammad.org/en/latest/api/intro.html#authentication
        """
        secret = SecretStr(f"token={options.token.get_secret_value()}")
        authentication = HeaderAuthentication(secret, scheme="Token")
        return Connection(options.base_url, authentication, requests_per_minute=240, concurrency=2)

    async def check(self) -> Identity:
        """Tell the account and whether it sees tickets.

        https://docs.zammad.org/en/latest/api/user.html
        """
        me = await self._api.me()
        if me.find_key("id") is None:
            raise PauseSystem("Zammad answers users/me without a user: mend the token of the system")
        await self._api.read_states()
        warnings = []
        if not await self._api.sees_tickets():
            warnings.append("the account sees no ticket: give it read access to the groups concerned")
        if not await self._api.sees_users():
            warnings.append(
                "the account may not read users, so it is no agent: it sees its own tickets alone, and no internal "
                "notes; give it the permission ticket.agent"
            )
        return Identity(me.find_text("email") or me.get_text("login"), (), tuple(warnings))

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number (which is not its id), or by a link of any of Zammad's web apps.

        https://docs.zammad.org/en/latest/api/ticket/index.html#search
        """
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint=_HINT,
        )
        named = match.groupdict()
        seen = await (self._api.find_number(named["number"]) if named["number"] else self._api.ticket(named["id"]))
        if seen is None:
            raise TicketUnavailable(Unavailable(named["number"], Unavailability.GONE))
        state = await self._state_of(seen)
        if isinstance(state, Unavailable):
            raise TicketUnavailable(state)
        return state

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Search for two hundred at a time, and ask one by one for those that the search does not show, to learn why.

        https://docs.zammad.org/en/latest/api/ticket/index.html#search
        """
        wanted = [key for key in dict.fromkeys(ids) if _ID.fullmatch(key)]
        found = await self._api.tickets(wanted)
        strange = [key for key in dict.fromkeys(ids) if key not in wanted]
        states: list[Ticket | Unavailable] = [Unavailable(key, Unavailability.GONE) for key in strange]
        for key in wanted:
            try:
                states.append(await self._state_of(found.get(key) or await self._api.ticket(key)))
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield articles, oldest first: Zammad answers all of a ticket at once.

        One that was touched since is yielded too, however old it is: it may have been made public, or come by a merge.
        https://docs.zammad.org/en/latest/api/ticket/articles.html
        """
        records = await self._api.articles(ticket.id)
        articles = sorted((parse_article(one, self.options.base_url) for one in records), key=lambda one: one.age)
        if not articles or any(one.is_merge_note for one in articles):
            await self._require_not_merged(ticket.id)
        articles = [one for one in articles if not (one.is_merge_note or one.is_unsent)]
        origins = await self._origins_of(ticket.id, [one for one in articles if one.is_moved_perhaps])
        first = next((one.id for one in articles if origins.get(one.reply.id, ticket.id) == ticket.id), None)
        for one in (one for one in articles if one.is_of(since)):
            origin = origins.get(one.reply.id, ticket.id)
            yield replace(
                one.reply,
                author=await self._author_of(one),
                first_message=one.id == first,
                written_on=None if origin == ticket.id else origin,
            )

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets that changed, by the database's `updated_at`: every new article moves it.

        Each page is asked for from the time of the last ticket before it: by number alone, pages would shift whenever
        a ticket changes meanwhile. Only among tickets of one and the same millisecond pages are counted.
        https://docs.zammad.org/en/latest/api/ticket/index.html#search
        """
        mark = Mark.parse(start)
        since, number, is_last = mark.begin, 1, False
        pages, told = Pages("tickets/search"), set[tuple[str, datetime]]()
        while not is_last:
            pages.turn_to(f"{since.isoformat()} {number}")
            rows, is_last = await self._api.changed_since(since, number)
            require_in_order(rows, since)
            if not rows and not told:
                await self._require_changed_or_gone(mark)
            new = {(row.id, row.updated_at) for row in rows} - told
            if rows and number > 1 and not new:
                raise UnexpectedAnswer("tickets/search answers the same page again and again")
            told |= new
            ids, mark = mark.news(rows), mark.moved_over(rows)
            yield ChangePage(mark.cursor(), ids)
            if rows:
                last = in_milliseconds(rows[-1].updated_at)
                since, number = last, number + 1 if last == since else 1

    async def _require_changed_or_gone(self, mark: Mark) -> None:
        """Look at the newest ticket that was told, which a search did not show again, though nothing else changed.

        Raises:
            UnexpectedAnswer: it is there, so that the search does not show what it should.
        """
        newest = max(mark.seen, key=lambda key: mark.seen[key], default=None)
        if newest is None:
            return
        try:
            seen = await self._api.ticket(newest)
        except TicketUnavailable:
            return
        if seen.updated_at >= mark.begin:
            raise UnexpectedAnswer("tickets/search shows no changes, though there is a ticket that changed")

    async def _state_of(self, seen: SeenTicket) -> Ticket | Unavailable:
        state = await self._api.state(seen.state_id)
        if state is not None and MERGED in {state.type, state.name}:
            return Unavailable(seen.id, Unavailability.MERGED, await self._find_target(seen.id))
        owner = seen.owner_id
        assignee = await self._api.name(owner, seen.owner_login) if owner and owner != NOBODY else None
        return ticket_of(seen, state, assignee, self.options.base_url)

    async def _find_target(self, ticket_id: str) -> str | None:
        try:
            return (await self._api.history(ticket_id)).merged_into
        except (TicketUnavailable, UnexpectedAnswer):
            return None  # merged it is all the same, and one history must not stop the other tickets

    async def _require_not_merged(self, ticket_id: str) -> None:
        state = await self._state_of(await self._api.ticket(ticket_id))
        if isinstance(state, Unavailable):
            raise TicketUnavailable(state)

    async def _author_of(self, article: Article) -> Author:
        """Return who wrote an article. Customers stay without a name: nothing needs it."""
        kind, name = article.reply.author.kind, article.writer_login
        if kind is not AuthorKind.AGENT:
            return Author(kind)
        return Author(kind, await self._api.name(article.writer_id, name) if article.writer_id else name)

    async def _origins_of(self, ticket_id: str, articles: Sequence[Article]) -> dict[str, str]:
        """Return on which ticket each article was written. It is asked for once, as it never changes.

        The history of a ticket lists the articles that were written on it, wherever they are now, and the tickets that
        were merged into it. An article in none of these histories (imported, or of a deleted ticket) came by a merge,
        if there was one.
        """
        origins = {one.reply.id: self._origins[one.reply.id] for one in articles if one.reply.id in self._origins}
        unknown = {one.reply.id for one in articles} - origins.keys()
        if unknown:
            found, merged_from = await self._read_origins(ticket_id, unknown)
            origins |= {key: found.get(key, merged_from or ticket_id) for key in unknown}
            self._origins |= origins
            while len(self._origins) > ORIGINS_KEPT:
                del self._origins[next(iter(self._origins))]
        return origins

    async def _read_origins(self, ticket_id: str, article_ids: Collection[str]) -> tuple[dict[str, str], str | None]:
        """Return the origins that histories tell, and the ticket that was merged into this one first, if any was."""
        history = await self._api.history(ticket_id)
        found, waiting = dict.fromkeys(history.written, ticket_id), list(history.merged_from)
        read = {ticket_id}
        while waiting and not found.keys() >= set(article_ids) and len(read) < MOST_MERGED:
            key = waiting.pop()
            if key in read:
                continue
            read.add(key)
            try:
                behind = await self._api.history(key)
            except TicketUnavailable:
                continue
            found |= dict.fromkeys(behind.written, key)
            waiting += behind.merged_from
        return found, next(iter(history.merged_from), None)
