"""Mails, comments and descriptions as replies: what comes, when, by whom, and what never comes."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, Visibility
from tests.adapters.salesforce.stand_in import CUSTOMER, MACHINE


async def read(adapter, case_id, since=None):
    """Return the replies of a case."""
    (ticket,) = await adapter.tickets([case_id])
    return [reply async for reply in adapter.replies(ticket, since)]


async def ids(adapter, case_id, since=None):
    """Return the ids of the replies of a case."""
    return [reply.id for reply in await read(adapter, case_id, since)]


class TestFirstMessage:
    """A mail opened the case, or else its description says how it began; never both."""

    async def test_form(self, adapter, salesforce, clock):
        """The description of a case that no mail opened is its first message, under the id of the case."""
        case_id = salesforce.open_case(Subject="Locker")
        (reply,) = await read(adapter, case_id)
        assert (reply.id, reply.first_message, reply.created_at) == (case_id, True, clock.now().replace(microsecond=0))
        assert (reply.author.kind, reply.visibility) == (AuthorKind.CUSTOMER, Visibility.PUBLIC)
        assert (reply.body.text, reply.subject) == ("My locker does not open.", "Locker")

    @pytest.mark.parametrize("origin", ["Email", "Support Desk", None])
    async def test_mail(self, adapter, salesforce, origin):
        """The description of a case that a mail opened is the copy of that mail, and does not come."""
        case_id, mail = salesforce.open_by_mail(origin=origin, after=2)
        (reply,) = await read(adapter, case_id)
        assert (reply.id, reply.first_message) == (mail, True)

    async def test_later_mail(self, adapter, salesforce, clock):
        """A mail that a customer writes minutes later is a second message: it does not hide the description."""
        case_id = salesforce.open_case()
        await clock.sleep(61)
        mail = salesforce.mail(case_id, "any news?", incoming=True)
        assert [(one.id, one.first_message) for one in await read(adapter, case_id)] == [(case_id, True), (mail, False)]

    async def test_answer_at_once(self, adapter, salesforce):
        """An answer that goes out in the second of the beginning does not hide the description."""
        case_id = salesforce.open_case()
        mail = salesforce.mail(case_id, "we have got your message")
        assert set(await ids(adapter, case_id)) == {case_id, mail}

    async def test_deleted_mail(self, adapter, salesforce):
        """When the mail that opened a case is deleted, its text does not come again as the description."""
        case_id, mail = salesforce.open_by_mail(origin="Support Desk")
        assert await ids(adapter, case_id) == [mail]
        salesforce.change("EmailMessage", mail, IsDeleted=True)
        assert await ids(adapter, case_id) == []

    @pytest.mark.parametrize("origin", ["Email", "E-Mail", "Email - Support", "e mail Berlin", "Support Desk"])
    async def test_purged_mail(self, sign_in, salesforce, origin):
        """Not even when the mail has left the recycle bin, if the origin names e-mail or the settings say so."""
        case_id, mail = salesforce.open_by_mail(origin=origin)
        salesforce.purge("EmailMessage", mail)
        assert await ids(sign_in(email_origins=["support desk"]), case_id) == []

    async def test_second_mail_at_once(self, adapter, salesforce, clock):
        """Of two mails within a minute the first one is the first message, also when only later ones are asked for."""
        case_id, first = salesforce.open_by_mail()
        await clock.sleep(30)
        second = salesforce.mail(case_id, "and the key?", incoming=True)
        told = await read(adapter, case_id, clock.now())
        assert [(one.id, one.first_message) for one in told] == [(second, False)]
        await clock.sleep(3600)
        since = clock.now()
        salesforce.change("EmailMessage", first, Status="2")
        assert [(one.id, one.first_message) for one in await read(adapter, case_id, since)] == [(first, True)]

    async def test_edited_description(self, adapter, salesforce):
        """An edited description keeps its id, and an emptied one is no message."""
        case_id = salesforce.open_case()
        salesforce.change("Case", case_id, Description="My locker number 7 does not open.")
        assert [(one.id, one.body.text) for one in await read(adapter, case_id)] == [
            (case_id, "My locker number 7 does not open.")
        ]
        salesforce.change("Case", case_id, Description="  ")
        assert await read(adapter, case_id) == []

    async def test_description_of_colleagues(self, sign_in, salesforce):
        """Where descriptions are for colleagues, they are internal."""
        case_id = salesforce.open_case()
        (reply,) = await read(sign_in(description_is_public=False), case_id)
        assert reply.visibility is Visibility.INTERNAL

    @pytest.mark.parametrize(
        ("origin", "channel"),
        [
            ("Phone", Channel.PHONE),
            ("Web", Channel.OTHER),
            ("Chat", Channel.CHAT),
            ("Letter", Channel.LETTER),
            ("Fax", Channel.FAX),
            (None, Channel.OTHER),
            ("Messe", Channel.OTHER),
        ],
    )
    async def test_channel(self, adapter, salesforce, origin, channel):
        """How a case came to be stands in its origin, a word of the organisation's own."""
        (reply,) = await read(adapter, salesforce.open_case(Origin=origin))
        assert (reply.channel, reply.vendor_channel) == (channel, origin)


class TestMails:
    """What is sent and received."""

    @pytest.mark.parametrize("draft", [{"Status": "5"}, {"Status": "Draft"}, {"IsPrivateDraft": True}])
    async def test_draft(self, adapter, salesforce, clock, draft):
        """A draft is no reply; once it is sent it is one, under the same id, from when it was sent."""
        case_id, first = salesforce.open_by_mail()
        await clock.sleep(600)
        mail = salesforce.mail(case_id, "dear", MessageDate=None, **draft)
        assert await ids(adapter, case_id) == [first]
        await clock.sleep(3600)
        sent_at = clock.now()
        salesforce.change("EmailMessage", mail, Status="3", IsPrivateDraft=False, MessageDate=sent_at)
        (reply,) = await read(adapter, case_id, sent_at)
        assert (reply.id, reply.created_at) == (mail, sent_at)

    async def test_wrong_clock_of_a_sender(self, adapter, salesforce, clock):
        """A mail is dated from its arrival: the clock of its sender may be a year ahead."""
        case_id, _ = salesforce.open_by_mail(MessageDate=clock.now() + timedelta(days=365))
        (reply,) = await read(adapter, case_id)
        assert reply.created_at == clock.now().replace(microsecond=0)

    async def test_message_date_ahead(self, adapter, salesforce, clock):
        """Where the time of sending is later than the stamp of the row, it is found from any instant up to it."""
        case_id, _ = salesforce.open_by_mail()
        later = clock.now() + timedelta(minutes=5)
        mail = salesforce.mail(case_id, "planned", MessageDate=later)
        assert await ids(adapter, case_id, later) == [mail]

    @pytest.mark.parametrize("status", [None, "6", "Scheduled"])
    async def test_unknown_status(self, adapter, salesforce, status):
        """A mail whose status is not known to mean sent may be a draft still, and is internal."""
        case_id = salesforce.open_case(Description=None)
        salesforce.mail(case_id, "dear", Status=status)
        (reply,) = await read(adapter, case_id)
        assert reply.visibility is Visibility.INTERNAL

    async def test_bounced(self, adapter, salesforce):
        """A mail that came back undelivered is no reply."""
        case_id = salesforce.open_case(Description=None)
        salesforce.mail(case_id, "dear", IsBounced=True)
        assert await read(adapter, case_id) == []

    async def test_portal_visibility_is_something_else(self, adapter, salesforce):
        """IsExternallyVisible is about the portal: a mail that is not shown there has been sent all the same."""
        case_id = salesforce.open_case(Description=None)
        salesforce.mail(case_id, "dear", IsExternallyVisible=False)
        (reply,) = await read(adapter, case_id)
        assert (reply.visibility, reply.channel) == (Visibility.PUBLIC, Channel.EMAIL)

    @pytest.mark.parametrize(
        ("addresses", "visibility"),
        [
            ({"ToAddress": "bob@acme.test"}, Visibility.INTERNAL),
            ({"ToAddress": "Bob <BOB@ACME.TEST>; eva@acme.test", "CcAddress": "x@acme.test"}, Visibility.INTERNAL),
            ({"ToAddress": "bob@acme.test; carl@mail.test"}, Visibility.PUBLIC),
            ({"ToAddress": "bob@acme.test", "BccAddress": "carl@mail.test"}, Visibility.PUBLIC),
            ({"ToAddress": "carl@not-acme.test"}, Visibility.PUBLIC),
            ({"ToAddress": None}, Visibility.PUBLIC),
        ],
    )
    async def test_forwarded_to_colleagues(self, sign_in, salesforce, addresses, visibility):
        """A mail that went to one's own people alone is internal."""
        case_id = salesforce.open_case(Description=None)
        salesforce.mail(case_id, "what do you think?", **addresses)
        (reply,) = await read(sign_in(own_domains=["@ACME.test"]), case_id)
        assert reply.visibility is visibility

    async def test_answer_of_a_colleague(self, sign_in, salesforce):
        """A mail that came from one's own people is a colleague's, and internal."""
        case_id = salesforce.open_case(Description=None)
        salesforce.mail(case_id, "no refund", incoming=True, FromAddress="bob@acme.test", FromName="Bob")
        (reply,) = await read(sign_in(own_domains=["acme.test"]), case_id)
        assert (reply.visibility, reply.author.kind) == (Visibility.INTERNAL, AuthorKind.AGENT)

    async def test_authors(self, adapter, salesforce, clock):
        """Customers receive no name; an agent is whoever wrote the mail, and what no person wrote is automatic."""
        case_id, _ = salesforce.open_by_mail()
        for fields in ({}, {"CreatedById": MACHINE}, {"CreatedById": None}):
            await clock.sleep(60)
            salesforce.mail(case_id, "dear", **fields)
        told = [(one.author.kind, one.author.name) for one in await read(adapter, case_id)]
        assert told == [
            (AuthorKind.CUSTOMER, None),
            (AuthorKind.AGENT, "Änne Agent"),
            (AuthorKind.SYSTEM, None),
            (AuthorKind.AGENT, "ACME Support"),
        ]

    async def test_bodies(self, adapter, salesforce):
        """HTML goes before plain text, either may be missing, and a mail may have neither."""
        case_id = salesforce.open_case(Description=None)
        salesforce.mail(case_id, "plain", HtmlBody="<p>rich</p>")
        salesforce.mail(case_id, "plain")
        salesforce.mail(case_id, None)
        told = [(one.body.text, one.body.format) for one in await read(adapter, case_id)]
        assert told == [("<p>rich</p>", BodyFormat.HTML), ("plain", BodyFormat.TEXT), ("", BodyFormat.TEXT)]

    async def test_incoming_that_cannot_be_read(self, adapter, salesforce):
        """Who wrote a mail is never guessed."""
        case_id = salesforce.open_case(Description=None)
        salesforce.mail(case_id, "dear", Incoming="true")
        with pytest.raises(UnexpectedAnswer, match="Incoming"):
            await read(adapter, case_id)


class TestComments:
    """What is written on the case."""

    @pytest.mark.parametrize("published", [False, None, "true", 1])
    async def test_internal(self, adapter, salesforce, published):
        """A comment is internal unless it is published for certain."""
        case_id = salesforce.open_case(Description=None)
        salesforce.comment(case_id, "she was rude", IsPublished=published)
        (reply,) = await read(adapter, case_id)
        assert reply.visibility is Visibility.INTERNAL

    @pytest.mark.parametrize(
        ("writer", "kind", "name"),
        [
            ({}, AuthorKind.AGENT, "Änne Agent"),
            ({"CreatedById": CUSTOMER}, AuthorKind.CUSTOMER, None),
            ({"CreatedById": MACHINE}, AuthorKind.SYSTEM, None),
            ({"CreatedById": None}, AuthorKind.UNKNOWN, None),
        ],
    )
    async def test_user_type(self, adapter, salesforce, writer, kind, name):
        """What kind of user wrote it tells customers from agents."""
        case_id = salesforce.open_case(Description=None)
        salesforce.comment(case_id, "hello", **writer)
        (reply,) = await read(adapter, case_id)
        assert (reply.author.kind, reply.author.name, reply.channel) == (kind, name, Channel.OTHER)

    async def test_edited(self, adapter, salesforce, clock):
        """An edited comment says when, and comes again from that instant on."""
        case_id = salesforce.open_case(Description=None)
        comment = salesforce.comment(case_id, "hello")
        assert (await read(adapter, case_id))[0].edited_at is None
        await clock.sleep(7200)
        salesforce.change("CaseComment", comment, CommentBody="hello!")
        (reply,) = await read(adapter, case_id, clock.now())
        assert (reply.edited_at, reply.body.text) == (clock.now().replace(microsecond=0), "hello!")

    async def test_published_later(self, adapter, salesforce, clock):
        """A comment that is published later comes from that instant on, now public."""
        case_id = salesforce.open_case(Description=None)
        comment = salesforce.comment(case_id, "hello", IsPublished=False)
        await clock.sleep(7200)
        salesforce.change("CaseComment", comment, IsPublished=True)
        (reply,) = await read(adapter, case_id, clock.now())
        assert reply.visibility is Visibility.PUBLIC

    async def test_deleted(self, adapter, salesforce):
        """A deleted comment is none, though the query shows it."""
        case_id = salesforce.open_case(Description=None)
        salesforce.comment(case_id, "hello", IsDeleted=True)
        assert await read(adapter, case_id) == []


class TestReading:
    """How they are asked for."""

    async def test_requests(self, adapter, salesforce):
        """The replies of a case whose state was just told are two requests, and three where it was not."""
        case_id, _ = salesforce.open_by_mail()
        (ticket,) = await adapter.tickets([case_id])
        [reply async for reply in adapter.replies(ticket, None)]
        (ticket,) = await adapter.tickets([case_id])
        for expected in (2, 3):
            salesforce.forget()
            [reply async for reply in adapter.replies(ticket, None)]
            assert len(salesforce.requests) == expected

    async def test_short_pages(self, adapter, salesforce, clock):
        """Long texts make pages shorter than 2,000 rows: the end of a query is what it says, not a short page."""
        salesforce.page_size = 2
        case_id = salesforce.open_case(clock.now() - timedelta(hours=1), Description=None)
        comments = [salesforce.comment(case_id, "x" * 4000, clock.now() + timedelta(seconds=n)) for n in range(5)]
        assert await ids(adapter, case_id) == comments

    async def test_reply_of_another_case(self, adapter, salesforce):
        """A reply of another case in the answer is a failure: somebody's words may not get into another thread."""
        case_id = salesforce.open_case()
        comment = salesforce.comment(case_id, "hello")
        await ids(adapter, case_id)
        (ticket,) = await adapter.tickets([case_id])
        row = f'{{"Id": "{comment}", "ParentId": "500Ac0000009999AAA", "CommentBody": "x", "IsPublished": true, '
        row += '"CreatedDate": "2026-01-01T00:00:00.000+0000", "SystemModstamp": "2026-01-01T00:00:00.000+0000", '
        body = (
            f'{{"totalSize": 1, "done": true, "records": [{row}"IsDeleted": false, "Incoming": true, "Status": "0"}}]}}'
        )
        salesforce.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="another case"):
            [reply async for reply in adapter.replies(ticket, None)]
