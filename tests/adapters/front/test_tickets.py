"""Naming conversations of Front, and their state."""

from datetime import timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable

WEB = "https://app.frontapp.com"


async def state_of(adapter, conversation):
    """Return the state of one conversation."""
    (state,) = await adapter.tickets([conversation])
    return state


class TestNames:
    """From what a person writes to a conversation."""

    @pytest.mark.parametrize("tail", ["", "/", "?key=abc", "#x"])
    async def test_copied_link(self, adapter, front, tail):
        """The link that Front copies is on another host than the API, and names the id."""
        conversation, _ = front.open_conversation()
        ticket = await adapter.resolve(TicketRef(link=f"{WEB}/open/{conversation}{tail}"))
        assert (ticket.id, ticket.link) == (conversation, f"{WEB}/open/{conversation}")

    async def test_link_to_a_message(self, adapter, front):
        """A link may name a message; its conversation is looked up, and the host in that answer is not called."""
        conversation, message = front.open_conversation()
        assert (await adapter.resolve(TicketRef(link=f"{WEB}/open/{message}"))).id == conversation
        assert front.requests[0][0] == f"/messages/{message}"

    async def test_link_to_a_comment(self, adapter, front):
        """A link may name a comment."""
        conversation, _ = front.open_conversation()
        comment = front.comment(conversation, "for colleagues")
        assert (await adapter.resolve(TicketRef(link=f"{WEB}/open/{comment}"))).id == conversation

    async def test_message_that_is_gone(self, adapter):
        """A link to a message that is not there is unavailable."""
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(link=f"{WEB}/open/msg_zzz"))

    @pytest.mark.parametrize(
        "path",
        [
            "/inboxes/teammates/1234/inbox/56789012",
            "/inboxes/teams/views/123/unassigned/4567890",
            "/open/tea_1",
            "/open/",
        ],
    )
    async def test_address_of_the_browser(self, adapter, front, path):
        """The browser's address has internal numbers, which are no ids: it is refused, and the right link is named."""
        with pytest.raises(InvalidTicketRef, match="/open/cnv_"):
            await adapter.resolve(TicketRef(link=f"{WEB}{path}"))
        assert front.requests == []

    async def test_link_of_the_api(self, adapter, front):
        """Links are held against web_url, and not against the API's address."""
        conversation, _ = front.open_conversation()
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=f"{front.base_url}/open/{conversation}"))

    async def test_other_web_url(self, sign_in, front):
        """Where agents work under another address, web_url names it, and the links are built with it."""
        conversation, _ = front.open_conversation()
        adapter = sign_in(web_url="https://front.acme.test/")
        ticket = await adapter.resolve(TicketRef(link=f"https://front.acme.test/open/{conversation}"))
        assert ticket.link == f"https://front.acme.test/open/{conversation}"

    @pytest.mark.parametrize("written", ["TICKET-1", "#TICKET-1", "ticket-1", " TICKET-1 "])
    async def test_number(self, adapter, front, written):
        """A ticket number, which there is with ticketing alone, is searched for as text."""
        conversation, _ = front.open_conversation()
        ticket = await adapter.resolve(TicketRef(number=written))
        assert (ticket.id, ticket.number) == (conversation, "TICKET-1")

    async def test_number_in_a_text(self, adapter, front):
        """The search finds numbers in texts too: only a conversation with that ticket id is meant."""
        conversation, _ = front.open_conversation()
        front.open_conversation(text="as in TICKET-1, but not the same")
        front.open_conversation(ticket_ids=["TICKET-10"])
        assert (await adapter.resolve(TicketRef(number="TICKET-1"))).id == conversation
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(number="TICKET-3"))

    async def test_number_on_a_later_page(self, adapter, front):
        """More is searched than one page."""
        conversation, _ = front.open_conversation()
        for _ in range(6):
            front.open_conversation(text="TICKET-1 again")
        front.largest_page = 3
        assert (await adapter.resolve(TicketRef(number="TICKET-1"))).id == conversation
        assert front.count("search") == 3

    async def test_number_in_too_many_texts(self, adapter, front):
        """A search is given up after five pages; what was not found by then is not said to be gone."""
        front.open_conversation()
        for _ in range(12):
            front.open_conversation(text="TICKET-1 again")
        front.largest_page = 2
        with pytest.raises(UnexpectedAnswer, match="by its link"):
            await adapter.resolve(TicketRef(number="TICKET-1"))
        assert front.count("search") == 5

    async def test_number_of_two(self, adapter, front):
        """If two conversations have a number, neither is guessed."""
        for _ in range(2):
            front.open_conversation(ticket_ids=["TICKET-7"])
        with pytest.raises(InvalidTicketRef, match="by its link"):
            await adapter.resolve(TicketRef(number="TICKET-7"))

    async def test_number_without_ticketing(self, adapter, front):
        """Without ticketing the id is the only number, and no search is needed."""
        front.has_ticketing = False
        conversation, _ = front.open_conversation()
        assert (await adapter.resolve(TicketRef(number=conversation))).number == conversation
        assert front.count("search") == 0

    @pytest.mark.parametrize("kind", ["discussion", "task"])
    async def test_among_colleagues(self, adapter, front, kind):
        """Discussions and tasks are among colleagues, and are no tickets, however they are named."""
        conversation, _ = front.open_conversation(type=kind)
        for ref in (TicketRef(number=conversation), TicketRef(number="TICKET-1")):
            with pytest.raises(InvalidTicketRef, match="colleagues"):
                await adapter.resolve(ref)
        assert await state_of(adapter, conversation) == Unavailable(conversation, Unavailability.FORBIDDEN)


class TestState:
    """What a conversation's fields say."""

    @pytest.mark.parametrize(
        ("fields", "word", "status"),
        [
            ({"status": "unassigned"}, "unassigned", ThreadStatus.CREATED),
            ({"status": "assigned"}, "assigned", ThreadStatus.CREATED),
            ({"status": "assigned", "waiting_since": None}, "assigned", ThreadStatus.ONGOING),
            ({"status": "archived"}, "archived", ThreadStatus.CLOSED),
            ({"status": "deleted"}, "deleted", ThreadStatus.CLOSED),
            ({"status": "archived", "scheduled_reminders": [{"scheduled_at": 1}]}, "archived", ThreadStatus.ONGOING),
            ({"status": "spam"}, "spam", None),
            ({"status": "unassigned", "status_category": "resolved"}, "resolved", ThreadStatus.CLOSED),
            ({"status": "archived", "status_category": "waiting"}, "waiting", ThreadStatus.ONGOING),
            ({"status": "archived", "status_category": "open"}, "open", ThreadStatus.CREATED),
            ({"status": "deleted", "status_category": "open"}, "deleted", ThreadStatus.CLOSED),
        ],
    )
    async def test_status(self, adapter, front, fields, word, status):
        """The trash counts before the category of ticketing, and that before the status of the inbox."""
        front.has_ticketing = False
        conversation, _ = front.open_conversation(**fields)
        state = await state_of(adapter, conversation)
        assert (state.vendor_status, state.status) == (word, status)

    async def test_answered(self, adapter, front, clock):
        """Once an agent has answered, a conversation is ONGOING, also when the customer writes again."""
        conversation, _ = front.open_conversation(clock.now() - timedelta(hours=1))
        front.write(conversation, "one moment", inbound=False)
        assert (await state_of(adapter, conversation)).status is ThreadStatus.ONGOING
        front.conversations[conversation]["waiting_since"] = clock.now().timestamp()
        assert (await state_of(adapter, conversation)).status is ThreadStatus.ONGOING

    async def test_assignee(self, adapter, front):
        """The assignee has a first and a last name, and a user name where there is neither."""
        conversation, _ = front.open_conversation(assignee=front.agent)
        assert (await state_of(adapter, conversation)).assignee == "Änne Agent"
        front.conversations[conversation]["assignee"] = {**front.agent, "first_name": "", "last_name": None}
        assert (await state_of(adapter, conversation)).assignee == "anne"

    async def test_fields_of_newer_answers(self, adapter, front):
        """A conversation without type, time of change and ticket ids, as older answers have it, is one all the same."""
        conversation, _ = front.open_conversation()
        for name in ("type", "updated_at", "ticket_ids", "waiting_since", "scheduled_reminders"):
            del front.conversations[conversation][name]
        state = await state_of(adapter, conversation)
        assert (state.number, state.updated_at, state.status) == (conversation, None, ThreadStatus.ONGOING)

    async def test_merged(self, adapter, front):
        """The 301 of a merged conversation is read and not followed: the other one is named."""
        old, into = front.open_conversation()[0], front.open_conversation()[0]
        front.merge(old, into)
        merged = Unavailable(old, Unavailability.MERGED, into)
        assert await state_of(adapter, old) == merged
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(number=old))
        assert caught.value.unavailable == merged
        assert front.count(into) == 0

    async def test_another_conversation_answers(self, adapter, front):
        """If a redirect was followed on the way (by a proxy), the other id in the answer gives the merge away."""
        old, into = front.open_conversation()[0], front.open_conversation()[0]
        front.conversations[old] = front.conversations[into]
        assert await state_of(adapter, old) == Unavailable(old, Unavailability.MERGED, into)

    @pytest.mark.parametrize(
        "place", ["", "https://elsewhere.test/login", "/conversations/tea_1", "/conversations/{id}"]
    )
    async def test_redirect_to_no_conversation(self, adapter, front, place):
        """A redirect that names no other conversation is a failure, and no merge."""
        conversation, _ = front.open_conversation()
        front.next_answers.append((301, {"Location": place.format(id=conversation)}, "", "text/html"))
        with pytest.raises(UnexpectedAnswer, match="redirected"):
            await adapter.tickets([conversation])

    async def test_forbidden_and_gone(self, adapter, front):
        """One conversation that is forbidden, gone, or no conversation's id stops no other."""
        secret, stays = front.open_conversation()[0], front.open_conversation()[0]
        front.forbidden.add(secret)
        found = await adapter.tickets([secret, "cnv_zzz", "../me", stays])
        assert found[:3] == [
            Unavailable(secret, Unavailability.FORBIDDEN),
            Unavailable("cnv_zzz", Unavailability.GONE),
            Unavailable("../me", Unavailability.GONE),
        ]
        assert found[3].id == stays

    async def test_everything_is_forbidden(self, adapter, front):
        """A 403 for a conversation, where the list is refused too, is about the token: no ticket is given up for it."""
        conversation, _ = front.open_conversation()
        front.refused_scopes = {"conversations"}
        with pytest.raises(PauseSystem, match="scope"):
            await adapter.tickets([conversation])

    @pytest.mark.parametrize("status", [403, 404])
    async def test_refusal_of_a_proxy(self, adapter, front, status):
        """A web page with status 403 or 404 is somebody else's, and says nothing about a conversation."""
        conversation, _ = front.open_conversation()
        front.next_answers.append((status, {}, "<html>no</html>", "text/html"))
        with pytest.raises(UnexpectedAnswer):
            await adapter.tickets([conversation])
