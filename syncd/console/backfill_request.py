"""Asking for one backfill and watching it: shared by its plan and by the real thing."""

from datetime import timedelta
from typing import Any

from syncd.console.context import CommandContext
from syncd.console.output import counted
from syncd.console.progress import ProgressDisplay
from syncd.console.worker import carry_out
from syncd.store import requests
from syncd.store.requests import Request, RequestKind

GOES_ON_FOR = timedelta(days=7)
"""So long after it was stopped, or failed in parts, the same backfill goes on where it was instead of anew."""


async def carry_out_backfill(
    context: CommandContext,
    name: str,
    arguments: dict[str, Any],
    display: ProgressDisplay,
    title: str,
    begun: list[int],
) -> Request:
    """Ask for a backfill and wait for it; its id is put into `begun` as soon as it is known.

    Raises:
        UsageError: a person has paused the system.
    """

    def show(request: Request) -> None:
        if request.id not in begun:
            begun.append(request.id)
        counts = request.result or request.progress
        if counts:
            replies = counted(counts.get("found", 0), "reply", "replies")
            words = f"{replies}, {counts.get('enqueued', 0)} to send"
            display.show(title, counts.get("links", 0), counts.get("of"), words)

    return await carry_out(context, RequestKind.BACKFILL, name, arguments, show)


async def open_again(context: CommandContext, name: str, arguments: dict[str, Any]) -> bool:
    """Open the same backfill anew if it was stopped or failed not long ago; say whether there was one."""
    since = context.clock.now() - GOES_ON_FOR
    again = (RequestKind.BACKFILL, name, arguments, since)
    return await context.database.write(lambda c: requests.ask_again(c, *again)) is not None
