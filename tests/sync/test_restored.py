"""A database put back from a backup, from the copy to the decision, in virtual time: nothing is sent twice."""

import shutil

from syncd.store import restored
from syncd.store.high_water import is_behind
from syncd.store.schema import database_id
from syncd.store.standing import Decision


async def put_back(world, copy) -> None:
    """End everything, put the copy in place, and declare the restore."""
    await world.end()
    file = world.folder / "syncd.db"
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    shutil.copy(copy, file)
    await world.begin(on_edit="correction")
    await world.parts.drain()
    mark = world.sandbox.requests
    by = Decision("tester", world.clock.now(), "the disk was lost")
    assert is_behind(
        world.mark, await world.database.read(database_id), await world.database.read(restored.attempt_counter)
    )
    await world.database.write(lambda c: restored.declare_restored(c, mark, by))
    await world.end()
    await world.begin(on_edit="correction")


async def backup(world):
    """Return a copy of the database as it is now."""
    await world.end()
    copy = world.folder / "backup.db"
    shutil.copy(world.folder / "syncd.db", copy)
    await world.begin(on_edit="correction")
    return copy


async def test_replies_corrections_and_notes_since_the_backup_are_in_doubt(world) -> None:
    """What was sent after the copy was made is found again, set aside for a person, and sent by nobody."""
    edited, closed = world.ticket("edited"), world.ticket("closed")
    await world.begin(on_edit="correction")
    for ticket in (edited, closed):
        await world.link(ticket)
    await world.sync()
    reply = world.helpdesk.agent_reply(edited.id, "typo")
    await world.sync()
    copy = await backup(world)
    await world.pass_time(5)
    world.helpdesk.edit(reply.id, "no typo")
    world.helpdesk.agent_reply(edited.id, "another")
    world.helpdesk.set_status(closed.id, "closed")
    await world.sync()
    await world.sync()
    sent = world.sent()
    assert sorted(sent) == ["The ticket was closed.", "another", "no typo", "typo"]
    world.mark = world.high_water.read()
    await world.pass_time(60)
    await put_back(world, copy)
    for _ in range(3):
        await world.sync(60)
    assert world.sent() == sent
    doubts = await world.deliveries(state="in_doubt")
    assert sorted(one.kind for one in doubts) == ["correction", "reply", "status_note"]
    assert {one.reason for one in doubts} == {"restored"}
    world.helpdesk.agent_reply(edited.id, "afterwards")
    await world.sync()
    assert world.sent() == [*sent, "afterwards"]
