"""The adapter of Freshservice passes the suite that every adapter passes."""

import pytest

from adapters.freshservice import Freshservice
from syncd.testing.adapter_contract import AdapterContract
from tests.adapters.freshdesk.vendor import FreshVendor
from tests.adapters.main_job import MainJob


class TestFreshservice(AdapterContract, MainJob):
    """The suite."""

    adapter = Freshservice

    @pytest.fixture
    def vendor(self, freshservice):
        """The account as a vendor."""
        return FreshVendor(freshservice)
