"""Options of Zoho Desk, signing in, and what its refusals and limits mean."""

import pytest

from adapters.zoho_desk import ZohoDesk
from syncd.model.errors import PauseSystem, RetryLater, SettingsError
from syncd.sources.registry import validate_options


class TestOptions:
    """The options."""

    @pytest.mark.parametrize(
        ("base_url", "accounts"),
        [
            ("https://desk.zoho.eu", "https://accounts.zoho.eu"),
            ("https://desk.zoho.com.au/api/v1/", "https://accounts.zoho.com.au"),
            ("https://desk.zohocloud.ca", "https://accounts.zohocloud.ca"),
        ],
    )
    async def test_data_centre(self, options, base_url, accounts):
        """Tokens come from the data centre of base_url unless told otherwise; /api/v1 is no part of the address."""
        config = validate_options(ZohoDesk, {**options, "base_url": base_url, "accounts_url": ""})
        connection = ZohoDesk.connection(config)
        assert connection.authentication.base_url == accounts
        assert "/api" not in connection.base_url

    async def test_own_domain(self, options):
        """An address that does not tell its data centre needs accounts_url."""
        with pytest.raises(SettingsError, match="accounts_url"):
            validate_options(ZohoDesk, {**options, "base_url": "https://desk-proxy.acme.test", "accounts_url": ""})

    @pytest.mark.parametrize("accounts", ["http://accounts.zoho.eu", "accounts.zoho.eu", "https://", "ftp://x.test"])
    async def test_where_secrets_go(self, options, accounts):
        """The secrets go to an https address alone."""
        with pytest.raises(SettingsError, match="HOST"):
            validate_options(ZohoDesk, {**options, "accounts_url": accounts})

    @pytest.mark.parametrize("org_id", ["", "acme", "12 3", "1" * 21])
    async def test_org_id(self, options, org_id):
        """The organisation is named by its number: a name would be sent, and refused, with every request."""
        with pytest.raises(SettingsError):
            validate_options(ZohoDesk, {**options, "org_id": org_id})


class TestSigningIn:
    """Tokens, and whom they stand for."""

    async def test_identity(self, adapter, zoho_desk):
        """check() names agent and organisation, tells the credits that are left, and warns if no ticket is seen."""
        identity = await adapter.check()
        assert identity.account == "anne@acme.test (acme)"
        assert identity.notes[0].startswith("API credits left today: 99")
        assert "no ticket" in identity.warnings[0]
        zoho_desk.open_ticket()
        assert (await adapter.check()).warnings == ()

    async def test_one_token(self, adapter, zoho_desk):
        """A token is fetched once from the other address and kept: ten in ten minutes are all there are."""
        for _ in range(20):
            await adapter.check()
        assert len(zoho_desk.tokens) == 1

    async def test_token_ends(self, adapter, zoho_desk, clock):
        """After its hour another token is fetched before the old one is refused."""
        await adapter.check()
        await clock.sleep(3600)
        await adapter.check()
        assert len(zoho_desk.tokens) == 2

    @pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
    async def test_refused_in_a_200(self, sign_in, name):
        """Credentials that are refused with status 200 and an error inside pause the system."""
        with pytest.raises(PauseSystem):
            await sign_in(**{name: "1000.wrong-hush"}).check()

    async def test_too_many_tokens(self, sign_in):
        """Too many tokens are no wrong credentials: it is tried again later."""
        for _ in range(10):
            await sign_in().check()
        with pytest.raises(RetryLater, match="too many access tokens"):
            await sign_in().check()

    async def test_other_data_centre(self, adapter, zoho_desk):
        """A token that the address does not know (another data centre gave it) pauses the system, after two tries."""
        zoho_desk.next_answers += [
            (200, {}, '{"access_token": "elsewhere-1", "expires_in": 3600}', "application/json"),
            (401, {}, '{"errorCode": "INVALID_OAUTH"}', "application/json"),
            (200, {}, '{"access_token": "elsewhere-2", "expires_in": 3600}', "application/json"),
        ]
        with pytest.raises(PauseSystem, match="refuses the credentials"):
            await adapter.check()

    async def test_other_organisation(self, sign_in):
        """An organisation that the credentials do not belong to pauses the system, and the right one is named."""
        with pytest.raises(PauseSystem, match="which are: 640001"):
            await sign_in(org_id="640002").check()

    async def test_organisation_with_every_request(self, sign_in, clock):
        """The header orgId goes with every request: a wrong one is refused by name, and nothing reads as empty."""
        with pytest.raises(PauseSystem, match="OAUTH_ORG_MISMATCH"):
            [page async for page in sign_in(org_id="640002").changes(clock.now())]

    async def test_scope_of_searches(self, adapter, zoho_desk):
        """The search has a scope of its own; without it the system pauses at once, and says why."""
        zoho_desk.scopes = {"Desk.tickets.READ", "Desk.basic.READ"}
        with pytest.raises(PauseSystem, match="SCOPE_MISMATCH"):
            await adapter.check()

    @pytest.mark.parametrize("code", ["FORBIDDEN", "LICENSE_ACCESS_LIMITED", "SCOPE_MISMATCH"])
    async def test_refusals_of_lists(self, adapter, zoho_desk, clock, code):
        """A refusal of a list is about ourselves: the system pauses, and reads no emptiness out of it."""
        await adapter.check()
        zoho_desk.next_answers.append((403, {}, f'{{"errorCode": "{code}"}}', "application/json"))
        with pytest.raises(PauseSystem, match=code):
            [page async for page in adapter.changes(clock.now())]


class TestLimits:
    """Two kinds of 429."""

    async def test_credits_of_the_day(self, adapter, zoho_desk):
        """When the credits of the day are gone, nothing is asked until the time that Zoho names."""
        await adapter.check()
        zoho_desk.credits = 0
        zoho_desk.forget()
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == pytest.approx(7200, abs=2)
        assert len(zoho_desk.requests) == 1

    async def test_too_many_at_once(self, adapter, zoho_desk, clock):
        """Too many requests at once, without a Retry-After, are tried again shortly after."""
        await adapter.check()
        busy = (429, {}, '{"errorCode": "TOO_MANY_REQUESTS"}', "application/json")
        zoho_desk.next_answers += [busy, busy]
        before = clock.monotonic()
        await adapter.check()
        assert 0 < clock.monotonic() - before < 10

    async def test_pace(self, connect, options, zoho_desk, clock):
        """By itself the adapter asks once a second at most."""
        adapter = connect(ZohoDesk, own_pace=True, **options)
        before = clock.monotonic()
        for _ in range(40):
            await adapter.check()
        assert len(zoho_desk.requests) <= 61 + clock.monotonic() - before
