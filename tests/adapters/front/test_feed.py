"""Reading all changes of a company at Front from its events."""

from contextlib import suppress
from datetime import timedelta

import pytest

from adapters.front import Front
from syncd.model.communication import ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor, Ticket, Visibility
from syncd.testing.distortion import RecordedHttp
from tests.adapters.front.stand_in import stamp

SENT = ["id", "type", "is_inbound", "created_at", "recipients", "body"]


async def read(pages):
    """Return all of an asynchronous iterator."""
    return [page async for page in pages]


async def know(adapter, conversation):
    """Read a conversation, as the core does with every new link; return its replies by id."""
    return {one.id: one for one in await read(adapter.replies(Ticket(conversation, conversation), None))}


def ids_on(pages):
    """Return the conversations that pages name, in order."""
    return [ticket_id for page in pages for ticket_id in page.ticket_ids]


def told_in(pages):
    """Return the replies of pages by conversation, of those of which nothing more need be read."""
    return {key: replies for page in pages for key, replies in page.replies.items()}


def ago(clock, seconds):
    """Return the instant so many seconds before now."""
    return clock.now() - timedelta(seconds=seconds)


def fill(front, clock, count, begin=7200):
    """Open conversations a second apart; return their ids, oldest first."""
    return [front.open_conversation(ago(clock, begin - number))[0] for number in range(count)]


class TestQuestion:
    """What is asked, and what an answer says."""

    async def test_first_page(self, adapter, front, clock):
        """Asked for are the types that matter, oldest first, fifteen at a time, from a millisecond before the start."""
        start = ago(clock, 600).replace(microsecond=123_000)
        await read(adapter.changes(start))
        ((path, query),) = front.requests
        assert path == "/events"
        assert query["q[after]"] == f"{int(start.timestamp())}.122"
        assert (query["sort_order"], query["limit"]) == ("asc", "15")

    async def test_types(self, adapter, front, clock):
        """Comments, tags and assignments cost no page: a busy account has many of them."""
        conversation, _ = front.open_conversation(ago(clock, 900))
        for kind in ("tag", "assign", "move"):
            front.emit(kind, conversation, ago(clock, 500))
        front.comment(conversation, "for colleagues", ago(clock, 500))
        assert ids_on(await read(adapter.changes(ago(clock, 600)))) == []

    @pytest.mark.parametrize("is_included", [True, False])
    async def test_bound(self, adapter, front, clock, is_included):
        """Whether or not Front counts q[after] itself in, the event at the start comes, and the one before does not."""
        front.is_after_included = is_included
        front.open_conversation(ago(clock, 600) - timedelta(milliseconds=1))
        conversation, _ = front.open_conversation(ago(clock, 600))
        assert ids_on(await read(adapter.changes(ago(clock, 600)))) == [conversation]

    async def test_never_rounded_up(self, adapter, front, clock):
        """A start between two milliseconds is rounded down: rounded up it would skip an event."""
        at = ago(clock, 600).replace(microsecond=999_000)
        conversation, _ = front.open_conversation(at)
        pages = await read(adapter.changes(at + timedelta(microseconds=900)))
        assert ids_on(pages) == [conversation]

    async def test_full_pages_are_not_the_end(self, adapter, front, clock):
        """A page may be shorter than asked for: only the next address says whether there is more."""
        front.events_page = 4
        assert ids_on(await read(adapter.changes(ago(clock, 9000)))) == []
        conversations = fill(front, clock, 9)
        assert ids_on(await read(adapter.changes(ago(clock, 9000)))) == conversations

    async def test_fifteen_a_request(self, adapter, front, clock):
        """Forty events are three requests, and none for each conversation."""
        fill(front, clock, 40)
        await read(adapter.changes(ago(clock, 9000)))
        assert len(front.requests) == 3

    @pytest.mark.parametrize("ignored", ["q[after]", "sort_order"])
    async def test_ignored_questions(self, adapter, front, clock, ignored):
        """An answer that ignores the bound or the order is a failure: it would lose events, or never end."""
        for seconds in (9000, 8000, 3000, 1000):
            front.open_conversation(ago(clock, seconds))
        front.ignored = {ignored}
        with pytest.raises(UnexpectedAnswer, match="ignored"):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_endless_empty_pages(self, adapter, front, clock):
        """Next pages without end and without events are a failure."""
        front.endless = "events"
        with pytest.raises(UnexpectedAnswer, match="again and again"):
            await read(adapter.changes(ago(clock, 600)))
        assert len(front.requests) <= 21

    async def test_events_that_go_on_happening(self, adapter, front, clock):
        """A sweep ends with what happened before it began, however much happens meanwhile."""
        fill(front, clock, 3)
        front.events_page = 1

        def happen():
            front.meanwhile["/events"] = happen
            front.open_conversation(clock.now() + timedelta(seconds=5 + len(front.events)))

        # The stand-in lists what is still to come here, as Front would list what happens during a long sweep.
        front.event_lag = -86_400
        happen()
        assert len(ids_on(await read(adapter.changes(ago(clock, 9000))))) == 3
        assert len(front.requests) <= 6


class TestTwoMinutes:
    """How far events are read."""

    async def test_behind(self, adapter, front, clock):
        """Events of the last two minutes wait: others of their time may still appear."""
        conversation, _ = front.open_conversation(ago(clock, 60))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ids_on(pages) == []
        await clock.sleep(62)
        assert ids_on(await read(adapter.changes(pages[-1].cursor))) == [conversation]

    async def test_late_events(self, adapter, front, clock):
        """An event that is listed two minutes late is not missed, though newer ones were told meanwhile."""
        cursor = ago(clock, 600)
        late, _ = front.open_conversation(ago(clock, 10))
        hidden = front.events.pop()
        other, _ = front.open_conversation(ago(clock, 5))
        found = []
        for step in range(8):
            if step == 3:
                front.events.append(hidden)
            pages = await read(adapter.changes(cursor))
            found += ids_on(pages)
            cursor = pages[-1].cursor
            await clock.sleep(30)
        assert sorted(found) == sorted([late, other])

    async def test_each_once(self, adapter, front, clock):
        """From sweep to sweep every event comes once."""
        cursor, found, opened = ago(clock, 600), [], []
        for _ in range(20):
            opened.append(front.open_conversation(clock.now())[0])
            pages = await read(adapter.changes(cursor))
            found += ids_on(pages)
            cursor = pages[-1].cursor
            await clock.sleep(17.003)
        assert found == opened[: len(found)]
        assert len(found) >= 12

    async def test_clock_of_the_answer(self, adapter, clock):
        """The cursor is two minutes before the answer by its Date header: there need be no event."""
        pages = await read(adapter.changes(ago(clock, 600)))
        assert pages[-1].cursor == str(int(clock.now().timestamp()) * 1000 - 120_000)

    async def test_start_within_two_minutes(self, adapter, clock):
        """A feed that begins now waits there, and does not go back."""
        start = clock.now().replace(microsecond=0)
        pages = await read(adapter.changes(start))
        assert pages[-1].cursor == str(int(start.timestamp() * 1000))

    async def test_no_date(self, adapter, front, clock):
        """Without a Date header nobody knows how far events can be read: a failure, not a guess."""
        front.has_date = False
        with pytest.raises(UnexpectedAnswer, match="Date"):
            await read(adapter.changes(ago(clock, 600)))

    async def test_same_instant_across_pages(self, adapter, front, clock):
        """Whoever stops after any page and goes on from its cursor misses nothing, also of one and the same instant."""
        front.events_page = 3
        conversations = [front.open_conversation(ago(clock, 900))[0] for _ in range(10)]
        pages = await read(adapter.changes(ago(clock, 1000)))
        for number, page in enumerate(pages, start=1):
            told = set(ids_on(pages[:number])) | set(ids_on(await read(adapter.changes(page.cursor))))
            assert told == set(conversations)

    async def test_events_a_little_out_of_order(self, adapter, front, clock):
        """Two minutes is how far the order is trusted: the cursor within a sweep stays that far behind."""
        front.events_page = 1
        fill(front, clock, 3, begin=900)
        newest = front.events[0][0]
        first, *_ = await read(adapter.changes(ago(clock, 9000)))
        assert int(first.cursor) == round(stamp(newest) * 1000) - 120_000

    @pytest.mark.parametrize("cursor", ["", "x", "12.5", "-1", "2026-01-01T00:00:00Z", "9" * 16])
    async def test_strange_cursor(self, adapter, front, cursor):
        """A cursor of another system is refused before anything is asked."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter.changes(Cursor(cursor)))
        assert front.requests == []


class TestReplies:
    """Replies that come with the events."""

    async def test_unknown_conversation(self, adapter, front, clock):
        """Of a conversation that was never read nobody knows the first message: it is named, to be read if linked."""
        conversation, _ = front.open_conversation(ago(clock, 300))
        (page,) = await read(adapter.changes(ago(clock, 600)))
        assert page.ticket_ids == (conversation,)
        assert page.replies == {}

    async def test_same_reply(self, adapter, front, clock):
        """A reply reads the same from the feed and from its conversation, the first message too."""
        conversation, first = front.open_conversation(ago(clock, 400), text="Where?")
        files = [{"id": "fil_1", "filename": "a.pdf", "content_type": "x/y", "size": 12, "metadata": {}}]
        answer = front.write(conversation, "There.", ago(clock, 300), inbound=False, attachments=files)
        phone = front.write(conversation, "From home.", ago(clock, 250), inbound=False, author=None)
        thanks = front.write(conversation, "Thanks.", ago(clock, 200), text="")
        known = await know(adapter, conversation)
        front.forget()
        (page,) = await read(adapter.changes(ago(clock, 600)))
        assert page.replies == {conversation: tuple(known[key] for key in (first, answer, phone, thanks))}
        assert len(front.requests) == 1

    async def test_same_state(self, adapter, front, clock):
        """A conversation's state reads the same from the feed, too."""
        conversation, _ = front.open_conversation(ago(clock, 400), assignee=front.agent)
        (page,) = await read(adapter.changes(ago(clock, 600)))
        assert list(page.tickets) == await adapter.tickets([conversation])

    async def test_partial_messages(self, adapter, front, clock):
        """The message of an event may be there in part: its conversation is left to be read."""
        conversation, _ = front.open_conversation(ago(clock, 400))
        await know(adapter, conversation)
        front.partial_targets = True
        (page,) = await read(adapter.changes(ago(clock, 600)))
        assert page.ticket_ids == (conversation,)
        assert page.replies == {}

    @pytest.mark.parametrize("name", [*SENT, "draft_mode", "error_type", "subject", "author", "attachments"])
    async def test_each_field_counts(self, adapter, front, clock, name):
        """A message that lacks any field that a reply is made of is no whole one."""
        conversation, message = front.open_conversation(ago(clock, 400))
        await know(adapter, conversation)
        kept = front.message(message)
        del kept[name]
        assert told_in(await read(adapter.changes(ago(clock, 600)))) == {}

    async def test_whole_and_partial_together(self, adapter, front, clock):
        """If one message of a conversation is there and another in part, the conversation is left to be read."""
        conversation, _ = front.open_conversation(ago(clock, 400))
        await know(adapter, conversation)
        front.write(conversation, "x", ago(clock, 300), body=None)
        assert told_in(await read(adapter.changes(ago(clock, 600)))) == {}

    async def test_older_than_the_first(self, adapter, front, clock):
        """A message older than the first that was read may be the first now: the conversation is left to be read."""
        conversation, _ = front.open_conversation(ago(clock, 400))
        await know(adapter, conversation)
        front.write(conversation, "sent before", ago(clock, 500))
        assert told_in(await read(adapter.changes(ago(clock, 600)))) == {}

    @pytest.mark.parametrize("fields", [{"draft_mode": "shared"}, {"error_type": "bounced"}])
    async def test_drafts_and_failures(self, adapter, front, clock, fields):
        """A message that is back among the drafts (its sending was undone), or failed, is no reply of the feed."""
        conversation, _ = front.open_conversation(ago(clock, 900))
        await know(adapter, conversation)
        message = front.write(conversation, "sent", ago(clock, 300), inbound=False)
        front.message(message).update(fields)
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ids_on(pages) == [conversation]
        assert told_in(pages) == {}

    async def test_discussions(self, adapter, front, clock):
        """Discussions and tasks are not in the feed at all."""
        front.open_conversation(ago(clock, 300), type="discussion")
        front.open_conversation(ago(clock, 300), type="task")
        assert ids_on(await read(adapter.changes(ago(clock, 600)))) == []

    async def test_internal_type(self, adapter, front, clock):
        """A message of the type internal is internal in the feed, too."""
        conversation, _ = front.open_conversation(ago(clock, 900))
        await know(adapter, conversation)
        front.write(conversation, "for colleagues", ago(clock, 300), type="internal")
        ((reply,),) = told_in(await read(adapter.changes(ago(clock, 600)))).values()
        assert reply.visibility is Visibility.INTERNAL

    async def test_bad_input(self, adapter, front, clock):
        """Whatever is wrong in an event: its reply comes, its conversation is left to be read, or it is a failure."""
        conversation, _ = front.open_conversation(ago(clock, 400))
        front.write(conversation, "There.", ago(clock, 300), inbound=False)
        recorded = RecordedHttp(adapter.http)
        knowing = Front(adapter.options, recorded)
        known = await know(knowing, conversation)
        recorded.recorded.clear()
        await read(knowing.changes(ago(clock, 600)))
        for distortion in list(recorded.distortions()):
            recorded.play({distortion.key: distortion.apply(recorded.recorded[distortion.key])})
            with suppress(UnexpectedAnswer):
                pages = await read(knowing.changes(ago(clock, 600)))
                told = told_in(pages).get(conversation)
                assert ids_on(pages) == [conversation], str(distortion)
                assert told is None or len(told) == len(known), str(distortion)


class TestStates:
    """Changes without a new message."""

    @pytest.mark.parametrize(
        ("status", "kind", "expected"),
        [
            ("archived", "archive", ThreadStatus.CLOSED),
            ("deleted", "trash", ThreadStatus.CLOSED),
            ("assigned", "restore", ThreadStatus.ONGOING),
            ("assigned", "reminder", ThreadStatus.ONGOING),
            ("assigned", "reopen", ThreadStatus.ONGOING),
            ("archived", "ticket_status_update", ThreadStatus.CLOSED),
        ],
    )
    async def test_told_with_the_event(self, adapter, front, clock, status, kind, expected):
        """A change of the status comes with its event, and nothing need be read."""
        conversation, _ = front.open_conversation(ago(clock, 900), waiting_since=None)
        front.set_status(conversation, status, kind, ago(clock, 300))
        (page,) = await read(adapter.changes(ago(clock, 600)))
        assert page.replies == {conversation: ()}
        assert [one.status for one in page.tickets] == [expected]

    async def test_older_than_what_was_read(self, adapter, front, clock):
        """An event with its conversation as it was then does not undo what was read since; its reply comes."""
        front.are_states_of_then = True
        conversation, _ = front.open_conversation(ago(clock, 900), status="assigned")
        await know(adapter, conversation)
        message = front.write(conversation, "There.", ago(clock, 200), inbound=False)
        front.set_status(conversation, "archived", at=ago(clock, 60))
        (read_now,) = await adapter.tickets([conversation])
        pages = await read(adapter.changes(ago(clock, 600)))
        assert [one.id for replies in told_in(pages).values() for one in replies] == [message]
        assert [one for page in pages for one in page.tickets] == []
        await clock.sleep(120)
        later = await read(adapter.changes(pages[-1].cursor))
        assert [one for page in later for one in page.tickets] == [read_now]

    async def test_merge(self, adapter, front, clock):
        """A merge names the conversation that is left and those that went into it, and all are read."""
        old, into = (front.open_conversation(ago(clock, 900))[0] for _ in range(2))
        await know(adapter, into)
        front.merge(old, into, ago(clock, 300))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ids_on(pages) == [into, old]
        assert told_in(pages) == {}

    @pytest.mark.parametrize(
        ("data", "others"),
        [(None, []), (7, []), ({}, []), ([7, "x"], []), ({"deleted_conversation_ids": ["cnv_old"]}, ["cnv_old"])],
    )
    async def test_merge_in_another_shape(self, adapter, front, clock, data, others):
        """How a merge names the others is not documented closely: what cannot be read stops nothing."""
        conversation, _ = front.open_conversation(ago(clock, 900))
        front.emit("conversations_merged", conversation, ago(clock, 300), ("deleted_conversation_ids", data))
        assert ids_on(await read(adapter.changes(ago(clock, 600)))) == [conversation, *others]

    @pytest.mark.parametrize("kind", ["forward", "sending_error", "message_bounce_error"])
    async def test_left_to_be_read(self, adapter, front, clock, kind):
        """Forwards and failures say too little: their conversation is left to be read."""
        conversation, _ = front.open_conversation(ago(clock, 900))
        await know(adapter, conversation)
        front.emit(kind, conversation, ago(clock, 300))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ids_on(pages) == [conversation]
        assert told_in(pages) == {}
