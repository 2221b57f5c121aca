"""`syncd demo`: everything at work in one process, and the proof that nothing was lost or sent twice.

The ticketing system and the Open API are stand-ins on loopback; what lies between them is the daemon as it is, with
settings from a file, a SQLite database and HTTP. The counts at the end come from both ends' own records.
"""

import asyncio
import io
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from syncd.console.context import invocation_of
from syncd.console.demo_view import View, print_proof
from syncd.console.output import notice, say
from syncd.model.clock import Clock
from syncd.model.communication import Thread
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.service.daemon import Daemon
from syncd.service.log import configure_log
from syncd.service.notify import Notifier
from syncd.service.settings import Settings, load_settings
from syncd.store import links
from syncd.store.database import open_database
from syncd.store.schema import ensure_schema
from syncd.testing.balance import Balance, Watched, count_both_ends
from syncd.testing.helpdesk import Helpdesk
from syncd.testing.sandbox import Sandbox
from syncd.testing.story import STORY_SECONDS, open_tickets, write_story

API, SYSTEM, KEY = "berlin", "helpdesk", "demo-key"
SETTLE_SECONDS = 30.0
"""How long after the story everything may take: a failed request is tried again after five seconds, then thirty."""
AGAIN_SECONDS = 2.5
"""How long it goes on after that, so that whatever is sent twice is seen: two polls."""

_SETTINGS = """
timezone = "Europe/Berlin"
[database]
url = "sqlite:///{folder}/syncd.db"
[api.{api}]
base_url = "{api_url}"
api_key = "{key}"
[systems.{system}]
adapter = "in_memory"
poll_seconds = 1
status_notes = "all"
[systems.{system}.options]
base_url = "{desk_url}"
token = "{token}"
"""


def demo(
    ctx: typer.Context,
    seconds: Annotated[
        float, typer.Option(min=1, max=600, metavar="N", help="How long the story takes; the rest is waiting for it.")
    ] = STORY_SECONDS,
) -> None:
    """Show everything at work against stand-ins on this machine, and prove that it adds up.

    Nothing leaves this machine, no settings are read, and nothing is left behind.
    """
    log = io.StringIO()
    configure_log("INFO", "human", log)
    with tempfile.TemporaryDirectory(prefix="syncd-demo-") as folder:
        balance = asyncio.run(_play(Path(folder), invocation_of(ctx).clock, seconds))
    print_proof(balance)
    if not balance.adds_up:
        notice("It does not add up. What syncd wrote in its log:")
        sys.stderr.write(log.getvalue())
        raise typer.Exit(1)


async def _play(folder: Path, clock: Clock, seconds: float) -> Balance:
    """Let the story happen between the two ends, and count both."""
    async with Helpdesk(clock) as helpdesk, Sandbox({KEY: API}, clock=clock) as api:
        settings = _write_settings(folder, helpdesk, api)
        tickets = open_tickets(helpdesk)
        scene = Scene(await _link_all(settings, helpdesk, clock), helpdesk, api, clock, _note_texts(settings))
        say(f"A helpdesk on {helpdesk.base_url}, an Open API on {api.base_url}, and syncd between them.")
        daemon = Daemon(settings, clock, Notifier({}, clock), lambda: settings)
        running = asyncio.create_task(daemon.serve(), name="daemon")
        story = asyncio.create_task(helpdesk.play(write_story(tickets, api, seconds)), name="story")
        try:
            await scene.watch(story, running)
        finally:
            story.cancel()
            daemon.end()
            await running
        return scene.balance()


def _write_settings(folder: Path, helpdesk: Helpdesk, api: Sandbox) -> Settings:
    file = folder / "config.toml"
    file.touch(mode=0o600)
    text = _SETTINGS.format(
        folder=folder,
        api=API,
        api_url=api.base_url,
        key=KEY,
        system=SYSTEM,
        desk_url=helpdesk.base_url,
        token=helpdesk.token,
    )
    file.write_text(text, encoding="utf-8")
    return load_settings(file, {})


def _note_texts(settings: Settings) -> list[str]:
    text = settings.systems[SYSTEM].status_note_text
    return [text.replace("{status}", word) for word in ("created", "ongoing", "closed")]


async def _link_all(settings: Settings, helpdesk: Helpdesk, clock: Clock) -> list[Watched]:
    """Tie every ticket to a thread, as `syncd links add` does, from now on."""
    database = open_database(settings.database.url.get_secret_value())
    watched = []
    try:
        await ensure_schema(database, migrate=True)
        for number, ticket in enumerate(helpdesk.tickets.values(), 1):
            now = clock.now()
            new = NewLink(Thread(API, 1000 + number, 500 + number), SYSTEM, TicketRef(number=ticket.number), now)
            await database.write(lambda connection: links.add(connection, new, now))  # noqa: B023 - awaited at once
            watched.append(Watched(ticket, new.thread.customer_id, new.thread.thread_id, now))
    finally:
        await database.close()
    return watched


@dataclass(slots=True)
class Scene:
    """Both ends, watched while the story happens."""

    watched: Sequence[Watched]
    helpdesk: Helpdesk
    api: Sandbox
    clock: Clock
    note_texts: Sequence[str]

    def balance(self) -> Balance:
        """Count both ends now."""
        return count_both_ends(self.watched, self.api.communications, self.note_texts)

    async def watch(self, story: "asyncio.Task[None]", daemon: "asyncio.Task[None]") -> None:
        """Show what happens until the story is told and everything has arrived, or takes too long."""
        told_at: float | None = None
        good_since: float | None = None
        with View(self.watched, self.api, self.note_texts) as view:
            while not daemon.done():
                view.show()
                now = self.clock.monotonic()
                told_at = now if story.done() and told_at is None else told_at
                good_since = (good_since or now) if self.balance().adds_up else None
                if told_at is not None and _is_over(now, told_at, good_since):
                    return
                await self.clock.sleep(0.2)


def _is_over(now: float, told_at: float, good_since: float | None) -> bool:
    settled = good_since is not None and now - max(good_since, told_at) >= AGAIN_SECONDS
    return settled or now - told_at >= SETTLE_SECONDS
