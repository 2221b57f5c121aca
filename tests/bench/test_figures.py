"""How the benchmarks judge what they measured: ratios, targets, and what has become worse. Nothing is measured here."""

import pytest

from bench import __main__ as command
from bench.figures import Better, Figure, table
from bench.measure import Cost, alternate, ratio


def figure(value: float, better: Better = Better.MORE, **more) -> Figure:
    """Return a figure with this value."""
    return Figure("speed", value, "times", "the floor", better=better, **more)


@pytest.mark.parametrize(
    ("better", "value", "is_reached"),
    [(Better.MORE, 0.5, True), (Better.MORE, 0.49, False), (Better.LESS, 0.5, True), (Better.LESS, 0.51, False)],
)
def test_a_target_is_reached_from_its_own_side(better, value, is_reached) -> None:
    """At the target it is reached; past it on the worse side it is not, and the table says so."""
    one = figure(value, better, target=0.5)
    assert one.is_reached is is_reached
    assert ("NOT REACHED" in table([one])) is not is_reached


def test_without_a_target_nothing_is_judged() -> None:
    """A figure that is only told is neither reached nor missed."""
    assert figure(1).is_reached is None


@pytest.mark.parametrize(("better", "worse", "as_good"), [(Better.MORE, 0.7, 0.8), (Better.LESS, 1.3, 1.2)])
def test_worse_is_what_leaves_the_tolerance(better, worse, as_good) -> None:
    """A quarter of a ratio is noise; a count has none."""
    assert figure(worse, better).is_worse_than(1)
    assert not figure(as_good, better).is_worse_than(1)
    assert figure(12, Better.LESS, tolerance=0).is_worse_than(11)


def test_a_ratio_is_made_round_by_round() -> None:
    """A round in which the machine was twice as slow for both changes nothing."""
    found = ratio([2, 8, 3], [1, 4, 2])
    assert (found.value, found.low, found.high) == (2, 1.5, 2)


async def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    """Each runs once a round, in turned order; the warm-up is left out."""
    ran: list[str] = []

    def contender(name: str, costs: list[float]):
        async def run() -> Cost:
            ran.append(name)
            return Cost(costs.pop(0), 0)

        return run

    costs = await alternate({"a": contender("a", [9, 1, 2]), "b": contender("b", [8, 3, 4])}, rounds=2)
    assert ran == ["b", "a", "a", "b", "b", "a"]
    assert {name: [cost.wall_seconds for cost in each] for name, each in costs.items()} == {"a": [1, 2], "b": [3, 4]}


def test_a_run_is_held_to_what_is_kept(monkeypatch, tmp_path) -> None:
    """What has become worse is named with both values, and so is what was never kept."""
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept.json")
    command.keep([figure(0.5), Figure("requests", 11, "", better=Better.LESS, tolerance=0)])
    assert command.regressions([figure(0.4), Figure("requests", 11, "", better=Better.LESS, tolerance=0)]) == []
    (worse,) = command.regressions([figure(0.3)])
    assert "speed: 0.3, and 0.5 is kept" in worse
    (unknown,) = command.regressions([Figure("other", 1, "")])
    assert "other: nothing is kept" in unknown


def test_every_group_can_be_run() -> None:
    """Each group that the command knows is a module with the function that it calls."""
    for name in command.GROUPS:
        module = __import__(f"bench.{name}", fromlist=["run"])
        assert callable(module.run)
