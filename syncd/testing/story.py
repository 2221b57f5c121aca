"""A quarter of a minute in the life of a studio's helpdesk, for `syncd demo`: what happens, and when.

Every text is invented. The story uses what goes wrong in real life: an answer in HTML, a note that must not leave, a
file, an API that has a bad moment, a ticket that is closed, and one that is opened again.
"""

from datetime import timedelta

from syncd.testing.helpdesk import DeskFile, DeskTicket, Helpdesk, Story
from syncd.testing.sandbox import Sandbox
from syncd.testing.sandbox_faults import refusal

STORY_SECONDS = 15.0

_ANSWER = (
    "<p>Hello Carla,</p><p>the battery was empty. Please</p><ol><li>hold the key to the door,</li>"
    '<li>wait for the <b>green</b> light.</li></ol><p>More: <a href="https://studio.example/lockers">lockers</a></p>'
)
_PRICES = (
    "<p>Here are the prices:</p><table><tr><th>Months</th><th>Price</th></tr><tr><td>12</td><td>39 EUR</td></tr>"
    "<tr><td>24</td><td>29 EUR</td></tr></table>"
)


def open_tickets(helpdesk: Helpdesk) -> list[DeskTicket]:
    """Open the four tickets of the story, as if a few minutes ago."""
    before = helpdesk.clock.now() - timedelta(minutes=10)
    return [
        helpdesk.create_ticket("My locker does not open", "It is number 12.", at=before),
        helpdesk.create_ticket("Which membership?", "What do you have?", customer="Mehmet Member", at=before),
        helpdesk.create_ticket("Invoice of October", "I was charged twice.", customer="Irina Invoice", at=before),
        helpdesk.create_ticket("Pause over the summer", "Can I pause?", customer="Paul Pause", at=before),
    ]


def write_story(tickets: list[DeskTicket], sandbox: Sandbox, seconds: float = STORY_SECONDS) -> Story:
    """Return what happens to the tickets within that many seconds."""
    locker, membership, invoice, pause = (ticket.id for ticket in tickets)
    story: Story = [
        (0.5, lambda desk: desk.customer_reply(locker, "Any news? My training is at six.")),
        (1.5, lambda desk: desk.agent_reply(locker, _ANSWER, html=True)),
        (
            2.3,
            lambda desk: desk.customer_reply(
                membership, "See the offer attached.", author="Mehmet Member", files=_FILES
            ),
        ),
        (3.0, lambda desk: desk.internal_note(locker, "The third battery this month. Tell the caretaker.")),
        (4.0, lambda _: sandbox.plan(refusal(503))),
        (4.1, lambda desk: desk.agent_reply(invoice, "We are looking into it.", author="Ada Agent")),
        (5.5, lambda desk: desk.customer_reply(locker, "It opens now. Thank you!")),
        (7.0, lambda desk: desk.set_status(locker, "closed")),
        (7.5, lambda desk: desk.agent_reply(membership, _PRICES, author="Ada Agent", html=True)),
        (8.3, lambda desk: desk.automatic_reply(membership, "How did we do? Rate us with one to five stars.")),
        (9.0, lambda desk: desk.internal_note(invoice, "Refund is approved by accounting.", author="Ada Agent")),
        (9.6, lambda desk: desk.customer_reply(pause, "From June on, please.", author="Paul Pause")),
        (9.7, lambda desk: desk.customer_reply(pause, "I mean July.", author="Paul Pause")),
        (11.0, lambda desk: desk.customer_reply(locker, "It is stuck again.")),
        (12.0, lambda desk: desk.agent_reply(pause, "Your membership rests in July and August.")),
        (13.0, lambda desk: desk.agent_reply(invoice, "You get the money back this week.", author="Ada Agent")),
        (13.0, lambda desk: desk.set_status(invoice, "closed")),
        (14.5, lambda desk: desk.set_status(pause, "closed")),
    ]
    return [(at * seconds / STORY_SECONDS, action) for at, action in story]


_FILES = (DeskFile("offer of the other studio.pdf", 184_320),)
