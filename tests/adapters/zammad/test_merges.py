"""Merged tickets of Zammad: the articles move with their ids, and the histories tell where they were written."""

from itertools import pairwise

import pytest

from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable


async def read(adapter, ticket_id, since=None):
    """Return the replies of a ticket."""
    (ticket,) = await adapter.tickets([str(ticket_id)])
    return [reply async for reply in adapter.replies(ticket, since)]


@pytest.fixture
async def merged(zammad, clock):
    """Two tickets, the first merged into the second a minute later: source, its article, target, its article."""
    source, moved = zammad.open_ticket(text="from the source")
    target, own = zammad.open_ticket(text="of the target")
    await clock.sleep(60)
    zammad.merge(source, target)
    return source, moved, target, own


class TestSource:
    """The ticket that was merged."""

    async def test_state(self, adapter, merged):
        """It is merged, and names the ticket that it was merged into."""
        source, _, target, _ = merged
        unavailable = Unavailable(str(source), Unavailability.MERGED, str(target))
        assert await adapter.tickets([str(source)]) == [unavailable]

    async def test_resolve(self, adapter, zammad, merged):
        """Its number leads to that, too."""
        with pytest.raises(TicketUnavailable) as error:
            await adapter.resolve(TicketRef(number=zammad.tickets[merged[0]]["number"]))
        assert error.value.unavailable.merged_into == str(merged[2])

    async def test_renamed_type(self, adapter, zammad, merged):
        """It is told as merged even where states have other ids of types, by the name that Zammad looks for itself."""
        zammad.names_state_types = False
        zammad.states[5]["state_type_id"] = 11
        (found,) = await adapter.tickets([str(merged[0])])
        assert found.reason is Unavailability.MERGED

    async def test_merged_meanwhile(self, adapter, zammad):
        """A ticket that is merged between its state and its replies is merged, and not one without replies."""
        source, target = (zammad.open_ticket()[0] for _ in range(2))
        (ticket,) = await adapter.tickets([str(source)])
        zammad.merge(source, target)
        with pytest.raises(TicketUnavailable) as error:
            [reply async for reply in adapter.replies(ticket, None)]
        assert error.value.unavailable.merged_into == str(target)

    async def test_note_deleted(self, adapter, zammad):
        """That holds even if the note of the merge was deleted, so that no article at all is left."""
        source, target = (zammad.open_ticket()[0] for _ in range(2))
        (ticket,) = await adapter.tickets([str(source)])
        del zammad.articles[zammad.merge(source, target)]
        with pytest.raises(TicketUnavailable):
            [reply async for reply in adapter.replies(ticket, None)]

    async def test_public_note(self, adapter, zammad, merged):
        """The public note "merged" is no reply, also on a ticket that was opened again."""
        source = merged[0]
        zammad.set_state(source, "open")
        answer = zammad.write(source, "We go on here.")
        assert [reply.id for reply in await read(adapter, source)] == [str(answer)]

    async def test_target_unknown(self, adapter, zammad, merged):
        """Where the history does not tell or cannot be read, it is merged into a ticket that is not known."""
        zammad.broken_histories.add(merged[0])
        assert await adapter.tickets([str(merged[0])]) == [Unavailable(str(merged[0]), Unavailability.MERGED)]
        zammad.broken_histories.clear()
        zammad.histories.clear()
        assert await adapter.tickets([str(merged[0])]) == [Unavailable(str(merged[0]), Unavailability.MERGED)]


class TestTarget:
    """The ticket that another one was merged into."""

    async def test_origin(self, adapter, merged):
        """Articles keep their ids, and tell on which ticket they were written."""
        source, moved, target, own = merged
        assert [(reply.id, reply.written_on) for reply in await read(adapter, target)] == [
            (str(moved), str(source)),
            (str(own), None),
        ]

    async def test_first_message(self, adapter, merged):
        """The first message is the target's own, though an older article came by the merge."""
        assert [reply.id for reply in await read(adapter, merged[2]) if reply.first_message] == [str(merged[3])]

    async def test_since(self, adapter, zammad, clock, merged):
        """Articles that came by a merge since are yielded, however old they are, with their old times."""
        since = clock.now()
        replies = await read(adapter, merged[2], since)
        assert [(reply.id, reply.created_at < since) for reply in replies] == [(str(merged[1]), True)]

    async def test_chain(self, adapter, zammad, clock):
        """After a merge of a merged ticket each article still tells its own ticket."""
        tickets = [zammad.open_ticket() for _ in range(3)]
        for (source, _), (target, _) in pairwise(tickets):
            await clock.sleep(60)
            zammad.merge(source, target)
        told = {reply.id: reply.written_on for reply in await read(adapter, tickets[2][0])}
        assert told == {
            str(tickets[0][1]): str(tickets[0][0]),
            str(tickets[1][1]): str(tickets[1][0]),
            str(tickets[2][1]): None,
        }

    async def test_source_deleted(self, adapter, zammad, merged):
        """If the merged ticket is deleted later, its articles still are not the target's own."""
        zammad.delete_ticket(merged[0])
        assert [reply.written_on for reply in await read(adapter, merged[2])] == [str(merged[0]), None]

    async def test_mail_sent(self, adapter, zammad, merged):
        """An own answer that was touched since, as every mail is when it goes out, stays the target's own."""
        answer = zammad.write(merged[2], "answer")
        zammad.mail_out(answer)
        assert {reply.id: reply.written_on for reply in await read(adapter, merged[2])}[str(answer)] is None

    async def test_imported(self, adapter, zammad, clock):
        """An article without a history, as after an import, is the ticket's own where there was no merge."""
        ticket_id, article = zammad.open_ticket()
        zammad.mail_out(article)
        zammad.histories.clear()
        (reply,) = await read(adapter, ticket_id)
        assert (reply.written_on, reply.first_message) == (None, True)

    async def test_requests(self, adapter, zammad, merged):
        """Histories are asked for once: where an article was written never changes."""
        before = await read(adapter, merged[2])
        zammad.forget()
        assert await read(adapter, merged[2]) == before
        assert zammad.count("/ticket_history") == 0

    async def test_untouched(self, adapter, zammad):
        """A ticket whose articles were never touched, as a merge does, is read without its history."""
        ticket_id, _ = zammad.open_ticket()
        zammad.write(ticket_id, "answer")
        await read(adapter, ticket_id)
        assert zammad.count("/ticket_history") == 0

    async def test_same_text(self, adapter, zammad, clock):
        """A merge does not change the text: the addresses of images in it, which name the ticket, are left out."""
        source, article = zammad.open_ticket(text='see <img src="cid:7" alt="plan"> here')
        target, _ = zammad.open_ticket()
        (before,) = await read(adapter, source)
        zammad.merge(source, target)
        after = {reply.id: reply for reply in await read(adapter, target)}[str(article)]
        assert after.body == before.body

    async def test_unreadable_history(self, adapter, zammad, merged):
        """A history that answers 404 fails the ticket by name: it is neither gone, nor are its articles all its own."""
        zammad.broken_histories.add(merged[2])
        with pytest.raises(UnexpectedAnswer, match="history"):
            await read(adapter, merged[2])
