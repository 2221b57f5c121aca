"""Options of Front, signing in, and its pace."""

import json

import pytest

from adapters.front import Front
from syncd.model.errors import PauseSystem, RetryLater, SettingsError, UnexpectedAnswer
from syncd.sources.adapter import Capability
from syncd.sources.registry import validate_options


class TestOptions:
    """What a settings file may say."""

    def test_addresses_by_default(self):
        """The API and the pages of agents are on two hosts of Front's, which need not be written."""
        options = validate_options(Front, {"api_token": "t"})
        assert (options.base_url, options.web_url) == ("https://api2.frontapp.com", "https://app.frontapp.com")

    @pytest.mark.parametrize("web_url", ["app.frontapp.com", "ftp://app.frontapp.com", "https://me@x.test", "https://"])
    def test_no_web_address(self, web_url):
        """A web_url that is no web address is told with its place."""
        with pytest.raises(SettingsError, match="web_url"):
            validate_options(Front, {"api_token": "t", "web_url": web_url})

    def test_empty_token(self):
        """A token must be there and hold something."""
        with pytest.raises(SettingsError, match="api_token"):
            validate_options(Front, {"api_token": ""})


class TestCheck:
    """Whom the token stands for, and what it sees."""

    async def test_company(self, adapter, front):
        """The company is named, and that its events are open."""
        front.open_conversation()
        identity = await adapter.check()
        assert identity.account == "Acme"
        assert "events" in identity.notes[0]
        assert identity.warnings == ()

    async def test_no_conversations(self, adapter):
        """A token that sees no conversation gets a warning: it may lack its inboxes."""
        assert "inboxes" in (await adapter.check()).warnings[0]

    async def test_without_scope_for_conversations(self, adapter, front):
        """A token that may not read conversations at all pauses the system."""
        front.refused_scopes = {"conversations"}
        with pytest.raises(PauseSystem, match="scope"):
            await adapter.check()

    async def test_without_scope_for_events(self, adapter, front):
        """A token that may not read events has no feed, and a warning says so."""
        front.refused_scopes = {"events"}
        assert await adapter.available() == frozenset()
        assert "events" in (await adapter.check()).warnings[-1]

    async def test_with_events(self, adapter):
        """A token that may read events has the feed, and replies in it."""
        assert await adapter.available() == {Capability.CHANGE_FEED, Capability.BULK_REPLIES}

    async def test_no_such_api(self, adapter, front):
        """An address without the API is a matter of the settings."""
        front.next_answers.append((404, {}, "{}", "application/json"))
        with pytest.raises(PauseSystem, match="base_url"):
            await adapter.check()

    async def test_error_inside_a_200(self, adapter, front):
        """An error with status 200 is a failure, even beside a list."""
        body = {"_error": {"status": 500, "title": "x"}, "_results": [], "_pagination": {"next": None}}
        await adapter.check()
        front.open_conversation()
        front.next_answers.append((200, {}, json.dumps(body), "application/json"))
        with pytest.raises(UnexpectedAnswer, match="error inside"):
            await anext(adapter.changes(front.clock.now()))

    async def test_other_refusals(self, adapter, front):
        """A status that means nothing here is a named failure without the text of the answer."""
        front.next_answers.append((400, {}, '{"_error": {"message": "hush"}}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="answered 400"):
            await adapter.check()


class TestPace:
    """The limits that Front sets."""

    async def test_own_pace(self, connect, front, clock):
        """Fifty requests a minute, the smallest plan's, are for all programs: half of them are taken."""
        adapter = connect(Front, own_pace=True, base_url=front.base_url, api_token="front-token-1")
        conversation, _ = front.open_conversation()
        before = clock.monotonic()
        await adapter.tickets([conversation])
        for _ in range(50):
            await adapter.tickets([conversation])
        assert 119 <= clock.monotonic() - before <= 125

    async def test_searches_have_a_budget(self):
        """Searches are allowed 40 % of the rate, and so have a slower pace of their own."""
        connection = Front.connection(validate_options(Front, {"api_token": "t"}))
        assert connection.budgets == {"/conversations/search": 10}

    async def test_burst_limit(self, adapter, front, clock):
        """The 429 of the second limit, which x-front-tier marks, is waited out by its retry-after as well."""
        headers = {"x-front-tier": "2", "retry-after": "3"}
        front.next_answers.append((429, headers, '{"_error": {"status": 429}}', "application/json"))
        before = clock.monotonic()
        await adapter.check()
        assert clock.monotonic() - before >= 3

    async def test_reset_without_wait(self, adapter, front, clock):
        """A 429 with nothing but the instant at which the limit begins anew is waited out until then."""
        headers = {"x-ratelimit-reset": str(int(clock.now().timestamp()) + 40)}
        front.next_answers.append((429, headers, "{}", "application/json"))
        before = clock.monotonic()
        await adapter.check()
        assert clock.monotonic() - before >= 39

    async def test_long_wait(self, adapter, front):
        """A wait of minutes is handed on."""
        front.next_answers.append((429, {"retry-after": "300"}, "{}", "application/json"))
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == 300
