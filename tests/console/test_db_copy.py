"""`syncd db copy`: everything is in the other database after it, and never are both of them in use."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncd.model.errors import StoreError
from syncd.model.lease import Kind, Subject
from syncd.store import copy, leases, marking, moved, outbox, requests, restored, schema
from syncd.store.database import open_database
from syncd.store.high_water import HighWater, is_behind
from syncd.store.lock import find_lock
from syncd.store.standing import Decision
from syncd.store.tables import decision, ledger, metadata
from syncd.store.tables import request as request_table
from tests.store.filler import all_rows, fill

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
COPY_ID = "0123456789abcdef0123456789abcdef"
BY = Decision("anna", NOW, "from here to there")


def at(program, url):
    """Return the program with another database."""
    other = replace(program, url=url)
    other.configure()
    return other


def move(program, target_url, *more):
    """Carry out the copy, with the address in a file."""
    file = program.directory / "new.url"
    file.write_text(f"{target_url}\n")
    program.configure()
    return program("db", "copy", "--to-file", file, "--yes", *more)


def in_use(program) -> bool:
    """Say whether a database can be worked with; a worker and a command ask the same."""
    program.configure()
    return program("links", "list", "--state", "suspended").code == 0


def rows_of(program) -> dict[str, list]:
    """Return all rows of all tables but those that tell of the database itself and of its workers."""

    def read(connection):
        found = {table.name: all_rows(connection, table) for table in metadata.sorted_tables}
        found["meta"] = [row for row in found["meta"] if row["name"] not in moved.OWN_FACTS]
        found["decision"] = [row for row in found["decision"] if row["action"] != "db copy"]
        return {name: rows for name, rows in found.items() if name not in {"lease", "worker"}}

    async def run():
        database = open_database(program.url)
        try:
            return await database.read(read)
        finally:
            await database.close()

    return asyncio.run(run())


@pytest.fixture
def other_url(tmp_path) -> str:
    """Return the address of another SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/other.db"


@pytest.fixture(
    params=[
        pytest.param(("sqlite_url", "postgresql_url"), id="to PostgreSQL"),
        pytest.param(("postgresql_url", "sqlite_url"), id="to SQLite"),
    ]
)
def both(request, syncd):
    """Return the program on a full database of one kind, and the address of an empty one of the other kind."""
    from_url, to_url = (request.getfixturevalue(name) for name in request.param)
    program = at(syncd, from_url)
    program.stored(lambda c: fill(c, 3))
    many = [{"thread_key": 1, "system": "desk", "reply_id": f"r{n}", "disposition": "delivery"} for n in range(2500)]
    program.stored(lambda c: c.execute(ledger.insert(), many))
    return program, to_url


@pytest.mark.postgresql
def test_everything_moves_both_ways(both):
    """Every row of every table is in the other kind of database, the same; ids go on above those that were given."""
    program, target_url = both
    last = program.stored(lambda c: requests.ask(c, requests.RequestKind.POLL, "desk", {}, "anna", NOW))
    program.stored(lambda c: c.execute(request_table.delete().where(request_table.c.id == last)))
    before, name = rows_of(program), program.stored(schema.database_id)
    ran = move(program, target_url)
    assert (ran.code, "run `syncd check`, and start syncd" in ran.out) == (0, True), ran.err
    new = at(program, target_url)
    assert rows_of(new) == before
    assert len(before["ledger"]) == 2503
    assert {len(rows) for table, rows in before.items() if table not in {"ledger", "meta"}} == {3}
    assert new.stored(schema.database_id) != name
    assert new.stored(lambda c: requests.ask(c, requests.RequestKind.POLL, "desk", {}, "anna", NOW)) > last
    assert new.stored(lambda c: [row.reason for row in c.execute(decision.select()) if row.action == "db copy"])
    assert not in_use(program)
    refused = program("links", "list").err
    assert "has moved to" in refused
    assert target_url.rpartition("/")[2] in refused
    assert in_use(new)


def test_the_old_one_is_refused_by_a_worker_and_every_command(syncd, other_url):
    """`syncd run` ends with 1 and says where everything went; so do `db upgrade`, `db restored` and `db version`."""
    program, target_url = syncd, other_url
    syncd.link()
    assert move(program, target_url).code == 0
    for arguments in (("run", "--once"), ("db", "upgrade"), ("db", "restored", "--reason", "x")):
        ran = program(*arguments)
        assert (ran.code, "has moved to" in ran.out + ran.err) == (1, True), arguments
    version = program("db", "version", "--json")
    assert (version.code, version.json["state"]) == (1, "moved")
    again = move(program, target_url)
    assert (again.code, "has moved to" in again.err) == (1, True)


def test_no_table_is_forgotten():
    """Whatever table there is, or will be, is copied; only who works where at the moment is not."""
    copied = {table.name for table in copy.copied_tables()}
    assert copied == set(metadata.tables) - {"lease", "worker"}


async def test_a_difference_is_found(database):
    """A text, an instant or a missing row that is not as it was is found, by its key."""
    await database.write(lambda c: fill(c, 3))
    for table in copy.copied_tables():
        rows = await database.read(lambda c: copy.read_rows(c, table, None, 100))  # noqa: B023
        assert await database.read(lambda c: copy.find_different(c, table, rows)) is None  # noqa: B023
        for column in table.columns:
            changed = [{**row, column.name: "?"} if n == 1 else row for n, row in enumerate(rows)]
            if column.primary_key or table.name == "meta":
                continue
            found = await database.read(lambda c: copy.find_different(c, table, changed))  # noqa: B023
            assert found == copy.key_of(table, rows[1]), column


@pytest.mark.postgresql
def test_neither_may_have_a_worker(syncd, postgresql_url):
    """With a worker on one of the two nothing is begun."""
    program, target_url = syncd, postgresql_url
    program.link()

    async def run(url):
        lock = await find_lock(url)
        try:
            return await asyncio.to_thread(move, program, target_url)
        finally:
            await lock.release()

    for url in (program.url, target_url):
        ran = asyncio.run(run(url))
        assert (ran.code, "Stop that one first" in ran.err) == (1, True)
    assert in_use(program)


def test_a_database_with_something_in_it_is_no_target(syncd, other_url):
    """Links, or tables of something else: it is refused, and nothing is changed on either side."""
    syncd.stored(lambda c: fill(c, 1))
    other = at(syncd, other_url)
    other.link()
    before = rows_of(other)
    ran = move(syncd, other_url)
    assert (ran.code, "is not empty (" in ran.err) == (1, True)
    assert rows_of(other) == before
    foreign = syncd.directory / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE bookings (id INTEGER)")
    ran = move(syncd, f"sqlite:///{foreign}")
    assert (ran.code, "tables of something else" in ran.err) == (1, True)
    assert in_use(syncd)


def test_an_empty_schema_is_a_target(syncd, other_url):
    """A database that only `db upgrade` was run on has nothing to lose."""
    syncd.stored(lambda c: fill(c, 1))
    assert at(syncd, other_url)("db", "upgrade").code == 0
    assert move(syncd, other_url).code == 0


def _begin(program, other_url, *, steps):
    """Do the first steps of a copy, as one that was killed after them: each step is a commit."""

    async def run():
        source, target = open_database(program.url), open_database(other_url)
        try:
            await target.write(lambda c: copy.begin(c, target.where, source.where, COPY_ID))
            if steps >= 2:
                await source.write(lambda c: moved.set_aside(c, target.where, COPY_ID, NOW))
            if steps >= 3:
                await copy.carry_all(source, target, lambda *_: None)
            if steps >= 4:
                given = await source.read(copy.read_counters)
                await target.write(lambda c: copy.finish(c, given, BY))
        finally:
            await source.close()
            await target.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("steps", "used"), [(1, (True, False)), (2, (False, False)), (3, (False, False)), (4, (False, True))]
)
def test_a_kill_after_any_commit_leaves_one_in_use_at_most_and_can_be_finished(syncd, other_url, steps, used):
    """After each commit at most one of the two can be used; the same command finishes what was begun."""
    syncd.stored(lambda c: fill(c, 2))
    before = rows_of(syncd)
    _begin(syncd, other_url, steps=steps)
    other = at(syncd, other_url)
    assert (in_use(syncd), in_use(other)) == used
    if steps == 4:
        other.link(4711, number="since")  # it may have been in use since: nothing of it is written anew
    assert move(syncd, other_url).code == 0
    assert (in_use(syncd), in_use(other)) == (False, True)
    after = rows_of(other)
    assert after == before if steps < 4 else len(after["link"]) == len(before["link"]) + 1


@pytest.mark.parametrize("steps", [2, 3])
def test_what_was_begun_can_be_given_up(syncd, other_url, steps):
    """Then the old one is in use, and the other one is not."""
    syncd.stored(lambda c: fill(c, 1))
    before = rows_of(syncd)
    _begin(syncd, other_url, steps=steps)
    elsewhere = move(syncd, f"sqlite:///{syncd.directory}/third.db")
    assert (elsewhere.code, "give it up" in elsewhere.err) == (2, True)
    assert move(syncd, other_url, "--give-up").code == 0
    assert (in_use(syncd), in_use(at(syncd, other_url))) == (True, False)
    assert rows_of(syncd) == before
    assert move(syncd, other_url).code == 0


def test_a_whole_copy_cannot_be_given_up(syncd, other_url):
    """It may have been sent from already, so the old one must not be used again."""
    syncd.stored(lambda c: fill(c, 1))
    _begin(syncd, other_url, steps=4)
    ran = move(syncd, other_url, "--give-up")
    assert (ran.code, "is whole" in ran.err) == (1, True)
    assert not in_use(syncd)
    fresh = at(syncd, f"sqlite:///{syncd.directory}/fresh.db")
    fresh.link()
    assert move(fresh, other_url, "--give-up").code == 2


def test_a_process_that_is_killed_in_the_middle(syncd, other_url):
    """Killed while rows are written, neither can be used; the same command again makes it whole."""
    rows = [{"thread_key": n, "system": "desk", "reply_id": "r", "disposition": "delivery"} for n in range(15_000)]
    syncd.stored(lambda c: c.execute(ledger.insert(), rows))
    arguments = ["--config", str(syncd.config), "db", "copy", "--to", other_url, "--yes"]
    with subprocess.Popen([sys.executable, "-m", "syncd", *arguments], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not _rows_in(syncd.directory / "other.db"):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not in_use(syncd)
    assert "run the same one again" in syncd("links", "list").err
    assert not in_use(at(syncd, other_url))
    assert move(syncd, other_url).code == 0
    assert rows_of(at(syncd, other_url))["ledger"] == rows_of(syncd)["ledger"]


def _rows_in(file: Path) -> int:
    if not file.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM ledger").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


@pytest.mark.postgresql
def test_a_copy_that_fails_leaves_the_old_one_in_use(syncd, postgresql_url):
    """What the other database does not take ends the copy: the old one goes on, the other one is clearly unfinished."""
    syncd.stored(lambda c: fill(c, 1, assignee="no text of PostgreSQL: \0"))
    ran = move(syncd, postgresql_url)
    assert (ran.code, "is used as before" in ran.err) == (1, True)
    assert in_use(syncd)
    new = at(syncd, postgresql_url)
    assert not in_use(new)
    assert "unfinished copy" in new("links", "list").err
    syncd.configure()
    syncd.stored(lambda c: c.execute(metadata.tables["link"].update().values(assignee=None)))
    assert move(syncd, postgresql_url).code == 0
    assert in_use(new)


def _mark(program, made=None):
    mark = HighWater(program.directory / "syncd.db.high-water")
    if made is not None:
        mark.open(program.stored(schema.database_id), made)
        mark.close()
    return mark


def test_a_restored_database_is_not_copied(syncd, other_url):
    """Its copy, with an id of its own, could not be told to be behind; so it is declared first."""
    syncd.link()
    _mark(syncd, made=40)
    ran = move(syncd, other_url)
    assert (ran.code, "db restored" in ran.err) == (1, True)
    assert syncd("db", "restored", "--reason", "backup of last night").code == 0
    assert move(syncd, other_url).code == 0


def test_a_backup_of_the_old_one_is_known_as_one_after_the_move(syncd, other_url):
    """Also one from after its last attempt: put back, it is behind its mark, so nothing leaves from it."""
    sent = syncd.deliver(syncd.link(), "r1")
    outgoing = syncd.stored(lambda c: outbox.find_outgoing(c, sent))
    syncd.stored(lambda c: marking.mark_sending(c, outgoing, NOW, "worker:1"))
    _mark(syncd, made=1)
    file = syncd.directory / "syncd.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(syncd.directory / "backup.db"),))
    assert move(syncd, other_url).code == 0
    assert "has moved to" in syncd("check").out
    for beside in ("-wal", "-shm"):
        (syncd.directory / f"syncd.db{beside}").unlink(missing_ok=True)
    shutil.copy(syncd.directory / "backup.db", file)
    assert in_use(syncd)
    name, counter = syncd.stored(schema.database_id), syncd.stored(restored.attempt_counter)
    assert counter == 1
    assert is_behind(_mark(syncd).read(name), name, counter)


def test_a_password_is_not_taken_from_an_argument(syncd):
    """Arguments can be seen by everybody on the machine, so a file is asked for; the password is not repeated."""
    syncd.link()
    ran = syncd("db", "copy", "--to", "postgresql://syncd:pass-of-nobody@127.0.0.1/syncd", "--yes")
    assert (ran.code, "--to-file" in ran.err, "pass-of-nobody" in ran.err) == (2, True, False)
    assert syncd("db", "copy", "--yes").code == 2
    assert syncd("db", "copy", "--to-file", syncd.directory / "none", "--yes").code == 2


def test_nobody_is_asked_where_nobody_can_answer(syncd, other_url):
    """Without --yes and a terminal nothing is begun."""
    syncd.link()
    assert syncd("db", "copy", "--to", other_url).code == 2
    assert in_use(syncd)


async def test_a_command_from_before_the_copy_writes_nothing_after_it(database):
    """It may have waited for an answer all the while; what it wrote then would be lost."""
    command = moved.CommandDatabase(database)
    await command.write(lambda c: moved.write_fact(c, "word", "before"))
    await database.write(lambda c: moved.set_aside(c, "elsewhere", COPY_ID, NOW))
    with pytest.raises(StoreError, match="being copied to elsewhere"):
        await command.write(lambda c: moved.write_fact(c, "word", "after"))
    assert await database.read(lambda c: moved.find_fact(c, "word")) == "before"


@pytest.mark.postgresql
async def test_a_worker_that_slept_through_the_copy_begins_nothing(postgresql_url):
    """Its leases are void and it gets no others, though nobody else has taken them."""
    database = open_database(postgresql_url)
    await schema.ensure_schema(database, migrate=True)
    berlin = Subject(Kind.API, "berlin")
    lease = await database.write(lambda c: leases.take(c, berlin, "sleeper", 0.0))
    assert lease is not None

    def begin(connection):
        moved.set_aside(connection, "elsewhere", COPY_ID, NOW)
        leases.void_all(connection)

    await database.write(begin)
    with pytest.raises(leases.LeaseLost):
        await leases.FencedDatabase(database, lease).write(schema.read_version)
    with pytest.raises(StoreError, match="being copied to elsewhere"):
        await database.write(lambda c: leases.take(c, berlin, "sleeper", 60.0))
    await database.close()
