"""Signing in to Gorgias, the options, and the pace."""

import pytest
from pydantic import SecretStr, ValidationError

from adapters.gorgias import Gorgias, GorgiasConfig
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.sources.adapter import Capability
from tests.adapters.gorgias.reading import ago

BASE = {"base_url": "https://acme.gorgias.com"}
KEY = {"email": "anne@acme.test", "api_key": "key-1"}
APP = {"client_id": "app-1", "client_secret": "app-secret-1", "refresh_token": "refresh-1"}


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize("way", [KEY, APP, {"access_token": "ready-1"}])
    def test_ways(self, way):
        """There are three ways to sign in."""
        assert GorgiasConfig(**BASE, **way)

    @pytest.mark.parametrize("way", [{}, {"email": "x"}, KEY | APP, KEY | {"access_token": "x"}, {"api_key": "x"}])
    def test_exactly_one(self, way):
        """None, half of one, and two at once are refused."""
        with pytest.raises(ValidationError, match="exactly one way"):
            GorgiasConfig(**BASE, **way)

    @pytest.mark.parametrize("end", ["", "/", "/api", "/api/"])
    def test_path(self, end):
        """The address may be copied with the path of the API, which is then left out: paths are joined once."""
        assert GorgiasConfig(base_url=f"https://acme.gorgias.com{end}", **KEY).base_url == BASE["base_url"]

    def test_another_path(self):
        """Another path is refused."""
        with pytest.raises(ValidationError, match="without a path"):
            GorgiasConfig(base_url="https://acme.gorgias.com/app/ticket/1", **KEY)

    def test_secrets(self):
        """Keys and tokens stay out of what is printed."""
        shown = repr([GorgiasConfig(**BASE, **way) for way in (KEY, APP, {"access_token": "ready-1"})])
        assert not any(secret in shown for secret in ("key-1", "app-secret-1", "refresh-1", "ready-1"))

    def test_a_token_that_ends(self):
        """A ready token works for a day, and an operator hears of it."""
        assert Gorgias.warnings(GorgiasConfig(**BASE, **KEY)) == ()
        (warning,) = Gorgias.warnings(GorgiasConfig(**BASE, access_token=SecretStr("x")))
        assert "24 hours" in warning

    def test_capabilities(self):
        """Tickets and replies come in bulk, with a feed."""
        assert Gorgias.capabilities == set(Capability)

    def test_pace(self):
        """The pace is below the 120 a minute that an API key has."""
        assert Gorgias.connection(GorgiasConfig(**BASE, **KEY)).requests_per_minute < 120


class TestSigningIn:
    """Credentials, and what they open."""

    async def test_key(self, adapter, gorgias, clock):
        """With a key the account is told, and the user whose key it is."""
        gorgias.open_ticket(ago(clock, 60))
        identity = await adapter.check()
        assert identity.account == "acme (anne@acme.test)"
        assert (identity.notes, identity.warnings) == ((), ())
        assert [path for path, _ in gorgias.requests] == ["/api/account", "/api/tickets", "/api/messages"]

    async def test_app(self, sign_in, gorgias, clock):
        """An app fetches a token by its refresh token, keeps it for a day, and fetches another."""
        adapter = sign_in(**APP)
        assert (await adapter.check()).account == "acme (OAuth)"
        await clock.sleep(40_000)
        await adapter.check()
        assert gorgias.count("/oauth/token") == 1
        await clock.sleep(50_000)
        await adapter.check()
        assert gorgias.count("/oauth/token") == 2

    async def test_token(self, sign_in):
        """A ready token is sent as it is."""
        assert (await sign_in(access_token="ready-1").check()).account == "acme (OAuth)"

    @pytest.mark.parametrize(
        "way",
        [KEY | {"api_key": "wrong"}, KEY | {"email": "x@y.test"}, APP | {"refresh_token": "x"}, {"access_token": "x"}],
    )
    async def test_refused(self, sign_in, way):
        """Credentials that are refused pause the system."""
        with pytest.raises(PauseSystem):
            await sign_in(**way).check()

    async def test_without_the_account(self, adapter, gorgias, clock):
        """An app without the scope for the account's record can do without it."""
        gorgias.scopes.remove("account")
        gorgias.open_ticket(ago(clock, 60))
        identity = await adapter.check()
        assert identity.account == "127.0.0.1 (anne@acme.test)"
        assert "account:read" in identity.notes[0]

    @pytest.mark.parametrize("missing", ["tickets", "messages"])
    async def test_without_a_list(self, adapter, gorgias, missing):
        """Without tickets or messages nothing works, and check says which may not be read."""
        gorgias.scopes.remove(missing)
        with pytest.raises(PauseSystem, match=f"/api/{missing}"):
            await adapter.check()

    async def test_no_such_account(self, adapter, gorgias):
        """An address without Gorgias's API pauses the system with what to mend."""
        gorgias.next_answers.append((404, {}, "nothing here", "text/html"))
        with pytest.raises(PauseSystem, match="base_url"):
            await adapter.check()

    async def test_nothing_yet(self, adapter):
        """An account without tickets is told, as a user who sees none looks alike."""
        assert "no tickets" in (await adapter.check()).warnings[0]

    async def test_error_inside(self, adapter, gorgias):
        """An error inside a 200 is no account."""
        gorgias.next_answers.append((200, {}, '{"error": {"msg": "oops"}}', "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await adapter.check()
