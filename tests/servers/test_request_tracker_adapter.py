"""The adapter against a real Request Tracker 5."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import PauseSystem, TicketUnavailable
from syncd.model.ticket import AuthorKind, BodyFormat, TicketRef, Unavailability, Visibility

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("request_tracker")]

MAIL = """From: Carla Customer <{sender}>
To: support@example.test
Subject: {subject}
Message-ID: <{key}@customer.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe
--inner
Content-Type: text/html; charset=utf-8

<p>Sch&ouml;ne Gr&uuml;&szlig;e</p>
--inner--
--outer
Content-Type: application/pdf; name="a b.pdf"
Content-Disposition: attachment; filename="a b.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--outer
Content-Type: text/plain

and a last line
--outer--
"""


async def replies_of(adapter, number, since=None):
    """Return the replies of a ticket."""
    found = await adapter.resolve(TicketRef(number=str(number)))
    return [reply async for reply in adapter.replies(found, since)]


def now_in_seconds():
    """Return the time as RT tells it."""
    return datetime.now(UTC).replace(microsecond=0)


async def test_check_names_the_account_and_its_queues(adapter):
    """A token tells whose it is, and the account what it sees."""
    identity = await adapter.check()
    assert identity.account == "syncd"
    assert "queues: Support" in identity.notes
    assert identity.warnings == ()


async def test_check_warns_of_root_and_of_customers_and_of_hidden_queues(connect, request_tracker):
    """An account that may do too much or too little is named as such."""
    assert "SuperUser" in "".join((await connect(request_tracker.root_token).check()).warnings)
    assert "not privileged" in "".join((await connect(request_tracker.customer_token).check()).warnings)
    assert "Billing" in "".join((await connect(queues=("Support", "Billing")).check()).warnings)


async def test_a_wrong_token_pauses(connect):
    """RT answers 401 to a token it does not know."""
    with pytest.raises(PauseSystem):
        await connect("1-37-00000000000000000000000000000000").check()


async def test_a_web_page_that_is_no_rest_api_pauses(connect, request_tracker):
    """A base_url that leads elsewhere is told at the check."""
    with pytest.raises(PauseSystem, match="start page"):
        await connect(base_url=f"{request_tracker.base_url}/NoAuth/nothing").check()


async def test_number_and_link_are_the_same_ticket(adapter, request_tracker, ticket):
    """Every shape of reference leads to one id, and the link of the answer names the configured host."""
    request_tracker.own(ticket, request_tracker.agent_login)
    base = request_tracker.base_url
    refs = [TicketRef(number=str(ticket)), TicketRef(number=f"#{ticket}")]
    refs += [TicketRef(link=f"{base}/Ticket/Display.html?id={ticket}#txn-1")]
    refs += [
        TicketRef(link=f"{base}/SelfService/Display.html?id={ticket}"),
        TicketRef(link=f"{base}/m/ticket/show?id={ticket}"),
    ]
    found = [await adapter.resolve(ref) for ref in refs]
    assert {item.id for item in found} == {str(ticket)}
    assert found[0].link == f"{base}/Ticket/Display.html?id={ticket}"
    assert (found[0].subject, found[0].status, found[0].assignee) == ("Printer", ThreadStatus.CREATED, "Peter Meyer")


async def test_what_cannot_be_followed_says_why(adapter, request_tracker, ticket):
    """Merged, deleted, forbidden and missing tickets are told apart, alone and in bulk."""
    merged, deleted = (request_tracker.create_ticket("Other", "Text") for _ in range(2))
    hidden = request_tracker.create_ticket("Invoice", "Text", by="root", queue=request_tracker.hidden_queue)
    request_tracker.merge(merged, ticket)
    request_tracker.delete(deleted)
    wanted = {merged: Unavailability.MERGED, deleted: Unavailability.GONE, 987654: Unavailability.GONE}
    wanted[hidden] = Unavailability.FORBIDDEN
    states = await adapter.tickets([str(key) for key in (ticket, *wanted)])
    assert states[0].id == str(ticket)
    assert {int(state.ticket_id): state.reason for state in states[1:]} == wanted
    assert states[1].merged_into == str(ticket)
    for key, reason in wanted.items():
        with pytest.raises(TicketUnavailable) as refused:
            await adapter.resolve(TicketRef(number=str(key)))
        assert refused.value.unavailable.reason is reason


async def test_two_hundred_tickets_cost_two_requests(adapter, ticket):
    """A search takes a hundred ids; only those it does not show cost a request each."""
    shown = [str(key) for key in range(1, ticket + 1)]
    visible = [state.id for state in await adapter.tickets(shown) if hasattr(state, "number")]
    before = adapter.http.requests_sent
    assert len(await adapter.tickets(visible)) == len(visible)
    assert adapter.http.requests_sent - before == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [("open", "ONGOING"), ("stalled", "ONGOING"), ("resolved", "CLOSED"), ("rejected", "CLOSED")],
)
async def test_statuses(adapter, request_tracker, ticket, status, expected):
    """The statuses of the shipped lifecycle are known; new is CREATED, see above."""
    request_tracker.set_status(ticket, status)
    assert (await adapter.resolve(TicketRef(number=str(ticket)))).status is ThreadStatus(expected)


@pytest.mark.parametrize("account", ["reader", "agent", "root"])
async def test_replies_are_told_as_they_are(connect, request_tracker, ticket, account):
    """Author, visibility, format and channel come out right, and the mails RT sends are no replies of their own."""
    request_tracker.correspond(ticket, "<p>Is it <b>on</b>?</p>", content_type="text/html")
    request_tracker.comment(ticket, "Rings often.")
    request_tracker.correspond(ticket, "Yes: Größe <A4> & „mehr“\r\n> Is it on?", by="customer")
    first, agent, note, customer = await replies_of(connect(getattr(request_tracker, f"{account}_token")), ticket)
    assert (first.body.text, first.first_message, first.subject) == ("It does not print.", True, "Printer")
    assert (agent.body.text, agent.body.format) == ("<p>Is it <b>on</b>?</p>", BodyFormat.HTML)
    assert (agent.author.kind, agent.author.name) == (AuthorKind.AGENT, "Peter Meyer")
    assert (agent.channel, agent.vendor_channel) == (Channel.EMAIL, "REST")
    assert (note.visibility, note.body.text) == (Visibility.INTERNAL, "Rings often.")
    assert customer.body.text.splitlines() == ["Yes: Größe <A4> & „mehr“", "> Is it on?"]
    assert (customer.author.kind, customer.author.name) == (AuthorKind.CUSTOMER, "Carla Customer")
    assert (customer.channel, customer.first_message) == (Channel.OTHER, False)
    assert {reply.visibility for reply in (first, agent, customer)} == {Visibility.PUBLIC}
    assert all(
        reply.created_at.tzinfo is UTC or reply.created_at.utcoffset() == timedelta(0) for reply in (first, agent)
    )


async def test_comments_need_their_permission(connect, request_tracker, ticket):
    """Without ShowTicketComments a comment is not there, and nothing else is missing."""
    request_tracker.comment(ticket, "Rings often.")
    request_tracker.correspond(ticket, "Soon.")
    found = await replies_of(connect(request_tracker.customer_token), ticket)
    assert [reply.body.text for reply in found] == ["It does not print.", "Soon."]


async def test_a_mail_with_html_and_a_file(adapter, request_tracker, ticket):
    """The plain text is the body in all its pieces, whatever its charset; the file is named and never read."""
    subject = f"[rt.test #{ticket}] Re: Printer"
    mail = MAIL.format(sender="carla@customer.test", subject=subject, key=f"whole-{ticket}")
    request_tracker.receive_mail(mail.encode())
    reply = (await replies_of(adapter, ticket))[-1]
    assert reply.body.text.split("\n") == ["Schöne Grüße", "and a last line"]
    assert (reply.channel, reply.vendor_channel, reply.subject) == (Channel.EMAIL, "Email", subject)
    (file,) = reply.attachments
    assert (file.name, file.size_bytes, file.media_type) == ("a b.pdf", 9, "application/pdf")
    assert file.link.startswith(f"{request_tracker.base_url}/Ticket/Attachment/{reply.id}/")


async def test_files_from_the_web_are_listed(adapter, request_tracker, ticket):
    """Files of a reply have name and size, and no bytes of theirs get into a text."""
    request_tracker.correspond(ticket, "See the files.", files={"größe.bin": bytes(range(256)), "notes.txt": b"text"})
    reply = (await replies_of(adapter, ticket))[-1]
    assert reply.body.text == "See the files."
    assert [file.size_bytes for file in reply.attachments] == [256, 4]
    assert reply.attachments[1].name == "notes.txt"


@pytest.mark.parametrize("login", ["o'brien+x@customer.test", "100%_a&b=c@customer.test"])
async def test_unusual_logins(adapter, request_tracker, login):
    """A login is an e-mail address as a rule, and is told from others whatever is in it."""
    ticket = request_tracker.create_ticket("Fax", "Text", by="root")
    request_tracker.receive_mail(MAIL.format(sender=login, subject=f"[rt.test #{ticket}]", key=f"by-{ticket}").encode())
    *_, reply = await replies_of(adapter, ticket)
    assert reply.author.kind is AuthorKind.CUSTOMER


async def test_a_merged_ticket_gives_its_replies_to_the_other(adapter, request_tracker):
    """What was written to either is in the history of the one that stays, once, oldest first, with its own ids."""
    source = request_tracker.create_ticket("Older", "older")
    target = request_tracker.create_ticket("Newer", "newer")
    request_tracker.correspond(source, "to the older")
    request_tracker.merge(source, target)
    request_tracker.correspond(target, "to both")
    found = await replies_of(adapter, target)
    assert [reply.body.text for reply in found] == ["older", "newer", "to the older", "to both"]
    assert [reply.first_message for reply in found] == [False, True, False, False]
    assert all(int(earlier.id) < int(later.id) for earlier, later in pairwise(found))


async def test_a_long_history_is_read_to_its_end(adapter, request_tracker, ticket):
    """RT gives at most 100 rows and does not say that more follow."""
    start = now_in_seconds() - timedelta(minutes=30)
    request_tracker.backdate(start, ticket)
    ids = request_tracker.write_history(ticket, [start + timedelta(seconds=index // 2) for index in range(230)])
    found = await replies_of(adapter, ticket)
    assert [int(reply.id) for reply in found[1:]] == ids
    assert [reply.body.text for reply in found[1:]] == [f"text of {key}" for key in ids]


async def test_since_is_inclusive_and_cheap(adapter, request_tracker, ticket):
    """Only what is at `since` or later is yielded, the same second included, for four requests when little is new."""
    start = now_in_seconds() - timedelta(hours=5)
    request_tracker.backdate(start, ticket)
    ids = request_tracker.write_history(ticket, [start + timedelta(minutes=index // 2) for index in range(500)])
    found = await replies_of(adapter, ticket, start + timedelta(minutes=245))
    assert [int(reply.id) for reply in found] == ids[-10:]
    before = adapter.http.requests_sent
    await replies_of(adapter, ticket, start + timedelta(minutes=245))
    assert adapter.http.requests_sent - before == 1 + 4


async def test_an_ordinary_history_costs_four_requests(adapter, request_tracker, ticket):
    """Ticket, history, parts, texts; a user is asked for once."""
    request_tracker.correspond(ticket, "Soon.")
    await replies_of(adapter, ticket)
    before = adapter.http.requests_sent
    await replies_of(adapter, ticket)
    assert adapter.http.requests_sent - before == 1 + 4
