"""Why replies of a linked ticket are not in its thread: those that wait, and those that nobody has read yet. Pure."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from syncd.model.collected import Disposition
from syncd.model.link import THE_START, Cause, LinkState
from syncd.store.cases import LinkCase
from syncd.sync.explain import suspended
from syncd.sync.explanation import (
    NO_WORKER,
    Circumstances,
    Explanation,
    Hindrance,
    command,
    explanation,
    no_worker,
    present,
    restored,
    teller,
    unread,
)

OVERDUE = timedelta(minutes=15)
"""A reading that has been due for so long, of a system with which nothing is wrong, is worth a look."""

_FATES = {
    Disposition.DELIVERY: "sent or on its way",
    Disposition.WITHHELD: "internal, so withheld",
    Disposition.OLDER: "older than the link's `from`",
    Disposition.AUTOMATIC: "automatic, so skipped",
    Disposition.MERGED: "from before a merge",
    Disposition.WITHDRAWN: "withdrawn before they were sent",
}


def explain_link(case: LinkCase, first: Explanation | None, given: Circumstances) -> Explanation:
    """Return why a link stands where it stands; `first` is about the first of its deliveries that has not ended."""
    about = f"link {case.link.id}"
    more = [] if first is None else [fact for fact in first.facts if fact[0] == "also"]
    found = explanation(about, "", _hindrances(case, first, given), [*more, *_facts(case, given)])
    if found is not None:
        return found
    return Explanation(
        about, _all_is_done(case, given), present(_facts(case, given)), _looking(case), needs_person=False
    )


def _hindrances(case: LinkCase, first: Explanation | None, given: Circumstances) -> Iterator[Hindrance]:
    link = case.link
    if link.state is LinkState.SUSPENDED and link.cause is not Cause.THREAD_REFUSED:
        yield suspended(link)
    if first is not None:
        rest = sum(case.open.values()) - 1
        more = "" if not rest else f" (and {rest} more of this link wait)"
        yield Hindrance(f"{first.about} is {first.sentence}{more}", first.commands, first.needs_person)
    if link.state is LinkState.REMOVED:
        yield Hindrance("the link was removed: nothing more of its ticket is sent", _relink(case), needs_person=False)
    elif link.state is LinkState.UNRESOLVED:
        yield _unresolved(case, given)
    elif link.state is LinkState.ACTIVE or link.cause is Cause.THREAD_REFUSED:
        unread_yet = _unread(case, given)
        if unread_yet is not None and not (_says(first, NO_WORKER) and unread_yet.words.endswith(NO_WORKER)):
            yield unread_yet


def _says(first: Explanation | None, words: str) -> bool:
    return first is not None and words in first.sentence


def _relink(case: LinkCase) -> tuple[str, ...]:
    link = case.link
    thread = ("--customer", link.thread.customer_id, "--thread", link.thread.thread_id)
    ticket = ("--ticket-number", link.ticket_name) if link.ref.link is None else ("--ticket-link", link.ref.link)
    return (command("links", "add", "--api", link.thread.api, *thread, "--system", link.system, *ticket),)


def _unresolved(case: LinkCase, given: Circumstances) -> Hindrance:
    link, tell = case.link, teller(case.at, given.zone)
    why = _reading(case, given)
    begin = "its ticket has not been looked up yet"
    if why is not None:
        return Hindrance(f"{begin}: {why.words}", why.commands, why.needs_person)
    commands = (command("poll", "--system", link.system, "--ticket", link.ref),)
    if link.failures:
        times = "once" if link.failures == 1 else f"{link.failures} times"
        again = f"; tried again at {tell(link.collect_due_at)}" if link.collect_due_at is not None else ""
        return Hindrance(f"{begin}: that failed {times}{again}", (*commands, command("check")))
    overdue = case.at - (link.collect_due_at or link.registered_at) >= OVERDUE
    return Hindrance(f"{begin}: the next sweep of {link.system} does it", commands, overdue)


def _unread(case: LinkCase, given: Circumstances) -> Hindrance | None:
    """Say why replies of a ticket that is followed may not have been read yet."""
    link, tell = case.link, teller(case.at, given.zone)
    why = _reading(case, given)
    if why is not None:
        return Hindrance(f"what is new of its ticket is not read: {why.words}", why.commands, why.needs_person)
    commands = (command("poll", "--system", link.system, "--ticket", link.ticket_name),)
    due_at = link.collect_due_at
    if link.failures and due_at is not None:
        times = "once" if link.failures == 1 else f"{link.failures} times"
        words = f"its ticket could not be read, {times} in a row; tried again at {tell(due_at)}"
        return Hindrance(words, commands)
    if link.collected_at is None:
        overdue = case.at - (due_at or link.registered_at) >= OVERDUE
        return Hindrance(
            f"its ticket has not been read yet: the next sweep of {link.system} does it", commands, overdue
        )
    return None


def _reading(case: LinkCase, given: Circumstances) -> Hindrance | None:
    return (
        unread(given, case.system, case.at)
        or restored(given)
        or no_worker(given, case.muster, f"system:{case.link.system}")
    )


def _all_is_done(case: LinkCase, given: Circumstances) -> str:
    tell, last, link = teller(case.at, given.zone), case.last_delivered, case.link
    if last is not None:
        number = last.full.item.communication_id
        named = f", communication {number}" if number is not None else f", delivery {last.id}"
        return f"everything that is known of it is delivered; last at {tell(last.since_at)}{named}"
    if case.dispositions.get(Disposition.DELIVERY.value):
        return "nothing of it waits: all that was to be sent has ended"
    if not case.dispositions:
        return f"no reply of its ticket is known; it was read at {tell(link.collected_at or link.registered_at)}"
    return f"none of its replies is to be sent: {_fates(case)}"


def _fates(case: LinkCase) -> str:
    return ", ".join(f"{count} {_FATES[Disposition(name)]}" for name, count in sorted(case.dispositions.items()))


def _looking(case: LinkCase) -> tuple[str, ...]:
    """Return what shows whether a reply that somebody misses is there, and why it stays here."""
    link = case.link
    named = ("--system", link.system, "--ticket", link.ticket_name)
    older = (command("backfill", *named, "--dry-run"),) if case.dispositions.get(Disposition.OLDER.value) else ()
    return (command("poll", *named), *older, command("audit", "--system", link.system))


def _facts(case: LinkCase, given: Circumstances) -> Iterator[tuple[str, Any]]:
    link, policy = case.link, given.systems.get(case.link.system)
    yield "link", f"{link.id}, {link.state}"
    yield "ticket", f"{link.ticket_name} of {link.system}"
    yield "thread", f"{link.thread.thread_id} of customer {link.thread.customer_id} at {link.thread.api}"
    yield "registered", link.registered_at
    yield "from", "the start" if link.from_at == THE_START else link.from_at
    yield "not delivered", ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(case.open.items()))
    yield "its replies", _fates(case)
    yield "newest reply", link.newest_reply_at
    yield "ticket read", link.collected_at
    yield "next reading", link.collect_due_at
    yield "last sweep", case.system.last_success_at
    if policy is not None and case.system.last_success_at is not None and case.system.paused_by is None:
        yield "next sweep", case.system.last_success_at + timedelta(seconds=policy.poll_seconds)
    if case.last_delivered is not None:
        yield "last delivered", case.last_delivered.since_at
