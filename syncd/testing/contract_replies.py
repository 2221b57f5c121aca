"""The contract of adapters about replies and the change feed."""

from datetime import timedelta, timezone

import pytest

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import AuthorKind, TicketRef, Visibility
from syncd.sources.registry import OpenedAdapter
from syncd.testing.contract_base import (
    ContractBase,
    crossing_borders,
    ids_on,
    instants,
    offered,
    read_pages,
    read_replies,
)
from syncd.testing.vendor import Vendor
from syncd.testing.virtual_clock import VirtualClock


class ReplyContract(ContractBase):
    """The replies of one ticket."""

    async def test_replies_come_oldest_first_and_the_same_twice(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """All replies come, once each, oldest first, at the instants they have, and again the same."""
        times = crossing_borders(vendor)
        seeded = await vendor.seed_ticket(times)
        ticket = await opened.adapter.resolve(TicketRef(number=seeded.number))
        replies = await read_replies(opened, ticket)
        assert [reply.created_at for reply in replies] == times
        assert sorted(reply.id for reply in replies) == sorted(seeded.reply_ids)
        assert await read_replies(opened, ticket) == replies

    async def test_only_the_first_is_the_first_message(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """No later reply claims to be the ticket's first message."""
        seeded = await vendor.seed_ticket(instants(vendor, range(vendor.page_size + 2)))
        replies = await read_replies(opened, await opened.adapter.resolve(TicketRef(number=seeded.number)))
        assert not any(reply.first_message for reply in replies[1:])

    async def test_since_loses_nothing(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """From any instant on all replies come, that instant's own included, wherever the pages end."""
        times = crossing_borders(vendor)
        seeded = await vendor.seed_ticket(times)
        ticket = await opened.adapter.resolve(TicketRef(number=seeded.number))
        moments = {
            at - part for at in times for part in (timedelta(0), timedelta(seconds=vendor.resolution_seconds / 2))
        }
        for since in sorted(moments):
            expected = {reply for reply, at in zip(seeded.reply_ids, times, strict=True) if at >= since}
            for zone in (since.tzinfo, timezone(timedelta(hours=5, minutes=30))):
                found = await read_replies(opened, ticket, since.astimezone(zone))
                assert expected <= {reply.id for reply in found}

    async def test_internal_notes_are_marked(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A note that customers cannot see comes as INTERNAL, and what they see as PUBLIC."""
        seeded = await vendor.seed_ticket(instants(vendor, [0, 1]))
        note = await offered(vendor.add_internal_note(seeded.id, "for colleagues"))
        replies = await read_replies(opened, await opened.adapter.resolve(TicketRef(number=seeded.number)))
        internal = {reply.id for reply in replies if reply.visibility is Visibility.INTERNAL}
        assert internal == {note}
        assert {reply.id for reply in replies} == {*seeded.reply_ids, note}

    async def test_customers_and_agents_are_told_apart(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """The author of a reply is known as a customer or as an agent, and the text is theirs."""
        seeded = await vendor.seed_ticket(instants(vendor, [0]))
        asked = await offered(vendor.add_customer_reply(seeded.id, "Where is my card?"))
        answered = await offered(vendor.add_agent_reply(seeded.id, "At the desk."))
        replies = await read_replies(opened, await opened.adapter.resolve(TicketRef(number=seeded.number)))
        by_id = {reply.id: reply for reply in replies}
        assert by_id[asked].author.kind is AuthorKind.CUSTOMER
        assert by_id[answered].author.kind is AuthorKind.AGENT
        assert "Where is my card?" in by_id[asked].body.text
        assert "At the desk." in by_id[answered].body.text


class FeedContract(ContractBase):
    """What changed, for adapters with a change feed."""

    async def test_the_feed_starts_at_an_instant(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """Every ticket that changed at the start of the feed or later is named."""
        self.need_a_feed()
        seeded = await self.seed_feed(vendor)
        pages = await read_pages(opened, instants(vendor, [0])[0])
        assert {one.id for one in seeded} <= ids_on(pages)

    async def test_the_feed_goes_on_from_any_cursor_it_gave(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """Whoever stopped after a page and goes on from its cursor misses nothing of the pages after it."""
        self.need_a_feed()
        await self.seed_feed(vendor)
        pages = await read_pages(opened, instants(vendor, [0])[0])
        for number, page in enumerate(pages, start=1):
            assert ids_on(pages[number:]) <= ids_on(await read_pages(opened, page.cursor))

    async def test_the_feed_tells_of_new_replies(
        self, opened: OpenedAdapter, vendor: Vendor, clock: VirtualClock
    ) -> None:
        """A later reply is found from the last cursor: its ticket is named, and it comes along if replies do."""
        self.need_a_feed()
        seeded = await self.seed_feed(vendor)
        cursor = (await read_pages(opened, instants(vendor, [0])[0]))[-1].cursor
        reply = await offered(vendor.add_customer_reply(seeded[1].id, "One more thing."))
        await clock.sleep(vendor.feed_lag_seconds)
        pages = await read_pages(opened, cursor)
        assert seeded[1].id in ids_on(pages)
        handed = [page.replies[seeded[1].id] for page in pages if seeded[1].id in page.replies]
        if all(seeded[1].id in page.replies for page in pages if seeded[1].id in page.ticket_ids):
            assert reply in {one.id for replies in handed for one in replies}

    async def test_a_repeated_page_token_is_an_error(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A feed that hands out the same next page again is a failure, not an endless read and not an end."""
        self.need_a_feed()
        await self.seed_feed(vendor)
        await offered(vendor.repeat_page_token())
        with pytest.raises(UnexpectedAnswer):
            await read_pages(opened, instants(vendor, [0])[0])
