"""What an operator should hear about an account of ServiceNow, which says little of what it may not do."""

from dataclasses import replace

from adapters._servicenow_api import Question, TableApi
from adapters._servicenow_feed import ENTRY_FIELDS, JOURNAL, ZONE, Stream, reads_times_as_utc
from adapters._servicenow_records import COMMENTS, GUEST, SeenTicket, find_value, get_value, reads_utc
from syncd.model.errors import PauseSystem
from syncd.sources.records import Record

UTC_ZONES = frozenset({"UTC", "GMT", "Etc/UTC", "Etc/GMT", "Zulu", "Greenwich", "Etc/Greenwich"})
USER_FIELDS = ("sys_id", "user_name", "time_zone")


class Checks:
    """Looks at an instance through an account; each returns words for an operator."""

    def __init__(self, api: TableApi, tickets: Stream[SeenTicket], *, by_journal: bool) -> None:
        self._api, self._tickets, self._by_journal = api, tickets, by_journal

    async def account(self, login: str) -> tuple[str, list[str]]:
        """Return who we are. Who is asked for by a script is not answered alone if the script is ignored."""
        where = f"user_name={login or 'javascript:gs.getUserName()'}"
        rows = (await self._api.page(Question("sys_user", where, USER_FIELDS, limit=2, optional=True))).rows
        names = [find_value(row, "user_name") for row in rows]
        if len(names) != 1 or (login and names[0].casefold() != login.casefold()):
            return login or "the owner of the credentials", ["the account does not see itself in sys_user: grant it"]
        if names[0] == GUEST:
            raise PauseSystem("ServiceNow takes us for its guest: mend the credentials of the system")
        zone = find_value(rows[0], "time_zone")
        is_known = not zone or zone in UTC_ZONES
        return names[0], [] if is_known else [f"the account's time zone is {zone}: set it to GMT"]

    async def tickets(self) -> list[str]:
        """Look at some of the newest tickets, as they are stored and as they are displayed."""
        newest = self._tickets.newest()
        rows = (await self._api.page(replace(newest, fields=(*newest.fields, COMMENTS), display=True))).rows
        if not rows:
            return [f"the account sees no ticket in {self._tickets.table}: grant it read access to that table"]
        return [*await self._times(rows[0]), *await self._sources(rows)]

    async def _times(self, row: Record) -> list[str]:
        found = []
        if not self._by_journal and not reads_utc(row):
            found.append("times are displayed in another zone or form: set GMT, yyyy-MM-dd, HH:mm:ss for the account")
        if not await reads_times_as_utc(self._api, self._tickets, self._tickets.parse(row)):
            found.append(f"a ticket is not found by its own time: {ZONE}")
        return found

    async def _sources(self, rows: list[Record]) -> list[str]:
        """Compare what the journal answers with what the same tickets display."""
        shown = [get_value(row, "sys_id") for row in rows if find_value(row, COMMENTS, "display_value")]
        where = f"element_idIN{','.join(shown)}^element={COMMENTS}"
        question = Question(JOURNAL, where, ENTRY_FIELDS, optional=True)
        is_open = bool(shown and (await self._api.page(question)).rows)
        if is_open:
            better = "sys_journal_field can be read: replies_from = journal is safer and cheaper"
            return [] if self._by_journal else [better]
        if not shown:
            return ["no newer ticket has a comment that is displayed: whether replies can be read is not known"]
        closed = "sys_journal_field answers nothing though tickets have comments: grant read access to it, or set "
        return [f"{closed}replies_from = display"] if self._by_journal else []
