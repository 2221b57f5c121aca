"""Finding links by what people know: a ticket, a customer, a thread, an api, a system, a state; newest first, paged.

First the ids, from indexes alone, then the links. A ticket, a customer or a thread is looked up; what remains of the
question is asked of the few that were found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select

from syncd.model.link import Link, LinkState
from syncd.store import links
from syncd.store.statement import chunks
from syncd.store.tables import link, thread

MOST_FOUND = 1000
"""So many links of one ticket, customer or thread are looked at."""


@dataclass(frozen=True, slots=True)
class LinkSearch:
    """What links are looked for by; None asks for nothing. `ticket` is a number, a web address, or the vendor's id."""

    ticket: str | None = None
    customer: int | None = None
    thread: int | None = None
    api: str | None = None
    system: str | None = None
    state: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Say whether it names something of which there are few."""
        return self.ticket is not None or self.customer is not None or self.thread is not None


@dataclass(frozen=True, slots=True)
class Configured:
    """The names in the settings: indexes begin with them, so a search that names none asks for each."""

    apis: tuple[str, ...]
    systems: tuple[str, ...]


def search_links(
    connection: Connection, search: LinkSearch, configured: Configured, *, before: int | None, limit: int
) -> list[Link]:
    """Return links that were registered before another one (by its id), newest first."""
    if not search.is_narrow:
        ids = _browse(connection, search, configured, before, limit)
    else:
        ids = _narrow(connection, search, configured)
    found = [one for one in links.by_ids(connection, ids) if _fits(one, search) and (before is None or one.id < before)]
    return sorted(found, key=lambda one: -one.id)[:limit]


def _browse(
    connection: Connection, search: LinkSearch, configured: Configured, before: int | None, limit: int
) -> list[int]:
    statement = select(link.c.id).order_by(link.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(link.c.id < before)
    if search.system is not None:
        statement = statement.where(link.c.system == search.system)
    if search.state is not None:
        # Nearly all are active: joined to an empty text the state leads SQLite through the ids, not to a sort of all.
        state = link.c.state + "" if search.state == LinkState.ACTIVE.value else link.c.state
        statement = statement.where(state == search.state)
    # Where there is one api, all links go there.
    if search.api is not None and configured.apis != (search.api,):
        statement = statement.join(thread, thread.c.id == link.c.thread_key).where(thread.c.api == search.api)
    return [row.id for row in connection.execute(statement)]


def _narrow(connection: Connection, search: LinkSearch, configured: Configured) -> list[int]:
    if search.ticket is not None:
        return _of_ticket(connection, search.ticket, configured)
    if search.customer is not None:
        apis = configured.apis if search.api is None else (search.api,)
        wanted = [thread.c.api.in_(apis), thread.c.customer_id == search.customer]
        wanted += [thread.c.thread_id == search.thread] if search.thread is not None else []
    else:
        wanted = [thread.c.thread_id == search.thread]
    newest = select(thread.c.id).where(*wanted).order_by(thread.c.id.desc()).limit(MOST_FOUND)
    keys = [row.id for row in connection.execute(newest)]
    found: list[int] = []
    for some in chunks(keys):
        found += [row.id for row in connection.execute(select(link.c.id).where(link.c.thread_key.in_(some)))]
    return found


def _of_ticket(connection: Connection, ticket: str, configured: Configured) -> list[int]:
    """Return the links to what people call a ticket. Each column has an index; a search for any of them has none."""
    columns: list[ColumnElement[bool]] = [
        link.c.ticket_number == ticket,
        link.c.given_number == ticket,
        link.c.ticket_link == ticket,
        link.c.given_link == ticket,
        link.c.system.in_(configured.systems) & (link.c.ticket_id == ticket),
    ]
    if ticket.startswith("#"):  # how many vendors write a number
        columns += [link.c.ticket_number == ticket[1:], link.c.given_number == ticket[1:]]
    found: set[int] = set()
    for wanted in columns:
        statement = select(link.c.id).where(wanted).order_by(link.c.id.desc()).limit(MOST_FOUND)
        found.update(row.id for row in connection.execute(statement))
    return sorted(found)


def _fits(one: Link, search: LinkSearch) -> bool:
    """Say whether a link is what the rest of a search asks for."""
    pairs: Sequence[tuple[object, object]] = (
        (search.customer, one.thread.customer_id),
        (search.thread, one.thread.thread_id),
        (search.api, one.thread.api),
        (search.system, one.system),
        (search.state, one.state.value),
    )
    return all(wanted is None or wanted == there for wanted, there in pairs)
