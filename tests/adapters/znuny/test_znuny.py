"""Options, signing in, and the errors that Znuny answers with status 200 or 500."""

import pytest

from adapters.znuny import Znuny
from syncd.model.errors import PauseSystem, RetryLater, SettingsError, UnexpectedAnswer
from syncd.model.ticket import TicketRef
from syncd.sources.adapter import Capability
from syncd.sources.registry import validate_options
from tests.adapters.znuny.stand_in import BERLIN

GIVEN = {"base_url": "https://acme.test/znuny", "user": "syncd", "password": "secret-1"}


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize(
        "base_url",
        [
            "https://acme.test/znuny",
            "https://acme.test/znuny/",
            "https://acme.test/znuny/index.pl",
            "https://acme.test/znuny/nph-genericinterface.pl/Webservice/Other",
        ],
    )
    def test_base_url(self, base_url):
        """The address of the start page is meant, and understood with what people copy behind it."""
        options = validate_options(Znuny, GIVEN | {"base_url": base_url})
        assert options.base_url == "https://acme.test/znuny"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("zone", "Berlin"),
            ("zone", "../etc/passwd"),
            ("sign_in", "cookie"),
            ("web_service", "a/b"),
            ("ticket_route", "Ticket"),
            ("search_route", "/Ticket?x=1"),
            ("history_route", ""),
            ("user", ""),
        ],
    )
    def test_refused(self, name, value):
        """An option that cannot be used is refused by its name."""
        with pytest.raises(SettingsError) as caught:
            validate_options(Znuny, GIVEN | {name: value})
        assert [problem.place for problem in caught.value.problems] == [name]

    def test_logged_password(self):
        """Of a password in the query, which servers log, an operator is warned; of the other ways not."""
        told = {
            way: Znuny.warnings(validate_options(Znuny, GIVEN | {"sign_in": way})) for way in ("headers", "session")
        }
        assert told == {"headers": (), "session": ()}
        (warning,) = Znuny.warnings(validate_options(Znuny, GIVEN | {"sign_in": "query"}))
        assert "log" in warning
        assert "secret-1" not in warning

    async def test_names_and_routes(self, open_adapter, znuny):
        """A web service of another name with other routes is read as well."""
        znuny.web_service = "Own"
        znuny.open_ticket()
        adapter = open_adapter(web_service="Own")
        assert (await adapter.tickets(["1"]))[0].id == "1"
        with pytest.raises(PauseSystem, match=r"no route .*/Elsewhere/1"):
            await open_adapter(web_service="Own", ticket_route="/Elsewhere").tickets(["1"])


class TestSigningIn:
    """Three ways to sign in."""

    async def test_headers(self, adapter, znuny):
        """With headers nothing secret is in an address, and no session is opened."""
        znuny.open_ticket()
        await adapter.tickets(["1"])
        assert znuny.requests[-1][1] == {}
        assert znuny.sessions == []

    async def test_query(self, open_adapter, znuny):
        """In the query a plus in a password arrives as a plus, and no session is opened."""
        znuny.reads_headers = False
        znuny.open_ticket()
        await open_adapter(sign_in="query").tickets(["1"])
        assert znuny.requests[-1][1]["Password"] == "pass+word 1"
        assert znuny.sessions == []

    async def test_one_session(self, open_adapter, znuny):
        """One session serves all requests: a user may have twenty."""
        znuny.reads_headers = False
        adapter = open_adapter(sign_in="session")
        for _ in range(30):
            znuny.open_ticket()
            await adapter.check()
        assert len(znuny.sessions) == 1

    async def test_session_ends(self, open_adapter, znuny):
        """A session that was ended, which an answer with status 200 says, is opened anew; then all goes on."""
        znuny.reads_headers = False
        znuny.open_ticket()
        adapter = open_adapter(sign_in="session")
        await adapter.check()
        znuny.sessions[0] = "ended"
        assert (await adapter.tickets(["1"]))[0].id == "1"
        assert znuny.count("/Session") == 2

    async def test_password_changed(self, open_adapter, znuny):
        """When the password is no longer good the system pauses, whichever way it is sent."""
        znuny.open_ticket()
        adapters = [open_adapter(sign_in=way) for way in ("headers", "session", "query")]
        for adapter in adapters:
            await adapter.check()
        znuny.password = "another"
        znuny.sessions.clear()
        for adapter in adapters:
            with pytest.raises(PauseSystem):
                await adapter.tickets(["1"])

    async def test_unread_headers(self, adapter, znuny):
        """A system that does not read the headers refuses, and the failure names the option."""
        znuny.reads_headers = False
        with pytest.raises(PauseSystem, match="sign_in"):
            await adapter.check()


class TestCheck:
    """What a check tells."""

    async def test_good(self, adapter, znuny):
        """A check names the user and the web service, and has nothing to warn of."""
        znuny.write(znuny.open_ticket())
        identity = await adapter.check()
        assert identity.account == "syncd (agent)"
        assert identity.notes == ("web service GenericTicketConnectorREST",)
        assert identity.warnings == ()
        assert await adapter.available() == frozenset(Capability)

    async def test_sees_nothing(self, adapter):
        """An agent that sees no ticket is warned of."""
        assert "permission ro" in (await adapter.check()).warnings[0]

    async def test_zone(self, adapter, znuny):
        """A zone that is not the server's is found out by an article, which has its time in two forms."""
        znuny.zone = BERLIN
        znuny.write(znuny.open_ticket())
        assert "+1 hours off" in (await adapter.check()).warnings[0]

    async def test_without_history(self, adapter, znuny):
        """A missing route for the history is a note: the rest works."""
        znuny.has_history_route = False
        znuny.write(znuny.open_ticket())
        assert "TicketHistoryGet" in (await adapter.check()).notes[1]

    async def test_unheeded_limit(self, adapter, znuny):
        """A web service that does not hand on the limit would cut long lists without a word: the system pauses."""
        znuny.heeds_limit = False
        for _ in range(2):
            znuny.open_ticket()
        with pytest.raises(PauseSystem, match="Limit"):
            await adapter.check()

    async def test_wrong_address(self, open_adapter, znuny):
        """An address that leads elsewhere is a 404 of the web server: the system pauses and names base_url."""
        with pytest.raises(PauseSystem, match="base_url"):
            await open_adapter(base_url=f"{znuny.base_url}/helpdesk").check()

    async def test_wrong_web_service(self, open_adapter):
        """A web service that is not there is a 500 without a word: a check pauses and names the option."""
        with pytest.raises(PauseSystem, match="web_service"):
            await open_adapter(web_service="Nope").check()


class TestErrors:
    """Errors that are not where errors are looked for."""

    async def test_web_service_goes_away(self, adapter, znuny):
        """A web service that goes away while syncd runs is tried again, with a hint at what to look at."""
        znuny.open_ticket()
        znuny.web_service = "Renamed"
        with pytest.raises(RetryLater, match="web_service"):
            await adapter.tickets(["1"])

    async def test_error_with_200(self, adapter, znuny):
        """An error inside an answer with status 200 is a failure by its code, and its words are not repeated."""
        body = '{"Error": {"ErrorCode": "TicketGet.MissingParameter", "ErrorMessage": "hush"}}'
        znuny.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match=r"TicketGet\.MissingParameter") as caught:
            await adapter.tickets(["1"])
        assert "hush" not in str(caught.value)

    async def test_odd_error(self, adapter, znuny):
        """An error without a readable code is a failure all the same."""
        znuny.next_answers.append((200, {}, '{"Error": {"ErrorCode": "<b>hush</b>"}}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="does not name"):
            await adapter.resolve(TicketRef(number="12345678"))

    async def test_fault(self, adapter, znuny):
        """A fault inside the server is waited for."""
        body = '{"faultcode": "Server", "faultstring": "hush"}'
        znuny.next_answers.append((500, {}, body, "application/json"))
        with pytest.raises(RetryLater, match="answered 500"):
            await adapter.tickets(["1"])
