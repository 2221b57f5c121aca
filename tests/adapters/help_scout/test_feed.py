"""Reading all changes of an account of Help Scout from its one list of conversations."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import Cursor, Unavailability, Unavailable
from tests.adapters.help_scout.stand_in import stamp


async def read(pages):
    """Return all of an asynchronous iterator."""
    return [page async for page in pages]


def ids_on(pages):
    """Return the conversations that pages name, as numbers."""
    return {int(ticket_id) for page in pages for ticket_id in page.ticket_ids}


def replies_in(pages):
    """Return all replies of pages by their ids, as numbers."""
    return {int(reply.id): reply for page in pages for replies in page.replies.values() for reply in replies}


def ago(clock, seconds):
    """Return the instant so many seconds before now."""
    return clock.now() - timedelta(seconds=seconds)


def fill(account, clock, count, begin=7200):
    """Open conversations a second apart; return their ids, oldest first."""
    return [account.open_conversation(ago(clock, begin - number))[0] for number in range(count)]


class TestList:
    """What is asked, and what an answer says."""

    async def test_one_request(self, adapter, help_scout, clock):
        """A sweep of up to a page is one request, whatever number of conversations changed, and threads come along."""
        fill(help_scout, clock, 40)
        await adapter.check()
        help_scout.forget()
        pages = await read(adapter.changes(ago(clock, 9000)))
        assert len(replies_in(pages)) == 40
        ((path, query),) = help_scout.requests
        assert path == "/conversations"
        assert query == {
            "status": "all",
            "embed": "threads",
            "modifiedSince": stamp(ago(clock, 9300)),
            "sortField": "modifiedAt",
            "sortOrder": "asc",
            "page": "1",
        }

    async def test_whole_seconds(self, adapter, help_scout, clock):
        """A start with a fraction of a second is asked for without it, because Help Scout refuses fractions."""
        conversation, _ = help_scout.open_conversation(ago(clock, 60))
        assert ids_on(await read(adapter.changes(ago(clock, 60) + timedelta(milliseconds=900)))) == {conversation}

    async def test_closed_and_spam(self, adapter, help_scout, clock):
        """Conversations that are not active any more are in the feed: the default would list active ones alone."""
        states = {"closed": ThreadStatus.CLOSED, "spam": ThreadStatus.CLOSED, "pending": ThreadStatus.ONGOING}
        opened = {help_scout.open_conversation(ago(clock, 60), status=word)[0]: word for word in states}
        pages = await read(adapter.changes(ago(clock, 600)))
        assert {int(one.id): one.status for page in pages for one in page.tickets} == {
            key: states[word] for key, word in opened.items()
        }

    async def test_nothing(self, adapter, clock):
        """An empty list, in which the place of the conversations is missing, is nothing new and no error."""
        (page,) = await read(adapter.changes(ago(clock, 600)))
        assert page.ticket_ids == ()

    @pytest.mark.parametrize(
        "body",
        [
            {"page": {"size": 50, "totalElements": 2, "totalPages": 1, "number": 1}},
            {"page": {"size": 50, "totalElements": 2, "totalPages": 1, "number": 1}, "_embedded": {}},
            {"_embedded": {"conversations": []}},
            {"message": "Something went wrong", "logRef": "x"},
            [],
        ],
    )
    async def test_nothing_where_something_is_counted(self, adapter, help_scout, clock, body):
        """An answer without conversations that counts some, or does not count, is a failure and not an empty feed."""
        await adapter.check()
        help_scout.next_answers.append((200, {}, json.dumps(body), "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await read(adapter.changes(ago(clock, 600)))

    async def test_deleted_in_the_list(self, adapter, help_scout, clock):
        """A conversation that is listed as deleted is gone."""
        conversation, _ = help_scout.open_conversation(ago(clock, 60), state="deleted")
        (page,) = await read(adapter.changes(ago(clock, 600)))
        assert page.tickets == (Unavailable(str(conversation), Unavailability.GONE),)

    async def test_refused(self, adapter, help_scout, clock):
        """A list that the app's user may not read pauses the system; a refusal of somebody else does not."""
        await adapter.check()
        body = '{"message": "Forbidden", "logRef": "x"}'
        help_scout.next_answers.append((403, {}, body, "application/json"))
        with pytest.raises(PauseSystem, match="access to the inboxes"):
            await read(adapter.changes(ago(clock, 600)))
        help_scout.next_answers.append((403, {}, '{"message": "Forbidden"}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="check base_url"):
            await read(adapter.changes(ago(clock, 600)))


class TestCursor:
    """How far the feed got, though no conversation says when it was modified."""

    async def test_clock_of_the_answer(self, adapter, help_scout, clock):
        """The cursor is the time of the answer by its Date header, not that of anything in it."""
        help_scout.open_conversation(ago(clock, 3000))
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert page.cursor == stamp(clock.now())

    async def test_without_a_clock(self, adapter, help_scout, clock):
        """An answer whose Date cannot be read leaves the cursor where it was: more is read again, nothing is lost."""
        help_scout.has_date = False
        conversation, _ = help_scout.open_conversation(ago(clock, 600))
        pages = await read(adapter.changes(ago(clock, 900)))
        assert pages[-1].cursor == stamp(ago(clock, 900))
        assert ids_on(await read(adapter.changes(pages[-1].cursor))) == {conversation}

    async def test_a_clock_that_is_behind(self, adapter, clock):
        """A cursor never goes back, even if the clock of the answers does."""
        ahead = clock.now() + timedelta(minutes=10)
        (page,) = await read(adapter.changes(ahead))
        assert page.cursor == stamp(ahead)

    async def test_note_without_a_trace(self, adapter, help_scout, clock):
        """A change that moves no time of the conversation itself (a tag, a note) is found from the cursor."""
        conversation, _ = help_scout.open_conversation(ago(clock, 90_000))
        cursor = (await read(adapter.changes(ago(clock, 3600))))[-1].cursor
        await clock.sleep(1000)
        help_scout.touch(conversation, tags=[{"tag": "vip"}])
        assert ids_on(await read(adapter.changes(cursor))) == {conversation}

    async def test_latecomer(self, adapter, help_scout, clock):
        """A change that the list shows four minutes late is still read: the overlap holds it."""
        help_scout.lag_seconds = 240
        conversation, _ = help_scout.open_conversation(clock.now())
        cursor = (await read(adapter.changes(ago(clock, 3600))))[-1].cursor
        for _ in range(4):
            await clock.sleep(60)
            pages = await read(adapter.changes(cursor))
            cursor = pages[-1].cursor
        assert ids_on(pages) == {conversation}

    @pytest.mark.parametrize("text", ["abc", "", "2026-11-24", "2026-11-24T10:00:00.5Z", "2026-13-24T10:00:00Z"])
    async def test_foreign(self, adapter, text):
        """A cursor that this adapter did not make is refused."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter.changes(Cursor(text)))

    async def test_before_time(self, adapter, help_scout, clock):
        """A start before Help Scout existed is as good as any other."""
        conversation, _ = help_scout.open_conversation(ago(clock, 60))
        assert ids_on(await read(adapter.changes(datetime(1, 1, 1, tzinfo=UTC)))) == {conversation}


class TestPages:
    """A list of numbered pages that moves while it is read."""

    async def test_from_the_end(self, adapter, help_scout, clock):
        """After the first page, which says how many there are, pages are read from the last to the first."""
        help_scout.page_size = 4
        conversations = fill(help_scout, clock, 14)
        assert ids_on(await read(adapter.changes(ago(clock, 9000)))) == set(conversations)
        assert [query["page"] for _, query in help_scout.requests if "page" in query] == ["1", "4", "3", "2", "1"]

    @pytest.mark.parametrize("read_pages", [1, 2, 3])
    async def test_deleted_meanwhile(self, adapter, help_scout, clock, read_pages):
        """Conversations that vanish during a sweep, and so move all others forward, cost no other its place."""
        help_scout.page_size = 3
        conversations = fill(help_scout, clock, 12)
        pages, gone = [], set()
        async for page in adapter.changes(ago(clock, 9000)):
            pages.append(page)
            if len(pages) == read_pages:
                gone = {conversations[1], conversations[4]}
                for conversation in gone:
                    del help_scout.conversations[conversation]
        assert ids_on(pages) >= set(conversations) - gone

    @pytest.mark.parametrize("read_pages", [1, 2, 3])
    async def test_modified_meanwhile(self, adapter, help_scout, clock, read_pages):
        """Conversations that move to the end during a sweep cost no other its place, and are found themselves."""
        help_scout.page_size = 3
        conversations = fill(help_scout, clock, 12)
        pages, late = [], []
        async for page in adapter.changes(ago(clock, 9000)):
            pages.append(page)
            if len(pages) == read_pages:
                await clock.sleep(1)
                late = [help_scout.add(conversations[place], "customer", "late") for place in (0, 1, 2, 5)]
        assert ids_on(pages) == set(conversations)
        following = await read(adapter.changes(pages[-1].cursor))
        assert set(late) <= replies_in(following).keys()

    async def test_given_up_half_way(self, adapter, help_scout, clock):
        """Until the last page of a sweep the cursor stays: whoever stops before it reads the sweep again."""
        help_scout.page_size = 3
        conversations = fill(help_scout, clock, 10)
        pages = await read(adapter.changes(ago(clock, 9000)))
        assert {page.cursor for page in pages[:-1]} == {stamp(ago(clock, 9000))}
        assert pages[-1].cursor == stamp(clock.now())
        for page in pages[:-1]:
            assert ids_on(await read(adapter.changes(page.cursor))) == set(conversations)

    async def test_time_of_the_first_answer(self, adapter, help_scout, clock):
        """A sweep that takes long reaches up to its first answer, not to its last."""
        help_scout.page_size = 3
        fill(help_scout, clock, 10)
        begin, pages = clock.now(), []
        async for page in adapter.changes(ago(clock, 9000)):
            pages.append(page)
            await clock.sleep(100)
        assert pages[-1].cursor == stamp(begin)

    async def test_an_unsteady_order(self, adapter, help_scout, clock):
        """If fewer came than were counted, the list is read again, and what was passed over is found."""
        help_scout.page_size = 3
        conversations = fill(help_scout, clock, 9)
        help_scout.hides = {conversations[4]}
        pages = []
        async for page in adapter.changes(ago(clock, 9000)):
            pages.append(page)
            if len(pages) == 4:
                help_scout.hides = set()
        assert ids_on(pages) == set(conversations)
        assert help_scout.count("/conversations") == 7

    async def test_counted_and_never_shown(self, adapter, help_scout, clock):
        """A list that counts what it never shows is read again once, and then believed."""
        help_scout.page_size = 3
        conversations = fill(help_scout, clock, 9)
        help_scout.hides = {conversations[4]}
        pages = await read(adapter.changes(ago(clock, 9000)))
        assert ids_on(pages) == set(conversations) - help_scout.hides
        assert help_scout.count("/conversations") == 7
        assert pages[-1].cursor == stamp(clock.now())

    async def test_emptied_meanwhile(self, adapter, help_scout, clock):
        """A list that is empty before its last page is read ends the sweep."""
        help_scout.page_size = 3
        fill(help_scout, clock, 9)
        pages = []
        async for page in adapter.changes(ago(clock, 9000)):
            pages.append(page)
            help_scout.conversations.clear()
        assert pages[-1].cursor == stamp(clock.now())

    async def test_the_same_page_under_each_number(self, adapter, help_scout, clock):
        """A list that gives the same conversations whatever page is asked for is an error."""
        fill(help_scout, clock, 3)
        answers = []
        for number in (1, 3, 2):
            paging = {"size": 1, "totalElements": 3, "totalPages": 3, "number": number}
            answers.append({"page": paging, "_embedded": {"conversations": [{"id": 7, "number": 1, "threads": 0}]}})
        await adapter.check()
        help_scout.next_answers += [(200, {}, json.dumps(answer), "application/json") for answer in answers]
        with pytest.raises(UnexpectedAnswer, match="same page"):
            await read(adapter.changes(ago(clock, 9000)))

    async def test_another_page_than_asked_for(self, adapter, help_scout, clock):
        """An answer that says it is another page than the one asked for is an error."""
        await adapter.check()
        answer = {"page": {"size": 1, "totalElements": 3, "totalPages": 3, "number": 2}}
        answer["_embedded"] = {"conversations": [{"id": 7, "number": 1, "threads": 0}]}
        help_scout.next_answers.append((200, {}, json.dumps(answer), "application/json"))
        with pytest.raises(UnexpectedAnswer, match="another page"):
            await read(adapter.changes(ago(clock, 9000)))

    async def test_no_pages_though_something_is_counted(self, adapter, help_scout, clock):
        """A list that suddenly says that it has no pages, but counts more than came, comes to an end."""
        await adapter.check()
        for number, pages in ((1, 2), (2, 2), (1, 0), (1, 0)):
            paging = {"size": 1, "totalElements": 3, "totalPages": pages, "number": number}
            answer = {"page": paging, "_embedded": {"conversations": [{"id": number, "number": 1, "threads": 0}]}}
            help_scout.next_answers.append((200, {}, json.dumps(answer), "application/json"))
        assert ids_on(await read(adapter.changes(ago(clock, 9000)))) == {1, 2}


class TestThreads:
    """The threads that come inside the conversations of the feed."""

    async def test_same_reply(self, adapter, help_scout, clock):
        """A reply reads the same from the feed and from its ticket, and so does the ticket."""
        conversation, _ = help_scout.open_conversation(ago(clock, 900), kind="chat")
        help_scout.add(conversation, "message", "<p>answer</p>", ago(clock, 800), source="web")
        help_scout.add(conversation, "note", "hm", ago(clock, 700))
        help_scout.add(conversation, "phone", "called", ago(clock, 600), source="web")
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        (ticket,) = await adapter.tickets([str(conversation)])
        assert page.tickets == (ticket,)
        assert list(page.replies[ticket.id]) == await read(adapter.replies(ticket, None))

    async def test_long_ones_from_their_own_list(self, adapter, help_scout, clock):
        """A reply of a conversation that does not come whole reads the same as that of one that does."""
        conversation, _ = help_scout.open_conversation(ago(clock, 900))
        for number in range(10):
            help_scout.add(conversation, "message", "x", ago(clock, 800 - number))
        (ticket,) = await adapter.tickets([str(conversation)])
        whole = await read(adapter.replies(ticket, None))
        help_scout.embed_cap = 5
        assert await read(adapter.replies(ticket, None)) == whole
        assert help_scout.count("/threads") == 1

    @pytest.mark.parametrize("counts_everything", [True, False])
    @pytest.mark.parametrize("cap", [5, 10, 25, 50])
    async def test_cut(self, adapter, help_scout, clock, cap, counts_everything):
        """Threads that were cut are not taken for all, whatever is counted: the ticket is named without replies."""
        help_scout.counts_everything, help_scout.embed_cap = counts_everything, cap
        conversation, _ = help_scout.open_conversation(ago(clock, 900))
        for number in range(60):
            kind = "lineitem" if number % 5 == 0 else "message"
            help_scout.add(conversation, kind, "x", ago(clock, 800 - number))
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert page.ticket_ids == (str(conversation),)
        assert page.replies == {}

    @pytest.mark.parametrize(("threads", "handed"), [(24, True), (25, False), (26, False)])
    async def test_long(self, adapter, help_scout, clock, threads, handed):
        """A conversation with a page of threads or more is read from its own list, even if it came whole."""
        conversation, _ = help_scout.open_conversation(ago(clock, 900))
        for number in range(threads - 1):
            help_scout.add(conversation, "message", "x", ago(clock, 800 - number))
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert (str(conversation) in page.replies) is handed
        (ticket,) = await adapter.tickets([str(conversation)])
        assert len(await read(adapter.replies(ticket, None))) == threads
        assert (help_scout.count("/threads") == 0) is handed

    @pytest.mark.parametrize("counts_everything", [True, False])
    async def test_events_do_not_cost_a_request(self, adapter, help_scout, clock, counts_everything):
        """A conversation with events and drafts among its threads is whole, whether they are counted or not."""
        help_scout.counts_everything = counts_everything
        conversation, first = help_scout.open_conversation(ago(clock, 900))
        for _ in range(10):
            help_scout.add(conversation, "lineitem", None, ago(clock, 800))
        help_scout.add(conversation, "message", "not yet", ago(clock, 700), state="draft")
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert [reply.id for reply in page.replies[str(conversation)]] == [str(first)]

    async def test_nothing_written_yet(self, adapter, help_scout, clock):
        """A conversation without threads is told to have no replies, and need not be asked for."""
        conversation, _ = help_scout.open_conversation(ago(clock, 900))
        help_scout.conversations[conversation]["rows"].clear()
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert page.replies == {str(conversation): ()}

    async def test_published_later(self, adapter, help_scout, clock):
        """A draft that is published hours later, under its old time, comes with the feed."""
        conversation, _ = help_scout.open_conversation(ago(clock, 90_000))
        draft = help_scout.add(conversation, "message", "wait", ago(clock, 80_000), state="draft")
        cursor = (await read(adapter.changes(ago(clock, 100_000))))[-1].cursor
        await clock.sleep(3600)
        help_scout.thread(draft)["state"] = "published"
        help_scout.touch(conversation)
        assert draft in replies_in(await read(adapter.changes(cursor)))

    async def test_an_odd_conversation(self, adapter, help_scout, clock):
        """A conversation that cannot be read is named, to fail by itself, and the others are handed over."""
        odd, thread = help_scout.open_conversation(ago(clock, 900))
        fine, _ = help_scout.open_conversation(ago(clock, 800))
        help_scout.thread(thread)["createdAt"] = "yesterday"
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert ids_on([page]) == {odd, fine}
        assert set(page.replies) == {str(fine)}
        assert [ticket.id for ticket in page.tickets] == [str(fine)]

    async def test_merged(self, adapter, help_scout, clock):
        """After a merge the feed names the conversation that is left, with the threads of both."""
        old, first = help_scout.open_conversation(ago(clock, 900))
        left, second = help_scout.open_conversation(ago(clock, 800))
        help_scout.merge(old, left)
        pages = await read(adapter.changes(ago(clock, 3600)))
        assert ids_on(pages) == {left}
        assert replies_in(pages).keys() == {first, second}
