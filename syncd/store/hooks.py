"""Tickets that webhooks were about: their links become due, and the owner of their system is asked to read them now.

The request is the bell alone. What is due is in the links, so whatever becomes of the request, a sweep reads them.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, select

from syncd.store import link_changes, requests
from syncd.store.links import followed
from syncd.store.requests import RequestKind
from syncd.store.statement import chunks
from syncd.store.tables import link, request

MOST_WAITING = 30
"""So many webhooks of a system wait for its owner at most; what comes beyond is due, and a sweep reads it."""


def find_links(connection: Connection, system: str, ids: Collection[str], numbers: Collection[str]) -> list[int]:
    """Return the links to these tickets, named by id or number, that are followed; whoever knows the id should use it.

    There is an index for the ids; for a number all links of the system are looked through.
    """
    found: set[int] = set()
    for column, names in ((link.c.ticket_id, ids), (link.c.ticket_number, numbers)):
        for some in chunks(sorted(names)):
            statement = select(link.c.id).where(link.c.system == system, column.in_(some), followed())
            found |= {int(row.id) for row in connection.execute(statement)}
    return sorted(found)


def make_due(connection: Connection, system: str, link_ids: Collection[int], now: datetime) -> bool:
    """Make links due now and ask for them; say whether that changed anything.

    Those that are asked for already are left alone: however often a webhook comes, they are read once. One that is
    being read at this moment is due again, as what the webhook tells of may be missing from what was read.
    """
    waiting = _waiting(connection, system)
    new = sorted(set(link_ids).difference(*waiting))
    if not new:
        return False
    link_changes.mark_links_due(connection, new, now)
    if len(waiting) < MOST_WAITING:
        requests.ask(connection, RequestKind.HOOK, system, {"links": new}, "webhook", now)
    return True


def take(connection: Connection, system: str) -> list[int]:
    """Take what was asked for, so that what comes from now on asks anew; return the links."""
    asked = [one for one in requests.open_requests(connection, system) if one.kind is RequestKind.HOOK]
    for some in chunks([one.id for one in asked]):
        connection.execute(delete(request).where(request.c.id.in_(some)))
    return sorted({int(link_id) for one in asked for link_id in one.arguments["links"]})


def _waiting(connection: Connection, system: str) -> list[set[int]]:
    asked = requests.open_requests(connection, system)
    return [set(one.arguments["links"]) for one in asked if one.kind is RequestKind.HOOK]
