"""How systems and apis are spread over workers: evenly, without needless moves, and to those that know them."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.lease import Claim, Kind, Member, Muster, Subject
from syncd.service.spread import Moves, next_moves, spread

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def apis(*names: str) -> frozenset[Subject]:
    """Return apis by their names."""
    return frozenset(Subject(Kind.API, name) for name in names)


def systems(*names: str) -> frozenset[Subject]:
    """Return systems by their names."""
    return frozenset(Subject(Kind.SYSTEM, name) for name in names)


def workers(**wants: frozenset[Subject]) -> tuple[Member, ...]:
    """Return workers that are alive, with what they are configured for."""
    return tuple(Member(name, wanted, NOON, NOON) for name, wanted in wants.items())


def claim(subject: Subject, owner: str | None, *, is_over: bool = False) -> Claim:
    """Return a lease as it stands."""
    return Claim(subject, owner, 1, NOON, is_over or owner is None)


def shares(owner_of: dict[Subject, str], kind: Kind) -> dict[str, int]:
    """Return how many of a kind each worker has."""
    counts: dict[str, int] = {}
    for subject, owner in owner_of.items():
        if subject.kind is kind:
            counts[owner] = counts.get(owner, 0) + 1
    return counts


ALL = apis(*(f"studio-{number}" for number in range(7))) | systems("desk", "mail", "phone", "shop")


def test_what_is_free_is_spread_evenly():
    """Three workers and nothing owned: of each kind nobody has two more than another, and everything is owned."""
    owner_of = spread(workers(a=ALL, b=ALL, c=ALL), {})
    assert owner_of.keys() == ALL
    for kind in Kind:
        counts = shares(owner_of, kind).values()
        assert max(counts) - min(counts) <= 1


def test_one_of_each_goes_to_two_workers():
    """With one system and one api both workers have something to do."""
    owner_of = spread(workers(a=apis("x") | systems("desk"), b=apis("x") | systems("desk")), {})
    assert set(owner_of.values()) == {"a", "b"}


def test_all_reckon_the_same_and_no_subject_falls_to_two():
    """From one muster each worker takes a part of its own, and together they take everything."""
    muster = Muster(NOON, workers(a=ALL, b=ALL, c=ALL))
    taken = [subject for me in "abc" for subject in next_moves(me, muster, patient=False).take]
    assert sorted(taken) == sorted(ALL)


def test_what_is_owned_stays_where_it_is():
    """With even shares nothing moves, and a worker that has one more than another keeps it."""
    members = workers(a=ALL, b=ALL)
    owner_of = spread(members, {})
    muster = Muster(NOON, members, tuple(claim(subject, owner) for subject, owner in owner_of.items()))
    assert next_moves("a", muster, patient=False) == next_moves("b", muster, patient=False) == Moves()


def test_a_new_worker_is_handed_its_share_and_takes_nothing_that_is_owned():
    """Two workers that own everything hand over as much as makes three even shares, and no more."""
    owner_of = spread(workers(a=ALL, b=ALL), {})
    members = workers(a=ALL, b=ALL, c=ALL)
    muster = Muster(NOON, members, tuple(claim(subject, owner) for subject, owner in owner_of.items()))
    moves = {me: next_moves(me, muster, patient=False) for me in "abc"}
    assert moves["c"] == Moves()
    handed_over = [*moves["a"].hand_over, *moves["b"].hand_over]
    after = {subject: owner for subject, owner in owner_of.items() if subject not in handed_over}
    given_back = tuple(claim(subject, after.get(subject)) for subject in owner_of)
    taken = next_moves("c", Muster(NOON, members, given_back), patient=False).take
    assert sorted(taken) == sorted(handed_over)
    assert next_moves("a", Muster(NOON, members, given_back), patient=False).take == ()
    assert (len([s for s in taken if s.kind is Kind.API]), len([s for s in taken if s.kind is Kind.SYSTEM])) == (2, 1)


def test_a_worker_takes_only_what_it_has_configured():
    """While settings differ, what one worker alone knows is its own, whatever else it has."""
    members = workers(old=apis("x", "y"), new=apis("x", "y", "z"))
    owner_of = spread(members, {})
    assert owner_of[Subject(Kind.API, "z")] == "new"
    lopsided = workers(old=frozenset(), new=apis("x", "y", "z"))
    assert set(spread(lopsided, {}).values()) == {"new"}
    muster = Muster(NOON, lopsided, tuple(claim(subject, "new") for subject in apis("x", "y", "z")))
    assert next_moves("new", muster, patient=False).hand_over == ()


@pytest.mark.parametrize("patient", [True, False])
def test_a_lease_that_ran_out_is_taken_once_one_may_judge(patient):
    """What a dead worker left falls to the living; one that was out of touch itself waits before it takes that."""
    dead = claim(Subject(Kind.API, "x"), "dead", is_over=True)
    given_back = claim(Subject(Kind.API, "y"), None)
    muster = Muster(NOON, workers(a=apis("x", "y")), (dead, given_back))
    taken = next_moves("a", muster, patient=patient).take
    assert [subject.name for subject in taken] == (["y"] if patient else ["x", "y"])


LEASE = 30.0


def joined(**seconds_ago: float) -> tuple[Member, ...]:
    """Return workers that want everything and came so many seconds ago."""
    return tuple(Member(name, ALL, NOON - timedelta(seconds=ago), NOON) for name, ago in seconds_ago.items())


def moves_of(muster: Muster) -> dict[str, Moves]:
    """Return what each worker does next, a lease being LEASE seconds."""
    return {one.name: next_moves(one.name, muster, patient=False, seconds=LEASE) for one in muster.members}


def test_who_has_just_come_is_handed_nothing_for_a_lease():
    """What falls free meanwhile goes to one that has been there; after a lease the new one is handed its even share."""
    claims = tuple(claim(subject, "old") for subject in ALL)
    assert moves_of(Muster(NOON, joined(old=99, new=29.9), claims)) == {"old": Moves(), "new": Moves()}
    moves = moves_of(Muster(NOON, joined(old=99, new=30), claims))
    assert moves["new"] == Moves()
    handed_over = moves["old"].hand_over
    assert (len([s for s in handed_over if s.kind is Kind.API]), len(handed_over)) == (3, 5)
    free = moves_of(Muster(NOON, joined(old=99, new=29.9)))
    assert free == {"old": Moves(take=tuple(sorted(ALL))), "new": Moves()}


def test_one_that_dies_again_and_again_is_given_nothing():
    """Each time it is a new worker, and never there for long enough; a sound one takes what the last one left."""
    left = tuple(claim(subject, "crashing-1", is_over=True) for subject in ALL)
    moves = moves_of(Muster(NOON, joined(sound=3600, **{"crashing-2": 5}), left))
    assert moves == {"sound": Moves(take=tuple(sorted(ALL))), "crashing-2": Moves()}


def test_where_all_have_just_come_they_share_at_once():
    """At the first start nobody has been there for a lease: everything is taken, evenly, and nothing waits."""
    moves = moves_of(Muster(NOON, joined(a=2, b=1)))
    assert sorted(moves["a"].take + moves["b"].take) == sorted(ALL)
    assert sorted(len(one.take) for one in moves.values()) == [5, 6]


def test_who_has_just_come_keeps_what_it_has():
    """It was there first, with another that has been there for a lease by now: neither hands over or takes."""
    claims = tuple(claim(subject, "new" if subject.kind is Kind.API else "old") for subject in ALL)
    assert moves_of(Muster(NOON, joined(old=30, new=29), claims)) == {"old": Moves(), "new": Moves()}


def test_what_a_command_owns_is_left_alone():
    """A lease of somebody who is no worker, such as `syncd poll`, is neither taken nor counted."""
    desk = Subject(Kind.SYSTEM, "desk")
    muster = Muster(NOON, workers(a=frozenset({desk})), (claim(desk, "command"),))
    assert next_moves("a", muster, patient=False) == Moves()


def test_three_hundred_apis_are_spread_in_no_time():
    """A fourth worker that joins three with 300 apis is handed 75 of them."""
    many = apis(*(f"studio-{number:03d}" for number in range(300)))
    owner_of = spread(workers(a=many, b=many, c=many), {})
    assert shares(spread(workers(a=many, b=many, c=many, d=many), owner_of), Kind.API) == dict.fromkeys("abcd", 75)
