"""Signing in to Zammad: one token, and refusals that mean different things."""

import pytest
from pydantic import ValidationError

from adapters.zammad import Zammad, ZammadConfig
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.model.ticket import TicketRef
from tests.adapters.zammad.stand_in import TOKEN


class TestOptions:
    """What the settings may say."""

    def test_token_is_needed(self):
        """Neither a missing nor an empty token is accepted."""
        for options in ({}, {"token": ""}):
            with pytest.raises(ValidationError):
                ZammadConfig(base_url="https://desk.acme.com", **options)

    @pytest.mark.parametrize("ending", ["", "/", "/api/v1", "/api/v1/"])
    def test_base_url(self, ending):
        """An address that ends in the path of the API is taken for the one of the start page."""
        options = ZammadConfig(base_url=f"https://desk.acme.com{ending}", token=TOKEN)
        assert Zammad.connection(options).base_url == "https://desk.acme.com"

    def test_token_is_hidden(self):
        """The token is in no repr, neither as it is nor as it goes out."""
        options = ZammadConfig(base_url="https://desk.acme.com", token=TOKEN)
        assert TOKEN not in repr(options) + repr(Zammad.connection(options))


class TestCheck:
    """Who we are, and what we may see."""

    async def test_account(self, adapter, zammad):
        """A good token tells its owner's address, without a warning where tickets and users are seen."""
        zammad.open_ticket()
        identity = await adapter.check()
        assert (identity.account, identity.warnings) == ("syncd@example.com", ())

    async def test_no_ticket_seen(self, adapter):
        """An account that sees no ticket is warned of, since a search would be empty without a word."""
        assert "sees no ticket" in (await adapter.check()).warnings[0]

    async def test_customer(self, adapter, zammad):
        """An account that is no agent is warned of: it would miss other people's tickets and all notes."""
        zammad.agent = False
        assert any("no agent" in warning for warning in (await adapter.check()).warnings)

    async def test_expired_token(self, adapter, zammad):
        """A token that has expired is a 401 and pauses the system."""
        zammad.token_expired = True
        with pytest.raises(PauseSystem):
            await adapter.check()

    async def test_403_instead_of_401(self, adapter, zammad):
        """Where token access is switched off Zammad answers 403, not 401; that pauses the system all the same."""
        zammad.token_access = False
        with pytest.raises(PauseSystem, match="token access"):
            await adapter.check()

    async def test_anonymous_is_403(self, adapter, zammad):
        """The 403 that a caller without credentials gets pauses the system."""
        zammad.next_answers.append((403, {}, '{"error": "Authentication required"}', "application/json"))
        with pytest.raises(PauseSystem):
            await adapter.check()

    async def test_maintenance(self, adapter, zammad):
        """The 403 of the maintenance mode ends by itself: it is no reason to pause."""
        zammad.maintenance = True
        with pytest.raises(RetryLater, match="maintenance"):
            await adapter.check()

    async def test_403_of_a_proxy(self, adapter, zammad):
        """A 403 that is not in Zammad's words says nothing about permissions."""
        zammad.next_answers.append((403, {}, "<html>Forbidden</html>", "text/html"))
        with pytest.raises(UnexpectedAnswer):
            await adapter.check()

    async def test_wrong_address(self, open_adapter, zammad):
        """Where there is no Zammad at the address, the message tells to look at base_url."""
        with pytest.raises(PauseSystem, match="base_url"):
            await open_adapter(base_url=f"{zammad.origin}/elsewhere").check()

    async def test_search_without_permission(self, adapter, zammad):
        """A search that is refused pauses the system instead of finding nothing."""
        zammad.token_access = False
        with pytest.raises(PauseSystem):
            await adapter.resolve(TicketRef(number="53003"))
