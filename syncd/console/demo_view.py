"""What `syncd demo` shows: a live table on a terminal, one line per event anywhere else, and the proof at the end."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from syncd.console.output import say, shown
from syncd.testing.balance import Balance, Watched, is_note, key_of
from syncd.testing.helpdesk_records import DeskReply
from syncd.testing.sandbox import Received, Sandbox

if TYPE_CHECKING:  # a tenth of a second that only a terminal needs
    from rich.live import Live
    from rich.table import Table

LONGEST_TEXT = 44
COLUMNS = (("Time", 8), ("Ticket", 6), ("Who", 14), ("At the helpdesk", None), ("At the Open API", 28))
_TAG = re.compile("<[^>]*>")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that happened at the helpdesk, and what the API has of it. `arrived` is empty until it has."""

    at: datetime
    ticket: str
    who: str
    text: str
    arrived: str = ""


class View:
    """Shows rows as they come. Use it with `with`, and call `show` now and then."""

    def __init__(self, watched: Sequence[Watched], api: Sandbox, note_texts: Sequence[str]) -> None:
        self._watched = watched
        self._api = api
        self._note_texts = note_texts
        self._told: set[tuple[datetime, str, str, bool]] = set()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            from rich.live import Live  # noqa: PLC0415 - see above

            self._live = Live(self._table(), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.show()
        if self._live is not None:
            self._live.stop()

    def show(self) -> None:
        """Show what has happened since the last time."""
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            return
        for row in self._rows():
            self._tell(row)

    def _tell(self, row: Row) -> None:
        for done, text in ((False, f"{row.who} wrote: {row.text}"), (True, row.arrived)):
            mark = (row.at, row.ticket, row.who, done)
            if text and mark not in self._told:
                self._told.add(mark)
                say(f"{row.at.astimezone():%H:%M:%S}  {row.ticket}  {'-> ' if done else ''}{text}")
                sys.stdout.flush()

    def _rows(self) -> list[Row]:
        rows = [row for one in self._watched for row in _rows_of(one, self._api.communications)]
        rows += _note_rows(self._watched, self._api.communications, self._note_texts)
        return sorted(rows, key=lambda row: row.at)

    def _table(self) -> "Table":
        from rich import box  # noqa: PLC0415 - see above
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        for name, width in COLUMNS:  # a line each, so that the story fits a screen
            table.add_column(name, no_wrap=True, overflow="ellipsis", width=width, ratio=None if width else 1)
        for row in self._rows():
            cells = (f"{row.at.astimezone():%H:%M:%S}", row.ticket, row.who, row.text, row.arrived or "...")
            table.add_row(*(Text(shown(cell)) for cell in cells))
        return table


def _rows_of(one: Watched, communications: Sequence[Received]) -> Iterator[Row]:
    for reply in one.ticket.replies:
        if reply.created_at < one.from_at:
            continue
        arrived = (
            [] if not one.may_leave(reply) else [found for found in communications if key_of(found) == one.key(reply)]
        )
        yield Row(
            reply.created_at,
            one.ticket.number,
            reply.author,
            _excerpt(reply),
            _fate(one.may_leave(reply), reply, arrived),
        )


def _excerpt(reply: DeskReply) -> str:
    html = reply.format == "html"
    words = (_TAG.sub(" ", reply.text) if html else reply.text).split()
    text = " ".join(["[HTML]", *words] if html else words)
    cut = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."
    return f"{cut} [{', '.join(file.name for file in reply.files)}]" if reply.files else cut


def _fate(may_leave: bool, reply: DeskReply, arrived: Sequence[Received]) -> str:
    if not may_leave:
        return "stays: an internal note" if not reply.public else "stays: an automatic message"
    if not arrived:
        return ""
    seconds = (arrived[0].received_at - reply.created_at).total_seconds()
    numbers = ", ".join(str(found.communication_id) for found in arrived)
    return f"added as {numbers} after {seconds:.1f} s, {arrived[-1].body['communicationThreadStatus']}"


def _note_rows(
    watched: Sequence[Watched], communications: Sequence[Received], note_texts: Sequence[str]
) -> Iterator[Row]:
    tickets = {(one.customer_id, one.thread_id): one.ticket.number for one in watched}
    for found in communications:
        if is_note(found, note_texts):
            status = found.body["communicationThreadStatus"]
            told = f"added as {found.communication_id}, {status}"
            number = tickets.get((found.customer_id, found.thread_id), "?")
            yield Row(key_of(found)[2], number, "(status)", found.body["content"], told)


def print_proof(balance: Balance) -> None:
    """Write what was counted at both ends."""
    say()
    say("Counted from both ends, the helpdesk's tickets against what the API has added:")
    lines = (
        ("seen", balance.seen, "messages at the helpdesk since the links began"),
        ("delivered", balance.delivered, f"of {balance.due} that are for the customer's thread"),
        ("withheld", balance.withheld, "internal notes; none may leave"),
        ("skipped", balance.automatic, "automatic messages of the helpdesk itself"),
        ("status notes", balance.status_notes, "for tickets whose status changed with no message to carry it"),
        ("lost", len(balance.lost), ""),
        ("twice", len(balance.twice), ""),
        ("leaked", len(balance.leaked), "internal or automatic texts found anywhere at the API"),
        ("strangers", len(balance.strangers), "communications that no message explains"),
        ("behind", len(balance.behind), "threads told another status than their ticket has"),
    )
    for name, count, text in lines:
        say(f"  {name:<13}{count:>4}  {text}".rstrip())
    say()
    say("It adds up." if balance.adds_up else "It does NOT add up.")
