"""The replies of an issue of Jira: who sees them, who wrote them, and that none is missing."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Author, AuthorKind, Body, BodyFormat, Unavailability, Visibility
from tests.adapters.jira.reading import ago, pages_of, replies_of
from tests.adapters.jira.site import PARTICIPANTS_FIELD

PUBLIC, INTERNAL = Visibility.PUBLIC, Visibility.INTERNAL
RESTRICTED = {"type": "role", "value": "Service Desk Team", "identifier": "Service Desk Team"}


def note_property(value):
    """Return properties of a comment with the one that clients write for internal notes."""
    return [{"key": "sd.public.comment", "value": value}]


class TestFirstMessage:
    """The description is no comment."""

    async def test_description(self, cloud, jira, clock):
        """The description is the first message, by the reporter and not by who typed it in, with an id of its own."""
        at = ago(clock, 60)
        issue_id = jira.site.open_issue(at, text="It does not open.")
        (reply,) = await replies_of(cloud, issue_id)
        assert (reply.id, reply.first_message) == (f"description:{issue_id}", True)
        assert reply.author == Author(AuthorKind.CUSTOMER)
        assert reply.body == Body("It does not open.", BodyFormat.MARKDOWN)
        assert (reply.created_at, reply.visibility) == (at, PUBLIC)

    @pytest.mark.parametrize("text", [None, {"type": "doc", "version": 1, "content": []}])
    async def test_no_description(self, cloud, jira, text):
        """A request without a description says what it says by its summary."""
        issue_id = jira.site.open_issue(summary="Locker 7", description=text)
        assert (await replies_of(cloud, issue_id))[0].body == Body("Locker 7")

    async def test_it_stays_first(self, cloud, jira, clock):
        """A comment of the very instant in which the request was made comes behind the description."""
        at = ago(clock, 60)
        issue_id = jira.site.open_issue(at)
        comment = jira.site.comment(issue_id, jira.site.agent, at=at)
        assert [reply.id for reply in await replies_of(cloud, issue_id)] == [f"description:{issue_id}", comment]


class TestVisibility:
    """Internal notes: every mark of one counts, and what cannot be read is internal."""

    @pytest.mark.parametrize(
        ("fields", "visibility"),
        [
            ({}, PUBLIC),
            ({"jsdPublic": False}, INTERNAL),
            ({"jsdPublic": None}, INTERNAL),
            ({"jsdPublic": "true"}, INTERNAL),
            ({"jsdPublic": 1}, INTERNAL),
            ({"visibility": RESTRICTED}, INTERNAL),
            ({"visibility": {}}, INTERNAL),
            ({"properties": note_property({"internal": True})}, INTERNAL),
            ({"properties": note_property({"internal": "true"})}, INTERNAL),
            ({"properties": note_property(None)}, INTERNAL),
            ({"properties": note_property({"internal": False})}, PUBLIC),
            ({"properties": [{"key": "other", "value": {"internal": True}}]}, PUBLIC),
        ],
    )
    async def test_marks(self, cloud, jira, clock, fields, visibility):
        """jsdPublic, a restriction to a role or group, and the property sd.public.comment each make a note internal."""
        issue_id = jira.site.open_issue(ago(clock, 60))
        jira.site.comment(issue_id, jira.site.agent, **fields)
        assert (await replies_of(cloud, issue_id))[1].visibility is visibility

    async def test_answers_to_notes(self, cloud, jira, clock):
        """An answer to an internal note is internal, whatever it says of itself, and so is an answer to that."""
        issue_id = jira.site.open_issue(ago(clock, 60))
        note = jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 50), public=False)
        answer = jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 40), parentId=int(note))
        jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 30), parentId=answer)
        asked = jira.site.comment(issue_id, jira.site.customer, at=ago(clock, 20))
        jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 10), parentId=int(asked))
        found = [reply.visibility for reply in await replies_of(cloud, issue_id)]
        assert found == [PUBLIC, INTERNAL, INTERNAL, INTERNAL, PUBLIC, PUBLIC]

    async def test_answers_of_the_same_instant(self, cloud, jira, clock):
        """An answer that has the time of the note that it answers is internal as well."""
        at = ago(clock, 50)
        issue_id = jira.site.open_issue(ago(clock, 60))
        note = jira.site.comment(issue_id, jira.site.agent, at=at, public=False)
        jira.site.comment(issue_id, jira.site.agent, at=at, parentId=note)
        jira.site.issues[issue_id]["comments"].reverse()
        assert [reply.visibility for reply in await replies_of(cloud, issue_id)] == [PUBLIC, INTERNAL, INTERNAL]

    async def test_the_note_that_is_answered_is_read_for_it(self, cloud, jira, clock):
        """In a cut thread the reading goes on behind `since` to the note that a later comment answers."""
        jira.site.embed_limit = jira.comment_page = 2
        issue_id = jira.site.open_issue(ago(clock, 600))
        note = jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 500), public=False)
        for seconds in (400, 300, 200):
            jira.site.comment(issue_id, jira.site.customer, at=ago(clock, seconds))
        answer = jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 100), parentId=int(note))
        (reply,) = await replies_of(cloud, issue_id, ago(clock, 150))
        assert (reply.id, reply.visibility) == (answer, INTERNAL)

    async def test_service_management_is_asked(self, cloud, jira, clock):
        """Where jsdPublic is missing Service Management is asked, page by page, and its word counts."""
        jira.service_page = 2
        issue_id = jira.site.open_issue(ago(clock, 60))
        kinds = [True, False, True, True, False]
        for seconds, public in enumerate(kinds):
            comment = jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 50 - seconds), public=public)
            del jira.site.issues[issue_id]["comments"][-1]["raw"]["jsdPublic"]
            assert comment
        found = [reply.visibility for reply in (await replies_of(cloud, issue_id))[1:]]
        assert found == [PUBLIC if public else INTERNAL for public in kinds]
        assert jira.count("servicedeskapi") == 3

    async def test_service_management_is_not_asked_in_vain(self, cloud, jira, clock):
        """Comments that say themselves who sees them cost one request, with their issue."""
        issue_id = jira.site.open_issue(ago(clock, 60))
        jira.site.comment(issue_id, jira.site.agent)
        await replies_of(cloud, issue_id)
        assert [path for path, _ in jira.requests[1:]] == ["/rest/api/3/field", f"/rest/api/3/issue/{issue_id}"]

    async def test_no_agent(self, dc, data_center, clock):
        """To who is no agent internal notes are not listed: a comment that is left out is internal."""
        issue_id = data_center.site.open_issue(ago(clock, 60))
        data_center.site.comment(issue_id, data_center.site.agent, at=ago(clock, 50), public=False)
        data_center.site.comment(issue_id, data_center.site.agent, at=ago(clock, 40))
        data_center.is_agent = False
        assert [reply.visibility for reply in await replies_of(dc, issue_id)] == [PUBLIC, INTERNAL, PUBLIC]

    async def test_missing_rights_are_an_empty_list(self, dc, data_center, clock):
        """When Service Management lists none of the comments that are there, it does not say that all are internal."""
        issue_id = data_center.site.open_issue(ago(clock, 60))
        data_center.site.comment(issue_id, data_center.site.agent, public=False)
        data_center.is_agent = False
        with pytest.raises(UnexpectedAnswer, match="agent"):
            await replies_of(dc, issue_id)

    async def test_service_management_is_closed(self, dc, data_center, clock):
        """When Service Management does not show a request, nothing is concluded from it."""
        issue_id = data_center.site.open_issue(ago(clock, 60))
        data_center.site.comment(issue_id, data_center.site.agent)
        data_center.has_service_management = False
        with pytest.raises(UnexpectedAnswer, match="agent"):
            await replies_of(dc, issue_id)

    @pytest.mark.parametrize("deployment", ["cloud", "data_center"])
    async def test_plain_issues(self, connect_cloud, jira, connect_data_center, data_center, clock, deployment):
        """On an issue that is no request jsdPublic is true for no reason: all is internal, or as the option says."""
        connect_to, account = {
            "cloud": (connect_cloud, jira),
            "data_center": (connect_data_center, data_center),
        }[deployment]
        issue_id = account.site.open_issue(ago(clock, 60), is_request=False)
        account.site.comment(issue_id, account.site.agent, at=ago(clock, 50))
        account.site.comment(issue_id, account.site.agent, at=ago(clock, 40), visibility=RESTRICTED)
        found = [reply.visibility for reply in await replies_of(connect_to(), issue_id)]
        assert found == [INTERNAL, INTERNAL, INTERNAL]
        found = [reply.visibility for reply in await replies_of(connect_to(plain_issues="public"), issue_id)]
        assert found == [PUBLIC, PUBLIC, INTERNAL]

    @pytest.mark.parametrize("mark", [{"jsdPublic": False}, {"jsdPublic": None}, {"jsdPublic": "true"}])
    async def test_notes_on_plain_issues(self, connect_cloud, jira, clock, mark):
        """Where plain issues count as public, what an agent marked as internal on one of them still is internal."""
        issue_id = jira.site.open_issue(ago(clock, 60), is_request=False)
        jira.site.comment(issue_id, jira.site.agent, **mark)
        adapter = connect_cloud(plain_issues="public")
        assert (await replies_of(adapter, issue_id))[1].visibility is INTERNAL
        fed = (await pages_of(adapter, ago(clock, 3600)))[0].replies[issue_id]
        assert fed[1].visibility is INTERNAL

    async def test_fields_that_come_later(self, cloud, jira, clock):
        """Where the site has no requests yet, it is asked again: what is one later is not internal for ever."""
        issue_id = jira.site.open_issue(ago(clock, 60))
        none = (200, {}, "[]", "application/json")
        jira.meanwhile["/rest/api/3/field"] = lambda: jira.next_answers.append(none)
        assert (await replies_of(cloud, issue_id))[0].visibility is INTERNAL
        assert (await replies_of(cloud, issue_id))[0].visibility is PUBLIC
        await replies_of(cloud, issue_id)
        assert jira.count("/field") == 2


class TestAuthors:
    """Who wrote decides on the direction."""

    async def test_kinds(self, cloud, jira, clock):
        """Accounts of customers, agents and apps are told apart; names are those of agents alone."""
        site = jira.site
        colleague = site.person("Inga Intern", "atlassian")
        guest = site.person("Gerd Gast", "atlassian")
        issue_id = site.open_issue(ago(clock, 60), reporter=colleague, **{PARTICIPANTS_FIELD: [guest]})
        closed = {"accountId": "unknown", "displayName": "Former user"}
        authors = [site.customer, colleague, guest, site.app, site.agent, closed, None]
        for place, author in enumerate(authors):
            site.comment(issue_id, author, at=ago(clock, 50 - place))
        found = [reply.author for reply in await replies_of(cloud, issue_id)][1:]
        customer, unknown = Author(AuthorKind.CUSTOMER), Author(AuthorKind.UNKNOWN)
        agent = Author(AuthorKind.AGENT, "Anna Agent")
        assert found == [customer, customer, customer, Author(AuthorKind.SYSTEM), agent, unknown, unknown]

    async def test_strangers_by_mail(self, cloud, jira, clock):
        """A mail by somebody who is not on the request is a customer's, even if an app wrote it down."""
        issue_id = jira.site.open_issue(ago(clock, 60), channel="portal")
        jira.site.comment(issue_id, jira.site.app, jsdAuthorCanSeeRequest=False)
        reply = (await replies_of(cloud, issue_id))[1]
        assert (reply.author.kind, reply.channel) == (AuthorKind.CUSTOMER, Channel.EMAIL)

    async def test_data_center(self, dc, data_center, clock):
        """Data Center has no kinds of accounts: reporter and participants are customers, all others agents."""
        site = data_center.site
        guest = site.person("Gerd Gast", "customer")
        issue_id = site.open_issue(ago(clock, 60), **{PARTICIPANTS_FIELD: [guest]})
        for place, author in enumerate([site.customer, guest, site.agent]):
            site.comment(issue_id, author, at=ago(clock, 50 - place))
        kinds = [reply.author.kind for reply in await replies_of(dc, issue_id)][1:]
        assert kinds == [AuthorKind.CUSTOMER, AuthorKind.CUSTOMER, AuthorKind.AGENT]


class TestContent:
    """Texts, times, channels and files."""

    @pytest.mark.parametrize(
        ("word", "channel"),
        [("email", Channel.EMAIL), ("portal", Channel.OTHER), ("live-chat", Channel.CHAT), (None, Channel.OTHER)],
    )
    async def test_channel(self, cloud, jira, clock, word, channel):
        """The channel is the request's; a request that came by mail is answered by mail."""
        issue_id = jira.site.open_issue(ago(clock, 60), channel=word)
        jira.site.comment(issue_id, jira.site.agent)
        for reply in await replies_of(cloud, issue_id):
            assert (reply.channel, reply.vendor_channel) == (channel, word)

    async def test_edited(self, cloud, jira, clock):
        """An edited comment keeps its id and time, and tells when it was edited."""
        issue_id = jira.site.open_issue(ago(clock, 60))
        written, edited = ago(clock, 50), ago(clock, 40)
        jira.site.comment(issue_id, jira.site.agent, at=written, edited=edited)
        jira.site.comment(issue_id, jira.site.agent, at=edited)
        replies = await replies_of(cloud, issue_id)
        assert [(reply.created_at, reply.edited_at) for reply in replies[1:]] == [(written, edited), (edited, None)]

    async def test_files(self, cloud, jira, clock):
        """Files hang on the issue: a reply has those that its text shows, with the address people open."""
        file = {
            "id": "77",
            "filename": "plan b.pdf",
            "size": 12,
            "mimeType": "application/pdf",
            "content": "https://x/y",
        }
        issue_id = jira.site.open_issue(
            ago(clock, 60), attachment=[file, {**file, "id": "78", "filename": "secret.pdf"}]
        )
        media = {"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "u", "alt": "plan b.pdf"}}]}
        jira.site.comment(issue_id, jira.site.agent, {"type": "doc", "content": [media]})
        first, reply = await replies_of(cloud, issue_id)
        (shown,) = reply.attachments
        assert first.attachments == ()
        assert (shown.name, shown.size_bytes) == ("plan b.pdf", 12)
        assert shown.link == f"{jira.base_url}/secure/attachment/77/plan%20b.pdf"
        assert reply.body.text == "[plan b.pdf]"

    async def test_data_center_texts(self, dc, data_center, clock):
        """Data Center makes HTML of its wiki text, and names files in the latter."""
        files = [{"id": str(number), "filename": f"{number}.png", "size": 1} for number in (1, 2, 3)]
        issue_id = data_center.site.open_issue(ago(clock, 60), attachment=files)
        data_center.site.comment(issue_id, data_center.site.agent, "see [^1.png] and !2.png|thumbnail!")
        first, reply = await replies_of(dc, issue_id)
        assert first.body == Body("<p>hello</p>", BodyFormat.HTML)
        assert reply.body == Body("<p>see [^1.png] and !2.png|thumbnail!</p>", BodyFormat.HTML)
        assert [file.name for file in reply.attachments] == ["1.png", "2.png"]

    async def test_wiki_text_without_html(self, cloud, jira, clock):
        """A text that is no document and has no HTML is read as it is."""
        issue_id = jira.site.open_issue(ago(clock, 60))
        jira.site.comment(issue_id, jira.site.agent, body="h1. *old*")
        assert (await replies_of(cloud, issue_id))[1].body == Body("h1. *old*")

    async def test_no_text(self, cloud, jira, clock):
        """A comment without a text at all is a failure, and not an empty message."""
        issue_id = jira.site.open_issue(ago(clock, 60))
        jira.site.comment(issue_id, jira.site.agent, body=None)
        with pytest.raises(UnexpectedAnswer):
            await replies_of(cloud, issue_id)


class TestLongThreads:
    """Comments that come with their issue are cut, the oldest first."""

    @pytest.mark.parametrize("deployment", ["cloud", "data_center"])
    async def test_all_are_read(self, cloud, jira, dc, data_center, clock, deployment):
        """All 250 comments are read, though 100 come along, and though pages are smaller than asked for."""
        adapter, account = {"cloud": (cloud, jira), "data_center": (dc, data_center)}[deployment]
        account.site.embed_limit, account.comment_page = 100, 70
        issue_id = account.site.open_issue(ago(clock, 1000))
        ids = [account.site.comment(issue_id, account.site.agent, at=ago(clock, 900 - place)) for place in range(250)]
        replies = await replies_of(adapter, issue_id)
        assert [reply.id for reply in replies[1:]] == ids
        assert {reply.body.text for reply in replies[1:]} == {"hi" if deployment == "cloud" else "<p>hi</p>"}
        assert account.count(f"/issue/{issue_id}/comment") == 4

    async def test_new_ones_cost_one_page(self, cloud, jira, clock):
        """Of a long thread the newest page is enough for what is new."""
        jira.site.embed_limit = 20
        issue_id = jira.site.open_issue(ago(clock, 1000))
        ids = [jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 900 - place)) for place in range(250)]
        assert [reply.id for reply in await replies_of(cloud, issue_id, ago(clock, 651))] == ids[-1:]
        assert jira.count("/comment") == 1

    async def test_a_comment_that_comes_meanwhile(self, cloud, jira, clock):
        """A comment that is written while pages are turned shifts them: none is lost and none comes twice."""
        jira.site.embed_limit, jira.comment_page = 2, 4
        issue_id = jira.site.open_issue(ago(clock, 1000))
        ids = [jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 900 - place)) for place in range(10)]
        path = f"/rest/api/3/issue/{issue_id}/comment"

        def write_before_the_second_page():
            jira.meanwhile[path] = lambda: jira.site.comment(issue_id, jira.site.customer)

        jira.meanwhile[path] = write_before_the_second_page
        assert [reply.id for reply in (await replies_of(cloud, issue_id))[1:]][:10] == ids

    async def test_a_comment_that_vanishes_meanwhile(self, cloud, jira, clock):
        """A comment that is deleted while pages are turned may hide another one: the reading is given up."""
        jira.site.embed_limit, jira.comment_page = 2, 4
        issue_id = jira.site.open_issue(ago(clock, 1000))
        for place in range(10):
            jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 900 - place))
        path = f"/rest/api/3/issue/{issue_id}/comment"

        def delete_before_the_second_page():
            jira.meanwhile[path] = jira.site.issues[issue_id]["comments"].pop

        jira.meanwhile[path] = delete_before_the_second_page
        with pytest.raises(UnexpectedAnswer, match="did not hand out all"):
            await replies_of(cloud, issue_id)

    async def test_the_same_page_again(self, cloud, jira, clock):
        """A list that hands out the same page again is an error, not an endless read."""
        jira.site.embed_limit, jira.comment_page = 2, 4
        issue_id = jira.site.open_issue(ago(clock, 1000))
        for place in range(10):
            jira.site.comment(issue_id, jira.site.agent, at=ago(clock, 900 - place))
        jira.is_stuck = True
        with pytest.raises(UnexpectedAnswer, match="did not hand out all"):
            await replies_of(cloud, issue_id)

    async def test_deleted_meanwhile(self, cloud, jira, clock):
        """An issue that vanishes between its state and its comments is unavailable."""
        issue_id = jira.site.open_issue(ago(clock, 1000))
        (ticket,) = await cloud.tickets([issue_id])
        jira.site.gone.add(issue_id)
        with pytest.raises(TicketUnavailable) as caught:
            await anext(cloud.replies(ticket, None))
        assert caught.value.unavailable.reason is Unavailability.GONE

    async def test_no_total(self, cloud, jira, clock):
        """Where the issue does not tell how many comments it has, they are read page by page."""
        issue_id = jira.site.open_issue(ago(clock, 1000))
        comment = jira.site.comment(issue_id, jira.site.agent)
        whole = jira.site.shown
        jira.site.shown = lambda issue, wanted, updated=None: whole(issue, set(wanted) - {"comment"}, updated)
        assert (await replies_of(cloud, issue_id, clock.now() - timedelta(1)))[1].id == comment
