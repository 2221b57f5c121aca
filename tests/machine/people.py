"""What people do in a run: register links, decide deliveries, pause and resume, ask for backfills."""

from datetime import timedelta
from typing import Any

from syncd.model.communication import Thread
from syncd.model.errors import UsageError
from syncd.model.health import PauseCause
from syncd.model.link import THE_START, NewLink
from syncd.model.ticket import TicketRef
from syncd.store import health, link_changes, links, lists, requests, standing
from syncd.store.requests import RequestKind
from syncd.store.standing import Decision, Resolution
from syncd.sync.backfill import Wanted
from tests.machine.books import Books, LinkEntry
from tests.machine.killable import CUSTOMER
from tests.machine.vendor import VendorSide

THREADS = 4
COMMANDS = (
    ("resolve honestly",) * 4
    + ("delivered", "resend", "resend", "skip doubt", "retry", "retry", "edit", "skip")
    + ("pause api", "resume api", "resume api", "revoke key", "mend key", "mend key")
    + ("remove link", "resume link", "resume link", "pause system", "resume system")
    + ("backfill", "backfill", "poll", "poll", "release")
)


class People(VendorSide):
    """The commands, as the console carries them out, on a worker that is begun if none runs."""

    books: Books
    decisions = 0

    def up(self) -> None:
        """Begin a life if there is none."""
        raise NotImplementedError

    def by(self) -> Decision:
        """Return who decides, now."""
        return Decision("tester", self.clock.now(), "looked it up")

    def link_to(self, ticket_number: int, slot: int, begins: int) -> None:
        """Register a link from now, from the start, or from half an hour ago."""
        self.up()
        if not self.is_up:
            return
        ticket = self.ticket_of(ticket_number)
        thread = Thread(("berlin", "berlin", "hamburg")[slot % 3], CUSTOMER, 500 + slot % THREADS)
        now = self.clock.now()
        from_at = (now, THE_START, now - timedelta(minutes=30), now)[begins % 4]
        new = NewLink(thread, "desk", TicketRef(number=ticket.number), from_at)
        try:
            added = self.do(self.database.write(lambda c: links.add(c, new, now)))
        except UsageError:
            return
        if added is not None and added.created:
            self.books.links[added.link_id] = LinkEntry(thread, ticket.id, from_at)

    def command(self, kind: str, number: int) -> None:
        """Do what somebody types."""
        self.up()
        if self.is_up:
            self.reached[f"command: {kind}"] += 1
            self.do(getattr(self, "_do_" + kind.replace(" ", "_"))(number))

    def look_after(self) -> None:
        """Let somebody put right what waits for a person, but for single deliveries."""
        self.up()
        self.sandbox.is_revoked = False
        if self.is_up:
            self.do(self._look_after())

    async def _look_after(self) -> None:
        # From a refused key and refused threads an api recovers by itself.
        await self._resume_apis({PauseCause.PERSON, PauseCause.NOT_THE_API})
        await self._do_resume_system(0)
        await self._do_release(0)

    def rows(self, *states: str) -> list[Any]:
        """Return the deliveries in these states."""
        return [row for row in self.audit.seen.rows.values() if row.state in states]

    async def _decide(self, number: int, states: tuple[str, ...], decide: Any) -> None:
        rows = self.rows(*states)
        if not rows:
            return
        row = rows[number % len(rows)]
        self.audit.decided.add(row.id)
        try:
            await self.database.write(lambda c: decide(c, row))
        except UsageError:
            self.audit.decided.discard(row.id)

    async def _resolve(self, number: int, resolution: Resolution) -> None:
        def decide(connection: Any, row: Any) -> None:
            standing.resolve(connection, row.id, resolution, self.by())
            if resolution is Resolution.RESEND and row.reply_id is not None:
                self.wire.resends[row.api, row.customer_id, row.thread_id, row.reply_id] += 1

        await self._decide(number, ("in_doubt",), decide)

    async def _do_resolve_honestly(self, number: int) -> None:
        for row in self.rows("in_doubt"):
            await self._resolve_row(row)

    async def _resolve_row(self, row: Any) -> None:
        arrived = self.books.has_arrived(row)
        resolution = Resolution.DELIVERED if arrived else Resolution.RESEND
        self.audit.decided.add(row.id)
        by = self.by()
        await self.database.write(lambda c: standing.resolve(c, row.id, resolution, by))
        self.reached[f"resolved: {resolution.value}"] += 1

    async def _do_delivered(self, number: int) -> None:
        await self._resolve(number, Resolution.DELIVERED)

    async def _do_resend(self, number: int) -> None:
        await self._resolve(number, Resolution.RESEND)

    async def _do_skip_doubt(self, number: int) -> None:
        await self._resolve(number, Resolution.SKIP)

    async def _do_retry(self, number: int) -> None:
        await self._decide(number, ("parked", "pending"), lambda c, row: standing.retry(c, row.id, self.by()))

    async def _do_skip(self, number: int) -> None:
        await self._decide(number, ("parked", "pending"), lambda c, row: standing.skip(c, row.id, self.by()))

    async def _do_edit(self, number: int) -> None:
        self.decisions += 1

        def decide(connection: Any, row: Any) -> None:
            found = lists.find_delivery(connection, row.id)
            if row.kind == "reply" and found is not None and found.message is not None:
                text = f"reply {row.reply_id} by hand {self.decisions} end"
                standing.edit(connection, row.id, self.books.with_text(found.message, text), self.by())

        await self._decide(number, ("parked", "pending"), decide)

    async def _do_pause_api(self, number: int) -> None:
        now, api = self.clock.now(), ("berlin", "hamburg")[number % 2]
        await self.database.write(lambda c: health.pause_api(c, api, PauseCause.PERSON, "maintenance", now))

    async def _do_resume_api(self, _number: int) -> None:
        await self._resume_apis({PauseCause.PERSON, PauseCause.NOT_THE_API, PauseCause.KEY, PauseCause.THREADS})

    async def _resume_apis(self, causes: set[PauseCause]) -> None:
        for api in ("berlin", "hamburg"):
            state = await self.database.read(lambda c: health.get_api(c, api))  # noqa: B023 - awaited at once
            if state.paused_cause in causes:
                self.audit.resumed_by_hand = {api}
                await self.database.write(lambda c: health.resume_api(c, api))  # noqa: B023
        self.audit.resumed_by_hand = set()

    async def _do_revoke_key(self, _number: int) -> None:
        self.sandbox.is_revoked = True

    async def _do_mend_key(self, _number: int) -> None:
        self.sandbox.is_revoked = False

    async def _do_remove_link(self, number: int) -> None:
        there = [link_id for link_id, entry in self.books.links.items() if not entry.removed]
        if there and number % 2:
            link_id, now = there[number % len(there)], self.clock.now()
            await self.database.write(lambda c: link_changes.remove(c, link_id, now))
            self.books.links[link_id].removed = True

    async def _do_resume_link(self, number: int) -> None:
        now = self.clock.now()
        suspended = [link_id for link_id, one in self.audit.seen.links.items() if one[1] == "suspended"]
        if suspended:
            link_id = suspended[number % len(suspended)]
            await self.database.write(lambda c: link_changes.resume(c, link_id, now))

    async def _do_pause_system(self, _number: int) -> None:
        now = self.clock.now()
        await self.database.write(lambda c: health.pause_system(c, "desk", health.PERSON, "maintenance", now))

    async def _do_resume_system(self, _number: int) -> None:
        await self.database.write(lambda c: health.resume_system(c, "desk"))

    async def _do_backfill(self, number: int) -> None:
        wanted, now = Wanted(first_message=number % 2 == 0), self.clock.now()
        asked = await self.database.write(
            lambda c: requests.ask(c, RequestKind.BACKFILL, "desk", wanted.as_arguments(), "tester", now)
        )
        self.books.ask_backfill(asked, wanted.first_message)

    async def _do_poll(self, number: int) -> None:
        arguments, now = {"tickets": [self.ticket_of(number).number]}, self.clock.now()
        await self.database.write(lambda c: requests.ask(c, RequestKind.POLL, "desk", arguments, "tester", now))

    async def _do_release(self, _number: int) -> None:
        now = self.clock.now()
        await self.database.write(lambda c: health.release_api(c, "berlin", now))
