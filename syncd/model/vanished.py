"""A ticket that comes without any of the replies that it had before: when that is believed. Pure.

Failure is not absence: an index that is rebuilt, a permission that was taken away, a broken list of replies all look
like that, and mostly pass within hours. So it takes several readings, a day, and a sign that it is about this ticket
and not about the system. Then the link is suspended and a person is asked; nothing of it is skipped before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

READINGS = 3
"""One reading may hit one bad moment, two the same one; a ticket that fails is read about once an hour."""

AT_LEAST = timedelta(hours=24)
"""A day spans a vendor's nightly work and an operator's morning."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """Readings in a row in which nothing was left of what a link's ticket had; a good one begins the row anew."""

    since_at: datetime
    readings: int

    def __str__(self) -> str:
        """Say it as the reason of a suspended link."""
        since = self.since_at.isoformat(timespec="seconds")
        return f"since {since} its ticket came {self.readings} times without any of the replies that it had before"


@dataclass(frozen=True, slots=True)
class Others:
    """How the other tickets of the system fare: how many vanished too, and whether one was read well since."""

    vanished: int
    is_one_well: bool


def is_for_a_person(seen: Vanished, others: Others, now: datetime) -> bool:
    """Say whether a person has to decide now; until then the ticket is read again and again."""
    if seen.readings < READINGS or now - seen.since_at < AT_LEAST:
        return False
    # Where all tickets come empty the system is at fault, and a thousand links to resume would help nobody.
    return others.vanished == 0 or others.is_one_well
