"""The service as systemd runs it: one worker, a clean stop, a reload, what it tells, and one pass by hand."""

import json
import signal

import pytest

pytestmark = pytest.mark.xdist_group("service")


async def linked(stage, *texts, system="desk", api="berlin"):
    """Open a ticket that is linked from now on, with these replies after that."""
    ticket = stage.helpdesk.create_ticket("Locker", "It does not open.", at=stage.clock.now().replace(year=2025))
    one = await stage.link(ticket, system=system, api=api)
    for text in texts:
        stage.helpdesk.customer_reply(ticket.id, text)
    return one


async def test_a_second_worker_is_refused(stage):
    """A second `syncd run` on the same SQLite file ends with 1 and says who is there; the first one goes on."""
    await linked(stage, "one")
    first = await stage.start()
    await first.until_ready()
    second = await stage.start()
    assert await second.process.wait() == 1
    said = second.log.read_text()
    assert "another syncd works on the database" in said
    assert "Traceback" not in said
    await stage.until_delivered()
    assert not first.ended
    assert await first.stop() == 0


async def test_sigterm_drains(stage, until_true):
    """SIGTERM while a slow API holds requests: they are finished and recorded, nothing is in doubt, exit code 0."""
    for number in range(4):
        await linked(stage, *(f"{number}.{one}" for one in range(5)))
    stage.sandbox.answer_delay = lambda: 1.0
    worker = await stage.start()
    await until_true(lambda: stage.sandbox.requests >= 4, "requests are on the wire")
    assert await worker.stop() == 0, worker.log.read_text()
    states = await stage.states()
    assert states.get("in_doubt", 0) == states.get("sending", 0) == 0
    assert states["delivered"] == len(stage.sandbox.communications) == stage.sandbox.requests
    assert states["pending"] > 0
    assert worker.told.count("STOPPING=1") or worker.hears("STOPPING=1")


async def test_a_reload_adds_and_refuses(stage, until_true):
    """SIGHUP takes in a new system and a new api; one with links that vanished is refused, and all goes on."""
    old = await linked(stage, "one")
    worker = await stage.start()
    await worker.until_ready()
    await stage.until_delivered()

    stage.write_settings(apis=("berlin", "hamburg"), systems=("desk", "second"))
    worker.process.send_signal(signal.SIGHUP)
    await linked(stage, "two", system="second", api="hamburg")
    await stage.until_delivered()
    assert {one.studio for one in stage.sandbox.communications} == {"berlin", "hamburg"}

    stage.write_settings(apis=("hamburg",), systems=("desk", "second"))
    worker.process.send_signal(signal.SIGHUP)
    await until_true(lambda: "settings not reloaded" in worker.log.read_text(), "the reload is refused")
    assert "[api.berlin] has" in worker.log.read_text()
    stage.helpdesk.customer_reply(old.ticket.id, "three")
    await stage.until_delivered()
    assert await worker.stop() == 0
    assert sum(1 for line in worker.told if line == "RELOADING=1") <= 2
    assert stage.balance().adds_up


async def test_one_system_is_heard_in_full_after_a_reload(stage, until_true):
    """Whoever looks into a system writes its name into [log] verbose and reloads: its requests are told then."""
    await linked(stage, "one")
    worker = await stage.start()
    await stage.until_delivered()
    assert "request to the vendor" not in worker.log.read_text()
    stage.config.write_text('log.verbose = ["desk"]\n' + stage.config.read_text())
    worker.process.send_signal(signal.SIGHUP)
    await until_true(lambda: "request to the vendor" in worker.log.read_text(), "requests are told")
    line = next(line for line in worker.log.read_text().splitlines() if "request to the vendor" in line)
    assert json.loads(line)["system"] == "desk"
    assert await worker.stop() == 0


async def test_the_service_manager_is_told(stage, until_true):
    """READY comes once, then a status and the watchdog's food, and STOPPING at the end."""
    await linked(stage, "one")
    worker = await stage.start()
    await worker.until_ready()
    await until_true(lambda: worker.hears("WATCHDOG=1"), "the watchdog is fed")
    await until_true(lambda: worker.hears("STATUS=1 systems, 1 apis"), "a status is told")
    assert await worker.stop() == 0
    await until_true(lambda: worker.hears("STOPPING=1"), "the end is told")
    assert worker.told.index("READY=1") < worker.told.index("WATCHDOG=1") < worker.told.index("STOPPING=1")
    assert worker.told.count("READY=1") == 1


async def test_once_twice(stage):
    """`run --once` delivers everything that is due; a second one finds nothing, and sends nothing."""
    await linked(stage, "one", "two", "three")
    first = await stage.start("--once")
    assert await first.process.wait() == 0, first.log.read_text()
    assert stage.balance().delivered == 3
    requests = stage.sandbox.requests
    second = await stage.start("--once")
    assert await second.process.wait() == 0, second.log.read_text()
    assert stage.sandbox.requests == requests
    assert stage.balance().adds_up


async def test_once_tells_of_a_failed_sweep(stage):
    """`run --once` ends with 1 when a system could not be read, and has delivered what there was all the same."""
    await linked(stage, "one")
    stage.helpdesk.token = "another"
    worker = await stage.start("--once")
    assert await worker.process.wait() == 1
    assert "system paused" in worker.log.read_text()


async def test_settings_mistakes(stage):
    """Every mistake in the settings is named at once, and `run` ends with 2."""
    stage.config.write_text('timezone = "Mars"\n[api.berlin]\nbase_url = "ftp://x"\n')
    worker = await stage.start()
    assert await worker.process.wait() == 2
    said = worker.log.read_text()
    assert all(place in said for place in ("timezone", "api.berlin.base_url", "api.berlin.api_key"))
    assert "Traceback" not in said
