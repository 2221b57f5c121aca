"""A database that cannot be written or reached while nothing is to be sent: said clearly, and mended by itself."""

import errno
import os

import pytest

from tests.crash.disk import Disk, build
from tests.end_to_end.outages import Server, write_tickets

pytestmark = pytest.mark.xdist_group("service")


async def at_rest(stage, count: int = 2):
    """Start a worker that has delivered everything and has nothing to do."""
    await write_tickets(stage, count=count, replies=1)
    worker = await stage.start()
    await worker.until_ready()
    await stage.until_delivered()
    await stage.until_swept()
    return worker


def reply(stage) -> None:
    """Let a customer write something."""
    stage.helpdesk.customer_reply(stage.watched[0].ticket.id, "written during the outage")


async def recovered(stage, worker) -> None:
    """See that what was written meanwhile arrives by itself, once, and nothing is in doubt."""
    await stage.until_delivered()
    assert not worker.ended
    assert await worker.stop() == 0, worker.log.read_text()
    balance = stage.balance()
    assert balance.adds_up
    assert await stage.states() == {"delivered": balance.due}
    assert stage.sandbox.requests == balance.due
    assert "Traceback" not in worker.log.read_text()


async def test_a_disk_that_is_full_at_rest(stage, small_disk, until_true):
    """The log says that the disk is full, `status` still reads, the watchdog is fed; with room again it goes on."""
    stage.url = f"sqlite:///{small_disk.folder}/syncd.db"
    stage.write_settings()
    worker = await at_rest(stage)

    def is_said() -> bool:
        small_disk.fill()
        return "disk is full" in worker.log.read_text()

    small_disk.fill()
    reply(stage)
    await until_true(is_said, "the log says that the disk is full")
    worker.told.clear()
    await until_true(lambda: worker.hears("WATCHDOG=1"), "an outage is no reason to restart it")
    small_disk.make_room()
    await recovered(stage, worker)


@pytest.fixture
def faulty_disk(stage, tmp_path) -> Disk:
    """Return a disk whose writing can be made to fail under a running worker, as root too."""
    disk = Disk(build(tmp_path), tmp_path, tmp_path / "seen")
    stage.more_environ = disk.environ
    return disk


async def test_a_file_system_that_turns_read_only(stage, faulty_disk, until_true):
    """At rest and with requests on the wire: it sends nothing meanwhile, loses nothing, and goes on by itself."""
    worker = await at_rest(stage)
    sent = stage.sandbox.requests
    faulty_disk.fail(errno.EROFS)
    reply(stage)
    await until_true(lambda: "sweep not made" in worker.log.read_text(), "the log says that nothing can be stored")
    assert stage.sandbox.requests == sent
    faulty_disk.mend()
    await stage.until_delivered()

    stage.sandbox.answer_delay = lambda: 0.5
    reply(stage)
    sent = stage.sandbox.requests
    await until_true(lambda: stage.sandbox.requests > sent, "a request is on the wire")
    faulty_disk.fail(errno.EROFS)
    await until_true(lambda: "outcome is not stored yet" in worker.log.read_text(), "its outcome waits in memory")
    faulty_disk.mend()
    stage.sandbox.answer_delay = None
    await recovered(stage, worker)


async def test_a_start_without_leave_to_write(stage, faulty_disk):
    """On a read-only file system it ends with 1 and says why, so that systemd tries again; nothing is sent."""
    await write_tickets(stage)
    faulty_disk.fail(errno.EROFS)
    worker = await stage.start()
    assert await worker.process.wait() == 1
    said = worker.log.read_text()
    assert f"the database at {stage.file}" in said
    assert "unable to open" in said or "readonly" in said
    assert "Traceback" not in said
    assert stage.sandbox.requests == 0


@pytest.fixture
def server(postgresql_url):
    """Return a PostgreSQL server of its own."""
    if os.geteuid() != 0:
        pytest.skip("a PostgreSQL server of its own takes root")
    made = Server()
    yield made
    made.remove()


@pytest.mark.postgresql
async def test_a_postgresql_that_crashes_and_comes_back(stage, server, until_true):
    """With requests on the wire and at rest: it is said, nothing is lost, twice or in doubt, and all goes on."""
    stage.url = server.start()
    stage.write_settings()
    await write_tickets(stage, count=4, replies=3)
    stage.sandbox.answer_delay = lambda: 0.5
    worker = await stage.start()
    await until_true(lambda: stage.sandbox.requests >= 4, "requests are on the wire")
    server.stop()
    await until_true(lambda: "outcome is not stored yet" in worker.log.read_text(), "an outcome could not be stored")
    server.start()
    stage.sandbox.answer_delay = None
    await stage.until_delivered()
    await stage.until_swept()

    server.stop()
    reply(stage)
    await until_true(lambda: "sweep not made" in worker.log.read_text(), "the log says that it does not answer")
    code, out, beside = await stage.command("status")
    assert (code, "does not answer" in beside) == (1, True), out + beside
    worker.told.clear()
    await until_true(lambda: worker.hears("WATCHDOG=1"), "an outage is no reason to restart it")
    server.start()
    await recovered(stage, worker)
