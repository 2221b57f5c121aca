"""`syncd status`: what is stuck, why, since when, and what to do."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.clock import SystemClock
from syncd.model.delivery import DeliveryState
from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.store import health, link_changes
from syncd.sync.flood import flood_reason

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


def test_an_idle_syncd_needs_nobody(syncd_on_both):
    """Every state is counted, 0 included; nothing waits; the exit code is 0."""
    ran = syncd_on_both("status", "--json")
    assert ran.code == 0
    told = ran.json
    assert told["links"] == {"unresolved": 0, "active": 0, "suspended": 0, "removed": 0}
    assert told["deliveries"] == {state.value: 0 for state in DeliveryState}
    assert told["oldest_pending_seconds"] is None
    assert set(told["systems"]) == {"desk", "other"}
    assert set(told["apis"]) == {"berlin", "hamburg"}
    assert told["needs_person"] == []
    assert syncd_on_both("status").out.endswith("Nothing needs a person.\n")


def test_what_waits_is_counted_and_its_age_told(syncd_on_both):
    """Pending deliveries alone need nobody."""
    syncd = syncd_on_both
    syncd.deliver(syncd.link(), "r1")
    ran = syncd("status", "--json")
    assert ran.code == 0
    assert (ran.json["deliveries"]["pending"], ran.json["links"]["active"]) == (1, 1)
    age = (SystemClock().now() - datetime(2026, 5, 1, 8, tzinfo=UTC)).total_seconds()
    assert age - 60 < ran.json["oldest_pending_seconds"] <= age
    assert "oldest pending" in syncd("status").out


def _doubt(syncd):
    syncd.deliver(syncd.link(), "r1", DeliveryState.IN_DOUBT, reason="no answer")


def _park(syncd):
    syncd.deliver(syncd.link(), "r1", DeliveryState.PARKED, reason="too long")


def _suspend(syncd):
    link_id = syncd.link()
    syncd.stored(lambda c: link_changes.suspend(c, link_id, Cause.TICKET_GONE, "ticket HD-1 is gone"))


def _pause_api(syncd):
    syncd.stored(lambda c: health.pause_api(c, "berlin", PauseCause.KEY, "the key is refused", NOW))


def _pause_system(syncd):
    syncd.stored(lambda c: health.pause_system(c, "desk", health.SYNCD, "401", NOW))


def _restore(syncd):
    for api in ("berlin", "hamburg"):
        syncd.stored(lambda c: health.pause_api(c, api, PauseCause.RESTORED, "restored", NOW))  # noqa: B023 - run at once


def _forget_api(syncd):
    syncd.deliver(syncd.link(api="gone"), "r1")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (_doubt, ("1 delivery is in doubt", "delivery 1, ticket HD-1 of desk: no answer", "syncd deliveries resolve")),
        (_park, ("1 delivery is parked", "too long", "syncd deliveries show")),
        (_suspend, ("1 link is suspended", "link 1, ticket HD-1 of desk: ticket HD-1 is gone", "syncd links show")),
        (_pause_api, ("api berlin is paused for ", "the key is refused", "syncd apis resume berlin")),
        (_pause_system, ("system desk is paused for ", "401", "syncd systems resume desk")),
        (_restore, ("restored from a backup (berlin, hamburg wait)", "syncd db restored")),
        (_forget_api, ("api gone has 1 pending and is not in the settings",)),
    ],
)
def test_what_needs_a_person_is_named_with_what_to_do(syncd, trouble, words):
    """The exit code is 1, in JSON too."""
    trouble(syncd)
    ran = syncd("status")
    assert ran.code == 1
    for word in words:
        assert word in ran.out
    as_json = syncd("status", "--json")
    assert (as_json.code, len(as_json.json["needs_person"])) == (1, 1)


def test_a_failing_system_that_is_tried_again_needs_nobody_yet(syncd):
    """It is shown with its reason, and the exit code is 0."""
    soon = SystemClock().now() + timedelta(minutes=1)
    syncd.stored(lambda c: health.note_sweep_failure(c, "desk", "no answer", soon, NOW))
    ran = syncd("status")
    assert (ran.code, "failing" in ran.out, "no answer" in ran.out) == (0, True, True)


def test_a_flood_is_named_with_its_system_and_what_to_do(syncd_on_both):
    """What waits because of a flood of old replies is counted by system, with the commands that decide about it."""
    syncd_on_both.deliver(syncd_on_both.link(), "r1", DeliveryState.PARKED, reason=flood_reason(900))
    ran = syncd_on_both("status", "--json")
    assert ran.code == 1
    (line,) = (line for line in ran.json["needs_person"] if "flood" in line)
    assert line.startswith("1 delivery of these came from desk as a flood of old replies")
    assert "--system desk --because flood" in line
