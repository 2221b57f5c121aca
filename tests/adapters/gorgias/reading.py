"""Short ways to read an account of Gorgias."""

from datetime import timedelta


async def read(pages):
    """Return all of an asynchronous iterator."""
    return [page async for page in pages]


def ids_on(pages):
    """Return the tickets that pages name, as numbers."""
    return {int(ticket_id) for page in pages for ticket_id in page.ticket_ids}


def replies_in(pages):
    """Return all replies of pages by their ids, as numbers."""
    return {int(reply.id): reply for page in pages for replies in page.replies.values() for reply in replies}


def left_to_read(pages):
    """Return the tickets that pages name without holding their replies, as numbers."""
    return {int(ticket_id) for page in pages for ticket_id in page.ticket_ids if ticket_id not in page.replies}


def ago(clock, seconds):
    """Return the instant so many seconds before now."""
    return clock.now() - timedelta(seconds=seconds)


async def collect(adapter, *ticket_ids):
    """Read tickets as the core does: their states, then the replies of each; return the replies of all."""
    states = await adapter.tickets([str(ticket_id) for ticket_id in ticket_ids])
    return [reply for state in states for reply in await read(adapter.replies(state, None))]


async def follow(adapter, start):
    """Read the feed to its end; return its pages and the cursor to go on from."""
    pages = await read(adapter.changes(start))
    return pages, pages[-1].cursor
