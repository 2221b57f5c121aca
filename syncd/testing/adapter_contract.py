"""The suite that every adapter passes: inherit `AdapterContract`, name the adapter, and give a `vendor` fixture.

    class TestZendesk(AdapterContract):
        adapter = Zendesk

        @pytest.fixture
        async def vendor(self, clock):
            async with ZendeskStandIn(clock) as stand_in:
                yield ZendeskVendor(stand_in)

The stand-in is a `syncd.testing.vendor.Vendor`: see there what it has to do. `clock` is the virtual clock of
`syncd.testing.fixtures`.
"""

from syncd.testing.vendor import NotOffered, SeededTicket, Vendor

__all__ = ["NotOffered", "SeededTicket", "Vendor"]
