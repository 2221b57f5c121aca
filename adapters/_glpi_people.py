"""Who takes part in a ticket of GLPI, and on which side: pure.

GLPI does not say who is a customer: the actors of a ticket do, as far as they are users of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters._glpi_records import NOBODY, Item, find_id, parse_text
from syncd.model.ticket import AuthorKind
from syncd.sources.records import Record

REQUESTER, ASSIGNED, OBSERVER = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Actors:
    """Who takes part in a ticket: ids of users. `has_stranger` says that an address without a user requests it."""

    requesters: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()
    observers: frozenset[str] = frozenset()
    has_stranger: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """What those are whom a ticket's actors leave open."""

    observers: AuthorKind
    others: AuthorKind

    def kind_of_opener(self, opener_id: str, actors: Actors) -> AuthorKind:
        """Return whose the first message is: the requester's, even if an agent typed it in."""
        if actors.has_stranger or actors.requesters - actors.assigned - {NOBODY}:
            return AuthorKind.CUSTOMER
        return self.kind_of_user(opener_id, actors)

    def kind_of(self, item: Item, actors: Actors) -> AuthorKind:
        """Return what the writer of an item is. Mail of somebody without a user is a customer's."""
        if item.writer_id is None:
            return AuthorKind.UNKNOWN
        if item.writer_id == NOBODY:
            return AuthorKind.CUSTOMER if item.is_mail_perhaps else AuthorKind.AGENT
        return self.kind_of_user(item.writer_id, actors)

    def kind_of_user(self, user_id: str, actors: Actors) -> AuthorKind:
        """Return what a user is on a ticket. Who is assigned is an agent, even on a ticket of their own."""
        if user_id in actors.assigned:
            return AuthorKind.AGENT
        if user_id == NOBODY or user_id in actors.requesters:
            return AuthorKind.CUSTOMER
        return self.observers if user_id in actors.observers else self.others


def parse_actors(records: Sequence[Record]) -> Actors:
    """Return the actors of a ticket from the rows of its users; user 0 with an address is a stranger."""
    found: dict[int, set[str]] = {REQUESTER: set(), ASSIGNED: set(), OBSERVER: set()}
    has_stranger = False
    for record in records:
        role, user = record.get_int("type"), find_id(record, "users_id") or NOBODY
        has_stranger = has_stranger or (role == REQUESTER and user == NOBODY)
        found.setdefault(role, set()).add(user)
    requesters, assigned, observers = (frozenset(found[one] - {NOBODY}) for one in (REQUESTER, ASSIGNED, OBSERVER))
    return Actors(requesters, assigned, observers, has_stranger)


def parse_name(record: Record) -> str | None:
    """Return the name of a user, or the login of one who has none."""
    names = (record.find_text("firstname"), record.find_text("realname"))
    full = " ".join(parse_text(name).strip() for name in names if name and name.strip())
    return full or record.find_text("name")
