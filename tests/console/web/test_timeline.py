"""How long each hop of a delivery took, and what the usual delays of a link are."""

from datetime import UTC, datetime, timedelta

from syncd.console.web import timeline
from syncd.store.timeline import Decided, Passage, Try

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return an instant some seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def passage(
    number: int = 1, *, written: float = 0, taken_in: float = 4, tries: tuple[Try, ...] = (), **more
) -> Passage:
    """Return a reply on its way, by seconds after noon."""
    values = {"state": "delivered", "lane": "0_live", "kind": "reply", "reason": None, "reply_id": str(number)}
    values |= {"direction": None, "flags": None, "ended_at": None, "communication_id": None, "status_carried": None}
    return Passage(
        id=number,
        written_at=at(written),
        taken_in_at=at(taken_in),
        due_at=more.pop("due_at", at(taken_in)),
        tries=tries,
        **(values | more),
    )


def tried(started: float, outcome: str | None = "delivered", ms: int | None = 250) -> Try:
    """Return an attempt that began some seconds after noon."""
    return Try(at(started), "schedule", outcome, None, None, ms)


def hops(one: Passage) -> list[tuple[str, float | None]]:
    """Return the names of a delivery's hops, and how many seconds each took."""
    return [(hop.name, None if hop.took is None else hop.took.total_seconds()) for hop in timeline.hops_of(one)]


def test_each_hop_is_measured_from_the_one_before_it() -> None:
    """Written, taken in, marked as sending, sent at last after a failure, answered: each with its own delay."""
    one = passage(tries=(tried(6, "refused_for_now"), tried(36)))
    assert hops(one) == [
        ("written", None),
        ("taken in", 4),
        ("marked as sending", 2),
        ("sent at last", 30),
        ("answered", 0.25),
    ]
    assert timeline.whole_way(one) == timedelta(seconds=36.25)


def test_a_hop_that_was_not_made_is_not_told() -> None:
    """What was never tried, is on the wire, or got no good answer has no whole way, and no hop that it did not make."""
    assert hops(passage(state="pending")) == [("written", None), ("taken in", 4)]
    on_the_wire = passage(state="sending", tries=(tried(6, None, None),))
    assert hops(on_the_wire)[-1] == ("marked as sending", 2)
    doubtful = passage(state="in_doubt", tries=(tried(6, "in_doubt", 30_000),))
    assert hops(doubtful)[-1] == ("in doubt", 30)
    said_to_be_there = passage(state="delivered", tries=(tried(6, "in_doubt", 30_000),))
    assert [timeline.whole_way(one) for one in (on_the_wire, doubtful, said_to_be_there)] == [None, None, None]


def test_a_vendor_whose_clock_is_ahead_makes_no_negative_delay() -> None:
    """A reply that says to be of the future was taken in at once."""
    assert hops(passage(written=9, taken_in=4))[1] == ("taken in", 0)


def test_delays_are_those_of_what_could_be_taken_in_at_once() -> None:
    """Median and worst are of live replies since the link is there; backfilled and older ones are left out."""
    some = [
        passage(1, written=0, taken_in=2, tries=(tried(3),)),
        passage(2, written=0, taken_in=4, tries=(tried(5),)),
        passage(3, written=0, taken_in=60, tries=(tried(61),)),
        passage(4, written=-9999, taken_in=1, tries=(tried(9),)),
        passage(5, written=0, taken_in=9999, lane="1_backfill", tries=(tried(9999),)),
    ]
    taken_in, sent, answered, whole = timeline.delays_of(some, NOON)
    assert (taken_in.name, taken_in.median, taken_in.worst) == ("taken in", timedelta(seconds=4), timedelta(seconds=60))
    assert (taken_in.worst_id, taken_in.of) == (3, 3)
    assert (sent.median, answered.worst) == (timedelta(seconds=1), timedelta(milliseconds=250))
    assert whole.worst == timedelta(seconds=61.25)


def test_a_waiting_delivery_waits_behind_the_head_of_its_thread_or_for_its_time() -> None:
    """Behind which one it waits, until when, or neither for the first one that is due."""
    one = passage(7, state="pending", due_at=at(90))
    assert timeline.wait_of(one, 5, NOON) == timeline.Wait(behind=5)
    assert timeline.wait_of(one, 7, NOON) == timeline.Wait(until=at(90))
    assert timeline.wait_of(one, 7, at(91)) == timeline.Wait()


def test_decisions_stand_among_the_deliveries_by_their_times() -> None:
    """The newest comes first, whichever of the two it is."""
    decided = Decided(at(5), "ann", "resume", "it is back")
    entries = timeline.merged([passage(2, taken_in=9), passage(1, taken_in=4)], [decided])
    assert [entry.passage.id if entry.passage else entry.decided for entry in entries] == [2, decided, 1]
