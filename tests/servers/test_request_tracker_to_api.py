"""The main job on a real Request Tracker: people write there, the daemon runs, the API (a strict sandbox) receives."""

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from syncd.model.clock import SystemClock
from syncd.testing.sandbox import Received, Sandbox

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("request_tracker")]

TICKETS = 20


class Site:
    """A configured syncd between a Request Tracker and a sandbox; commands and the daemon are real processes."""

    def __init__(self, folder: Path, tracker, sandbox: Sandbox) -> None:
        self.folder, self.tracker, self.sandbox = folder, tracker, sandbox
        self.config = folder / "config.toml"
        self.config.write_text(
            f"""
            timezone = "Europe/Berlin"
            [database]
            url = "sqlite:///{folder}/syncd.db"
            [api.berlin]
            base_url = "{sandbox.base_url}"
            api_key = "sandbox-key"
            [systems.support]
            adapter = "request_tracker"
            poll_seconds = 1
            requests_per_minute = 6000
            [systems.support.options]
            base_url = "{tracker.base_url}"
            token = "{tracker.reader_token}"
            """
        )
        self.daemon: asyncio.subprocess.Process | None = None

    async def syncd(self, *arguments: str, expect: int | None = 0) -> str:
        """Run a command to its end and return what it printed."""
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "syncd", "--config", str(self.config), *arguments],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"NO_COLOR": "1"},
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)
        if expect is not None:
            assert process.returncode == expect, (arguments, out.decode(), err.decode())
        return out.decode()

    async def start(self) -> None:
        """Start the daemon."""
        log = (self.folder / "daemon.log").open("ab")
        self.daemon = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "syncd", "run", "--config", str(self.config)], stdout=log, stderr=log
        )
        log.close()

    async def stop(self) -> None:
        """Stop the daemon as systemd does; it drains and ends well."""
        if self.daemon is not None:
            self.daemon.terminate()
            assert await asyncio.wait_for(self.daemon.wait(), 60) == 0
            self.daemon = None

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
        """Wait until something holds; fail with the daemon's log if it never does."""
        end = asyncio.get_running_loop().time() + seconds
        while not condition():
            if asyncio.get_running_loop().time() > end:
                pytest.fail(f"{what} did not happen\n" + (self.folder / "daemon.log").read_text()[-4000:])
            await asyncio.sleep(0.1)

    async def rows(self, *arguments: str) -> list[dict[str, object]]:
        """Return what a list prints as JSON."""
        found = json.loads(await self.syncd(*arguments, "--json"))
        assert isinstance(found, list)
        return found

    def received(self, thread: int) -> list[Received]:
        """Return what the API has added to a thread, in order."""
        return [one for one in self.sandbox.communications if one.thread_id == thread]

    def contents(self, thread: int) -> list[str]:
        """Return the contents of a thread, in order."""
        return [one.body["content"] for one in self.received(thread)]

    async def quiet(self) -> None:
        """Let a few polls go by, so that whatever would come has come."""
        seen = -1
        while seen != len(self.sandbox.communications):
            seen = len(self.sandbox.communications)
            await self.syncd("poll", "--system", "support")


@pytest_asyncio.fixture
async def site(tmp_path: Path, request_tracker) -> AsyncIterator[Site]:
    """Return a site on an empty Request Tracker."""
    await asyncio.to_thread(request_tracker.reset)
    async with Sandbox({"sandbox-key": "berlin"}, clock=SystemClock()) as sandbox:
        made = Site(tmp_path, request_tracker, sandbox)
        yield made
        if made.daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                made.daemon.kill()
            await made.daemon.wait()


def seed(tracker) -> list[int]:
    """Write twenty tickets with an answer, a comment and, on every second one, a customer's reply."""
    numbers = []
    for index in range(TICKETS):
        number = tracker.create_ticket(f"Drucker - Fall {index}", f"Guten Tag, Drucker {index} druckt nicht. <A4> & Ü")
        html = f"<p>Hallo Carla,<br>ist Drucker <b>{index}</b> an?</p>"
        tracker.correspond(number, html, by="agent", content_type="text/html")
        tracker.comment(number, f"Intern: geheim {index}")
        if index % 2 == 0:
            tracker.correspond(number, f"Ja, Drucker {index} ist an.", by="customer")
        numbers.append(number)
    return numbers


def expected(index: int) -> list[str]:
    """Return what the thread of a seeded ticket must hold."""
    texts = [f"Guten Tag, Drucker {index} druckt nicht. <A4> & Ü", f"Hallo Carla,\nist Drucker {index} an?"]
    return texts + ([f"Ja, Drucker {index} ist an."] if index % 2 == 0 else [])


async def test_every_public_reply_arrives_once_and_in_order(site: Site) -> None:
    """Twenty tickets, a close, an outage, a late link, a merge and a deletion: nothing lost, nothing twice."""
    tracker = site.tracker
    began_at = datetime.now(UTC) - timedelta(seconds=2)
    numbers = await asyncio.to_thread(seed, tracker)
    lines = ["api,customer_id,thread_id,system,ticket_number,ticket_link,from"]
    lines += [f"berlin,{1000 + i},{2000 + i},support,{number},,start" for i, number in enumerate(numbers[:-1])]
    (site.folder / "links.csv").write_text("\n".join(lines))
    await site.syncd("links", "import", str(site.folder / "links.csv"))

    await site.start()
    public = sum(len(expected(index)) for index in range(TICKETS - 1))
    await site.until(lambda: len(site.sandbox.communications) >= public, "the delivery of what was seeded")
    for index in range(TICKETS - 1):
        assert site.contents(2000 + index) == expected(index)
    check_fields(site, numbers, began_at)

    # A link added while the daemon runs misses nothing, by its address this time.
    address = f"{tracker.base_url}/Ticket/Display.html?id={numbers[-1]}"
    target = ["--api", "berlin", "--customer", "1019", "--thread", "2019", "--system", "support"]
    await site.syncd("links", "add", *target, "--ticket-link", address, "--from", "start")
    await asyncio.to_thread(tracker.correspond, numbers[-1], "Noch etwas.", by="customer")
    late = [*expected(TICKETS - 1), "Noch etwas."]
    await site.until(lambda: len(site.contents(2019)) >= len(late), "the delivery of the late link")
    assert site.contents(2019) == late

    # A resolved ticket closes its thread, with a note as no reply carries it.
    await asyncio.to_thread(tracker.set_status, numbers[0], "resolved")
    await site.until(
        lambda: bool(site.received(2000)) and site.received(2000)[-1].body["communicationThreadStatus"] == "CLOSED",
        "the close",
    )

    # What is written while nothing runs arrives after the start.
    await site.stop()
    await asyncio.to_thread(tracker.correspond, numbers[1], "Ist da jemand?", by="customer")
    await site.start()
    await site.until(lambda: "Ist da jemand?" in site.contents(2001), "the delivery of what was written meanwhile")

    # A merged and a deleted ticket are reported; the others go on.
    await asyncio.to_thread(tracker.merge, numbers[4], numbers[5])
    await asyncio.to_thread(tracker.delete, numbers[6])
    await asyncio.to_thread(tracker.correspond, numbers[7], "Danke!", by="customer")
    await site.until(lambda: "Danke!" in site.contents(2007), "the delivery beside a merge and a deletion")
    await site.quiet()
    suspended = {row["thread_id"]: row for row in await site.rows("links", "list", "--state", "suspended")}
    assert set(suspended) == {2004, 2006}
    assert "merged" in str(suspended[2004])
    assert "gone" in str(suspended[2006])

    # Nothing internal ever left, nothing came twice, and nothing is open.
    everything = [one.body["content"] for one in site.sandbox.communications]
    assert not [text for text in everything if "geheim" in text]
    assert [text for text, times in Counter(everything).items() if times > 1] == []
    assert site.sandbox.requests == len(site.sandbox.communications)
    deliveries = await site.rows("deliveries", "list")
    assert {row["state"] for row in deliveries} == {"delivered"}
    assert len(deliveries) == len(everything)

    # A second run delivers nothing.
    await site.stop()
    await site.syncd("run", "--once")
    assert [one.body["content"] for one in site.sandbox.communications] == everything


def check_fields(site: Site, numbers: list[int], began_at: datetime) -> None:
    """Hold direction, agent, channel, time and ticket of what arrived against what was written."""
    for index in range(TICKETS - 1):
        created, answered, *rest = site.received(2000 + index)
        assert [one.body["communicationDirection"] for one in (created, answered)] == ["INCOMING", "OUTGOING"]
        assert [one.body["communicationDirection"] for one in rest] == ["INCOMING"] * len(rest)
        assert answered.body["agent"] == "Peter Meyer"
        for one in (created, answered, *rest):
            assert one.customer_id == 1000 + index
            assert one.body["ticketNumber"] == str(numbers[index])
            assert one.body["ticketLink"].endswith(f"id={numbers[index]}")
            text, _, zone = one.body["communicationDateTime"].partition("[")
            assert zone == "Europe/Berlin]"
            assert began_at <= datetime.fromisoformat(text) <= datetime.now(UTC) + timedelta(seconds=2)


async def test_wrong_credentials_pause_the_system_and_say_so(site: Site) -> None:
    """With a token that is no good, `check` and `status` name the system, and nothing is concluded about tickets."""
    number = await asyncio.to_thread(site.tracker.create_ticket, "Token", "text")
    site.config.write_text(site.config.read_text().replace(site.tracker.reader_token, "1-14-000000000000"))
    target = ["--api", "berlin", "--customer", "1", "--thread", "1", "--system", "support"]
    await site.syncd("links", "add", *target, "--ticket-number", str(number), expect=None)
    (link,) = await site.rows("links", "list")
    assert link["state"] == "unresolved"
    found = await site.syncd("check", "--json", expect=1)
    assert "support" in found
    assert "1-14-000000000000" not in found
    await site.syncd("status", expect=1)
    assert site.sandbox.communications == []
