"""The suite that every adapter passes: inherit `AdapterContract`, name the adapter, and give a `vendor` fixture.

    class TestZendesk(AdapterContract):
        adapter = Zendesk

        @pytest.fixture
        async def vendor(self, clock):
            async with ZendeskStandIn(clock) as stand_in:
                yield ZendeskVendor(stand_in)

The stand-in is a `syncd.testing.vendor.Vendor`: see there what it has to do. What it does not offer is skipped. `clock`
is the virtual clock of `syncd.testing.fixtures`, which the conftest.py imports; waits take no real time.
"""

from syncd.testing.contract_bad_input import BadInputContract
from syncd.testing.contract_failures import FailureContract
from syncd.testing.contract_replies import FeedContract, ReplyContract
from syncd.testing.contract_tickets import NamingContract, SigningContract, StateContract
from syncd.testing.vendor import NotOffered, SeededTicket, Vendor

__all__ = ["AdapterContract", "NotOffered", "SeededTicket", "Vendor"]


class AdapterContract(
    SigningContract, NamingContract, StateContract, ReplyContract, FeedContract, FailureContract, BadInputContract
):
    """What an adapter promises to the core, as tests. Inherit it, set `adapter`, and give a `vendor` fixture."""
