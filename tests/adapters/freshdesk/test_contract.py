"""The adapter of Freshdesk passes the suite that every adapter passes."""

import pytest

from adapters.freshdesk import Freshdesk
from syncd.testing.adapter_contract import AdapterContract
from tests.adapters.freshdesk.vendor import FreshVendor
from tests.adapters.main_job import MainJob


class TestFreshdesk(AdapterContract, MainJob):
    """The suite."""

    adapter = Freshdesk

    @pytest.fixture
    def vendor(self, freshdesk):
        """The account as a vendor."""
        return FreshVendor(freshdesk)
