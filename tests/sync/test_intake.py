"""What replies mean for a link: the table of decisions, on values alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncd.mapping.mapper import fingerprint
from syncd.model.collected import Disposition, Gap, Known
from syncd.model.communication import Thread
from syncd.model.delivery import DeliveryKind, DeliveryState
from syncd.model.link import Link, LinkState
from syncd.model.policy import OnEdit, SystemPolicy
from syncd.model.ticket import Author, AuthorKind, Body, Reply, Ticket, TicketRef, Visibility
from syncd.sync.intake import Reading, read_for_link

NOON = datetime(2026, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC)
TICKET = Ticket("9", "T9", subject="Locker")
LINK = Link(1, 1, Thread("berlin", 7, 8), "desk", LinkState.ACTIVE, TicketRef("T9"), NOON, NOON, ticket=TICKET)
POLICY = SystemPolicy("desk")


def a_reply(reply_id: str = "r", seconds: float = 60, **more: Any) -> Reply:
    """Return a public reply of a customer, that many seconds after noon."""
    values = {"author": Author(AuthorKind.CUSTOMER), "visibility": Visibility.PUBLIC, "body": Body("hello")} | more
    return Reply(reply_id, created_at=NOON + timedelta(seconds=seconds), **values)


def read(*replies: Reply, link: Link = LINK, known: dict[str, Known] | None = None, **more: Any):
    """Return what a reading of these replies means."""
    policy, gap = more.pop("policy", POLICY), more.pop("gap", None)
    waiting = {key: one for key, one in (known or {}).items() if one.state is DeliveryState.PENDING}
    reading = Reading(TICKET, replies, more.pop("since", None), NOON, **more)
    return read_for_link(link, policy, reading, known or {}, waiting, gap)


def of(reply: Reply, state: DeliveryState, version: int = 3) -> Known:
    """Return what is known of a reply that is a delivery in this state."""
    return Known(Disposition.DELIVERY, 5, state, fingerprint(reply), version, occurred_at=reply.created_at)


INTERNAL = {"visibility": Visibility.INTERNAL}
BY_PROGRAM = {"author": Author(AuthorKind.SYSTEM)}


@pytest.mark.parametrize(
    ("reply", "link", "disposition"),
    [
        (a_reply(), LINK, Disposition.DELIVERY),
        (a_reply(seconds=-60), LINK, Disposition.OLDER),
        (a_reply(seconds=-0.4), LINK, Disposition.DELIVERY),
        (a_reply(seconds=-60), replace(LINK, collected_at=NOON), Disposition.DELIVERY),
        (a_reply(**INTERNAL), LINK, Disposition.WITHHELD),
        (a_reply(seconds=-60, **INTERNAL), LINK, Disposition.WITHHELD),
        (a_reply(**BY_PROGRAM), LINK, Disposition.AUTOMATIC),
        (a_reply(written_on="9"), LINK, Disposition.DELIVERY),
        (a_reply(written_on="4"), LINK, Disposition.MERGED),
        (a_reply(seconds=-60, written_on="4"), replace(LINK, merged_from=("4",)), Disposition.DELIVERY),
    ],
)
def test_a_reply_that_the_ledger_does_not_have(reply, link, disposition) -> None:
    """Visibility first, then whose history it is, then, at the first reading alone, its time."""
    (entry,) = read(reply, link=link).entries
    assert entry.disposition is disposition
    assert (entry.delivery is not None) == (disposition is Disposition.DELIVERY)


def test_automatic_messages_are_sent_where_configured() -> None:
    """With `automatic_messages` what a program wrote is a delivery."""
    (entry,) = read(a_reply(**BY_PROGRAM), policy=replace(POLICY, automatic_messages=True)).entries
    assert entry.disposition is Disposition.DELIVERY


@pytest.mark.parametrize("before", [Disposition.WITHHELD, Disposition.WITHDRAWN])
def test_what_is_published_later_becomes_a_delivery(before) -> None:
    """It takes the place of what was withheld or withdrawn, whatever its time."""
    (entry,) = read(a_reply(seconds=-60), known={"r": Known(before)}).entries
    assert entry.disposition is Disposition.DELIVERY
    assert before in entry.replaces


@pytest.mark.parametrize("before", [Disposition.OLDER, Disposition.AUTOMATIC, Disposition.MERGED])
def test_what_the_ledger_decided_stands(before) -> None:
    """Polling never turns an older, automatic or merged reply into a delivery."""
    assert read(a_reply(), known={"r": Known(before)}).entries == ()


def test_a_waiting_reply_takes_the_newest_text() -> None:
    """An edit while it waits changes the delivery of the version that was read."""
    old, new = a_reply(), a_reply(body=Body("hello again"))
    (change,) = read(new, known={"r": of(old, DeliveryState.PENDING)}).changes
    assert (change.delivery_id, change.version, change.fingerprint) == (5, 3, fingerprint(new))
    assert change.message.content == "hello again"


def test_a_waiting_reply_that_stayed_the_same_is_confirmed() -> None:
    """It counts as read again, and nothing changes."""
    collected = read(a_reply(), known={"r": of(a_reply(), DeliveryState.PENDING)})
    assert (collected.confirmed, collected.changes) == ((5,), ())


def test_a_waiting_reply_that_became_internal_is_withdrawn() -> None:
    """It is skipped, with the reason."""
    (change,) = read(a_reply(**INTERNAL), known={"r": of(a_reply(), DeliveryState.PENDING)}).changes
    assert change.skip_reason == "withdrawn: it is internal now"


@pytest.mark.parametrize(
    ("since", "complete", "withdrawn"),
    [(None, True, True), (NOON, True, True), (NOON + timedelta(hours=1), True, False), (None, False, False)],
)
def test_only_a_reading_that_should_hold_it_proves_a_deletion(since, complete, withdrawn) -> None:
    """Failure is not absence: a page of a feed, or a reading from later on, withdraws nothing."""
    collected = read(
        a_reply("other"), known={"r": of(a_reply(), DeliveryState.PENDING)}, since=since, complete=complete
    )
    assert bool(collected.changes) is withdrawn


@pytest.mark.parametrize(("since", "withdrawn"), [(None, True), (NOON, False)])
def test_a_correction_is_missed_by_a_reading_of_everything_alone(since, withdrawn) -> None:
    """The time of a correction is that of the edit: a reading that begins after its reply says nothing about it."""
    known = {"r": replace(of(a_reply(), DeliveryState.PENDING), is_correction=True)}
    assert bool(read(a_reply("other"), known=known, since=since).changes) is withdrawn


@pytest.mark.parametrize(
    ("on_edit", "state", "corrected"),
    [
        (OnEdit.CORRECTION, DeliveryState.DELIVERED, True),
        (OnEdit.IGNORE, DeliveryState.DELIVERED, False),
        (OnEdit.CORRECTION, DeliveryState.IN_DOUBT, False),
        (OnEdit.CORRECTION, DeliveryState.PARKED, False),
        (OnEdit.CORRECTION, DeliveryState.SENDING, False),
    ],
)
def test_an_edit_after_delivery_is_a_correction_where_configured(on_edit, state, corrected) -> None:
    """Only what was delivered is corrected, once, at the time of its edit."""
    edited = a_reply(body=Body("better"), edited_at=NOON + timedelta(hours=1))
    collected = read(edited, known={"r": of(a_reply(), state)}, policy=replace(POLICY, on_edit=on_edit))
    assert [one.kind for one in collected.corrections] == ([DeliveryKind.CORRECTION] if corrected else [])
    if corrected:
        assert collected.corrections[0].occurred_at == edited.edited_at


def test_replies_of_the_time_that_a_restored_database_does_not_know_are_in_doubt() -> None:
    """They may have been sent; a person decides."""
    gap = Gap(NOON, NOON + timedelta(minutes=5))
    lost, later = read(a_reply("a", 60), a_reply("b", 600), gap=gap).entries
    assert (lost.delivery.state, lost.delivery.reason) == (DeliveryState.IN_DOUBT, "restored")
    assert later.delivery.state is DeliveryState.PENDING


def test_a_correction_of_the_time_that_a_restored_database_does_not_know_is_in_doubt() -> None:
    """The same correction may have been sent before the backup was put back."""
    gap = Gap(NOON, NOON + timedelta(hours=2))
    edited = a_reply(body=Body("better"), edited_at=NOON + timedelta(hours=1))
    known = {"r": of(a_reply(), DeliveryState.DELIVERED)}
    (correction,) = read(edited, known=known, gap=gap, policy=replace(POLICY, on_edit=OnEdit.CORRECTION)).corrections
    assert (correction.state, correction.reason) == (DeliveryState.IN_DOUBT, "restored")


def test_after_a_restore_what_is_older_may_have_been_sent_too() -> None:
    """A link of the lost time, and a note published in it, are in doubt however old; a known link's are as ever."""
    gap = Gap(NOON, NOON + timedelta(minutes=5))
    old = a_reply(seconds=-7200)
    states = {
        "registered since": (replace(LINK, from_at=NOON - timedelta(days=1), registered_at=NOON), {}),
        "published since": (LINK, {"r": Known(Disposition.WITHHELD)}),
        "registered before": (replace(LINK, collected_at=NOON, registered_at=NOON - timedelta(days=9)), {}),
    }
    found = {
        name: read(old, link=link, known=known, gap=gap).entries[0].delivery for name, (link, known) in states.items()
    }
    assert {name: one.state for name, one in found.items()} == {
        "registered since": DeliveryState.IN_DOUBT,
        "published since": DeliveryState.IN_DOUBT,
        "registered before": DeliveryState.PENDING,
    }


def test_a_text_that_a_person_gave_stays() -> None:
    """A reply that could not be mapped, and was given a text by a person, keeps it at the next reading."""
    known = {"r": replace(of(a_reply(), DeliveryState.PENDING), fingerprint=None)}
    collected = read(a_reply(body=Body("whatever")), known=known)
    assert (collected.changes, collected.confirmed) == ((), (5,))


def test_a_reply_of_the_far_future_hides_no_later_one() -> None:
    """The newest reply known is never later than now, as later readings begin shortly before it."""
    assert read(a_reply(seconds=86_400 * 365)).newest_reply_at == NOON
    assert read(a_reply(seconds=-60)).newest_reply_at == NOON - timedelta(seconds=60)


def test_a_reply_told_twice_is_one_entry() -> None:
    """The last telling counts."""
    (entry,) = read(a_reply(body=Body("old")), a_reply(body=Body("new"))).entries
    assert entry.delivery.message.content == "new"


def test_a_reply_that_cannot_be_mapped_is_parked_and_the_others_go_on() -> None:
    """Its id is kept, the reason names the kind of failure and no content, and the page goes on."""
    broken = a_reply("broken", body=Body("secret text", format="no such format"))
    object.__setattr__(broken.body, "text", None)
    parked, good = read(broken, a_reply("good")).entries
    assert parked.delivery.state is DeliveryState.PARKED
    assert parked.delivery.reason.startswith("cannot be mapped: ")
    assert "secret" not in parked.delivery.reason
    assert good.delivery.state is DeliveryState.PENDING


def test_ids_and_names_are_made_fit_for_a_database() -> None:
    """A NUL in an id or a name is replaced before anything is stored."""
    link = replace(LINK, ticket=TICKET)
    reading = Reading(replace(TICKET, subject="a\0b", assignee="c\0d"), [a_reply("x\0y")], None, NOON)
    collected = read_for_link(link, POLICY, reading, {}, {})
    assert "\0" not in collected.entries[0].reply_id + collected.ticket.subject + collected.ticket.assignee
