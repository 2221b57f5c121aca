"""Replies of GLPI: what makes one conversation, who wrote it, its text, and copies that merges make."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, TicketRef, Unavailability, Visibility
from tests.adapters.glpi.stand_in import AGENT, COLLEAGUE, CUSTOMER, OBSERVER, REQUESTER


async def read(adapter, ticket):
    """Return the replies of a ticket."""
    found = await adapter.resolve(TicketRef(number=str(ticket)))
    return [reply async for reply in adapter.replies(found, None)]


class TestTimeline:
    """Several types of items make one conversation."""

    async def test_text_followups_and_solution(self, adapter, glpi, clock):
        """The ticket's own text is the first message; followups and solutions follow, by their time."""
        key = glpi.open_ticket(clock.now() - timedelta(hours=3))
        solution = glpi.solve(key, at=clock.now() - timedelta(hours=1))
        followup = glpi.follow_up(key, at=clock.now() - timedelta(hours=2))
        replies = await read(adapter, key)
        assert [one.id for one in replies] == [f"ticket-{key}", f"followup-{followup}", f"solution-{solution}"]
        assert [one.first_message for one in replies] == [True, False, False]
        assert replies[2].author.kind is AuthorKind.AGENT

    async def test_tasks_are_an_option(self, sign_in, glpi):
        """Tasks plan work, and are replies only where the options say so; private ones stay internal."""
        key = glpi.open_ticket()
        public, private = glpi.plan(key), glpi.plan(key, private=1)
        assert len(await read(sign_in(), key)) == 1
        (_, *tasks) = await read(sign_in(tasks=True), key)
        seen = {one.id: one.visibility for one in tasks}
        assert seen == {f"task-{public}": Visibility.PUBLIC, f"task-{private}": Visibility.INTERNAL}

    async def test_visibility_that_cannot_be_read_is_internal(self, adapter, glpi):
        """Only 0 makes a followup public."""
        key = glpi.open_ticket()
        glpi.follow_up(key, private="perhaps")
        assert (await read(adapter, key))[1].visibility is Visibility.INTERNAL

    async def test_an_edit_keeps_the_id(self, adapter, glpi, clock):
        """An edited followup has its id and its time, and says when it was edited."""
        key = glpi.open_ticket()
        row = glpi.follow_up(key)
        before = (await read(adapter, key))[1]
        await clock.sleep(60)
        glpi.edit("ITILFollowup", row, "<p>better</p>")
        after = (await read(adapter, key))[1]
        assert (after.id, after.created_at, before.edited_at) == (before.id, before.created_at, None)
        assert after.edited_at > after.created_at

    async def test_times_are_of_the_zone(self, sign_in, glpi, clock):
        """A time without a zone is one of GLPI's clock."""
        glpi.zone = ZoneInfo("Europe/Berlin")
        key = glpi.open_ticket()
        assert (await read(sign_in(zone="Europe/Berlin"), key))[0].created_at == clock.now().replace(microsecond=0)

    async def test_followups_that_may_not_be_read_pause(self, adapter, glpi):
        """A right that is missing for all followups is neither an empty list nor a forbidden ticket."""
        key = glpi.open_ticket()
        glpi.unreadable.add("ITILFollowup")
        with pytest.raises(PauseSystem, match="ITILFollowup"):
            await read(adapter, key)

    async def test_noise_and_bodies_are_left_out(self, adapter, glpi):
        """Lists are asked for without their links, and a GET has no body."""
        await read(adapter, glpi.open_ticket())
        lists = [query for path, query in glpi.requests if "/Ticket/" in path]
        assert lists
        assert all(query["get_hateoas"] == "false" for query in lists)


class TestPages:
    """Ranges count their last row, and the status tells nothing."""

    async def test_450_followups(self, adapter, glpi):
        """All come once; the last page is 206 as the others are, and each repeats the row before it."""
        key = glpi.open_ticket()
        rows = [glpi.follow_up(key) for _ in range(450)]
        assert [one.id for one in await read(adapter, key)][1:] == [f"followup-{row}" for row in rows]
        ranges = [query["range"] for path, query in glpi.requests if path.endswith("ITILFollowup")]
        assert ranges == ["0-199", "199-398", "398-597"]

    async def test_a_row_that_is_deleted_meanwhile(self, adapter, glpi):
        """Rows that move up while pages are read are noticed, as one of them would be missed."""
        key = glpi.open_ticket()
        rows = [glpi.follow_up(key) for _ in range(250)]
        await read(adapter, key)
        path = f"/apirest.php/Ticket/{key}/ITILFollowup"
        glpi.meanwhile[path] = lambda: glpi.meanwhile.update({path: lambda: glpi.remove("ITILFollowup", rows[0])})
        with pytest.raises(UnexpectedAnswer, match="changed while it was read"):
            await read(adapter, key)


class TestText:
    """How texts are stored depends on the version."""

    @pytest.mark.parametrize(
        ("version", "text"),
        [
            (9, "<p>Tom &amp; Ana</p>"),
            (10, "<p>Tom &amp; Ana wrote &lt;b&gt;</p>"),
            (11, "<p>Tom &amp; Ana wrote &lt;b&gt;</p>"),
        ],
    )
    async def test_html(self, adapter, glpi, version, text):
        """Escaped or not, HTML comes out as its writer saw it, and the subject too."""
        glpi.version = version
        key = glpi.open_ticket(text=text)
        replies = await read(adapter, key)
        body = replies[0].body
        assert (body.text, body.format) == (text, BodyFormat.HTML)
        assert (await adapter.resolve(TicketRef(number=str(key)))).subject == "Locker & key"

    async def test_plain_text_stays_plain(self, adapter, glpi):
        """A text without tags keeps its lines."""
        key = glpi.open_ticket(text="one\ntwo &amp; three")
        body = (await read(adapter, key))[0].body
        assert (body.text, body.format) == ("one\ntwo & three", BodyFormat.TEXT)


class TestAuthors:
    """The actors of a ticket say who is on which side."""

    @pytest.mark.parametrize(
        ("user", "kind"), [(CUSTOMER, "customer"), (AGENT, "agent"), (COLLEAGUE, "agent"), (0, "customer")]
    )
    async def test_sides(self, adapter, glpi, user, kind):
        """Requesters are customers, who is assigned or nothing at all is an agent, and mail of no user a customer's."""
        key = glpi.open_ticket()
        glpi.follow_up(key, by=user)
        assert (await read(adapter, key))[1].author.kind is AuthorKind(kind)

    @pytest.mark.parametrize("kind", ["customer", "agent"])
    async def test_observers(self, sign_in, glpi, kind):
        """What observers are is an option."""
        key = glpi.open_ticket()
        glpi.act(key, COLLEAGUE, OBSERVER)
        glpi.follow_up(key, by=COLLEAGUE)
        assert (await read(sign_in(observers=kind), key))[1].author.kind is AuthorKind(kind)

    async def test_a_request_that_an_agent_typed_in(self, adapter, glpi):
        """The first message is the requester's, whoever opened the ticket."""
        assert (await read(adapter, glpi.open_ticket(opener=AGENT)))[0].author.kind is AuthorKind.CUSTOMER

    async def test_a_request_by_mail_of_a_stranger(self, adapter, glpi):
        """A requester without a user is a customer."""
        key = glpi.open_ticket(opener=AGENT)
        glpi.actors[key].clear()
        glpi.act(key, 0, REQUESTER, "carl@acme.test")
        assert (await read(adapter, key))[0].author.kind is AuthorKind.CUSTOMER

    async def test_names_may_not_be_read(self, adapter, glpi):
        """Where users may not be read agents have no names, and that is asked once."""
        glpi.unreadable.add("User")
        for _ in range(2):
            key = glpi.open_ticket()
            glpi.follow_up(key, by=AGENT)
            assert (await read(adapter, key))[1].author.name is None
        assert glpi.count("/User/") == 1

    async def test_channels(self, adapter, glpi):
        """The request source says how a message came."""
        key = glpi.open_ticket(requesttypes_id=3)
        glpi.follow_up(key)
        first, second = await read(adapter, key)
        assert (first.channel, second.channel, second.vendor_channel) == (Channel.PHONE, Channel.EMAIL, "2")


class TestMerges:
    """A merge copies messages with new ids; what was written is yielded under the id that it was written with."""

    async def test_originals_stand_for_copies(self, adapter, glpi, clock):
        """The target yields the messages of the source as the source did, and none of their copies."""
        source, target = glpi.open_ticket(), glpi.open_ticket()
        moved = glpi.follow_up(source)
        before = {one.id: one.body.text for one in await read(adapter, source)}
        await clock.sleep(60)
        glpi.merge(source, target)
        own = glpi.follow_up(target)
        replies = await read(adapter, target)
        origins = {one.id: one.written_on for one in replies}
        assert origins == {
            f"ticket-{source}": str(source),
            f"followup-{moved}": str(source),
            f"ticket-{target}": None,
            f"followup-{own}": None,
        }
        assert {one.id: one.body.text for one in replies if one.written_on} == before
        assert [one.id for one in replies if one.first_message] == [f"ticket-{target}"]

    async def test_the_source_names_its_target(self, adapter, glpi):
        """A ticket in the trash that was merged says into which one."""
        source, target = glpi.open_ticket(), glpi.open_ticket()
        glpi.merge(source, target, with_followups=False)
        (state,) = await adapter.tickets([str(source)])
        assert (state.reason, state.merged_into) == (Unavailability.MERGED, str(target))

    async def test_a_list_that_is_not_filtered_names_no_wrong_target(self, adapter, glpi):
        """Where the filter is ignored, only the copy of the ticket's own text counts."""
        glpi.filters_lists = False
        first, second, target = (glpi.open_ticket() for _ in range(3))
        glpi.merge(first, target)
        glpi.delete(second)
        states = await adapter.tickets([str(first), str(second)])
        assert [one.reason for one in states] == [Unavailability.MERGED, Unavailability.GONE]

    async def test_copies_of_a_purged_ticket_are_left_out(self, adapter, glpi):
        """Copies have other ids, and were perhaps sent by their own already: nothing comes twice."""
        source, target = glpi.open_ticket(), glpi.open_ticket()
        glpi.merge(source, target)
        glpi.purge(source)
        assert [one.id for one in await read(adapter, target)] == [f"ticket-{target}"]

    async def test_many_sources(self, adapter, glpi):
        """However many tickets were merged into one, as after an outage, the messages of each of them come."""
        sources, target = [glpi.open_ticket() for _ in range(30)], glpi.open_ticket()
        for source in sources:
            glpi.merge(source, target)
        origins = {one.written_on for one in await read(adapter, target)}
        assert origins == {None, *map(str, sources)}

    async def test_merged_twice(self, adapter, glpi):
        """A ticket that was merged into one that was merged itself is followed to its messages."""
        first, second, third = (glpi.open_ticket() for _ in range(3))
        glpi.merge(first, second)
        glpi.merge(second, third)
        origins = {one.written_on for one in await read(adapter, third)}
        assert origins == {None, str(first), str(second)}

    async def test_the_source_itself_is_not_read(self, adapter, glpi):
        """Replies of a ticket in the trash are refused with where they went."""
        source, target = glpi.open_ticket(), glpi.open_ticket()
        ticket = await adapter.resolve(TicketRef(number=str(source)))
        glpi.merge(source, target)
        with pytest.raises(TicketUnavailable) as caught:
            [reply async for reply in adapter.replies(ticket, None)]
        assert caught.value.unavailable.merged_into == str(target)
