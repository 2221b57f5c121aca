"""Whose turn it is among the systems that have something to send at one api. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.model.delivery import Lane
from syncd.store.heads import Head


@dataclass(slots=True)
class Turns:
    """Systems take turns: a system with thousands of due heads takes no more of them than one with a single head.

    So a head waits for one other of each system at most, and for those of its own system that were due before it.
    """

    _count: int = 0
    _last: dict[str, int] = field(default_factory=dict)

    def take(self, head: Head) -> None:
        """Remember that a system had its turn."""
        self._count += 1
        self._last[head.system] = self._count

    def order(self, heads: Sequence[Head]) -> list[Head]:
        """Return heads in the order in which they are to start: by lane, and in it by turns.

        Each system's heads stay in their order; whoever had its turn longest ago comes first.
        """
        places: Counter[tuple[Lane, str]] = Counter()
        keys: dict[int, tuple[str, int, int]] = {}
        for head in heads:
            place = places[head.lane, head.system]
            places[head.lane, head.system] += 1
            keys[head.thread_key] = (head.lane.value, place, self._last.get(head.system, 0))
        return sorted(heads, key=lambda head: keys[head.thread_key])
