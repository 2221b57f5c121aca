"""One decision about many deliveries: said first, with a count, then asked, then made piece by piece."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import typer

from syncd.console.context import CommandContext, parse_instant
from syncd.console.output import Shown, counted, notice, say
from syncd.model.delivery import DeliveryState
from syncd.model.errors import StoreError, SyncdError, UsageError
from syncd.store.chosen import CHOSEN_AT_ONCE, Choice, Chosen, Decide, Decided, decide_chosen, find_chosen
from syncd.store.standing import Decision

LONGEST_REASON = 60
MOST_REASONS = 12
MOST_IDS = 20


@dataclass(frozen=True, slots=True)
class Filters:
    """Which deliveries a command is about, as they were typed."""

    api: str | None = None
    system: str | None = None
    since: str | None = None
    until: str | None = None
    because: str | None = None

    def __bool__(self) -> bool:
        """Say whether anything was typed."""
        return any(value is not None for value in (self.api, self.system, self.since, self.until, self.because))

    def choice(self, context: CommandContext, state: DeliveryState) -> Choice:
        """Return them as values.

        Raises:
            UsageError: they are about no api and no system, or an instant or name cannot be what was meant.
        """
        if self.api is None and self.system is None:
            raise UsageError("say --api or --system (or both), so that no more is decided than was looked at")
        if self.because == "":
            raise UsageError("--because needs the beginning of the reason that `syncd deliveries list` shows")
        since, until = (_instant(context, text) for text in (self.since, self.until))
        if since is not None and until is not None and since > until:
            raise UsageError("--since is after --until, so there is nothing between them")
        return Choice(state, self.api, self.system, since, until, self.because)


def _instant(context: CommandContext, text: str | None) -> datetime | None:
    if text is None:
        return None
    instant, assumed = parse_instant(text, context.zone)
    if assumed:
        notice(f"{text} has no time zone; it is taken as a time of {context.zone.key}")
    return instant


@dataclass(frozen=True, slots=True)
class Bulk:
    """One decision about many: `question` is asked, `done` is said of those that were decided.

    `needs_text`: those without one cannot be sent, and are left alone.
    """

    choice: Choice
    decide: Decide
    question: str
    done: str
    needs_text: bool = False


async def decide_many(context: CommandContext, bulk: Bulk, by: Decision, *, yes: bool) -> bool:
    """Say what a decision is about, ask, and make it; return whether all that was chosen is settled.

    Raises:
        UsageError: nobody can be asked.
        SyncdError: the answer was no, or the database failed; what was decided until then stays.
    """
    found = await context.database.read(lambda c: find_chosen(c, bulk.choice))
    if not found:
        say(f"nothing is {bulk.choice.state.value} there")
        return True
    _preview(found, Shown(context.zone))
    chosen = [one for one in found if one.has_text or not bulk.needs_text]
    textless = len(found) - len(chosen)
    if textless:
        say(f"{counted(textless, 'delivery')} of them have no text and cannot be sent; they are left alone")
    if not chosen:
        return False
    confirm(f"{bulk.question} {counted(len(chosen), 'delivery')}?", yes=yes)
    decided = await _decide_all(context, bulk.decide, chosen, by)
    say(f"{bulk.done}: {counted(len(decided.ids), 'delivery')}{_named(decided.ids)}")
    if decided.changed:
        say(f"{counted(decided.changed, 'delivery')} changed meanwhile and were left alone")
    return not textless


def _preview(found: Sequence[Chosen], shown: Shown) -> None:
    threads = len({one.thread_key for one in found})
    apis = ", ".join(sorted({one.api for one in found}))
    say(f"{counted(len(found), 'delivery')} in {counted(threads, 'thread')} at {apis}")
    times = [one.since for one in found if one.since is not None]
    if times:
        say(f"the oldest since {shown.cell(min(times))}, the newest since {shown.cell(max(times))}")
    reasons = Counter((one.reason or "")[:LONGEST_REASON] for one in found).most_common()
    rows = [(number, reason) for reason, number in reasons[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        rows.append((sum(number for _, number in reasons[MOST_REASONS:]), "(other reasons)"))
    shown.table(("deliveries", "reason"), rows)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be taken back.

    Raises:
        UsageError: nobody can be asked, and `--yes` was not said.
        SyncdError: the answer was no.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("nothing was changed: nobody can be asked here; say --yes to go on")
    if not typer.confirm(question, default=False, err=True):
        raise SyncdError("nothing was changed")


async def _decide_all(context: CommandContext, decide: Decide, chosen: Sequence[Chosen], by: Decision) -> Decided:
    total = Decided()
    for some in _pieces(chosen):
        try:
            one = await context.database.write(lambda c: decide_chosen(c, some, decide, by))  # noqa: B023 - awaited at once
        except StoreError as error:
            raise StoreError(
                f"{error}. {counted(len(total.ids), 'delivery')} were decided before that; the same command goes on "
                "with the others."
            ) from None
        total = Decided(total.ids + one.ids, total.changed + one.changed)
    return total


def _pieces(chosen: Sequence[Chosen]) -> Iterator[Sequence[Chosen]]:
    for start in range(0, len(chosen), CHOSEN_AT_ONCE):
        yield chosen[start : start + CHOSEN_AT_ONCE]


def _named(ids: Sequence[int]) -> str:
    if not ids or len(ids) > MOST_IDS:
        return ""
    return f" ({', '.join(map(str, sorted(ids)))})"
