"""`syncd erase`: said first, asked, done, and gone from every file."""

import asyncio
import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import update

from syncd.console.context import CommandContext
from syncd.console.erase import WIRE_SECONDS, _erase_threads
from syncd.model.communication import Thread, ThreadStatus
from syncd.model.delivery import DeliveryState
from syncd.model.link import NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.store import link_changes, links, outbox
from syncd.store.database import Connection, open_database
from syncd.store.erase import find_customer
from syncd.store.schema import ensure_schema
from syncd.store.tables import attempt, delivery

from .conftest import REGISTERED_AT

PLANTED = "PLANTED text of a customer"
REASON = ("--reason", "asked to be forgotten")


@pytest.fixture
def customer(syncd):
    """Return the program with a customer's deliveries: 1 delivered, 2 in doubt, 3 parked, 4 pending; 5 is another's."""
    link_id = syncd.link()
    for number, state in enumerate(("delivered", "in_doubt", "parked", "pending"), 1):
        syncd.deliver(link_id, f"r{number}", DeliveryState(state), content=f"{PLANTED} {number}", reason=PLANTED)

    def add_other(connection: Connection) -> int:
        ref = TicketRef(number="HD-2")
        added = links.add(connection, NewLink(Thread("berlin", 8, 1), "desk", ref, REGISTERED_AT), REGISTERED_AT)
        ticket = Ticket(id="id-2", number="HD-2")
        link_changes.resolve(connection, added.link_id, ticket, ThreadStatus.ONGOING, REGISTERED_AT)
        return added.link_id

    syncd.deliver(syncd.stored(add_other), "r5", content="the text of another customer")
    return syncd


def files_with(syncd, text: str) -> list[str]:
    """Return the files of the database in which a text stands."""
    return [path.name for path in syncd.directory.glob("syncd.db*") if text.encode() in path.read_bytes()]


def test_without_a_terminal_it_only_says_what_it_would_do(customer):
    """How many links and deliveries at which api; nothing changes, and the exit code is 2."""
    ran = customer("erase", "--customer", 7, *REASON)
    assert ran.code == 2
    heading, numbers = ran.out.splitlines()[:2]
    assert heading.split("  ")[0] == "customer"
    assert numbers.split() == ["7", "berlin", "1", "1", "4", "4", "2", "1", "0"]
    assert ran.err == "Error: nothing was changed: nobody can be asked here; say --yes to go on\n"
    assert customer.in_full(1).message is not None
    assert PLANTED not in ran.out


def test_with_yes_no_file_has_a_byte_of_it(customer):
    """What was said of the customer is in no file; ids stay, links end, others are not touched; it is written down."""
    assert files_with(customer, PLANTED)
    ran = customer("erase", "--customer", 7, *REASON, "--yes")
    assert ran.code == 0, ran.err
    assert "erased: 4 deliveries with a text; 1 link ended, 2 deliveries skipped, 1 in doubt" in ran.out
    assert files_with(customer, PLANTED) == []
    assert [customer.state_of(number) for number in range(1, 6)] == [
        "delivered",
        "in_doubt",
        "skipped",
        "skipped",
        "pending",
    ]
    assert customer.in_full(5).message.content == "the text of another customer"
    assert customer("links", "show", 1, "--json").json["state"] == "removed"
    assert "There is no text: it was erased" in customer("deliveries", "show", 1).out
    shown = customer("deliveries", "show", 2)
    assert "Not possible: its text was erased." in shown.out
    again = customer("erase", "--customer", 7, *REASON, "--yes")
    assert (again.code, "erased: 0 deliveries with a text; 0 links ended" in again.out) == (0, True)


def test_on_a_terminal_it_asks_and_no_is_no(customer):
    """Whoever answers anything but yes changes nothing, and the exit code is 1."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "syncd", "--config", str(customer.config), "erase", "--customer", "7", *REASON]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        os.write(ours, b"n\n")
        _, err = process.communicate(timeout=60)
    os.close(ours)
    assert b"Erase them? Nothing brings it back." in err
    assert (process.returncode, err.endswith(b"Error: nothing was changed\n")) == (1, True)
    assert customer.in_full(1).message is not None


def test_an_unknown_customer_is_named_and_nothing_happens(customer):
    """Also if another one of the same command is known, or this one is known at another api."""
    for arguments, where in (
        ((9,), "in this database"),
        ((7, "--customer", 9), "in this"),
        ((7, "--api", "x"), "at x"),
    ):
        ran = customer("erase", "--customer", *arguments, *REASON, "--yes")
        assert ran.code == 1
        assert f"is not known {where}" in ran.err
    assert customer.in_full(1).message is not None


def test_the_same_id_at_two_apis_is_pointed_out(customer):
    """An id is a studio's own: at another api it may be another person."""
    customer.link(9, api="hamburg", number="HD-9")
    ran = customer("erase", "--customer", 7, *REASON)
    assert "Customer 7 is known at 2 apis; is it the same person? If not, say --api." in ran.out
    assert "2 apis" not in customer("erase", "--customer", 7, "--api", "berlin", *REASON).out


@pytest.mark.parametrize(
    "arguments", [(), ("--customer", "7"), ("--customer", "x", *REASON), ("--customer", "7", "--reason", " ")]
)
def test_what_makes_no_sense_is_refused(customer, arguments):
    """No customer, no reason, no number: exit code 2."""
    assert customer("erase", *arguments, "--yes").code == 2
    assert customer.in_full(1).message is not None


async def test_what_is_on_the_wire_is_waited_for(clock, tmp_path, sqlite_url) -> None:
    """Its outcome is stored first, whatever it is; then its text goes too, and it is not tried again."""
    database = open_database(sqlite_url)
    await ensure_schema(database, migrate=True)
    context = CommandContext(None, database, clock, "anna")
    begin = clock.now()

    def fill(connection: Connection) -> None:
        new = NewLink(Thread("berlin", 7, 1), "desk", TicketRef(number="1"), begin)
        link_id = links.add(connection, new, begin).link_id
        values = {"thread_key": 1, "link_id": link_id, "system": "desk", "kind": "reply", "lane": "0_live"}
        values |= {"occurred_at": begin, "created_at": begin, "read_at": begin, "due_at": begin}
        values |= {"subject": PLANTED, "content": PLANTED, "state": "sending", "reply_id": "r1"}
        connection.execute(delivery.insert().values(values))
        started = {"delivery_id": 1, "number": 1, "reason": "schedule", "worker": "w", "status_carried": "ONGOING"}
        connection.execute(attempt.insert().values(started | {"started_at": begin}))

    await database.write(fill)
    threads = await database.read(lambda c: find_customer(c, 7))
    erasing = asyncio.create_task(_erase_threads(context, threads))
    await clock.sleep(10)
    assert not erasing.done()
    back = update(delivery).values(state="pending", due_at=begin + timedelta(hours=1))
    await database.write(lambda c: c.execute(back))
    done = await erasing
    assert (done.links, done.skipped, done.texts, done.on_the_wire) == (1, 1, 1, 0)
    assert await database.read(lambda c: outbox.find_outgoing(c, 1)) is None

    await database.write(lambda c: c.execute(update(delivery).values(state="sending", content=PLANTED)))
    left = await _erase_threads(context, threads)
    assert (left.texts, left.on_the_wire) == (0, 1)
    assert clock.now() - begin >= timedelta(seconds=WIRE_SECONDS)
    await database.close()
