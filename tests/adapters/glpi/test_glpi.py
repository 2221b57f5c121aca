"""Signing in to GLPI, its options, its sessions and what it refuses."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from adapters.glpi import Glpi
from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, SettingsError, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable
from syncd.sources.registry import validate_options
from tests.adapters.glpi.stand_in import APP_TOKEN, STATUSES


class TestCheck:
    """Who we are, and what the account cannot see."""

    @pytest.mark.parametrize("wrapped", [True, False])
    async def test_account(self, adapter, glpi, wrapped):
        """A good account has nothing to be warned of, whichever way the version wraps its session."""
        glpi.open_ticket(entity=1)
        glpi.wraps_session = wrapped
        identity = await adapter.check()
        assert (identity.account, identity.notes, identity.warnings) == ("syncd", ("profile: syncd",), ())

    async def test_warnings(self, adapter, glpi):
        """Each thing that a profile keeps from the account is said."""
        glpi.rights, glpi.interface = {"ticket": 1, "followup": 0}, "helpdesk"
        said = " ".join((await adapter.check()).warnings)
        assert all(word in said for word in ("simplified", "See all tickets", "public followups", "no ticket"))

    async def test_zone(self, sign_in, glpi):
        """GLPI's own clock is held against the time of the answer: a zone that does not fit is said."""
        glpi.open_ticket()
        glpi.zone = ZoneInfo("Europe/Berlin")
        assert "not the time in UTC" in (await sign_in().check()).warnings[0]
        assert (await sign_in(zone="Europe/Berlin").check()).warnings == ()

    @pytest.mark.parametrize("token", [None, "wrong"])
    async def test_application_token(self, sign_in, glpi, token):
        """An API client with a token refuses who has none or another, and nothing tells the one that was sent."""
        glpi.app_token = APP_TOKEN
        with pytest.raises(PauseSystem) as caught:
            await sign_in(app_token=token).check()
        assert "wrong" not in str(caught.value)

    async def test_api_switched_off(self, adapter, glpi):
        """GLPI comes with its API switched off: that pauses."""
        glpi.api_enabled = False
        with pytest.raises(PauseSystem):
            await adapter.check()


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ("https://acme.test", "https://acme.test/apirest.php"),
            ("https://acme.test/glpi/", "https://acme.test/glpi/apirest.php"),
            ("https://acme.test/glpi/apirest.php/", "https://acme.test/glpi/apirest.php"),
            ("https://acme.test/api.php/v1", "https://acme.test/api.php/v1"),
        ],
    )
    def test_base_url(self, given, address):
        """The address of a start page or of the API will do; links go to the start page."""
        options = validate_options(Glpi, {"base_url": given, "user_token": "t"})
        assert options.base_url == address
        assert options.places.link("7").count("php") == 1

    def test_unknown_zone(self):
        """A zone that is none is told with its place."""
        with pytest.raises(SettingsError, match="zone"):
            validate_options(Glpi, {"base_url": "https://acme.test", "user_token": "t", "zone": "Paris"})


class TestSessions:
    """A session ends without a word, and begins in the default entity."""

    async def test_one_session_is_kept(self, adapter, glpi):
        """It is opened once, not per request."""
        key = glpi.open_ticket()
        for _ in range(3):
            await adapter.tickets([str(key)])
        assert glpi.opened == 1

    @pytest.mark.parametrize("version", [10, 11])
    async def test_a_new_session_forbids_nothing(self, adapter, glpi, version):
        """A ticket of another entity is not forbidden because the session that was widened has ended."""
        glpi.version = version
        key = glpi.open_ticket(entity=1)
        ticket = await adapter.resolve(TicketRef(number=str(key)))
        glpi.end_sessions()
        assert len([reply async for reply in adapter.replies(ticket, None)]) == 1
        glpi.end_sessions()
        assert [one.id for one in await adapter.tickets([str(key)]) if one == replace(ticket, assignee=None)] == [
            str(key)
        ]

    @pytest.mark.parametrize("version", [10, 11])
    async def test_a_right_that_is_missing_is_no_bad_credential(self, adapter, glpi, version):
        """Older versions say 401 and newer ones 403: the ticket is forbidden, and the others go on."""
        glpi.version = version
        hidden, other = glpi.open_ticket(), glpi.open_ticket(entity=1)
        glpi.forbidden.add(hidden)
        forbidden, seen = await adapter.tickets([str(hidden), str(other)])
        assert forbidden == Unavailable(str(hidden), Unavailability.FORBIDDEN)
        assert seen.id == str(other)

    async def test_a_proxy_has_statuses_too(self, adapter, glpi):
        """A 404 or 403 that is a web page is no lost ticket."""
        key = glpi.open_ticket()
        ticket = await adapter.resolve(TicketRef(number=str(key)))
        for status in (403, 404):
            glpi.next_answers.append((status, {}, "<html></html>", "text/html"))
            with pytest.raises(UnexpectedAnswer):
                [reply async for reply in adapter.replies(ticket, None)]

    async def test_entities_are_asked_for_as_a_whole(self, adapter, glpi):
        """The word for all entities would be read as entity 0, so none is named."""
        key = glpi.open_ticket(entity=1)
        assert (await adapter.tickets([str(key)]))[0].id == str(key)


class TestTickets:
    """Numbers, links and states."""

    @pytest.mark.parametrize("form", ["{}", "#{}", "0000{}", "[GLPI #0000{}]", "GLPI #{}"])
    async def test_numbers(self, adapter, glpi, form):
        """Mails show the number with zeros before it."""
        key = glpi.open_ticket()
        assert (await adapter.resolve(TicketRef(number=form.format(key)))).id == str(key)

    @pytest.mark.parametrize(
        "form",
        [
            "/front/ticket.form.php?id={}&forcetab=Ticket$1",
            "/front/ticket.form.php?_openfollowup=1&id={}",
            "/index.php?redirect=ticket_{}&noAUTO=1",
            "/index.php?redirect=ticket_{}_Ticket$1",
            "/index.php?redirect=%2Ffront%2Fticket.form.php%3Fid%3D{}%26forcetab%3DTicket",
        ],
    )
    async def test_links(self, adapter, glpi, form):
        """Links of pages and of notifications name a ticket."""
        key = glpi.open_ticket()
        assert (await adapter.resolve(TicketRef(link=glpi.base_url + form.format(key)))).id == str(key)

    @pytest.mark.parametrize("name", STATUSES)
    async def test_statuses(self, adapter, glpi, name):
        """Solved and closed are closed, and numbers have our words."""
        key = glpi.open_ticket()
        glpi.set_status(key, name)
        (ticket,) = await adapter.tickets([str(key)])
        level = {"new": ThreadStatus.CREATED, "solved": ThreadStatus.CLOSED, "closed": ThreadStatus.CLOSED}
        assert (ticket.vendor_status, ticket.status) == (name, level.get(name, ThreadStatus.ONGOING))

    async def test_many_at_once(self, adapter, glpi):
        """A hundred tickets are three searches."""
        keys = [str(glpi.open_ticket()) for _ in range(100)]
        assert [one.id for one in await adapter.tickets(keys)] == keys
        assert (glpi.count("/search/"), glpi.count("/Ticket/")) == (3, 0)

    async def test_purged(self, adapter, glpi):
        """A ticket that is gone for ever answers 404, as a list of code and sentence."""
        key = glpi.open_ticket()
        glpi.purge(key)
        assert await adapter.tickets([str(key)]) == [Unavailable(str(key), Unavailability.GONE)]
