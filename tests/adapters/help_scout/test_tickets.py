"""Naming Help Scout conversations, and their state."""

import json
from datetime import timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable
from tests.adapters.help_scout.stand_in import parse_stamp, stamp

HTML_404 = (404, {}, "<html>Not found</html>", "text/html")


@pytest.fixture
def talk(help_scout, clock):
    """A conversation that a customer began an hour ago; its id."""
    return help_scout.open_conversation(clock.now() - timedelta(hours=1))[0]


async def state_of(adapter, conversation_id):
    """Return the state of one conversation."""
    (state,) = await adapter.tickets([str(conversation_id)])
    return state


class TestNumbers:
    """Numbers are what people see; ids are something else."""

    @pytest.mark.parametrize("status", ["active", "pending", "closed", "spam"])
    async def test_any_status(self, adapter, help_scout, talk, status):
        """A conversation is found by its number whatever its status: the default would find active ones alone."""
        help_scout.touch(talk, status=status)
        number = str(help_scout.conversations[talk]["number"])
        found = await adapter.resolve(TicketRef(number=f" #{number} "))
        assert (found.id, found.number) == (str(talk), number)

    async def test_an_id_is_no_number(self, adapter, talk):
        """The id of a conversation, given as a number, finds nothing."""
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(number=str(talk)))

    async def test_two_of_a_number(self, adapter, help_scout, talk, clock):
        """Where two conversations have the number, neither is guessed."""
        number = help_scout.conversations[talk]["number"]
        help_scout.open_conversation(clock.now(), number=number)
        with pytest.raises(InvalidTicketRef, match="by its link"):
            await adapter.resolve(TicketRef(number=str(number)))

    async def test_another_number(self, adapter, help_scout):
        """A hit that has another number than the one asked for is none."""
        await adapter.check()
        hit = {"id": 7, "number": 4711, "status": "active", "threads": 0}
        paging = {"size": 50, "totalElements": 1, "totalPages": 1, "number": 1}
        body = json.dumps({"page": paging, "_embedded": {"conversations": [hit]}})
        help_scout.next_answers += 2 * [(200, {}, body, "application/json")]
        assert (await adapter.resolve(TicketRef(number="4711"))).id == "7"
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(number="471"))


class TestLinks:
    """Links are on another host than the API, and name the id first."""

    async def test_id_first(self, adapter, help_scout, talk):
        """Of the two numbers in a link the first is the id, and the link of a ticket is such a one."""
        ticket = await adapter.resolve(TicketRef(link=help_scout.link(talk)))
        assert ticket.id == str(talk)
        assert ticket.link == help_scout.link(talk)

    @pytest.mark.parametrize("ending", ["", "/", "/{number}", "/{number}/", "/{number}/?folderId=12", "#thread-1"])
    async def test_shapes(self, adapter, help_scout, talk, ending):
        """A link is read with and without its number, its last slash, a folder, or a fragment."""
        ending = ending.format(number=help_scout.conversations[talk]["number"])
        link = f"https://secure.helpscout.net/conversation/{talk}{ending}"
        assert (await adapter.resolve(TicketRef(link=link))).id == str(talk)

    @pytest.mark.parametrize(
        "link",
        [
            "https://secure.helpscout.net/mailbox/85/",
            "https://secure.helpscout.net/search?next=/conversation/7/1/",
            "https://secure.helpscout.net/conversation/7/1/edit",
            "https://secure.helpscout.net/conversation/0/1/",
            "https://secure.helpscout.net/conversation/abc/",
            "https://api.helpscout.net/v2/conversations/7",
            "https://secure.helpscout.net.evil.test/conversation/7/1/",
        ],
    )
    async def test_others(self, adapter, help_scout, link):
        """A link to anything but a conversation, or of another host, is refused without a request."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=link))
        assert help_scout.requests == []

    async def test_web_url(self, sign_in, help_scout, talk):
        """The option web_url is the address that links begin with, with or without a slash at its end."""
        adapter = sign_in(web_url="https://desk.acme.test/")
        link = f"https://desk.acme.test/conversation/{talk}/1/"
        number = help_scout.conversations[talk]["number"]
        ticket = await adapter.resolve(TicketRef(link=link))
        assert ticket.link == f"https://desk.acme.test/conversation/{talk}/{number}/"


class TestStates:
    """What a conversation is like now."""

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("active", ThreadStatus.ONGOING),
            ("pending", ThreadStatus.ONGOING),
            ("closed", ThreadStatus.CLOSED),
            ("spam", ThreadStatus.CLOSED),
            ("novelty", None),
        ],
    )
    async def test_words(self, adapter, help_scout, talk, word, status):
        """Each word of Help Scout's has its status; an unknown one is kept for the settings to map."""
        help_scout.add(talk, "message", "x")
        help_scout.touch(talk, status=word)
        ticket = await state_of(adapter, talk)
        assert (ticket.vendor_status, ticket.status) == (word, status)

    async def test_created(self, adapter, help_scout, talk):
        """An active conversation is CREATED until an agent has answered; notes and drafts are no answers."""
        help_scout.add(talk, "note", "x")
        help_scout.add(talk, "message", "x", state="draft")
        assert (await state_of(adapter, talk)).status is ThreadStatus.CREATED
        help_scout.add(talk, "message", "x")
        assert (await state_of(adapter, talk)).status is ThreadStatus.ONGOING

    async def test_not_known_to_be_unanswered(self, adapter, help_scout, talk):
        """A conversation whose threads did not all come counts as answered."""
        help_scout.embed_cap = 0
        assert (await state_of(adapter, talk)).status is ThreadStatus.ONGOING

    async def test_reopened(self, adapter, help_scout, talk):
        """Closed is not the end: an answer of the customer makes a conversation active again."""
        help_scout.add(talk, "message", "x")
        help_scout.touch(talk, status="closed")
        assert (await state_of(adapter, talk)).status is ThreadStatus.CLOSED
        help_scout.add(talk, "customer", "still broken")
        help_scout.touch(talk, status="active")
        assert (await state_of(adapter, talk)).status is ThreadStatus.ONGOING

    async def test_without_subject_and_assignee(self, adapter, help_scout, talk):
        """Chats without a subject, and conversations of nobody, are tickets like others."""
        for name in ("subject", "assignee"):
            del help_scout.conversations[talk][name]
        ticket = await state_of(adapter, talk)
        assert (ticket.subject, ticket.assignee) == (None, None)

    async def test_names(self, adapter, talk):
        """The assignee is told by name."""
        assert (await state_of(adapter, talk)).assignee == "Änne Agent"

    @pytest.mark.parametrize("field", ["closedAt", "userUpdatedAt", "customerWaitingSince"])
    async def test_latest_change(self, adapter, help_scout, talk, clock, field):
        """The latest of the times that a conversation shows stands for the time of modification that it does not."""
        latest = stamp(clock.now())
        help_scout.touch(talk, **{field: {"time": latest} if field == "customerWaitingSince" else latest})
        assert (await state_of(adapter, talk)).updated_at == parse_stamp(latest)

    async def test_one_after_the_other(self, adapter, help_scout, talk):
        """The same conversation asked for twice is one request; what cannot be an id is none."""
        await adapter.check()
        help_scout.forget()
        states = await adapter.tickets([str(talk), str(talk), "../users/me"])
        assert states[1] == Unavailable("../users/me", Unavailability.GONE)
        assert len(states) == 2
        assert len(help_scout.requests) == 1


class TestAway:
    """Conversations that cannot be followed."""

    async def test_merged(self, adapter, help_scout, talk, clock):
        """A conversation that was merged answers 301: the other is named, and not read in its place."""
        left, _ = help_scout.open_conversation(clock.now())
        link = help_scout.link(talk)
        help_scout.merge(talk, left)
        await adapter.check()
        help_scout.forget()
        merged = Unavailable(str(talk), Unavailability.MERGED, str(left))
        assert await state_of(adapter, talk) == merged
        assert [path for path, _ in help_scout.requests] == [f"/conversations/{talk}"]
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(link=link))
        assert caught.value.unavailable == merged

    async def test_relative_location(self, adapter, help_scout, talk):
        """The place of the other conversation may come without a host; only its id is taken."""
        await adapter.check()
        help_scout.next_answers.append((301, {"Location": "/v2/conversations/77?embed=threads"}, "", "text/plain"))
        assert await state_of(adapter, talk) == Unavailable(str(talk), Unavailability.MERGED, "77")

    @pytest.mark.parametrize(
        "place", ["https://elsewhere.test/login", "https://elsewhere.test/v2/conversations/{talk}", "", "/users/7"]
    )
    async def test_redirects_that_are_no_merge(self, adapter, help_scout, talk, place):
        """A 301 to anything but another conversation is an error, and nobody goes there."""
        await adapter.check()
        headers = {"Location": place.format(talk=talk)}
        help_scout.next_answers.append((301, headers, "", "text/plain"))
        with pytest.raises(UnexpectedAnswer, match="no other conversation"):
            await state_of(adapter, talk)

    async def test_a_redirect_that_a_proxy_followed(self, adapter, help_scout, talk):
        """An answer about another conversation than the one asked for is a merge that somebody else followed."""
        asked = talk + 1000
        help_scout.conversations[asked] = help_scout.conversations[talk]
        assert await state_of(adapter, asked) == Unavailable(str(asked), Unavailability.MERGED, str(talk))

    async def test_forbidden_and_deleted(self, adapter, help_scout, talk, clock):
        """One in an inbox out of reach, one that is gone, and one marked as deleted stop no other."""
        inbox, state = (help_scout.open_conversation(clock.now())[0] for _ in range(2))
        help_scout.forbidden.add(inbox)
        help_scout.touch(state, state="deleted")
        states = await adapter.tickets(["7", str(inbox), str(state), str(talk)])
        assert [getattr(one, "reason", None) for one in states] == [
            Unavailability.GONE,
            Unavailability.FORBIDDEN,
            Unavailability.GONE,
            None,
        ]

    async def test_everything_is_forbidden(self, adapter, help_scout, talk):
        """A 403 for a conversation, where the inboxes are refused too, is about us: no ticket is given up for it."""
        help_scout.has_plan = False
        with pytest.raises(PauseSystem, match="plan"):
            await state_of(adapter, talk)

    @pytest.mark.parametrize("status", [403, 404])
    @pytest.mark.parametrize("body", ["<html>Not here</html>", '{"error": "no route"}', "{}", ""])
    async def test_a_refusal_of_somebody_else(self, adapter, help_scout, talk, status, body):
        """A 403 or 404 without the marks of Help Scout's errors does not say that a conversation is gone."""
        await adapter.check()
        help_scout.next_answers.append((status, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await state_of(adapter, talk)
