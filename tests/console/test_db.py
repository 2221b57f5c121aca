"""`syncd db`: versions, migrating, and a database put back from a backup."""

import asyncio
import shutil
import sqlite3
import sys
from datetime import UTC, datetime

import pytest

from syncd.model.delivery import DeliveryState
from syncd.model.health import PauseCause
from syncd.store import health, marking, outbox, restored
from syncd.store.high_water import HighWater, is_behind
from syncd.store.lock import find_lock
from syncd.store.schema import LATEST, database_id

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


@pytest.fixture
def worker(syncd_on_both):
    """Return a function that calls a command while something holds the worker's lock."""

    def call(*arguments):
        async def run():
            lock = await find_lock(syncd_on_both.url)
            try:
                return await syncd_on_both.call(*arguments)
            finally:
                await lock.release()

        return asyncio.run(run())

    return call


def _mark(syncd) -> HighWater:
    """Return the mark of the program's database."""
    name = "syncd.db" if syncd.url.startswith("sqlite") else "postgresql"
    return HighWater(syncd.directory / f"{name}.high-water")


def test_upgrade_makes_a_missing_database_and_leaves_a_current_one(syncd_on_both):
    """Both ways it says what schema there is, and `db version` agrees."""
    before = syncd_on_both("db", "version", "--json")
    assert (before.code, before.json["state"], before.json["schema"]) == (0, "missing", None)
    assert f"was created with schema {LATEST}" in syncd_on_both("db", "upgrade").out
    assert "there is nothing to do" in syncd_on_both("db", "upgrade").out
    after = syncd_on_both("db", "version", "--json").json
    assert (after["state"], after["schema"], len(after["database_id"])) == ("current", LATEST, 32)


async def test_two_commands_that_find_no_schema_make_it_once(syncd_on_both):
    """The first two commands of a new installation may come at the same time; both go on."""
    arguments = (sys.executable, "-m", "syncd", "--config", str(syncd_on_both.config), "links", "list")
    commands = [await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.DEVNULL) for _ in range(3)]
    assert [await command.wait() for command in commands] == [0, 0, 0]


def test_upgrade_is_refused_while_a_worker_runs(worker):
    """Tables do not change under a worker's feet."""
    ran = worker("db", "upgrade")
    assert (ran.code, "Stop that one first" in ran.err) == (1, True)


def test_restored_is_refused_while_a_worker_runs(syncd_on_both, worker):
    """The advice is to stop it; nothing was changed."""
    delivery_id = syncd_on_both.deliver(syncd_on_both.link(), "r1")
    ran = worker("db", "restored", "--reason", "backup of last night")
    assert (ran.code, "systemctl stop syncd" in ran.err) == (1, True)
    assert syncd_on_both.state_of(delivery_id) == "pending"


def test_restored_puts_whatever_was_open_in_doubt(syncd_on_both):
    """Pending and sending ones are in doubt, apis go on, the mark fits again, and the decision is kept."""
    syncd = syncd_on_both
    link_id = syncd.link()
    pending, sending = syncd.deliver(link_id, "r1"), syncd.deliver(syncd.link(501, number="HD-2"), "r2")
    parked = syncd.deliver(link_id, "r3", DeliveryState.PARKED)
    outgoing = syncd.stored(lambda c: outbox.find_outgoing(c, sending))
    syncd.stored(lambda c: marking.mark_sending(c, outgoing, NOW, "worker:1"))
    name = syncd.stored(database_id)
    mark = _mark(syncd)
    mark.open(name, 40)
    mark.close()
    syncd.stored(lambda c: health.pause_api(c, "berlin", PauseCause.RESTORED, "restored", NOW))
    ran = syncd("db", "restored", "--reason", "backup of last night")
    assert (ran.code, "3 deliveries that were open are in doubt now" in ran.out) == (0, True)
    assert [syncd.state_of(one) for one in (pending, sending, parked)] == ["in_doubt", "in_doubt", "in_doubt"]
    assert not is_behind(mark.read(), name, syncd.stored(restored.attempt_counter))
    assert mark.read().attempts == 40
    assert syncd.stored(lambda c: health.get_api(c, "berlin")).paused_cause is None
    assert syncd.stored(restored.find_gap) is not None


def test_a_database_that_was_not_restored_is_left_alone(syncd):
    """Where nothing shows a restore it takes --yes."""
    delivery_id = syncd.deliver(syncd.link(), "r1")
    ran = syncd("db", "restored", "--reason", "x")
    assert (ran.code, "say --yes" in ran.err) == (2, True)
    assert syncd.state_of(delivery_id) == "pending"
    assert syncd("db", "restored", "--reason", "x", "--yes").code == 0
    assert syncd.state_of(delivery_id) == "in_doubt"


def test_a_mark_that_nobody_can_read_is_written_anew(syncd):
    """Garbage in the mark counts as ahead of the database; after it the mark fits."""
    syncd.deliver(syncd.link(), "r1")
    mark = _mark(syncd)
    mark.path.write_text("garbage")
    assert syncd("db", "restored", "--reason", "x").code == 0
    assert mark.read().database_id == syncd.stored(database_id)


def test_a_copy_put_back_is_noticed_by_its_mark(syncd):
    """A copy of the file from before an attempt is behind; declaring it restored makes it whole."""
    delivery_id = syncd.deliver(syncd.link(), "r1")
    file, name = syncd.directory / "syncd.db", syncd.stored(database_id)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copy(file, syncd.directory / "backup.db")
    outgoing = syncd.stored(lambda c: outbox.find_outgoing(c, delivery_id))
    counter = syncd.stored(lambda c: marking.mark_sending(c, outgoing, NOW, "worker:1"))
    mark = _mark(syncd)
    mark.open(name, counter)
    mark.close()
    for suffix in ("-wal", "-shm"):
        (syncd.directory / f"syncd.db{suffix}").unlink(missing_ok=True)
    shutil.copy(syncd.directory / "backup.db", file)
    assert syncd.state_of(delivery_id) == "pending"
    assert syncd("db", "restored", "--reason", "disk failed").code == 0
    assert syncd.state_of(delivery_id) == "in_doubt"
    assert syncd("status").code == 1
