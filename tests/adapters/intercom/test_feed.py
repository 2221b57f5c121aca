"""Reading all changes of a workspace from its two searches."""

import json
from datetime import timedelta

import pytest

from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.model.ticket import Cursor
from tests.adapters.intercom.stand_in import error, seconds


async def read(pages):
    """Return all of an asynchronous iterator."""
    return [page async for page in pages]


def ids_on(pages):
    """Return the ids that pages name, each as often as it is named."""
    return [ticket_id for page in pages for ticket_id in page.ticket_ids]


def ago(clock, count):
    """Return the instant so many seconds before now."""
    return clock.now() - timedelta(seconds=count)


def marks_of(cursor):
    """Return how far a cursor is for conversations and for tickets, in Unix seconds."""
    return tuple(json.loads(cursor)[name]["newest"] for name in ("conversations", "tickets"))


class TestSearches:
    """What is asked, and what an answer says."""

    async def test_two_requests(self, adapter, intercom, clock):
        """A sweep is two searches, however many changed, with what a search takes and nothing else."""
        keys = [intercom.open_conversation(ago(clock, 900 - number)) for number in range(40)]
        ticket = intercom.open_ticket(ago(clock, 700))
        pages = await read(adapter.changes(ago(clock, 1000)))
        assert ids_on(pages) == [*keys, f"ticket-{ticket}"]
        assert len(intercom.requests) == 2
        assert intercom.searches[0] == (
            "conversations",
            {
                "query": {
                    "operator": "AND",
                    "value": [{"field": "updated_at", "operator": ">", "value": seconds(ago(clock, 1601))}],
                },
                "sort": {"field": "updated_at", "order": "ascending"},
                "pagination": {"per_page": 150},
            },
        )

    async def test_no_request_per_change(self, adapter, intercom, clock):
        """Nothing is asked about a single conversation, as the feed does not know which are linked."""
        for number in range(10):
            intercom.open_conversation(ago(clock, 900 - number))
        await read(adapter.changes(ago(clock, 1000)))
        assert {path for path, _ in intercom.requests} == {"/conversations/search", "/tickets/search"}

    async def test_one_second(self, adapter, intercom, clock):
        """Thousands may change in one second: pages inside it go on by the token, with the same condition."""
        intercom.page_size = 3
        keys = {intercom.open_conversation(ago(clock, 900)) for _ in range(10)}
        assert set(ids_on(await read(adapter.changes(ago(clock, 1000))))) == keys
        asked = [asked for name, asked in intercom.searches if name == "conversations"]
        assert len(asked) == 4
        assert len({json.dumps(one["query"]) for one in asked}) == 1
        assert [("starting_after" in one["pagination"]) for one in asked] == [False, True, True, True]

    async def test_changed_meanwhile(self, adapter, intercom, clock):
        """What changes while pages are turned moves behind them, and is told with its place and the next sweep."""
        intercom.page_size = 2
        keys = [intercom.open_conversation(ago(clock, 900 - number)) for number in range(6)]
        feed = adapter.changes(ago(clock, 1000))
        pages = [await anext(feed)]
        await clock.sleep(1)
        intercom.add(keys[4], "comment", "now")
        pages += await read(feed)
        assert set(ids_on(pages)) == set(keys)
        intercom.add(keys[0], "comment", "and now")
        await clock.sleep(30)
        assert keys[0] in ids_on(await read(adapter.changes(pages[-1].cursor)))

    @pytest.mark.parametrize(
        "body",
        [
            {"type": "conversation.list", "conversations": [], "total_count": 3, "pages": {}},
            {"type": "error.list", "errors": [{"code": "server_error", "message": "x"}]},
            {"type": "conversation.list", "total_count": 0},
            {"type": "conversation.list", "conversations": None, "total_count": 0},
        ],
    )
    async def test_nothing_where_something_is_counted(self, adapter, intercom, clock, body):
        """An answer that counts and has none, or is an error in a 200, is a failure and not an empty feed."""
        intercom.next_answers.append((200, {}, json.dumps(body), "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await read(adapter.changes(ago(clock, 600)))

    async def test_empty_answer(self, adapter, intercom, clock):
        """A 200 without a body, which Intercom answers now and then, is to be tried again."""
        intercom.next_answers.append((200, {}, "", "application/json"))
        with pytest.raises(RetryLater):
            await read(adapter.changes(ago(clock, 600)))

    async def test_condition_ignored(self, adapter, intercom, clock):
        """A search that answers what changed long before has ignored its condition."""
        intercom.open_conversation(ago(clock, 90_000))
        intercom.filters = False
        with pytest.raises(UnexpectedAnswer, match="ignored the condition"):
            await read(adapter.changes(ago(clock, 600)))


class TestCursor:
    """How the next sweep goes on."""

    async def test_told_once(self, adapter, intercom, clock):
        """What was told is not told again by the overlap, once its second is over."""
        intercom.open_conversation(ago(clock, 60))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert len(ids_on(pages)) == 1
        assert ids_on(await read(adapter.changes(pages[-1].cursor))) == []

    @pytest.mark.parametrize("age", [0, 9])
    async def test_twice_in_a_second(self, adapter, intercom, clock, age):
        """What changed just now may change again with the same time, seconds later too, and is so told again."""
        changed_at = ago(clock, age)
        key = intercom.open_conversation(changed_at)
        pages = await read(adapter.changes(ago(clock, 600)))
        intercom.add(key, "comment", "in the same second", changed_at)
        await clock.sleep(60)
        assert ids_on(await read(adapter.changes(pages[-1].cursor))) == [key]

    async def test_late_in_the_index(self, adapter, intercom, clock):
        """What the index shows minutes after a later change is found: the list is read again from before it."""
        late = intercom.open_conversation(ago(clock, 300))
        intercom.conversations[late]["indexed_at"] = clock.now().timestamp() + 200
        soon = intercom.open_conversation(ago(clock, 30))
        pages = await read(adapter.changes(ago(clock, 400)))
        assert ids_on(pages) == [soon]
        await clock.sleep(240)
        assert ids_on(await read(adapter.changes(pages[-1].cursor))) == [late]

    async def test_the_second_before(self, adapter, intercom, clock):
        """A row of the second before the list's beginning is not told at every sweep, as `>` means "or equal"."""
        intercom.open_conversation(ago(clock, 701))
        intercom.open_conversation(ago(clock, 100))
        pages = await read(adapter.changes(ago(clock, 1000)))
        assert ids_on(await read(adapter.changes(pages[-1].cursor))) == []

    async def test_order_ignored(self, adapter, intercom, clock):
        """Nothing hangs on the order of a search: its mark moves at its end, so a sweep that was cut is read again."""
        intercom.sorts, intercom.page_size = False, 2
        keys = {intercom.open_conversation(ago(clock, 900 - number)) for number in range(6)}
        start = ago(clock, 1000)
        pages = await read(adapter.changes(start))
        assert set(ids_on(pages)) == keys
        conversations = [marks_of(page.cursor)[0] for page in pages[:3]]
        assert conversations == [seconds(start), seconds(start), seconds(ago(clock, 895))]
        assert set(ids_on(await read(adapter.changes(pages[0].cursor)))) == keys

    async def test_a_time_to_come(self, adapter, intercom, clock):
        """A change with a time to come does not move the mark past the present, which would hide what comes first."""
        early = intercom.open_conversation(clock.now() + timedelta(days=400))
        intercom.conversations[early]["indexed_at"] = 0
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ids_on(pages) == [early]
        await clock.sleep(60)
        later = intercom.open_conversation(clock.now())
        await clock.sleep(5)
        assert later in ids_on(await read(adapter.changes(pages[-1].cursor)))

    async def test_no_clock(self, adapter, intercom, clock):
        """Without a readable time in the answers the newest change tells how far the feed is."""
        intercom.has_date = False
        intercom.open_conversation(ago(clock, 300))
        newest = intercom.open_conversation(ago(clock, 100))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert marks_of(pages[-1].cursor)[0] == seconds(ago(clock, 100))
        assert ids_on(await read(adapter.changes(pages[-1].cursor))) == [newest]

    @pytest.mark.parametrize(
        "cursor",
        ["", "{}", "[]", "1767225600", '{"conversations": {"newest": "x", "seen": {}}}', '{"conversations": null}'],
    )
    async def test_of_somebody_else(self, adapter, intercom, cursor):
        """A cursor that is none of Intercom's is a failure, and nothing is asked."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter.changes(Cursor(cursor)))
        assert intercom.requests == []


class TestPermissions:
    """What the token may not read."""

    async def test_no_conversations(self, adapter, intercom, clock):
        """Without conversations there is nothing to follow: the system pauses and says what is missing."""
        intercom.has_conversations = False
        with pytest.raises(PauseSystem, match="Read conversations"):
            await read(adapter.changes(ago(clock, 600)))

    async def test_no_tickets(self, adapter, intercom, clock):
        """Where tickets may not be read the feed is of conversations, and that of tickets goes on from there later."""
        intercom.has_tickets = False
        conversation, ticket = intercom.open_conversation(ago(clock, 60)), intercom.open_ticket(ago(clock, 60))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert ids_on(pages) == [conversation]
        intercom.has_tickets = True
        await clock.sleep(7200)
        assert f"ticket-{ticket}" in ids_on(await read(adapter.changes(pages[-1].cursor)))

    async def test_a_proxy(self, adapter, intercom, clock):
        """A refusal that is not in Intercom's words says nothing about the permissions."""
        intercom.next_answers.append((403, {}, '{"message": "Forbidden"}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="check base_url"):
            await read(adapter.changes(ago(clock, 600)))

    async def test_an_old_version(self, adapter, intercom, clock):
        """When Intercom drops the version that is asked for, the system pauses and says that syncd must be renewed."""
        refusal = error(400, "intercom_version_invalid")
        intercom.next_answers.append((400, {}, refusal.body.decode(), "application/json"))
        with pytest.raises(PauseSystem, match="newer syncd"):
            await read(adapter.changes(ago(clock, 600)))
