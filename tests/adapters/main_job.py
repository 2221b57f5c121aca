"""The main job with an adapter at its stand-in: what people write on a ticket arrives at the API, once, in order."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest

from syncd.sources.registry import adapter_names, load_adapter
from syncd.testing.vendor import NotOffered
from tests.conftest import World
from tests.security.strays import LeadAstray

NOTE = "between colleagues"
DAY = timedelta(days=1)


class VendorWorld(World):
    """The parts of the daemon between a stand-in for a vendor and the sandbox of the API, in virtual time."""

    def __init__(self, clock, folder, vendor):
        super().__init__(clock, folder)
        self.vendor = vendor

    def options(self):
        """Return the options that sign in at the stand-in."""
        return self.vendor.options()


class MainJob(LeadAstray):
    """To be inherited beside the contract suite: needs its `adapter` and its `vendor`."""

    @pytest.fixture
    async def between(self, vendor, clock, tmp_path):
        """The daemon's parts, running between the vendor and the API."""
        world = VendorWorld(clock, tmp_path, vendor)
        await world.open()
        name = next(name for name in adapter_names() if issubclass(self.adapter, load_adapter(name)))
        # Where no feed tells of it, a quiet ticket is asked again within half a minute here.
        await world.begin(adapter=name, requests_per_minute=60_000, quiet_poll_seconds=30)
        yield world
        await world.close()

    async def test_the_main_job(self, between, vendor, clock):
        """Replies made after the link arrive once, in order, with their direction; notes and older ones never do.

        What closes the ticket afterwards closes the thread, and further sweeps send nothing more.
        """
        seeded = await vendor.seed_ticket([clock.now().replace(microsecond=0) - DAY])
        await clock.sleep(vendor.feed_lag_seconds + 5)
        await between.link(seeded, thread=11)
        await between.sync()
        await vendor.add_customer_reply(seeded.id, "Where is my card?")
        await clock.sleep(2)
        with suppress(NotOffered):
            await vendor.add_internal_note(seeded.id, NOTE)
            await clock.sleep(2)
        await vendor.add_agent_reply(seeded.id, "It is at the desk.")
        await self.poll(between, vendor)
        sent = between.sandbox.communications
        assert [(one.body["content"], one.body["communicationDirection"]) for one in sent] == [
            ("Where is my card?", "INCOMING"),
            ("It is at the desk.", "OUTGOING"),
        ]
        assert all(NOTE not in json.dumps(one.body) for one in sent)
        assert {one.body["ticketNumber"] for one in sent} == {seeded.number}
        await clock.sleep(2)
        await vendor.close_ticket(seeded.id)
        await self.poll(between, vendor)
        assert [one.body["communicationThreadStatus"] for one in between.sandbox.communications[2:]] == ["CLOSED"]
        assert between.sandbox.communications[:2] == sent[:2]

    async def poll(self, between, vendor):
        """Sweep until what was just done must have been seen, and once more."""
        for _ in range(2):
            await between.pass_time(vendor.feed_lag_seconds + 30)
            await between.sync()
