"""The change feed of Jira: an index that lags, times in the zone of the account, and pages that shift."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from adapters._jira_feed import MOST_SEEN, Bookmark
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor, Visibility
from tests.adapters.jira.reading import ago, pages_of, replies_of, told_by

MINUTE = 60


def replies_in(pages):
    """Return the replies that came with the feed, by their ids."""
    return {reply.id: reply for page in pages for replies in page.replies.values() for reply in replies}


class TestCloud:
    """States and replies in bulk."""

    async def test_few_requests(self, cloud, jira, clock):
        """250 changed issues with their replies cost one search and three bulk reads; an idle sweep is one search."""
        for number in range(250):
            issue_id = jira.site.open_issue(ago(clock, 3000 - number))
            jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 2000 - number))
        pages = await pages_of(cloud, ago(clock, 3600))
        assert len(replies_in(pages)) == 500
        assert len({ticket.id for page in pages for ticket in page.tickets}) == 250
        assert (jira.count("search/jql"), len(jira.fetched), len(jira.requests)) == (1, 3, 5)
        jira.forget()
        assert (await told_by(cloud, pages[-1].cursor))[0] == []
        assert [path for path, _ in jira.requests] == ["/rest/api/3/search/jql"]

    async def test_few_requests_without_service_management(self, cloud, jira, clock):
        """On a site that has no requests, the fields are asked for once a bulk read, and not once an issue."""
        jira.fields = jira.fields[:1]
        for number in range(150):
            jira.site.open_issue(ago(clock, 3000 - number), is_request=False)
        await pages_of(cloud, ago(clock, 3600))
        assert (len(jira.fetched), jira.count("/field")) == (2, 2)

    async def test_same_reply(self, cloud, jira, clock):
        """A reply reads the same from the feed and from its ticket, notes and all."""
        issue_id = jira.site.open_issue(ago(clock, 900))
        jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 800), edited=ago(clock, 700))
        jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 600), public=False)
        fed = replies_in(await pages_of(cloud, ago(clock, 3600)))
        read = await replies_of(cloud, issue_id)
        assert list(fed.values()) == read
        assert [reply.visibility for reply in read].count(Visibility.INTERNAL) == 1

    async def test_cut_threads_are_left_to_be_read(self, cloud, jira, clock):
        """An issue that came with a part of its comments is named with its state, and claims nothing of its replies."""
        jira.site.embed_limit = 2
        issue_id = jira.site.open_issue(ago(clock, 900))
        for place in range(3):
            jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 800 - place))
        page = (await pages_of(cloud, ago(clock, 3600)))[0]
        assert (page.ticket_ids, [one.id for one in page.tickets], page.replies) == ((issue_id,), [issue_id], {})

    async def test_unsaid_visibility_is_left_to_be_read(self, cloud, jira, clock):
        """A request with a comment that does not say who sees it is left to be read; nobody is asked about it."""
        issue_id = jira.site.open_issue(ago(clock, 900))
        jira.site.comment(issue_id, jira.site.agent)
        del jira.site.issues[issue_id]["comments"][-1]["raw"]["jsdPublic"]
        page = (await pages_of(cloud, ago(clock, 3600)))[0]
        assert (page.ticket_ids, page.replies) == ((issue_id,), {})
        assert jira.count("servicedeskapi") == 0

    async def test_plain_issues_are_internal(self, cloud, jira, clock):
        """Issues that are no requests, of which the feed is full, come as internal though jsdPublic is true."""
        issue_id = jira.site.open_issue(ago(clock, 900), is_request=False)
        jira.site.comment(issue_id, jira.site.agent)
        replies = replies_in(await pages_of(cloud, ago(clock, 3600)))
        assert {reply.visibility for reply in replies.values()} == {Visibility.INTERNAL}

    async def test_a_stale_copy(self, cloud, jira, clock):
        """A bulk read that hands out an older copy than the search saw claims nothing, and the issue is told again."""
        issue_id = jira.site.open_issue(ago(clock, 900))
        comment = jira.site.comment(issue_id, jira.site.customer, at=ago(clock, 100))
        jira.stale[issue_id] = ago(clock, 900)
        pages = await pages_of(cloud, ago(clock, 3600))
        assert (pages[0].ticket_ids, pages[0].replies) == ((issue_id,), {})
        jira.stale.clear()
        pages = await pages_of(cloud, pages[-1].cursor)
        assert comment in replies_in(pages)

    async def test_gone_before_the_bulk_read(self, cloud, jira, clock):
        """An issue that vanishes between search and bulk read is named, and stops no other."""
        stays, gone = (jira.site.open_issue(ago(clock, seconds)) for seconds in (200, 100))
        jira.meanwhile["/rest/api/3/issue/bulkfetch"] = lambda: jira.site.gone.add(gone)
        page = (await pages_of(cloud, ago(clock, 3600)))[0]
        assert (page.ticket_ids, list(page.replies)) == ((stays, gone), [stays])

    async def test_no_end_without_a_token(self, cloud, jira, clock):
        """A page that says that more is to come and names no token is a failure, and not the end."""
        jira.next_answers.append((200, {}, '{"issues": [], "isLast": false}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="nextPageToken"):
            await pages_of(cloud, ago(clock, 3600))

    async def test_an_empty_page_with_a_token(self, cloud, jira, clock):
        """A page that is empty or short is not the end: the token tells it, even beside isLast."""
        first, second = (jira.site.open_issue(ago(clock, seconds)) for seconds in (200, 100))
        jira.search_page = 1
        jira.next_answers.append((200, {}, '{"issues": [], "nextPageToken": "LTEgLTE="}', "application/json"))
        assert (await told_by(cloud, ago(clock, 3600)))[0] == [first, second]

    async def test_the_old_search_is_gone(self, cloud, jira, clock):
        """The search that Cloud removed (410) is not used."""
        jira.site.open_issue(ago(clock, 100))
        await pages_of(cloud, ago(clock, 3600))
        assert jira.count("/search") == jira.count("/search/jql") == 1


class TestBothDeployments:
    """What holds on Cloud and on Data Center."""

    @pytest.fixture(params=["cloud", "data_center"])
    def pair(self, request, cloud, jira, dc, data_center):
        """An adapter with its account."""
        return {"cloud": (cloud, jira), "data_center": (dc, data_center)}[request.param]

    async def test_times_in_no_zone(self, pair, clock):
        """The query has milliseconds: a time in quotes would be read in the zone of the account's profile."""
        adapter, account = pair
        account.site.open_issue(ago(clock, 10))
        await pages_of(adapter, clock.now())
        begin = int(account.requests[0][1]["jql"].split()[2])
        overlap = timedelta(minutes=15)
        assert begin // 1000 == int((clock.now() - overlap).timestamp())

    async def test_projects(self, connect_cloud, jira, clock):
        """The search is bounded to projects, in quotes because OR is a project here."""
        for project in ("ABC", "OR", "HR"):
            jira.site.open_issue(ago(clock, 100), project=project)
        adapter = connect_cloud(projects=["OR"])
        pages = await pages_of(adapter, ago(clock, 3600))
        assert [ticket.number[:3] for page in pages for ticket in page.tickets] == ["OR-"]

    async def test_a_hidden_project(self, connect_cloud, clock):
        """A project that is not there is refused by Jira, and that is no empty feed."""
        with pytest.raises(UnexpectedAnswer, match="400"):
            await pages_of(connect_cloud(projects=["HR"]), ago(clock, 3600))

    async def test_a_late_change(self, pair, clock):
        """A change that the index shows minutes after a later one is told, though the feed is past it."""
        adapter, account = pair
        late = account.site.open_issue(ago(clock, 700))
        account.site.unindexed.add(late)
        early = account.site.open_issue(ago(clock, 100))
        told, cursor = await told_by(adapter, ago(clock, 3600))
        assert told == [early]
        account.site.unindexed.clear()
        assert (await told_by(adapter, cursor))[0] == [late]

    async def test_a_very_late_change(self, pair, clock):
        """A change that the index shows hours late is told within an hour, by a search that goes back further."""
        adapter, account = pair
        account.site.open_issue(ago(clock, 5 * 3600))
        late = account.site.open_issue(ago(clock, 4 * 3600))
        account.site.unindexed.add(late)
        account.site.open_issue(ago(clock, 100))
        cursor = (await told_by(adapter, ago(clock, 6 * 3600)))[1]
        account.site.unindexed.clear()
        found = {}
        for minute in range(70):
            told, cursor = await told_by(adapter, cursor)
            found |= dict.fromkeys(told, minute)
            await clock.sleep(MINUTE)
        assert found.keys() == {late}
        begins = [int(query["jql"].split()[2]) for path, query in account.requests if "search" in path]
        assert len(set(begins[1:])) == 2

    async def test_told_once(self, pair, clock):
        """A change is told once, however often the overlap reads it, and told again when there is a new one."""
        adapter, account = pair
        issue_id = account.site.open_issue(ago(clock, 100))
        told, cursor = await told_by(adapter, ago(clock, 3600))
        again, cursor = await told_by(adapter, cursor)
        account.site.comment(issue_id, account.site.agent)
        changed, _ = await told_by(adapter, cursor)
        assert (told, again, changed) == ([issue_id], [], [issue_id])

    async def test_two_changes_in_one_instant(self, pair, clock):
        """A change of the very instant in which an issue was told is not lost: a fresh change is told again."""
        adapter, account = pair
        at = ago(clock, 1)
        issue_id = account.site.open_issue(at)
        _, cursor = await told_by(adapter, ago(clock, 3600))
        account.site.comment(issue_id, account.site.agent, at=at)
        told, cursor = await told_by(adapter, cursor)
        assert told == [issue_id]
        await clock.sleep(MINUTE)
        assert (await told_by(adapter, cursor))[0] == [issue_id]

    async def test_a_server_without_a_time(self, pair, clock):
        """Where the answer has no readable Date, the newest change tells the time, and nothing is lost."""
        adapter, account = pair
        account.sends_date = False
        old, new = (account.site.open_issue(ago(clock, seconds)) for seconds in (200, 100))
        told, cursor = await told_by(adapter, ago(clock, 3600))
        again, _ = await told_by(adapter, cursor)
        assert (told, again) == ([old, new], [new])

    async def test_a_search_that_finds_nothing(self, pair, clock):
        """A search that does not find what changed last, though it is there, is a failure: the index is down."""
        adapter, account = pair
        issue_id = account.site.open_issue(ago(clock, 100))
        _, cursor = await told_by(adapter, ago(clock, 3600))
        account.site.unindexed.add(issue_id)
        with pytest.raises(UnexpectedAnswer, match="does not find"):
            await pages_of(adapter, cursor)

    async def test_a_search_that_rightly_finds_nothing(self, pair, clock):
        """Where what changed last was deleted, the feed goes on, and does not ask for it again."""
        adapter, account = pair
        account.site.open_issue(ago(clock, 5000))
        issue_id = account.site.open_issue(ago(clock, 100))
        _, cursor = await told_by(adapter, ago(clock, 9000))
        account.site.gone.add(issue_id)
        _, cursor = await told_by(adapter, cursor)
        account.forget()
        assert (await told_by(adapter, cursor))[0] == []
        assert account.count("/issue/") == 0

    async def test_moved_out_of_sight(self, connect_cloud, jira, clock):
        """What changed last and was moved into a project that is not read is rightly not found."""
        issue_id = jira.site.open_issue(ago(clock, 100))
        adapter = connect_cloud(projects=["ABC"])
        _, cursor = await told_by(adapter, ago(clock, 3600))
        jira.site.move(issue_id, "OR")
        assert (await told_by(adapter, cursor))[0] == []

    async def test_lost_in_its_project(self, connect_cloud, jira, clock):
        """What changed last and is still in a project that is read has to be found."""
        issue_id = jira.site.open_issue(ago(clock, 100))
        adapter = connect_cloud(projects=["ABC"])
        _, cursor = await told_by(adapter, ago(clock, 3600))
        jira.site.unindexed.add(issue_id)
        with pytest.raises(UnexpectedAnswer, match="does not find"):
            await pages_of(adapter, cursor)

    @pytest.mark.parametrize(
        "cursor",
        ["abc", "[]", "{}", '{"reached": 1}', '{"reached": 1e400, "answered": 0, "widened": 0, "seen": {}}',
         '{"reached": 1, "answered": 0, "widened": 0, "seen": {"1": "x"}}',
         '{"reached": -5, "answered": 0, "widened": 0, "seen": {}}'],
    )  # fmt: skip
    async def test_foreign_cursor(self, cloud, cursor):
        """A cursor that this adapter did not make is refused."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await pages_of(cloud, Cursor(cursor))


class TestDataCenter:
    """Pages that count rows, and an index of whole seconds."""

    async def test_an_issue_that_changes_meanwhile(self, dc, data_center, clock):
        """An issue that changes while pages are turned leaves its place, and the one that moves up is not skipped."""
        data_center.search_page = 2
        ids = [data_center.site.open_issue(ago(clock, 2000 - 100 * number)) for number in range(6)]
        path = "/rest/api/2/search"

        def change_before_the_second_page():
            data_center.meanwhile[path] = lambda: data_center.site.touch(ids[0], ago(clock, 50))

        data_center.meanwhile[path] = change_before_the_second_page
        assert set((await told_by(dc, ago(clock, 3600)))[0]) == set(ids)

    async def test_many_changes_in_one_second(self, dc, data_center, clock):
        """A bulk change of more issues than a page holds, all in one second, is told whole."""
        data_center.search_page = 2
        at = ago(clock, 100).replace(microsecond=0)
        ids = [data_center.site.open_issue(at + timedelta(milliseconds=37 * number)) for number in range(11)]
        later = data_center.site.open_issue(ago(clock, 50))
        assert set((await told_by(dc, ago(clock, 3600)))[0]) == {*ids, later}

    async def test_names_alone(self, dc, data_center, clock):
        """Changed issues are named, and nothing is claimed about their replies."""
        issue_id = data_center.site.open_issue(ago(clock, 100))
        pages = await pages_of(dc, ago(clock, 3600))
        assert [(page.ticket_ids, page.replies) for page in pages] == [((issue_id,), {}), ((), {})]
        assert len(data_center.requests) == 1


class TestBookmark:
    """Where the feed stands, as a value."""

    def test_it_is_bounded(self):
        """After a bulk change the bookmark forgets the oldest, and is still small enough to be stored each minute."""
        rows = {str(1_000_000 + number): 1_700_000_000_000 + number for number in range(3 * MOST_SEEN)}
        mark = Bookmark(0).moved_over(rows, 1_700_000_100_000)
        assert len(mark.seen) == MOST_SEEN
        assert max(mark.seen.values()) == max(rows.values())
        assert len(mark.cursor()) < 80_000

    def test_it_never_searches_what_it_forgot(self):
        """The wide search goes back no further than what is remembered, so that nothing is told twice by it."""
        mark = Bookmark(100_000_000, answered=104_000_000, widened=100_000_000, seen={"1": 90_000_000})
        assert (mark.is_wide, mark.begin) == (True, 90_000_000)

    def test_a_time_to_come_is_not_believed(self):
        """A change that is said to come does not carry the feed past what happens until then."""
        assert Bookmark(5).moved_over({"1": 9_000_000}, 6_000_000).reached == 6_000_000

    def test_it_survives_being_text(self):
        """A cursor says all that its bookmark says."""
        mark = Bookmark(100, 200, 150, {"1": 90})
        assert Bookmark.parse(mark.cursor()) == mark
        assert json.loads(mark.cursor())["seen"] == {"1": 90}

    def test_an_instant_before_time(self):
        """A feed may begin at any instant, also one that no query can name."""
        assert Bookmark.parse(datetime(1, 1, 2, tzinfo=UTC)).begin == 0
