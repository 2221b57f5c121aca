"""A webhook at a real process: its reply is in the thread long before the next sweep."""

import socket
import time

import aiohttp
import pytest

from tests.end_to_end.conftest import until

SECRET = "desk-webhooks-secret"
QUICKLY_SECONDS = 10.0
"""Two seconds are usual; this leaves room for a machine with much else to do, and is far from the next sweep."""


def free_ports(count: int) -> list[int]:
    """Return ports that are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


async def start(stage, port: int):
    """Start a worker that listens at a port; return it."""
    stage.more_environ |= {
        "SYNCD_CONSOLE__LISTEN": f"127.0.0.1:{port}",
        "SYNCD_SYSTEMS__DESK__POLL_SECONDS": "300",
        "SYNCD_SYSTEMS__DESK__WEBHOOK_SECRET": SECRET,
    }
    worker = await stage.start()
    await worker.until_ready()
    return worker


async def send(port: int, ticket, secret: str = SECRET) -> int:
    """Send a webhook about a ticket; return the status of its answer."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/hooks/desk"
        async with session.post(url, json={"ticket_id": ticket.id}, headers={"X-Syncd-Secret": secret}) as answer:
            return answer.status


async def reply_and_tell(stage, ticket, port: int, words: str) -> float:
    """Write a reply, tell of it by a webhook, and return how many seconds later it is in its thread."""
    stage.helpdesk.customer_reply(ticket.id, words)
    began = time.monotonic()
    assert await send(port, ticket) == 202
    await until(lambda: stage.sandbox.communications[-1:] and told(stage)[-1] == words, f"{words!r} arrives")
    return time.monotonic() - began


def told(stage) -> list[str]:
    """Return what stands in the threads."""
    return [one.body["content"] for one in stage.sandbox.communications]


async def test_a_webhook_brings_a_reply_at_once_though_sweeps_are_minutes_apart(stage, record_property) -> None:
    """With 300 seconds between two sweeps and a change feed: no sweep is made, and a forged webhook does nothing."""
    (port,) = free_ports(1)
    ticket = stage.helpdesk.create_ticket("Locker", "It does not open.")
    await stage.link(ticket, start=True)
    worker = await start(stage, port)
    await until(lambda: len(told(stage)) == 1, "the first message arrives")
    sweeps = stage.sweeps
    delays = [await reply_and_tell(stage, ticket, port, f"Reply number {number} of many.") for number in range(3)]
    assert max(delays) < QUICKLY_SECONDS
    assert await send(port, ticket, "another-secret") == 401
    assert stage.sweeps == sweeps
    assert await worker.stop() == 0
    assert SECRET not in worker.log.read_text()
    shown = ", ".join(f"{delay:.2f}" for delay in delays)
    record_property("report", f"webhook to thread: {shown} s, with 300 s between two sweeps")


@pytest.mark.postgresql
async def test_a_webhook_may_reach_a_worker_that_does_not_own_its_system(
    stage, postgresql_url, record_property
) -> None:
    """Of two workers one owns the system; a webhook at either is heeded within about a second."""
    stage.url = postgresql_url
    stage.write_settings()
    ticket = stage.helpdesk.create_ticket("Locker", "It does not open.")
    await stage.link(ticket, start=True)
    ports = free_ports(2)
    for port in ports:
        await start(stage, port)
    await until(lambda: len(told(stage)) == 1, "the first message arrives")
    delays = [await reply_and_tell(stage, ticket, port, f"Told to port {place}.") for place, port in enumerate(ports)]
    assert max(delays) < QUICKLY_SECONDS
    shown = ", ".join(f"{delay:.2f}" for delay in delays)
    record_property("report", f"webhook to thread by either worker: {shown} s")
