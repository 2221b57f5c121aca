"""`syncd sandbox`: the stand-in for the Open API by itself, for trying settings and adapters without a studio."""

import asyncio
import signal
from collections.abc import Callable
from typing import Annotated

import typer

from syncd.console.context import invocation_of
from syncd.console.output import notice, say, shown_lines
from syncd.model.clock import Clock
from syncd.model.errors import SyncdError, UsageError
from syncd.service.settings_checks import check_listen
from syncd.testing.sandbox import Received, Sandbox

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def sandbox(
    ctx: typer.Context,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it listens.")] = "127.0.0.1:8080",
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="K", help="A key that is accepted, each a studio of its own; without any, every key is."),
    ] = None,
    requests_per_minute: Annotated[
        int, typer.Option(min=1, metavar="N", help="Past it, every request of the next minute is denied with 429.")
    ] = 1000,
    show: Annotated[bool, typer.Option("--show", help="Print the contents of communications too.")] = False,
) -> None:
    """Serve a stand-in for the Open API on this machine, as strict as its contract, until stopped.

    Nothing is kept: what was sent to it is gone when it ends.
    """
    clock = invocation_of(ctx).clock
    keys = {one: f"studio-{number}" for number, one in enumerate(key, 1)} if key else None
    asyncio.run(_serve(_address(listen), keys, requests_per_minute, clock, print_contents=show))


def _address(listen: str) -> tuple[str, int]:
    try:
        host, _, port = check_listen(listen).rpartition(":")
    except ValueError as error:
        raise UsageError(f"--listen {error}") from None
    return host.strip("[]"), int(port)


async def _serve(
    address: tuple[str, int],
    keys: dict[str, str] | None,
    requests_per_minute: int,
    clock: Clock,
    *,
    print_contents: bool,
) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    api = Sandbox(
        keys, clock=clock, requests_per_minute=requests_per_minute, on_communication=_printer(contents=print_contents)
    )
    try:
        await api.start(*address)
    except OSError as error:
        raise SyncdError(f"the sandbox cannot listen on {address[0]}:{address[1]}: {error.strerror}") from None
    if address[0] not in LOOPBACK:
        notice("this listens beyond this machine, without TLS; it is for invented messages alone")
    try:
        say(f"The sandbox listens on {api.base_url}. To send to it:")
        for line in ("", "[api.sandbox]", f'base_url = "{api.base_url}"', f'api_key = "{_any_key(keys)}"', ""):
            say(line)
        _flush()
        await stopped.wait()
    finally:
        await api.stop()
    say(f"{len(api.communications)} communications were added.")


def _any_key(keys: dict[str, str] | None) -> str:
    return next(iter(keys)) if keys else "any-key"


def _flush() -> None:
    # Whoever reads along through a pipe sees each line when it happens.
    print(end="", flush=True)


def _printer(*, contents: bool) -> Callable[[Received], None]:
    def print_line(received: Received) -> None:
        body = received.body
        say(
            f"{received.received_at.astimezone():%H:%M:%S}  {received.studio}  customer {received.customer_id}  "
            f"thread {received.thread_id}  communication {received.communication_id}  "
            f"{body['communicationThreadStatus']}  {body['communicationDirection']}  {body['communicationChannel']}  "
            f"{len(body['content'])} characters"
        )
        if contents:
            for name, value in body.items():
                for line in shown_lines(value):
                    say(f"    {name}: {line}")
        _flush()

    return print_line
