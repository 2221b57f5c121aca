"""The control API's requests: polls and backfills that are asked for here and carried out by the systems' owners."""

from collections.abc import Sequence
from typing import Any

from syncd.console.backfill import choose_tickets
from syncd.console.backfill_request import open_again
from syncd.console.poll import choose_systems
from syncd.console.web.control_answers import RequestsTold, RequestTold
from syncd.console.web.control_models import Backfill, Because, Poll, instant_of
from syncd.console.web.control_route import Answer, Call, Route
from syncd.console.worker import refuse_paused
from syncd.model.errors import Missing, UsageError
from syncd.store import requests
from syncd.store.database import Connection
from syncd.store.requests import Request, RequestKind
from syncd.sync.backfill import Wanted


def request_values(request: Request) -> dict[str, Any]:
    """Return a request as JSON has it."""
    names = ("id", "kind", "system", "arguments", "state", "progress", "result", "who", "requested_at")
    return {name: getattr(request, name) for name in names}


async def get_request(call: Call, request_id: int) -> Request:
    """Return a request.

    Raises:
        Missing: there is none of that id.
    """
    found = await call.context.database.read(lambda c: requests.find(c, request_id))
    if found is None:
        raise Missing(f"there is no request {request_id}")
    return found


async def poll(call: Call) -> Answer:
    """Have systems or a ticket read now."""
    body: Poll = call.body
    arguments = {"tickets": [body.ticket]} if body.ticket is not None else {}
    names, left_out = await _systems(call, body.system, list(arguments.get("tickets", [])))
    return await _ask(call, RequestKind.POLL, dict.fromkeys(names, arguments), left_out)


async def backfill(call: Call) -> Answer:
    """Have what is older than the links collected, behind live replies."""
    body: Backfill = call.body
    since, until = (None if text is None else instant_of(text) for text in (body.since, body.until))
    if since is not None and until is not None and since > until:
        raise UsageError("since is after until, so there is nothing between them")
    wanted = Wanted(since=since, until=until, first_message=body.first_message)
    names, left_out = await _systems(call, body.system, body.tickets)
    asked = {}
    for name in names:
        mine = await choose_tickets(call.context, name, wanted, body.tickets)
        asked[name] = mine.as_arguments() | ({"dry_run": True} if body.dry_run else {})
        await open_again(call.context, name, asked[name])
    return await _ask(call, RequestKind.BACKFILL, asked, left_out)


async def _systems(call: Call, given: str | None, tickets: list[str]) -> tuple[list[str], dict[str, str]]:
    if given is not None:
        call.context.get_system(given)
        await refuse_paused(call.context, given)
    return await choose_systems(call.context, given, tickets)


async def _ask(call: Call, kind: RequestKind, asked: dict[str, Any], left_out: dict[str, str]) -> Answer:
    """Leave a request for each system; the same one that waits already is joined."""
    now, who = call.context.clock.now(), call.context.who

    def write(connection: Connection) -> list[int]:
        return [requests.ask(connection, kind, name, arguments, who, now) for name, arguments in asked.items()]

    ids = await call.context.database.write(write)
    for name in asked:
        call.web.poke(name)
    values = [request_values(await get_request(call, one)) for one in ids]
    return Answer({"requests": values, "left_out": left_out}, 202)


async def show(call: Call) -> Answer:
    """Show how far a request has come."""
    return Answer(request_values(await get_request(call, call.id)))


async def stop(call: Call) -> Answer:
    """Stop a backfill for good; what it has queued stays, and is sent."""
    body: Because = call.body
    await get_request(call, call.id)
    by = call.context.decision(body.reason)
    await call.context.database.write(lambda c: requests.stop(c, call.id, by))
    return Answer(request_values(await get_request(call, call.id)))


ROUTES: Sequence[Route] = (
    Route(
        "POST",
        "/polls",
        "Have a system or a ticket read now, instead of when it is due.",
        poll,
        {202: RequestsTold},
        body=Poll,
        can_conflict=True,
    ),
    Route(
        "POST",
        "/backfills",
        "Have what is older than the links collected, and sent behind live replies.",
        backfill,
        {202: RequestsTold},
        body=Backfill,
        can_conflict=True,
    ),
    Route("GET", "/requests/{id}", "Show how far a poll or a backfill has come.", show, {200: RequestTold}),
    Route(
        "POST",
        "/requests/{id}/stop",
        "Stop a backfill for good; what it has queued stays, and is sent.",
        stop,
        {200: RequestTold},
        body=Because,
        can_conflict=True,
    ),
)
