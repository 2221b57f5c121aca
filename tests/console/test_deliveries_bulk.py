"""`syncd deliveries resolve`, `retry` and `skip` for many at once: a preview, a count, a question, pieces."""

from datetime import timedelta

import pytest

from syncd.console import deliveries_bulk
from syncd.console.context import who
from syncd.model.delivery import DeliveryState
from syncd.store import lists
from syncd.store.chosen import CHOSEN_AT_ONCE
from syncd.store.tables import decision, delivery

from .conftest import REGISTERED_AT

SINCE = ("--since", "2026-05-01T08:00:00+00:00")
REASON = ("--reason", "looked into the threads")


def hours(number: float) -> str:
    """Return an instant some hours after all of them."""
    return (REGISTERED_AT + timedelta(hours=number)).isoformat()


@pytest.fixture
def many(syncd):
    """Return the program with five in doubt in two threads of berlin, one of another system, one parked, one pending.

    Their ids are 1 to 8; the fifth came an hour later.
    """
    links = [syncd.link(), syncd.link(501, number="HD-2"), syncd.link(502, number="HD-3", system="other")]
    syncd.deliver(links[0], "r1", DeliveryState.IN_DOUBT, reason="no answer")
    later = REGISTERED_AT + timedelta(hours=1)

    def copy(connection) -> None:
        row = dict(connection.execute(delivery.select()).one()._mapping)
        for number, link_id, more in (
            (2, 1, {"reason": "restored"}),
            (3, 1, {}),
            (4, 2, {}),
            (5, 2, {"ended_at": later}),
            (6, 3, {"system": "other"}),
            (7, 1, {"state": "parked", "reason": "flood: too many"}),
            (8, 1, {"state": "pending", "ended_at": None}),
        ):
            given = {"id": number, "reply_id": f"r{number}", "link_id": link_id, "thread_key": link_id}
            connection.execute(delivery.insert().values(row | given | more))

    syncd.stored(copy)
    return syncd


def states(syncd) -> dict[int, str]:
    """Return the states by id."""
    return {item.id: item.state for item in syncd.stored(lists.list_deliveries)}


def test_without_a_terminal_it_only_says_what_it_would_do(many):
    """How many, in how many threads, since when, for which reasons; nothing changes, and the exit code is 2."""
    before = states(many)
    ran = many("deliveries", "resolve", "--api", "berlin", "--system", "desk", *SINCE, "--delivered", *REASON)
    assert ran.code == 2
    assert "5 deliveries in 2 threads at berlin" in ran.out
    assert "the oldest since 2026-05-01 10:00:00, the newest since 2026-05-01 11:00:00" in ran.out
    assert [line.split() for line in ran.out.splitlines()[-2:]] == [["4", "no", "answer"], ["1", "restored"]]
    assert ran.err == "Error: nothing was changed: nobody can be asked here; say --yes to go on\n"
    assert states(many) == before


@pytest.mark.parametrize(
    ("option", "state"), [("--delivered", "delivered"), ("--resend", "pending"), ("--skip", "skipped")]
)
def test_with_yes_each_is_decided_and_the_decision_kept(many, option, state):
    """All that were chosen, no other, and for each of them who, when and why."""
    ran = many("deliveries", "resolve", "--api", "berlin", "--system", "desk", *SINCE, option, *REASON, "--yes")
    assert ran.code == 0
    assert "5 deliveries (1, 2, 3, 4, 5)" in ran.out
    assert states(many) == dict.fromkeys(range(1, 6), state) | {6: "in_doubt", 7: "parked", 8: "pending"}
    for number in range(1, 6):
        ((at, name, action, reason),) = many.in_full(number).decisions
        assert (name, action, reason) == (who({}), f"resolve {option[2:]}", REASON[1])
        assert at.tzinfo is not None


def test_time_api_system_and_reason_narrow_it(many):
    """Both ends of the window count; a reason is held against its beginning, capitals and all."""

    def chosen(*options: object) -> str:
        return many("deliveries", "resolve", *options, "--skip", *REASON).out.partition(" ")[0]

    assert chosen("--api", "berlin", *SINCE) == "6"
    assert chosen("--system", "other", *SINCE) == "1"
    assert chosen("--api", "hamburg", *SINCE) == "nothing"
    assert chosen("--api", "berlin", "--since", hours(0.5)) == "1"
    assert chosen("--api", "berlin", *SINCE, "--until", hours(0)) == "5"
    assert chosen("--api", "berlin", *SINCE, "--because", "rest") == "1"
    assert chosen("--api", "berlin", *SINCE, "--because", "REST") == "nothing"
    assert chosen("--api", "berlin", *SINCE, "--because", "n_") == "nothing"


@pytest.mark.parametrize(
    "arguments",
    [
        ("resolve", "--api", "berlin", "--skip"),
        ("resolve", *SINCE, "--skip"),
        ("resolve", "1", "--api", "berlin", *SINCE, "--skip"),
        ("resolve", "--skip"),
        ("resolve", "--api", "berlin", *SINCE),
        ("resolve", "--api", "berlin", "--since", "yesterday", "--skip"),
        ("resolve", "--api", "berlin", "--since", hours(1), "--until", hours(0), "--skip"),
        ("retry", "--because", "flood"),
        ("retry",),
        ("skip", "--api", "berlin", "--because", ""),
    ],
)
def test_what_is_not_said_clearly_is_refused(syncd, arguments):
    """No window, no api or system, ids and filters together, or nothing at all: exit code 2 and a sentence."""
    syncd.deliver(syncd.link(), "r1", DeliveryState.IN_DOUBT)
    ran = syncd("deliveries", *arguments, *REASON, "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(("Error: say", "Error: --", "Error: 'yesterday'"))
    assert states(syncd) == {1: "in_doubt"}


def test_parked_ones_are_released_or_left_by_the_beginning_of_their_reason(many):
    """What a guard set aside goes on at once, or is left for good; others stay parked."""
    many.deliver(1, "r9", DeliveryState.PARKED, reason="the API answered 400")
    ran = many("deliveries", "retry", "--system", "desk", "--because", "flood", *REASON, "--yes")
    assert (ran.code, states(many)[7], states(many)[9]) == (0, "pending", "parked")
    assert many("deliveries", "skip", "--api", "berlin", "--because", "the API", *REASON, "--yes").code == 0
    assert states(many)[9] == "skipped"
    assert many("deliveries", "retry", "--system", "desk", *REASON, "--yes").out == "nothing is parked there\n"


def test_what_has_no_text_is_left_alone_and_said(many):
    """It cannot be sent: the others go, this one stays, and the exit code says that a person is needed."""
    many.stored(lambda c: c.execute(delivery.update().where(delivery.c.id == 3).values(content=None)))
    ran = many("deliveries", "resolve", "--api", "berlin", *SINCE, "--resend", *REASON, "--yes")
    assert ran.code == 1
    assert "1 delivery of them have no text and cannot be sent; they are left alone" in ran.out
    assert [number for number, state in states(many).items() if state == "in_doubt"] == [3]


def test_many_are_decided_in_pieces(syncd):
    """Each piece is a transaction of its own, so that the worker beside it waits for no more than one piece."""
    link_id = syncd.link()
    syncd.deliver(link_id, "r1", DeliveryState.IN_DOUBT)

    def copy(connection) -> None:
        row = dict(connection.execute(delivery.select()).one()._mapping)
        row.pop("id")
        connection.execute(delivery.insert(), [row | {"reply_id": f"c{n}"} for n in range(CHOSEN_AT_ONCE)])

    syncd.stored(copy)
    ran = syncd("deliveries", "resolve", "--api", "berlin", *SINCE, "--delivered", *REASON, "--yes")
    assert ran.out.splitlines()[-1] == f"counted as delivered: {CHOSEN_AT_ONCE + 1} deliveries"
    assert syncd.stored(lambda c: len(c.execute(decision.select()).all())) == CHOSEN_AT_ONCE + 1
    pieces = list(deliveries_bulk._pieces(list(range(2 * CHOSEN_AT_ONCE + 1))))
    assert [len(piece) for piece in pieces] == [CHOSEN_AT_ONCE, CHOSEN_AT_ONCE, 1]
