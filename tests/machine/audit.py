"""What each commit of the worker may do to the outbox, seen in the very transaction, before anything follows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from syncd.store.floods import HELD_REASON
from syncd.testing.helpdesk import Helpdesk

SENT_OUTCOMES = ("not_sent", "throttled", "refused_for_now", "thread_at_fault", "key_at_fault", "not_the_api")

_ROWS = """
SELECT d.id, d.state, d.thread_key, t.api, t.customer_id, t.thread_id, d.lane, d.kind, d.reply_id, d.doubts, d.reason,
       l.state AS link_state, l.cause AS link_cause,
       (SELECT a.outcome FROM attempt a WHERE a.delivery_id = d.id ORDER BY a.id DESC LIMIT 1) AS last_outcome
FROM delivery d JOIN thread t ON t.id = d.thread_key
LEFT JOIN link l ON l.thread_key = d.thread_key AND l.state <> 'removed'
"""


class Row(NamedTuple):
    """A delivery as one commit left it, with its thread and the link that the thread has now."""

    id: int
    state: str
    thread_key: int
    api: str
    customer_id: int
    thread_id: int
    lane: str
    kind: str
    reply_id: str | None
    doubts: int
    reason: str | None
    link_state: str | None
    link_cause: str | None
    last_outcome: str | None

    @property
    def is_stopped(self) -> bool:
        """Say whether the thread's link is suspended because of its ticket, so that its deliveries wait."""
        return self.link_state == "suspended" and self.link_cause != "thread_refused"


class Seen(NamedTuple):
    """What one commit left: the deliveries by id, why each api is paused, the ticket of each link, its state."""

    rows: dict[int, Row]
    paused: dict[str, str | None]
    links: dict[int, tuple[str | None, str, str | None]]


NOTHING_SEEN = Seen({}, {}, {})


def look(connection: Any) -> Seen:
    """Read what an audit needs, inside a transaction."""
    rows = {row[0]: Row(*row) for row in connection.exec_driver_sql(_ROWS)}
    paused = dict(tuple(row) for row in connection.exec_driver_sql("SELECT api, paused_cause FROM api_state"))
    links = {
        row[0]: (row[1], row[2], row[3])
        for row in connection.exec_driver_sql("SELECT id, ticket_id, state, cause FROM link")
    }
    return Seen(rows, paused, links)


def moves(before: Seen, after: Seen) -> Iterator[tuple[Row | None, Row]]:
    """Yield the deliveries that a commit added or moved to another state."""
    for row in after.rows.values():
        was = before.rows.get(row.id)
        if was is None or was.state != row.state:
            yield was, row


def labels(before: Seen, after: Seen) -> set[str]:
    """Say what kind of commit lies between the two, for traps."""
    found = {"any"}
    for was, row in moves(before, after):
        if row.state == "sending":
            found.add("mark")
        elif was is not None and was.state == "sending":
            found.add("outcome")
        elif was is None:
            found.add("backfill" if row.lane.startswith("1") else "intake")
    return found


@dataclass
class Audit:
    """Holds each commit against the rules; what breaks one is in `violations`, what was seen is counted."""

    helpdesk: Helpdesk
    violations: list[str]
    reached: Counter[str]
    seen: Seen = NOTHING_SEEN
    decided: set[int] = field(default_factory=set)
    policies: dict[str, str] = field(default_factory=dict)
    strict: set[str] = field(default_factory=set)
    resumed_by_hand: set[str] = field(default_factory=set)

    def commit(self, after: Seen) -> None:
        """Take in what a commit left."""
        before, self.seen = self.seen, after
        for was, row in moves(before, after):
            self._move(before, was, row)
        for api, cause in after.paused.items():
            was_paused = before.paused.get(api)
            if cause is None and was_paused in {"key", "threads"} and api not in self.resumed_by_hand:
                self.reached[f"api recovered by itself from {was_paused}"] += 1
            if cause is not None and was_paused is None:
                self.reached[f"api paused: {cause}"] += 1
        for link_id, (ticket, state, cause) in after.links.items():
            old = before.links.get(link_id)
            if old is None:
                continue
            if old[0] not in {None, ticket}:
                self.reached["merge followed"] += 1
            if state == "suspended" and old[1] != "suspended":
                self.reached[f"link suspended: {cause}"] += 1
            if state == "active" and old[1] == "suspended":
                self.reached["link resumed"] += 1

    def _move(self, before: Seen, was: Row | None, row: Row) -> None:
        step = f"{was.state if was else 'new'} -> {row.state}"
        where = f"delivery {row.id} (reply {row.reply_id}, {row.api} {row.thread_id}): {step}"
        self.reached[step] += 1
        if row.state == "skipped":
            self.reached[f"skipped: {row.reason}"] += 1
        if row.state == "skipped" and not row.reason:
            self.violations.append(f"{where} without a reason")
        if row.kind == "correction" and row.state == "delivered":
            self.reached["correction delivered"] += 1
        if was is None:
            if row.state not in {"pending", "parked"}:
                self.violations.append(f"{where}: a new one begins otherwise")
        elif was.state in {"delivered", "skipped"}:
            self.violations.append(f"{where}: that is final")
        elif was.state in {"in_doubt", "parked"}:
            released = was.reason == HELD_REASON and row.state == "pending"
            self.reached["a late reply released at the end of its sweep"] += released
            if row.id not in self.decided and not released:
                self.violations.append(f"{where}: nobody has decided that")
            self.decided.discard(row.id)
        elif was.state == "sending":
            self._end(was, row, where)
        elif row.state == "sending":
            self._mark(before, row, where)
        elif row.state != "skipped" and row.id not in self.decided:
            self.violations.append(f"{where}: it was not on the wire")

    def _end(self, was: Row, row: Row, where: str) -> None:
        """Hold the end of an attempt against what may follow from it."""
        if row.state == "pending" and row.last_outcome not in SENT_OUTCOMES:
            resent = row.last_outcome == "in_doubt" and was.doubts == 0 and self.policies.get(row.api) == "resend"
            if not resent:
                self.violations.append(f"{where} after {row.last_outcome}")
            else:
                self.reached["resent by policy"] += 1
        if row.state == "delivered" and row.last_outcome != "delivered":
            if row.reason != "assumed" or self.policies.get(row.api) != "assume_delivered":
                self.violations.append(f"{where} after {row.last_outcome}")
            self.reached["assumed"] += 1

    def _mark(self, before: Seen, row: Row, where: str) -> None:
        """Hold a start against the order of its thread, the pauses and the state of its link."""
        others = [one for one in before.rows.values() if one.thread_key == row.thread_key and one.id != row.id]
        if any(one.state == "sending" for one in others):
            self.violations.append(f"{where}: two on the wire in one thread")
        if row.is_stopped:
            self.violations.append(f"{where}: its link is suspended ({row.link_cause})")
        if row.api in self.strict and any(one.state in {"in_doubt", "parked"} for one in others):
            self.violations.append(f"{where}: one before it is in doubt or parked, and the order is strict")
        if before.paused.get(row.api) not in {None, "threads"}:
            self.violations.append(f"{where}: the api is paused ({before.paused[row.api]})")
        now = self.seen.rows
        for other in others:
            if other.state == "pending" and now[other.id].state == "pending" and self._goes_before(other, row):
                self.violations.append(f"{where}: reply {other.reply_id} waits, and goes before it")

    def _goes_before(self, other: Row, row: Row) -> bool:
        if other.lane != row.lane:
            return other.lane < row.lane
        if other.kind != "reply" or row.kind != "reply":
            return False
        older, newer = (self.helpdesk.find_reply(one.reply_id or "") for one in (other, row))
        return older is not None and newer is not None and older.created_at < newer.created_at
