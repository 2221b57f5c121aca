"""`syncd systems`: pausing and resuming."""

from datetime import UTC, datetime

from syncd.store import health

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


def states(syncd):
    """Return the state of each system by name."""
    return {system["name"]: system["state"] for system in syncd("systems", "list", "--json").json}


def test_every_system_is_listed_with_its_state(syncd_on_both):
    """Polled, failing, paused and not polled yet are told apart, with the reason."""
    syncd = syncd_on_both
    assert states(syncd) == {"desk": "not polled yet", "other": "not polled yet"}
    syncd.stored(lambda c: health.note_sweep(c, "desk", NOW))
    syncd.stored(lambda c: health.note_sweep_failure(c, "other", "no answer", NOW, NOW))
    assert states(syncd) == {"desk": "polled", "other": "failing"}
    assert "no answer" in syncd("systems", "list").out
    syncd.stored(lambda c: health.pause_system(c, "desk", health.SYNCD, "401", NOW))
    assert states(syncd)["desk"] == "paused"


def test_a_paused_system_waits_until_it_is_resumed(syncd_on_both):
    """Pause keeps who and why; resume ends it; resuming twice is harmless."""
    syncd = syncd_on_both
    assert syncd("systems", "pause", "desk", "--reason", "maintenance").code == 0
    state = syncd.stored(lambda c: health.get_system(c, "desk"))
    assert (state.paused_by, "maintenance" in state.reason) == ("person", True)
    assert syncd("systems", "resume", "desk").out == "desk is polled again\n"
    assert syncd("systems", "resume", "desk").out == "desk was not paused\n"


def test_an_unknown_name_is_refused_with_the_nearest(syncd):
    """Every command about a system knows the settings."""
    for command in (("pause", "--reason", "x"), ("resume",)):
        ran = syncd("systems", *command, "dsk")
        assert (ran.code, "did you mean desk?" in ran.err) == (2, True)
