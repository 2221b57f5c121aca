"""What an explanation is made of: the answer, what stands in the way, and the words for both. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from shlex import quote
from typing import Any
from zoneinfo import ZoneInfo

from syncd.model.health import PauseCause, SystemState
from syncd.model.lease import Muster
from syncd.model.policy import ApiPolicy, SystemPolicy

STUCK_AFTER = timedelta(minutes=15)
"""What fails and is tried again by itself counts as stuck when it has failed for so long."""

START = "systemctl start syncd"
NO_WORKER = "no worker runs"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a delivery or a link stands where it stands.

    `facts` are names with values, instants among them; `commands` can be pasted as they are. `needs_person`:
    something waits for a person or is stuck.
    """

    about: str
    sentence: str
    facts: tuple[tuple[str, Any], ...]
    commands: tuple[str, ...]
    needs_person: bool


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known beside the database.

    - `apis`, `systems`: the configured ones. `zone`: in which instants are told.
    - `lock_held`: whether the one worker of a SQLite database runs; None on PostgreSQL, whose workers are in it.
    - `is_restored`: the database is behind what was sent. `because`: what the evidence about deliveries says, by id.
    """

    zone: ZoneInfo
    apis: Mapping[str, ApiPolicy]
    systems: Mapping[str, SystemPolicy]
    lock_held: bool | None = None
    is_restored: bool = False
    because: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hindrance:
    """One thing that stands in the way, in words that go on from `not delivered:`, and what would help."""

    words: str
    commands: tuple[str, ...] = ()
    needs_person: bool = True


def explanation(
    about: str, begin: str, found: Iterable[Hindrance], facts: Iterable[tuple[str, Any]]
) -> Explanation | None:
    """Return what the first hindrance says, the others among the facts; None if there is none."""
    hindrances = list(found)
    if not hindrances:
        return None
    also = [("also", one.words) for one in hindrances[1:]]
    commands = dict.fromkeys(command for one in hindrances for command in one.commands)
    return Explanation(
        about,
        f"{begin}{hindrances[0].words}",
        (*also, *present(facts)),
        tuple(commands),
        any(one.needs_person for one in hindrances),
    )


def present(facts: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Return the facts that there is something to say of."""
    return tuple((name, value) for name, value in facts if value not in {None, ""})


def command(*words: object) -> str:
    """Return a command of syncd that a shell takes as it is, whatever a vendor calls a ticket."""
    return " ".join(["syncd", *(quote(str(word)) for word in words)])


def teller(now: datetime, zone: ZoneInfo) -> Callable[[datetime], str]:
    """Return how instants are said: those of today by their hour, others with their day."""
    today = now.astimezone(zone).date()

    def tell(instant: datetime) -> str:
        local = instant.astimezone(zone)
        return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")

    return tell


def no_worker(given: Circumstances, muster: Muster, subject: str) -> Hindrance | None:
    """Return the hindrance that nobody works, or that no worker owns a subject such as `api:berlin`."""
    runs = bool(muster.members) if given.lock_held is None else given.lock_held
    if not runs:
        return Hindrance(NO_WORKER, (START, "systemctl status syncd"))
    if given.lock_held is None and not any(
        str(claim.subject) == subject and claim.owner is not None and not claim.is_over for claim in muster.claims
    ):
        kind, _, name = subject.partition(":")
        return Hindrance(f"no worker owns {kind} {name}", (command("status"), command("check")))
    return None


def restored(given: Circumstances) -> Hindrance | None:
    """Return the hindrance that the database is behind what was sent."""
    if not given.is_restored:
        return None
    words = "the database was restored from a backup, and nothing leaves before that is declared"
    return Hindrance(words, (command("db", "restored", "--reason", "restored from a backup"),))


def unread(given: Circumstances, state: SystemState, now: datetime) -> Hindrance | None:
    """Return why a ticketing system is not read now; None if nothing is known to be wrong with it."""
    name, tell = state.system, teller(now, given.zone)
    since = f" since {tell(state.since_at)}" if state.since_at is not None else ""
    if name not in given.systems:
        return Hindrance(f"system {name} is not in the settings: put [systems.{name}] back", (command("check"),))
    if state.paused_by is not None:
        by = "by a person" if state.paused_by == "person" else "by syncd"
        return Hindrance(
            f"system {name} is paused {by}{since}: {state.reason}",
            (command("check"), command("systems", "resume", name)),
        )
    if state.failures:
        stuck = state.since_at is None or now - state.since_at >= STUCK_AFTER
        again = f"; tried again at {tell(state.retry_at)}" if state.retry_at is not None else ""
        return Hindrance(
            f"system {name} fails{since}: {state.reason}{again}",
            (command("check"), command("poll", "--system", name)),
            stuck,
        )
    return None


PAUSES = {
    PauseCause.KEY: "its key is refused",
    PauseCause.NOT_THE_API: "something else than the Open API answers",
    PauseCause.THREADS: "it refuses one thread after the other",
    PauseCause.PERSON: "by a person",
    PauseCause.RESTORED: "the database was restored from a backup",
}
"""Why an api is paused, in words that follow `paused:`."""
