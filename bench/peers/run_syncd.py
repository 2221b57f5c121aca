"""syncd over the same account: `python -m bench.peers.run_syncd ADDRESS FOLDER lifted|shipped HOW`.

`swept` is what the daemon does: the exports are read, each reply is mapped, and stored in an outbox on disk, the cursor
in the same transaction. `mapped` reads and maps, and stores nothing; `read` makes values of the records alone, as
the others do. `prepare` makes the database, with a link for each ticket. The last line of stderr tells the CPU
seconds until its imports were done and the database was open.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import uvloop
from pydantic import SecretStr
from sqlalchemy import func, select

from adapters.zendesk import Zendesk, ZendeskConfig
from bench.reading import REPLIES, STARTED, TICKETS
from bench.zendesk_desk import TOKEN
from syncd.model.clock import SystemClock
from syncd.model.delivery import Lane
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Ticket
from syncd.service.log import configure_log
from syncd.sources.http import VendorHttp
from syncd.store.database import Database, open_database
from syncd.store.tables import delivery
from syncd.sync import poll
from syncd.sync.collect import System
from syncd.sync.intake import new_delivery

SYSTEM = "desk"


async def main(address: str, folder: str, pace: str, how: str) -> None:
    """Make one sweep, or read alone, and print how many deliveries were made."""
    configure_log("INFO", "json")
    database = _open(Path(folder))
    options = ZendeskConfig(base_url=address, oauth_token=SecretStr(TOKEN))
    connection = Zendesk.connection(options)
    if pace == "lifted":
        connection = replace(connection, requests_per_minute=60_000, budgets={})
    http = VendorHttp(connection, clock=SystemClock())
    # The account is some time old by now, and none of it is to be held as late.
    policy = SystemPolicy(name=SYSTEM, flood_replies=TICKETS * REPLIES)
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
    made, tickets = set[str](), dict[str, Ticket]()
    async for page in system.adapter.changes(STARTED):
        tickets |= {ticket.id: ticket for ticket in page.tickets if isinstance(ticket, Ticket)}
        for ticket_id, told in page.replies.items():
            ticket = tickets.get(ticket_id) or Ticket(ticket_id, ticket_id, None, "Locker", "open", updated_at=STARTED)
            made.update(reply.id for reply in told)  # those of a page's last second come twice
            for reply in told if mapped else ():
                new_delivery(system.policy, ticket, reply, Lane.LIVE, None)
    return len(made)


def _open(folder: Path) -> Database:
    return open_database(f"sqlite:///{folder}/syncd.db")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
