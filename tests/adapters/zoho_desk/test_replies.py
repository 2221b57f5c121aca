"""Threads, comments and descriptions of Zoho Desk as replies."""

import json
from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Attachment, AuthorKind, BodyFormat, Unavailability, Visibility
from tests.adapters.zoho_desk.stand_in import API, parse_stamp, stamp

HOUR = timedelta(hours=1)
LONG = f"<div>{'a long story, ' * 1000}the end</div>"


@pytest.fixture
def mail(zoho_desk, clock):
    """A ticket that a customer began by mail an hour ago; its id."""
    return zoho_desk.open_ticket(clock.now() - HOUR)[0]


@pytest.fixture
def call(zoho_desk, clock):
    """A ticket that an agent made of a call an hour ago; its id."""
    return zoho_desk.take_call(clock.now() - HOUR)


def texts(replies):
    """Return the texts of replies."""
    return [reply.body.text for reply in replies]


class TestWholeTexts:
    """The list of threads holds only beginnings."""

    async def test_summary_is_no_body(self, read, zoho_desk, mail):
        """The text of a thread is its content, not the summary of the list, which is cut at 180 characters."""
        text = f"<p>{'x' * 500}</p>"
        zoho_desk.write(mail, text)
        assert texts(await read(mail))[1] == text

    async def test_details_for_new_ones_alone(self, read, zoho_desk, mail, clock):
        """With a start, only threads of that time or later are asked for by themselves."""
        now = clock.now()
        zoho_desk.write(mail, "older", now - HOUR / 2)
        newest = zoho_desk.write(mail, "newest", now)
        zoho_desk.forget()
        replies = await read(mail, now)
        assert [reply.id for reply in replies] == [newest]
        assert zoho_desk.count("/threads/") == 1

    @pytest.mark.parametrize("kind", ["json", "html"])
    async def test_truncated(self, read, zoho_desk, mail, kind):
        """A very long text is read from its own address, at the configured host, whether it comes as JSON or bare."""
        zoho_desk.full_text_as = kind
        zoho_desk.write(mail, LONG)
        assert texts(await read(mail))[1] == LONG
        assert zoho_desk.count("/fullContent") == 1

    async def test_truncated_and_another_text(self, read, zoho_desk, mail):
        """A login page in the place of a long text is no text."""
        zoho_desk.full_text_as = "a login page"
        zoho_desk.write(mail, LONG)
        with pytest.raises(UnexpectedAnswer, match="another text"):
            await read(mail)

    @pytest.mark.parametrize("change", [{"fullContentURL": None}, {"isContentTruncated": "x"}])
    async def test_truncated_without_address(self, read, zoho_desk, mail, change):
        """A text that may be cut, and whose whole is nowhere, fails its ticket: half a reply is none."""
        thread = zoho_desk.write(mail, "half")
        row = {**zoho_desk.thread(thread), "content": "half", "isContentTruncated": True, **change}
        row = {name: value for name, value in row.items() if name not in {"sent", "text"}}
        answer = (200, {}, json.dumps(row), "application/json")
        path = f"{API}/tickets/{mail}/threads/{thread}"
        zoho_desk.meanwhile[path] = lambda: zoho_desk.next_answers.append(answer)
        with pytest.raises(UnexpectedAnswer, match="fullContentURL"):
            await read(mail)

    async def test_empty_text(self, read, zoho_desk, mail):
        """A thread without text (a file alone) is a reply all the same."""
        zoho_desk.write(mail, "", attachments=[{"id": "1", "name": "scan.pdf", "size": "2048", "href": "https://x/y"}])
        reply = (await read(mail))[1]
        assert reply.body.text == ""
        assert reply.attachments == (Attachment("scan.pdf", 2048),)

    async def test_unreadable_files(self, read, zoho_desk, mail):
        """Files that cannot be read do not hold up the text that they hang on."""
        zoho_desk.write(mail, "text", attachments=[{"name": 7}])
        assert (await read(mail))[1].attachments == ()

    @pytest.mark.parametrize(
        ("word", "kind"),
        [
            ("text/html", BodyFormat.HTML),
            ("html", BodyFormat.HTML),
            ("text/plain", BodyFormat.TEXT),
            ("text/plain; charset=utf-8", BodyFormat.TEXT),
            ("plainText", BodyFormat.TEXT),
            (None, BodyFormat.HTML),
        ],
    )
    async def test_formats(self, read, zoho_desk, mail, word, kind):
        """Threads and comments have different words for the same formats."""
        zoho_desk.write(mail, "x", contentType=word)
        zoho_desk.comment(mail, "x", contentType=word)
        assert [reply.body.format for reply in await read(mail)][1:] == [kind, kind]


class TestFirstMessage:
    """Where a ticket begins."""

    @pytest.mark.parametrize("marks", [True, False])
    async def test_mail(self, read, zoho_desk, clock, marks):
        """A ticket by mail begins with its first thread, whether the account marks it or not, and that comes once."""
        zoho_desk.marks_openings = marks
        ticket, first = zoho_desk.open_ticket(clock.now() - HOUR + timedelta(milliseconds=700), description="hello")
        answer = zoho_desk.write(ticket, "answer")
        replies = await read(ticket)
        assert [(reply.id, reply.first_message) for reply in replies] == [(first, True), (answer, False)]

    async def test_call(self, read, zoho_desk, call):
        """A ticket by phone begins with its description, although it has no thread at all."""
        (reply,) = await read(call)
        assert (reply.id, reply.first_message) == (f"description-{call}", True)
        assert (reply.body.text, reply.author.kind, reply.channel) == ("called", AuthorKind.CUSTOMER, Channel.PHONE)
        assert stamp(reply.created_at) == zoho_desk.tickets[call]["createdTime"]
        assert zoho_desk.tickets[call]["threads"] == []

    async def test_call_and_answers(self, read, zoho_desk, call):
        """Threads of later take nothing from the description."""
        zoho_desk.write(call, "answer")
        zoho_desk.write(call, "thanks", direction="in")
        replies = await read(call)
        assert texts(replies) == ["called", "answer", "thanks"]
        assert [reply.first_message for reply in replies] == [True, False, False]

    async def test_description_and_since(self, read, zoho_desk, call):
        """The description is as old as its ticket, and its own instant is included."""
        began = parse_stamp(zoho_desk.tickets[call]["createdTime"])
        assert len(await read(call, began)) == 1
        assert await read(call, began + timedelta(milliseconds=1)) == []

    async def test_written_out(self, read, zoho_desk, clock):
        """A ticket that an agent began by mail begins with that mail: a description of the same text is no second."""
        text = "<p>Your card &amp; key are&nbsp;ready.</p><p>See you!</p>"
        ticket = zoho_desk.take_call(clock.now() - HOUR, text, channel="Email")
        summary = "Your card & key are ready. See you!"
        mail = zoho_desk.write(ticket, text, clock.now() - HOUR, summary=summary)
        (reply,) = await read(ticket)
        assert (reply.id, reply.first_message, reply.author.kind) == (mail, True, AuthorKind.AGENT)

    async def test_written_out_and_on_its_way(self, read, zoho_desk, clock):
        """While the mail that begins a ticket is on its way, its description is not told as the customer's."""
        ticket = zoho_desk.take_call(clock.now() - HOUR, "ready", channel="Email")
        zoho_desk.write(ticket, "ready", opening=True, status="PENDING")
        assert await read(ticket) == []

    async def test_unmarked_and_on_its_way(self, read, zoho_desk, clock):
        """Where no thread is marked, a first mail on its way is not told by its description, and so not twice."""
        zoho_desk.marks_openings = False
        ticket = zoho_desk.take_call(clock.now() - HOUR, "ready", channel="Email")
        mail = zoho_desk.write(ticket, "ready", clock.now() - HOUR, opening=True, status="PENDING")
        assert await read(ticket) == []
        zoho_desk.thread(mail)["status"] = "SUCCESS"
        assert [(one.id, one.first_message) for one in await read(ticket)] == [(mail, True)]

    async def test_call_and_answer_at_once(self, read, zoho_desk, clock):
        """An answer within the minute takes nothing from a call's description, as it says something else."""
        call = zoho_desk.take_call(clock.now() - HOUR)
        zoho_desk.write(call, "answer", clock.now() - HOUR + timedelta(seconds=20))
        assert texts(await read(call)) == ["called", "answer"]

    async def test_no_description(self, read, zoho_desk, call):
        """A ticket without text and threads has no reply, and no empty one."""
        zoho_desk.touch(call, description=None)
        assert await read(call) == []

    async def test_two_openings(self, read, zoho_desk, mail, clock):
        """If a merge brings a second marked thread, only the oldest is the first message."""
        zoho_desk.write(mail, "of the other", clock.now() - 2 * HOUR, direction="in", opening=True)
        assert [reply.first_message for reply in await read(mail)] == [True, False]


class TestInside:
    """What must not leave."""

    async def test_comments(self, read, zoho_desk, mail):
        """A comment is internal unless it is public; a public one is what customers see in their portal."""
        zoho_desk.comment(mail, "inside")
        zoho_desk.comment(mail, "for you", public=True)
        replies = (await read(mail))[1:]
        assert [reply.visibility for reply in replies] == [Visibility.INTERNAL, Visibility.PUBLIC]
        assert {(reply.channel, reply.vendor_channel) for reply in replies} == {(Channel.OTHER, "COMMENT")}

    @pytest.mark.parametrize("value", [None, "true", "yes", 1, 0, "false", [], {}])
    async def test_unreadable_comments(self, read, zoho_desk, mail, value):
        """A comment whose visibility is anything but JSON's true is internal."""
        zoho_desk.comment(mail, "inside", isPublic=value)
        assert (await read(mail))[1].visibility is Visibility.INTERNAL

    @pytest.mark.parametrize(
        "fields",
        [
            {"visibility": "private"},
            {"visibility": "novelty"},
            {"visibility": None},
            {"isForward": True},
            {"isForward": "true"},
            {"status": "NOVELTY"},
            {"status": None},
        ],
    )
    async def test_threads(self, read, zoho_desk, mail, fields):
        """Private threads, those forwarded to third parties, and whatever is unclear are internal; no text is asked."""
        zoho_desk.write(mail, "inside", **fields)
        zoho_desk.forget()
        assert (await read(mail))[1].visibility is Visibility.INTERNAL
        assert zoho_desk.count("/threads/") == 1

    async def test_made_private_meanwhile(self, read, zoho_desk, mail):
        """A thread that is public in the list and private by itself is internal."""
        thread = zoho_desk.write(mail, "inside")
        path = f"{API}/tickets/{mail}/threads/{thread}"
        zoho_desk.meanwhile[path] = lambda: zoho_desk.thread(thread).update(visibility="private")
        assert (await read(mail))[1].visibility is Visibility.INTERNAL

    async def test_published_later(self, read, zoho_desk, mail, clock):
        """A comment that is made public later comes with every reading, however old, and says when."""
        now = clock.now()
        zoho_desk.comment(mail, "x", now - HOUR, public=True, modifiedTime=stamp(now))
        (reply,) = await read(mail, now + HOUR)
        assert (reply.created_at, reply.edited_at) == (now - HOUR, now)


class TestUnsent:
    """Drafts and messages that did not go out."""

    @pytest.mark.parametrize("state", ["DRAFT", "PENDING", "FAILED", "draft"])
    async def test_not_yet(self, read, zoho_desk, mail, state):
        """Drafts, messages on their way, and those that failed are no replies; they come when they were sent."""
        thread = zoho_desk.write(mail, "answer", status=state)
        assert len(await read(mail)) == 1
        zoho_desk.thread(thread)["status"] = "SUCCESS"
        assert [reply.id for reply in await read(mail)][1:] == [thread]

    async def test_old_draft(self, read, zoho_desk, mail, clock):
        """A draft that is sent late and keeps the time when it was begun comes after all."""
        draft = zoho_desk.write(mail, "answer", clock.now() - HOUR / 2, status="DRAFT")
        await read(mail, clock.now())
        zoho_desk.thread(draft)["status"] = "SUCCESS"
        assert [reply.id for reply in await read(mail, clock.now())] == [draft]

    async def test_draft_without_time(self, read, zoho_desk, mail):
        """A draft need not have the fields that replies have."""
        zoho_desk.write(mail, "draft", status="DRAFT", createdTime=None, direction=None)
        assert len(await read(mail)) == 1


class TestAuthors:
    """Who wrote."""

    @pytest.mark.parametrize(
        ("direction", "kind", "expected"),
        [
            ("in", "END_USER", AuthorKind.CUSTOMER),
            ("in", "AGENT", AuthorKind.CUSTOMER),
            ("out", "AGENT", AuthorKind.AGENT),
            ("out", "END_USER", AuthorKind.AGENT),
            (None, "AGENT", AuthorKind.AGENT),
            (None, "END_USER", AuthorKind.CUSTOMER),
            ("sideways", "NOVELTY", AuthorKind.UNKNOWN),
        ],
    )
    async def test_direction_first(self, read, zoho_desk, mail, direction, kind, expected):
        """The direction decides, then the type of the author."""
        zoho_desk.write(mail, "x", direction=direction, author={"type": kind, "name": "Änne Agent"})
        author = (await read(mail))[1].author
        assert author.kind is expected
        assert author.name == ("Änne Agent" if expected is AuthorKind.AGENT else None)

    @pytest.mark.parametrize("direction", ["in", "out"])
    async def test_on_behalf(self, read, zoho_desk, mail, direction):
        """What an agent writes in the name of a contact is the customer's, whichever direction it has."""
        zoho_desk.write(mail, "x", direction=direction, impersonatedUser={"id": "901"})
        assert (await read(mail))[1].author.kind is AuthorKind.CUSTOMER

    async def test_nobody(self, read, zoho_desk, mail):
        """A thread or comment of somebody who was deleted has no author, and is a reply all the same."""
        zoho_desk.write(mail, "x", author=None)
        zoho_desk.comment(mail, "x", commenter=None)
        kinds = [reply.author.kind for reply in await read(mail)]
        assert kinds[1:] == [AuthorKind.AGENT, AuthorKind.UNKNOWN]

    async def test_names_in_parts(self, read, zoho_desk, mail):
        """An agent without a full name is told by its parts."""
        zoho_desk.write(mail, "x", author={"type": "AGENT", "firstName": "Änne", "lastName": "Agent"})
        assert (await read(mail))[1].author.name == "Änne Agent"

    async def test_commenters(self, read, zoho_desk, mail):
        """Comments of customers are the customer's."""
        zoho_desk.comment(mail, "x", public=True, by=zoho_desk.contact)
        assert (await read(mail))[1].author.kind is AuthorKind.CUSTOMER


class TestChannels:
    """The channel of each thread."""

    @pytest.mark.parametrize(
        ("word", "channel"),
        [
            ("EMAIL", Channel.EMAIL),
            ("Email", Channel.EMAIL),
            ("OUTBOUND_EMAIL", Channel.EMAIL),
            ("PHONE", Channel.PHONE),
            ("Zoho Voice", Channel.PHONE),
            ("ONLINE_CHAT", Channel.CHAT),
            ("FACEBOOK_DM", Channel.CHAT),
            ("FACEBOOK", Channel.OTHER),
            ("TWITTER", Channel.OTHER),
            ("WHATSAPP", Channel.TEXT_MESSAGE),
            ("SMS", Channel.TEXT_MESSAGE),
            ("WEB", Channel.OTHER),
            ("Some Marketplace App", Channel.OTHER),
            (None, Channel.OTHER),
        ],
    )
    async def test_words(self, read, zoho_desk, mail, word, channel):
        """The channel is the thread's own, which can be another than the ticket's, in any spelling."""
        zoho_desk.write(mail, "x", channel=word)
        reply = (await read(mail))[1]
        assert reply.channel is channel
        assert reply.vendor_channel == (word and word.upper().replace(" ", "_"))


class TestLists:
    """Lists of a ticket, which do not say where they end."""

    @pytest.mark.parametrize("size", [1, 3, 4, 100])
    async def test_places_from_one(self, read, zoho_desk, mail, clock, size):
        """Places of lists begin at 1, unlike those of the search: nothing is skipped at a border, and nothing twice."""
        zoho_desk.list_page = size
        for number in range(7):
            zoho_desk.write(mail, f"answer {number}", clock.now() - HOUR + timedelta(minutes=number + 1))
        for number in range(7):
            zoho_desk.comment(mail, f"note {number}")
        zoho_desk.forget()
        told = texts(await read(mail))
        assert told == ["hello", *(f"answer {number}" for number in range(7)), *(f"note {n}" for n in range(7))]
        assert all(query["from"] != "0" for _, query in zoho_desk.requests if "from" in query)

    async def test_counts_that_are_hidden(self, read, zoho_desk, mail):
        """Where the profile hides the counts, lists are read until they are empty: 204, and no JSON."""
        zoho_desk.hides = {"threadCount", "commentCount"}
        zoho_desk.comment(mail, "note")
        zoho_desk.forget()
        assert texts(await read(mail)) == ["hello", "note"]
        assert zoho_desk.count("/comments") == 2

    async def test_no_comments(self, read, zoho_desk, mail):
        """Comments that are counted as none are not asked for: a list costs three credits. The count is a text."""
        await read(mail)
        assert zoho_desk.count("/comments") == 0

    @pytest.mark.parametrize("name", ["threads", "comments"])
    async def test_again_and_again(self, read, zoho_desk, mail, name):
        """A list that gives the same page again and again is an error, and not an endless read."""
        row = {**zoho_desk.tickets[mail]["threads"][0], "text": "", "sent": ""}
        row |= {"commentedTime": row["createdTime"], "status": "DRAFT"}
        zoho_desk.comment(mail, "x")
        page = (200, {}, json.dumps({"data": [row] * 100}), "application/json")
        path = f"{API}/tickets/{mail}/{name}"

        def repeat():
            zoho_desk.next_answers.append(page)
            zoho_desk.meanwhile[path] = repeat

        zoho_desk.meanwhile[path] = repeat
        with pytest.raises(UnexpectedAnswer, match="again and again"):
            await read(mail)

    async def test_finer_start(self, read, zoho_desk, mail, clock):
        """A start that is finer than Zoho's milliseconds loses nothing."""
        now = clock.now()
        zoho_desk.write(mail, "x", now)
        assert texts(await read(mail, now + timedelta(microseconds=400))) == ["x"]


class TestAway:
    """A ticket that goes away while it is read."""

    async def test_thread_moved(self, read, zoho_desk, mail):
        """A thread that is gone while its ticket is there fails the ticket: it was moved, and is not lost."""
        thread = zoho_desk.write(mail, "x")
        path = f"{API}/tickets/{mail}/threads/{thread}"
        zoho_desk.meanwhile[path] = zoho_desk.tickets[mail]["threads"].pop
        with pytest.raises(UnexpectedAnswer, match="its ticket is there"):
            await read(mail)

    async def test_ticket_gone(self, read, zoho_desk, mail):
        """A thread that is gone with its ticket makes the ticket gone."""
        (thread,) = zoho_desk.tickets[mail]["threads"]
        zoho_desk.meanwhile[f"{API}/tickets/{mail}/threads/{thread['id']}"] = lambda: zoho_desk.purge(mail)
        with pytest.raises(TicketUnavailable) as caught:
            await read(mail)
        assert caught.value.unavailable.reason is Unavailability.GONE
