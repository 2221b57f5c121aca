"""The Redmine for tests does what its class says."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.server import RequestRefused

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("redmine")]


@pytest.fixture
def ticket(redmine):
    """Return the number of a new issue of the customer."""
    return redmine.create_ticket("Printer", "It does not print.")


def test_people_talk_and_the_reader_sees_all_of_it(redmine, ticket):
    """Replies of both sides and a private note reach the reader, newest first as it prefers, and in UTC."""
    answer = redmine.reply(ticket, "Is it *on*?", by="agent")
    note = redmine.note(ticket, "Rings often.")
    question = redmine.reply(ticket, "Yes.", by="customer")
    seen = redmine.call("reader", "GET", f"/issues/{ticket}.json?include=journals")["issue"]
    assert seen["author"]["id"] == redmine.user_id("customer")
    assert [(row["id"], row["notes"], row["private_notes"]) for row in seen["journals"]] == [
        (question, "Yes.", False),
        (note, "Rings often.", True),
        (answer, "Is it *on*?", False),
    ]
    written = datetime.fromisoformat(seen["journals"][0]["created_on"])
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)
    assert len(redmine.ticket(ticket, by="customer")["journals"]) == 2


def test_the_reader_may_not_write(redmine, ticket):
    """A note of the reader is refused, and so is an issue."""
    with pytest.raises(RequestRefused) as refused:
        redmine.reply(ticket, "Me too.", by="reader")
    assert refused.value.status == 403
    with pytest.raises(RequestRefused):
        redmine.create_ticket("Mine", "text", by="reader")


def test_status_assignee_and_file_are_journals_without_words(redmine, ticket):
    """A changed status, an assignee and a file are each told by a journal without notes."""
    redmine.set_status(ticket, "Closed")
    redmine.assign(ticket, "agent")
    redmine.attach(ticket, "a b.txt", b"text")
    seen = redmine.ticket(ticket, by="reader")
    assert seen["status"]["is_closed"] is True
    assert seen["assigned_to"]["id"] == redmine.user_id("agent")
    assert [file["filename"] for file in seen["attachments"]] == ["a b.txt"]
    assert [row["notes"] for row in seen["journals"]] == ["", "", ""]


def test_a_reply_can_carry_a_file_and_a_status(redmine, ticket):
    """One journal holds the words, the file and the status."""
    redmine.reply(ticket, "See there.", files={"plan.pdf": b"%PDF"}, status_id=2)
    [row] = redmine.ticket(ticket)["journals"]
    assert {detail["property"] for detail in row["details"]} == {"attachment", "attr"}


def test_a_note_is_edited_in_place_and_disappears_when_emptied(redmine, ticket):
    """The id stays with another text; an empty text removes the note."""
    journal = redmine.reply(ticket, "Frist")
    redmine.edit(journal, "First")
    assert [(row["id"], row["notes"]) for row in redmine.ticket(ticket)["journals"]] == [(journal, "First")]
    redmine.edit(journal, "")
    assert redmine.ticket(ticket)["journals"] == []


def test_moved_is_forbidden_and_deleted_is_gone(redmine, ticket):
    """The reader gets 403 for an issue of the hidden project, and 404 for a deleted one."""
    redmine.move(ticket, redmine.hidden_project)
    with pytest.raises(RequestRefused) as moved:
        redmine.ticket(ticket, by="reader")
    redmine.delete(ticket)
    with pytest.raises(RequestRefused) as deleted:
        redmine.ticket(ticket, by="reader")
    assert (moved.value.status, deleted.value.status) == (403, 404)


def test_many_tickets_cross_the_border_of_a_page(redmine):
    """More issues than a page holds can share one second, and a search up to it pages through them."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    made = redmine.write_tickets(105, at)
    path = "/issues.json?status_id=*&sort=updated_on,id&limit=100&updated_on=%3C%3D2026-01-02T03:04:06Z&offset="
    pages = [redmine.call("reader", "GET", f"{path}{offset}") for offset in (0, 100)]
    assert [len(page["issues"]) for page in pages] == [100, 5]
    assert {issue["id"] for page in pages for issue in page["issues"]} == set(made)
    assert {issue["updated_on"] for page in pages for issue in page["issues"]} == {"2026-01-02T03:04:05Z"}
    assert redmine.create_ticket("Next", "text") > made[-1]


def test_many_replies_come_at_once(redmine, ticket):
    """Notes written straight into the database are like those of people."""
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    ids = redmine.write_replies(ticket, [now] * 150)
    rows = redmine.ticket(ticket)["journals"]
    assert sorted(row["id"] for row in rows) == ids
    assert {datetime.fromisoformat(row["created_on"]) for row in rows} == {now}
    assert datetime.fromisoformat(redmine.ticket(ticket)["updated_on"]) == now
    assert redmine.reply(ticket, "And one more.") > ids[-1]


def test_reset_forgets_the_tickets(redmine, ticket):
    """After a reset the numbers begin anew, and keys are the same."""
    redmine.reset()
    assert redmine.create_ticket("Printer", "text") == 1
