"""Databases that must not be worked with: too new, garbage, or restored from a backup."""

import sqlite3
import subprocess
from contextlib import closing

import pytest

pytestmark = pytest.mark.xdist_group("service")


async def refused(stage) -> str:
    """Start the service, expect it to end with 1, and return what it said."""
    worker = await stage.start()
    assert await worker.process.wait() == 1
    said = worker.log.read_text()
    assert "Traceback" not in said
    return said


async def linked(stage, *texts):
    """Open a ticket that is linked from now on, with these replies after that."""
    ticket = stage.helpdesk.create_ticket("Locker", "It does not open.", at=stage.clock.now().replace(year=2025))
    one = await stage.link(ticket)
    for text in texts:
        stage.helpdesk.customer_reply(ticket.id, text)
    return one


def copy(source, target) -> None:
    """Make a whole copy of a database that is in use, as a backup does."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


async def test_a_newer_schema(stage):
    """A database that a newer syncd wrote is refused, and nothing in it is changed."""
    await linked(stage, "one")
    with closing(sqlite3.connect(stage.file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    said = await refused(stage)
    assert "9999" in said
    assert "newer than this syncd" in said
    with closing(sqlite3.connect(stage.file)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    assert stage.sandbox.requests == 0


async def test_garbage(stage):
    """A file that is no database is refused with one message, and left as it is."""
    garbage = b"this is no database at all. " * 400
    stage.file.write_bytes(garbage)
    said = await refused(stage)
    assert "Error: " in said
    assert str(stage.file) in said
    assert stage.file.read_bytes() == garbage


def back_up(stage, backup) -> None:
    """Make a backup while the worker runs, as the page of operations says."""
    if stage.url.startswith("sqlite"):
        copy(stage.file, backup)
    else:
        subprocess.run(["pg_dump", "--format=custom", f"--file={backup}", stage.url], check=True)


def put_back(stage, backup) -> None:
    """Put a backup in the place of the database."""
    if stage.url.startswith("sqlite"):
        for name in ("syncd.db", "syncd.db-wal", "syncd.db-shm"):
            (stage.folder / name).unlink(missing_ok=True)
        backup.rename(stage.file)
    else:
        subprocess.run(["pg_restore", "--clean", "--exit-on-error", f"--dbname={stage.url}", str(backup)], check=True)


async def test_a_restored_backup(stage, database_url, until_true):
    """From a database that is behind what was sent nothing leaves, until it is declared restored; nothing twice."""
    stage.url = database_url
    stage.write_settings()
    one = await linked(stage, "before the backup")
    worker = await stage.start()
    await worker.until_ready()
    await stage.until_delivered()
    await stage.until_swept()
    backup = stage.folder / "backup"
    back_up(stage, backup)
    since = stage.helpdesk.customer_reply(one.ticket.id, "after the backup")
    await stage.until_delivered()
    assert await worker.stop() == 0

    put_back(stage, backup)
    sent = stage.sandbox.requests
    worker = await stage.start()
    await worker.until_ready()
    late = stage.helpdesk.customer_reply(one.ticket.id, "while it waits")
    await stage.until_swept()
    assert (await stage.states())["pending"] == 2
    assert stage.sandbox.requests == sent
    for command in ("check", "status"):
        code, out, _ = await stage.command(command)
        assert (code, "syncd db restored" in " ".join(out.split())) == (1, True), out
    assert await worker.stop() == 0

    code, out, beside = await stage.command("db", "restored", "--reason", "the disk died")
    assert code == 0, out + beside
    worker = await stage.start()
    await worker.until_ready()
    stage.helpdesk.customer_reply(one.ticket.id, "after it was mended")
    await until_true(lambda: stage.sandbox.requests > sent, "what is new leaves")
    await stage.until_swept()
    assert await worker.stop() == 0
    balance = stage.balance()
    assert balance.twice == ()
    assert {item["reply_id"] for item in await stage.listed("in_doubt")} == {since.id, late.id}
    assert balance.lost == (late.id,)
