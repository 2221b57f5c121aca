"""What is not well, and what is to be told of it when. Pure: instants, states and counts are handed in."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from syncd.model.alert import Alert, AlertKind, Condition, News
from syncd.model.health import ApiState, PauseCause, SystemState
from syncd.model.policy import Mode
from syncd.service.settings import Settings
from syncd.store.gauges import Standing
from syncd.store.health import PERSON

AT_ONCE = timedelta()
DATABASE_AWAY = timedelta(minutes=1)
SHORTEST_INTERVAL_SECONDS = 60.0
"""A system that is polled each second is not silent after five of them: a sweep alone may take longer."""

BUSY = timedelta(minutes=2)
"""Whoever delivered within this time is not watched for standing still, which would cost a row each time."""

AGAIN = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""After how long an alert that nobody took is sent again; the last one repeats."""

GROWN = 10
"""So many times what was told is news by itself."""


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at, as the database has it at one instant."""

    systems: Mapping[str, SystemState]
    apis: Mapping[str, ApiState]
    standing: Standing


def find_conditions(view: View, settings: Settings, now: datetime, started_at: datetime) -> list[Condition]:
    """Return what is not well; absences count from the start of this worker, before which nobody could have acted."""
    systems = [
        _system(name, view.systems.get(name, SystemState(name)), settings, now, started_at) for name in settings.systems
    ]
    apis = [_api(name, view, settings, now, started_at) for name in settings.api]
    return [*(one for one in [*systems, *apis] if one is not None), *_for_a_person(view.standing, settings)]


def _system(name: str, state: SystemState, settings: Settings, now: datetime, started_at: datetime) -> Condition | None:
    subject = f"system {name}"
    if state.paused_by == PERSON:
        text = "was paused by a person, and still is: syncd systems resume"
        return Condition(subject, AlertKind.SYSTEM_PAUSED, text, _forgotten(settings), state.since_at)
    if state.paused_by is not None:
        text = "is paused: it refuses the credentials or permissions, or its address is wrong; syncd status says why"
        return Condition(subject, AlertKind.SYSTEM_PAUSED, text, AT_ONCE, state.since_at)
    seconds = max(settings.systems[name].poll_seconds, SHORTEST_INTERVAL_SECONDS) * settings.alerts.intervals
    after, last = timedelta(seconds=seconds), state.last_success_at
    if last is not None and abs(now - last) < after:
        return None
    text = "was not read successfully for longer than it should; syncd status says why"
    return Condition(subject, AlertKind.SYSTEM_SILENT, text, after, last, started_at)


def _api(name: str, view: View, settings: Settings, now: datetime, started_at: datetime) -> Condition | None:
    subject, state = f"api {name}", view.apis.get(name, ApiState(name))
    if state.paused_cause is PauseCause.PERSON:
        text = "was paused by a person, and still is: syncd apis resume"
        return Condition(subject, AlertKind.API_PAUSED, text, _forgotten(settings), state.since_at)
    if state.paused_cause is not None:
        text = f"is paused ({state.paused_cause.value}), and nothing is sent to it; syncd status says why"
        return Condition(subject, AlertKind.API_PAUSED, text, AT_ONCE, state.since_at)
    is_held = settings.api[name].mode is Mode.HOLD and state.released_at is None
    last = state.last_success_at
    if is_held or name not in view.standing.waiting or (last is not None and abs(now - last) < BUSY):
        return None
    text = "took no delivery though some wait for it; syncd status and syncd deliveries list say why"
    after = timedelta(minutes=settings.alerts.after_minutes)
    return Condition(
        subject, AlertKind.API_STALLED, text, after, not_before=max(_past(last, now) or started_at, started_at)
    )


def _past(instant: datetime | None, now: datetime) -> datetime | None:
    """Return an instant, None if the clock has been set back behind it since, so that it says nothing."""
    return instant if instant is not None and instant <= now else None


def _forgotten(settings: Settings) -> timedelta:
    """Return after how long a pause by a person may have been forgotten."""
    return timedelta(hours=settings.alerts.repeat_hours)


def _for_a_person(standing: Standing, settings: Settings) -> Iterator[Condition]:
    after = timedelta(minutes=settings.alerts.after_minutes)
    for kind, subject, number, text in (
        (AlertKind.IN_DOUBT, "deliveries in doubt", standing.in_doubt, "wait for a decision: syncd deliveries resolve"),
        (AlertKind.PARKED, "parked deliveries", standing.parked, "wait for a decision: syncd deliveries retry or skip"),
        (AlertKind.SUSPENDED, "suspended links", standing.suspended, "do not go on: syncd links resume or remove"),
    ):
        if number:
            yield Condition(subject, kind, text, after, number=number)


def find_own_conditions(host: str, stuck: Collection[str], *, is_database_there: bool) -> list[Condition]:
    """Return what one worker alone can see."""
    found = []
    if not is_database_there:
        text = "cannot be read or written, so nothing is read, sent or kept; is it there, and is the disk full?"
        found.append(Condition(f"database of {host}", AlertKind.DATABASE, text, DATABASE_AWAY))
    for lane in stuck:
        text = "makes no progress; the service manager will start syncd anew"
        found.append(Condition(f"lane {lane} of {host}", AlertKind.STUCK, text, AT_ONCE))
    return found


def step(
    known: Mapping[str, Alert], conditions: Collection[Condition], now: datetime, repeat: timedelta
) -> tuple[dict[str, Alert], list[Alert]]:
    """Return the alerts that stand now, and those of them that are to be sent now by whoever asks."""
    known = {subject: _not_ahead(alert, now) for subject, alert in known.items()}
    stood = {one.subject: _standing(known.get(one.subject), one, now, repeat) for one in conditions}
    for subject in known.keys() - stood.keys():
        if (left := _well(known[subject], now)) is not None:
            stood[subject] = left
    claimed = [one for _, one in sorted(stood.items()) if one.due_at is not None and one.due_at <= now]
    # Whoever sends it may die of that: from then on it is anybody's again.
    stood |= {one.subject: _claimed(one, now) for one in claimed}
    return stood, claimed


def _standing(alert: Alert | None, condition: Condition, now: datetime, repeat: timedelta) -> Alert:
    """Return an alert whose condition holds."""
    kind, text = condition.kind.value, condition.text
    if alert is None:
        alert = Alert(condition.subject, kind, text, _past(condition.since_at, now) or now)
    if alert.news is News.CLEARED:
        alert = replace(alert, news=None, due_at=None, tries=0)
    is_another = alert.kind != kind
    seen = replace(alert, kind=kind, text=text, number=condition.number, since_at=_since(alert, condition, now))
    if alert.news is not None:
        return seen
    # Of what does not go on by itself everybody is told at once, who had been told of a silence too.
    if (is_another and condition.after == AT_ONCE) or _is_news(seen, condition, now, repeat):
        return replace(seen, news=News.FIRING, due_at=now, tries=0)
    # What was told keeps its kind: two that take turns are not news each time.
    return alert if is_another and alert.told_at is not None else seen


def _since(alert: Alert, condition: Condition, now: datetime) -> datetime:
    """Return since when a condition holds; an absence that follows a pause counts from its end."""
    since_at = _past(condition.since_at, now)
    if alert.kind != condition.kind.value:
        return now if condition.not_before is not None else since_at or now
    return max(since_at or alert.since_at, alert.since_at)


def _not_ahead(alert: Alert, now: datetime) -> Alert:
    """Return an alert without instants that lie ahead: the clock has been set back, and they would hold it up."""
    told_at = None if alert.told_at is None else min(alert.told_at, now)
    due_at = None if alert.due_at is None else min(alert.due_at, now + AGAIN[-1])
    return replace(alert, since_at=min(alert.since_at, now), told_at=told_at, due_at=due_at)


def _is_news(alert: Alert, condition: Condition, now: datetime, repeat: timedelta) -> bool:
    if alert.told_at is None:
        return now - max(alert.since_at, condition.not_before or alert.since_at) >= condition.after
    return now - alert.told_at >= repeat or alert.number >= GROWN * max(alert.told_number, 1)


def _well(alert: Alert, now: datetime) -> Alert | None:
    """Return an alert whose condition holds no more; None if nobody was told of it."""
    if alert.told_at is None:
        return None
    return alert if alert.news is News.CLEARED else replace(alert, news=News.CLEARED, due_at=now, tries=0)


def _claimed(alert: Alert, now: datetime) -> Alert:
    return replace(alert, tries=alert.tries + 1, due_at=now + AGAIN[min(alert.tries, len(AGAIN) - 1)])


def taken(known: Mapping[str, Alert], sent: Collection[Alert], now: datetime) -> dict[str, Alert]:
    """Return the alerts that stand after somebody has taken some."""
    stood = dict(known)
    for one in sent:
        there = stood.get(one.subject)
        if one.news is News.CLEARED:
            if there is not None and there.news is News.CLEARED:
                del stood[one.subject]
            elif there is not None:
                # It came back while its end was told, so it has to be told anew.
                stood[one.subject] = replace(there, told_at=None, told_number=0)
        elif there is None:
            # It was over while it was told, so that has to be told as well.
            stood[one.subject] = replace(one, told_at=now, news=News.CLEARED, due_at=now, tries=0)
        else:
            quiet = there.news is not News.CLEARED and there.kind == one.kind
            told = replace(there, told_at=now, told_number=one.number)
            stood[one.subject] = replace(told, news=None, due_at=None, tries=0) if quiet else told
    return stood


def message(alerts: Collection[Alert], now: datetime, host: str) -> dict[str, Any]:
    """Return what is sent: `text` for people and chat rooms, the rest for programs."""
    lines = [_line(one) for one in alerts]
    return {
        "text": "\n".join([f"syncd on {host}:", *lines]),
        "host": host,
        "at": now.isoformat(),
        "alerts": [
            {
                "subject": one.subject,
                "kind": one.kind,
                "state": one.news,
                "since": one.since_at.isoformat(),
                "number": one.number,
                "text": one.text,
            }
            for one in alerts
        ],
    }


def _line(alert: Alert) -> str:
    if alert.news is News.CLEARED:
        return f"- all clear: {alert.subject}"
    number = f"{alert.number} " if alert.kind in {AlertKind.IN_DOUBT, AlertKind.PARKED, AlertKind.SUSPENDED} else ""
    return f"- {number}{alert.subject} {alert.text} (since {alert.since_at:%Y-%m-%d %H:%M} UTC)"
