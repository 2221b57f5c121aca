"""Several workers in one process on a real PostgreSQL: who owns what, and what becomes of it when one goes silent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from syncd.model.clock import SystemClock
from syncd.model.communication import Thread
from syncd.model.lease import Kind, Subject
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.service.ownership import Ownership
from syncd.service.parts import Parts
from syncd.service.settings import Settings, load_settings
from syncd.store import leases, links, lists, restored
from syncd.store.database import Database, open_database
from syncd.store.high_water import HighWater
from syncd.store.schema import database_id, ensure_schema
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Sandbox

pytestmark = pytest.mark.postgresql

LEASE_SECONDS = 2.0
APIS = ("berlin", "hamburg", "munich")
SYSTEMS = ("desk", "mail")


class SkewedClock(SystemClock):
    """The machine's clock with another wall clock, as of a machine whose time is wrong."""

    def __init__(self, off: timedelta) -> None:
        self.off = off

    def now(self) -> datetime:
        """Return the wall clock of that machine."""
        return super().now() + self.off


class Machine:
    """One worker: its parts and what it owns, on a connection of its own to the database."""

    def __init__(self, settings: Settings, url: str, folder: Path, off: timedelta = timedelta()) -> None:
        self.clock = SkewedClock(off)
        self.database = open_database(url, idle_seconds=LEASE_SECONDS / 3)
        self.high_water = HighWater(folder / "mark")
        self.parts = Parts(settings, self.database, self.clock, self.high_water, lambda: None, only_worker=False)
        own = open_database(url, command_seconds=1, idle_seconds=1)
        self.ownership = Ownership(LEASE_SECONDS, own, self.parts, self.clock, self.high_water)
        self.is_silent = False

    async def begin(self) -> None:
        """Enter, as a daemon does at its start."""
        name = await self.database.read(database_id)
        self.high_water.path.parent.mkdir()
        self.high_water.open(name, await self.database.read(restored.attempt_counter))
        self.parts.may_poll.set()
        self.parts.may_send.set()
        self.parts.run()
        await self.ownership.enter()
        self.ownership.start()

    @property
    def name(self) -> str:
        """Return the worker's name."""
        return self.parts.worker

    async def fall_silent(self) -> None:
        """Renew nothing any more, as one whose process is frozen but for what it has on the wire."""
        self.is_silent = True
        running = self.ownership._running
        assert running is not None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def end(self) -> None:
        """Stop cleanly."""
        if self.is_silent:
            self.ownership.start()
        await self.ownership.close()
        await self.database.close()
        self.high_water.close()

    @property
    def owns(self) -> set[str]:
        """Return what is worked on here."""
        return {str(subject) for subject in self.parts.subjects() if self.parts.has(subject)}


class Crew:
    """Both ends, a PostgreSQL, and machines between them."""

    def __init__(self, url: str, folder: Path, until: Callable[..., object]) -> None:
        self.url, self.folder, self.until = url, folder, until
        self.clock = SystemClock()
        self.helpdesk = Helpdesk(self.clock)
        self.sandbox = Sandbox({f"key-{api}": api for api in APIS}, clock=self.clock)
        self.database: Database = open_database(url)
        self.machines: list[Machine] = []

    def settings(self, apis: tuple[str, ...] = APIS) -> Settings:
        """Return settings for both ends."""
        lines = ['timezone = "Europe/Berlin"', "[database]", f'url = "{self.url}"', f"lease_seconds = {LEASE_SECONDS}"]
        for api in apis:
            lines += [f"[api.{api}]", f'base_url = "{self.sandbox.base_url}"', f'api_key = "key-{api}"']
        for system in SYSTEMS:
            lines += [f"[systems.{system}]", 'adapter = "in_memory"', f"[systems.{system}.options]"]
            lines += [f'base_url = "{self.helpdesk.base_url}"', f'token = "{self.helpdesk.token}"']
        file = self.folder / "config.toml"
        file.touch(mode=0o600)
        file.write_text("\n".join(lines))
        return load_settings(file, {})

    async def machine(self, off: timedelta = timedelta(), apis: tuple[str, ...] = APIS) -> Machine:
        """Return one more machine at work."""
        made = Machine(self.settings(apis), self.url, self.folder / f"machine-{len(self.machines)}", off)
        self.machines.append(made)
        await made.begin()
        return made

    async def link(self, system: str = "desk", api: str = "berlin") -> DeskTicket:
        """Return a ticket that is linked from now on."""
        ticket = self.helpdesk.create_ticket("Locker", "first", at=self.clock.now() - timedelta(hours=1))
        now = self.clock.now()
        new = NewLink(Thread(api, 7, 500 + int(ticket.id)), system, TicketRef(number=ticket.number), now)
        await self.database.write(lambda c: links.add(c, new, now))
        return ticket

    async def until_shared(self, *machines: Machine) -> None:
        """Wait until these machines own everything between them, and nobody owns what another does."""
        everything = {str(one) for one in machines[0].parts.subjects()}

        def is_shared() -> bool:
            owned = [one for machine in machines for one in machine.owns]
            return set(owned) == everything and len(owned) == len(everything)

        await self.until(is_shared, "everything is owned once")

    def trigger(self) -> None:
        """Let every lane sweep and every dispatcher look, as the schedule would."""
        for machine in self.machines:
            for name in SYSTEMS:
                machine.parts.trigger(name)
            machine.parts.wake_dispatchers()

    async def until_state(self, state: str, number: int = 1) -> None:
        """Wait until so many deliveries are in a state."""
        async with asyncio.timeout(30):
            while (await self.database.read(lists.count_all)).deliveries.get(state, 0) != number:
                self.trigger()
                await asyncio.sleep(0.05)

    async def epochs(self) -> dict[str, int]:
        """Return how often each lease was taken."""
        muster = await self.database.read(leases.muster)
        return {str(claim.subject): claim.epoch for claim in muster.claims}

    async def senders(self) -> list[str]:
        """Return the workers that opened attempts, in order."""
        rows = text("SELECT worker FROM attempt ORDER BY id")
        return await self.database.read(lambda c: [row.worker for row in c.execute(rows)])


async def until_true(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - several loops of the daemon bring it about
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"did not come true: {what}")


@pytest_asyncio.fixture
async def crew(postgresql_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    """Return both ends, started, and an empty PostgreSQL with the schema."""
    made = Crew(postgresql_url, tmp_path, until_true)
    await made.helpdesk.start()
    await made.sandbox.start()
    await ensure_schema(made.database, migrate=True)
    yield made
    for machine in made.machines:
        await machine.end()
    await made.database.close()
    await made.sandbox.stop()
    await made.helpdesk.close()


async def test_a_second_machine_gets_its_share_and_a_clean_stop_gives_all_back_at_once(crew) -> None:
    """Both work side by side on different subjects; when one stops, the other has everything within two renewals."""
    first = await crew.machine()
    await crew.until_shared(first)
    second = await crew.machine()
    await crew.until(lambda: len(second.owns) == 2, "the second one got a share")
    await crew.until_shared(first, second)
    assert {one.partition(":")[0] for one in second.owns} == {"system", "api"}
    for api in APIS:
        ticket = await crew.link(api=api, system="mail")
        crew.helpdesk.customer_reply(ticket.id, f"for {api}")
    await crew.until_state("delivered", 3)
    assert set(await crew.senders()) == {first.name, second.name}
    began = crew.clock.monotonic()
    crew.machines.remove(second)
    await second.end()
    await crew.until_shared(first)
    assert crew.clock.monotonic() - began < LEASE_SECONDS


async def test_wrong_wall_clocks_cost_no_lease(crew) -> None:
    """An hour ahead and an hour behind, two machines keep what they own for several lease times."""
    ahead = await crew.machine(timedelta(hours=1))
    await crew.until_shared(ahead)
    behind = await crew.machine(-timedelta(hours=1))
    await crew.until(lambda: len(behind.owns) == 2, "the second one got a share")
    await crew.until_shared(ahead, behind)
    before = await crew.epochs()
    await asyncio.sleep(LEASE_SECONDS * 1.5)
    assert await crew.epochs() == before
    assert all(
        tenure.is_safe(one.clock.monotonic()) for one in (ahead, behind) for tenure in one.ownership.tenures.values()
    )


async def test_a_silent_owner_is_succeeded_and_its_late_2xx_settles_the_doubt(crew) -> None:
    """What it had on the wire is in doubt for its successor, which sends the rest; its 200 makes that delivered."""
    old = await crew.machine()
    await crew.until_shared(old)
    ticket = await crew.link()
    other = await crew.link()
    crew.sandbox.answer_delay = lambda: LEASE_SECONDS * 2.5
    crew.helpdesk.customer_reply(ticket.id, "on the wire")
    await crew.until_state("sending")
    await crew.until(lambda: crew.sandbox.requests == 1, "it is on the wire")
    await old.fall_silent()
    silent_since = crew.clock.monotonic()
    new = await crew.machine()
    await crew.until(lambda: len(new.owns) == 5, "the new one owns everything")
    assert crew.clock.monotonic() - silent_since < 2 * LEASE_SECONDS + 1
    assert (await crew.database.read(lists.count_all)).deliveries == {"in_doubt": 1}
    crew.sandbox.answer_delay = None
    crew.helpdesk.customer_reply(other.id, "written later")
    await crew.until_state("delivered", 2)
    assert [one.body["content"] for one in crew.sandbox.communications] == ["on the wire", "written later"]
    assert await crew.senders() == [old.name, new.name]


async def test_an_owner_that_believes_in_its_lease_for_too_long_marks_nothing(crew) -> None:
    """Even if its own clock stood still while another took over, what it would send and store is refused."""
    old = await crew.machine()
    await crew.until_shared(old)
    ticket = await crew.link()
    await old.fall_silent()
    new = await crew.machine()
    await crew.until(lambda: len(new.owns) == 5, "the new one owns everything")
    for tenure in old.ownership.tenures.values():
        tenure.ends_at = float("inf")
    new.parts.may_send.clear()
    crew.helpdesk.customer_reply(ticket.id, "for the new one")
    assert not await old.parts.systems["desk"].lane.turn(), "nothing of it is stored"
    await crew.until_state("pending")
    before = old.parts.apis["berlin"].dispatcher.progressed_at
    crew.trigger()
    await crew.until(lambda: old.parts.apis["berlin"].dispatcher.progressed_at > before, "the old one has tried")
    await crew.until(lambda: old.parts.apis["berlin"].dispatcher.in_flight == 0, "it has come to nothing")
    assert (crew.sandbox.requests, await crew.senders()) == (0, [])
    new.parts.may_send.set()
    await crew.until_state("delivered")
    assert await crew.senders() == [new.name]


async def test_a_lease_that_is_about_to_end_lets_nothing_leave(crew) -> None:
    """An owner that cannot renew begins nothing in the last part of its lease, though nobody has taken it."""
    only = await crew.machine()
    await crew.until_shared(only)
    ticket = await crew.link()
    await only.fall_silent()
    tenures = only.ownership.tenures
    berlin = tenures[Subject(Kind.API, "berlin")]
    # Its time is up before a mark's commit comes back: the mark is taken back, and no byte has left.
    sender = only.parts.apis["berlin"].dispatcher.sender
    crew.helpdesk.customer_reply(ticket.id, "too late")
    await only.parts.systems["desk"].lane.turn()
    berlin.ends_at = float("-inf")
    for tenure in tenures.values():
        tenure.ends_at = min(tenure.ends_at, berlin.ends_at)
    crew.trigger()
    await asyncio.sleep(0.3)
    assert (crew.sandbox.requests, await crew.senders()) == (0, [])
    assert not only.parts.systems["desk"].lane.allowed.is_set()
    assert sender.tenure is berlin


async def test_an_owner_of_an_api_has_the_owner_of_the_system_read_again(crew) -> None:
    """What has waited for long at one machine is read again by the other one, whose system it is, and then sent."""
    first = await crew.machine()
    await crew.until_shared(first)
    second = await crew.machine()
    await crew.until(lambda: len(second.owns) == 2, "the second one got a share")
    await crew.until_shared(first, second)
    (api,) = [one.partition(":")[2] for one in second.owns if one.startswith("api:")]
    (system,) = [one.partition(":")[2] for one in first.owns if one.startswith("system:")]
    second.parts.may_send.clear()
    ticket = await crew.link(system=system, api=api)
    reply = crew.helpdesk.customer_reply(ticket.id, "as it was first")
    await crew.until_state("pending")
    crew.helpdesk.edit(reply.id, "as it was edited")
    await crew.database.write(lambda c: c.execute(text("UPDATE delivery SET read_at = read_at - interval '1 hour'")))
    second.parts.may_send.set()
    await crew.until_state("delivered")
    assert [one.body["content"] for one in crew.sandbox.communications] == ["as it was edited"]
    assert set(await crew.senders()) == {second.name}
    left = await crew.database.read(lambda c: c.execute(text("SELECT count(*) FROM request")).scalar_one())
    assert left == 0


async def test_a_machine_works_on_what_it_has_configured_alone(crew) -> None:
    """While settings differ, an api that one machine does not know stays with the one that does."""
    small = await crew.machine(apis=("berlin",))
    await crew.until_shared(small)
    full = await crew.machine()
    await crew.until_shared(full, small)
    assert {"api:hamburg", "api:munich"} <= full.owns


async def test_a_reload_changes_what_is_owned_here_and_begins_nothing_of_others(crew) -> None:
    """A changed pace is taken in for the apis of this machine; those of another one stay where they are."""
    first = await crew.machine()
    await crew.until_shared(first)
    second = await crew.machine()
    await crew.until(lambda: len(second.owns) == 2, "the second one got a share")
    await crew.until_shared(first, second)
    before = first.owns
    settings = first.parts.settings
    changed = {name: api.model_copy(update={"requests_per_minute": 77}) for name, api in settings.api.items()}
    await first.parts.replace(settings.model_copy(update={"api": changed}))
    assert first.owns == before
    assert {part.dispatcher.sender.policy.requests_per_minute for part in first.parts.apis.values()} == {77}
    assert all(part.dispatcher.sender.tenure is not None for part in first.parts.apis.values())
