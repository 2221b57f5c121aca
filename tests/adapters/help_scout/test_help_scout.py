"""Signing in to Help Scout, the options, and the pace."""

import pytest
from pydantic import ValidationError

from adapters.help_scout import HelpScout, HelpScoutConfig
from syncd.model.errors import PauseSystem, RetryLater
from syncd.sources.adapter import Capability

APP = {"client_id": "app-1", "client_secret": "app-secret-1"}


class TestOptions:
    """What the settings may say."""

    def test_addresses(self):
        """Nobody has to know an address: API and pages are the same for every account, on two hosts."""
        options = HelpScoutConfig(**APP)
        assert options.base_url == "https://api.helpscout.net/v2"
        assert options.web_url == "https://secure.helpscout.net"

    @pytest.mark.parametrize("missing", ["client_id", "client_secret"])
    def test_app(self, missing):
        """Both parts of the app are needed, and neither may be empty."""
        for values in ({**APP, missing: ""}, {key: value for key, value in APP.items() if key != missing}):
            with pytest.raises(ValidationError, match=missing):
                HelpScoutConfig(**values)

    @pytest.mark.parametrize("web_url", ["", "secure.helpscout.net", "ftp://x.test", "https://me@x.test", "https://"])
    def test_web_url(self, web_url):
        """An address for links that is none is refused."""
        with pytest.raises(ValidationError, match="https://HOST"):
            HelpScoutConfig(**APP, web_url=web_url)

    def test_capabilities(self):
        """The feed carries replies; there is no list of several conversations by their ids."""
        assert HelpScout.capabilities == {Capability.CHANGE_FEED, Capability.BULK_REPLIES}


class TestSigningIn:
    """Credentials, and what they open."""

    async def test_form(self, adapter, help_scout):
        """The token is asked for by a form below the base address, and used for what follows."""
        assert (await adapter.check()).account == "anne@acme.test (owner)"
        assert [path for path, _ in help_scout.requests] == ["/oauth2/token", "/users/me", "/mailboxes"]

    async def test_two_days(self, adapter, help_scout, clock):
        """A token is kept for its two days, and another is fetched before it ends."""
        await adapter.check()
        await clock.sleep(86_400)
        await adapter.check()
        assert help_scout.count("/oauth2/token") == 1
        await clock.sleep(86_400)
        await adapter.check()
        assert help_scout.count("/oauth2/token") == 2

    async def test_withdrawn(self, adapter, help_scout):
        """A token that is refused before its end is replaced once, without a word."""
        await adapter.check()
        help_scout.tokens.clear()
        await adapter.check()
        assert help_scout.count("/oauth2/token") == 2

    async def test_wrong_secret(self, sign_in):
        """A refused app pauses the system."""
        with pytest.raises(PauseSystem):
            await sign_in(client_secret="wrong").check()

    @pytest.mark.parametrize("status", [403, 404])
    async def test_no_api(self, adapter, help_scout, status):
        """An account without the API, or an address without its version, pauses the system with what to mend."""
        await adapter.check()
        help_scout.next_answers.append((status, {}, '{"message": "no"}', "application/json"))
        with pytest.raises(PauseSystem, match="base_url"):
            await adapter.check()

    async def test_inboxes(self, adapter, help_scout):
        """The inboxes that the app's user sees are named: conversations of others cannot be followed."""
        help_scout.inboxes = {85: "Support", 86: "Büro"}
        identity = await adapter.check()
        assert identity.notes == ("inboxes (2): Support, Büro",)
        assert identity.warnings == ()

    async def test_no_inbox(self, adapter, help_scout):
        """A user without an inbox signs in, and is warned of."""
        help_scout.inboxes = {}
        assert "no inbox" in (await adapter.check()).warnings[0]


class TestPace:
    """The limit is the account's, shared by all its programs."""

    async def test_own_header(self, adapter, help_scout, clock):
        """A 429 is waited out by Help Scout's own header; there is no Retry-After."""
        await adapter.check()
        headers = {"X-RateLimit-Retry-After": "20"}
        help_scout.next_answers.append((429, headers, '{"message": "Throttled"}', "application/json"))
        before = clock.monotonic()
        await adapter.check()
        assert clock.monotonic() - before >= 20

    async def test_long_wait(self, adapter, help_scout):
        """A long wait is handed on."""
        await adapter.check()
        headers = {"X-RateLimit-Retry-After": "300"}
        help_scout.next_answers.append((429, headers, '{"message": "Throttled"}', "application/json"))
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == pytest.approx(300)

    async def test_half_of_the_smallest_plan(self, connect, help_scout, clock):
        """A long read at the adapter's own pace leaves half of the smallest plan's 200 requests a minute to others."""
        help_scout.calls_per_minute = 101
        adapter = connect(HelpScout, own_pace=True, base_url=help_scout.base_url, **APP)
        opened = [str(help_scout.open_conversation(clock.now())[0]) for _ in range(250)]
        assert len(await adapter.tickets(opened)) == 250
        assert help_scout.throttled == 0
