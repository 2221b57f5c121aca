"""The tour: one short run through every place where a worker can die or a commit can fail, and every rare turn."""

import pytest

from tests.machine.run import API_FAULTS

POINTS = ("mark", "outcome", "intake", "backfill", "any")
DOUBTFUL = {"hold": "sending -> in_doubt", "resend": "resent by policy", "assume_delivered": "assumed"}


def prepared(begin, **more):
    """Return a run with three threads, whose tickets have something older, and something that waits."""
    run = begin(rate=600, **more)
    for number in range(3):
        run.link_to(number, number * 3, 0)
    run.link_to(0, 2, 3)
    run.work(2)
    run.happen([("burst", 0), ("note", 1), ("close", 2)])
    run.up()
    return run


@pytest.mark.parametrize("dies", [True, False])
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("point", POINTS)
def test_a_commit_that_fails_at_any_point_loses_nothing(begin, point, kept, dies) -> None:
    """Whichever commit is cut, kept or not, whether the worker dies over it or lives on: the books add up."""
    run = prepared(begin)
    for after in (0, 2):
        run.happen([("burst", after)])
        if point == "backfill":
            run.command("backfill", after)
        (run.crash if dies else run.stumble)(point, after if point != "backfill" else 0, kept=kept, seconds=3)
    run.check()
    run.settle(restarts=kept)
    assert run.reached[f"{'killed' if dies else 'unacknowledged'}: {point} {'kept' if kept else 'lost'}"] >= 1


@pytest.mark.parametrize("in_doubt", sorted(DOUBTFUL))
def test_a_worker_that_dies_at_the_arrival_of_a_request_repeats_nothing(begin, in_doubt) -> None:
    """What was on the wire is dealt with as the policy says, and only `resend` may repeat it, once."""
    run = prepared(begin, in_doubt=in_doubt)
    run.crash("arrival", 1, kept=True, seconds=3)
    run.work(5)
    run.check()
    assert in_doubt == "hold" or {row.api for row in run.rows("in_doubt")} <= {"hamburg"}
    run.settle(restarts=False)
    assert run.reached["killed: arrival"] == 1


@pytest.mark.parametrize("in_doubt", ["hold", "resend"])
def test_each_fault_of_the_api_is_met_and_got_over(begin, in_doubt) -> None:
    """Every fault that the API can be told of, one after the other: the attempts are the requests that it read."""
    run = prepared(begin, in_doubt=in_doubt)
    for fault in sorted(API_FAULTS.keys() - {"403 for all"}):
        run.let_api_fail([fault])
        run.happen([("customer", 0), ("agent", 1), ("customer", 2)])
        for _ in range(10):
            if run.sandbox.planned:
                run.look_after()
                run.command("resume link", 0)
                run.work(70)
        run.check()
    assert run.sandbox.planned == 0
    run.settle(restarts=in_doubt == "hold")
    assert run.reached["429"] >= 1
    assert run.reached["api paused: not_the_api"] >= 2
    assert run.reached["api recovered by itself from key"] >= 1
    assert run.reached["sending -> parked"] >= 2
    assert run.reached["link suspended: thread_refused"] >= 1
    assert run.reached[DOUBTFUL[in_doubt]] >= 1


def test_an_api_that_refuses_every_thread_is_paused_and_recovers_by_itself(begin) -> None:
    """Three threads refused in a row pause the api; one delivery now and then finds out that it is well again."""
    run = prepared(begin)
    run.work(5)
    run.let_api_fail(["403 for all"])
    run.happen([("burst", 0)])
    run.work(20)
    run.jump_to(4)
    run.work(700)
    run.check()
    assert run.reached["api paused: threads"] >= 1
    assert run.reached["api recovered by itself from threads"] >= 1
    run.settle(restarts=True)


def test_what_the_vendor_changes_while_it_waits_is_heeded(begin) -> None:
    """Hidden, deleted, edited, published, merged: what leaves is what the vendor shows."""
    run = prepared(begin, on_edit="correction")
    run.work(5)
    run.command("pause api", 0)
    run.happen([("customer", 0), ("customer", 0), ("customer", 0), ("note", 0)])
    run.work(2)
    run.happen([("hide", 0), ("delete reply", 2), ("edit", 3), ("publish", 0)])
    run.work(2)
    run.command("resume api", 0)
    run.work(10)
    run.happen([("edit", 0), ("merge", 1), ("customer", 2)])
    run.work(10)
    run.check()
    run.settle(restarts=False)
    for name in (
        "skipped: withdrawn: it is internal now",
        "skipped: withdrawn: it is deleted now",
        "correction delivered",
        "note published and sent",
        "merge followed",
    ):
        assert run.reached[name], name


def test_a_person_who_wants_a_copy_gets_one(begin) -> None:
    """The only second copy is the one that a person asked for."""
    run = prepared(begin)
    run.work(5)
    run.let_api_fail(["apply and close"])
    run.happen([("customer", 0)])
    run.work(5)
    run.command("resend", 0)
    run.work(10)
    run.check()
    run.settle(restarts=False)
    assert run.reached["twice, as a person wanted"] == 1
