"""Signing in to Jira: options, deployments, rights, and answers as to an anonymous caller."""

import pytest
from pydantic import ValidationError

from adapters.jira import Jira, JiraConfig
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import TicketRef
from syncd.sources.adapter import Capability
from tests.adapters.jira.reading import ago, pages_of, replies_of
from tests.adapters.jira.stand_in import EMAIL, TOKEN, JiraDataCenterStandIn, JiraStandIn

SITE = "https://acme.atlassian.net"
GATEWAY = "https://api.atlassian.com/ex/jira/11223344-a1b2"
API_TOKEN = {"email": EMAIL, "api_token": "api-token-1"}


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"email": EMAIL},
            {"api_token": "a"},
            {**API_TOKEN, "token": "b"},
            {"deployment": "data_center", **API_TOKEN},
            {"deployment": "server", "token": "b"},
        ],
    )
    def test_one_way_to_sign_in(self, options):
        """Anything but one whole way to sign in, and one that the deployment has, is refused."""
        with pytest.raises(ValidationError):
            JiraConfig(base_url=SITE, **options)

    def test_the_gateway_needs_the_address_of_the_site(self):
        """Behind the gateway links are of another host than base_url, so that host has to be given."""
        with pytest.raises(ValidationError, match="site_url"):
            JiraConfig(base_url=GATEWAY, token="b")
        assert JiraConfig(base_url=GATEWAY, token="b", site_url=SITE).site_url == SITE

    @pytest.mark.parametrize("site_url", ["acme", "ftp://acme", "https://me@acme", "https://acme/?a=b", "https://"])
    def test_a_site_url_is_a_web_address(self, site_url):
        """What is no plain web address cannot be the site's."""
        with pytest.raises(ValidationError, match="site_url"):
            JiraConfig(base_url=SITE, token="b", site_url=site_url)

    def test_projects_are_keys(self):
        """Projects are named by their keys, in any case; what could change the query is refused."""
        assert JiraConfig(base_url=SITE, token="b", projects=["abc"]).projects == ("ABC",)
        with pytest.raises(ValidationError, match="keys"):
            JiraConfig(base_url=SITE, token="b", projects=['ABC") OR project in ("X'])

    def test_secrets_stay_out_of_texts(self):
        """No secret is in the repr of options or connection."""
        options = JiraConfig(base_url=SITE, **API_TOKEN)
        assert "api-token-1" not in repr(options) + repr(Jira.connection(options))


class TestSigningIn:
    """Credentials, deployments, and what is hidden from the account."""

    async def test_each_way_of_cloud(self, connect_cloud):
        """An API token with its e-mail address, and the access token of a service account, are accepted."""
        for way in (API_TOKEN, {"email": None, "api_token": None, "token": TOKEN}):
            assert (await connect_cloud(**way).check()).account == "Sync Bot"

    async def test_an_end_of_api_tokens_is_told(self, cloud):
        """API tokens end after a year at most, and an operator is told so."""
        assert "a year" in (await cloud.check()).notes[0]

    async def test_the_other_deployment_is_named(self, connect, clock):
        """Cloud answers to API v2 as well: a wrong deployment pauses the system, and the message says what to set."""
        stand_in = JiraDataCenterStandIn(clock)
        stand_in.site.agent = {"accountId": "712020:1", "displayName": "Sync Bot"}
        async with stand_in as account:
            adapter = connect(Jira, base_url=account.base_url, deployment="data_center", token=TOKEN)
            with pytest.raises(PauseSystem, match='deployment = "cloud"'):
                await adapter.check()

    async def test_no_api_of_this_version(self, connect, data_center):
        """A Data Center has no API v3: the 404 tells to look at base_url and deployment."""
        with pytest.raises(PauseSystem, match="deployment"):
            await connect(Jira, base_url=data_center.base_url, token=TOKEN).check()

    async def test_hidden_projects_are_told(self, connect_cloud):
        """A project that the account does not see is named, because Jira refuses every search with it."""
        warnings = (await connect_cloud(projects=["ABC", "HR"]).check()).warnings
        assert "HR" in warnings[0]
        assert "ABC" not in warnings[0]

    async def test_an_account_that_sees_nothing_is_told(self, cloud, jira):
        """Missing rights are an empty list with 200, so an account that sees no issue is warned about."""
        assert "no issue" in (await cloud.check()).warnings[0]
        jira.site.open_issue()
        assert (await cloud.check()).warnings == ()

    @pytest.mark.parametrize("status", [401, 403, 404])
    async def test_no_service_management_is_told(self, cloud, jira, status):
        """Without Service Management, or with a token that has no scope for it, an operator is warned."""
        jira.site.open_issue()
        jira.meanwhile["/rest/servicedeskapi/info"] = lambda: jira.next_answers.append(
            (status, {}, '{"code": 401, "message": "scope does not match"}', "application/json")
        )
        assert "Service Management" in (await cloud.check()).warnings[0]

    async def test_data_center_has_no_replies_in_bulk(self, cloud, dc):
        """Data Center does not say in bulk who sees a comment, so replies are read issue by issue there."""
        assert await cloud.available() == frozenset(Capability)
        assert await dc.available() == {Capability.CHANGE_FEED, Capability.BULK_TICKETS}

    async def test_a_gateway_with_a_path(self, connect, clock):
        """Behind the gateway everything is below /ex/jira/CLOUD_ID, and links are those of the site."""
        stand_in = JiraStandIn(clock)
        stand_in.prefix = "/ex/jira/11223344-a1b2"
        async with stand_in as jira:
            issue_id = jira.site.open_issue()
            adapter = connect(Jira, base_url=jira.base_url, token=TOKEN, site_url=f"{SITE}/")
            ticket = await adapter.resolve(TicketRef(link=f"{SITE}/browse/ABC-{issue_id}"))
            assert ticket.link == f"{SITE}/browse/ABC-{issue_id}"
            assert jira.requests[0][0] == f"/rest/api/3/issue/ABC-{issue_id}"


class TestEndedToken:
    """An ended token: Jira answers all but /myself as to an anonymous caller, with 200 and empty lists or 404."""

    async def test_nothing_is_gone(self, cloud, jira, clock):
        """No ticket is called gone, no reply missing and no feed empty when the token has ended: the system pauses."""
        issue_id = jira.site.open_issue(ago(clock, 600))
        (ticket,) = await cloud.tickets([issue_id])
        jira.has_ended = True
        for reading in (
            cloud.tickets([issue_id]),
            pages_of(cloud, ago(clock, 3600)),
            anext(cloud.replies(ticket, None)),
            cloud.resolve(TicketRef(number=ticket.number)),
        ):
            with pytest.raises(PauseSystem, match="anonymous"):
                await reading

    async def test_without_the_header(self, cloud, jira, clock):
        """Where a proxy cut off the header that tells it, /myself is asked before an absence is believed."""
        nothing = (200, {}, '{"issues": [], "isLast": true, "issueErrors": []}', "application/json")
        gone = (404, {}, '{"errorMessages": ["Issue does not exist"], "errors": {}}', "application/json")
        refused = (401, {}, "", "text/html")
        jira.next_answers += [nothing, refused]
        with pytest.raises(PauseSystem):
            await pages_of(cloud, ago(clock, 60))
        jira.next_answers += [nothing, gone, refused]
        with pytest.raises(PauseSystem):
            await cloud.tickets(["10001"])
        jira.next_answers += [gone, refused]
        with pytest.raises(PauseSystem):
            await cloud.resolve(TicketRef(number="ABC-1"))

    @pytest.mark.parametrize("reason", ["AUTHENTICATION_DENIED", "authenticated_failed"])
    async def test_every_refusal(self, cloud, jira, reason):
        """A CAPTCHA that waits for a person is told by the same header."""
        answer = '{"accountId": "1", "displayName": "x"}'
        jira.next_answers.append((200, {"X-Seraph-LoginReason": reason}, answer, "application/json"))
        with pytest.raises(PauseSystem):
            await cloud.check()

    async def test_a_login_page_is_no_answer(self, dc, data_center, clock):
        """The login page of a single sign-on, with 200, is a failure."""
        issue_id = data_center.site.open_issue(ago(clock, 60))
        data_center.next_answers.append((200, {}, "<html>Sign in</html>", "text/html"))
        with pytest.raises(UnexpectedAnswer):
            await replies_of(dc, issue_id)
