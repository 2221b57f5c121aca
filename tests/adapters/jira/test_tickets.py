"""Finding issues of Jira by key and link, and reading their states."""

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Ticket, TicketRef, Unavailability, Unavailable
from tests.adapters.jira.reading import ago

GATEWAY_404 = '{"timestamp": "x", "status": 404, "error": "Not Found", "message": "x", "path": "/x"}'


class TestResolve:
    """Keys and links."""

    @pytest.mark.parametrize(
        "shape",
        [
            "/browse/{}",
            "/browse/{}?focusedCommentId=10123#comment-10123",
            "/servicedesk/customer/portal/2/{}",
            "/projects/ABC/queues/custom/7/{}",
            "/jira/servicedesk/projects/ABC/queues/custom/7/{}",
            "/jira/software/projects/ABC/boards/1?selectedIssue={}",
            "/rest/api/3/issue/{}",
            "/jira-9/browse/{}/",
        ],
    )
    async def test_link(self, cloud, jira, shape):
        """Every shape of a link, agents' and customers', leads to the issue; the last key in it counts."""
        issue_id = jira.site.open_issue()
        ticket = await cloud.resolve(TicketRef(link=jira.base_url + shape.format(f"ABC-{issue_id}")))
        assert (ticket.id, ticket.link) == (issue_id, f"{jira.base_url}/browse/ABC-{issue_id}")

    @pytest.mark.parametrize(
        "behind", ["?returnTo=/browse/{}", "?jql=x&from=/{}/", "#/browse/{}", "?a=b#&selectedIssue={}"]
    )
    async def test_another_key_behind_the_path(self, cloud, jira, behind):
        """A key in the rest of a link is that of another issue: its replies would go into somebody else's thread."""
        meant, other = (jira.site.open_issue() for _ in range(2))
        link = f"{jira.base_url}/browse/ABC-{meant}" + behind.format(f"ABC-{other}")
        assert (await cloud.resolve(TicketRef(link=link))).id == meant

    async def test_the_selected_issue_counts(self, cloud, jira):
        """On a page that is about another issue the selected one is meant."""
        shown, selected = (jira.site.open_issue() for _ in range(2))
        link = f"{jira.base_url}/browse/ABC-{shown}?view=detail&selectedIssue=ABC-{selected}&quick=1"
        assert (await cloud.resolve(TicketRef(link=link))).id == selected

    async def test_context_path(self, dc, data_center):
        """A Data Center below a context path has it in its links, too."""
        issue_id = data_center.site.open_issue()
        link = f"{data_center.base_url}/browse/ABC-{issue_id}"
        assert "/jira/browse/" in link
        assert (await dc.resolve(TicketRef(link=link))).link == link

    @pytest.mark.parametrize("shape", ["ABC-{}", "abc-{}", " Abc-{} "])
    async def test_number(self, cloud, jira, shape):
        """People write keys in any case."""
        issue_id = jira.site.open_issue()
        assert (await cloud.resolve(TicketRef(number=shape.format(issue_id)))).number == f"ABC-{issue_id}"
        assert jira.requests[0][0] == f"/rest/api/3/issue/ABC-{issue_id}"

    @pytest.mark.parametrize("number", ["10001", "ABC", "ABC-0", "ABC-1x", "-1", "ABC_1", "ÄBC-1", "ABC-12345678901"])
    async def test_no_key(self, cloud, jira, number):
        """What is no key is refused without asking, a bare id too."""
        with pytest.raises(InvalidTicketRef, match="ABC-123"):
            await cloud.resolve(TicketRef(number=number))
        assert jira.requests == []

    async def test_moved(self, cloud, jira):
        """The key that an issue had before it was moved leads to it; its id stays, and its present key is told."""
        issue_id = jira.site.open_issue()
        jira.site.move(issue_id, "OR")
        ticket = await cloud.resolve(TicketRef(number=f"ABC-{issue_id}"))
        assert (ticket.id, ticket.number) == (issue_id, f"OR-{issue_id}")

    async def test_a_404_of_somebody_else(self, cloud, jira):
        """A 404 of the gateway, of a proxy or of a suspended site does not make a ticket gone."""
        for body, kind in (
            (GATEWAY_404, "application/json"),
            ("<html>Site gone</html>", "text/html"),
            ("[]", "text/json"),
        ):
            jira.next_answers.append((404, {}, body, kind))
            with pytest.raises(UnexpectedAnswer):
                await cloud.resolve(TicketRef(number="ABC-1"))

    async def test_forbidden(self, cloud, jira):
        """Jira hides what is forbidden behind a 404; where it says 403 itself, that is forbidden."""
        body = '{"errorMessages": ["You do not have the permission to see the specified issue."], "errors": {}}'
        jira.next_answers.append((403, {}, body, "application/json"))
        with pytest.raises(TicketUnavailable) as caught:
            await cloud.resolve(TicketRef(number="ABC-1"))
        assert caught.value.unavailable == Unavailable("ABC-1", Unavailability.FORBIDDEN)


class TestTickets:
    """States in bulk."""

    async def test_bulk(self, cloud, jira, dc, data_center):
        """250 states cost three requests, on Cloud and on Data Center."""
        for adapter, account in ((cloud, jira), (dc, data_center)):
            ids = [account.site.open_issue() for _ in range(250)]
            assert sorted(ticket.id for ticket in await adapter.tickets([*ids, ids[0]])) == sorted(ids)
            assert len(account.requests) == 3

    async def test_left_out(self, cloud, jira):
        """A bulk read leaves out what is gone or forbidden without a word: each is asked for by itself."""
        good, deleted, hidden = (jira.site.open_issue() for _ in range(3))
        jira.site.gone.add(deleted)
        jira.site.forbidden.add(hidden)
        found = {
            one.id if isinstance(one, Ticket) else one.ticket_id: one
            for one in await cloud.tickets([deleted, good, hidden, "no-id"])
        }
        assert isinstance(found.pop(good), Ticket)
        assert found == {key: Unavailable(key, Unavailability.GONE) for key in (deleted, hidden, "no-id")}

    @pytest.mark.parametrize("validates", [False, True])
    async def test_data_center_leaves_out(self, dc, data_center, validates):
        """One issue that is gone stops no other on Data Center, whether or not it refuses the whole search for it."""
        data_center.validates = validates
        good, deleted, unindexed = (data_center.site.open_issue() for _ in range(3))
        data_center.site.gone.add(deleted)
        data_center.site.unindexed.add(unindexed)
        found = await dc.tickets([good, deleted, unindexed])
        assert {one.id for one in found if isinstance(one, Ticket)} == {good, unindexed}
        assert len(found) == 3
        assert data_center.count("/issue/") == (3 if validates else 2)

    @pytest.mark.parametrize(
        ("category", "status"),
        [
            ("new", ThreadStatus.CREATED),
            ("indeterminate", ThreadStatus.ONGOING),
            ("undefined", ThreadStatus.ONGOING),
            ("done", ThreadStatus.CLOSED),
            ("invented", None),
        ],
    )
    async def test_status(self, cloud, jira, category, status):
        """Names of statuses are free and translated: their category tells the level, the name is kept."""
        issue_id = jira.site.open_issue()
        jira.site.set_status(issue_id, "Erledigt", category)
        (ticket,) = await cloud.tickets([issue_id])
        assert (ticket.status, ticket.vendor_status) == (status, "Erledigt")

    async def test_state(self, cloud, jira, clock):
        """Subject, assignee and time come along; times are told in the zone of the account, with +0100."""
        at = ago(clock, 60)
        issue_id = jira.site.open_issue(at, summary="Locker", assignee=jira.site.agent)
        (ticket,) = await cloud.tickets([issue_id])
        assert (ticket.subject, ticket.assignee, ticket.updated_at) == ("Locker", "Anna Agent", at)
