"""Tells systemd how the service is: the datagrams of sd_notify(3), and the watchdog's interval.

Its own thirty lines, because what there is does not fit: sdnotify is unkept since 2016 and untyped, python-systemd
needs a compiler and libsystemd, and neither knows RELOADING=1. The protocol is a text in one datagram and is
promised to stay (https://systemd.io/PORTABILITY_AND_STABILITY/).
"""

import os
import socket
from collections.abc import Mapping

from syncd.model.clock import Clock

LONGEST_STATUS = 500


class Notifier:
    """A line to the service manager; without $NOTIFY_SOCKET every call does nothing.

    A manager that cannot be reached is no reason to stop: what fails to be sent is lost.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock) -> None:
        self._clock = clock
        address = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL that begins an abstract address; other kinds (vsock:) are not for services.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._enabled = address.startswith(("@", "/"))
        self.watchdog_seconds = _watchdog_seconds(environ)

    def ready(self) -> None:
        """Say that the start is done, or that a reload is."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Show a line in `systemctl status`; it must hold no contents and no secrets."""
        line = "".join(char if char.isprintable() else " " for char in text[:LONGEST_STATUS])
        self._send(f"STATUS={line}")

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it. The instant is what Type=notify-reload asks for."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1_000_000)}")

    def stopping(self) -> None:
        """Say that the service is on its way out."""
        self._send("STOPPING=1")

    def feed_watchdog(self) -> None:
        """Say that the service is alive; to be called at least every `watchdog_seconds` / 2."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for that much more time, from now, for the start or stop that is under way."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _send(self, message: str) -> None:
        if not self._enabled:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(message.encode(), self._address)
        except OSError:
            return


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return the interval in which the watchdog must be fed, or None: there is none, or it is another process's."""
    span, owner = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not span.isdecimal() or int(span) == 0 or (owner and owner != str(os.getpid())):
        return None
    return int(span) / 1_000_000
