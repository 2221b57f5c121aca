"""What is told when: decided from states and instants alone."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.alert import Alert, AlertKind, Condition, News
from syncd.model.health import ApiState, PauseCause, SystemState
from syncd.service.alerts_decide import View, find_conditions, message, step, taken
from syncd.service.settings import Settings
from syncd.store.gauges import Standing

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=3)
REPEAT = timedelta(hours=24)
MINUTE = timedelta(minutes=1)
QUIET = Standing({}, 0, 0, 0)


@pytest.fixture
def settings(load) -> Settings:
    """Return settings with one system, polled each two minutes, and two apis, of which one is held."""
    return load(
        """
        [api.berlin]
        base_url = "https://api.test"
        api_key = "fake"
        [api.hamburg]
        base_url = "https://api.test"
        api_key = "fake"
        mode = "hold"
        [systems.support]
        adapter = "desk"
        poll_seconds = 120
        options = {base_url = "https://desk.test", client_id = "us", client_secret = "a secret of the desk"}
        """
    )


def kinds(settings: Settings, now: datetime = NOW, started_at: datetime = LONG_AGO, **view) -> dict[str, AlertKind]:
    """Return what would be told at once of a view in which everything else is well."""
    systems = {"support": SystemState("support", last_success_at=now)} | view.pop("systems", {})
    apis = view.pop("apis", {})
    standing = Standing(**{"waiting": {}, "in_doubt": 0, "parked": 0, "suspended": 0} | view)
    found = find_conditions(View(systems, apis, standing), settings, now, started_at)
    _, claimed = step({}, found, now, REPEAT)
    return {one.subject: AlertKind(one.kind) for one in claimed}


def read_before(minutes: float) -> dict[str, SystemState]:
    """Return a system that was read so long ago."""
    return {"support": SystemState("support", last_success_at=NOW - minutes * MINUTE)}


def test_a_system_is_silent_after_so_many_of_its_intervals(settings) -> None:
    """Five intervals of two minutes are ten minutes, and not one less."""
    assert kinds(settings, systems=read_before(9.9)) == {}
    assert kinds(settings, systems=read_before(10)) == {"system support": AlertKind.SYSTEM_SILENT}


def test_a_restart_gives_a_system_the_time_to_be_read(settings) -> None:
    """After a weekend off nothing is told before the intervals have passed in which it could have been read."""
    assert kinds(settings, started_at=NOW - 9 * MINUTE, systems=read_before(3000)) == {}
    assert kinds(settings, started_at=NOW - 10 * MINUTE, systems=read_before(3000)) == {
        "system support": AlertKind.SYSTEM_SILENT
    }


@pytest.mark.parametrize("cause", [cause for cause in PauseCause if cause is not PauseCause.PERSON])
def test_an_api_that_syncd_has_paused_is_told_at_once(settings, cause) -> None:
    """Each cause but a person's is told without any wait."""
    paused = ApiState("berlin", paused_cause=cause, since_at=NOW)
    assert kinds(settings, apis={"berlin": paused}) == {"api berlin": AlertKind.API_PAUSED}


def test_a_pause_by_a_person_is_told_when_it_may_have_been_forgotten(settings) -> None:
    """Whoever has paused something knows that; a day later it is told."""
    for age, told in ((23, {}), (24, {"api berlin": AlertKind.API_PAUSED, "system support": AlertKind.SYSTEM_PAUSED})):
        since = NOW - timedelta(hours=age)
        api = ApiState("berlin", paused_cause=PauseCause.PERSON, since_at=since)
        system = SystemState("support", paused_by="person", since_at=since)
        assert kinds(settings, apis={"berlin": api}, systems={"support": system}) == told


def test_a_system_that_syncd_has_paused_is_told_at_once(settings) -> None:
    """Refused credentials are one alert, not a second one for the silence that follows."""
    paused = SystemState("support", paused_by="syncd", since_at=NOW, last_success_at=LONG_AGO)
    assert kinds(settings, systems={"support": paused}) == {"system support": AlertKind.SYSTEM_PAUSED}


def test_what_needs_a_person_is_told_when_it_has_stood_for_a_while(settings) -> None:
    """The first look begins the time; fifteen minutes later the number is told."""
    found = find_conditions(View({}, {}, Standing({}, 1, 2, 3)), settings, NOW, NOW)
    people = [one for one in found if one.kind in {AlertKind.IN_DOUBT, AlertKind.PARKED, AlertKind.SUSPENDED}]
    stood, claimed = step({}, people, NOW, REPEAT)
    assert claimed == []
    _, claimed = step(stood, people, NOW + 15 * MINUTE - timedelta(seconds=1), REPEAT)
    assert claimed == []
    _, claimed = step(stood, people, NOW + 15 * MINUTE, REPEAT)
    assert {one.subject: one.number for one in claimed} == {
        "deliveries in doubt": 1,
        "parked deliveries": 2,
        "suspended links": 3,
    }


def stalled(settings: Settings, now: datetime, last_success_at: datetime | None) -> list[Condition]:
    """Return what is not well while something waits at both apis."""
    waiting = Standing({"berlin": now, "hamburg": now}, 0, 0, 0)
    apis = {"berlin": ApiState("berlin", last_success_at=last_success_at)}
    systems = {"support": SystemState("support", last_success_at=now)}
    return find_conditions(View(systems, apis, waiting), settings, now, LONG_AGO)


def test_an_api_is_stalled_when_work_waits_and_nothing_is_delivered(settings) -> None:
    """It counts from when work began to wait, however long ago the last delivery was; a held api is not meant."""
    stood, claimed = step({}, stalled(settings, NOW, LONG_AGO), NOW, REPEAT)
    assert (list(stood), claimed) == (["api berlin"], [])
    later = NOW + 15 * MINUTE
    _, claimed = step(stood, stalled(settings, later, NOW + MINUTE), later, REPEAT)
    assert claimed == []  # one was delivered meanwhile
    _, claimed = step(stood, stalled(settings, later, LONG_AGO), later, REPEAT)
    assert [one.kind for one in claimed] == [AlertKind.API_STALLED]


def test_retries_do_not_hide_that_nothing_is_delivered(settings) -> None:
    """Each retry puts what is due a few minutes ahead; that something waits counts, not when it is due next."""
    ahead = Standing({"berlin": NOW + 5 * MINUTE}, 0, 0, 0)
    apis = {"berlin": ApiState("berlin", last_success_at=LONG_AGO)}
    systems = {"support": SystemState("support", last_success_at=NOW)}
    (found,) = find_conditions(View(systems, apis, ahead), settings, NOW, LONG_AGO)
    assert found.kind is AlertKind.API_STALLED


ONE = Condition("api berlin", AlertKind.API_PAUSED, "is paused", timedelta())


def told(at: datetime = NOW) -> dict[str, Alert]:
    """Return an alert that was told."""
    stood, claimed = step({}, [ONE], at, REPEAT)
    return taken(stood, claimed, at)


def test_it_is_told_once_until_it_is_over() -> None:
    """While it stands nothing more is told; when it is over that is told, once, and then nothing is left."""
    stood, claimed = step(told(), [ONE], NOW + timedelta(hours=1), REPEAT)
    assert claimed == []
    stood, claimed = step(stood, [], NOW + timedelta(hours=2), REPEAT)
    assert [one.news for one in claimed] == [News.CLEARED]
    stood, again = step(stood, [], NOW + timedelta(hours=2), REPEAT)
    assert again == []
    assert taken(stood, claimed, NOW + timedelta(hours=2)) == {}


def test_what_still_stands_is_told_again() -> None:
    """After `repeat_hours`, and not before."""
    assert step(told(), [ONE], NOW + REPEAT - MINUTE, REPEAT)[1] == []
    assert [one.news for one in step(told(), [ONE], NOW + REPEAT, REPEAT)[1]] == [News.FIRING]


def test_ten_times_as_many_are_told_again() -> None:
    """A number that grows tenfold is news by itself."""
    few, more, many = (
        Condition("parked deliveries", AlertKind.PARKED, "wait", timedelta(), number=n) for n in (2, 19, 20)
    )
    stood, claimed = step({}, [few], NOW, REPEAT)
    stood = taken(stood, claimed, NOW)
    assert step(stood, [more], NOW, REPEAT)[1] == []
    assert [one.number for one in step(stood, [many], NOW, REPEAT)[1]] == [20]


def test_what_nobody_took_is_sent_again_later_and_later() -> None:
    """After one minute, then 5, then 15, then each hour: whoever claimed it may have died of it."""
    stood, claimed = step({}, [ONE], NOW, REPEAT)
    at, waits = NOW, []
    for _ in range(5):
        due_at = stood["api berlin"].due_at
        waits.append((due_at - at) / MINUTE)
        assert step(stood, [ONE], due_at - timedelta(seconds=1), REPEAT)[1] == []
        stood, claimed = step(stood, [ONE], due_at, REPEAT)
        assert len(claimed) == 1
        at = due_at
    assert waits == [1, 5, 15, 60, 60]


def test_what_was_over_before_anybody_was_told_is_told_to_nobody() -> None:
    """Neither the alert nor an all-clear."""
    waiting = Condition("parked deliveries", AlertKind.PARKED, "wait", 15 * MINUTE)
    stood, _ = step({}, [waiting], NOW, REPEAT)
    assert step(stood, [], NOW + MINUTE, REPEAT) == ({}, [])


def test_what_was_over_while_it_was_told_is_cleared() -> None:
    """An alert that was taken after its end is followed by an all-clear."""
    stood, claimed = step({}, [ONE], NOW, REPEAT)
    stood, none = step(stood, [], NOW, REPEAT)
    assert (stood, none) == ({}, [])
    stood = taken(stood, claimed, NOW)
    assert [one.news for one in step(stood, [], NOW, REPEAT)[1]] == [News.CLEARED]


def test_what_returns_before_its_all_clear_was_told_is_not_cleared() -> None:
    """Who was told that it stands is told nothing, for it stands."""
    stood, _ = step(told(), [], NOW, REPEAT)
    stood, claimed = step(stood, [ONE], NOW + MINUTE, REPEAT)
    assert claimed == []
    assert step(stood, [ONE], NOW + 10 * MINUTE, REPEAT)[1] == []


def test_what_returns_while_its_all_clear_is_on_its_way_is_told_again() -> None:
    """Who has just been told that it is over has to hear that it is not."""
    stood, clear = step(told(), [], NOW, REPEAT)
    stood, claimed = step(stood, [ONE], NOW + MINUTE, REPEAT)
    assert claimed == []
    stood = taken(stood, clear, NOW + MINUTE)
    assert [one.news for one in step(stood, [ONE], NOW + MINUTE, REPEAT)[1]] == [News.FIRING]


STALLED = Condition("api berlin", AlertKind.API_STALLED, "took none", 15 * MINUTE, not_before=LONG_AGO)


def test_a_pause_that_follows_a_silence_is_told_at_once_and_once() -> None:
    """What needs a person is not hidden by what was told before it, and taking turns with that is not news."""
    stood = told_of(STALLED)
    for minutes, condition, kinds_told in ((20, ONE, ["api_paused"]), (21, STALLED, []), (22, ONE, [])):
        now = NOW + minutes * MINUTE
        stood, claimed = step(stood, [condition], now, REPEAT)
        assert [one.kind for one in claimed] == kinds_told
        stood = taken(stood, claimed, now)


def test_a_pause_that_comes_while_a_silence_is_told_is_told_too() -> None:
    """Taking the one message does not count for the other."""
    stood, _ = step({}, [STALLED], NOW, REPEAT)
    stood, claimed = step(stood, [STALLED], NOW + 15 * MINUTE, REPEAT)
    stood, none = step(stood, [ONE], NOW + 15 * MINUTE, REPEAT)
    assert none == []
    stood = taken(stood, claimed, NOW + 15 * MINUTE)
    assert [one.kind for one in step(stood, [ONE], NOW + 16 * MINUTE, REPEAT)[1]] == ["api_paused"]


def told_of(condition: Condition) -> dict[str, Alert]:
    """Return the alert of a condition that has lasted long enough to be told."""
    stood, _ = step({}, [condition], NOW, REPEAT)
    stood, claimed = step(stood, [condition], NOW + condition.after, REPEAT)
    return taken(stood, claimed, NOW + condition.after)


def test_a_clock_that_was_a_year_ahead_holds_nothing_up(settings) -> None:
    """Instants that lie ahead say nothing: what stands is told, repeated and tried again as if they were now."""
    ahead = NOW + timedelta(days=365)
    parked = Condition("parked deliveries", AlertKind.PARKED, "wait", 15 * MINUTE)
    stood, _ = step({}, [parked], ahead, REPEAT)
    stood, _ = step(stood, [parked], NOW, REPEAT)
    stood, claimed = step(stood, [parked], NOW + 15 * MINUTE, REPEAT)
    assert len(claimed) == 1
    stood, _ = step(stood, [parked], NOW + 16 * MINUTE, REPEAT)
    stood, _ = step(taken(stood, claimed, ahead), [parked], NOW, REPEAT)
    assert len(step(stood, [parked], NOW + REPEAT, REPEAT)[1]) == 1
    since_then = ApiState("berlin", paused_cause=PauseCause.KEY, since_at=ahead)
    assert kinds(settings, apis={"berlin": since_then}) == {"api berlin": AlertKind.API_PAUSED}
    read_then = {"support": SystemState("support", last_success_at=ahead)}
    (silent,) = find_conditions(View(read_then, {}, QUIET), settings, NOW, LONG_AGO)
    assert silent.kind is AlertKind.SYSTEM_SILENT


def test_the_message_is_for_people_and_programs() -> None:
    """`text` says it all in lines; each alert has its fields."""
    _, claimed = step({}, [ONE], NOW, REPEAT)
    said = message(claimed, NOW, "host-1")
    assert said["text"] == "syncd on host-1:\n- api berlin is paused (since 2026-05-01 12:00 UTC)"
    assert said["alerts"] == [
        {
            "subject": "api berlin",
            "kind": "api_paused",
            "state": "firing",
            "since": "2026-05-01T12:00:00+00:00",
            "number": 1,
            "text": "is paused",
        }
    ]
