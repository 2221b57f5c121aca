"""The control API's deliveries: finding them, and deciding about what waits for a person."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from syncd.console.deliveries_edit import edited, get_delivery
from syncd.console.delivery_page import delivery_values, in_full_values
from syncd.console.evidence_page import read_evidence
from syncd.console.web.control_answers import DeliveriesTold, DeliveryInFullTold, DeliveryTold
from syncd.console.web.control_links import configured
from syncd.console.web.control_models import Because, DeliveryQuery, Edit, Resolve
from syncd.console.web.control_route import Answer, Call, Route
from syncd.store import standing
from syncd.store.database import Connection
from syncd.store.delivery_pages import DeliveryPage, DeliverySearch, find_page
from syncd.store.link_search import MOST_FOUND, LinkSearch, search_links
from syncd.store.standing import Decision


async def find(call: Call) -> Answer:
    """Find deliveries, newest first."""
    query: DeliveryQuery = call.query
    known = configured(call)

    def read(connection: Connection) -> DeliveryPage:
        link_ids = None
        if query.ticket is not None:
            of_ticket = LinkSearch(ticket=query.ticket, system=query.system, api=query.api)
            found = search_links(connection, of_ticket, known, before=None, limit=MOST_FOUND)
            link_ids = [link.id for link in found]
        search = DeliverySearch(query.state, query.api, query.system, link_ids)
        return find_page(connection, search, query.after, query.limit)

    page = await call.context.database.read(read)
    return Answer({"deliveries": [delivery_values(item) for item in page.items], "next": page.next_before})


async def show(call: Call) -> Answer:
    """Show a delivery in full: its contents, its attempts, the evidence about it."""
    context = call.context
    found = await get_delivery(context, call.id)
    settings = context.settings.api.get(found.item.api)
    zone = context.zone if settings is None else settings.policy(found.item.api, context.zone).zone
    evidence = await context.database.read(lambda c: read_evidence(c, found, zone))
    return Answer(in_full_values(found, evidence, context.zone))


async def resolve(call: Call) -> Answer:
    """Decide a delivery in doubt."""
    body: Resolve = call.body
    return await _decide(call, body.reason, lambda c, by: standing.resolve(c, call.id, body.resolution, by))


async def decide(decision: Callable[[Connection, int, Decision], None], call: Call) -> Answer:
    """Make a decision that needs a reason alone."""
    body: Because = call.body
    return await _decide(call, body.reason, lambda c, by: decision(c, call.id, by))


async def edit(call: Call) -> Answer:
    """Replace the text of a parked or waiting delivery, and queue it."""
    body: Edit = call.body
    found = await get_delivery(call.context, call.id)
    message = edited(found, body.subject, body.content, body.direction)
    return await _decide(call, body.reason, lambda c, by: standing.edit(c, call.id, message, by))


async def _decide(call: Call, reason: str, write: Callable[[Connection, Decision], Any]) -> Answer:
    by = call.context.decision(reason)
    await call.context.database.write(lambda c: write(c, by))
    return Answer(delivery_values((await get_delivery(call.context, call.id)).item))


ROUTES: Sequence[Route] = (
    Route("GET", "/deliveries", "Find deliveries, newest first.", find, {200: DeliveriesTold}, query=DeliveryQuery),
    Route(
        "GET",
        "/deliveries/{id}",
        "Show a delivery in full: its contents, its attempts, the evidence about it.",
        show,
        {200: DeliveryInFullTold},
    ),
    Route(
        "POST",
        "/deliveries/{id}/resolve",
        "Decide a delivery in doubt, once somebody has looked into the thread.",
        resolve,
        {200: DeliveryTold},
        body=Resolve,
        can_conflict=True,
    ),
    Route(
        "POST",
        "/deliveries/{id}/retry",
        "Try a parked or waiting delivery now.",
        partial(decide, standing.retry),
        {200: DeliveryTold},
        body=Because,
        can_conflict=True,
    ),
    Route(
        "POST",
        "/deliveries/{id}/skip",
        "Leave a parked or waiting delivery for good.",
        partial(decide, standing.skip),
        {200: DeliveryTold},
        body=Because,
        can_conflict=True,
    ),
    Route(
        "POST",
        "/deliveries/{id}/edit",
        "Replace the text of a parked or waiting delivery, and queue it.",
        edit,
        {200: DeliveryTold},
        body=Edit,
        can_conflict=True,
    ),
)
