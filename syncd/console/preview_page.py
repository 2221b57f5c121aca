"""What `syncd preview` shows: each communication as it would leave, or why it does not; nothing of internal notes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from syncd.console.output import Shown, counted, say, shown


@dataclass(frozen=True, slots=True)
class Item:
    """One reply or status note of a ticket in one thread.

    `body` is what a PUT to `path` would carry; None where nothing would be sent. `what` says which of it is the case,
    and why. `link_id` is None for a ticket that is not linked; `path` then has names in the place of ids.
    """

    system: str
    ticket_number: str | None
    link_id: int | None
    api: str | None
    path: str
    kind: str
    reply_id: str | None
    at: datetime
    what: str
    body: Mapping[str, str] | None = None
    delivery_id: int | None = None

    def value(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "system": self.system,
            "ticket_number": self.ticket_number,
            "link_id": self.link_id,
            "api": self.api,
            "path": self.path,
            "kind": self.kind,
            "reply_id": self.reply_id,
            "delivery_id": self.delivery_id,
            "at": self.at,
            "what": self.what,
            "body": self.body,
        }


def print_items(items: Sequence[Item], notes: Sequence[str], show: Shown) -> None:
    """Write every item, then what there is to say about them all."""
    for item in items:
        name = f"reply {item.reply_id}" if item.kind == "reply" else item.kind.replace("_", " ")
        if item.kind == "correction":
            name = f"correction of reply {item.reply_id}"
        delivery = "" if item.delivery_id is None else f" (delivery {item.delivery_id})"
        say(f"{item.system} {item.ticket_number}, {name} of {show.cell(item.at)}{delivery}: {item.what}")
        if item.body is not None:
            say(f"  PUT {item.path}  to api {item.api or '(none: no link)'}")
            for line in json.dumps(item.body, ensure_ascii=False, indent=2).split("\n"):
                print(f"  {shown(line)}")
        say()
    for note in notes:
        say(note)
    would = sum(1 for item in items if item.body is not None)
    say(f"{counted(would, 'communication')} would be sent. Nothing was.")
