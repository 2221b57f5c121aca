"""What a service goes through in years: another database under it, and another key, with deliveries going on."""

import signal

import pytest

pytestmark = pytest.mark.xdist_group("service")


@pytest.mark.postgresql
async def test_deliveries_go_on_in_the_other_database(stage, postgresql_url):
    """Moved from SQLite to PostgreSQL, everything arrives once; the one that was left is not begun on."""
    ticket = stage.helpdesk.create_ticket("Locker", "It does not open.", at=stage.clock.now().replace(year=2025))
    await stage.link(ticket)
    urls = [stage.url, postgresql_url]
    for number, url in enumerate(urls):
        stage.url = url
        stage.write_settings()
        stage.helpdesk.customer_reply(ticket.id, f"reply {number}")
        worker = await stage.start("--once")
        assert await worker.process.wait() == 0, worker.log.read_text()
        assert stage.balance().adds_up
        if url == urls[-1]:
            break
        (stage.folder / "new.url").write_text(urls[number + 1])
        code, _, beside = await stage.command("db", "copy", "--to-file", str(stage.folder / "new.url"), "--yes")
        assert code == 0, beside
        stage.helpdesk.customer_reply(ticket.id, f"meanwhile {number}")
        refused = await stage.start("--once")
        assert await refused.process.wait() == 1
        assert "has moved to" in refused.log.read_text()
    sent = [one.body["content"] for one in stage.sandbox.communications]
    assert sorted(sent) == ["meanwhile 0", "reply 0", "reply 1"]
    assert set(await stage.states()) == {"delivered"}


async def test_a_key_is_changed_without_a_restart(stage, until_true):
    """The new text of an `api_key_file` counts from a SIGHUP on: same process, nothing refused, nothing in doubt."""
    key = stage.folder / "berlin.key"
    key.touch(mode=0o600)
    key.write_text("key-berlin\n")
    text = stage.config.read_text()
    stage.config.write_text(text.replace('api_key = "key-berlin"', f'api_key_file = "{key}"'))
    ticket = stage.helpdesk.create_ticket("Locker", "It does not open.", at=stage.clock.now().replace(year=2025))
    await stage.link(ticket)
    worker = await stage.start()
    stage.helpdesk.customer_reply(ticket.id, "with the old key")
    await until_true(lambda: stage.balance().delivered == 1, "the old key is used")

    stage.keys["key-new"] = "berlin"
    key.write_text("key-new\n")
    stage.sandbox.answer_delay = lambda: 0.5
    stage.helpdesk.customer_reply(ticket.id, "on the wire")
    await until_true(lambda: stage.sandbox.requests == 2, "a request is on the wire")
    worker.process.send_signal(signal.SIGHUP)
    await until_true(lambda: "settings reloaded" in worker.log.read_text(), "the key is read again")
    del stage.keys["key-berlin"]
    stage.helpdesk.customer_reply(ticket.id, "with the new key")
    await until_true(lambda: stage.balance().delivered == 3, "the new key is used")
    assert await worker.stop() == 0
    assert set(await stage.states()) == {"delivered"}
    assert stage.balance().adds_up
    assert "api paused" not in worker.log.read_text()
