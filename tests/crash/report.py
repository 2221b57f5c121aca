"""What a run of crashes came to: the numbers that are printed, and that must be what was promised."""

import os
import random
from collections import Counter
from dataclasses import dataclass, field

SEED, KILLS = "SYNCD_CRASH_SEED", "SYNCD_CRASH_KILLS"


def fresh_seed() -> int:
    """Return the seed that was given, or another one each time."""
    return int(os.environ.get(SEED) or random.SystemRandom().randrange(10**9))


def number_of_kills(usual: int) -> int:
    """Return how often to kill: as often as was asked for, or as usual."""
    return int(os.environ.get(KILLS) or usual)


@dataclass
class Report:
    """What was done, and what it came to. `in_flight` is how many requests may be on the wire at once."""

    database: str
    seed: int
    in_flight: int
    kills: int = 0
    before_ready: int = 0
    refused_starts: int = 0
    on_the_wire: list[int] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    attempts: int = 0
    unsent: int = 0
    delivered: int = 0
    in_doubt_arrived: int = 0
    in_doubt_not_arrived: int = 0
    due: int = 0
    withheld: int = 0
    skipped: int = 0
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it for people."""
        hits = sum(1 for number in self.on_the_wire if number)
        most, doubts = max(self.on_the_wire, default=0), self.in_doubt_arrived + self.in_doubt_not_arrived
        names = sorted({*self.ended, *self.killed})
        commands = ", ".join(f"{name} {self.ended[name]} + {self.killed[name]} killed" for name in names)
        return f"""crash report: {self.database}, seed {self.seed} ({SEED}={self.seed} throws the same dice)
  kills     {self.kills} of the worker, {self.before_ready} before it was ready, {hits} with requests on the wire
  commands  {commands}; {self.refused_starts} starts of a worker had to wait for one
  in doubt  {sum(self.on_the_wire)} by {self.kills} kills, {most} at most by one (of {self.in_flight} on the wire)
  requests  {self.requests} read by the API = {self.delivered} delivered + {self.in_doubt_arrived} of {doubts} in doubt
  attempts  {self.attempts} recorded, {self.unsent} of them not sent
  replies   {self.due} due, {self.withheld} internal, {self.skipped} skipped as their link was removed
  lost {len(self.lost)}, twice {len(self.twice)}, leaked {len(self.leaked)}, database faults {len(self.faults)}"""

    def check(self) -> None:
        """Hold it against what was promised."""
        assert (self.lost, self.twice, self.leaked, self.faults) == ((), (), (), ()), self.text()
        assert max(self.on_the_wire, default=0) <= self.in_flight, self.text()
        assert self.requests == self.delivered + self.in_doubt_arrived, self.text()
        assert self.attempts - self.unsent == self.requests + self.in_doubt_not_arrived, self.text()
        # The kills hit what they were meant to hit; how often is up to the dice and the machine.
        assert sum(1 for number in self.on_the_wire if number) >= self.kills // 8, self.text()
        assert sum(self.killed.values()) >= self.kills // 15, self.text()
