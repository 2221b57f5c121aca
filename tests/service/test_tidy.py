"""The hourly tidy of the service: what was delivered long ago is in no file any more."""

from datetime import timedelta

from sqlalchemy import update

from syncd.service.daemon import Daemon
from syncd.service.notify import Notifier
from syncd.store.tables import delivery

PLANTED = "PLANTED text of a customer"


async def test_the_tidy_leaves_nothing_in_the_files(world) -> None:
    """Neither in the database nor in its log, while the service has both open; what was delivered lately stays."""
    settings = world.settings()
    daemon = Daemon(settings, world.clock, Notifier({}, world.clock), lambda: settings)
    await daemon.start()
    try:
        world.database = daemon.database
        daemon.parts.run()
        ticket = world.ticket()
        await world.link(ticket)
        lane = daemon.parts.systems["desk"].lane
        await lane.turn()
        world.helpdesk.customer_reply(ticket.id, PLANTED)
        world.helpdesk.customer_reply(ticket.id, "another text, of late")
        await lane.turn()
        daemon.parts.wake_dispatchers()
        await world.pass_time(5)
        assert world.sent() == [PLANTED, "another text, of late"]
        long_ago = world.clock.now() - timedelta(days=settings.retention.contents_days, seconds=1)
        old = update(delivery).where(delivery.c.id == 1).values(ended_at=long_ago)
        await daemon.database.write(lambda c: c.execute(old))
        await daemon._tidy()
        files = {path.name: path.read_bytes() for path in world.folder.glob("syncd.db*")}
        assert files["syncd.db-wal"] == b""
        assert [name for name, raw in files.items() if PLANTED.encode() in raw] == []
        assert b"another text, of late" in files["syncd.db"]
    finally:
        await daemon.stop()
