"""A SQLite file that is moved, replaced or lost under the service: nothing goes on in a file that nobody would find."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.end_to_end.outages import write_tickets

pytestmark = pytest.mark.xdist_group("service")


def copy(source, target) -> None:
    """Make a whole copy of a database that is in use, as a backup does; into one that is in use too."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


async def delivered(stage):
    """Return a worker that has delivered everything, and a backup from before the last delivery."""
    await write_tickets(stage, count=2, replies=1)
    worker = await stage.start()
    await worker.until_ready()
    await stage.until_delivered()
    await stage.until_swept()
    backup = stage.folder / "backup.db"
    copy(stage.file, backup)
    stage.helpdesk.customer_reply(stage.watched[0].ticket.id, "after the backup")
    await stage.until_delivered()
    await stage.until_swept()
    return worker, backup


async def nothing_leaves(stage) -> None:
    """See that nothing leaves from what is there as it is: it is recognised as a restored backup."""
    sent = stage.sandbox.requests
    once = await stage.start("--once")
    assert await once.process.wait() == 1
    assert "restored database" in once.log.read_text()
    assert stage.sandbox.requests == sent


async def test_a_file_that_is_moved_away_and_put_back(stage, until_true):
    """With requests on the wire nothing more leaves, and `status` says that it is gone; put back, all goes on."""
    await write_tickets(stage)
    stage.sandbox.answer_delay = lambda: 0.5
    worker = await stage.start()
    await until_true(lambda: stage.sandbox.requests >= 4, "requests are on the wire")
    away = stage.folder / "away.db"
    stage.file.rename(away)
    await until_true(lambda: worker.log.read_text().count("is gone; nothing is sent") >= 3, "it is said")
    while_gone = stage.sandbox.requests
    code, out, beside = await stage.command("status")
    assert (code, "Put it back" in beside) == (1, True), out + beside
    assert not stage.file.exists()
    assert not worker.ended
    assert stage.sandbox.requests == while_gone
    away.rename(stage.file)
    stage.sandbox.answer_delay = None
    await stage.until_delivered()
    assert await worker.stop() == 0
    assert await stage.states() == {"delivered": 24}
    assert stage.sandbox.requests == len(stage.sandbox.communications) == 24
    assert "Traceback" not in worker.log.read_text()


async def test_another_file_put_in_its_place(stage):
    """The worker ends with 1, so that systemd starts it anew; that one sees that it is a backup, and sends nothing."""
    worker, backup = await delivered(stage)
    backup.rename(stage.file)
    assert await worker.process.wait() == 1
    assert "another database was put in the place" in worker.log.read_text()
    for name in ("syncd.db-wal", "syncd.db-shm"):
        (stage.folder / name).unlink(missing_ok=True)
    await nothing_leaves(stage)


async def test_a_backup_written_into_the_file_in_use(stage, until_true):
    """SQLite's own `.restore` under a running worker is noticed before anything leaves: it ends with 1, as above."""
    worker, backup = await delivered(stage)
    sent = stage.sandbox.requests
    copy(backup, stage.file)
    assert await worker.process.wait() == 1
    assert "has gone back behind what was sent" in worker.log.read_text()
    assert stage.sandbox.requests == sent
    await nothing_leaves(stage)


async def test_a_lost_database_is_not_begun_anew_by_itself(stage):
    """Nothing makes an empty one in its place; begun anew by hand, a backup put back later is still found out."""
    worker, backup = await delivered(stage)
    assert await worker.stop() == 0
    stage.file.unlink()
    refused = await stage.start()
    assert await refused.process.wait() == 1
    assert "is gone or empty" in refused.log.read_text()
    code, _, beside = await stage.command("links", "list")
    assert (code, "is gone or empty" in beside) == (1, True)
    assert not stage.file.exists()

    code, out, beside = await stage.command("db", "upgrade")
    assert code == 0, out + beside
    once = await stage.start("--once")
    assert await once.process.wait() == 0, once.log.read_text()
    shutil.copy(backup, stage.file)
    for name in ("syncd.db-wal", "syncd.db-shm"):
        (stage.folder / name).unlink(missing_ok=True)
    await nothing_leaves(stage)


async def test_another_file_put_in_its_place_during_one_pass(stage, until_true):
    """`--once` ends with 1, says why, sends nothing from it, and leaves alone what is being written into that one."""
    await write_tickets(stage, count=2, replies=1)
    copy(stage.file, stage.folder / "backup.db")
    stage.sandbox.answer_delay = lambda: 1.0
    once = await stage.start("--once")
    await until_true(lambda: stage.sandbox.requests == 2, "requests are on the wire")
    (stage.folder / "backup.db").rename(stage.file)
    for name in ("syncd.db-wal", "syncd.db-shm"):
        (stage.folder / name).unlink()
    with closing(sqlite3.connect(stage.file)) as beside:
        beside.execute("PRAGMA journal_mode=WAL")
        beside.execute("INSERT INTO meta (name, value) VALUES ('written', 'beside')")
        beside.commit()
        assert await once.process.wait() == 1
        with closing(sqlite3.connect(stage.file)) as another:
            assert another.execute("SELECT value FROM meta WHERE name = 'written'").fetchall() == [("beside",)]
    assert "another database was put in the place" in once.log.read_text()
    assert stage.sandbox.requests == 2
