"""Short ways to read from an adapter, and instants before now."""

from datetime import timedelta


def ago(clock, seconds):
    """Return the instant that many seconds before now."""
    return clock.now() - timedelta(seconds=seconds)


async def replies_of(adapter, issue_id, since=None):
    """Return the replies of an issue, read by itself."""
    (ticket,) = await adapter.tickets([issue_id])
    return [reply async for reply in adapter.replies(ticket, since)]


async def pages_of(adapter, start):
    """Return the pages of the feed from an instant or a cursor on."""
    return [page async for page in adapter.changes(start)]


async def told_by(adapter, start):
    """Return the ids that the feed tells, in order, and its last cursor."""
    pages = await pages_of(adapter, start)
    return [ticket_id for page in pages for ticket_id in page.ticket_ids], pages[-1].cursor
