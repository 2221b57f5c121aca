"""What `syncd check` finds about the status page, webhooks and alerts. It asks this machine alone."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from syncd.console.findings import Finding, Verdict
from syncd.model.errors import StoreError
from syncd.service.settings import Settings
from syncd.service.settings_models import ConsoleSettings
from syncd.store.lock import find_lock

ANSWER_SECONDS = 2.0
LONGEST_ANSWER = 16_384
QUESTION = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
OURS = b'"alive": true'
"""What a worker says of itself to everybody who asks."""


async def console_findings(settings: Settings) -> list[Finding]:
    """Return whether the status page can be reached where the settings say, and by whom."""
    console = settings.console
    if console.listen is None:
        return []
    findings = [await _address(settings)]
    if console.token is None:
        words = "without console.token this machine alone may read it, and nobody may change anything"
        findings.append(Finding("console", Verdict.GOOD, words))
    if not console.is_local and not console.hosts:
        words = "it answers under its address alone; a proxy that asks for it by a name is refused"
        findings.append(Finding("console", Verdict.WARNING, words, "put the name into console.hosts"))
    return findings


async def _address(settings: Settings) -> Finding:
    console = settings.console
    answer = await _ask(console)
    if answer is not None and OURS in answer:
        return Finding("console", Verdict.GOOD, f"a worker answers at {console.listen}")
    if answer is not None:
        words = f"something else than a worker of ours listens at {console.listen}"
        return Finding("console", Verdict.BAD, words, "end that, or choose another console.listen")
    if (why := _cannot_listen(console)) is not None:
        return Finding("console", Verdict.BAD, f"{console.listen} cannot be listened at: {why}", "mend console.listen")
    if await _worker_runs(settings):
        words = f"a worker runs, and nobody answers at {console.listen}"
        return Finding("console", Verdict.WARNING, words, "it was set after its start: systemctl restart syncd")
    return Finding("console", Verdict.GOOD, f"{console.listen} is free; the worker listens there once it runs")


async def _ask(console: ConsoleSettings) -> bytes | None:
    """Return what is answered where the worker would listen, None if nobody listens."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            if console.socket is not None:
                reader, writer = await asyncio.open_unix_connection(console.socket)
            else:
                host, port = console.address or ("127.0.0.1", 0)
                reader, writer = await asyncio.open_connection(_reachable(host), port)
    except (OSError, TimeoutError):
        return None
    answer = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            writer.write(QUESTION)
            answer = await reader.read(LONGEST_ANSWER)
            while OURS not in answer and len(answer) < LONGEST_ANSWER and (more := await reader.read(LONGEST_ANSWER)):
                answer += more
    writer.close()
    return answer


def _reachable(host: str) -> str:
    """Return an address of this machine for one that stands for all of them."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked, not listened at


def _cannot_listen(console: ConsoleSettings) -> str | None:
    """Return why nobody could listen at an address where nobody does; nothing is listened at meanwhile."""
    if console.socket is not None:
        folder = Path(console.socket).parent
        return None if folder.is_dir() else f"there is no directory {folder} (the service's is made by systemd)"
    host, port = console.address or ("127.0.0.1", 0)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None


async def _worker_runs(settings: Settings) -> bool:
    """Say whether the worker of a SQLite database runs; nothing is made for it. Nobody can say it of other machines."""
    file = settings.database.sqlite_path
    if file is None or not file.with_name(f"{file.resolve().name}.lock").exists():
        return False
    try:
        lock = await find_lock(settings.database.url.get_secret_value())
    except StoreError:
        return False
    if lock is not None:
        await lock.release()
    return lock is None


def webhook_findings(settings: Settings) -> Iterator[Finding]:
    """Yield the systems whose webhooks are expected, and why one cannot arrive."""
    for name, system in settings.systems.items():
        if system.webhook_secret is None:
            continue
        about, place = f"system {name}", f"systems.{name}.webhook_secret"
        if system.adapter_class.described_webhook(system.options) is None:
            words = f"{place} is set, and its adapter takes no webhooks"
            yield Finding(about, Verdict.WARNING, words, "take it out; what is new is polled for")
        elif settings.console.listen is None:
            words = f"{place} is set, and nothing listens for webhooks"
            yield Finding(about, Verdict.WARNING, words, "set console.listen; until then what is new is polled for")
        else:
            yield Finding(about, Verdict.GOOD, f"takes webhooks at /hooks/{name}")


def alert_finding(settings: Settings) -> Finding:
    """Return who is told when something does not go on."""
    alerts = settings.alerts
    if not alerts.is_configured:
        words = "nobody is told when something needs a person"
        return Finding("alerts", Verdict.GOOD, words, "command or webhook in [alerts]; or watch `syncd status`")
    if alerts.command and not os.access(alerts.command[0], os.X_OK):
        words = f"alerts.command cannot be run: {alerts.command[0]} is not there, or not executable for this user"
        return Finding("alerts", Verdict.BAD, words, "mend the path, then syncd alert test")
    ways = [f"by {alerts.command[0]}"] if alerts.command else []
    ways += ["over HTTP (alerts.webhook)"] if alerts.webhook is not None else []
    words = f"a person is told {' and '.join(ways)} after {alerts.after_minutes:g} min"
    return Finding("alerts", Verdict.GOOD, words, "syncd alert test shows whether it arrives")
