"""Signing in to ServiceNow, what its options may say, and what an account hears about itself."""

import pytest
from pydantic import ValidationError

from adapters.servicenow import ServiceNow, ServiceNowConfig
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.model.ticket import TicketRef
from syncd.sources.adapter import Capability
from tests.adapters.servicenow.stand_in import BERLIN, CHICAGO, HIBERNATING, HTML

BASIC = {"username": "syncd", "password": "password-1"}
CLIENT = {"client_id": "client-1", "client_secret": "client-secret-1"}
KEY = {"api_key": "api-key-1"}
NOT_SIGNED_IN = (401, {}, '{"error":{"message":"User Not Authenticated"},"status":"failure"}', "application/json")


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ({}, "none"),
            ({"username": "a"}, "username"),
            ({**BASIC, **KEY}, "api_key, password, username"),
            ({**CLIENT, "username": "a"}, "client_id, client_secret, username"),
            ({"client_id": "a"}, "client_id"),
        ],
    )
    def test_one_way_to_sign_in(self, given, found):
        """Anything but one whole way to sign in is refused, and the message names what was given."""
        with pytest.raises(ValidationError, match=f"exactly one way to sign in: .*; found: {found}"):
            ServiceNowConfig(base_url="https://acme.service-now.com", **given)

    @pytest.mark.parametrize("table", ["task", "Incident", "in cident", "incident/../sys_user", ""])
    def test_one_kind_of_ticket(self, table):
        """The table that holds every kind of ticket is refused, since its states mean nothing; and so is nonsense."""
        with pytest.raises(ValidationError):
            ServiceNowConfig(base_url="https://acme.service-now.com", table=table, **BASIC)

    @pytest.mark.parametrize("option", ["customer_fields", "agent_roles"])
    def test_names_end_no_query(self, option):
        """A name of a field or role cannot smuggle another part into a query."""
        with pytest.raises(ValidationError, match="small letters"):
            ServiceNowConfig(base_url="https://acme.service-now.com", **{option: ["a^ORb=1"]}, **BASIC)

    def test_pace_and_secrets(self):
        """Two requests at a time are taken of the few that an instance serves, and no secret is shown."""
        options = ServiceNowConfig(base_url="https://acme.service-now.com", **BASIC, **CLIENT)
        connection = ServiceNow.connection(options)
        assert (connection.requests_per_minute, connection.concurrency) == (120, 2)
        assert "password-1" not in repr(options) + repr(connection)
        assert "client-secret-1" not in repr(options) + repr(connection)


class TestSigningIn:
    """The ways to sign in."""

    @pytest.mark.parametrize(
        ("way", "grants"),
        [(BASIC, []), (KEY, []), (CLIENT, ["client_credentials"]), ({**CLIENT, **BASIC}, ["password"])],
    )
    async def test_ways(self, connect, servicenow, way, grants):
        """Basic, an API key in its own header, and both grants of OAuth sign in as the account."""
        servicenow.open_ticket()
        adapter = connect(ServiceNow, base_url=servicenow.base_url, **way)
        assert (await adapter.check()).account == "syncd"
        assert servicenow.grants == grants

    async def test_tokens_end(self, connect, servicenow, clock):
        """A token lasts half an hour and is fetched anew."""
        ticket = servicenow.open_ticket()
        adapter = connect(ServiceNow, base_url=servicenow.base_url, **CLIENT)
        for _ in range(2):
            assert len(await adapter.tickets([ticket])) == 1
            await clock.sleep(1800)
        assert len(servicenow.tokens) == 2

    @pytest.mark.parametrize(
        "way",
        [
            {**BASIC, "password": "x"},
            {"api_key": "x"},
            {**CLIENT, "client_secret": "x"},
            {**CLIENT, **BASIC, "password": "x"},
        ],
    )
    async def test_refused(self, connect, servicenow, way):
        """Wrong credentials pause the system, whichever way they are shown."""
        adapter = connect(ServiceNow, base_url=servicenow.base_url, **way)
        with pytest.raises(PauseSystem):
            await adapter.check()

    async def test_a_false_401_does_not_pause(self, adapter, servicenow):
        """ServiceNow refuses good credentials now and then: if they are good a moment later, the system goes on."""
        ticket = servicenow.open_ticket()
        servicenow.next_answers.append(NOT_SIGNED_IN)
        with pytest.raises(RetryLater, match="not a moment later"):
            await adapter.tickets([ticket])
        servicenow.next_answers += [NOT_SIGNED_IN, NOT_SIGNED_IN]
        with pytest.raises(PauseSystem):
            await adapter.tickets([ticket])

    async def test_guest(self, connect, servicenow):
        """Whoever is taken for the guest is not signed in."""
        servicenow.login = "guest"
        with pytest.raises(PauseSystem, match="guest"):
            await connect(ServiceNow, base_url=servicenow.base_url, **KEY).check()

    async def test_script_ignored(self, connect, servicenow):
        """Where the script that asks for ourselves is ignored, the first user that comes is not taken for us."""
        servicenow.evaluates_scripts = False
        servicenow.open_ticket()
        identity = await connect(ServiceNow, base_url=servicenow.base_url, **KEY).check()
        assert identity.account == "the owner of the credentials"
        assert any("sys_user" in warning for warning in identity.warnings)


class TestCheck:
    """What an operator hears of an account."""

    async def test_all_is_well(self, adapter, servicenow):
        """With the journal, roles and UTC there is nothing to warn of."""
        servicenow.write(servicenow.open_ticket(), "On our way.")
        identity = await adapter.check()
        assert (identity.warnings, identity.notes) == ((), ("tickets: incident", "replies: journal"))

    async def test_silent_empty_journal(self, adapter, displaying, servicenow):
        """Without read access to the journal it is empty and no error: compared with the tickets, it is told."""
        servicenow.write(servicenow.open_ticket(), "On our way.")
        servicenow.closed.add("sys_journal_field")
        assert ["replies_from = display" in one for one in (await adapter.check()).warnings] == [True]
        assert (await displaying.check()).warnings == ()
        servicenow.closed.clear()
        servicenow.forbidden.add("sys_journal_field")
        assert ["replies_from = display" in one for one in (await adapter.check()).warnings] == [True]

    async def test_better_source(self, displaying, servicenow):
        """Who reads displayed texts though the journal is open is told so."""
        servicenow.write(servicenow.open_ticket(), "On our way.")
        assert ["replies_from = journal" in one for one in (await displaying.check()).warnings] == [True]

    async def test_no_comments(self, adapter, servicenow):
        """Tickets without comments prove nothing about the journal, and that is said."""
        servicenow.open_ticket()
        assert ["not known" in one for one in (await adapter.check()).warnings] == [True]

    async def test_no_tickets(self, adapter, servicenow):
        """An account that sees no ticket is told so: the table is empty, not refused."""
        servicenow.open_ticket()
        servicenow.closed.add("incident")
        assert "the account sees no ticket" in (await adapter.check()).warnings[0]

    async def test_zone_of_the_account(self, adapter, servicenow):
        """A time zone with an offset is warned of, and so is a query that is read in it."""
        servicenow.write(servicenow.open_ticket(), "On our way.")
        servicenow.tables["sys_user"][servicenow.account]["time_zone"] = "US/Central"
        assert len((await adapter.check()).warnings) == 1
        servicenow.query_zone = CHICAGO
        assert "not read as UTC" in (await adapter.check()).warnings[1]

    async def test_form_of_times(self, displaying, servicenow):
        """Displayed times of another zone or form are warned of where replies are read from them."""
        servicenow.write(servicenow.open_ticket(), "On our way.")
        servicenow.closed.add("sys_journal_field")
        servicenow.display_zone = BERLIN
        assert "another zone or form" in (await displaying.check()).warnings[0]

    async def test_no_roles(self, adapter, servicenow):
        """Without a view of roles writers cannot be told apart, and that is said."""
        servicenow.write(servicenow.open_ticket(), "On our way.")
        servicenow.closed.add("sys_user_has_role")
        assert "sees no roles" in (await adapter.check()).warnings[0]

    async def test_capabilities(self, adapter, displaying):
        """With the journal replies come in bulk; with displayed texts ticket by ticket."""
        assert await adapter.available() == frozenset(Capability)
        assert await displaying.available() == {Capability.CHANGE_FEED, Capability.BULK_TICKETS}


class TestAnswersThatAreNone:
    """What is no answer, whatever its status."""

    async def test_hibernating(self, adapter, servicenow):
        """A hibernating instance answers 200 with a web page: that passes, and says nothing about tickets."""
        servicenow.next_answers.append(HIBERNATING)
        with pytest.raises(RetryLater, match="hibernates"):
            await adapter.tickets([servicenow.open_ticket()])

    async def test_maintenance(self, adapter, servicenow):
        """503 with a web page is waited out, and then told."""
        servicenow.next_answers += [(503, {}, HTML, "text/html")] * 3
        with pytest.raises(RetryLater):
            await adapter.tickets([servicenow.open_ticket()])

    async def test_error_with_a_part_of_the_result(self, adapter, servicenow):
        """An error inside a 200 is a failure, also if rows stand beside it."""
        body = '{"result": [], "error": {"message": "Transaction cancelled"}, "status": "failure"}'
        servicenow.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="error inside"):
            await adapter.tickets([servicenow.open_ticket()])

    async def test_rate_limit(self, adapter, servicenow, clock):
        """A rule of the administrator's is waited out by Retry-After, or handed on if it lasts."""
        headers = {"X-RateLimit-Limit": "10", "X-RateLimit-Rule": "a" * 32}
        body = '{"error":{"message":"Rate limit exceeded"},"status":"failure"}'
        ticket, before = servicenow.open_ticket(), clock.monotonic()
        servicenow.next_answers.append((429, {**headers, "Retry-After": "20"}, body, "application/json"))
        assert len(await adapter.tickets([ticket])) == 1
        assert clock.monotonic() - before >= 20
        reset = f"{clock.now().timestamp() + 1800:.0f}"
        servicenow.next_answers.append((429, {**headers, "X-RateLimit-Reset": reset}, body, "application/json"))
        with pytest.raises(RetryLater) as caught:
            await adapter.tickets([ticket])
        assert caught.value.wait_seconds == pytest.approx(1800, abs=2)

    async def test_another_table(self, sign_in, servicenow):
        """A table that does not exist is named, and one that is refused pauses the system."""
        with pytest.raises(UnexpectedAnswer, match="Invalid table"):
            await sign_in(servicenow, table="incidents").resolve(TicketRef(number="INC0010001"))
        servicenow.forbidden.add("incident")
        with pytest.raises(PauseSystem, match="read access to the table incident"):
            await sign_in(servicenow).resolve(TicketRef(number="INC0010001"))
