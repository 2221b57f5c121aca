"""Several workers in one process on a real PostgreSQL: who owns what, and what becomes of it when one goes silent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import create_async_engine

from syncd.model.clock import SystemClock
from syncd.model.communication import Thread
from syncd.model.lease import Kind, Lease, Subject
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.service.ownership import Ownership
from syncd.service.parts import Parts
from syncd.service.settings import Settings, load_settings
from syncd.store import leases, links, lists, restored
from syncd.store.database import Database, open_database
from syncd.store.high_water import HighWater
from syncd.store.schema import database_id, ensure_schema
from syncd.store.standing import Decision
from syncd.store.tables import lease
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Sandbox
from tests.store.raw import until_one_waits

pytestmark = pytest.mark.postgresql

LEASE_SECONDS = 2.0
LONG = 60.0
APIS = ("berlin", "hamburg", "munich")
SYSTEMS = ("desk", "mail")


class SkewedClock(SystemClock):
    """The machine's clock with another wall clock, as of a machine whose time is wrong.

    `passed` are seconds that have passed for its owner alone, as if it had waited for them.
    """

    def __init__(self, off: timedelta) -> None:
        self.off = off
        self.passed = 0.0

    def monotonic(self) -> float:
        """Return the monotonic clock of that machine."""
        return super().monotonic() + self.passed

    def now(self) -> datetime:
        """Return the wall clock of that machine."""
        return super().now() + self.off


class Machine:
    """One worker: its parts and what it owns, on a connection of its own to the database."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        folder: Path,
        off: timedelta = timedelta(),
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.clock = SkewedClock(off)
        # Not a part of these short leases: a busy machine stands still for that long, and the server hangs up.
        self.database = open_database(url, idle_seconds=30)
        self.high_water = HighWater(folder / "mark")
        self.parts = Parts(settings, self.database, self.clock, self.high_water, lambda: None, only_worker=False)
        own = open_database(url, command_seconds=1, idle_seconds=1)
        self.ownership = Ownership(lease_seconds, own, self.parts, self.clock, self.high_water)
        self.is_silent = False

    async def enter(self) -> None:
        """Be there, and take nothing yet."""
        name = await self.database.read(database_id)
        self.high_water.path.parent.mkdir()
        self.high_water.open(name, await self.database.read(restored.attempt_counter))
        await self.ownership.enter()

    async def begin(self) -> None:
        """Enter and work, as a daemon does at its start."""
        self.parts.may_poll.set()
        self.parts.may_send.set()
        self.parts.run()
        await self.enter()
        self.ownership.start()

    async def turn_after(self, turns: int) -> None:
        """Take one turn so many turns after the last one: those between them were missed."""
        self.clock.passed += turns * self.ownership.every
        await self.ownership.turn()

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

    async def machine_by_hand(self) -> Machine:
        """Return one more machine, which works on nothing and takes no turn by itself; its leases are long."""
        made = Machine(self.settings(), self.url, self.folder / "by hand", lease_seconds=LONG)
        self.machines.append(made)
        await made.enter()
        return made

    async def machine_beside_the_dead(self) -> Machine:
        """Return a machine by hand that has the systems, while every api is another's that does not renew any more."""
        for api in APIS:
            await self.database.write(lambda c, api=api: leases.take(c, Subject(Kind.API, api), "dead", LONG))
        made = await self.machine_by_hand()
        await made.turn_after(0)
        assert made.owns == {f"system:{name}" for name in SYSTEMS}
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

    async def owned(self) -> set[str]:
        """Return what somebody has, by the database."""
        muster = await self.database.read(leases.muster)
        return {str(claim.subject) for claim in muster.claims if claim.owner is not None}

    async def die_owning(self, api: str) -> None:
        """Let the lease of an api run out whose owner is dead."""
        over = update(lease).where(lease.c.subject == f"api:{api}").values(until_at=text("clock_timestamp()"))
        await self.database.write(lambda c: c.execute(over))

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
    berlin.ends_at = float("-inf")
    await only.parts.systems["desk"].lane.turn()
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


async def test_a_worker_that_closes_takes_nothing_any_more(crew) -> None:
    """While it waits for what is on the wire, what it has given back stays free, though nobody else would take it."""
    only = await crew.machine()
    await crew.until_shared(only)
    ticket = await crew.link()
    crew.sandbox.answer_delay = lambda: LEASE_SECONDS / 3
    crew.helpdesk.customer_reply(ticket.id, "on the wire")
    await crew.until_state("sending")
    await crew.until(lambda: crew.sandbox.requests == 1, "it is on the wire")
    before = await crew.epochs()
    crew.machines.remove(only)
    closing = asyncio.create_task(only.end())
    async with asyncio.timeout(30):
        while not await crew.owned() <= {"api:berlin"}:  # noqa: ASYNC110 - the closing brings it about
            await asyncio.sleep(0.01)
    assert not await only.ownership.take(Subject(Kind.API, "hamburg"))
    await closing
    assert (await crew.owned(), await crew.epochs()) == (set(), before)
    assert (await crew.database.read(lists.count_all)).deliveries == {"delivered": 1}


async def test_a_lease_that_comes_when_a_worker_closes_already_is_given_back(crew, postgresql_url: str) -> None:
    """It had asked for it before, and had to wait for the answer: it begins nothing with it, and others may have it."""
    only = await crew.machine_by_hand()
    hamburg = Subject(Kind.API, "hamburg")
    engine = create_async_engine(postgresql_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as slow:
        row = {"subject": str(hamburg), "owner": None, "epoch": 0, "until_at": crew.clock.now()}
        await slow.execute(lease.insert().values(row))
        taking = asyncio.create_task(only.ownership.take(hamburg))
        await until_one_waits(postgresql_url)
        crew.machines.remove(only)
        closing = asyncio.create_task(only.end())
        await crew.until(lambda: only.ownership._closing, "it closes")
        await slow.rollback()
        assert (await taking, only.owns) == (False, set())
    await closing
    await engine.dispose()
    assert (await crew.epochs(), await crew.owned()) == ({"api:hamburg": 1}, set())


async def test_who_was_out_of_touch_leaves_for_a_lease_what_ran_out(crew) -> None:
    """Who has just come, or missed three renewals in a row, cannot know who is dead; one or two do not matter."""
    only = await crew.machine_beside_the_dead()
    await crew.die_owning("berlin")
    await until_taken_by(only, "berlin", turns=10)
    await only.turn_after(2)
    await crew.die_owning("hamburg")
    await only.turn_after(3)
    assert "api:hamburg" in only.owns
    await crew.die_owning("munich")
    await only.turn_after(4)
    assert "api:munich" not in only.owns
    await until_taken_by(only, "munich", turns=10)


async def until_taken_by(machine: Machine, api: str, turns: int) -> None:
    """Take turns, and see that what ran out is taken in the last of so many, no sooner."""
    for _ in range(turns - 1):
        await machine.turn_after(1)
        assert f"api:{api}" not in machine.owns
    await machine.turn_after(1)
    assert f"api:{api}" in machine.owns


async def test_one_pass_ends_though_a_worker_comes_and_goes_meanwhile(crew) -> None:
    """It hands nothing over, takes nothing back, does what it owns, and names what another has taken."""
    only = Machine(crew.settings(), crew.url, crew.folder / "one-pass")
    crew.machines.append(only)
    only.parts.may_poll.set()
    only.parts.may_send.set()
    await only.enter()
    ticket = await crew.link()
    crew.helpdesk.customer_reply(ticket.id, "on the wire")
    crew.sandbox.answer_delay = lambda: LEASE_SECONDS / 2
    running = asyncio.create_task(only.ownership.once())
    await crew.until(lambda: crew.sandbox.requests == 1, "it is on the wire")
    everything = only.owns

    def come(connection) -> None:
        leases.appear(connection, "newcomer", only.parts.subjects(), LEASE_SECONDS)
        connection.execute(text("UPDATE worker SET since_at = since_at - interval '1 hour' WHERE name = 'newcomer'"))
        connection.execute(text("UPDATE lease SET owner = 'newcomer', epoch = 9 WHERE subject = 'api:munich'"))

    def go(connection) -> None:
        leases.leave(connection, "newcomer")
        leases.give_back(connection, Lease(Subject(Kind.API, "munich"), "newcomer", 9))

    await crew.database.write(come)
    await crew.until(lambda: "api:munich" not in only.owns, "it has noticed the loss")
    await crew.database.write(go)
    async with asyncio.timeout(15):
        assert await running == ["api:munich"]
    assert only.owns == everything - {"api:munich"}
    assert [one.body["content"] for one in crew.sandbox.communications] == ["on the wire"]
    assert (await crew.database.read(lists.count_all)).deliveries == {"delivered": 1}


async def test_a_running_worker_with_a_newer_mark_notices_that_the_database_has_gone_back(crew) -> None:
    """Of two that run, the one whose mark is behind the database cannot know, and takes over how far that is."""
    machines = [Machine(crew.settings(), crew.url, crew.folder / name) for name in ("newer", "older")]
    crew.machines += machines
    for machine, seen in zip(machines, (70, 30), strict=True):
        await machine.enter()
        machine.high_water.note(seen)
    by = Decision("tester", crew.clock.now(), "so many attempts are known")
    await crew.database.write(lambda c: restored.declare_restored(c, 50, by))
    for machine in machines:
        await machine.ownership.turn()
    assert [machine.high_water.went_back for machine in machines] == [True, False]
    assert [machine.high_water.highest for machine in machines] == [70, 50]
