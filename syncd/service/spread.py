"""How systems and apis are spread over the workers that are alive: who should own what. Pure.

Every worker reckons the same from the same muster, and does its own part of it: it takes what is free and falls to
it, and hands over what falls to another. What is owned stays where it is unless that makes the shares uneven.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from syncd.model.lease import Kind, Member, Muster, Subject

UNEVEN = 2
"""Something moves when one worker has so much more than another that wants it; by one it would only swap places."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What a worker does next: leases to take, and leases to hand over."""

    take: tuple[Subject, ...] = ()
    hand_over: tuple[Subject, ...] = ()


def next_moves(me: str, muster: Muster, *, patient: bool, seconds: float = 0.0) -> Moves:
    """Return what a worker takes and hands over.

    Reckoned with are those that have been there for `seconds`, a lease, or all if none has: one that has just come
    may take nothing that ran out, and one that dies again and again would else be given what a sound one could do.

    A patient one takes what was given back alone, and no lease that ran out: it was out of touch itself, so it
    cannot know yet who is dead and who was out of touch as well.
    """
    owners = {claim.subject: claim.owner for claim in muster.claims if not claim.is_over}
    ran_out = {claim.subject for claim in muster.claims if claim.is_over and claim.owner is not None}
    settled = [one for one in muster.members if (muster.at - one.since_at).total_seconds() >= seconds]
    should = spread(settled or muster.members, owners)
    falls_to_me = [subject for subject, name in should.items() if name == me and subject not in owners]
    return Moves(
        take=tuple(sorted(subject for subject in falls_to_me if not (patient and subject in ran_out))),
        hand_over=tuple(sorted(s for s, owner in owners.items() if owner == me and should.get(s, me) != me)),
    )


def spread(members: Iterable[Member], owners: Mapping[Subject, str | None]) -> dict[Subject, str]:
    """Return who should own what: what is free goes to who has least, then the shares are made even."""
    shares = _Shares({member.name: member for member in members}, owners)
    for subject in sorted(shares.wanted() - owners.keys()):
        shares.give(subject, shares.least_loaded(subject))
    for kind in Kind:
        while (move := shares.find_move(kind)) is not None:
            shares.give(*move)
    return shares.owner_of


class _Shares:
    """Who has what while it is being reckoned; an owner that is not alive, such as a command, keeps what it has."""

    def __init__(self, members: dict[str, Member], owners: Mapping[Subject, str | None]) -> None:
        self._members = members
        self.owner_of = {subject: owner for subject, owner in owners.items() if owner is not None}
        self._has: dict[str, set[Subject]] = {name: set() for name in members}
        self._counts: Counter[tuple[str, Kind]] = Counter()
        for subject, owner in self.owner_of.items():
            if owner in self._has:
                self._has[owner].add(subject)
                self._counts[owner, subject.kind] += 1

    def wanted(self) -> set[Subject]:
        return {subject for member in self._members.values() for subject in member.wants}

    def least_loaded(self, subject: Subject) -> str:
        wanting = (name for name, member in self._members.items() if subject in member.wants)
        return min(wanting, key=lambda name: (self._count(name, subject.kind), len(self._has[name]), name))

    def give(self, subject: Subject, to: str) -> None:
        owner = self.owner_of.get(subject)
        if owner in self._has:
            self._has[owner].discard(subject)
            self._counts[owner, subject.kind] -= 1
        self.owner_of[subject] = to
        self._has[to].add(subject)
        self._counts[to, subject.kind] += 1

    def find_move(self, kind: Kind) -> tuple[Subject, str] | None:
        """Return the first subject of who has most that one with two less of the kind wants, and that one."""
        most_first = sorted(self._has, key=lambda name: (-self._count(name, kind), name))
        return next((move for name in most_first for move in self._moves_from(name, kind)), None)

    def _moves_from(self, name: str, kind: Kind) -> Iterator[tuple[Subject, str]]:
        mine = self._count(name, kind)
        for subject in sorted(one for one in self._has[name] if one.kind is kind):
            others = (one for one, member in self._members.items() if one != name and subject in member.wants)
            least = min(others, key=lambda one: (self._count(one, kind), one), default=None)
            if least is not None and mine - self._count(least, kind) >= UNEVEN:
                yield subject, least

    def _count(self, name: str, kind: Kind) -> int:
        return self._counts[name, kind]
