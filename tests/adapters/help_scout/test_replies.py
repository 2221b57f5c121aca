"""The messages and notes of one Help Scout conversation."""

import json
from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Attachment, AuthorKind, BodyFormat, Unavailability, Visibility


@pytest.fixture
def talk(help_scout, clock):
    """A conversation that a customer began an hour ago; its id."""
    return help_scout.open_conversation(clock.now() - timedelta(hours=1))[0]


@pytest.fixture
def read(adapter):
    """Reads all replies of a conversation by its id."""

    async def read_replies(conversation_id, since=None):
        (ticket,) = await adapter.tickets([str(conversation_id)])
        return [reply async for reply in adapter.replies(ticket, since)]

    return read_replies


class TestOrder:
    """Help Scout lists the newest thread first, page by page."""

    async def test_oldest_is_on_the_last_page(self, read, help_scout, talk, clock):
        """All pages of threads are read: who reads the first alone loses the oldest messages."""
        help_scout.embed_cap = 25
        at = clock.now() - timedelta(minutes=30)
        ids = [help_scout.add(talk, "message", "x", at + timedelta(seconds=number)) for number in range(99)]
        replies = await read(talk)
        assert [int(reply.id) for reply in replies][1:] == ids
        assert [reply.first_message for reply in replies] == [True] + 99 * [False]
        assert help_scout.count("/threads") == 4

    async def test_one_request(self, adapter, help_scout, talk):
        """A conversation whose threads come inside it costs one request, and none for its list of threads."""
        (ticket,) = await adapter.tickets([str(talk)])
        help_scout.forget()
        assert len([reply async for reply in adapter.replies(ticket, None)]) == 1
        assert help_scout.requests == [(f"/conversations/{talk}", {"embed": "threads"})]

    async def test_one_second(self, read, help_scout, talk, clock):
        """Messages of the same second come in the order of their ids as numbers, from nine to ten digits too."""
        at = clock.now()
        ids = [999_999_998, 999_999_999, 1_000_000_000, 1_000_000_001]
        for thread_id in reversed(ids):
            help_scout.add(talk, "customer", "x", at, id=thread_id)
        assert [int(reply.id) for reply in await read(talk)][1:] == ids

    async def test_older_than_asked_for(self, read, help_scout, talk, clock):
        """A message that is older than the instant asked for comes too: it may be a draft that was published late."""
        late = help_scout.add(talk, "message", "x", clock.now() - timedelta(minutes=50))
        assert str(late) in {reply.id for reply in await read(talk, clock.now())}

    @pytest.mark.parametrize("number", [1, 2, 3])
    async def test_deleted_while_it_is_read(self, adapter, help_scout, talk, clock, number):
        """A thread that vanishes between two pages moves an older one to a page already read: that is a failure.

        The older one would look deleted, and what waits of it would be withdrawn.
        """
        help_scout.embed_cap, help_scout.threads_page = 0, 3
        for second in range(11):
            help_scout.add(talk, "message", "x", clock.now() - timedelta(minutes=30 - second))
        (ticket,) = await adapter.tickets([str(talk)])
        rows, path = help_scout.conversations[talk]["rows"], f"/conversations/{talk}/threads"

        def vanish_before(page):
            """Delete the newest thread just before a page is answered."""
            help_scout.meanwhile[path] = rows.pop if page == 0 else lambda: vanish_before(page - 1)

        vanish_before(number)
        with pytest.raises(UnexpectedAnswer, match="lost a thread"):
            [reply async for reply in adapter.replies(ticket, None)]
        assert len([reply async for reply in adapter.replies(ticket, None)]) == 11

    async def test_written_while_it_is_read(self, adapter, help_scout, talk, clock):
        """A thread that comes between two pages pushes the others to pages still to come: all of them are read."""
        help_scout.embed_cap, help_scout.threads_page = 0, 3
        ids = {row["id"] for row in help_scout.conversations[talk]["rows"]}
        ids |= {help_scout.add(talk, "message", "x", clock.now() - timedelta(minutes=30 - at)) for at in range(8)}
        (ticket,) = await adapter.tickets([str(talk)])
        path = f"/conversations/{talk}/threads"

        def write_before_the_second_page():
            help_scout.meanwhile[path] = lambda: help_scout.add(talk, "customer", "new")

        help_scout.meanwhile[path] = write_before_the_second_page
        assert ids <= {int(reply.id) for reply in [reply async for reply in adapter.replies(ticket, None)]}

    async def test_same_page_again(self, read, help_scout, talk):
        """A list of threads that repeats its page is an error and not an endless read."""
        help_scout.embed_cap, help_scout.threads_page, help_scout.repeat_threads = 0, 1, True
        with pytest.raises(UnexpectedAnswer, match="same page"):
            await read(talk)

    async def test_no_threads_where_some_are_counted(self, adapter, help_scout, talk):
        """A list of threads without its threads, though it counts some, is a failure and not an empty conversation."""
        help_scout.embed_cap = 0
        (ticket,) = await adapter.tickets([str(talk)])
        path = f"/conversations/{talk}/threads"
        body = {"page": {"size": 25, "totalElements": 1, "totalPages": 1, "number": 1}}
        answer = (200, {}, json.dumps(body), "application/json")
        help_scout.meanwhile[path] = lambda: help_scout.next_answers.append(answer)
        with pytest.raises(UnexpectedAnswer, match="counts some"):
            [reply async for reply in adapter.replies(ticket, None)]

    async def test_no_threads_at_all(self, read, help_scout, talk):
        """A conversation without threads, in which their place is missing, has no replies."""
        help_scout.conversations[talk]["rows"].clear()
        assert await read(talk) == []


class TestVisibility:
    """What the customer sees, and what must never go out."""

    @pytest.mark.parametrize("kind", ["customer", "message", "chat", "beaconchat", "phone"])
    async def test_public(self, read, help_scout, talk, kind):
        """Messages of the types that customers see are public; an answer is called `message`, never `reply`."""
        thread = help_scout.add(talk, kind, "x")
        assert {reply.id: reply.visibility for reply in await read(talk)}[str(thread)] is Visibility.PUBLIC

    @pytest.mark.parametrize("kind", ["note", "forwardparent", "forwardchild", "reply", "novelty", "", None, "NOTE"])
    async def test_internal(self, read, help_scout, talk, kind):
        """Notes, what is forwarded to or from third parties, and types that are unknown, are internal."""
        thread = help_scout.add(talk, kind, "x")
        assert {reply.id: reply.visibility for reply in await read(talk)}[str(thread)] is Visibility.INTERNAL

    @pytest.mark.parametrize("state", ["hidden", "bounced", "novelty", "", None])
    async def test_hidden(self, read, help_scout, talk, state):
        """A message that was hidden, did not arrive, or is in an unknown state is internal, so that it is withdrawn."""
        thread = help_scout.add(talk, "message", "x", state=state)
        assert {reply.id: reply.visibility for reply in await read(talk)}[str(thread)] is Visibility.INTERNAL

    @pytest.mark.parametrize("state", ["draft", "underreview", "review"])
    async def test_not_sent_yet(self, read, help_scout, talk, state):
        """Drafts and messages under review do not come, though they are listed, until they are published."""
        thread = help_scout.add(talk, "message", "x", state=state)
        assert str(thread) not in {reply.id for reply in await read(talk)}
        help_scout.thread(thread)["state"] = "published"
        assert str(thread) in {reply.id for reply in await read(talk)}

    async def test_draft_of_a_conversation(self, read, help_scout, talk):
        """Of a conversation that is a draft itself nothing comes until it is published."""
        help_scout.touch(talk, state="draft")
        assert await read(talk) == []
        help_scout.touch(talk, state="published")
        assert len(await read(talk)) == 1

    async def test_draft_without_a_time(self, read, help_scout, talk):
        """A draft or an event in which something is missing spoils nothing."""
        help_scout.add(talk, "message", None, state="draft", createdAt=None, createdBy=None)
        help_scout.add(talk, "lineitem", None, createdAt=None, createdBy=None)
        assert len(await read(talk)) == 1

    async def test_events(self, read, help_scout, talk):
        """Events (assigned, closed, merged) are no replies; their body is null."""
        help_scout.add(talk, "lineitem", None, action={"type": "manual-workflow", "text": "You ran a workflow"})
        assert len(await read(talk)) == 1

    async def test_note_that_opened_a_conversation(self, read, help_scout, clock):
        """A conversation that begins with a note has it as its first message, and internal."""
        conversation, thread = help_scout.open_conversation(clock.now())
        help_scout.thread(thread)["type"] = "note"
        (reply,) = await read(conversation)
        assert reply.visibility is Visibility.INTERNAL


class TestAuthors:
    """Who wrote a message. The `customer` on each thread is whose conversation it is, not its author."""

    async def test_answer(self, read, help_scout, talk):
        """The answer of an agent is an agent's, with the name, though it carries the customer too."""
        help_scout.add(talk, "message", "x")
        question, answer = await read(talk)
        assert question.author.kind is AuthorKind.CUSTOMER
        assert question.author.name is None
        assert (answer.author.kind, answer.author.name) == (AuthorKind.AGENT, "Änne Agent")

    @pytest.mark.parametrize("kind", ["chat", "beaconchat", "phone"])
    async def test_either_side(self, read, help_scout, talk, kind):
        """What either side can write is told apart by who created it."""
        help_scout.add(talk, kind, "x", by=help_scout.customer)
        help_scout.add(talk, kind, "x", by=help_scout.agent)
        assert [reply.author.kind for reply in await read(talk)][1:] == [AuthorKind.CUSTOMER, AuthorKind.AGENT]

    async def test_on_behalf(self, read, help_scout, clock):
        """A customer's message that an agent or a program put in is the customer's."""
        conversation, thread = help_scout.open_conversation(clock.now())
        help_scout.thread(thread)["createdBy"] = help_scout.agent
        (reply,) = await read(conversation)
        assert reply.author.kind is AuthorKind.CUSTOMER

    async def test_team(self, read, help_scout, talk):
        """A team counts as an agent."""
        help_scout.add(talk, "chat", "x", by={"id": 9, "type": "team", "first": "Sales", "last": ""})
        author = (await read(talk))[1].author
        assert (author.kind, author.name) == (AuthorKind.AGENT, "Sales")

    @pytest.mark.parametrize("by", [{"type": "bot"}, {}, None])
    async def test_nobody(self, read, help_scout, talk, by):
        """A chat entry by somebody unknown has an unknown author, and is not lost."""
        thread = help_scout.add(talk, "chat", "x")
        help_scout.thread(thread)["createdBy"] = by
        assert (await read(talk))[1].author.kind is AuthorKind.UNKNOWN

    async def test_answer_without_its_author(self, read, help_scout, talk):
        """An answer whose author is missing is still an agent's: its type says so."""
        thread = help_scout.add(talk, "message", "x")
        help_scout.thread(thread)["createdBy"] = None
        assert (await read(talk))[1].author.kind is AuthorKind.AGENT

    async def test_workflow(self, read, help_scout, talk):
        """A message of a workflow is automatic; an agent's answer to a notification mail is not."""
        help_scout.add(talk, "message", "x", source="workflows")
        help_scout.add(talk, "message", "x", source="notification")
        assert [reply.author.kind for reply in await read(talk)][1:] == [AuthorKind.SYSTEM, AuthorKind.AGENT]


class TestContents:
    """Texts, files, channels."""

    async def test_body(self, read, help_scout, talk):
        """A body is HTML, of a megabyte too; one that is null is empty."""
        long = "<p>" + "ä" * 1_000_000 + "</p>"
        help_scout.add(talk, "message", long)
        help_scout.add(talk, "message", None)
        bodies = [reply.body for reply in await read(talk)][1:]
        assert [body.text for body in bodies] == [long, ""]
        assert {body.format for body in bodies} == {BodyFormat.HTML}

    async def test_edited(self, read, help_scout, talk):
        """An edit shows when the thread is read again; Help Scout keeps no time of it."""
        thread = help_scout.add(talk, "message", "before")
        help_scout.thread(thread)["body"] = "after"
        reply = (await read(talk))[1]
        assert (reply.body.text, reply.edited_at) == ("after", None)

    async def test_files(self, read, help_scout, talk):
        """Files are named with size and type, without a link that only programs could follow."""
        file = {"id": 3, "filename": "Rechnung.pdf", "mimeType": "application/pdf", "size": 2048, "state": "valid"}
        file["_links"] = {"data": {"href": "https://api.helpscout.net/v2/conversations/1/attachments/3/data"}}
        help_scout.add(talk, "message", "x", _embedded={"attachments": [file]})
        assert (await read(talk))[1].attachments == (Attachment("Rechnung.pdf", 2048, "application/pdf"),)

    async def test_files_that_cannot_be_read(self, read, help_scout, talk):
        """Files that cannot be read do not hold up the text that they hang on."""
        help_scout.add(talk, "message", "x", _embedded={"attachments": [{"filename": 7}]})
        reply = (await read(talk))[1]
        assert (reply.body.text, reply.attachments) == ("x", ())

    @pytest.mark.parametrize(
        ("conversation", "kind", "source", "channel"),
        [
            ("email", "customer", "email", Channel.EMAIL),
            ("email", "customer", "beacon", Channel.EMAIL),
            ("email", "message", "web", Channel.EMAIL),
            ("email", "message", "api", Channel.EMAIL),
            ("email", "phone", "web", Channel.PHONE),
            ("email", "customer", "heymarket", Channel.TEXT_MESSAGE),
            ("phone", "customer", "manual", Channel.PHONE),
            ("phone", "customer", "email", Channel.EMAIL),
            ("chat", "chat", "chat", Channel.CHAT),
            ("chat", "beaconchat", "beacon", Channel.CHAT),
            ("chat", "customer", "email", Channel.EMAIL),
            ("chat", "message", "web", Channel.CHAT),
            ("novelty", "customer", "docs", Channel.EMAIL),
            ("novelty", "customer", "channel", Channel.OTHER),
            ("novelty", "customer", "api", Channel.OTHER),
        ],
    )
    async def test_channels(self, read, help_scout, clock, conversation, kind, source, channel):
        """The channel is the thread's if its type is one, else that of its source, else the conversation's."""
        opened, _ = help_scout.open_conversation(clock.now(), kind=conversation)
        help_scout.add(opened, kind, "x", source=source)
        reply = (await read(opened))[1]
        assert (reply.channel, reply.vendor_channel) == (channel, source)


class TestMerging:
    """A conversation that goes away while it is read."""

    async def test_merged_before_its_threads(self, adapter, help_scout, talk, clock):
        """Threads that answer 404 make the conversation be asked for again, which tells where it was merged into."""
        help_scout.embed_cap = 0
        left, _ = help_scout.open_conversation(clock.now())
        (ticket,) = await adapter.tickets([str(talk)])
        help_scout.meanwhile[f"/conversations/{talk}/threads"] = lambda: help_scout.merge(talk, left)
        with pytest.raises(TicketUnavailable) as caught:
            [reply async for reply in adapter.replies(ticket, None)]
        assert caught.value.unavailable.reason is Unavailability.MERGED
        assert caught.value.unavailable.merged_into == str(left)

    async def test_threads_that_are_not_there(self, adapter, help_scout, talk):
        """Threads that answer 404 though their conversation is there are an error, not a conversation that is gone."""
        help_scout.embed_cap = 0
        (ticket,) = await adapter.tickets([str(talk)])
        answer = (404, {}, '{"message": "Not found", "logRef": "x"}', "application/json")
        path = f"/conversations/{talk}/threads"
        help_scout.meanwhile[path] = lambda: help_scout.next_answers.append(answer)
        with pytest.raises(UnexpectedAnswer, match="its conversation is there"):
            [reply async for reply in adapter.replies(ticket, None)]

    async def test_deleted_state(self, adapter, help_scout, talk):
        """A conversation whose state is `deleted` has no replies to tell: it is gone."""
        (ticket,) = await adapter.tickets([str(talk)])
        help_scout.touch(talk, state="deleted")
        with pytest.raises(TicketUnavailable):
            [reply async for reply in adapter.replies(ticket, None)]
