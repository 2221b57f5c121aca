"""`syncd check` as a table: a row for each thing, the worst first, with what is missing and where to get it."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta

from syncd.console.check import find_all, table_of
from syncd.console.check_console import alert_finding, console_findings, webhook_findings
from syncd.console.check_ends import how_to_get
from syncd.console.findings import Finding, Verdict
from syncd.model.clock import ahead_by
from syncd.service.settings import load_settings

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def settings_with(folder, more: str = "", system: str = ""):
    """Return settings with these lines beside a system and an api."""
    file = folder / "config.toml"
    file.write_text(
        f"""[database]
        url = "sqlite:///{folder}/syncd.db"
        {more}
        [api.berlin]
        base_url = "http://127.0.0.1:1"
        api_key = "key-berlin"
        [systems.desk]
        adapter = "in_memory"
        {system}
        [systems.desk.options]
        base_url = "http://127.0.0.1:1"
        token = "helpdesk-token"
        """
    )
    file.chmod(0o600)
    return load_settings(file, {})


def test_one_row_for_each_and_the_worst_first():
    """Each thing has one row with its worst finding, the bad ones first, and nothing that was found is left out."""
    good, bad = Finding("system a", Verdict.GOOD, "signed in"), Finding("api b", Verdict.BAD, "refused")
    worse, also = Finding("system a", Verdict.WARNING, "no feed"), Finding("api b", Verdict.BAD, "paused")
    rows, rest = table_of([good, bad, worse, also])
    assert rows == [bad, worse]
    assert rest == [also, good]


def test_what_is_missing_is_named_with_its_place(tmp_path):
    """What credentials have to be allowed is said in the vendor's words, with the settings and the page about it."""
    settings = load_settings(_zendesk(tmp_path), {})
    words = how_to_get("support", settings.systems["support"])
    assert words.startswith(settings.systems["support"].adapter_class.permissions)
    assert words.endswith("([systems.support.options]; see docs/adapters/zendesk.md)")


def _zendesk(folder):
    file = folder / "zendesk.toml"
    file.write_text(
        f"""[database]
        url = "sqlite:///{folder}/syncd.db"
        [systems.support]
        adapter = "zendesk"
        [systems.support.options]
        base_url = "https://acme.zendesk.com"
        client_id = "id"
        client_secret = "secret-of-the-client"
        """
    )
    return file


async def test_refused_credentials_name_what_they_need(syncd, ends):
    """A system that refuses the credentials says which ones it needs, and where they stand."""
    ends.configure(options='token = "wrong"')
    ran = await syncd.call("check", "--json")
    (found,) = (one for one in ran.json["findings"] if one["about"] == "system desk")
    assert "It needs the token of the helpdesk ([systems.desk.options])" in found["advice"]


async def test_an_address_that_is_free(tmp_path):
    """Where nobody listens yet the address is free, and so it still is after the look."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = settings_with(tmp_path, f'[console]\nlisten = "127.0.0.1:{port}"')
    for _ in range(2):
        found = await console_findings(settings)
        assert (found[0].verdict, found[0].found) == (
            Verdict.GOOD,
            f"127.0.0.1:{port} is free; the worker listens there once it runs",
        )


async def test_an_address_that_something_else_has(tmp_path):
    """Something else that listens there is bad, and named."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        settings = settings_with(tmp_path, f'[console]\nlisten = "127.0.0.1:{port}"')
        (found, *_) = await console_findings(settings)
    assert found.verdict is Verdict.BAD
    assert found.found == f"something else than a worker of ours listens at 127.0.0.1:{port}"


async def test_an_address_that_nobody_can_have(tmp_path):
    """An address of another machine, and a socket in a directory that is not there, are bad."""
    (found, *_) = await console_findings(settings_with(tmp_path, '[console]\nlisten = "192.0.2.1:8765"'))
    assert found.verdict is Verdict.BAD
    assert "cannot be listened at" in found.found
    (found, *_) = await console_findings(settings_with(tmp_path, '[console]\nlisten = "unix:/nowhere/syncd.sock"'))
    assert "there is no directory /nowhere" in found.found


def test_webhooks_need_somebody_who_listens(tmp_path):
    """A webhook secret without [console] listen is a warning; with it, the address for the vendor is told."""
    secret = 'webhook_secret = "secret-of-webhooks"'
    (found,) = webhook_findings(settings_with(tmp_path, system=secret))
    assert (found.about, found.verdict) == ("system desk", Verdict.WARNING)
    assert "nothing listens for webhooks" in found.found
    (found,) = webhook_findings(settings_with(tmp_path, '[console]\nlisten = "127.0.0.1:8765"', secret))
    assert (found.verdict, found.found) == (Verdict.GOOD, "takes webhooks at /hooks/desk")
    assert not list(webhook_findings(settings_with(tmp_path)))


def test_who_is_told(tmp_path):
    """Nobody being told is said; a command that is not there is bad, one that is there is named."""
    assert "nobody is told" in alert_finding(settings_with(tmp_path)).found
    found = alert_finding(settings_with(tmp_path, '[alerts]\ncommand = ["/nowhere/mail"]'))
    assert found.verdict is Verdict.BAD
    assert "/nowhere/mail is not there" in found.found
    found = alert_finding(settings_with(tmp_path, '[alerts]\ncommand = ["/bin/sh"]'))
    assert found.verdict is Verdict.GOOD
    assert "told by /bin/sh" in found.found


async def test_a_clock_that_differs(world):
    """A server whose clock is years from ours is a warning of its own; nothing else is said of it."""
    findings = [one for one in await find_all(world.settings(), world.clock) if one.about == "clock"]
    assert sorted(one.found.partition(" is ")[0] for one in findings) == [
        "the clock of api berlin",
        "the clock of api hamburg",
        "the clock of system desk",
    ]
    assert {one.verdict for one in findings} == {Verdict.WARNING}


def test_what_a_date_tells():
    """The Date of an answer tells how far ahead its clock is; what is no date tells nothing."""
    assert ahead_by("Mon, 02 Mar 2026 12:00:10 GMT", NOON) == timedelta(seconds=10.5)
    for nonsense in (None, "", "soon", "Mon, 99 Mar 2026 12:00:10 GMT", "Mon, 02 Mar 2026 12:00:10", "1" * 5000):
        assert ahead_by(nonsense, NOON) is None
