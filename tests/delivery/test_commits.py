"""Each commit of a delivery fails once, before it is kept and after: what is not acknowledged makes no second copy."""

import sqlite3
from contextlib import closing

import pytest

from syncd.model.communication import Thread
from syncd.store.database import Database
from tests.unacknowledged import Failing


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("number", [1, 2])
async def test_a_commit_that_is_not_acknowledged_makes_no_second_copy(world, number, kept) -> None:
    """Marking that fails sends nothing and leaves no row on the wire; an outcome that fails is stored again.

    When the request arrives it is `sending` on disk, with its attempt.
    """
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket, thread=5)
    await world.sync()
    world.helpdesk.customer_reply(ticket.id, "hello?")
    on_disk: list[int] = []
    open_attempts = "SELECT count(*) FROM attempt JOIN delivery ON delivery.id = delivery_id WHERE outcome IS NULL"

    def look(_communication) -> None:
        with closing(sqlite3.connect(world.folder / "syncd.db")) as database:
            on_disk.extend(database.execute(f"{open_attempts} AND state = 'sending'").fetchone())

    world.sandbox.on_communication = look
    failing = Failing(world.database.backend, number, kept=kept)
    dispatcher = world.dispatcher
    dispatcher.sender.database = Database(failing, world.database.where)
    await world.sync(60)
    assert failing.failed == 1
    assert world.sent() == ["hello?"]
    assert world.sandbox.requests == 1
    assert on_disk == [1]
    full = await world.only_delivery()
    assert (full.item.state, full.item.communication_id) == ("delivered", 1)
    sent = [one for one in full.attempts if one.outcome != "not_sent"]
    assert [one.outcome for one in sent] == ["delivered"]
    assert [one for one in full.attempts if one.outcome is None] == []
    assert (await world.get_link(1)).thread == Thread("berlin", 7, 5)
