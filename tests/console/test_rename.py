"""`syncd rename`: refused unless the settings and the database fit to it; and nothing is sent twice after it."""

import asyncio
from datetime import UTC, datetime

import pytest

from syncd.model.lease import Kind
from syncd.service.settings import load_settings
from syncd.store import health, rename, requests
from syncd.store.lock import find_lock
from syncd.store.requests import RequestKind
from syncd.store.standing import Decision
from tests.conftest import World

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


@pytest.fixture
def renamed(syncd):
    """Return the program with a history of `desk` at `berlin`, whose settings know both by new names."""
    syncd.deliver(syncd.link(), "r1")
    syncd.systems = {"support": "http://127.0.0.1:1"}
    syncd.apis = {"mitte": "", "hamburg": ""}
    syncd.configure()
    return syncd


def test_both_are_renamed(renamed):
    """The history goes to the new names; the decision is kept; a second time there is nothing left to do."""
    ran = renamed("rename", "system", "desk", "support")
    assert (ran.code, "system desk is support now" in ran.out) == (0, True)
    assert renamed("rename", "api", "berlin", "mitte").code == 0
    (delivery,) = renamed("deliveries", "list", "--json").json
    assert (delivery["api"], delivery["system"]) == ("mitte", "support")
    again = renamed("rename", "api", "berlin", "mitte")
    assert (again.code, "nothing is known of api berlin" in again.err) == (2, True)


def test_what_a_worker_has_noted_under_the_new_name_is_no_history(renamed):
    """Whoever started syncd with the new name first has a state there; that of the old name takes its place."""
    renamed.stored(lambda c: health.pause_system(c, "desk", health.PERSON, "holidays", NOW))
    renamed.stored(lambda c: health.pause_system(c, "support", health.PERSON, "another", NOW))
    assert renamed("rename", "system", "desk", "support").code == 0
    state = renamed.stored(lambda c: health.get_system(c, "support"))
    assert state.reason == "holidays"


def test_a_name_with_a_history_of_its_own_is_refused(renamed):
    """Two threads of one number, or two replies of one id, could not be told apart."""
    renamed.link(501, system="support", api="hamburg")
    ran = renamed("rename", "system", "desk", "support")
    assert (ran.code, "history of its own (link)" in ran.err) == (2, True)
    (delivery,) = renamed("deliveries", "list", "--json").json
    assert delivery["system"] == "desk"


def test_the_settings_have_to_know_the_new_name_alone(renamed):
    """Without the new one, or with the old one still there, it says what to change, and changes nothing."""
    absent = renamed("rename", "api", "berlin", "spandau")
    assert (absent.code, "no [api.spandau] in the settings" in absent.err) == (2, True)
    renamed.apis["berlin"] = ""
    renamed.configure()
    still = renamed("rename", "api", "berlin", "mitte")
    assert (still.code, "[api.berlin] is still in the settings" in still.err) == (2, True)
    assert renamed("deliveries", "list", "--json").json[0]["api"] == "berlin"


def test_no_worker_may_run(renamed):
    """A worker holds names in its memory."""

    async def run():
        lock = await find_lock(renamed.url)
        try:
            return await renamed.call("rename", "api", "berlin", "mitte")
        finally:
            await lock.release()

    ran = asyncio.run(run())
    assert (ran.code, "Stop that one first" in ran.err) == (1, True)


class Renamed(World):
    """Both ends, with settings under other names from some moment on."""

    names = ("desk", "berlin")

    def settings(self, **changes):
        """Return the settings, with the names of now."""
        super().settings(**changes)
        file = self.folder / "config.toml"
        text = file.read_text().replace("[systems.desk", f"[systems.{self.names[0]}")
        file.write_text(text.replace("[api.berlin]", f"[api.{self.names[1]}]"))
        return load_settings(file, {})

    @property
    def lane(self):
        """Return the lane of the helpdesk."""
        return self.parts.systems[self.names[0]].lane


@pytest.fixture
async def world(clock, tmp_path):
    """Return both ends, started."""
    made = Renamed(clock, tmp_path)
    await made.open()
    yield made
    await made.close()


async def test_nothing_is_sent_twice_after_it(world):
    """Renamed, read in full, edited and backfilled: what was sent stays sent once, and new replies go on."""
    await world.begin(full_sweep_hours=1)
    ticket = world.ticket()
    before = world.helpdesk.customer_reply(ticket.id, "old")
    await world.pass_time(60)
    await world.link(ticket, thread=1)
    await world.sync()
    world.helpdesk.customer_reply(ticket.id, "one")
    waiting = world.ticket("Other")
    await world.link(waiting, thread=2)
    await world.sync(60)
    assert world.sent() == ["one"]
    world.helpdesk.customer_reply(waiting.id, "two")
    await world.sweep()
    await world.end()

    world.names = ("support", "mitte")
    by = Decision("anna", world.clock.now(), "another name")
    database = world.open_store(world.settings())
    await database.write(lambda c: rename.rename(c, Kind.SYSTEM, "desk", "support", by))
    await database.write(lambda c: rename.rename(c, Kind.API, "berlin", "mitte", by))
    await database.close()

    await world.begin(full_sweep_hours=1)
    await world.sync(60)
    world.helpdesk.edit(before.id, "old, edited")
    world.helpdesk.customer_reply(ticket.id, "three")
    await world.sync(2 * 3600)
    await world.sync(60)
    assert sorted(world.sent()) == ["one", "three", "two"]
    now = world.clock.now()
    await world.database.write(lambda c: requests.ask(c, RequestKind.BACKFILL, "support", {}, "anna", now))
    for _ in range(5):
        await world.sync(60)
    assert sorted(world.sent()) == ["old, edited", "one", "three", "two"]
