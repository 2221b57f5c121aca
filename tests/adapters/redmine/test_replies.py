"""The replies of an issue: its description and its journals, who wrote them, and who may read them."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Attachment, AuthorKind, Ticket, Unavailability, Visibility

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CUSTOMER, AGENT, UNKNOWN = AuthorKind.CUSTOMER, AuthorKind.AGENT, AuthorKind.UNKNOWN
PUBLIC, INTERNAL = Visibility.PUBLIC, Visibility.INTERNAL


def after(minutes):
    """Return the instant so many minutes after the start."""
    return START + timedelta(minutes=minutes)


@pytest.fixture
def issue(redmine):
    """An issue of the customer."""
    return redmine.create_issue(START)


async def read(adapter, issue, since=None):
    """Return the replies of an issue."""
    return [reply async for reply in adapter.replies(Ticket(str(issue), str(issue)), since)]


class TestWhatIsAReply:
    """Descriptions, notes, field changes."""

    async def test_the_description_is_the_first_message(self, adapter, redmine):
        """It is no journal, so it has an id of its own; its author, time and line ends are the issue's."""
        issue = redmine.create_issue(START, description="Good morning,\r\nit does not print.")
        (first,) = await read(adapter, issue)
        assert (first.id, first.first_message, first.created_at) == (f"issue-{issue}", True, START)
        assert (first.body.text, first.author.name) == ("Good morning,\r\nit does not print.", "Carla Customer")
        assert (first.channel, first.vendor_channel) == (Channel.OTHER, "description")

    @pytest.mark.parametrize("description", ["", None])
    async def test_an_issue_without_a_description_has_a_first_message(self, adapter, redmine, description):
        """An issue can be a subject alone."""
        (first,) = await read(adapter, redmine.create_issue(START, description=description))
        assert (first.first_message, first.body.text) == (True, "")

    async def test_a_note_keeps_its_markup_and_its_own_id(self, adapter, redmine, issue):
        """The id is the journal's, not its place; the text is markup, and stays as it is."""
        redmine.set_status(issue, "In Progress", after(1))
        note = redmine.write(issue, "Is it *on*?\n\n> no <b>", redmine.agent, after(2))
        reply = (await read(adapter, issue))[1]
        assert (reply.id, reply.body.text) == (str(note), "Is it *on*?\n\n> no <b>")
        assert (reply.created_at, reply.vendor_channel, reply.edited_at) == (after(2), "note", None)

    async def test_changes_of_fields_are_no_replies(self, adapter, redmine, issue):
        """A journal without notes tells of a changed status; one with both is one reply."""
        redmine.set_status(issue, "In Progress", after(1))
        redmine.write(issue, None, redmine.agent, after(2), assigned_to_id=redmine.agent)
        redmine.write(issue, "Done.", redmine.agent, after(3), status_id=5)
        assert [reply.body.text for reply in await read(adapter, issue)] == ["It does not print.", "Done."]

    @pytest.mark.parametrize("newest_first", [True, False])
    async def test_the_order_does_not_hang_on_the_accounts_preference(self, adapter, redmine, issue, newest_first):
        """Redmine turns the journals round for an account that prefers the newest note first."""
        notes = [redmine.write(issue, "text", redmine.agent, after(1)) for _ in range(12)]
        notes += [redmine.write(issue, "text", redmine.agent, after(2))]
        redmine.newest_note_first = newest_first
        found = await read(adapter, issue)
        assert [reply.id for reply in found] == [f"issue-{issue}", *map(str, notes)]

    async def test_all_journals_come_with_one_request(self, adapter, redmine, issue):
        """There are no pages; once the people of a project are known, an issue is one request."""
        for number in range(150):
            redmine.write(issue, "text", redmine.customer, after(number))
        assert len(await read(adapter, issue)) == 151
        redmine.forget()
        await read(adapter, issue)
        assert redmine.requests == [(f"/issues/{issue}.json", {"include": "journals,attachments"})]

    async def test_older_replies_are_yielded_too(self, adapter, redmine, issue):
        """An edited note keeps its id and time, and the feed tells of no edit: whoever reads on sees it."""
        note = redmine.write(issue, "Frist", redmine.agent, after(1))
        redmine.edit(issue, note, notes="First")
        assert [reply.body.text for reply in await read(adapter, issue, since=after(60))][1] == "First"

    async def test_an_edit_is_told_from_redmine_6_on(self, adapter, redmine, issue):
        """`updated_on` of a journal is set for those that were never edited, too: it counts only if it differs."""
        redmine.version = 6
        edited, plain = (redmine.write(issue, "text", redmine.agent, after(minute)) for minute in (1, 2))
        redmine.edit(issue, edited, after(9), notes="another")
        found = {reply.id: reply.edited_at for reply in await read(adapter, issue)}
        assert found == {f"issue-{issue}": None, str(edited): after(9), str(plain): None}

    async def test_a_changed_description_is_an_edited_first_message(self, adapter, redmine, issue):
        """A journal tells when the description was changed."""
        redmine.write(issue, None, redmine.customer, after(5), description="It prints now.")
        (first,) = await read(adapter, issue)
        assert (first.body.text, first.created_at, first.edited_at) == ("It prints now.", START, after(5))

    async def test_a_journal_without_the_field_notes_is_a_failure(self, adapter, redmine, issue):
        """A text that is missing is not an empty one."""
        redmine.write(issue, "text", redmine.agent, after(1))
        shown = redmine._shown
        redmine._shown = lambda journal: {key: value for key, value in shown(journal).items() if key != "notes"}
        with pytest.raises(UnexpectedAnswer, match="notes"):
            await read(adapter, issue)


class TestWhoMayRead:
    """Private notes and private issues."""

    async def test_private_notes_are_internal(self, adapter, redmine, issue):
        """What colleagues write to each other is yielded as internal."""
        note = redmine.write(issue, "Rings often.", redmine.agent, after(1), private=True)
        reply = redmine.write(issue, "Soon.", redmine.agent, after(2))
        found = {reply.id: reply.visibility for reply in await read(adapter, issue)}
        assert found == {f"issue-{issue}": PUBLIC, str(note): INTERNAL, str(reply): PUBLIC}

    @pytest.mark.parametrize("private", [None, "f", 0, "false"])
    async def test_a_visibility_that_cannot_be_read_is_internal(self, adapter, redmine, issue, private):
        """Only a plain false makes a note public."""
        note = redmine.write(issue, "Rings often.", redmine.agent, after(1))
        redmine.edit(issue, note, private_notes=private)
        assert (await read(adapter, issue))[1].visibility is INTERNAL

    async def test_private_notes_are_missing_without_the_right(self, adapter, redmine, issue):
        """Redmine leaves them out without a word; nothing else is missing."""
        redmine.write(issue, "Rings often.", redmine.agent, after(1), private=True)
        redmine.write(issue, "Soon.", redmine.agent, after(2))
        redmine.permissions[6].remove("view_private_notes")
        assert [reply.body.text for reply in await read(adapter, issue)] == ["It does not print.", "Soon."]

    @pytest.mark.parametrize("left_behind", [None, ""])
    async def test_a_file_of_a_private_note_is_internal(self, adapter, redmine, issue, left_behind):
        """Redmine splits a private note with a file: the file goes into a public journal without words before it."""
        redmine.split_notes = left_behind
        redmine.write(issue, "His contract.", redmine.agent, after(1), private=True, files=["contract.pdf"])
        _, file, note = await read(adapter, issue)
        assert (file.visibility, file.attachments[0].name) == (INTERNAL, "contract.pdf")
        assert (note.visibility, note.attachments) == (INTERNAL, ())

    async def test_a_file_of_a_private_note_that_is_not_seen_is_internal(self, adapter, redmine, issue):
        """Without the right to see the note, and when it was deleted, the file's journal has null for its notes."""
        redmine.write(issue, "His contract.", redmine.agent, after(1), private=True, files=["contract.pdf"])
        redmine.write(issue, "", redmine.customer, after(1), files=["screen.png"])
        redmine.permissions[6].remove("view_private_notes")
        found = [(reply.attachments[0].name, reply.visibility) for reply in (await read(adapter, issue))[1:]]
        assert found == [("contract.pdf", INTERNAL), ("screen.png", PUBLIC)]

    async def test_a_private_issue_of_agents_is_internal(self, adapter, redmine):
        """No customer sees an issue that an agent keeps private, whatever its notes say."""
        issue = redmine.create_issue(START, author=redmine.agent, is_private=True)
        redmine.write(issue, "Soon.", redmine.agent, after(1))
        assert {reply.visibility for reply in await read(adapter, issue)} == {INTERNAL}

    async def test_a_private_issue_of_a_customer_is_a_conversation(self, adapter, redmine):
        """Its author sees a private issue, and the public notes on it."""
        issue = redmine.create_issue(START, is_private=True)
        redmine.write(issue, "Soon.", redmine.agent, after(1))
        redmine.write(issue, "Careful.", redmine.agent, after(2), private=True)
        assert [reply.visibility for reply in await read(adapter, issue)] == [PUBLIC, PUBLIC, INTERNAL]


class TestFiles:
    """Attachments of replies."""

    async def test_files_hang_on_the_reply_that_brought_them(self, adapter, redmine, issue):
        """A file that no journal attached came with the issue. Links lead to the configured host."""
        key = redmine.attach(issue, "screen.png")
        redmine.write(issue, "See there.", redmine.agent, after(1), files=["plan.pdf"])
        first, reply = await read(adapter, issue)
        link = f"{redmine.base_url}/attachments/{key}"
        assert first.attachments == (Attachment("screen.png", 100, "application/pdf", link),)
        assert [file.name for file in reply.attachments] == ["plan.pdf"]

    async def test_a_file_without_a_word_is_a_reply(self, adapter, redmine, issue):
        """A customer may answer with a picture and nothing else."""
        journal = redmine.write(issue, "", redmine.customer, after(1), files=["screen.png"])
        reply = (await read(adapter, issue))[1]
        assert (reply.id, reply.body.text, reply.visibility) == (str(journal), "", PUBLIC)
        assert [file.name for file in reply.attachments] == ["screen.png"]

    async def test_a_deleted_file_keeps_its_name(self, adapter, redmine, issue):
        """The reply that brought it reads as before, without a link; that it was removed is no reply."""
        redmine.write(issue, "See there.", redmine.agent, after(1), files=["plan.pdf"])
        (file,) = redmine.files[issue]
        redmine.files[issue].clear()
        detail = redmine._detail("attachment", str(file["id"]), "plan.pdf", None)
        redmine._journal(issue, "", redmine.agent, after(2), private=False, details=[detail])
        _, reply = await read(adapter, issue)
        assert reply.attachments == (Attachment("plan.pdf"),)


class TestSides:
    """Who is an agent and who a customer."""

    async def kinds(self, adapter, redmine, issue, *people):
        """Return of which kind these people are when they write on an issue."""
        for person in people:
            redmine.write(issue, "text", person, after(1))
        return [reply.author.kind for reply in (await read(adapter, issue))[1:]]

    async def test_reporters_are_customers_and_all_others_agents(self, adapter, redmine, issue):
        """That is how Redmine's own roles are meant; somebody with both is an agent."""
        manager, both = redmine.add_user("M", 3), redmine.add_user("B", 5, 4)
        people = (redmine.customer, redmine.agent, manager, both)
        assert await self.kinds(adapter, redmine, issue, *people) == [CUSTOMER, AGENT, AGENT, AGENT]

    async def test_named_customer_roles(self, sign_in, redmine, issue):
        """Roles are named as the site calls them, in any case of letters."""
        people = (redmine.customer, redmine.agent)
        adapter = sign_in(customer_roles=["developer"])
        assert await self.kinds(adapter, redmine, issue, *people) == [AGENT, CUSTOMER]

    async def test_named_agent_roles(self, sign_in, redmine, issue):
        """With the roles of agents named, the members of all others are customers."""
        manager, both = redmine.add_user("M", 3), redmine.add_user("B", 3, 5)
        adapter = sign_in(agent_roles=["Manager"])
        assert await self.kinds(adapter, redmine, issue, redmine.agent, manager, both) == [CUSTOMER, AGENT, AGENT]

    async def test_an_agent_who_opens_an_issue_is_its_agent(self, adapter, redmine):
        """A role counts more than having opened the issue."""
        (first,) = await read(adapter, redmine.create_issue(START, author=redmine.agent))
        assert first.author.kind is AGENT

    async def test_who_opened_an_issue_without_a_role_is_its_customer(self, adapter, redmine):
        """Mails from unknown people are written by Anonymous, who is nobody's member."""
        issue = redmine.create_issue(START, author=redmine.anonymous)
        stranger = redmine.add_user("Sam Stranger")
        assert await self.kinds(adapter, redmine, issue, redmine.anonymous, stranger) == [CUSTOMER, UNKNOWN]

    @pytest.mark.parametrize(("option", "kind"), [("customer", CUSTOMER), ("agent", AGENT), ("unknown", UNKNOWN)])
    async def test_what_non_members_are_is_an_option(self, sign_in, redmine, issue, option, kind):
        """An administrator needs no role, and the public none either: Redmine does not tell them apart."""
        stranger = redmine.add_user("Sam Stranger")
        assert await self.kinds(sign_in(non_members=option), redmine, issue, stranger) == [kind]

    async def test_named_agents_need_no_role(self, sign_in, redmine, issue):
        """An administrator or a former colleague is named by the id; nothing is asked about them."""
        stranger = redmine.add_user("Root Admin")
        adapter = sign_in(agents=[stranger])
        assert await self.kinds(adapter, redmine, issue, stranger) == [AGENT]
        assert redmine.count(f"/users/{stranger}") == 0

    async def test_locked_members_keep_their_side(self, adapter, redmine, issue):
        """The account of a former colleague is locked and cannot be looked up; it is in the list of members still."""
        former = redmine.add_user("Fay Former", 4, locked=True)
        assert await self.kinds(adapter, redmine, issue, former) == [AGENT]

    async def test_roles_of_another_project_do_not_count(self, adapter, redmine, issue):
        """An agent of one project may be a customer in another; who is a member elsewhere alone is none here."""
        redmine.join(redmine.customer, 4, project=3)
        elsewhere = redmine.add_user("E", 4, project=3)
        assert await self.kinds(adapter, redmine, issue, redmine.customer, elsewhere) == [CUSTOMER, UNKNOWN]

    async def test_groups_among_the_members_are_no_people(self, adapter, redmine, issue):
        """A group is a member beside its people; its id may be the one of nobody else."""
        group = redmine.add_user("Second level", locked=True)
        redmine.join(group, 4, kind="group")
        assert await self.kinds(adapter, redmine, issue, redmine.agent) == [AGENT]

    async def test_members_are_read_page_by_page(self, adapter, redmine, issue):
        """The members of a large project are more than a page, which is 25 unless asked for more."""
        agents = [redmine.add_user("A", 4) for _ in range(230)]
        assert await self.kinds(adapter, redmine, issue, agents[-1]) == [AGENT]
        assert redmine.count("/memberships") == 3

    async def test_a_new_colleague_is_known_at_once(self, adapter, redmine, issue):
        """Somebody who is not among the members that were read before is asked for, once."""
        await read(adapter, issue)
        joined = redmine.add_user("Nora New", 4)
        redmine.forget()
        assert await self.kinds(adapter, redmine, issue, joined, joined) == [AGENT, AGENT]
        assert redmine.count("/memberships") == 0
        assert redmine.count(f"/users/{joined}") == 1

    async def test_roles_are_read_again_once_a_day(self, adapter, redmine, issue, clock):
        """Somebody whose role changes is told so on the next day of the feed."""
        assert await self.kinds(adapter, redmine, issue, redmine.customer) == [CUSTOMER]
        (membership,) = [one for one in redmine.members if one.get("user", {}).get("id") == redmine.customer]
        membership["roles"] = [{"id": 4, "name": "Developer"}]
        redmine.touch(issue, clock.now())
        assert [page async for page in adapter.changes(START)]
        assert (await read(adapter, issue))[1].author.kind is AGENT

    async def test_hidden_members_leave_the_author(self, adapter, redmine, issue):
        """Where the list of members is refused, people are looked up one by one; nothing fails."""
        redmine.visible_members = False
        assert await self.kinds(adapter, redmine, issue, redmine.customer, redmine.agent) == [CUSTOMER, AGENT]

    async def test_nobody_loses_a_role_by_a_revoked_key(self, adapter, redmine):
        """Where visitors are let in they see the notes of a public project, and not who wrote them: nothing is read."""
        issue = redmine.create_issue(START, project=3)
        redmine.write(issue, "Soon.", redmine.agent, after(1))
        redmine.login_required = redmine.visible_members = False
        redmine.api_key = "f" * 40
        with pytest.raises(PauseSystem):
            await read(adapter, issue)

    async def test_an_author_who_is_not_told_is_unknown(self, adapter, redmine, issue):
        """A journal can be without its user."""
        redmine.write(issue, "text", 9999, after(1))
        reply = (await read(adapter, issue))[1]
        assert (reply.author.kind, reply.author.name) == (UNKNOWN, None)


class TestLost:
    """Issues that cannot be read any more."""

    @pytest.mark.parametrize("reason", [Unavailability.GONE, Unavailability.FORBIDDEN])
    async def test_gone_and_forbidden(self, adapter, redmine, issue, reason):
        """A deleted issue is 404, one in a project that the account does not see 403, both with an empty body."""
        if reason is Unavailability.GONE:
            del redmine.issues[issue]
        else:
            redmine.issues[issue]["project_id"] = 2
        with pytest.raises(TicketUnavailable) as error:
            await read(adapter, issue)
        assert error.value.unavailable.reason is reason
