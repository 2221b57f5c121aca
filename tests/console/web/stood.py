"""What stands in a database when a page is looked at: links, deliveries, attempts; and forms that are filled in."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import insert, update

from syncd.model.communication import Thread, ThreadStatus
from syncd.model.link import Link, NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.store import link_changes, links, lists
from syncd.store.database import Connection
from syncd.store.lists import DeliveryInFull
from syncd.store.settling import settle
from syncd.store.tables import attempt, delivery, link
from tests.console.web.conftest import TOKEN, Answered, Served

WHO = "anna"


class Stood:
    """Puts things into the database of a server, and asks it as a person does."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.now = served.clock.now()
        self._threads = 500

    async def link(self, *, api: str = "berlin", system: str = "desk", number: str = "HD-1") -> int:
        """Register a link whose ticket was found; return its id."""
        self._threads += 1
        new = NewLink(Thread(api, 7, self._threads), system, TicketRef(number=number), self.now)

        def write(connection: Connection) -> int:
            link_id = links.add(connection, new, self.now).link_id
            ticket = Ticket(id=f"id-{link_id}", number=number, subject="Locker")
            link_changes.resolve(connection, link_id, ticket, ThreadStatus.ONGOING, self.now)
            connection.execute(update(link).where(link.c.id == link_id).values(collect_due_at=None))
            return link_id

        return await self.served.database.write(write)

    async def deliver(self, link_id: int, state: str, *, ago: float = 60.0, **more: Any) -> int:
        """Put a delivery there that has stood like that for some seconds; return its id."""
        (made,) = await self.deliver_all(link_id, state, [ago], **more)
        return made

    async def deliver_all(self, link_id: int, state: str, agos: list[float], **more: Any) -> list[int]:
        """Put deliveries of one link there, each since so many seconds; return their ids."""

        def write(connection: Connection) -> list[int]:
            found = links.find(connection, link_id)
            assert found is not None
            made = [
                int(connection.execute(insert(delivery).values(values | more).returning(delivery.c.id)).scalar_one())
                for values in (self._values(found, state, ago, number) for number, ago in enumerate(agos))
            ]
            settle(connection, found.thread_key)
            return made

        return await self.served.database.write(write)

    def _values(self, found: Link, state: str, ago: float, number: int) -> dict[str, Any]:
        at = self.now - timedelta(seconds=ago)
        return {
            "thread_key": found.thread_key,
            "link_id": found.id,
            "system": found.system,
            "kind": "reply",
            "lane": "0_live",
            "state": state,
            "version": 1,
            "reply_id": f"reply {found.id} {ago} {number}",
            "ticket_number": found.ticket_name,
            "subject": "Locker",
            "content": "It does not open.",
            "direction": "INCOMING",
            "channel": "EMAIL",
            "occurred_at": at,
            "created_at": at,
            "read_at": at,
            "due_at": at,
            "ended_at": None if state in {"pending", "sending"} else at,
            "attempts": 0,
            "failures": 0,
            "doubts": 0,
            "manual": False,
        }

    async def attempt(self, delivery_id: int, outcome: str | None, *, ago: float = 60.0, **more: Any) -> None:
        """Put an attempt of a delivery there, some seconds ago."""
        values = {
            "delivery_id": delivery_id,
            "number": 1,
            "reason": "schedule",
            "worker": "w",
            "status_carried": "ONGOING",
            "started_at": self.now - timedelta(seconds=ago),
            "outcome": outcome,
            "reached": "writing",
        }
        await self.served.database.write(lambda c: c.execute(insert(attempt).values(values | more)))

    async def in_doubt(self, link_id: int, *, ago: float = 60.0, **more: Any) -> int:
        """Put a delivery there to which no answer came; return its id."""
        made = await self.deliver(link_id, "in_doubt", ago=ago, reason="no answer within 30 s", **more)
        await self.attempt(made, "in_doubt", ago=ago, error_text="sent, but not answered: no answer within 30 s")
        return made

    async def in_full(self, delivery_id: int) -> DeliveryInFull:
        """Return a delivery in full."""
        found = await self.served.database.read(lambda c: lists.find_delivery(c, delivery_id))
        assert found is not None
        return found

    async def state_of(self, delivery_id: int) -> str:
        """Return the state of a delivery."""
        return (await self.in_full(delivery_id)).item.state

    async def get(self, path: str, *, status: int = 200) -> "Page":
        """Look at a page as somebody who has logged in."""
        answered = await self.served.get(path, headers={"X-Syncd-Who": WHO, "Accept": "text/html"})
        assert answered.status == status, answered.text
        return read_page(answered.text)

    async def post(self, path: str, fields: list[tuple[str, str]], *, token: str | None = TOKEN) -> Answered:
        """Send a form."""
        headers = {"X-Syncd-Who": WHO, "Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
        return await self.served.ask("POST", path, data=urlencode(fields).encode(), token=token, headers=headers)

    async def send(self, path: str, page: "Page", **filled: str) -> Answered:
        """Send the only form of a page that is posted, its hidden fields as they are and the others filled in."""
        return await self.post(path, [*page.hidden, *filled.items()])

    async def note(self, answered: Answered) -> str:
        """Follow the way back after something was done; return what the page there says about it."""
        assert answered.status == 303, answered.text
        return (await self.get(answered.headers["Location"])).note


@dataclass
class Page(HTMLParser):
    """A page: its text as a reader sees it, its links, and the hidden fields of the form that is posted."""

    html: str = ""
    text: str = ""
    note: str = ""
    links: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    hidden: list[tuple[str, str]] = field(default_factory=list)
    _posts: bool = False
    _in_note: bool = False

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what is asked for in tests."""
        given = dict(attrs)
        self.tags.append((tag, given))
        self._in_note = given.get("id") == "note"
        if tag == "form":
            self._posts = given.get("method") == "post" and given.get("action") != "/logout"
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag == "input" and given.get("type") == "hidden" and self._posts:
            self.hidden.append((str(given["name"]), str(given["value"])))

    def handle_endtag(self, tag: str) -> None:
        """End the note with its paragraph."""
        self._in_note = self._in_note and tag != "p"

    def handle_data(self, data: str) -> None:
        """Take the text, its white space as a reader sees it."""
        if self._in_note:
            self.note += data
        self.text = " ".join(f"{self.text} {data}".split())


def read_page(html: str) -> Page:
    """Return a page as it was answered."""
    page = Page(html)
    page.feed(html)
    return page


def hour_of(instant: datetime) -> datetime:
    """Return when the hour of an instant began."""
    return instant.replace(minute=0, second=0, microsecond=0)
