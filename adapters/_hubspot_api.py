"""HubSpot's endpoints: what is asked, how its lists go on, and which of its answers are none.

https://developers.hubspot.com/docs/api-reference/overview
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters._hubspot_answers import (
    UNAVAILABLE,
    Page,
    answer_of,
    find_ticket_id,
    insist_on_theirs,
    page_of,
    raise_unavailable,
    stamp,
)
from adapters._hubspot_requests import HubspotRequests, Params
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http
from syncd.sources.records import Record

ROWS_ON_A_PAGE = 100
ROWS_FOUND = 200  # the most that a search returns at once
TICKETS_AT_ONCE = 100
ACTORS_AT_ONCE = 100
MILLISECOND = timedelta(milliseconds=1)
STATE_PROPERTIES = ("subject", "hs_pipeline", "hs_pipeline_stage", "hubspot_owner_id")


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things are: HubSpot's older paths carry `v3`, the newer ones a date in another place."""

    objects: str
    pipelines: str
    owners: str
    conversations: str
    account: str

    @classmethod
    def of(cls, version: str) -> "Paths":
        """Return the paths of a version: `v3`, or a date such as 2026-09."""
        if version == "v3":
            crm, conversations = "/crm/v3", "/conversations/v3/conversations"
            return cls(f"{crm}/objects", f"{crm}/pipelines", f"{crm}/owners", conversations, "/account-info/v3/details")
        places = (f"/crm/objects/{version}", f"/crm/pipelines/{version}", f"/crm/owners/{version}")
        return cls(*places, f"/conversations/conversations/{version}", f"/account-info/{version}/details")


@dataclass(frozen=True, slots=True)
class Account:
    """The account (portal): its id, and the host of its web pages."""

    portal_id: str
    web_host: str


class HubspotApi:
    """Reads of one account."""

    def __init__(self, http: Http, paths: Paths) -> None:
        self._asked, self._paths = HubspotRequests(http), paths
        self._account: Account | None = None

    @property
    def now(self) -> datetime | None:
        """Return the time of the newest answer, by HubSpot's clock."""
        return self._asked.now

    async def account(self) -> Account:
        """Return the account; it is asked for once (docs/api-reference/account-account-info-v3/guide).

        Raises:
            PauseSystem: there is no such place, or the credentials may not see it.
        """
        if self._account is None:
            response = await self._asked.get(self._paths.account, {}, 404)
            if response.status == 404:
                raise PauseSystem(f"{response.path} is not known: base_url must be https://api.hubapi.com")
            record = answer_of(response)
            milliseconds = record.find_int("utcOffsetMilliseconds") or 0
            self._asked.offset = timedelta(milliseconds=max(-86_400_000, min(milliseconds, 86_400_000)))
            self._account = Account(record.get_key("portalId"), record.get_text("uiDomain").lower())
        return self._account

    async def require_tickets_and_conversations(self) -> None:
        """Read one ticket and one inbox, which fails without the permissions.

        Raises:
            PauseSystem: one of them is refused.
        """
        for path in (f"{self._paths.objects}/tickets", f"{self._paths.conversations}/inboxes"):
            page_of(await self._asked.get(path, {"limit": 1}))

    async def sees_owners(self) -> bool:
        """Tell whether the credentials may read who owns tickets."""
        return (await self._asked.get(self._paths.owners, {"limit": 1}, 403)).status != 403

    async def ticket(self, ticket_id: str) -> Record:
        """Return a ticket (docs/api-reference/crm-tickets-v3/basic/get-crm-v3-objects-tickets-ticketId).

        Raises:
            TicketUnavailable: gone, forbidden, or merged: then the other ticket is answered, with its own id.
        """
        path = f"{self._paths.objects}/tickets/{ticket_id}"
        response = await self._asked.get(path, {"properties": ",".join((*STATE_PROPERTIES, "content"))}, *UNAVAILABLE)
        raise_unavailable(response, ticket_id)
        ticket = answer_of(response)
        told = ticket.get_key("id")
        if told != ticket_id:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.MERGED, told))
        if ticket.is_true("archived"):
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        return ticket

    async def tickets(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return those tickets that a batch shows, by id; 207 says that some are missing.

        docs/api-reference/crm-tickets-v3/batch/post-crm-v3-objects-tickets-batch-read
        """
        found: dict[str, Record] = {}
        for begin in range(0, len(ids), TICKETS_AT_ONCE):
            inputs = [{"id": one} for one in ids[begin : begin + TICKETS_AT_ONCE]]
            body = {"inputs": inputs, "properties": list(STATE_PROPERTIES), "propertiesWithHistory": []}
            response = await self._asked.post(f"{self._paths.objects}/tickets/batch/read", body)
            rows = answer_of(response).get_records("results")
            found |= {row.get_key("id"): row for row in rows if not row.is_true("archived")}
        return found

    async def pipelines(self) -> list[Record]:
        """Return the pipelines of tickets (docs/api-reference/crm-pipelines-v3/guide)."""
        return answer_of(await self._asked.get(f"{self._paths.pipelines}/tickets", {})).get_records("results")

    async def owner(self, owner_id: str) -> Record | None:
        """Return an owner of tickets; None if gone, or if owners are not open to the credentials."""
        response = await self._asked.get(f"{self._paths.owners}/{owner_id}", {}, *UNAVAILABLE)
        return None if response.status in UNAVAILABLE else answer_of(response)

    async def channels(self) -> list[Record]:
        """Return the channels of the account (docs/api-reference/conversations-conversations-v3/guide)."""
        path, channels = f"{self._paths.conversations}/channels", list[Record]()
        async with aclosing(self._asked.pages(path, {"limit": ROWS_ON_A_PAGE})) as pages:
            async for response in pages:
                channels += page_of(response).records
        return channels

    async def actors(self, ids: Sequence[str]) -> list[Record]:
        """Return who people in conversations are; 207 says that some are not known any more."""
        actors: list[Record] = []
        for begin in range(0, len(ids), ACTORS_AT_ONCE):
            body = {"inputs": list(ids[begin : begin + ACTORS_AT_ONCE])}
            response = await self._asked.post(f"{self._paths.conversations}/actors/batch/read", body)
            actors += answer_of(response).get_records("results")
        return actors

    async def ticket_of_thread(self, thread_id: str) -> str | None:
        """Return the ticket of a thread, or None if it has none.

        Raises:
            TicketUnavailable: there is no such thread.
        """
        path = f"{self._paths.conversations}/threads/{thread_id}"
        response = await self._asked.get(path, {"association": "TICKET"}, *UNAVAILABLE)
        raise_unavailable(response, thread_id)
        return find_ticket_id(answer_of(response))

    async def threads(self, ticket_id: str) -> list[Record]:
        """Return the threads of a ticket: none, one or several.

        The filter is younger than the list: a HubSpot that does not know it would answer with everybody's threads. So
        each thread has to name the ticket itself.
        https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide

        Raises:
            TicketUnavailable: gone, forbidden, or merged.
        """
        path, threads = f"{self._paths.conversations}/threads", list[Record]()
        params: Params = {"associatedTicketId": ticket_id, "association": "TICKET", "limit": ROWS_ON_A_PAGE}
        async with aclosing(self._asked.pages(path, params, *UNAVAILABLE)) as pages:
            async for response in pages:
                if response.status == 404:
                    await self.ticket(ticket_id)
                    raise UnexpectedAnswer(f"{path} answered 404, but the ticket is there")
                raise_unavailable(response, ticket_id)
                threads += page_of(response).records
        if any(find_ticket_id(thread) != ticket_id for thread in threads):
            await self.ticket(ticket_id)
            raise UnexpectedAnswer(f"{path} shows threads of other tickets than the one asked for")
        return threads

    async def messages(self, thread_id: str, ticket_id: str) -> list[Record]:
        """Return everything in a thread of a ticket. There is no filter by time, and the order is nowhere promised.

        Raises:
            TicketUnavailable: forbidden.
        """
        path, messages = f"{self._paths.conversations}/threads/{thread_id}/messages", list[Record]()
        async with aclosing(self._asked.pages(path, {"limit": ROWS_ON_A_PAGE}, 403)) as pages:
            async for response in pages:
                raise_unavailable(response, ticket_id)
                messages += page_of(response).records
        return messages

    async def original(self, thread_id: str, message_id: str) -> Record | None:
        """Return the whole text of a message that a list shows shortened; None if HubSpot has it no more."""
        path = f"{self._paths.conversations}/threads/{thread_id}/messages/{message_id}/original-content"
        response = await self._asked.get(path, {}, 404)
        if response.status == 404:
            insist_on_theirs(response)
            return None
        return answer_of(response)

    async def changed_threads(self, since: datetime) -> AsyncGenerator[Page, None]:
        """Yield the threads with a message since an instant, oldest first.

        A token may come that was used already, though there is more: then the list is asked for from the time of the
        last thread on, less a millisecond, as nothing says whether that time itself belongs to what comes after it.

        Raises:
            UnexpectedAnswer: that leads nowhere.
        """
        path, begin, after = f"{self._paths.conversations}/threads", since, ""
        turned: set[str] = set()
        while True:
            params: Params = {"sort": "latestMessageTimestamp", "latestMessageTimestampAfter": stamp(begin)}
            params |= Params({"association": "TICKET", "limit": ROWS_ON_A_PAGE}, **({"after": after} if after else {}))
            page = page_of(await self._asked.get(path, params))
            yield page
            if page.after is None:
                return
            turned.add(after)
            after = page.after
            if after in turned:
                newest = page.records[-1].find_instant("latestMessageTimestamp") if page.records else None
                again = newest - MILLISECOND if newest is not None else None
                if again is None or again <= begin:
                    raise UnexpectedAnswer(f"{path} names a page that was read already as its next one")
                begin, after, turned = again, "", set()

    async def changed_tickets(self, since: datetime) -> AsyncGenerator[Page, None]:
        """Yield the tickets modified since an instant, in the order of their ids.

        A search ends after 10,000 rows, its order by time is not exact, any number of tickets may be modified in the
        same millisecond, and a row that is modified meanwhile moves all others: so each page is asked for from the
        last id on, which none of that disturbs.
        https://developers.hubspot.com/docs/api-reference/search/guide
        """
        path, last = f"{self._paths.objects}/tickets/search", 0
        milliseconds = str(int(since.timestamp() * 1000))
        while True:
            filters = [
                {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": milliseconds},
                {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)},
            ]
            body = {
                "filterGroups": [{"filters": filters}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": ["hs_lastmodifieddate"],
                "limit": ROWS_FOUND,
                "after": "0",
            }
            response = await self._asked.post(path, body)
            page = page_of(response)
            if not page.records and (page.after or answer_of(response).get_int("total")):
                raise UnexpectedAnswer(f"{path} counts tickets and shows none")
            for row in page.records:
                if (number := row.get_int("id")) <= last:
                    raise UnexpectedAnswer(f"{path} ignored where to begin or how to sort")
                last = number
            yield page
            if page.after is None:
                return
