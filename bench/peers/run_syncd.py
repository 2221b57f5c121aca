"""syncd over the same account: `python -m bench.peers.run_syncd ADDRESS FOLDER lifted|shipped HOW`.

`swept` is what the daemon does: the exports are read, each reply is mapped, and stored in an outbox on disk, the cursor
in the same transaction. `mapped` reads and maps, and stores nothing; `read` makes values of the records alone, as
the others do. `prepare` makes the database, with a link for each ticket. The last line of stderr tells the CPU
seconds until its imports were done and the database was open.
"""

import asyncio
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from pydantic import SecretStr
from sqlalchemy import Connection, func, select, update

from adapters.zendesk import Zendesk, ZendeskConfig
from bench.peers.account import BEGAN, TICKETS
from syncd.model.clock import SystemClock
from syncd.model.communication import Thread, ThreadStatus
from syncd.model.delivery import Lane
from syncd.model.link import NewLink
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Ticket, TicketRef
from syncd.service.log import configure_log
from syncd.sources.http import VendorHttp
from syncd.store import link_changes, links, replies
from syncd.store.database import Database, open_database
from syncd.store.schema import ensure_schema
from syncd.store.tables import delivery, link
from syncd.sync import poll
from syncd.sync.collect import System
from syncd.sync.intake import new_delivery

SYSTEM = "desk"
AT = datetime.fromtimestamp(BEGAN, UTC)


async def prepare(folder: Path) -> None:
    """Make a database whose links were all collected before the first of the comments."""
    database = _open(folder)
    await ensure_schema(database, migrate=True)
    await database.write(_add_links)
    await database.close()


def _add_links(connection: Connection) -> None:
    for number in range(1, TICKETS + 1):
        ref = TicketRef(number=str(number))
        added = links.add(connection, NewLink(Thread("berlin", number, number), SYSTEM, ref, AT), AT)
        ticket = Ticket(str(number), str(number), None, "Locker", "open", updated_at=AT)
        link_changes.resolve(connection, added.link_id, ticket, ThreadStatus.ONGOING, AT)
    connection.execute(update(link).values(collected_at=AT, collect_due_at=None))
    replies.start_feed(connection, SYSTEM, AT, AT)


async def main(address: str, folder: str, pace: str, how: str) -> None:
    """Make one sweep, or read alone, and print how many deliveries were made."""
    configure_log("INFO", "json")
    database = _open(Path(folder))
    options = ZendeskConfig(base_url=address, oauth_token=SecretStr("token"))
    connection = Zendesk.connection(options)
    if pace == "lifted":
        connection = replace(connection, requests_per_minute=60_000, budgets={})
    http = VendorHttp(connection, clock=SystemClock())
    # The account is some time old by now, and none of it is to be held as late.
    policy = SystemPolicy(name=SYSTEM, flood_replies=TICKETS * 10)
    system = System(policy, Zendesk(options, http), database, SystemClock(), has_feed=True)
    began = time.process_time()
    made = await _swept(system) if how == "swept" else await _read(system, mapped=how == "mapped")
    print(made)
    await http.close()
    await database.close()
    print(f"\nCPU seconds before: {began}", file=sys.stderr)


async def _swept(system: System) -> int:
    await poll.sweep(system)
    stored: int = await system.database.read(
        lambda c: c.execute(select(func.count()).select_from(delivery)).scalar_one()
    )
    return stored


async def _read(system: System, *, mapped: bool) -> int:
    made, tickets = 0, dict[str, Ticket]()
    async for page in system.adapter.changes(AT):
        tickets |= {ticket.id: ticket for ticket in page.tickets if isinstance(ticket, Ticket)}
        for ticket_id, told in page.replies.items():
            ticket = tickets.get(ticket_id) or Ticket(ticket_id, ticket_id, None, "Locker", "open", updated_at=AT)
            made += len(told)
            for reply in told if mapped else ():
                new_delivery(system.policy, ticket, reply, Lane.LIVE, None)
    return made


def _open(folder: Path) -> Database:
    return open_database(f"sqlite:///{folder}/syncd.db")


if __name__ == "__main__":
    if sys.argv[2] == "prepare":
        asyncio.run(prepare(Path(sys.argv[1])))
    else:
        uvloop.run(main(*sys.argv[1:]))
