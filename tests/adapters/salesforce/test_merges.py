"""Merges of Salesforce: mails and comments move to another case without a word, and must not get into its thread."""

import pytest

from tests.adapters.salesforce.stand_in import MACHINE


async def origins(adapter, case_id):
    """Return where the replies of a case were written, by id; None is here."""
    (ticket,) = await adapter.tickets([case_id])
    return {reply.id: reply.written_on async for reply in adapter.replies(ticket, None)}


async def read_feed(adapter, start):
    """Read the feed, which makes its replies known."""
    return [page async for page in adapter.changes(start)]


@pytest.fixture
async def pair(salesforce, clock):
    """Two cases of an hour ago, the older one with a mail and a comment, the younger one with a comment."""
    loser, mail = salesforce.open_by_mail()
    await clock.sleep(600)
    comment = salesforce.comment(loser, "of the loser")
    winner = salesforce.open_case(Description=None)
    await clock.sleep(600)
    own = salesforce.comment(winner, "of the winner")
    await clock.sleep(3600)
    return loser, winner, mail, comment, own


class TestOrigins:
    """What is known about where a reply was written."""

    async def test_by_the_merge(self, adapter, salesforce, pair):
        """What was stamped by the merge came with it; what it did not touch was here before."""
        loser, winner, mail, comment, own = pair
        salesforce.merge(loser, winner)
        assert await origins(adapter, winner) == {mail: loser, comment: loser, own: None}

    async def test_later_replies(self, adapter, salesforce, pair, clock):
        """What is written after the merge is the remaining case's."""
        loser, winner, *_ = pair
        salesforce.merge(loser, winner)
        await clock.sleep(60)
        later = salesforce.mail(winner, "both in one")
        assert (await origins(adapter, winner))[later] is None

    async def test_from_memory(self, adapter, salesforce, pair, clock):
        """Where the feed has shown a reply before the merge, that is remembered, whatever happens to it later."""
        loser, winner, *_ = pair
        start = clock.now()
        fresh = salesforce.mail(loser, "just sent")
        await read_feed(adapter, start)
        await clock.sleep(60)
        salesforce.merge(loser, winner)
        await clock.sleep(60)
        salesforce.change("EmailMessage", fresh, Status="2")
        assert (await origins(adapter, winner))[fresh] == loser

    async def test_unclear(self, adapter, salesforce, pair, clock):
        """What was touched after a merge, and was not seen before, may be of either case: no thread gets it."""
        loser, winner, _, comment, own = pair
        salesforce.merge(loser, winner)
        await clock.sleep(60)
        for key in (comment, own):
            salesforce.change("CaseComment", key, CreatedById=MACHINE)
        found = await origins(adapter, winner)
        assert found[own] == "unclear"
        assert found[comment] == "unclear"

    async def test_two_merged(self, adapter, salesforce, pair, clock):
        """Two cases that were merged at once cannot be told apart, and neither gets the other's replies."""
        loser, winner, mail, comment, own = pair
        other = salesforce.open_case(Description=None)
        strange = salesforce.comment(other, "of the third")
        await clock.sleep(60)
        salesforce.merge(loser, winner)
        salesforce.merge(other, winner)
        found = await origins(adapter, winner)
        assert (found[mail], found[comment], found[own]) == (loser, loser, None)
        assert found[strange] == "unclear"

    async def test_kept(self, adapter, salesforce, pair, clock):
        """An organisation that keeps merged cases changes them later: that moves no reply to the remaining case."""
        loser, winner, mail, comment, own = pair
        salesforce.merge(loser, winner, keeps=True)
        await clock.sleep(3600)
        salesforce.change("Case", loser, Subject="merged")
        found = await origins(adapter, winner)
        assert found[mail] == loser
        assert found[comment] == "unclear"
        assert found[own] is None

    async def test_no_stamp(self, adapter, salesforce, pair):
        """What is older than the case that it is on came with the merge, even if the merge has not stamped it."""
        loser, winner, mail, comment, own = pair
        salesforce.change("Case", winner, CreatedDate=salesforce.tables["CaseComment"][own]["CreatedDate"])
        salesforce.merge(loser, winner, stamps=False)
        assert await origins(adapter, winner) == {mail: loser, comment: loser, own: None}

    async def test_first_mail_of_another_case(self, adapter, salesforce, clock):
        """A mail that opened the merged case in the same minute does not stand for the description of this one."""
        winner = salesforce.open_case()
        await clock.sleep(20)
        loser, mail = salesforce.open_by_mail()
        await clock.sleep(600)
        salesforce.merge(loser, winner)
        assert await origins(adapter, winner) == {winner: None, mail: loser}


class TestFeedOfMerges:
    """What the feed says of them."""

    async def test_moved_replies_are_not_handed_over(self, adapter, salesforce, pair, clock):
        """A reply that moved, and was not seen before, makes the remaining case be read; the merged one is told."""
        loser, winner, *_ = pair
        start = clock.now()
        salesforce.merge(loser, winner)
        (page,) = await read_feed(adapter, start)
        assert {loser, winner} <= set(page.ticket_ids)
        assert winner not in page.replies
        assert [state.merged_into for state in page.tickets] == [winner]

    async def test_same_from_the_case(self, adapter, salesforce, pair, clock):
        """A reply that is remembered says in the feed, too, that it was written on another case."""
        loser, winner, *_ = pair
        start = clock.now()
        fresh = salesforce.mail(loser, "just sent")
        await read_feed(adapter, start)
        await clock.sleep(400)
        salesforce.change("EmailMessage", fresh, ParentId=winner)
        pages = await read_feed(adapter, clock.now())
        (reply,) = [one for page in pages for one in page.replies[winner]]
        assert reply.written_on == loser

    async def test_the_remaining_case_is_read(self, adapter, salesforce, clock):
        """The case that remains is read after a merge even if what moved to it does not show in the feed."""
        loser, winner = salesforce.open_case(), salesforce.open_case()
        await clock.sleep(3600)
        salesforce.comment(winner, "hello")
        salesforce.merge(loser, winner)
        (page,) = await read_feed(adapter, clock.now())
        assert {loser, winner} <= set(page.ticket_ids)
        assert winner not in page.replies
