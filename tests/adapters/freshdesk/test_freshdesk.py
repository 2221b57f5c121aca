"""Signing in to Freshdesk: the key, what it sees, and answers that are none."""

import pytest
from pydantic import ValidationError

from adapters.freshdesk import Freshdesk, FreshdeskConfig
from syncd.model.errors import PauseSystem
from syncd.sources.adapter import Capability


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize("key", ["", "key-1\n", "key 1", "key-1:X"])
    def test_a_key_in_one_piece(self, key):
        """A key with a blank, with the line end of its file or with the password behind it is refused unseen."""
        with pytest.raises(ValidationError) as refused:
            FreshdeskConfig(base_url="https://acme.freshdesk.com", api_key=key)
        assert "key-1" not in str(refused.value)

    def test_the_key_is_in_no_repr(self):
        """The key is the user of HTTP Basic, and is hidden as one, bare and encoded."""
        options = FreshdeskConfig(base_url="https://acme.freshdesk.com", api_key="key-1")
        shown = repr(options) + repr(Freshdesk.connection(options))
        assert "key-1" not in shown
        assert "a2V5LTE6WA" not in shown

    def test_the_pace_leaves_half_of_the_smallest_plan(self):
        """Ticket and conversations cost three credits in two requests: 120 of the 200 of Growth at full pace."""
        options = FreshdeskConfig(base_url="https://acme.freshdesk.com", api_key="key-1")
        assert Freshdesk.connection(options).requests_per_minute * 1.5 <= 0.6 * 200


class TestSigningIn:
    """Who we are, and what that agent sees."""

    async def test_an_administrator(self, adapter, freshdesk):
        """An administrator who sees all tickets is told without a warning, and the feed is open."""
        identity = await adapter.check()
        assert identity.account == f"a{freshdesk.me}@acme.test"
        assert identity.warnings == ()
        assert await adapter.available() == {Capability.CHANGE_FEED}

    async def test_a_restricted_agent(self, adapter, freshdesk):
        """An agent with a ticket_scope of its own group or itself is warned of: other tickets vanish without a word."""
        freshdesk.ticket_scope = 3
        assert "ticket_scope" in (await adapter.check()).warnings[0]

    async def test_a_plain_agent(self, adapter, freshdesk):
        """Who is no administrator is told that names of agents are not shown."""
        freshdesk.is_admin = False
        assert "no administrator" in (await adapter.check()).warnings[0]

    async def test_a_suspended_account(self, adapter, freshdesk):
        """A suspended account pauses the system, with the vendor's word for it."""
        freshdesk.is_suspended = True
        with pytest.raises(PauseSystem, match="account_suspended"):
            await adapter.check()

    @pytest.mark.parametrize("body", ["", '{"code": "not_found"}'])
    async def test_an_address_without_freshdesk(self, adapter, freshdesk, body):
        """A 404 where every account answers tells to look at base_url."""
        freshdesk.next_answers.append((404, {}, body, "application/json"))
        with pytest.raises(PauseSystem, match="base_url"):
            await adapter.check()

    async def test_a_domain_of_its_own(self, adapter, freshdesk):
        """A domain of the customer's own, which redirects, is not followed with the key: base_url must be changed."""
        freshdesk.next_answers.append((301, {"Location": "https://acme.freshdesk.com/"}, "", "text/html"))
        with pytest.raises(PauseSystem, match="base_url"):
            await adapter.check()

    async def test_tickets_may_not_be_read(self, adapter, freshdesk):
        """An agent whose role may not list tickets pauses the system."""
        freshdesk.meanwhile["/api/v2/tickets"] = lambda: freshdesk.next_answers.append(
            (403, {}, '{"code": "access_denied"}', "application/json")
        )
        with pytest.raises(PauseSystem, match="role"):
            await adapter.check()
