"""A status page over a database in which there is one of everything, so that every page has something to show."""

import shutil
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from syncd.console.web.context import WebContext
from syncd.console.web.server import listening, make_app
from syncd.model.clock import SystemClock
from syncd.model.delivery import DeliveryState, Lane, Outcome
from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.model.ticket import Ticket
from syncd.service.settings import Settings, load_settings
from syncd.store import health, link_changes, requests, standing
from syncd.store.database import open_database
from syncd.store.requests import RequestKind, RequestState
from syncd.store.schema import ensure_schema
from syncd.store.standing import Decision
from syncd.sync.backfill import Wanted
from tests.store.conftest import Filled

FILE = "syncd.db"
TOKEN = "token-of-the-browser-0123456789"
SETTINGS = """timezone = "Europe/Berlin"
[database]
url = "sqlite:///{folder}/{file}"
[console]
listen = "127.0.0.1:0"
token = "{token}"
[api.berlin]
base_url = "http://127.0.0.1:1"
api_key = "key-berlin"
[api.hamburg]
base_url = "http://127.0.0.1:1"
api_key = "key-hamburg"
[systems.desk]
adapter = "in_memory"
[systems.desk.options]
base_url = "http://127.0.0.1:1"
token = "helpdesk-token"
"""


class Scene:
    """The server and its database. Deliveries are named by their reply ids in `ids`.

    Link 1 has a long life, link 2 waits, link 3 was merged, link 4 is gone; hamburg is paused; backfill 1 runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.poked: list[str] = []
        self.address = ""
        self.ids: dict[str, int] = {}
        self.backfill = 0
        self._open = AsyncExitStack()

    async def fill(self) -> None:
        """Make the database, and put one of everything into it."""
        self._open_database()
        await ensure_schema(self.database, migrate=True)
        self.filled.now = self.clock.now() - timedelta(hours=3)
        await self._fill()
        await self.database.close()

    async def open(self, filled: "Scene") -> None:
        """Listen, over a copy of what was filled into another scene."""
        shutil.copy(filled.folder / FILE, self.folder / FILE)
        settings = self._open_database()
        self.ids, self.backfill = dict(filled.ids), filled.backfill
        self.filled.now, self.filled.links = filled.filled.now, dict(filled.filled.links)
        context = WebContext(lambda: settings, self.database, self.clock, self.poked.append, list)
        self.address = await self._open.enter_async_context(listening(make_app(context), settings.console))

    async def close(self) -> None:
        """Stop listening and close the database."""
        await self._open.aclose()
        await self.database.close()

    def _open_database(self) -> Settings:
        settings = self._settings()
        self.database = open_database(settings.database.url.get_secret_value())
        self.filled = Filled(self.database)
        return settings

    def _settings(self) -> Settings:
        file = self.folder / "console.toml"
        file.write_text(SETTINGS.format(folder=self.folder, file=FILE, token=TOKEN))
        file.chmod(0o600)
        return load_settings(file, {})

    async def _fill(self) -> None:
        await self._long_life()
        await self._standing()
        await self._suspended()
        await self._backfills()
        await self.filled.do(health.note_success, "berlin", self.clock.now())
        cause, why = PauseCause.KEY, "the key is refused (401)"
        await self.filled.do(health.pause_api, "hamburg", cause, why, self.clock.now() - timedelta(hours=1))

    async def put(self, thread: int, reply: str, **more: object) -> int:
        """Queue a reply; return its delivery's id."""
        await self.filled.enqueue(thread, reply, **more)
        self.ids[reply] = max(item.id for item in await self.filled.items())
        return self.ids[reply]

    async def doubt(self, thread: int, reply: str) -> int:
        """Put a reply in doubt; return its delivery's id."""
        delivery_id = await self.put(thread, reply, minutes=-1)
        why = "no answer within 30 s"
        await self.filled.end(
            delivery_id, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT, reason=why, error_text=why, duration_ms=30_000
        )
        return delivery_id

    async def _long_life(self) -> None:
        filled = self.filled
        await filled.link(501, number="HD-4711")
        ticket = Ticket(
            id="id-HD-4711",
            number="HD-4711",
            link="https://desk.example/agent/tickets/4711",
            subject="My locker does not open <b>since</b> Tuesday",
            vendor_status="open",
        )
        await filled.do(link_changes.set_ticket, 1, ticket)
        for number in range(1, 9):
            filled.now += timedelta(minutes=2)
            delivery_id = await self.put(501, f"reply {number}", minutes=-0.3 * (number % 3))
            filled.now += timedelta(seconds=0.2 + number % 3)
            if number == 5:
                delay = {"due_at": filled.now, "counts_as_failure": True, "duration_ms": 12}
                await filled.end(delivery_id, Outcome.REFUSED_FOR_NOW, DeliveryState.PENDING, http_status=503, **delay)
                filled.now += timedelta(seconds=6)
            done = {"duration_ms": 80 + number, "communication_id": 9000 + number, "http_status": 200}
            await filled.end(delivery_id, Outcome.DELIVERED, DeliveryState.DELIVERED, **done)
        by = Decision("ann", filled.now + timedelta(seconds=1), "the thread is back")
        await filled.do(standing.write_decision, "resume", "link 1", by)

    async def _standing(self) -> None:
        filled = self.filled
        await filled.link(502, number="HD-4712")
        filled.now = self.clock.now() - timedelta(minutes=20)
        await self.doubt(502, "doubtful")
        await self.doubt(502, "also doubtful")
        for reply in ("too long", "refused", "not wanted"):
            delivery_id = await self.put(502, reply, minutes=-1)
            refusal = {"http_status": 400, "duration_ms": 40, "error_text": "content: size must be between 1 and 5000"}
            reason = "400: content: size must be between 1 and 5000"
            await filled.end(
                delivery_id, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED, reason=reason, error_code="size", **refusal
            )
        await self.put(502, "waits", minutes=-1)
        await self.put(502, "waits behind")

    async def _suspended(self) -> None:
        filled = self.filled
        for thread, number, cause, why, other in (
            (503, "HD-4713", Cause.TICKET_MERGED, "merged into ticket HD-4700", "HD-4700"),
            (504, "HD-4714", Cause.TICKET_GONE, "the ticket is gone (404)", None),
        ):
            link_id = await filled.link(thread, number=number)
            await filled.do(link_changes.suspend, link_id, cause, why, other)

    async def _backfills(self) -> None:
        filled, now = self.filled, self.clock.now()
        ask = (RequestKind.BACKFILL, "desk")
        done = await filled.do(requests.ask, *ask, Wanted(tickets=("HD-4711",)).as_arguments(), "bob", now)
        counts = {"links": 1, "of": 1, "found": 3, "known": 3, "enqueued": 0, "failed": 0}
        await filled.do(requests.end, done, RequestState.DONE, counts, now)
        self.backfill = await filled.do(requests.ask, *ask, Wanted().as_arguments(), "ann", now)
        counts = {"links": 1200, "of": 4000, "found": 8210, "known": 400, "enqueued": 2, "failed": 1}
        await filled.do(requests.report, self.backfill, counts)
        await filled.do(requests.add_step, self.backfill, 2, 0, 0, "RetryLater")
        await self.put(501, "long ago", minutes=-60 * 24 * 90, lane=Lane.BACKFILL)

    async def state_of(self, name: str) -> str:
        """Return the state of a delivery."""
        return {item.id: item.state for item in await self.filled.items()}[self.ids[name]]
