"""The change feed of GLPI: the search by date_mod, its pages, its clock and its trash."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import Cursor, Unavailability, Unavailable
from tests.adapters.glpi.stand_in import AGENT, ASSIGNED, COLLEAGUE

HOUR = timedelta(hours=1)


async def read(adapter, start):
    """Return the ids that the feed names, and its last cursor."""
    pages = [page async for page in adapter.changes(start)]
    return [key for page in pages for key in page.ticket_ids], pages[-1].cursor


class TestSearch:
    """What is asked, and what its answers must hold."""

    async def test_an_idle_sweep_is_three_requests(self, adapter, glpi, clock):
        """Once the fields are known: the entities, the trash, and the list."""
        glpi.open_ticket()
        await clock.sleep(120)
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        glpi.forget()
        assert await read(adapter, cursor) == ([], cursor)
        paths = ["/apirest.php/changeActiveEntities", *["/apirest.php/search/Ticket"] * 2]
        assert [path for path, _ in glpi.requests] == paths

    async def test_no_rows_come_without_data(self, adapter, glpi, clock):
        """The key data is missing where a search finds nothing: that is an empty page."""
        assert (await read(adapter, clock.now()))[0] == []

    async def test_rows_that_are_counted_and_not_there_are_an_error(self, adapter, glpi, clock):
        """An answer that counts rows and has no data is a failure, and not the end."""
        await adapter.check()
        body = '{"totalcount": 2, "count": 2, "sort": 19, "order": "ASC"}'
        glpi.next_answers.extend([(200, {}, "true", "application/json"), (200, {}, body, "application/json")])
        with pytest.raises(UnexpectedAnswer, match="data is missing"):
            await read(adapter, clock.now())

    async def test_numbers_of_fields_are_looked_up(self, adapter, glpi, clock):
        """The search knows fields by numbers, and which ones is asked of GLPI."""
        glpi.options = {"Ticket.name": 31, "Ticket.id": 32, "Ticket.status": 33, "Ticket.date_mod": 34}
        key = glpi.open_ticket()
        pages = [page async for page in adapter.changes(clock.now() - HOUR)]
        (ticket,) = pages[-1].tickets
        assert (ticket.id, ticket.subject, ticket.status) == (str(key), "Locker & key", ThreadStatus.CREATED)

    async def test_a_missing_field_is_named(self, adapter, glpi, clock):
        """A search option that is not there fails the feed, with its name."""
        del glpi.options["Ticket.date_mod"]
        with pytest.raises(UnexpectedAnswer, match="date_mod"):
            await read(adapter, clock.now())

    async def test_criteria_that_are_ignored_are_noticed(self, adapter, glpi, clock):
        """Where GLPI ignores a criterion all tickets come, without a word: the answer is refused."""
        glpi.open_ticket(clock.now() - 48 * HOUR)
        glpi.ignores_criteria = True
        with pytest.raises(UnexpectedAnswer, match="ignored the criterion"):
            await read(adapter, clock.now() - HOUR)

    async def test_it_is_asked_where_criteria_are_heeded(self, adapter, glpi, clock):
        """Criteria go to the search and never to a list, which ignores them."""
        await read(adapter, clock.now())
        with_criteria = {path for path, query in glpi.requests if any("criteria" in name for name in query)}
        assert with_criteria == {"/apirest.php/search/Ticket"}

    async def test_states_come_along(self, adapter, glpi, clock):
        """A row holds what the ticket's state is made of: it is the same as asked for by its id."""
        key = glpi.open_ticket()
        glpi.act(key, COLLEAGUE, ASSIGNED)
        pages = [page async for page in adapter.changes(clock.now() - HOUR)]
        assert list(pages[-1].tickets) == await adapter.tickets([str(key)])
        assert pages[-1].tickets[0].assignee == "Anna Ångström"

    async def test_a_profile_without_tickets_pauses(self, adapter, glpi, clock):
        """A right that is missing for all tickets is no empty feed."""
        glpi.unreadable.add("Ticket")
        with pytest.raises(PauseSystem, match="may not see tickets"):
            await read(adapter, clock.now())

    async def test_a_list_that_forgets_is_noticed(self, adapter, glpi, clock):
        """If not even the newest known ticket comes again, and it is there, the search does not show what it should."""
        glpi.open_ticket()
        await clock.sleep(120)
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        glpi.shows_nothing = True
        with pytest.raises(UnexpectedAnswer, match="shows no changes"):
            await read(adapter, cursor)

    async def test_a_ticket_that_is_purged_is_no_forgetting(self, adapter, glpi, clock):
        """The newest known ticket may be gone for ever: then nothing is what there is."""
        key = glpi.open_ticket()
        await clock.sleep(120)
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        glpi.purge(key)
        assert (await read(adapter, cursor))[0] == []

    @pytest.mark.parametrize("text", ["", "{}", "2026-03-02", '{"newest": "yesterday", "seen": {}}', '{"newest": 7}'])
    async def test_a_foreign_cursor_is_refused(self, adapter, text):
        """A cursor that was not made here is told, and nothing is asked."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter, Cursor(text))


class TestPages:
    """Pages begin anew at the time of their last row."""

    async def test_more_tickets_than_a_page(self, adapter, glpi, clock):
        """All of 450 tickets are named once, in pages of two hundred."""
        keys = [glpi.open_ticket(clock.now() - HOUR + timedelta(seconds=number)) for number in range(450)]
        assert (await read(adapter, clock.now() - 2 * HOUR))[0] == [str(key) for key in keys]
        ranges = {query["range"] for path, query in glpi.requests if "search" in path}
        assert ranges == {"0-199"}

    async def test_more_tickets_of_one_second_than_a_page(self, adapter, glpi, clock):
        """A mass action gives one time to more tickets than a page holds: a longer page is asked for."""
        keys = {str(glpi.open_ticket(clock.now() - HOUR)) for _ in range(450)}
        later = str(glpi.open_ticket(clock.now()))
        assert set((await read(adapter, clock.now() - 2 * HOUR))[0]) == {*keys, later}
        ranges = [query["range"] for path, query in glpi.requests if "search" in path and "is_deleted" not in query]
        assert ranges[:4] == ["0-199", "0-199", "0-399", "0-799"]

    async def test_a_ticket_that_changes_meanwhile_hides_no_other(self, adapter, glpi, clock):
        """Rows move up when a ticket of an earlier page changes: no page is asked for by its number."""
        glpi.longest_page = 3
        keys = [glpi.open_ticket(clock.now() - HOUR + timedelta(seconds=number)) for number in range(9)]
        named = []
        async for page in adapter.changes(clock.now() - 2 * HOUR):
            named += page.ticket_ids
            glpi.touch(keys[0])
        assert {str(key) for key in keys} <= set(named)


class TestTime:
    """GLPI's clock: without a zone, in whole seconds, ahead or behind."""

    async def test_what_was_named_is_not_named_again(self, adapter, glpi, clock):
        """The overlap is read again, but only what changed since is told."""
        glpi.open_ticket()
        await clock.sleep(120)
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        other = glpi.open_ticket()
        assert (await read(adapter, cursor))[0] == [str(other)]

    async def test_a_change_that_becomes_visible_late_is_found(self, adapter, glpi, clock):
        """A long request stamps its change with its beginning: ten minutes are read again."""
        glpi.open_ticket()
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        late = glpi.open_ticket(clock.now() - timedelta(minutes=9))
        assert str(late) in (await read(adapter, cursor))[0]

    async def test_a_second_change_in_the_same_second_is_found(self, adapter, glpi, clock):
        """A ticket that was read in the second of its change is named again, as it may change once more in it."""
        key = glpi.open_ticket()
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        glpi.follow_up(key)
        assert (await read(adapter, cursor))[0] == [str(key)]

    async def test_a_time_to_come_does_not_move_the_mark_past_the_present(self, adapter, glpi, clock):
        """A ticket that was changed by a clock that is ahead does not hide what others change."""
        glpi.open_ticket(clock.now() + 48 * HOUR)
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        await clock.sleep(60)
        other = glpi.open_ticket()
        assert str(other) in (await read(adapter, cursor))[0]

    async def test_times_are_asked_for_in_the_zone(self, sign_in, glpi, clock):
        """The search reads times by GLPI's own clock, as it writes them."""
        glpi.zone = ZoneInfo("Asia/Kolkata")
        old, new = glpi.open_ticket(clock.now() - HOUR), glpi.open_ticket()
        adapter = sign_in(zone="Asia/Kolkata")
        pages = [page async for page in adapter.changes(clock.now() - timedelta(minutes=15))]
        assert pages[-1].ticket_ids == (str(new),)
        assert pages[-1].tickets[0].updated_at == clock.now().replace(microsecond=0)
        assert str(old) not in pages[-1].ticket_ids

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
    async def test_a_wrong_zone_loses_nothing_from_a_cursor_on(self, sign_in, glpi, clock, zone):
        """Positions are GLPI's own times and go back as they came, so a wrong zone makes the feed repeat at most."""
        glpi.zone = ZoneInfo("Europe/Berlin")
        adapter = sign_in(zone=zone)
        glpi.open_ticket()
        cursor = (await read(adapter, clock.now() - 24 * HOUR))[1]
        for _ in range(3):
            await clock.sleep(120)
            key = glpi.open_ticket()
            named, cursor = await read(adapter, cursor)
            assert str(key) in named

    async def test_an_hour_that_is_shown_twice_hides_nothing(self, sign_in, glpi, clock):
        """When clocks go back, later changes have earlier times: the hour is read twice."""
        glpi.zone = ZoneInfo("Europe/Berlin")
        adapter = sign_in(zone="Europe/Berlin")
        glpi.ahead = datetime(2026, 10, 25, 0, 58, tzinfo=UTC) - clock.now()
        glpi.open_ticket()  # 02:58, the first time
        cursor = (await read(adapter, glpi.now() - HOUR))[1]
        for _ in range(12):
            await clock.sleep(600)
            key = glpi.open_ticket()  # 02:08, 02:18 ... the second time, and then 03:08
            named, cursor = await read(adapter, cursor)
            assert str(key) in named

    async def test_an_hour_that_is_skipped_hides_nothing(self, sign_in, glpi, clock):
        """When clocks go forward nothing is missed either."""
        glpi.zone = ZoneInfo("Europe/Berlin")
        adapter = sign_in(zone="Europe/Berlin")
        glpi.ahead = datetime(2026, 3, 29, 0, 50, tzinfo=UTC) - clock.now()
        cursor = (await read(adapter, glpi.now() - HOUR))[1]
        for _ in range(4):
            await clock.sleep(600)
            key = glpi.open_ticket()
            named, cursor = await read(adapter, cursor)
            assert str(key) in named


class TestTrash:
    """The list leaves out what is in the trash, so that is asked for too."""

    async def test_a_deleted_ticket_is_named(self, adapter, glpi, clock):
        """A ticket that goes into the trash is named without a state, so that it is looked at."""
        key = glpi.open_ticket()
        await clock.sleep(120)
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        glpi.delete(key)
        (page, _) = [page async for page in adapter.changes(cursor)]
        assert (page.ticket_ids, page.tickets) == ((str(key),), ())
        assert await adapter.tickets([str(key)]) == [Unavailable(str(key), Unavailability.GONE)]

    async def test_the_trash_does_not_move_the_mark(self, adapter, glpi, clock):
        """Who stops after the page of the trash goes on before the changes of all others."""
        gone, other = glpi.open_ticket(clock.now() - HOUR), glpi.open_ticket(clock.now() - HOUR / 2)
        glpi.delete(gone)
        (trash, _) = [page async for page in adapter.changes(clock.now() - 2 * HOUR)]
        assert str(other) in (await read(adapter, trash.cursor))[0]

    async def test_a_search_that_does_not_know_the_trash_does_no_harm(self, adapter, glpi, clock):
        """If the parameter is ignored the same tickets come twice, and are read as usual."""
        glpi.search_knows_trash = False
        key = glpi.open_ticket()
        assert set((await read(adapter, clock.now() - HOUR))[0]) == {str(key)}


class TestEntities:
    """A sweep sees all entities of the profile."""

    async def test_tickets_of_child_entities_are_named(self, adapter, glpi, clock):
        """A session begins in the default entity alone, and is widened."""
        key = glpi.open_ticket(entity=1)
        assert (await read(adapter, clock.now() - HOUR))[0] == [str(key)]

    async def test_a_session_that_ended_is_widened_again(self, adapter, glpi, clock):
        """The session that follows begins in the default entity, too."""
        glpi.open_ticket()
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        glpi.end_sessions()
        key = glpi.open_ticket(entity=1)
        assert str(key) in (await read(adapter, cursor))[0]
        assert glpi.opened == 2

    async def test_an_entity_that_is_new_is_seen(self, adapter, glpi, clock):
        """A session knows the entities of the moment in which it was widened: that is done at each sweep."""
        glpi.open_ticket()
        cursor = (await read(adapter, clock.now() - HOUR))[1]
        glpi.entities.add(7)
        key = glpi.open_ticket(entity=7, opener=AGENT)
        assert str(key) in (await read(adapter, cursor))[0]
        assert glpi.opened == 1
