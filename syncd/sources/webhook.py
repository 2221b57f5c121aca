"""A vendor's webhook: proof that it is the vendor's, and which tickets it is about. Pure: the time is given.

A webhook hastens the reading of a ticket, and does nothing else: no text of it is ever used, logged or kept.
An adapter that has one declares a `Webhook`, of a proof (webhook_proofs.py) and of a reader (webhook_bodies.py).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import SecretStr

from syncd.model.errors import SyncdError, UnexpectedAnswer

MOST_TICKETS = 1000
LONGEST_NUMBER = 200
NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


class Forged(SyncdError):
    """Nobody who knows the secret has sent this, or too long ago; the message says which proof is missing."""


class Unreadable(SyncdError):
    """It is genuine, and does not say which ticket it is about; the message holds nothing of it."""


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A webhook as it came: `addresses` are those under which it may have been called, where a vendor signs that.

    The names in `headers` are in small letters.
    """

    method: str
    addresses: tuple[str, ...] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return a header, by its name in any case; nothing if it is not there."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Named:
    """The tickets that a webhook is about, by the vendor's stable key, or by what people quote."""

    ids: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()


class Proof(Protocol):
    """How a webhook shows that it is the vendor's."""

    @property
    def is_signature(self) -> bool:
        """Say whether the vendor signs the body; otherwise the webhook carries the secret itself."""
        ...

    def verify(self, request: HookRequest, secret: SecretStr, now: datetime) -> None:
        """Look at the proof.

        Raises:
            Forged: it is missing, wrong, or too old.
        """
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """The webhooks of one kind of ticketing system.

    `ticket` is what an id looks like as a whole; with a group, that group is the id. `challenge_header` names a header
    whose value the vendor wants to have back when the address is set up. `accepted` is the status that it wants.
    """

    proof: Proof
    read: Callable[[HookRequest], Named]
    ticket: re.Pattern[str]
    challenge_header: str = ""
    accepted: int = 202

    def verify_and_read(self, request: HookRequest, secret: SecretStr, now: datetime) -> Named:
        """Return the tickets that a webhook is about; none if it is about something else.

        Raises:
            Forged: it is not the vendor's.
            Unreadable: it is, and cannot be understood.
        """
        self.proof.verify(request, secret, now)
        try:
            named = self.read(request)
        except UnexpectedAnswer as error:
            raise Unreadable(str(error)) from None
        if len(named.ids) + len(named.numbers) > MOST_TICKETS:
            raise Unreadable(f"the body names more than {MOST_TICKETS} tickets")
        return Named(frozenset(map(self._id_in, named.ids)), frozenset(map(_number_in, named.numbers)))

    def _id_in(self, text: str) -> str:
        found = self.ticket.fullmatch(text)
        if found is None:
            raise Unreadable("what the body names is no id of a ticket of this system")
        return str(found[found.lastindex or 0])


def _number_in(text: str) -> str:
    if len(text) > LONGEST_NUMBER or NOT_PRINTABLE.search(text):
        raise Unreadable("what the body names is no number of a ticket")
    return text
