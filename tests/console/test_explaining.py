"""Why a delivery or a link does not go on: each cause is told as what it is, with what would help."""

import asyncio
import shlex
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from syncd.console.context import CommandContext
from syncd.console.explaining import explain_delivery, explain_link
from syncd.console.group import program
from syncd.console.main import COMMANDS, PROGRAM, program_help
from syncd.model.clock import SystemClock
from syncd.model.collected import Collected, Disposition, Entry
from syncd.model.communication import Thread
from syncd.model.delivery import DeliveryState, Lane, Outcome
from syncd.model.health import PauseCause
from syncd.model.lease import Kind, Subject
from syncd.model.link import Cause, NewLink
from syncd.model.ticket import TicketRef
from syncd.service.settings import load_settings
from syncd.store import floods, health, holding, leases, link_changes, links, replies, standing
from syncd.store.database import open_database
from syncd.store.lock import find_lock
from syncd.store.schema import database_id, ensure_schema
from syncd.store.standing import Decision
from syncd.sync.explanation import Explanation
from tests.store.conftest import NOON, Filled, filled

__all__ = ["filled"]  # a fixture

BY = Decision("anna", NOON, "looked")


class Noon(SystemClock):
    """A clock that stands; `later` moves it."""

    later = timedelta(0)

    def now(self) -> Any:
        """Return the instant at which everything is looked at."""
        return NOON + self.later


@dataclass
class Desk:
    """A database with what tests put into it, and the questions about it. A worker runs unless a test ends it."""

    filled: Filled
    context: CommandContext
    clock: Noon

    async def delivery(self, reply_id: str, **facts: Any) -> Explanation:
        """Return the explanation of a reply's delivery."""
        found = next(item.id for item in await self.filled.items() if item.reply_id == reply_id)
        return self.checked(await explain_delivery(self.context, found))

    async def link(self, thread: int = 1) -> Explanation:
        """Return the explanation of a thread's link."""
        return self.checked(await explain_link(self.context, self.filled.links[thread]))

    def checked(self, found: Explanation) -> Explanation:
        """Return an explanation once each command in it is one that the program takes."""
        for line in found.commands:
            words = shlex.split(line)
            if words[0] == PROGRAM:
                _parse(words[1:])
        return found

    async def wait(self, thread: int, *reply_ids: str, **more: Any) -> int:
        """Link a thread if it is not, and let replies of it wait; return the first one's delivery."""
        if thread not in self.filled.links:
            await self.filled.link(thread)
        await self.filled.enqueue(thread, *reply_ids, **more)
        return next(item.id for item in await self.filled.items() if item.reply_id == reply_ids[0])

    async def read(self, thread: int, *entries: Entry) -> None:
        """Have the ticket of a thread read from its start."""
        link = await self.filled.get_link(thread)
        whole = Collected(link.id, link.thread_key, "desk", NOON, entries, ticket=link.ticket, complete=True)
        await self.filled.do(replies.store_collected, whole, NOON)


def _parse(words: list[str]) -> None:
    parent: Any = program(COMMANDS, program_help).make_context(PROGRAM, ["run"])
    command: Any = program(COMMANDS, program_help)
    while words and hasattr(command, "resolve_command"):  # a group may do something by itself
        name, command, words = command.resolve_command(parent, words)
        parent = command.make_context(name, list(words), parent=parent, resilient_parsing=False)
        words = [*getattr(parent, "_protected_args", []), *parent.args]


def _context(folder: Path, url: str, filled: Filled, **api: str) -> tuple[CommandContext, Noon]:
    lines = [f'state_directory = "{folder}"', 'timezone = "UTC"', "[database]", f'url = "{url}"']
    for name, more in {"berlin": "", "hamburg": 'mode = "hold"', "ulm": 'order = "strict"'}.items():
        lines += [f"[api.{name}]", 'base_url = "http://127.0.0.1:1"', 'api_key = "key"', more]
    lines += ["[systems.desk]", 'adapter = "in_memory"', "[systems.desk.options]"]
    lines += ['base_url = "http://127.0.0.1:1"', 'token = "helpdesk-token"']
    (folder / "config.toml").write_text("\n".join(lines))
    clock = Noon()
    return CommandContext(load_settings(folder / "config.toml", {}), filled.database, clock, "anna"), clock


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with the schema, made once."""
    file = tmp_path_factory.mktemp("empty") / "syncd.db"

    async def make() -> None:
        opened = open_database(f"sqlite:///{file}")
        await ensure_schema(opened, migrate=True)
        await opened.close()

    asyncio.run(make())
    return file


@pytest_asyncio.fixture
async def desk(tmp_path: Path, sqlite_url: str, empty: Path) -> AsyncIterator[Desk]:
    """Return an empty SQLite database at which a worker runs."""
    await asyncio.to_thread(shutil.copy, empty, tmp_path / "syncd.db")
    database = open_database(sqlite_url)
    filled = Filled(database)
    made = Desk(filled, *_context(tmp_path, sqlite_url, filled))
    async with _worker(made):
        yield made
    await database.close()


@pytest.fixture
def desk_on_both(tmp_path: Path, database_url: str, filled: Filled) -> Desk:
    """Return an empty database at which nobody works, once on SQLite and once on PostgreSQL."""
    context, clock = _context(tmp_path, database_url, filled)
    return Desk(filled, context, clock)


@asynccontextmanager
async def _worker(desk: Desk) -> AsyncIterator[None]:
    """Have a worker run that owns everything."""
    if desk.context.database.dialect == "sqlite":
        lock = await find_lock(desk.context.database_url)
        assert lock is not None
        yield
        await lock.release()
        return
    subjects = [Subject(Kind.API, "berlin"), Subject(Kind.SYSTEM, "desk")]
    await desk.filled.do(leases.appear, "worker", subjects, 60)
    for subject in subjects:
        await desk.filled.do(leases.take, subject, "worker", 60)
    yield


async def test_nothing_stands_before_it(desk):
    """What is due and has the way free goes out now, which needs nobody; after five minutes it is a case for a look."""
    await desk.wait(1, "a")
    found = await desk.delivery("a")
    assert found.sentence == "not delivered: due since 12:00:00, and nothing stands before it: it goes out now"
    assert not found.needs_person
    desk.clock.later = timedelta(minutes=6)
    found = await desk.delivery("a")
    assert found.needs_person
    assert any(line.startswith("journalctl") for line in found.commands)


async def test_behind_another_one_on_both_databases(desk_on_both):
    """What waits behind the first of its thread is told that one's cause; nobody works, so the cause is that."""
    first = await desk_on_both.wait(1, "a", "b")
    found = await desk_on_both.delivery("b")
    assert found.sentence == f"not delivered: waits behind delivery {first}: no worker runs"
    assert found.needs_person
    of_link = await desk_on_both.link()
    assert of_link.sentence == f"delivery {first} is not delivered: no worker runs (and 1 more of this link wait)"
    assert "also" not in dict(of_link.facts)  # said once
    assert found.commands[0] == "systemctl start syncd"


async def test_on_the_wire_and_behind_it(desk):
    """A delivery on the wire says since when; the next of its thread waits for that one."""
    first = await desk.wait(1, "a", "b")
    await desk.filled.mark(first)
    assert (await desk.delivery("a")).sentence == "not delivered: on the wire since 12:00:00"
    behind = await desk.delivery("b")
    assert behind.sentence == f"not delivered: waits behind delivery {first}, on the wire since 12:00:00"


async def test_parked(desk):
    """A parked one says since when and why, and how to decide; in a relaxed thread it holds nobody."""
    first = await desk.wait(1, "a", "b")
    await desk.filled.end(first, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED, reason="400 content too long")
    found = await desk.delivery("a")
    assert found.sentence == "not delivered: parked since 12:00:00: 400 content too long"
    assert found.needs_person
    assert f"syncd deliveries retry {first} --reason mended" in found.commands
    assert "behind" not in (await desk.delivery("b")).sentence


async def test_strict_order(desk):
    """In strict order what is parked holds its thread, and the one behind it says so, with its reason."""
    await desk.filled.link(1, api="ulm")
    first = await desk.wait(1, "a", "b")
    await desk.filled.end(first, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED, reason="400 content too long")
    await desk.filled.do(holding.hold_back, (await desk.filled.get_link(1)).thread_key)
    found = await desk.delivery("b")
    assert found.sentence == (
        f"not delivered: waits behind delivery {first}, parked since 12:00:00: 400 content too long"
    )
    assert found.needs_person


async def test_in_doubt(desk):
    """One in doubt says since when and what the evidence is, with both decisions ready."""
    first = await desk.wait(1, "a")
    await desk.filled.end(first, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT, error_text="sent, but not answered: reset")
    found = await desk.delivery("a")
    assert found.sentence == "not delivered: in doubt since 12:00:00: it was sent, and no answer came: reset"
    assert f"syncd deliveries resolve {first} --resend --reason 'it is not in the thread'" in found.commands


async def test_delivered(desk):
    """What was delivered says when and as which communication; nothing needs a person."""
    first = await desk.wait(1, "a")
    await desk.filled.end(first, Outcome.DELIVERED, DeliveryState.DELIVERED, communication_id=812)
    found = await desk.delivery("a")
    assert found.sentence == "delivered at 12:00:00 as communication 812"
    assert dict(found.facts)["took"] == timedelta(0)
    assert not found.needs_person
    assert not found.commands


async def test_skipped(desk):
    """What a person left says that it is deliberate, and why."""
    first = await desk.wait(1, "a")
    await desk.filled.do(standing.skip, first, BY)
    found = await desk.delivery("a")
    assert found.sentence == "not sent, deliberately: skipped at 12:00:00: skipped: looked"
    assert not found.needs_person


async def test_suspended(desk):
    """A suspended link is the cause, before its api; a merge offers to follow; both causes are told."""
    await desk.wait(1, "a")
    link = desk.filled.links[1]
    await desk.filled.do(link_changes.suspend, link, Cause.TICKET_MERGED, "merged into T9", "T9")
    await desk.filled.do(health.pause_api, "berlin", PauseCause.PERSON, "anna: holidays", NOON)
    found = await desk.delivery("a")
    assert found.sentence == f"not delivered: link {link} is suspended (ticket merged): merged into T9"
    assert found.commands[0] == f"syncd links resume {link} --follow"
    assert ("also", "api berlin is paused since 12:00:00, by a person: anna: holidays") in found.facts


async def test_refused_thread(desk):
    """A thread that the API refuses says so, and when it is tried again."""
    first = await desk.wait(1, "a")
    later = NOON + timedelta(minutes=30)
    more = {"error_text": "404 no such thread", "thread_retry_at": later, "due_at": later}
    await desk.filled.end(first, Outcome.THREAD_AT_FAULT, DeliveryState.PENDING, **more)
    found = await desk.delivery("a")
    assert found.sentence == (
        "not delivered: the API refuses thread 1 of customer 7: 404 no such thread; tried again at 12:30:00"
    )
    assert found.needs_person


@pytest.mark.parametrize(
    ("cause", "words", "command"),
    [
        (PauseCause.KEY, "its key is refused: why", "syncd apis resume berlin"),
        (PauseCause.NOT_THE_API, "something else than the Open API answers: why", "syncd apis resume berlin"),
        (PauseCause.RESTORED, "the database was restored from a backup: why", "syncd db restored"),
    ],
)
async def test_paused_api(desk, cause, words, command):
    """A paused api is the cause, with since when and why, and the command that ends this kind of pause."""
    await desk.wait(1, "a")
    await desk.filled.do(health.pause_api, "berlin", cause, "why", NOON - timedelta(days=2))
    found = await desk.delivery("a")
    assert found.sentence == f"not delivered: api berlin is paused since 2026-02-28 12:00:00, {words}"
    assert found.needs_person
    assert any(line.startswith(command) for line in found.commands)


async def test_unreleased_api(desk):
    """An api with mode hold holds everything until it is released."""
    await desk.filled.link(1, api="hamburg")
    await desk.wait(1, "a")
    found = await desk.delivery("a")
    assert found.sentence == 'not delivered: api hamburg has mode = "hold" and was not released'
    assert found.commands[-1] == "syncd apis release hamburg"
    await desk.filled.do(health.release_api, "hamburg", NOON)
    assert "it goes out now" in (await desk.delivery("a")).sentence


async def test_throttled_api(desk):
    """After a 429 the api is left alone until an instant; that ends by itself."""
    await desk.wait(1, "a")
    await desk.filled.do(health.throttle_api, "berlin", NOON + timedelta(minutes=1))
    found = await desk.delivery("a")
    assert found.sentence.endswith("(429) and is left alone until 12:01:00")
    assert not found.needs_person


async def test_api_without_settings(desk):
    """An api that is not in the settings is named, with what to put back."""
    await desk.filled.link(1, api="gone")
    await desk.wait(1, "a")
    found = await desk.delivery("a")
    assert found.sentence == "not delivered: api gone is not in the settings: put [api.gone] back"
    assert found.needs_person


async def test_failures(desk):
    """What failed says how often, why last, and when next; it needs a person once that goes on for long."""
    first = await desk.wait(1, "a")
    more = {"error_text": "503: busy", "due_at": NOON + timedelta(minutes=20), "counts_as_failure": True}
    await desk.filled.end(first, Outcome.REFUSED_FOR_NOW, DeliveryState.PENDING, **more)
    found = await desk.delivery("a")
    assert found.sentence == "not delivered: tried once without success, last: 503: busy; tried again at 12:20:00"
    assert not found.needs_person
    desk.clock.later = timedelta(minutes=16)
    await desk.filled.do(health.note_sweep, "desk", NOON)
    assert (await desk.delivery("a")).needs_person


async def test_the_ticket_cannot_be_read_again(desk):
    """What waited long is read again before it is sent; if its system is paused, that is the cause."""
    await desk.wait(1, "a")
    await desk.filled.do(health.pause_system, "desk", health.SYNCD, "401 at sign-in", NOON)
    assert "paused" not in (await desk.delivery("a")).sentence
    desk.clock.later = timedelta(minutes=11)
    found = await desk.delivery("a")
    assert found.sentence == (
        "not delivered: its ticket has to be read again first, and system desk is paused by syncd since 12:00:00: "
        "401 at sign-in"
    )
    assert "syncd systems resume desk" in found.commands


async def test_the_flood_guard(desk):
    """What the flood guard holds until the end of the sweep needs nobody yet; what it left to a person does."""
    first = await desk.wait(1, "a", state=DeliveryState.PARKED, reason=floods.HELD_REASON)
    found = await desk.delivery("a")
    assert found.sentence == "not delivered: held by the flood guard since 12:00:00, until the sweep of desk has ended"
    assert not found.needs_person
    await desk.filled.do(floods.keep, [first], "flood: one of 300 old replies that came as new")
    found = await desk.delivery("a")
    assert found.needs_person
    assert found.commands[-1].startswith("syncd deliveries skip --system desk --because flood:")


async def test_the_pace_on_both_databases(desk_on_both):
    """What is due behind others says how many leave before it and how long that takes; backfilled ones go last."""
    for thread in range(1, 5):
        await desk_on_both.wait(thread, f"a{thread}", minutes=thread / 60 - 2)
    await desk_on_both.wait(5, "old", lane=Lane.BACKFILL)
    if desk_on_both.context.database.dialect == "postgresql":
        await desk_on_both.filled.do(leases.appear, "worker", [Subject(Kind.API, "berlin")], 60)
        assert (await desk_on_both.delivery("old")).sentence == "not delivered: no worker owns api berlin"
    async with _worker(desk_on_both):
        found = await desk_on_both.delivery("old")
    assert found.sentence == "not delivered: due since 12:00:00, 4 due before it at 900 a minute: about 1 min"
    assert not found.needs_person


async def test_a_restored_database(desk, tmp_path):
    """A database that is behind its mark lets nothing leave, also before a worker has noticed."""
    await desk.wait(1, "a")
    name = await desk.filled.do(database_id)
    (tmp_path / "syncd.db.high-water").write_text(f"{name} {12:020d}\n")
    found = await desk.delivery("a")
    assert found.sentence.startswith("not delivered: the database was restored from a backup")
    assert found.commands == ("syncd db restored --reason 'restored from a backup'",)


async def test_a_link_with_all_done(desk_on_both):
    """A link with nothing open says so, with the last communication, once its system was read."""
    first = await desk_on_both.wait(1, "a")
    await desk_on_both.filled.end(first, Outcome.DELIVERED, DeliveryState.DELIVERED, communication_id=812)
    await desk_on_both.read(1)
    async with _worker(desk_on_both):
        found = await desk_on_both.link()
    assert found.sentence == "everything that is known of it is delivered; last at 12:00:00, communication 812"
    assert not found.needs_person
    assert "syncd poll --system desk --ticket T1" in found.commands


async def test_a_link_with_something_that_stands(desk):
    """A link says of the first delivery that stands what it waits for, and how many more wait."""
    first = await desk.wait(1, "a", "b", "c")
    await desk.filled.end(first, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED, reason="400 too long")
    found = await desk.link()
    assert found.sentence == (
        f"delivery {first} is not delivered: parked since 12:00:00: 400 too long (and 2 more of this link wait)"
    )
    assert dict(found.facts)["not delivered"] == "1 parked, 2 pending"
    assert found.needs_person


async def test_a_link_of_a_system_that_fails(desk):
    """Where a system cannot be read, a missing reply may be there and unread: since when, why, and when next."""
    await desk.wait(1, "a")
    await desk.filled.do(standing.skip, 1, BY)
    again = NOON + timedelta(minutes=5)
    await desk.filled.do(health.note_sweep_failure, "desk", "503", again, NOON - timedelta(hours=1))
    found = await desk.link()
    assert found.sentence == (
        "what is new of its ticket is not read: system desk fails since 11:00:00: 503; tried again at 12:05:00"
    )
    assert found.needs_person


async def test_an_unresolved_link(desk):
    """A link whose ticket was not looked up says so; that it failed, with when it is tried again."""
    new = NewLink(Thread("berlin", 7, 1), "desk", TicketRef(number="T1"), NOON)
    desk.filled.links[1] = (await desk.filled.do(links.add, new, NOON)).link_id
    found = await desk.link()
    assert found.sentence == "its ticket has not been looked up yet: the next sweep of desk does it"
    assert not found.needs_person
    await desk.filled.do(link_changes.postpone, desk.filled.links[1], NOON + timedelta(minutes=2))
    found = await desk.link()
    assert found.sentence == "its ticket has not been looked up yet: that failed once; tried again at 12:02:00"
    assert found.needs_person


async def test_what_is_not_to_be_sent(desk):
    """A link of which nothing is owed says what its replies are: internal, or older than its `from`."""
    await desk.filled.link(1)
    await desk.read(1, Entry("i", Disposition.WITHHELD), Entry("o", Disposition.OLDER))
    found = await desk.link()
    assert found.sentence == (
        "none of its replies is to be sent: 1 older than the link's `from`, 1 internal, so withheld"
    )
    assert "syncd backfill --system desk --ticket T1 --dry-run" in found.commands


async def test_a_removed_link(desk):
    """A removed link says that nothing more of its ticket is sent, and how to link it again."""
    await desk.filled.link(1)
    await desk.filled.do(link_changes.remove, desk.filled.links[1], NOON)
    found = await desk.link()
    assert found.sentence == "the link was removed: nothing more of its ticket is sent"
    assert found.commands[0].startswith("syncd links add --api berlin --customer 7 --thread 1 --system desk")


async def test_a_vendors_ticket_number_is_no_command(desk):
    """Whatever a vendor calls a ticket, a command that is pasted names it and does nothing else."""
    await desk.filled.link(1, number="1; rm -rf $HOME `id`")
    found = await desk.link()
    (poll,) = (line for line in found.commands if line.startswith("syncd poll"))
    assert shlex.split(poll)[-1] == "1; rm -rf $HOME `id`"
    assert "'1; rm -rf $HOME `id`'" in poll
