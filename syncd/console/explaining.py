"""Why a delivery, a link or a ticket does not go on: read in one snapshot, explained elsewhere.

The command, the status page and the control API ask these.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from syncd.console.context import CommandContext
from syncd.console.delivery_evidence import judge
from syncd.console.seat import worker_runs
from syncd.model.errors import Missing, StoreError
from syncd.store import cases
from syncd.store.cases import DeliveryCase, LinkCase
from syncd.store.database import Connection
from syncd.store.high_water import HighWater, Mark, is_behind, mark_path
from syncd.store.link_search import Configured, LinkSearch, search_links
from syncd.store.restored import attempt_counter
from syncd.store.schema import database_id
from syncd.sync.explain import explain
from syncd.sync.explain_link import explain_link as explain_link_case
from syncd.sync.explanation import Circumstances, Explanation

MOST_LINKS = 20
"""So many links of one ticket are explained; nobody reads more."""


async def explain_delivery(context: CommandContext, delivery_id: int) -> Explanation:
    """Return why a delivery is not delivered, or when it was.

    Raises:
        Missing: there is none of that id.
    """
    given, mark = await _circumstances(context)
    now = context.clock.now()

    def read(connection: Connection) -> tuple[DeliveryCase | None, bool]:
        return cases.find_delivery_case(connection, delivery_id, now), _is_restored(connection, mark)

    case, is_restored = await context.database.read(read)
    if case is None:
        raise Missing(f"there is no delivery {delivery_id}; `syncd deliveries list` shows them")
    return _explained(case, replace(given, is_restored=is_restored))


async def explain_link(context: CommandContext, link_id: int) -> Explanation:
    """Return why the replies of a linked ticket are not in its thread.

    Raises:
        Missing: there is no link of that id.
    """
    given, mark = await _circumstances(context)
    now = context.clock.now()

    def read(connection: Connection) -> tuple[LinkCase | None, DeliveryCase | None, bool]:
        case = cases.find_link_case(connection, link_id, now)
        first = None
        if case is not None and case.first is not None:
            first = cases.find_delivery_case(connection, case.first, now)
        return case, first, _is_restored(connection, mark)

    case, first, is_restored = await context.database.read(read)
    if case is None:
        raise Missing(f"there is no link {link_id}; `syncd links list` shows them")
    given = replace(given, is_restored=is_restored)
    return explain_link_case(case, None if first is None else _explained(first, given), given)


async def explain_ticket(context: CommandContext, ticket: str) -> list[Explanation]:
    """Return an explanation for each link of a ticket, the newest first; none if nothing is linked to it.

    `ticket` is its number, its web address, or the vendor's id.
    """
    return [await explain_link(context, link_id) for link_id in await find_links(context, ticket)]


async def find_links(context: CommandContext, ticket: str) -> Sequence[int]:
    """Return the ids of the links of a ticket, the newest first; those that were removed only if there is no other."""
    configured = Configured(tuple(context.settings.api), tuple(context.settings.systems))
    wanted = LinkSearch(ticket=ticket)
    found = await context.database.read(lambda c: search_links(c, wanted, configured, before=None, limit=MOST_LINKS))
    there = [link.id for link in found if link.state != "removed"]
    return there or [link.id for link in found[:1]]


def _explained(case: DeliveryCase, given: Circumstances) -> Explanation:
    seen = (case.delivery, case.front, case.sending, case.standing)
    judged = {one.id: judge(one.full) for one in seen if one is not None}
    because = {number: one.because for number, one in judged.items() if one is not None}
    return explain(case, replace(given, because=because))


async def _circumstances(context: CommandContext) -> tuple[Circumstances, Mark | None]:
    settings = context.settings
    lock_held = await worker_runs(context) if context.database.dialect == "sqlite" else None
    mark = None
    with contextlib.suppress(StoreError):  # one that cannot be read is told by `syncd check`
        # Read before the database, whose counter may only have grown since.
        mark = HighWater(mark_path(settings.state_directory, settings.database.sqlite_path)).read(None)
    given = Circumstances(settings.zone, settings.api_policies(), settings.system_policies(), lock_held)
    return given, mark


def _is_restored(connection: Connection, mark: Mark | None) -> bool:
    return is_behind(mark, database_id(connection), attempt_counter(connection))
