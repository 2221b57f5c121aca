"""The control API's links: registering one right after its thread was made, finding, removing and resuming them."""

from collections.abc import Sequence
from typing import Any

from syncd.console import link_actions
from syncd.console.link_page import link_values
from syncd.console.web.control_answers import LinksTold, LinkTold, RemovedTold, RequestTold
from syncd.console.web.control_models import LinkQuery, RegisterLink, ResumeLink
from syncd.console.web.control_requests import get_request, request_values
from syncd.console.web.control_route import Answer, Call, Route
from syncd.model.communication import Thread
from syncd.model.link import Link, NewLink
from syncd.model.ticket import TicketRef
from syncd.store.database import Connection
from syncd.store.delivery_pages import count_of_links
from syncd.store.link_search import Configured, LinkSearch, search_links


async def register(call: Call) -> Answer:
    """Tie a ticket to a thread. The same again changes nothing."""
    body: RegisterLink = call.body
    from_at, _ = link_actions.parse_from(body.begin, call.context.clock.now(), call.context.zone)
    ref = TicketRef(number=body.ticket_number, link=body.ticket_link)
    new = NewLink(Thread(body.api, body.customer_id, body.thread_id), body.system, ref, from_at)
    link, is_new = await link_actions.register_link(call.context, new)
    if is_new:
        call.web.poke(body.system)
    return Answer(await _told(call, link.id), 201 if is_new else 200)


async def find(call: Call) -> Answer:
    """Find links, newest first."""
    query: LinkQuery = call.query
    search = LinkSearch(
        ticket=query.ticket,
        customer=query.customer_id,
        thread=query.thread_id,
        api=query.api,
        system=query.system,
        state=query.state,
    )
    known = configured(call)

    def read(connection: Connection) -> tuple[list[Link], dict[int, dict[str, int]]]:
        found = search_links(connection, search, known, before=query.after, limit=query.limit + 1)
        return found, count_of_links(connection, [link.id for link in found[: query.limit]])

    found, counts = await call.context.database.read(read)
    page = found[: query.limit]
    following = page[-1].id if len(found) > len(page) else None
    return Answer({"links": [_values(link, counts) for link in page], "next": following})


def configured(call: Call) -> Configured:
    """Return the names in the settings, which a search for links goes through."""
    settings = call.context.settings
    return Configured(tuple(settings.api), tuple(settings.systems))


async def show(call: Call) -> Answer:
    """Show a link."""
    return Answer(await _told(call, call.id))


async def remove(call: Call) -> Answer:
    """End a link; what still waits to be sent for it is skipped. Again it changes nothing."""
    skipped = await link_actions.remove_link(call.context, call.id, "removed")
    return Answer({"link": await _told(call, call.id), "skipped": skipped or 0})


async def resume(call: Call) -> Answer:
    """Follow a suspended link again, or have it follow the ticket that its own was merged into (202: is asked for)."""
    body: ResumeLink = call.body
    link = await link_actions.get_link(call.context, call.id)
    if not body.follow:
        await link_actions.resume_link(call.context, call.id, body.reason)
        call.web.poke(link.system)
        return Answer(await _told(call, call.id))
    request_id = await link_actions.ask_to_follow(call.context, call.id, body.reason)
    call.web.poke(link.system)
    return Answer(request_values(await get_request(call, request_id)), 202)


async def _told(call: Call, link_id: int) -> dict[str, Any]:
    link = await link_actions.get_link(call.context, link_id)
    return _values(link, await call.context.database.read(lambda c: count_of_links(c, [link_id])))


def _values(link: Link, counts: dict[int, dict[str, int]]) -> dict[str, Any]:
    return link_values(link) | {"deliveries": counts[link.id]}


ROUTES: Sequence[Route] = (
    Route(
        "PUT",
        "/links",
        "Register a link, right after its thread was made. The same again changes nothing.",
        register,
        {201: LinkTold, 200: LinkTold},
        body=RegisterLink,
        can_conflict=True,
    ),
    Route("GET", "/links", "Find links, newest first.", find, {200: LinksTold}, query=LinkQuery),
    Route("GET", "/links/{id}", "Show a link.", show, {200: LinkTold}),
    Route(
        "DELETE",
        "/links/{id}",
        "End a link; what still waits to be sent for it is skipped.",
        remove,
        {200: RemovedTold},
    ),
    Route(
        "POST",
        "/links/{id}/resume",
        "Follow a suspended link again; with `follow`, the ticket that its own was merged into (202).",
        resume,
        {200: LinkTold, 202: RequestTold},
        body=ResumeLink,
        can_conflict=True,
    ),
)
