"""Signing in to Zendesk: three ways, three roles, and answers that are none."""

import pytest
from pydantic import ValidationError

from adapters.zendesk import Zendesk, ZendeskConfig
from syncd.model.errors import PauseSystem
from syncd.sources.adapter import Capability

HTML_404 = (404, {}, "<html>No help desk here</html>", "text/html")
OAUTH = {"client_id": "syncd", "client_secret": "client-secret-1"}
API_TOKEN = {"email": "syncd@example.com", "api_token": "api-token-1"}


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize(
        ("credentials", "found"),
        [
            ({}, "none"),
            ({"client_id": "a"}, "client_id"),
            ({**OAUTH, "oauth_token": "b"}, "client_id, client_secret, oauth_token"),
            ({"oauth_token": "b", **API_TOKEN}, "api_token, email, oauth_token"),
            ({"email": "c", "api_token": ""}, "email"),
        ],
    )
    def test_one_way(self, credentials, found):
        """Anything but exactly one whole way to sign in is refused, and the message tells what was found."""
        with pytest.raises(ValidationError, match=f"exactly one way to sign in: .*; found: {found}"):
            ZendeskConfig(base_url="https://acme.zendesk.com", **credentials)

    def test_secrets(self):
        """No secret is in the repr of the options, nor in the message about unknown ones."""
        options = ZendeskConfig(base_url="https://acme.zendesk.com", **OAUTH)
        with pytest.raises(ValidationError) as refused:
            ZendeskConfig(base_url="https://acme.zendesk.com", **OAUTH, subdomain="acme")
        assert "client-secret-1" not in repr(options) + repr(Zendesk.connection(options)) + str(refused.value)

    def test_api_tokens_end(self):
        """Of API tokens, which Zendesk switches off on 30 April 2027, an operator is warned; of OAuth not."""
        old, new = (ZendeskConfig(base_url="https://acme.zendesk.com", **way) for way in (API_TOKEN, OAUTH))
        assert "30 April 2027" in Zendesk.warnings(old)[0]
        assert Zendesk.warnings(new) == ()


class TestSigningIn:
    """Credentials, roles, and what they open."""

    @pytest.mark.parametrize("way", [OAUTH, API_TOKEN, {"oauth_token": "oauth-token-1"}])
    async def test_each_way(self, connect, way):
        """Each of the three ways to sign in is accepted (the API token with /token behind the e-mail address)."""
        assert "(admin)" in (await connect(**way).check()).account

    async def test_token_ends(self, connect, zendesk, clock):
        """A client's token is fetched once and again when it has ended."""
        adapter = connect(**OAUTH)
        await adapter.check()
        await adapter.tickets(["1"])
        assert zendesk.count("/oauth/tokens") == 1
        await clock.sleep(2 * 86_400)
        await adapter.tickets(["1"])
        assert zendesk.count("/oauth/tokens") == 2

    @pytest.mark.parametrize("way", [{**OAUTH, "client_secret": "no"}, {**API_TOKEN, "api_token": "no"}])
    async def test_refused(self, connect, way):
        """Refused credentials pause the system."""
        with pytest.raises(PauseSystem):
            await connect(**way).check()

    async def test_anonymous(self, adapter, zendesk):
        """The 200 that Zendesk gives to anonymous visitors is no sign-in."""
        body = '{"user": {"id": null, "name": "Anonymous user", "role": "end-user"}}'
        zendesk.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(PauseSystem, match="anonymous"):
            await adapter.check()

    async def test_customer(self, adapter, zendesk):
        """An end user cannot serve: tickets of others are closed to it."""
        zendesk.role = "end-user"
        with pytest.raises(PauseSystem, match="end-user"):
            await adapter.check()

    async def test_wrong_subdomain(self, adapter, zendesk):
        """A web page from a subdomain that does not exist tells to look at base_url."""
        zendesk.next_answers.append(HTML_404)
        with pytest.raises(PauseSystem, match="base_url"):
            await adapter.check()

    async def test_admin(self, adapter, zendesk):
        """An administrator has all capabilities; it costs one sample of the ten in twenty minutes."""
        await adapter.check()
        assert await adapter.available() == Zendesk.capabilities
        assert zendesk.count("/sample") == 1

    async def test_agent(self, connect, zendesk):
        """A plain agent has no change feed, is told so, and still reads tickets in bulk."""
        zendesk.role = "agent"
        adapter = connect(**API_TOKEN)
        warnings = (await adapter.check()).warnings
        assert "30 April 2027" in warnings[0]
        assert "no change feed" in warnings[1]
        assert await adapter.available() == {Capability.BULK_TICKETS}
        assert zendesk.count("/incremental") == 0

    async def test_admin_without_exports(self, adapter, zendesk):
        """Not the role but the answer of the export decides: a 403 means no change feed."""
        zendesk.exports_open = False
        assert await adapter.available() == {Capability.BULK_TICKETS}

    async def test_samples_used_up(self, connect, zendesk, clock):
        """When the ten samples of twenty minutes are used up, checking still works, by the role."""
        for _ in range(12):
            adapter = connect()
            await adapter.check()
            await clock.sleep(10)
        assert await adapter.available() == Zendesk.capabilities
