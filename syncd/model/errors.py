"""Failures, named by what to do next. A message says what is wrong, where, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.model.ticket import Unavailable


class SyncdError(Exception):
    """What an operator reads instead of a traceback; never holds message contents or secrets."""

    exit_code = 1


class RetryLater(SyncdError):
    """The ticketing system cannot answer now; `wait_seconds` is what it asked for, if it said so."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class PauseSystem(SyncdError):
    """Nothing will work until a person mends credentials, permissions or the address."""


class TicketUnavailable(SyncdError):
    """One ticket cannot be followed; the others go on."""

    def __init__(self, unavailable: Unavailable) -> None:
        super().__init__(str(unavailable))
        self.unavailable = unavailable


class InvalidTicketRef(SyncdError):
    """A ticket number or link that this system cannot have; nothing was asked of the vendor."""

    exit_code = 2


class UnexpectedAnswer(SyncdError):
    """A system answered what its documentation does not allow; it fails its ticket, never the sweep."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake with its place, such as `systems.support.poll_seconds`."""

    place: str
    message: str

    def __str__(self) -> str:
        """Say place and mistake on one line."""
        return f"{self.place}: {self.message}" if self.place else self.message


class SettingsError(SyncdError):
    """Every mistake in the settings, in one go."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UsageError(SyncdError):
    """A command was asked for something that makes no sense; nothing was changed."""

    exit_code = 2


class Missing(UsageError):
    """What was asked about is not there."""


class Conflict(UsageError):
    """What was asked for does not fit to how things stand; nothing was changed."""


class StoreError(SyncdError):
    """The database cannot be used as it is: too new, locked by another worker, restored, unreachable."""
