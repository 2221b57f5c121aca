"""What the random machine has found, each as the shortest run that shows it."""


def test_a_429_is_heeded_by_the_next_life_though_the_first_died_with_its_outcome(begin) -> None:
    """A worker that dies right after it has stored that it was throttled leaves the wait to the next one."""
    run = begin()
    run.link_to(0, 0, 0)
    run.work(2)
    before = run.sandbox.requests
    run.let_api_fail(["throttle"])
    run.happen([("customer", 0)])
    run.crash("outcome", 0, kept=True, seconds=2)
    assert run.reached["killed: outcome kept"] == 1
    run.work(55)
    run.check()
    assert run.sandbox.requests == before + 1
    run.work(10)
    run.settle(restarts=True)
    assert run.sandbox.requests == before + 2
