"""The django-helpdesk for tests does what its class says."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.server import RequestRefused

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("django_helpdesk")]


@pytest.fixture
def ticket(django_helpdesk):
    """Return the number of a new ticket that the customer wrote by mail."""
    return django_helpdesk.create_ticket("Printer", "It does not print.")


def test_people_talk_and_the_reader_sees_all_of_it(django_helpdesk, ticket):
    """Mails of the customer have no user, replies and notes of the agent have one, and notes are not public."""
    agent = django_helpdesk.user_id("agent")
    answer = django_helpdesk.reply(ticket, "Is it **on**?", by="agent")
    note = django_helpdesk.note(ticket, "Rings often.")
    question = django_helpdesk.reply(ticket, "Yes.", by="customer")
    first, *rows = django_helpdesk.ticket(ticket, by="reader")["followup_set"]
    assert (first["user"], first["comment"].strip()) == (None, "It does not print.")
    assert [(row["id"], row["user"], row["public"], row["comment"].strip()) for row in rows] == [
        (answer, agent, True, "Is it **on**?"),
        (note, agent, False, "Rings often."),
        (question, None, True, "Yes."),
    ]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(rows[0]["date"])) < timedelta(minutes=1)


def test_a_ticket_can_come_from_the_form_or_from_an_agent(django_helpdesk):
    """The submitter is the customer either way; the first followup names who wrote it."""
    by_form = django_helpdesk.fill_in_form("Printer", "It does not print.")
    by_agent = django_helpdesk.create_ticket("Printer", "She called.", by="agent")
    seen = [django_helpdesk.ticket(number) for number in (by_form, by_agent)]
    assert [row["submitter_email"] for row in seen] == ["carla@customer.test"] * 2
    users = [row["followup_set"][0]["user"] for row in seen]
    assert users == [django_helpdesk.user_id("customer"), django_helpdesk.user_id("agent")]


def test_status_leaves_a_followup_or_no_trace(django_helpdesk, ticket):
    """A status set as in the browser is a followup without words; one set by PATCH is none."""
    django_helpdesk.set_status(ticket, "Resolved")
    django_helpdesk.set_status(ticket, "Closed", traceless=True)
    django_helpdesk.assign(ticket, "agent")
    seen = django_helpdesk.ticket(ticket)
    assert (seen["status"], seen["assigned_to"]) == (4, django_helpdesk.user_id("agent"))
    assert [row["new_status"] for row in seen["followup_set"]] == [None, 3]


def test_a_mail_opens_a_closed_ticket_again(django_helpdesk, ticket):
    """A reply of the customer to a closed ticket sets it to reopened."""
    django_helpdesk.reply(ticket, "Done.", status="Closed")
    django_helpdesk.reply(ticket, "It is not.", by="customer")
    assert django_helpdesk.ticket(ticket)["status"] == 2


def test_files_come_with_replies(django_helpdesk, ticket):
    """A file of an agent and one in a mail are told beside the words."""
    django_helpdesk.attach(ticket, "plan.txt", b"text", "See there.")
    django_helpdesk.receive_mail(f"[support-{ticket}]", "Mine.", files={"mine.txt": b"text"})
    names = [
        file["filename"]
        for row in django_helpdesk.ticket(ticket)["followup_set"]
        for file in row["followupattachment_set"]
    ]
    assert [name.endswith(end) for name, end in zip(names, ("plan.txt", "mine.txt"), strict=True)] == [True, True]


def test_a_note_is_edited_published_and_deleted(django_helpdesk, ticket):
    """Followups change in place and disappear."""
    note = django_helpdesk.note(ticket, "Frist")
    django_helpdesk.edit(note, "First")
    django_helpdesk.publish(note, True)
    row = django_helpdesk.ticket(ticket)["followup_set"][-1]
    assert (row["id"], row["comment"], row["public"]) == (note, "First", True)
    django_helpdesk.delete_reply(note)
    assert len(django_helpdesk.ticket(ticket)["followup_set"]) == 1


def test_merged_tickets_hand_over_their_followups(django_helpdesk, ticket):
    """The merged ticket points to the other one, which has the followups of both."""
    target = django_helpdesk.create_ticket("Same printer", "Still.")
    django_helpdesk.merge(ticket, target)
    assert django_helpdesk.ticket(ticket)["merged_to"] == target
    assert len(django_helpdesk.ticket(target)["followup_set"]) >= 2


def test_deleted_is_gone_and_a_customer_is_refused(django_helpdesk, ticket):
    """The API answers 403 to who is not staff, and 404 for a deleted ticket."""
    with pytest.raises(RequestRefused) as forbidden:
        django_helpdesk.ticket(ticket, by="customer")
    django_helpdesk.delete(ticket)
    with pytest.raises(RequestRefused) as deleted:
        django_helpdesk.ticket(ticket)
    assert (forbidden.value.status, deleted.value.status) == (403, 404)


def test_many_replies_cross_the_border_of_a_page(django_helpdesk, ticket):
    """Replies written at once are on the last pages of all followups, and a page past them is refused."""
    ids = django_helpdesk.write_replies(ticket, 120)
    newest = django_helpdesk.call("reader", "GET", "/followups/?page=last&page_size=50")
    assert newest["results"][-1]["id"] == ids[-1]
    assert newest["previous"]
    seen = {row["id"] for row in django_helpdesk.ticket(ticket)["followup_set"]}
    assert set(ids) < seen
    with pytest.raises(RequestRefused, match="Invalid page"):
        django_helpdesk.call("reader", "GET", "/followups/?page=999&page_size=50")


def test_times_can_be_told_in_another_zone(django_helpdesk, ticket):
    """After a start in another zone the times have its offset and are the same instants."""
    [before] = django_helpdesk.ticket(ticket)["followup_set"]
    django_helpdesk.set_time_zone("Asia/Kolkata")
    try:
        [after] = django_helpdesk.ticket(ticket)["followup_set"]
    finally:
        django_helpdesk.stop()
        django_helpdesk.start()
    assert after["date"].endswith("+05:30")
    assert datetime.fromisoformat(after["date"]) == datetime.fromisoformat(before["date"])


def test_reset_forgets_the_tickets(django_helpdesk, ticket):
    """After a reset the numbers begin anew, and tokens are the same."""
    django_helpdesk.reset()
    assert django_helpdesk.create_ticket("Printer", "text") == 1
