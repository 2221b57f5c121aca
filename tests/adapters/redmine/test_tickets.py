"""Finding issues of Redmine by number and link, and reading their states."""

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable


class TestResolve:
    """Numbers and links."""

    @pytest.mark.parametrize(
        "shape",
        [
            "/issues/{}",
            "/issues/{}#note-4",
            "/issues/{}#change-987",
            "/issues/{}?tab=history",
            "/issues/{}/edit",
            "/issues/{}.json",
            "/issues/{}.atom?key=1",
            "/projects/support/issues/{}",
        ],
    )
    async def test_links(self, adapter, redmine, clock, shape):
        """Every page of an issue names it; note-4 is a place among the notes, and of no interest."""
        issue = redmine.create_issue(clock.now())
        ticket = await adapter.resolve(TicketRef(link=redmine.base_url + shape.format(issue)))
        assert (ticket.id, ticket.number, ticket.link) == (str(issue), str(issue), redmine.link(issue))

    @pytest.mark.parametrize("shape", ["{}", "#{}", " #{} "])
    async def test_numbers(self, adapter, redmine, clock, shape):
        """The number that people quote is the id, with or without #."""
        issue = redmine.create_issue(clock.now())
        assert (await adapter.resolve(TicketRef(number=shape.format(issue)))).id == str(issue)

    @pytest.mark.parametrize(
        "ref",
        [
            TicketRef(number="0"),
            TicketRef(number="12345678901"),
            TicketRef(number="٣"),
            TicketRef(link="http://127.0.0.1/issues/12x"),
            TicketRef(link="http://127.0.0.1/issues?issue_id=12"),
            TicketRef(link="http://127.0.0.1/projects/support#/issues/12"),
        ],
    )
    async def test_no_issue(self, adapter, redmine, ref):
        """What cannot be an issue is refused without asking."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(ref)
        assert redmine.requests == []

    async def test_what_is_told(self, adapter, redmine, clock):
        """Subject, status, assignee and the time of the last change come from one answer."""
        at = clock.now().replace(microsecond=0)
        issue = redmine.create_issue(at, assigned_to_id=redmine.agent, status_id=2)
        ticket = await adapter.resolve(TicketRef(number=str(issue)))
        assert (ticket.subject, ticket.vendor_status, ticket.assignee) == ("Printer", "In Progress", "Peter Meyer")
        assert ticket.updated_at == at

    async def test_the_answer_of_another_issue_is_a_failure(self, adapter, redmine, clock):
        """An answer must be about the issue that was asked for."""
        issue, other = (redmine.create_issue(clock.now()) for _ in range(2))
        redmine.issues[issue] = redmine.issues[other]
        with pytest.raises(UnexpectedAnswer, match="another issue"):
            await adapter.resolve(TicketRef(number=str(issue)))


class TestTickets:
    """States in bulk."""

    async def test_a_hundred_a_request(self, adapter, redmine, clock):
        """250 issues, closed ones among them, cost three requests, and two for the statuses."""
        ids = [redmine.create_issue(clock.now(), status_id=1 + number % 6) for number in range(250)]
        tickets = await adapter.tickets([str(key) for key in ids])
        assert [ticket.id for ticket in tickets] == [str(key) for key in ids]
        assert len(redmine.requests) == 5

    async def test_lost_issues_are_told_apart(self, adapter, redmine, clock):
        """The list leaves out what is gone or hidden; each of them is asked for, and stops no other."""
        good, hidden = redmine.create_issue(clock.now()), redmine.create_issue(clock.now(), project=2)
        found = await adapter.tickets([str(good), str(hidden), "987654", "no number"])
        assert [item for item in found if isinstance(item, Unavailable)] == [
            Unavailable(str(hidden), Unavailability.FORBIDDEN),
            Unavailable("987654", Unavailability.GONE),
            Unavailable("no number", Unavailability.GONE),
        ]
        assert found[0].id == str(good)

    async def test_a_moved_issue_keeps_its_id(self, adapter, redmine, clock):
        """An issue goes to another project with its number."""
        issue = redmine.create_issue(clock.now())
        redmine.issues[issue]["project_id"] = 3
        (ticket,) = await adapter.tickets([str(issue)])
        assert ticket.id == str(issue)

    async def test_nothing_is_forbidden_to_an_account_that_is_not_signed_in(self, adapter, redmine, clock):
        """With the REST API off every issue is a 403: that pauses the system, and suspends no link."""
        issue = redmine.create_issue(clock.now())
        redmine.api_enabled = False
        for redmine.login_required in (True, False):
            with pytest.raises(PauseSystem, match="REST API"):
                await adapter.resolve(TicketRef(number=str(issue)))
            with pytest.raises(PauseSystem, match="REST API"):
                await adapter.tickets([str(issue)])

    async def test_a_revoked_key_loses_no_issue(self, adapter, redmine, clock):
        """A visitor gets 401 for an issue that only members see, and 404 only for one that is not there."""
        issue = redmine.create_issue(clock.now())
        redmine.login_required, redmine.api_key = False, "f" * 40
        for number in (str(issue), "987654"):
            with pytest.raises(PauseSystem):
                await adapter.tickets([number])


class TestStatuses:
    """From Redmine's words to levels."""

    @pytest.mark.parametrize(
        ("word", "level"),
        [
            ("New", ThreadStatus.CREATED),
            ("In Progress", ThreadStatus.ONGOING),
            ("Resolved", ThreadStatus.ONGOING),
            ("Feedback", ThreadStatus.ONGOING),
            ("Closed", ThreadStatus.CLOSED),
            ("Rejected", ThreadStatus.CLOSED),
        ],
    )
    @pytest.mark.parametrize("version", [4, 5])
    async def test_levels(self, adapter, redmine, clock, word, level, version):
        """Closed is what Redmine calls so, in the issue or in the list of statuses; Resolved is not."""
        redmine.version = version
        issue = redmine.create_issue(clock.now())
        redmine.set_status(issue, word)
        (ticket,) = await adapter.tickets([str(issue)])
        assert (ticket.status, ticket.vendor_status) == (level, word)

    async def test_a_reopened_issue_is_not_closed(self, adapter, redmine, clock):
        """`closed_on` stays after reopening, and is not read."""
        issue = redmine.create_issue(clock.now())
        redmine.set_status(issue, "Closed")
        redmine.set_status(issue, "Feedback")
        (ticket,) = await adapter.tickets([str(issue)])
        assert ticket.status is ThreadStatus.ONGOING

    async def test_without_default_statuses_the_first_open_one_is_new(self, adapter, redmine, clock):
        """Older Redmines do not tell with which status the issues of a tracker begin."""
        redmine.default_statuses = False
        new, going = redmine.create_issue(clock.now()), redmine.create_issue(clock.now(), status_id=2)
        levels = [ticket.status for ticket in await adapter.tickets([str(new), str(going)])]
        assert levels == [ThreadStatus.CREATED, ThreadStatus.ONGOING]

    async def test_an_unknown_issue_is_unavailable(self, adapter):
        """A number that no issue has is gone."""
        with pytest.raises(TicketUnavailable) as error:
            await adapter.resolve(TicketRef(number="987654"))
        assert error.value.unavailable.reason is Unavailability.GONE
