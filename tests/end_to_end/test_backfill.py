"""A backfill carried out by the service, which is killed in the middle of it."""

import signal
from datetime import timedelta

import pytest

from syncd.store import health, requests
from syncd.store.database import open_database
from syncd.store.requests import RequestKind, RequestState
from syncd.sync.backfill import Wanted

pytestmark = pytest.mark.xdist_group("service")
TICKETS = 12


async def test_a_killed_worker_goes_on_where_it_was(stage, until_true):
    """The next one reads no ticket again but the one in the middle, sends nothing twice, and leaves nothing out."""
    stage.write_settings(more='mode = "hold"')  # so that the kill leaves nothing in doubt
    begin = stage.clock.now() - timedelta(days=2)
    for number in range(TICKETS):
        ticket = stage.helpdesk.create_ticket("Locker", "first message", at=begin)
        for hour in (1, 2):
            stage.helpdesk.customer_reply(ticket.id, f"{number}.{hour}", at=begin + timedelta(hours=hour))
        await stage.link(ticket)
    worker = await stage.start()
    await worker.until_ready()
    await stage.until_swept()
    stage.helpdesk.requests.clear()
    database = open_database(stage.url)
    asked = (RequestKind.BACKFILL, "desk", Wanted().as_arguments(), "tester", stage.clock.now())
    request_id = await database.write(lambda c: requests.ask(c, *asked))
    await until_true(lambda: len(replies_read(stage)) > 3, "three tickets are dealt with")
    await worker.stop(signal.SIGKILL)
    done = await database.read(lambda c: requests.steps_done(c, request_id))
    assert 3 <= len(done) < TICKETS
    worker = await stage.start()
    now = stage.clock.now()
    await database.write(lambda c: health.release_api(c, "berlin", now))
    await until_true(lambda: len(stage.sandbox.communications) >= 2 * TICKETS, "all of it is delivered")
    ended = await database.read(lambda c: requests.find(c, request_id))
    await database.close()
    assert await worker.stop() == 0
    read = replies_read(stage)
    assert len(set(read)) == TICKETS
    assert len(read) <= TICKETS + 1
    assert (ended.state, ended.result["links"], ended.result["enqueued"]) == (RequestState.DONE, TICKETS, 2 * TICKETS)
    sent = [one.body["content"] for one in stage.sandbox.communications]
    assert sorted(sent) == sorted(f"{number}.{hour}" for number in range(TICKETS) for hour in (1, 2))


def replies_read(stage) -> list[str]:
    """Return the requests for a ticket's replies."""
    return [text for text in stage.helpdesk.requests if text.endswith("/replies")]
