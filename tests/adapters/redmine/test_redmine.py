"""Signing in to Redmine, its options, and answers recorded from a real one."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters._redmine_records import Conversation, Statuses, parse_ticket, roles_in
from adapters.redmine import Redmine
from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, SettingsError
from syncd.model.ticket import AuthorKind, Visibility
from syncd.sources.adapter import Response
from syncd.sources.records import Record
from syncd.sources.registry import validate_options

RECORDED = Path(__file__).with_name("recorded")
OPTIONS = {"base_url": "https://redmine.acme.test/support/", "api_key": "0123"}


def recorded(name):
    """Return an answer of a real Redmine 5.0.4."""
    return Record(json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8")), name)


class TestCheck:
    """Who we are, and what the account cannot see."""

    async def test_it_tells_the_account_and_its_projects(self, adapter, redmine, clock):
        """A good account with the least permissions has nothing to be warned of."""
        redmine.create_issue(clock.now())
        identity = await adapter.check()
        assert (identity.account, identity.notes, identity.warnings) == ("syncd", ("member of: Support",), ())

    @pytest.mark.parametrize("login_required", [True, False])
    async def test_a_wrong_key_pauses_on_every_site(self, sign_in, redmine, login_required):
        """Where visitors are let in, a wrong key gets public issues and no error; the account itself is refused."""
        redmine.login_required = login_required
        with pytest.raises(PauseSystem):
            await sign_in(api_key="f" * 40).check()

    async def test_an_api_that_is_switched_off_is_named(self, adapter, redmine):
        """Redmine comes with its REST API switched off."""
        redmine.api_enabled = False
        with pytest.raises(PauseSystem, match="REST API"):
            await adapter.check()

    async def test_an_address_without_a_redmine_is_named(self, sign_in, redmine):
        """A base_url that leads beside Redmine is told at the check."""
        with pytest.raises(PauseSystem, match="start page"):
            await sign_in(base_url=f"{redmine.base_url}/projects").check()

    async def test_a_password_that_must_be_changed_is_named(self, adapter, redmine):
        """Redmine refuses such an account with the same 403."""
        redmine.must_change_password = True
        with pytest.raises(PauseSystem, match="password"):
            await adapter.check()

    async def test_it_warns_of_what_a_role_lacks(self, adapter, redmine):
        """Private notes that vanish without a word, and issues that are not seen, are told at the start."""
        redmine.permissions[6].remove("view_private_notes")
        redmine.issues_visibility = "default"
        redmine.create_issue(datetime(2026, 3, 1, tzinfo=UTC))
        told = "; ".join((await adapter.check()).warnings)
        assert "lacks View private notes" in told
        assert "does not see all issues" in told

    async def test_it_warns_of_an_administrator(self, adapter, redmine):
        """An administrator may do more than read."""
        redmine.is_admin = True
        assert any("administrator" in warning for warning in (await adapter.check()).warnings)

    async def test_it_warns_of_roles_that_are_not_there(self, sign_in):
        """The roles of a site in another language have other names."""
        warnings = (await sign_in(customer_roles=["Melder", "reporter"]).check()).warnings
        assert any("no role Melder," in warning for warning in warnings)

    async def test_it_warns_where_no_issue_is_seen(self, adapter, redmine):
        """An account that is no member sees nothing, and may not even list issues."""
        assert any("sees no issue" in warning for warning in (await adapter.check()).warnings) is True
        redmine.permissions[6].remove("view_issues")
        assert "the role Reader lacks View issues" in (await adapter.check()).warnings

    async def test_the_api_key_in_the_answer_is_told_to_nobody(self, adapter, redmine):
        """Redmine's answer to "who am I" holds the key itself."""
        assert redmine.api_key not in repr(await adapter.check())

    async def test_cookies_are_not_sent_back(self, adapter, redmine, clock):
        """Lists set a session cookie, which would outlive the key."""
        headers = []
        answer = redmine._answer
        redmine._answer = lambda request, path: headers.append(request.headers) or answer(request, path)
        redmine.create_issue(clock.now())
        assert [page async for page in adapter.changes(clock.now())]
        assert [page async for page in adapter.changes(clock.now())]
        assert all("Cookie" not in one for one in headers)


class TestOptions:
    """What an operator writes."""

    async def test_the_roles_of_one_side_are_named(self):
        """Naming both sides would leave some people between them."""
        with pytest.raises(SettingsError):
            validate_options(Redmine, {**OPTIONS, "customer_roles": ["Reporter"], "agent_roles": ["Developer"]})

    async def test_an_empty_key_is_refused(self):
        """Without a key nobody is signed in."""
        with pytest.raises(SettingsError):
            validate_options(Redmine, {**OPTIONS, "api_key": ""})

    async def test_a_slash_at_the_end_of_the_address_does_not_matter(self):
        """Links are made without a double slash."""
        assert validate_options(Redmine, OPTIONS).base_url == "https://redmine.acme.test/support"


class TestRecorded:
    """Answers of a real Redmine 5.0.4."""

    def conversation(self, name):
        """Return the replies of a recorded issue, its author a customer."""
        conversation = Conversation(recorded(name).get_record("issue"), "https://redmine.test")
        return conversation.replies({"6": AuthorKind.CUSTOMER, "5": AuthorKind.AGENT})

    def test_an_issue_with_journals(self):
        """Description, note, private note and answer are replies; the closing journal has no words and is none."""
        found = self.conversation("issue")
        assert [reply.id for reply in found] == ["issue-1", "1", "2", "3"]
        kinds = [AuthorKind.CUSTOMER, AuthorKind.AGENT, AuthorKind.AGENT, AuthorKind.CUSTOMER]
        assert [reply.author.kind for reply in found] == kinds
        internal = [reply.id for reply in found if reply.visibility is not Visibility.PUBLIC]
        assert internal == ["2"]
        assert found[0].body.text.endswith('Größe <A4> & "Übergröße".')
        assert found[3].body.text == "Ja, ist er.\n\n> Hallo Carla,\n> ist der Drucker eingeschaltet?"
        assert found[3].created_at == datetime(2026, 11, 23, 1, 42, 11, tzinfo=UTC)

    def test_an_issue_with_files(self):
        """Newest note first, as this account prefers it: replies with files, and a private note that was split."""
        found = {reply.id: reply for reply in self.conversation("issue_with_files")}
        told = [(reply.body.text, [file.name for file in reply.attachments]) for reply in found.values()]
        assert told == [
            ("It does not print.", ["first.txt"]),
            ("See there.", ["plan.pdf"]),
            ("", ["contract.txt"]),
            ("His contract.", []),
            ("", ["screen.png"]),
        ]
        internal = [reply.visibility is Visibility.INTERNAL for reply in found.values()]
        assert internal == [False, False, True, True, False]

    def test_statuses_and_trackers(self):
        """The closed statuses are 5 and 6, and all trackers begin with 1."""
        statuses = self.statuses()
        assert (statuses.closed, dict(statuses.first)) == ({"5", "6"}, {"1": "1", "2": "1", "3": "1"})

    def statuses(self):
        return Statuses.of(
            recorded("issue_statuses").get_records("issue_statuses"), recorded("trackers").get_records("trackers")
        )

    def test_a_list_of_changed_issues(self):
        """A row of the list is a whole ticket."""
        rows = recorded("changed_issues").get_records("issues")
        tickets = [parse_ticket(row, self.statuses(), "https://redmine.test") for row in rows]
        assert [ticket.status for ticket in tickets[:2]] == [ThreadStatus.CLOSED, ThreadStatus.ONGOING]
        assert (tickets[0].link, tickets[0].assignee) == ("https://redmine.test/issues/1", "Peter Meyer")
        assert tickets[1].updated_at == tickets[2].updated_at

    def test_memberships(self):
        """Members are named with their roles."""
        rows = recorded("memberships").get_records("memberships")
        assert [roles_in(row) for row in rows] == [{"Developer"}, {"Reporter"}]

    async def test_a_page_behind_the_last_one(self):
        """Past the end Redmine answers an empty list with the right total: no end that was not reached."""
        body = (RECORDED / "behind_the_last_page.json").read_bytes()
        answer = Record(Response(200, {}, body).json(), "list")
        assert (answer.get_records("issues"), answer.get_int("total_count")) == ([], 10)

    def test_a_role(self):
        """A role tells its permissions and which issues it sees."""
        role = recorded("role").get_record("role")
        assert role.raw("permissions") == ["view_issues", "view_private_notes"]
        assert role.find_text("issues_visibility") == "all"
