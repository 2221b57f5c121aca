"""Telling systemd, with a real socket in the place of its own."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.model.clock import SystemClock
from syncd.service.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Return the socket of a service manager, bound to a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(5)
        yield bound


def notifier_to(manager: socket.socket, **environ: str) -> Notifier:
    """Return a notifier that reaches the manager."""
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), **environ}, SystemClock())


def test_each_state_is_one_datagram(manager: socket.socket):
    """READY, STATUS, STOPPING, WATCHDOG and more time arrive as sd_notify(3) writes them."""
    notifier = notifier_to(manager)
    notifier.ready()
    notifier.status("2 systems, 300 apis")
    notifier.feed_watchdog()
    notifier.extend_timeout(1.5)
    notifier.stopping()
    assert [manager.recv(4096) for _ in range(5)] == [
        b"READY=1",
        b"STATUS=2 systems, 300 apis",
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=1500000",
        b"STOPPING=1",
    ]


def test_a_reload_tells_its_monotonic_instant(manager: socket.socket):
    """RELOADING=1 comes with the monotonic time in microseconds, by which systemd knows which reload is meant."""
    before = SystemClock().monotonic()
    notifier_to(manager).reloading()
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert (
        before * 1_000_000 - 1 <= int(second.removeprefix("MONOTONIC_USEC=")) <= SystemClock().monotonic() * 1_000_000
    )


def test_a_status_cannot_smuggle_a_state(manager: socket.socket):
    """A line break in a status would begin another assignment; it becomes a blank."""
    notifier_to(manager).status("good\nSTOPPING=1")
    assert manager.recv(4096) == b"STATUS=good STOPPING=1"


def test_an_abstract_socket_is_reached():
    """An address that begins with @ is one without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0syncd-test-{os.getpid()}")
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@syncd-test-{os.getpid()}"}, SystemClock()).ready()
        assert manager.recv(4096) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]):
    """Started by hand, every call is quiet."""
    Notifier(environ, SystemClock()).ready()


def test_a_manager_that_is_gone_does_not_fail_the_work(tmp_path: Path):
    """A socket that nobody reads, or that is not there, is no reason to stop."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}, SystemClock()).ready()


def test_a_manager_that_does_not_read_does_not_block(manager: socket.socket):
    """With the socket's buffer full, datagrams are lost instead of stopping the event loop."""
    notifier = notifier_to(manager)
    for _ in range(5000):
        notifier.feed_watchdog()
    assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_it_says_so(environ: dict[str, str], seconds: float | None):
    """The interval counts when it is for this process, or for no process by name."""
    assert Notifier(environ, SystemClock()).watchdog_seconds == seconds
