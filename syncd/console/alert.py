"""`syncd alert`: whether alerts reach somebody."""

import socket
from typing import TYPE_CHECKING

import typer

from syncd.console.context import invocation_of, quiet_log
from syncd.console.output import say
from syncd.model.errors import UsageError

if TYPE_CHECKING:  # aiohttp takes a third of a second, which a help text does not need
    from syncd.console.alert_ways import Sent

app = typer.Typer(
    help="Try whether alerts reach somebody.", add_completion=False, rich_markup_mode=None, no_args_is_help=True
)


@app.callback()
def group() -> None:
    """Try whether alerts reach somebody."""


@app.command("test")
def test(ctx: typer.Context) -> None:
    """Send a trial alert by every way of [alerts], and say what came of each. Exit code 1 if one failed."""
    quiet_log()
    came = _send(ctx)
    for one in came:
        say(f"{one.way}: {one.failure or 'taken'}")
    if any(one.failure is not None for one in came):
        raise typer.Exit(1)


def _send(ctx: typer.Context) -> "list[Sent]":
    import asyncio  # noqa: PLC0415 - see above

    from syncd.console.alert_ways import send  # noqa: PLC0415 - see above
    from syncd.model.alert import AlertKind  # noqa: PLC0415
    from syncd.service.alerts import single  # noqa: PLC0415

    invocation = invocation_of(ctx)
    settings = invocation.load_settings().alerts
    if not settings.is_configured:
        raise UsageError("nobody is told of anything: set command or webhook in [alerts], then try again")
    text = "sends this to try whether alerts arrive; nothing is wrong"
    said = single(socket.gethostname(), invocation.clock.now(), AlertKind.TEST, text)
    return asyncio.run(send(settings, said))
