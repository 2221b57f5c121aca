"""When the vendor showed which text of a reply: what may have left, told by the reply's own text."""

import re
from dataclasses import dataclass, field

from syncd.testing.helpdesk import DeskReply

TEXT = re.compile(r"reply (\d+) (?:version (\d+)|by hand \d+) end")


def text_of(reply_id: str, version: int) -> str:
    """Return the text that a reply has in a version."""
    return f"reply {reply_id} version {version} end"


def read_text(content: str) -> tuple[str, int | None] | None:
    """Return which reply a text is of and its version (None: a person wrote it); None if it is of no reply."""
    match = TEXT.fullmatch(content)
    return None if match is None else (match[1], None if match[2] is None else int(match[2]))


@dataclass
class Diary:
    """The history of each reply: since which moment of elapsed time it is public or not, and in which version."""

    entries: dict[str, list[tuple[float, bool, int]]] = field(default_factory=dict)

    def note(self, reply: DeskReply, elapsed: float, *, there: bool = True) -> None:
        """Write down how a reply is from now on."""
        parsed = read_text(reply.text)
        version = self.version(reply.id) if parsed is None or parsed[1] is None else parsed[1]
        public = there and reply.public and not reply.redacted and reply.author_kind != "system"
        self.entries.setdefault(reply.id, []).append((elapsed, public, version))

    def version(self, reply_id: str) -> int:
        """Return the newest version of a reply."""
        return max((entry[2] for entry in self.entries.get(reply_id, [])), default=0)

    def was_shown(self, reply_id: str, version: int | None, since: float) -> bool:
        """Say whether the customer could see a reply in this version at any moment since then."""
        history = self.entries.get(reply_id, [])
        for number, (_, public, shown) in enumerate(history):
            until = history[number + 1][0] if number + 1 < len(history) else float("inf")
            if public and until >= since and version in {None, shown}:
                return True
        return False

    def is_shown_since(self, reply_id: str, since: float) -> bool:
        """Say whether a reply was public all the time from then on."""
        history = self.entries.get(reply_id, [])
        later = [public for _, public, _ in history[1:]]
        begun = [public for at, public, _ in history if at <= since]
        return bool(begun) and begun[-1] and all(later or [True])

    def hidings(self, reply_id: str) -> int:
        """Return how often a reply was hidden again."""
        return sum(1 for _, public, _ in self.entries.get(reply_id, []) if not public)
