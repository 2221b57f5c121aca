"""Who works on a PostgreSQL, and who owns what there; SQLite has one worker, which no row tells of."""

from typing import Any

from syncd.console.output import Shown, say
from syncd.model.lease import Claim, Kind
from syncd.store import leases
from syncd.store.database import Connection

COMMAND = "a command"
"""Who owns something without being a worker: `syncd poll` and its like, while no worker is there."""


def read_workers(connection: Connection) -> list[dict[str, Any]]:
    """Return the workers that are alive, each with what it owns; also who owns something and is none."""
    muster = leases.muster(connection)
    held = [claim for claim in muster.claims if not claim.is_over]
    since = {member.name: member.since_at for member in muster.members}
    names = sorted({*since, *(claim.owner for claim in held if claim.owner is not None)})
    return [
        {
            "name": name,
            "since_at": since.get(name),
            "systems": _owned(held, name, Kind.SYSTEM),
            "apis": _owned(held, name, Kind.API),
        }
        for name in names
    ]


def _owned(held: list[Claim], name: str, kind: Kind) -> list[str]:
    return [claim.subject.name for claim in held if claim.owner == name and claim.subject.kind is kind]


def show_workers(workers: list[dict[str, Any]], shown: Shown) -> None:
    """Show a line for each worker; nothing where there is none to tell of."""
    if not workers:
        return
    rows = [
        (one["name"], one["since_at"] or COMMAND, ", ".join(one["systems"]) or "-", ", ".join(one["apis"]) or "-")
        for one in workers
    ]
    say()
    shown.table(("worker", "since", "systems", "apis"), rows)
