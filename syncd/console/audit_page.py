"""How an audit is said: a summary by system, what was skipped and why, and each finding in a line. Never contents."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from syncd.console.output import Shown, say
from syncd.sync.audit import Fate, Remark
from syncd.sync.audit_findings import NEEDS_PERSON, UNREAD

_HEADINGS = {
    Fate.LEAKED.value: "LEAKED: internal at the vendor, and sent. Look into these threads now",
    Fate.MISSING.value: "MISSING: public at the vendor, and neither sent nor waiting",
    UNREAD: "Not read, so not accounted for",
    Remark.HIDDEN.value: "Made internal after they were delivered",
    Remark.DELETED.value: "Not at the vendor any more after they were delivered",
    Remark.EDITED.value: "Edited after they were delivered",
}
_COLUMNS = (
    ("links", "links"),
    ("tickets", "tickets"),
    ("replies", "replies"),
    ("delivered", "delivered"),
    ("waiting", "waiting"),
    ("in_doubt", "in doubt"),
    ("parked", "parked"),
    ("skipped", "skipped"),
    ("internal", "internal"),
    ("not_yet_due", "not yet due"),
    ("missing", "missing"),
    ("leaked", "leaked"),
    ("unread", "not read"),
)
_ASIDE = (
    ("resolved", "delivered as a person said"),
    ("assumed", "assumed to be delivered"),
    ("held_back", "of suspended links, read once they are resumed"),
    ("suspended", "suspended links whose ticket cannot be read"),
    ("unresolved", "links whose ticket was not looked up yet"),
    ("repaired", "missing and queued now"),
)


def system_values(result: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of one system as JSON has them."""
    fates = result.get("fates", {})
    values = {name: result.get(name, 0) for name in ("links", "tickets", "replies")}
    values |= {fate.value: fates.get(fate.value, 0) for fate in Fate if fate is not Fate.SKIPPED}
    values["skipped"] = dict(sorted(result.get("skipped", {}).items()))
    of_kind = [str(one["kind"]) for one in result.get("findings", [])]
    values |= {kind: of_kind.count(kind) for kind in (UNREAD, *(remark.value for remark in Remark))}
    values |= {name: result.get(name, 0) for name in ("repaired", "suspended", "unresolved")}
    return values | {"failure": result.get("failure")}


@dataclass(slots=True)
class Report:
    """What the audits of all systems have found."""

    shown: Shown
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Add the result of one system."""
        self.systems[name] = system_values(result)
        self.findings += result.get("findings", [])

    @property
    def needs_person(self) -> bool:
        """Say whether anything is not fine."""
        failed = any(one["failure"] is not None for one in self.systems.values())
        return failed or any(one["kind"] in NEEDS_PERSON for one in self.findings)

    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        order = list(_HEADINGS)
        return {
            "systems": self.systems,
            "findings": sorted(self.findings, key=lambda one: order.index(one["kind"])),
        }

    def say(self) -> None:
        """Write it for people."""
        rows = [
            (name, *(sum(one[key].values()) if key == "skipped" else one[key] for key, _ in _COLUMNS))
            for name, one in self.systems.items()
            if one["failure"] is None
        ]
        self.shown.table(("system", *(title for _, title in _COLUMNS)), rows)
        for name, one in self.systems.items():
            self._say_aside(name, one)
        for kind, heading in _HEADINGS.items():
            self._say_findings(heading, [one for one in self.findings if one["kind"] == kind])
        say("Both sides match." if not self.needs_person else "Both sides do not match, or that is not known.")

    def _say_aside(self, name: str, one: dict[str, Any]) -> None:
        if one["failure"] is not None:
            say(f"{name}: not audited: {one['failure']}")
        if one["skipped"]:
            say(f"{name}: skipped: " + ", ".join(f"{number} {reason}" for reason, number in one["skipped"].items()))
        for key, words in _ASIDE:
            if one[key]:
                say(f"{name}: {one[key]} {words}")

    def _say_findings(self, heading: str, findings: list[dict[str, Any]]) -> None:
        if findings:
            say()
            say(f"{heading}:")
        for one in findings:
            say(f"- {self._line(one)}")

    def _line(self, one: dict[str, Any]) -> str:
        thread = f"thread {one['thread_id']} of customer {one['customer_id']} at {one['api']}"
        words = [f"link {one['link_id']}, ticket {one['ticket_number']} of {one['system']}, {thread}"]
        if one["reply_id"] is not None:
            words.append(f"reply {one['reply_id']} of {self.shown.cell(datetime.fromisoformat(one['at']))}")
        if one["delivery_id"] is not None:
            words.append(f"delivery {one['delivery_id']}")
        if one["communication_id"] is not None:
            words.append(f"communication {one['communication_id']}")
        if one["kind"] in NEEDS_PERSON:
            words.append(str(one["reason"]))
        return ", ".join(words) + (" (queued now)" if one["repaired"] else "")
