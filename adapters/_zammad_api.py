"""Zammad's endpoints: what is asked, and what its refusals mean.

https://docs.zammad.org/en/latest/api/intro.html
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapters._zammad_records import (
    History,
    SeenTicket,
    State,
    parse_history,
    parse_name,
    parse_state,
    parse_ticket,
)
from syncd.model.errors import PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.records import Record, record_of, records_of

API = "/api/v1"
LARGEST_PAGE = 200  # tickets of a search; Zammad gives fewer than asked for without a word
SMALLEST_PAGE = 50  # what it gives when nothing is asked for: a shorter page is the last one
NAMES_KEPT = 20_000

Condition = Mapping[str, Mapping[str, Any]]


class ZammadApi:
    """Reads of one Zammad; it remembers its states and the names of its agents."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._states: dict[str, State] = {}
        self._names: dict[str, str | None] = {}
        self._longest_page = SMALLEST_PAGE

    async def me(self) -> Record:
        """Return the user whom the credentials stand for."""
        response = await self._get("/users/me", {"expand": "true"}, expect={404})
        if response.status == 404:
            raise PauseSystem(f"{response.path} answered 404: base_url must be the address of Zammad's start page")
        return record_of(response)

    async def sees_tickets(self) -> bool:
        """Tell whether there is any ticket that we may read."""
        return bool(records_of(await self._get("/tickets", {"page": 1, "per_page": 1, "expand": "true"})))

    async def ticket(self, ticket_id: str) -> SeenTicket:
        """Return a ticket.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        return parse_ticket(record_of(await self._of_ticket(f"/tickets/{ticket_id}", ticket_id, {"expand": "true"})))

    async def find_number(self, number: str) -> SeenTicket | None:
        """Return the ticket of a number, or None.

        Raises:
            UnexpectedAnswer: there are other tickets in the answer, so that the condition was ignored.
        """
        rows = await self._search({"ticket.number": {"operator": "is", "value": number}}, 2)
        if any(row.number != number for row in rows):
            raise UnexpectedAnswer("tickets/search ignored the condition: it answered tickets of other numbers")
        return rows[0] if rows else None

    async def tickets(self, ids: Sequence[str]) -> dict[str, SeenTicket]:
        """Return those of these tickets that a search shows, by id; the others have to be asked for one by one."""
        found: dict[str, SeenTicket] = {}
        for place in range(0, len(ids), LARGEST_PAGE):
            batch = [int(key) for key in ids[place : place + LARGEST_PAGE]]
            rows = await self._search({"ticket.id": {"operator": "is", "value": batch}}, LARGEST_PAGE)
            found |= {row.id: row for row in rows}
        return {key: found[key] for key in ids if key in found}

    async def changed_since(self, since: datetime, page: int) -> tuple[list[SeenTicket], bool]:
        """Return a page of the tickets that changed at an instant or later, oldest change first, and if it is the last.

        A page is full if it is as long as the longest that was ever seen: how long that is at most is not told.
        """
        value = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        condition = {"ticket.updated_at": {"operator": "after (absolute)", "value": value}}
        order = {"sort_by": "updated_at,id", "order_by": "asc,asc", "page": page}
        rows = await self._search(condition, LARGEST_PAGE, order)
        is_last = len(rows) < self._longest_page
        self._longest_page = max(self._longest_page, len(rows))
        return rows, is_last

    async def articles(self, ticket_id: str) -> list[Record]:
        """Return all articles of a ticket: there is neither paging nor a filter.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        path = f"/ticket_articles/by_ticket/{ticket_id}"
        return records_of(await self._of_ticket(path, ticket_id, {"expand": "true"}))

    async def history(self, ticket_id: str) -> History:
        """Return what the history of a ticket tells about merges.

        Raises:
            TicketUnavailable: gone or forbidden.
            UnexpectedAnswer: the ticket is there, but its history cannot be read.
        """
        try:
            response = await self._of_ticket(f"/ticket_history/{ticket_id}", ticket_id)
        except TicketUnavailable:
            # Older versions answer 404 as well if the history names something that is no longer there.
            await self.ticket(ticket_id)
        else:
            return parse_history(record_of(response), ticket_id)
        raise UnexpectedAnswer(f"{API}/ticket_history/{ticket_id} cannot be read, though the ticket can")

    async def state(self, state_id: str) -> State | None:
        """Return a state; all are read once, and again for one that is new."""
        if state_id not in self._states:
            await self.read_states()
        return self._states.get(state_id)

    async def read_states(self) -> None:
        """Read all states. It needs a permission for tickets."""
        records = records_of(await self._get("/ticket_states", {"expand": "true"}))
        self._states = dict(parse_state(record) for record in records)

    async def name(self, user_id: str, login: str | None) -> str | None:
        """Return the name of a user; the login if it has none, or may not be read."""
        if user_id not in self._names:
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            self._names[user_id] = await self._read_name(user_id)
        return self._names[user_id] or login

    async def sees_users(self) -> bool:
        """Tell whether other users may be read, as agents may: user 1 is part of every Zammad."""
        return (await self._get("/users/1", expect={403, 404})).status == 200

    async def _read_name(self, user_id: str) -> str | None:
        response = await self._get(f"/users/{user_id}", expect={403, 404})
        return parse_name(record_of(response)) if response.status == 200 else None

    async def _search(
        self, condition: Condition, per_page: int, order: Mapping[str, Any] | None = None
    ) -> list[SeenTicket]:
        """Search by a condition, which Zammad asks its database, never by a query, which it asks Elasticsearch.

        Without `expand` the shape of the answer depends on the version.
        """
        wanted = {"condition": condition, "per_page": per_page, "expand": True, **(order or {})}
        response = await self._ask("POST", "/tickets/search", wanted, ())
        return [parse_ticket(record) for record in records_of(response)]

    async def _of_ticket(self, path: str, ticket_id: str, params: Mapping[str, str] | None = None) -> Response:
        """Read what belongs to a ticket.

        A 403 is that of the ticket's group only if we are still let in at all.
        """
        response = await self._get(path, params, expect={403, 404})
        if response.status == 404:
            if _error_text(response).startswith("No route"):
                raise UnexpectedAnswer(f"{response.path} does not exist: check base_url")
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        if response.status == 403:
            await self._get("/users/me")
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.FORBIDDEN))
        return response

    async def _get(
        self, path: str, params: Mapping[str, str | int] | None = None, expect: Collection[int] = ()
    ) -> Response:
        return await self._ask("GET", path, params or {}, expect)

    async def _ask(self, method: str, path: str, wanted: Mapping[str, Any], expect: Collection[int]) -> Response:
        """Read; a 403 says more than that something is forbidden, so its text is looked at.

        Raises:
            RetryLater: maintenance.
            PauseSystem: we are not let in.
            UnexpectedAnswer: any other status that is not expected.
        """
        try:
            if method == "POST":
                response = await self._http.post(f"{API}{path}", json=wanted, expect={403, *expect})
            else:
                response = await self._http.get(f"{API}{path}", params=dict(wanted), expect={403, *expect})
        except Refused as refused:
            message = str(refused)
        else:
            if response.status == 403:
                _look_at_refusal(response, is_expected=403 in expect)
            return response
        raise UnexpectedAnswer(message)


def _look_at_refusal(response: Response, *, is_expected: bool) -> None:
    text = _error_text(response)
    if "maintenance" in text.lower():
        raise RetryLater("Zammad is in maintenance mode")
    if not is_expected:
        raise PauseSystem(
            f"{response.path} answered 403: Zammad does not let us in; check that token access is switched on (Admin > "
            "System > API), and that the token and its user have the permission ticket.agent"
        )


def _error_text(response: Response) -> str:
    """Return Zammad's own words for a failure. A proxy has a 403 and a 404 too, and they are about nothing.

    Raises:
        UnexpectedAnswer: no words of Zammad's.
    """
    text = record_of(response).find_text("error")
    if text is None:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} without an error of Zammad's")
    return text
