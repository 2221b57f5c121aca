"""`syncd apis`: pausing, resuming and releasing."""

from datetime import UTC, datetime, timedelta

from syncd.model.clock import SystemClock
from syncd.model.health import PauseCause
from syncd.store import health

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


def states(syncd):
    """Return the state of each api by name."""
    return {api["name"]: api["state"] for api in syncd("apis", "list", "--json").json}


def test_every_api_is_listed_with_its_state_and_what_waits(syncd_on_both):
    """Sending, held and paused are told apart; open work of an api without settings is shown too."""
    syncd = syncd_on_both
    syncd.deliver(syncd.link(500), "r1")
    syncd.deliver(syncd.link(501, api="gone"), "r2")
    apis = {api["name"]: api for api in syncd("apis", "list", "--json").json}
    assert {name: (api["state"], api["pending"]) for name, api in apis.items()} == {
        "berlin": ("sending", 1),
        "gone": ("not configured", 1),
        "hamburg": ("held", 0),
    }
    assert "not configured" in syncd("apis", "list").out


def test_a_paused_api_waits_until_it_is_resumed(syncd_on_both):
    """Pause keeps who and why; resume ends it; resuming twice is harmless."""
    syncd = syncd_on_both
    assert syncd("apis", "pause", "berlin", "--reason", "maintenance").code == 0
    api = syncd.stored(lambda c: health.get_api(c, "berlin"))
    assert (api.paused_cause, "maintenance" in api.reason) == (PauseCause.PERSON, True)
    assert states(syncd)["berlin"] == "paused"
    assert syncd("apis", "resume", "berlin").out == "berlin is sent to again\n"
    assert syncd("apis", "resume", "berlin").out == "berlin was not paused\n"
    assert states(syncd)["berlin"] == "sending"


def test_a_held_api_is_released_once(syncd):
    """`release` is for mode hold alone."""
    assert syncd("apis", "release", "hamburg").out == "hamburg is released\n"
    assert syncd("apis", "release", "hamburg").out == "hamburg was released before\n"
    assert states(syncd)["hamburg"] == "sending"
    assert syncd("apis", "release", "berlin").out == "berlin is not held: its mode is send\n"


def test_an_unknown_name_is_refused_with_the_nearest(syncd):
    """Every command about an api knows the settings."""
    for command in (("pause", "--reason", "x"), ("resume",), ("release",)):
        ran = syncd("apis", *command, "berlim")
        assert (ran.code, "did you mean berlin?" in ran.err) == (2, True)


def test_a_restored_database_is_not_resumed_by_hand(syncd):
    """What waits because of a restored backup is neither resumed nor hidden behind a pause."""
    syncd.stored(lambda c: health.pause_api(c, "berlin", PauseCause.RESTORED, "restored", NOW))
    for command in (("resume", "berlin"), ("pause", "berlin", "--reason", "x")):
        ran = syncd("apis", *command)
        assert (ran.code, "syncd db restored" in ran.err) == (2, True)
    assert syncd.stored(lambda c: health.get_api(c, "berlin")).paused_cause is PauseCause.RESTORED


def test_a_throttled_api_is_said_to_be(syncd):
    """Until the minute after a 429 has passed."""
    now = SystemClock().now()
    syncd.stored(lambda c: health.throttle_api(c, "berlin", now + timedelta(minutes=1)))
    assert states(syncd)["berlin"] == "throttled"
    syncd.stored(lambda c: health.throttle_api(c, "berlin", now - timedelta(minutes=1)))
    assert states(syncd)["berlin"] == "sending"
