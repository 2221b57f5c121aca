"""Signing in to Salesforce, what its refusals mean, and what the user does not see."""

import pytest
from pydantic import ValidationError

from adapters.salesforce import Salesforce, SalesforceConfig
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.model.ticket import TicketRef
from syncd.sources.adapter import Capability
from tests.adapters.salesforce.stand_in import API, REFRESH_TOKEN

APP = {"client_id": "key", "client_secret": "hush-1"}


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com", "LOGIN.salesforce.com"])
    def test_login_hosts_are_refused(self, host):
        """The addresses where people sign in give no token to an app, and the message says what to write instead."""
        with pytest.raises(ValidationError, match="My Domain"):
            SalesforceConfig(base_url=f"https://{host}/", **APP)

    def test_the_web_app_is_refused(self):
        """The address of Lightning is no address of the API."""
        with pytest.raises(ValidationError, match=r"my\.salesforce\.com"):
            SalesforceConfig(base_url="https://acme.lightning.force.com", **APP)

    @pytest.mark.parametrize("missing", APP)
    def test_the_app_is_needed(self, missing):
        """Neither key nor secret of the app can be left out or be empty."""
        for other in ({}, {missing: ""}):
            with pytest.raises(ValidationError):
                SalesforceConfig(base_url="https://acme.my.salesforce.com", **{**APP, missing: ""} | other)

    def test_secrets_are_hidden(self):
        """The secrets are in no repr of the options and of the connection."""
        options = SalesforceConfig(base_url="https://acme.my.salesforce.com", refresh_token="hush-2", **APP)
        assert "hush" not in repr(options) + repr(Salesforce.connection(options))

    def test_own_domains_are_missed(self, sign_in):
        """Where no domains of one's own people are named, the operator hears what that means."""
        assert "own_domains" in Salesforce.warnings(sign_in().options)[0]
        assert Salesforce.warnings(sign_in(own_domains=["acme.test"]).options) == ()


class TestSigningIn:
    """Tokens."""

    async def test_account_and_quota(self, adapter, salesforce):
        """The check tells the user that the app runs as, and how many requests the day has left."""
        salesforce.open_case()
        identity = await adapter.check()
        assert identity.account == "syncd@acme.test"
        assert "14976 of 15000" in identity.notes[0]

    async def test_user_that_is_not_told(self, adapter, salesforce):
        """Where the app's scopes do not tell its user, that is no failure."""
        salesforce.tells_user = False
        assert "unknown" in (await adapter.check()).account

    async def test_expired_token(self, adapter, salesforce):
        """Tokens carry no end: one that is refused by INVALID_SESSION_ID is renewed, and nobody notices."""
        await adapter.check()
        salesforce.tokens = {"another"}
        await adapter.check()
        assert salesforce.count("oauth2/token") == 2

    async def test_refresh_token(self, sign_in):
        """A refresh token signs in the user that it was given for."""
        assert (await sign_in(refresh_token=REFRESH_TOKEN).check()).account
        with pytest.raises(PauseSystem):
            await sign_in(refresh_token="used up").check()

    async def test_instance_url_is_not_called(self, adapter, salesforce):
        """The address beside the token is somebody's word: everything goes to the address in the settings."""
        await adapter.check()
        assert salesforce.count("/services/data") > 0


class TestRefusals:
    """Errors are lists of objects, and their codes say what to do."""

    async def test_quota_of_a_day(self, adapter, salesforce):
        """REQUEST_LIMIT_EXCEEDED is a 403, and no reason to pause: it ends by itself, after a wait."""
        salesforce.quota_used_up = True
        with pytest.raises(RetryLater) as caught:
            await adapter.check()
        assert caught.value.wait_seconds == 900

    @pytest.mark.parametrize("code", ["API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INSUFFICIENT_ACCESS"])
    async def test_other_403(self, adapter, salesforce, code):
        """Any other 403 is about permissions, and pauses the system with its code."""
        await adapter.check()
        body = f'[{{"message": "private words", "errorCode": "{code}"}}]'
        salesforce.next_answers.append((403, {}, body, "application/json"))
        with pytest.raises(PauseSystem, match=code) as caught:
            await adapter.check()
        assert "private words" not in str(caught.value)

    @pytest.mark.parametrize("body", ["<html>Forbidden</html>", "{}", '[{"errorCode": 7}]'])
    async def test_403_of_a_proxy(self, adapter, salesforce, body):
        """A 403 without a code of Salesforce's says nothing about permissions."""
        await adapter.check()
        salesforce.next_answers.append((403, {}, body, "text/html"))
        with pytest.raises(UnexpectedAnswer):
            await adapter.check()

    async def test_expired_locator(self, adapter, salesforce):
        """A next page that has expired is asked for again later, from the last cursor."""
        salesforce.next_answers.clear()
        await adapter.check()
        body = '[{"message": "x", "errorCode": "INVALID_QUERY_LOCATOR"}]'
        salesforce.next_answers.append((400, {}, body, "application/json"))
        with pytest.raises(RetryLater):
            await adapter.tickets(["500Ac00000000aaIAA"])

    async def test_fewer_rows_than_said(self, adapter, salesforce):
        """A query that shows fewer rows than it counted is a failure: what is missing is not absent."""
        case_id = salesforce.open_case()
        salesforce.lies_about_total = 1
        with pytest.raises(UnexpectedAnswer, match="number of rows"):
            await adapter.tickets([case_id])


class TestSight:
    """What the user does not see."""

    async def test_hidden_fields_are_not_asked_for(self, adapter, salesforce):
        """A field that the user does not see would refuse the whole query, so the object's description decides."""
        case_id = salesforce.open_case()
        salesforce.hidden = {"Case": {"OwnerId", "Subject"}, "EmailMessage": {"IsPrivateDraft", "BccAddress"}}
        ticket = await adapter.resolve(TicketRef(number=salesforce.number(case_id)))
        assert (ticket.subject, ticket.assignee) == (None, None)
        assert [reply.id async for reply in adapter.replies(ticket, None)] == [case_id]

    async def test_field_hidden_meanwhile(self, adapter, salesforce):
        """A field that is hidden while syncd runs is INVALID_FIELD; the object is described anew and asked again."""
        case_id = salesforce.open_case()
        await adapter.tickets([case_id])
        salesforce.hidden = {"Case": {"Subject"}}
        (ticket,) = await adapter.tickets([case_id])
        assert ticket.subject is None

    @pytest.mark.parametrize(
        ("kind", "name"), [("Case", "IsClosed"), ("EmailMessage", "TextBody"), ("CaseComment", "IsPublished")]
    )
    async def test_needed_fields(self, adapter, salesforce, kind, name):
        """Without the fields that carry texts and visibility nothing is read, and the message names them."""
        case_id = salesforce.open_case()
        salesforce.hidden = {kind: {name}}
        with pytest.raises(PauseSystem, match=f"{name} of {kind}"):
            [reply async for reply in adapter.replies((await adapter.tickets([case_id]))[0], None)]

    async def test_no_email_to_case(self, adapter, salesforce):
        """An organisation without mails has comments and descriptions alone, and the check says so."""
        case_id = salesforce.open_case()
        comment = salesforce.comment(case_id, "hello")
        salesforce.hidden = {"EmailMessage": {"*"}}
        assert any("EmailMessage" in warning for warning in (await adapter.check()).warnings)
        (ticket,) = await adapter.tickets([case_id])
        assert {reply.id async for reply in adapter.replies(ticket, None)} == {case_id, comment}

    async def test_object_hidden_meanwhile(self, adapter, salesforce):
        """Mails that the user may not see any more pause the system: they are not gone."""
        case_id = salesforce.open_case()
        (ticket,) = await adapter.tickets([case_id])
        assert [reply async for reply in adapter.replies(ticket, None)]
        salesforce.hidden = {"EmailMessage": {"*"}}
        with pytest.raises(PauseSystem, match="EmailMessage"):
            [reply async for reply in adapter.replies(ticket, None)]

    @pytest.mark.parametrize("name", ["*", "TextBody"])
    async def test_hidden_until_mended(self, adapter, salesforce, name):
        """Who resumes a system without mending what is hidden is told again; once it is mended, all mails are read."""
        case_id, mail = salesforce.open_by_mail()
        (ticket,) = await adapter.tickets([case_id])
        assert [reply.id async for reply in adapter.replies(ticket, None)] == [mail]
        salesforce.hidden = {"EmailMessage": {name}}
        for _ in range(2):
            with pytest.raises(PauseSystem, match="EmailMessage"):
                [reply async for reply in adapter.replies(ticket, None)]
        salesforce.hidden = {}
        assert [reply.id async for reply in adapter.replies(ticket, None)] == [mail]

    async def test_no_case_at_all(self, adapter, salesforce):
        """Where no case is shown at all, permissions are gone, and not the tickets."""
        case_id = salesforce.open_case()
        salesforce.invisible = {case_id}
        assert any("no case" in warning for warning in (await adapter.check()).warnings)
        with pytest.raises(PauseSystem, match="no case"):
            await adapter.tickets([case_id])

    async def test_operation_too_large(self, adapter, salesforce):
        """Without View All Data there is no asking for all mails: then there is no feed, and each case is read."""
        case_id, mail = salesforce.open_by_mail()
        salesforce.view_all = False
        assert any("View All Data" in warning for warning in (await adapter.check()).warnings)
        assert await adapter.available() == {Capability.BULK_TICKETS}
        (ticket,) = await adapter.tickets([case_id])
        assert [reply.id async for reply in adapter.replies(ticket, None)] == [mail]

    async def test_feed_that_became_too_large(self, adapter, salesforce, clock):
        """A feed that is refused later is a failure with the permission in its words, and no end of the feed."""
        await adapter.check()
        salesforce.view_all = False
        with pytest.raises(UnexpectedAnswer, match="View All Data"):
            [page async for page in adapter.changes(clock.now())]

    async def test_next_page_elsewhere(self, adapter, salesforce):
        """A next page that is no path of the API is not asked for."""
        await adapter.check()
        body = '{"totalSize": 2, "done": false, "nextRecordsUrl": "https://evil.test/x", "records": []}'
        salesforce.forget()
        salesforce.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="no path"):
            await adapter.tickets(["500Ac00000000aaIAA"])
        assert [path for path, _ in salesforce.requests] == [f"{API}/queryAll"]
