"""A full disk and a vanished PostgreSQL, with requests on the wire: nothing lost, nothing twice, nothing in doubt."""

import pytest

from tests.end_to_end.outages import write_tickets

pytestmark = pytest.mark.xdist_group("service")


async def test_a_full_disk_stops_sending_and_recovers_by_itself(stage, small_disk, until_true) -> None:
    """With no room for another byte the outcomes wait in memory and nothing more leaves; with room again all arrive."""
    stage.url = f"sqlite:///{small_disk.folder}/syncd.db"
    stage.write_settings()
    await write_tickets(stage)
    stage.sandbox.answer_delay = lambda: 0.5
    worker = await stage.start()
    await until_true(lambda: stage.sandbox.requests >= 4, "requests are on the wire")

    def refused(times: int) -> bool:
        small_disk.fill()
        return worker.log.read_text().count("outcome is not stored yet") >= times

    await until_true(lambda: refused(1), "an outcome could not be stored")
    while_full = stage.sandbox.requests
    await until_true(lambda: refused(6), "it was tried again")
    assert stage.sandbox.requests <= while_full + 3, "what was on its way may still leave; nothing new may start"
    assert not worker.ended
    small_disk.make_room()
    stage.sandbox.answer_delay = None
    await stage.until_delivered()
    assert await worker.stop() == 0
    assert await stage.states() == {"delivered": 24}
    assert stage.sandbox.requests == len(stage.sandbox.communications) == 24
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.postgresql
async def test_a_vanished_postgresql_stops_sending_and_recovers_by_itself(stage, line, until_true) -> None:
    """Cut off with requests on the wire, the worker sends nothing more; mended, it records what came and goes on."""
    stage.url = await line.mend()
    stage.write_settings()
    await write_tickets(stage)
    stage.sandbox.answer_delay = lambda: 0.5
    worker = await stage.start()
    await until_true(lambda: stage.sandbox.requests >= 4, "requests are on the wire")
    await line.cut()
    await until_true(lambda: "outcome is not stored yet" in worker.log.read_text(), "an outcome could not be stored")
    while_cut = stage.sandbox.requests
    await until_true(lambda: worker.log.read_text().count("outcome is not stored yet") >= 6, "it was tried again")
    assert stage.sandbox.requests <= while_cut + 3, "what was on its way may still leave; nothing new may start"
    assert not worker.ended
    await line.mend()
    stage.sandbox.answer_delay = None
    await stage.until_delivered()
    assert await worker.stop() == 0
    assert await stage.states() == {"delivered": 24}
    assert stage.sandbox.requests == len(stage.sandbox.communications) == 24
    assert "Traceback" not in worker.log.read_text()
