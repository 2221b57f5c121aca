"""Finding the records of tickets: one by its number or id, or many by their ids."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from adapters._rest_api import RestApi
from adapters._rest_config import FindByIds, FindTicket, TicketOptions
from adapters._rest_expressions import Unfit
from adapters._rest_records import TicketReading
from adapters._rest_rules import as_record
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Response
from syncd.sources.trial import TriedField

Record = Mapping[str, Any]


class Lookup:
    """How the settings say that tickets are asked for."""

    def __init__(self, options: TicketOptions, api: RestApi, reading: TicketReading) -> None:
        self._options, self._api, self._reading = options, api, reading
        unavailable = options.unavailable
        self.statuses = dict.fromkeys(unavailable.forbidden, Unavailability.FORBIDDEN)
        self.statuses |= dict.fromkeys(unavailable.gone, Unavailability.GONE)

    async def find(self, name: str, value: str) -> Record:
        """Return the record of the ticket whose `name` (id or number) is this.

        Raises:
            TicketUnavailable: gone or forbidden.
            UnexpectedAnswer: no record, or the one of another ticket.
        """
        asked, place, response = await self._ask(name, value)
        if asked.rows is not None:
            rows = self._api.rows_in(asked.rows, response, f"{place}.rows")
            found = [row for row in rows if self._is(row, name, value)]
            if not found:
                raise TicketUnavailable(Unavailable(value, Unavailability.GONE))
            return found[0]
        record = self._record(asked, place, response)
        if not self._is(record, name, value):
            raise UnexpectedAnswer(f"{place} answered another ticket than {value}, or ticket.fields.{name} is wrong")
        return record

    async def many(self, ids: Sequence[str]) -> AsyncIterator[Record | Unavailable | UnexpectedAnswer]:
        """Yield the record of each ticket, or why there is none; one whose answer is odd stops no other."""
        alone = list(ids)
        bulk = self._options.by_ids
        if bulk is not None and ids:
            alone = []
            for start in range(0, len(ids), bulk.at_once):
                some = list(ids[start : start + bulk.at_once])
                found = await self._chunk(bulk, some)
                for record in found.values():
                    yield record
                alone += [ticket_id for ticket_id in some if ticket_id not in found]
        for ticket_id in alone:  # what a search leaves out is asked for, to learn why
            try:
                yield await self.find("id", ticket_id)
            except TicketUnavailable as error:
                yield error.unavailable
            except UnexpectedAnswer as error:
                yield error

    async def try_to_find(self, name: str, value: str) -> tuple[Record | None, list[TriedField]]:
        """Return the record of a ticket even if its id or number is not read well; None if there is no record.

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        asked, place, response = await self._ask(name, value)
        try:
            if asked.rows is None:
                record = self._record(asked, place, response)
            else:
                rows = self._api.rows_in(asked.rows, response, f"{place}.rows")
                if not rows:
                    raise TicketUnavailable(Unavailable(value, Unavailability.GONE))
                record = next((row for row in rows if self._is(row, name, value)), rows[0])
        except UnexpectedAnswer as error:
            expression = str(asked.rows or asked.record)
            return None, [TriedField(place, "", expression, response.json(), problem=str(error))]
        if self._is(record, name, value):
            return record, []
        problem = f"no record that was found has the {name} {value}; below is one that has another"
        return record, [TriedField(f"ticket.{name}", "", str(getattr(self._options.fields, name)), problem=problem)]

    def refusal(self, response: Response, ticket_id: str) -> Unavailable | None:
        """Return what a status other than 2xx says about a ticket.

        Raises:
            UnexpectedAnswer: it is not the system itself that says so (a proxy, a wrong path).
        """
        if 200 <= response.status < 300:
            return None
        if not self._is_told_by_the_system(response):
            raise UnexpectedAnswer(
                f"{response.path} answered {response.status}, but not as the system itself does "
                "(ticket.unavailable.told_by): is a proxy in between?"
            )
        return Unavailable(ticket_id, self.statuses[response.status])

    def _is_told_by_the_system(self, response: Response) -> bool:
        """Tell whether it is not a proxy that answers; without an expression JSON or an empty body will do."""
        told_by = self._options.unavailable.told_by
        try:
            value = response.json()
        except UnexpectedAnswer:
            value = response.body.decode(errors="replace")
        if told_by is None:
            return not isinstance(value, str) or not value.strip()
        try:
            return told_by.find(value) is True
        except Unfit:
            return False

    async def _ask(self, name: str, value: str) -> tuple[FindTicket, str, Response]:
        options = self._options
        asked: FindTicket = options.by_id
        place = "ticket.by_id"
        values = {"id": value}
        if name == "number" and options.by_number is not None:
            asked, place, values = options.by_number, "ticket.by_number", {"number": value}
        response = await self._api.get(asked, values, expect=self.statuses.keys())
        if refusal := self.refusal(response, value):
            raise TicketUnavailable(refusal)
        return asked, place, response

    async def _chunk(self, bulk: FindByIds, ids: list[str]) -> dict[str, Record]:
        response = await self._api.get(bulk, {"ids": ids}, join=bulk.join)
        found: dict[str, Record] = {}
        for row in self._api.rows_in(bulk.rows, response, "ticket.by_ids.rows"):
            key = self._reading.key(row, "id", "a ticket of ticket.by_ids")
            if key in ids:
                found[key] = row
        return found

    def _record(self, asked: FindTicket, place: str, response: Response) -> Record:
        value = self._api.value_of(response)
        try:
            return as_record(asked.record.find(value) if asked.record else value)
        except Unfit as error:
            reason = str(error)
        raise UnexpectedAnswer(f"{place}.record {reason} (answer of {response.path})")

    def _is(self, record: Record, name: str, value: str) -> bool:
        """Tell whether a record is the ticket of this id, or of this number, which people write in any case."""
        try:
            key = self._reading.key(record, name, "a ticket")
        except UnexpectedAnswer:
            return False
        return key == value or (name == "number" and key.casefold() == value.casefold())
