"""Why a delivery is not delivered: one cause, what else stands in its way, and what would help. Pure.

The causes stand in the order in which they stop a delivery: what holds its thread, then what holds its api, then its
own turn. The first one is the answer; the others are told too, so that mending one does not only uncover the next.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from syncd.model.delivery import STALE_AFTER, DeliveryKind, DeliveryState, Lane
from syncd.model.health import PauseCause
from syncd.model.link import Cause, Link, LinkState
from syncd.model.policy import Mode, Order
from syncd.store.cases import MOST_BEFORE, DeliveryCase, DeliverySeen
from syncd.store.floods import FLOOD, HELD_REASON
from syncd.sync.explanation import (
    PAUSES,
    STUCK_AFTER,
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

OVERDUE = timedelta(minutes=5)
"""What has been due for so long, with nothing before it, does not go out for a reason that no row tells."""


def explain(case: DeliveryCase, given: Circumstances) -> Explanation:
    """Return why a delivery stands where it stands."""
    seen, tell = case.delivery, teller(case.at, given.zone)
    about, facts = f"delivery {seen.id}", list(_facts(case))
    if seen.state is DeliveryState.DELIVERED:
        return Explanation(about, _delivered(seen, tell(seen.since_at)), present(facts), (), needs_person=False)
    if seen.state is DeliveryState.SKIPPED:
        why = seen.full.item.reason or "no reason was noted"
        sentence = f"not sent, deliberately: skipped at {tell(seen.since_at)}: {why}"
        return Explanation(about, sentence, present(facts), (), needs_person=False)
    found = explanation(about, "not delivered: ", hindrances(case, given), facts)
    if found is None:
        raise AssertionError("a delivery that waits waits for something")
    return found


def hindrances(case: DeliveryCase, given: Circumstances) -> Iterator[Hindrance]:
    """Yield all that keeps a delivery from being delivered, the first cause first."""
    seen = case.delivery
    if seen.state is not DeliveryState.PENDING:
        yield _standing(seen, given, case.at)
        if seen.state is DeliveryState.SENDING and (nobody := no_worker(given, case.muster, f"api:{_api(case)}")):
            yield nobody
        return
    held = [check(case, given) for check in (_suspended, _behind_sending, _behind_standing)]
    yield from (one for one in held if one is not None)
    behind = "" if case.front.id == seen.id else f"waits behind delivery {case.front.id}: "
    checks = (_refused, _api_gone, _paused, _unreleased, _throttled, _restored, _nobody, _ticket_unread)
    stopped = [one for check in checks if (one := check(case, given)) is not None]
    if not stopped and not any(held):
        stopped = [_turn(case, given)]
    for one in stopped:
        yield Hindrance(f"{behind}{one.words}", one.commands, one.needs_person)


def _standing(seen: DeliverySeen, given: Circumstances, now: datetime) -> Hindrance:
    """Say what a delivery that is in doubt, parked or on the wire stands for."""
    since, item = teller(now, given.zone)(seen.since_at), seen.full.item
    if seen.state is DeliveryState.SENDING:
        return Hindrance(f"on the wire since {since}", needs_person=now - seen.since_at >= STUCK_AFTER)
    show = command("deliveries", "show", seen.id)
    if seen.state is DeliveryState.IN_DOUBT:
        because = given.because.get(seen.id) or item.reason or "nothing was noted about it"
        return Hindrance(f"in doubt since {since}: {because}", (show, *_resolving(seen.id)))
    if item.reason == HELD_REASON:
        words = f"held by the flood guard since {since}, until the sweep of {item.system} has ended"
        return Hindrance(words, needs_person=now - seen.since_at >= STUCK_AFTER)
    commands: tuple[str, ...] = (show, *_deciding(seen))
    if (item.reason or "").startswith(FLOOD):
        flood = ("--system", item.system, "--because", FLOOD.strip())
        commands += (command("deliveries", "retry", *flood, "--reason", "these are owed"),)
        commands += (command("deliveries", "skip", *flood, "--reason", "these are there already"),)
    return Hindrance(f"parked since {since}: {item.reason or 'no reason was noted'}", commands)


def _resolving(delivery_id: int) -> tuple[str, ...]:
    resolve = ("deliveries", "resolve", delivery_id)
    return (
        command(*resolve, "--delivered", "--reason", "it is in the thread"),
        command(*resolve, "--resend", "--reason", "it is not in the thread"),
    )


def _deciding(seen: DeliverySeen) -> tuple[str, ...]:
    mended = (command("deliveries", "retry", seen.id, "--reason", "mended"),) if seen.full.message is not None else ()
    return (*mended, command("deliveries", "skip", seen.id, "--reason", "not needed there"))


def suspended(link: Link) -> Hindrance:
    """Say that a link is suspended, and what goes on with it."""
    follow = (command("links", "resume", link.id, "--follow"),) if link.merged_into is not None else ()
    commands = (*follow, command("links", "resume", link.id), command("links", "remove", link.id))
    cause = (link.cause or "no cause").replace("_", " ")
    return Hindrance(f"link {link.id} is suspended ({cause}): {link.reason or 'no reason was noted'}", commands)


def _suspended(case: DeliveryCase, given: Circumstances) -> Hindrance | None:  # noqa: ARG001 - one of the checks
    link = case.link
    if link is None or link.state is not LinkState.SUSPENDED or link.cause is Cause.THREAD_REFUSED:
        return None
    return suspended(link)


def _behind_sending(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    if case.sending is None:
        return None
    one = _standing(case.sending, given, case.at)
    return Hindrance(f"waits behind delivery {case.sending.id}, {one.words}", one.commands, one.needs_person)


def _behind_standing(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    policy = given.apis.get(_api(case))
    if case.standing is None or policy is None or policy.order is not Order.STRICT:
        return None
    one = _standing(case.standing, given, case.at)
    return Hindrance(f"waits behind delivery {case.standing.id}, {one.words}", one.commands, one.needs_person)


def _refused(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    link, item = case.link, case.delivery.full.item
    if link is None or link.cause is not Cause.THREAD_REFUSED or case.retry_at is None or case.retry_at <= case.at:
        return None
    words = (
        f"the API refuses thread {item.thread_id} of customer {item.customer_id}: {link.reason}; "
        f"tried again at {teller(case.at, given.zone)(case.retry_at)}"
    )
    return Hindrance(words, (command("links", "resume", link.id),))


def _api_gone(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    api = _api(case)
    if api in given.apis:
        return None
    return Hindrance(f"api {api} is not in the settings: put [api.{api}] back", (command("check"),))


def _paused(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    state = case.api
    if state.paused_cause is None:
        return None
    since = f" since {teller(case.at, given.zone)(state.since_at)}" if state.since_at is not None else ""
    words = f"api {state.api} is paused{since}, {PAUSES[state.paused_cause]}: {state.reason}"
    if state.paused_cause is PauseCause.RESTORED:
        return Hindrance(words, (command("db", "restored", "--reason", "restored from a backup"),))
    return Hindrance(words, (command("check"), command("apis", "resume", state.api)))


def _unreleased(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    policy = given.apis.get(_api(case))
    if policy is None or policy.mode is not Mode.HOLD or case.api.released_at is not None:
        return None
    words = f'api {_api(case)} has mode = "hold" and was not released'
    return Hindrance(words, (command("deliveries", "show", case.delivery.id), command("apis", "release", _api(case))))


def _throttled(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    until = case.api.throttled_until
    if until is None or until <= case.at:
        return None
    words = f"api {_api(case)} said that it was asked too often (429) and is left alone until "
    return Hindrance(words + teller(case.at, given.zone)(until), needs_person=False)


def _restored(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    return None if case.api.paused_cause is PauseCause.RESTORED else restored(given)


def _nobody(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    return no_worker(given, case.muster, f"api:{_api(case)}")


def _ticket_unread(case: DeliveryCase, given: Circumstances) -> Hindrance | None:
    """Say whether the ticket has to be read again before the front of the thread is sent, and cannot be."""
    if case.front.full.item.reply_id is None or case.at - case.front.read_at <= STALE_AFTER:
        return None
    system = case.front.full.item.system
    why = unread(given, case.system, case.at)
    if why is None and _nobody(case, given) is None:
        why = no_worker(given, case.muster, f"system:{system}")
    if why is None:
        return None
    return Hindrance(f"its ticket has to be read again first, and {why.words}", why.commands, why.needs_person)


def _turn(case: DeliveryCase, given: Circumstances) -> Hindrance:
    """Say when a delivery that nothing stops is sent."""
    front, tell = case.front, teller(case.at, given.zone)
    due_at = front.full.item.due_at
    tries = _tries(front)
    if due_at > case.at:
        begin = f"{tries}; tried again at" if tries else "not due before"
        retry = command("deliveries", "retry", front.id, "--reason", "try it now")
        return Hindrance(f"{begin} {tell(due_at)}", (retry,), bool(tries) and _fails_long(case))
    if case.before:
        pace = given.apis[_api(case)].requests_per_minute
        count = f"{MOST_BEFORE} or more" if case.before >= MOST_BEFORE else str(case.before)
        words = f"due since {tell(due_at)}, {count} due before it at {pace:g} a minute: about "
        return Hindrance(f"{words}{ceil(case.before / pace)} min", needs_person=False)
    if case.at - due_at < OVERDUE:
        return Hindrance(f"due since {tell(due_at)}, and nothing stands before it: it goes out now", needs_person=False)
    words = f"due since {tell(due_at)}, nothing stands before it, and it was not sent: the worker's log may say why"
    return Hindrance(words, ("journalctl -u syncd -p warning --since -1h", command("status")))


def _tries(seen: DeliverySeen) -> str:
    if not seen.failures or not seen.full.attempts:
        return ""
    last = seen.full.attempts[-1]
    times = "once" if seen.failures == 1 else f"{seen.failures} times"
    return f"tried {times} without success, last: {last.error_text or last.outcome or 'no outcome yet'}"


def _fails_long(case: DeliveryCase) -> bool:
    return case.at - case.front.full.attempts[0].started_at >= STUCK_AFTER


def _api(case: DeliveryCase) -> str:
    return case.delivery.full.item.api


def _delivered(seen: DeliverySeen, at: str) -> str:
    item = seen.full.item
    named = f" as communication {item.communication_id}" if item.communication_id is not None else ""
    by = f" ({item.reason})" if item.reason else ""
    return f"delivered at {at}{named}{by}"


def _facts(case: DeliveryCase) -> Iterator[tuple[str, Any]]:
    seen, item = case.delivery, case.delivery.full.item
    yield "delivery", f"{item.id}, {DeliveryKind(item.kind).replace('_', ' ')}, {seen.state.replace('_', ' ')}"
    yield "lane", "backfilled: live ones go first" if seen.lane is Lane.BACKFILL else None
    yield "ticket", f"{item.ticket_number or '?'} of {item.system} (link {item.link_id})"
    yield "thread", f"{item.thread_id} of customer {item.customer_id} at {item.api}"
    yield "written", item.occurred_at
    yield "queued", item.created_at
    if seen.state is DeliveryState.DELIVERED:
        yield "delivered", seen.since_at
        yield "took", max(seen.since_at - item.created_at, timedelta(0))
    if seen.state is DeliveryState.PENDING:
        yield "waited", max(case.at - item.created_at, timedelta(0))
        yield "due", item.due_at
        yield "ticket read", seen.read_at if seen.read_at.year > 1970 else "to be read again before it is sent"
    yield "attempts", item.attempts or None
    if seen.full.attempts:
        last = seen.full.attempts[-1]
        yield "last attempt", last.started_at
        yield "it came to", (last.outcome or "no outcome yet").replace("_", " ")
    yield "last success", case.api.last_success_at if seen.state is DeliveryState.PENDING else None
