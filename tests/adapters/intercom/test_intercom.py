"""Options, signing in and the pace."""

import pytest
from pydantic import ValidationError

from adapters.intercom import Intercom, IntercomConfig
from syncd.model.errors import PauseSystem, UnexpectedAnswer

OPTIONS = {"base_url": "https://api.eu.intercom.io", "access_token": "hush"}


class TestOptions:
    """What the settings hold."""

    @pytest.mark.parametrize("lacking", ["base_url", "access_token"])
    def test_needed(self, lacking):
        """The region's address and a token have to be given: a wrong region has no account."""
        with pytest.raises(ValidationError, match=lacking):
            IntercomConfig(**{name: value for name, value in OPTIONS.items() if name != lacking})

    @pytest.mark.parametrize("web_url", ["app.intercom.com", "ftp://x.test", "https://me@x.test", "https://x.test?a=1"])
    def test_web_url(self, web_url):
        """The address that links begin with is a web address without more."""
        with pytest.raises(ValidationError, match="https://HOST"):
            IntercomConfig(**OPTIONS, web_url=web_url)

    def test_connection(self):
        """Every request names the version of the API, and the pace is below the smallest limit that is shown."""
        connection = Intercom.connection(IntercomConfig(**OPTIONS))
        assert connection.headers == {"Intercom-Version": "2.14"}
        assert connection.requests_per_minute <= 1000
        assert "hush" not in repr(connection)


class TestCheck:
    """What `syncd check` tells."""

    async def test_all_is_well(self, adapter, intercom):
        """It tells who, in which workspace, and warns of nothing where everything can be read."""
        identity = await adapter.check()
        assert (identity.account, identity.notes, identity.warnings) == ("anne@acme.test", ("workspace: Acme",), ())
        assert [path for path, _ in intercom.requests] == [
            "/me",
            "/conversations/search",
            "/tickets/search",
            "/admins",
        ]

    @pytest.mark.parametrize(
        ("lacking", "warning"),
        [("has_tickets", "read tickets"), ("has_admins", "assigned"), ("has_app", "no link")],
    )
    async def test_warnings(self, adapter, intercom, lacking, warning):
        """What cannot be read is told, and does not stop the rest."""
        setattr(intercom, lacking, False)
        (told,) = (await adapter.check()).warnings
        assert warning in told

    async def test_no_workspace(self, adapter, intercom, clock):
        """Where the workspace is not told, tickets have no link, and it is asked once."""
        intercom.has_app = False
        key = intercom.open_conversation(clock.now())
        assert [(await adapter.tickets([key]))[0].link for _ in range(2)] == [None, None]
        assert intercom.count("/me") == 1

    async def test_no_conversations(self, adapter, intercom):
        """Without the permission to read conversations the system pauses."""
        intercom.has_conversations = False
        with pytest.raises(PauseSystem, match="Read conversations"):
            await adapter.check()

    async def test_wrong_address(self, adapter, intercom):
        """An address at which there is something else pauses, or is told not to be Intercom's."""
        intercom.next_answers.append(
            (404, {}, '{"type": "error.list", "errors": [{"code": "not_found"}]}', "text/json")
        )
        with pytest.raises(PauseSystem, match="region"):
            await adapter.check()
        intercom.next_answers.append((404, {}, "<html></html>", "text/html"))
        with pytest.raises(UnexpectedAnswer, match="check base_url"):
            await adapter.check()


class TestPace:
    """How Intercom's limits are kept."""

    async def test_slices(self, adapter, intercom, clock):
        """Past a slice of ten seconds a 429 is waited out by the header that names its end."""
        intercom.per_ten_seconds = 3
        before = clock.now()
        await adapter.check()
        assert intercom.throttled == 1
        assert clock.now().timestamp() >= before.timestamp() // 10 * 10 + 10

    async def test_own_pace(self, sign_in, intercom, clock):
        """At its own pace the adapter is not throttled by the smallest limit that Intercom shows."""
        intercom.per_ten_seconds = 167
        adapter = sign_in(own_pace=True)
        key = intercom.open_conversation(clock.now())
        for _ in range(400):
            await adapter.tickets([key])
        assert intercom.throttled == 0
