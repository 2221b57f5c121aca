"""Where the records of replies are: in the record of their ticket, in a list of their own, or asked for by ids."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters._rest_api import RestApi, Rows
from adapters._rest_config import FindByIds, ReplyOptions, TimesOptions
from adapters._rest_expressions import Expression, Unfit
from adapters._rest_lookup import Lookup
from adapters._rest_rules import as_key, as_keys, as_rows
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReplyRecords:
    """The records of a ticket's replies, oldest first; `is_whole`: no older one was left out."""

    ticket: Record | None
    records: Rows
    is_whole: bool


class ReplyLists:
    """Reads the records of replies as the settings say."""

    def __init__(
        self, options: ReplyOptions, api: RestApi, lookup: Lookup, times: TimesOptions, needs_ticket: bool
    ) -> None:
        self._options, self._api, self._lookup, self._times = options, api, lookup, times
        self._needs_ticket = needs_ticket or not options.path

    async def read(self, ticket_id: str, number: str, since: datetime | None) -> ReplyRecords:
        """Return what is needed for the replies of a ticket from an instant on.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        ticket = await self._lookup.find("id", ticket_id) if self._needs_ticket else None
        if self._options.path:
            records, is_whole = await self._listed(ticket_id, number, since)
            return ReplyRecords(ticket, records, is_whole)
        return ReplyRecords(ticket, await self._of_ticket(ticket or {}, ticket_id), True)

    async def records(self, ticket: Record, ticket_id: str, number: str) -> Rows:
        """Return the records of all replies of a ticket whose own record is at hand."""
        if self._options.path:
            return (await self._listed(ticket_id, number, None))[0]
        return await self._of_ticket(ticket, ticket_id)

    def records_inside(self, ticket: Record, rows: Expression | None, place: str) -> Rows:
        """Return the records of replies inside the record of a ticket, oldest first.

        Raises:
            UnexpectedAnswer: there is no list; that is a failure, never an empty list.
        """
        try:
            found = as_rows(rows.find(ticket) if rows else None)
        except Unfit as error:
            raise UnexpectedAnswer(f"{place} {error} (in the record of a ticket)") from None
        return found[::-1] if self._options.order == "newest_first" else found

    async def _of_ticket(self, ticket: Record, ticket_id: str) -> Rows:
        options = self._options
        if options.ids is None or options.by_ids is None:
            return self.records_inside(ticket, options.rows, "replies.rows")
        try:
            ids = as_keys(options.ids.find(ticket))
        except Unfit as error:
            raise UnexpectedAnswer(f"replies.ids {error} (ticket {ticket_id})") from None
        found: dict[str, dict[str, Any]] = {}
        missing, before = ids, len(ids) + 1
        while 0 < len(missing) < before:  # what is missing may have had no room in the answer: it is asked for again
            for start in range(0, len(missing), options.by_ids.at_once):
                found |= await self._chunk(options.by_ids, missing[start : start + options.by_ids.at_once])
            missing, before = [key for key in missing if key not in found], len(missing)
        records = [found[key] for key in ids if key in found]
        if not records and len(ids) > 1:  # one that is not there was deleted, but hardly all of them
            raise UnexpectedAnswer(
                f"{options.by_ids.path} answered none of the {len(ids)} replies of ticket {ticket_id}"
            )
        return records

    async def _chunk(self, bulk: FindByIds, ids: list[str]) -> dict[str, dict[str, Any]]:
        """Return the records of these replies by id."""
        response = await self._api.get(bulk, {"ids": ids}, join=bulk.join)
        found: dict[str, dict[str, Any]] = {}
        for row in self._api.rows_in(bulk.rows, response, "replies.by_ids.rows"):
            try:
                found[as_key(self._options.fields.id.find(row))] = row
            except Unfit as error:
                raise UnexpectedAnswer(f"replies.fields.id {error} (answer of {response.path})") from None
        return found

    async def _listed(self, ticket_id: str, number: str, since: datetime | None) -> tuple[Rows, bool]:
        """Return the records of a list of its own; newest first it is read back to what was created before `since`."""
        options = self._options
        values = {"id": ticket_id, "number": number}
        filtered = since is not None and "since" in options.places_used
        if since is not None:
            values["since"] = self._times.asked.render(since)
        found: Rows = []
        rows = options.rows
        if rows is None:
            raise AssertionError("the settings were checked")
        pages = self._api.pages(options, values, options.paging, rows, "replies", expect=self._lookup.statuses.keys())
        async with aclosing(pages):
            async for page in pages:
                if refusal := self._lookup.refusal(page.response, ticket_id):
                    raise TicketUnavailable(refusal)
                found += page.rows
                if since is not None and options.order == "newest_first" and self._is_older(page.rows, since):
                    filtered = filtered or not page.is_last
                    break
        return found[::-1] if options.order == "newest_first" else found, not filtered

    def _is_older(self, rows: Rows, since: datetime) -> bool:
        """Tell whether a page holds a reply from before an instant; newest first, nothing new comes behind it."""
        try:
            parse, created_at = self._times.answered.parse, self._options.fields.created_at
            return any(parse(created_at.find(row)) < since for row in rows)
        except Unfit:
            return False
