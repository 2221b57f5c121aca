"""Options of HubSpot, signing in, and the limits."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from adapters.hubspot import Hubspot
from syncd.model.errors import PauseSystem, RetryLater, SettingsError
from syncd.sources.adapter import HeaderAuthentication, TokenAuthentication
from syncd.sources.registry import validate_options
from tests.adapters.hubspot.stand_in import OWNERS_READ, WEB_HOST, limited

APP = {"client_id": "client-1", "client_secret": "client-secret-1", "refresh_token": "refresh-token-1"}
NO_TOKEN = {"access_token": None}


class TestOptions:
    """What can be set."""

    @pytest.mark.parametrize(
        "options", [{}, {"access_token": "x", **APP}, {"client_id": "a"}, {"access_token": "x", "client_id": "a"}]
    )
    def test_one_way_to_sign_in(self, options):
        """Exactly one way to sign in is given."""
        with pytest.raises(SettingsError, match="either access_token"):
            validate_options(Hubspot, options)

    @pytest.mark.parametrize("web_url", ["app.hubspot.com", "ftp://x", "https://me:you@x.test", "https://x.test?a"])
    def test_web_url(self, web_url):
        """The address of the pages is a web address."""
        with pytest.raises(SettingsError, match="https://HOST"):
            validate_options(Hubspot, {"access_token": "x", "web_url": web_url})

    @pytest.mark.parametrize("version", ["v4", "2026", "../v3", "2026-03/x"])
    def test_version(self, version):
        """The version is v3 or a month."""
        with pytest.raises(SettingsError, match="api_version"):
            validate_options(Hubspot, {"access_token": "x", "api_version": version})

    def test_defaults(self):
        """One token is enough: address and version are known."""
        options = validate_options(Hubspot, {"access_token": "x"})
        connection = Hubspot.connection(options)
        assert connection.base_url == "https://api.hubapi.com"
        assert connection.authentication == HeaderAuthentication(SecretStr("x"), scheme="Bearer")
        assert connection.budgets == {"/crm/v3/objects/tickets/search": 120}

    def test_dated_version(self):
        """A newer version is a date, in another place of the paths."""
        connection = Hubspot.connection(validate_options(Hubspot, {**APP, "api_version": "2026-09"}))
        assert connection.budgets == {"/crm/objects/2026-09/tickets/search": 120}
        assert isinstance(connection.authentication, TokenAuthentication)
        assert connection.authentication.path == "/oauth/2026-09/token"

    async def test_dated_paths(self, hubspot, sign_in):
        """All requests go to the paths of the version that is set."""
        with pytest.raises(PauseSystem):
            await sign_in(api_version="2026-09").check()
        assert [path for path, _ in hubspot.requests] == ["/account-info/2026-09/details"]


class TestSigningIn:
    """Who we are."""

    async def test_account(self, adapter):
        """The check tells the account and where its pages are."""
        identity = await adapter.check()
        assert (identity.account, identity.warnings) == (f"account 4711 ({WEB_HOST})", ())

    async def test_other_region(self, sign_in):
        """Pages are on another host in the EU: where web_url is not that host, the check says so."""
        (warning,) = (await sign_in(web_url="https://app.hubspot.com").check()).warnings
        assert warning.endswith(f"set web_url to https://{WEB_HOST}")
        assert (await sign_in([WEB_HOST], web_url="https://app.hubspot.com").check()).warnings == ()

    async def test_owners_are_not_open(self, hubspot, adapter):
        """Without the scope for owners the check warns."""
        hubspot.scopes -= {OWNERS_READ}
        (warning,) = (await adapter.check()).warnings
        assert OWNERS_READ in warning

    @pytest.mark.parametrize("scope", ["tickets", "conversations.read"])
    async def test_scope_is_missing(self, hubspot, adapter, scope):
        """Without one of the two scopes nothing works, and the system pauses."""
        hubspot.scopes -= {scope}
        with pytest.raises(PauseSystem, match="needs the scopes"):
            await adapter.check()

    async def test_refresh_token(self, hubspot, sign_in, clock):
        """An app signs in with its refresh token, and again when half an hour is over."""
        adapter = sign_in(**APP, **NO_TOKEN)
        await adapter.check()
        assert hubspot.tokens_given == 1
        await clock.sleep(1800)
        await adapter.check()
        assert hubspot.tokens_given == 2

    async def test_refresh_token_is_refused(self, hubspot, sign_in):
        """A refresh token that is taken back pauses the system."""
        hubspot.refresh_token = "another"
        with pytest.raises(PauseSystem, match="access token"):
            await sign_in(**APP, **NO_TOKEN).check()


class TestLimits:
    """When HubSpot wants fewer requests."""

    async def test_daily(self, hubspot, adapter, clock):
        """The limit of a day begins anew at midnight in the account's time zone, and nothing is asked until then."""
        await adapter.check()
        hubspot.next_answers.extend([limited("DAILY", Date="Tue, 24 Nov 2026 17:00:00 GMT")] * 4)
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == timedelta(hours=6).total_seconds()
        assert not hubspot.next_answers

    async def test_daily_in_an_unknown_zone(self, hubspot, adapter):
        """Where the account's time zone is not known yet, an hour is waited."""
        hubspot.next_answers.extend([limited("DAILY")] * 4)
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == 3600

    async def test_ten_seconds(self, hubspot, adapter):
        """The limit of ten seconds comes without Retry-After; its window is waited for."""
        windows = {"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}
        hubspot.next_answers.extend([limited("TEN_SECONDLY_ROLLING", **windows)] * 4)
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == 10

    async def test_searches(self, hubspot, adapter, clock):
        """A search that was refused says nothing in its headers, and is tried again."""
        hubspot.meanwhile["/crm/v3/objects/tickets/search"] = lambda: hubspot.next_answers.append(limited("SECONDLY"))
        assert [page async for page in adapter.changes(clock.now())]
        assert hubspot.count("search") == 2

    async def test_over_in_time(self, hubspot, adapter):
        """An account that answers again when it is asked for the reason has answered."""
        hubspot.next_answers.extend([limited("SECONDLY")] * 3)
        assert (await adapter.check()).account

    @pytest.mark.parametrize(("status", "headers", "wait"), [(477, {"Retry-After": "7200"}, 7200), (423, {}, 10)])
    async def test_moved_or_locked(self, hubspot, adapter, status, headers, wait):
        """An account that is being moved or locked answers later."""
        hubspot.next_answers.append((status, headers, "{}", "application/json"))
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == wait

    async def test_network_before_hubspot(self, hubspot, adapter):
        """An error of the network before HubSpot is no answer of HubSpot's."""
        hubspot.next_answers.append((524, {}, "<html>", "text/html"))
        with pytest.raises(RetryLater):
            await adapter.check()
