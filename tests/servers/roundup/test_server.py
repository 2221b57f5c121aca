"""The Roundup for tests does what its class says."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.server import RequestRefused

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("roundup")]


@pytest.fixture
def ticket(roundup):
    """Return the number of a new issue of the customer."""
    return roundup.create_ticket("Printer", "It does not print.")


def moment(text):
    """Return the time that Roundup wrote like this."""
    return datetime.strptime(text, "%Y-%m-%d.%H:%M:%S").replace(tzinfo=UTC)


def test_people_talk_and_the_reader_sees_all_of_it(roundup, ticket):
    """The first text and the replies of both sides reach the reader, with their authors and in UTC."""
    answer = roundup.reply(ticket, "Is it <on>?", by="agent")
    question = roundup.reply(ticket, "Größe?", by="customer")
    first, *replies = roundup.messages(ticket, by="reader")
    assert (first["content"], first["creator"]["username"]) == ("It does not print.", "carla.customer")
    assert [(int(row["id"]), row["content"]) for row in replies] == [(answer, "Is it <on>?"), (question, "Größe?")]
    assert abs(datetime.now(UTC) - moment(replies[0]["creation"])) < timedelta(minutes=1)
    assert roundup.ticket(ticket)["status"]["name"] == "chatting"


def test_an_author_may_be_anybody(roundup, ticket):
    """The author is whom the poster names; the creator is the poster."""
    roundup.reply(ticket, "I am not who I seem.", by="customer", author="agent")
    row = roundup.messages(ticket)[-1]
    assert (row["author"]["username"], row["creator"]["username"]) == ("peter.meyer", "carla.customer")


def test_status_assignee_and_file_are_set(roundup, ticket):
    """Status, assignee and files are those that were set, without a new message."""
    roundup.set_status(ticket, "resolved")
    roundup.assign(ticket, "agent")
    file = roundup.attach(ticket, "plan.txt", "text")
    seen = roundup.ticket(ticket, by="reader")
    assert (seen["status"]["name"], seen["assignedto"]["username"]) == ("resolved", "peter.meyer")
    assert [int(row["id"]) for row in seen["files"]] == [file]
    assert len(seen["messages"]) == 1
    roundup.assign(ticket, None)
    assert roundup.ticket(ticket)["assignedto"] is None


def test_a_message_is_edited_in_place_and_leaves_the_ticket(roundup, ticket):
    """An edit keeps the id; a removed message is no more on the issue, the others are."""
    reply = roundup.reply(ticket, "Frist")
    roundup.edit(reply, "First")
    assert [row["content"] for row in roundup.messages(ticket)] == ["It does not print.", "First"]
    roundup.remove_reply(ticket, reply)
    assert [row["content"] for row in roundup.messages(ticket)] == ["It does not print."]


def test_deleted_leaves_the_searches_and_still_answers(roundup, ticket):
    """A retired issue is in no list, and its own address answers as before."""
    roundup.delete(ticket)
    listed = roundup.call("reader", "GET", "/issue?@fields=title")["collection"]
    assert str(ticket) not in {row["id"] for row in listed}
    assert roundup.ticket(ticket, by="reader")["title"] == "Printer"


def test_a_wrong_password_is_refused(roundup, ticket, monkeypatch):
    """What the server refuses is an error with its status and words."""
    monkeypatch.setitem(roundup.values, "AGENT_PASSWORD", "wrong")
    with pytest.raises(RequestRefused, match="Invalid Login") as refused:
        roundup.call("agent", "GET", f"/issue/{ticket}")
    assert refused.value.status == 401


def test_many_replies_come_at_once(roundup, ticket):
    """Messages written straight into the database are like those of people, past any border of a page."""
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    ids = roundup.write_replies(ticket, [now] * 150)
    path = f"/msg?creation={now:%Y-%m-%d.%H:%M:%S};&@fields=content,creation&@verbose=3&@sort=id&@page_size=100"
    pages = [roundup.call("reader", "GET", f"{path}&@page_index={page}")["collection"] for page in (1, 2)]
    assert [len(page) for page in pages] == [100, 50]
    assert [int(row["id"]) for page in pages for row in page] == ids
    assert {row["content"] for page in pages for row in page} == {f"text of {key}" for key in ids}
    assert len(roundup.ticket(ticket)["messages"]) == 151
    assert moment(roundup.ticket(ticket)["activity"]) == now
    assert roundup.reply(ticket, "And one more.") > ids[-1]


def test_a_ticket_can_be_an_old_one(roundup, ticket):
    """An issue that is backdated is found by its old time alone."""
    roundup.backdate(datetime(2019, 1, 2, 3, 4, 5, tzinfo=UTC), ticket)
    found = roundup.call("reader", "GET", "/issue?activity=;2019-01-03.00:00:00&@fields=activity")["collection"]
    assert [(row["id"], row["activity"]) for row in found] == [(str(ticket), "2019-01-02.03:04:05")]


def test_questions_are_read_in_the_zone_of_who_asks(roundup, ticket):
    """A range from an hour ago finds nothing in an account that lives five hours west, and answers stay UTC."""
    path = f"/issue?activity={datetime.now(UTC) - timedelta(hours=1):%Y-%m-%d.%H:%M:%S};&@fields=activity"
    assert str(ticket) in {row["id"] for row in roundup.call("reader", "GET", path)["collection"]}
    roundup.set_time_zone("reader", "-5")
    try:
        assert roundup.call("reader", "GET", path)["collection"] == []
        written = moment(roundup.ticket(ticket, by="reader")["activity"])
    finally:
        roundup.set_time_zone("reader", "0")
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)


def test_reset_forgets_the_tickets(roundup, ticket):
    """After a reset the numbers begin anew, and passwords are the same."""
    roundup.reset()
    assert roundup.create_ticket("Printer", "text") == 1
