"""`syncd status`: one screen that says what is stuck, why, since when, and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from syncd.console.apis import read_apis
from syncd.console.context import CommandContext, perform
from syncd.console.output import Shown, counted, print_json, say, span
from syncd.console.output import shown as harmless
from syncd.console.systems import read_systems
from syncd.console.workers import read_workers, show_workers
from syncd.model.delivery import DeliveryState
from syncd.model.health import PauseCause
from syncd.model.link import LinkState
from syncd.store import floods, links, lists, requests
from syncd.store.database import Connection
from syncd.store.requests import Request

SHOWN_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Overview:
    """How everything stands at one instant."""

    at: datetime
    where: str
    systems: dict[str, dict[str, Any]]
    apis: dict[str, dict[str, Any]]
    links: dict[str, int]
    deliveries: dict[str, int]
    withheld: int
    oldest_pending_at: datetime | None
    requests: list[Request]
    examples: dict[str, list[str]]
    workers: list[dict[str, Any]]
    floods: dict[str, int]

    @property
    def oldest_pending_seconds(self) -> int | None:
        """Return for how long the oldest pending delivery has waited, None if none waits."""
        if self.oldest_pending_at is None:
            return None
        return max(0, int((self.at - self.oldest_pending_at).total_seconds()))

    def needs_person(self) -> list[str]:
        """Return what will not go on by itself, each with what to do."""
        return [*self._paused_apis(), *self._paused_systems(), *self._standing()]

    def _paused_apis(self) -> Iterator[str]:
        restored = [name for name, api in self.apis.items() if api["cause"] is PauseCause.RESTORED]
        if restored:
            waiting = ", ".join(restored)
            yield f"the database was restored from a backup ({waiting} wait): syncd db restored --reason TEXT"
        for name, api in self.apis.items():
            if api["state"] == "not configured":
                yield f"api {name} has {api['pending']} pending and is not in the settings: put [api.{name}] back"
            elif api["cause"] is not None and api["cause"] is not PauseCause.RESTORED:
                yield f"api {name} is paused{self._since(api)}: {api['reason']}. Then: syncd apis resume {name}"

    def _paused_systems(self) -> Iterator[str]:
        for name, system in self.systems.items():
            if system["paused_by"] is not None:
                why = f"{self._since(system)}: {system['reason']}"
                yield f"system {name} is paused{why}. Then: syncd systems resume {name}"

    def _since(self, one: dict[str, Any]) -> str:
        return "" if one["since_at"] is None else f" for {span(self.at - one['since_at'])}"

    def _standing(self) -> Iterator[str]:
        for state, words in (
            (DeliveryState.IN_DOUBT, "in doubt: look into their threads, then syncd deliveries resolve"),
            (DeliveryState.PARKED, "parked: syncd deliveries show, then edit, retry or skip"),
        ):
            if number := self.deliveries[state.value]:
                is_or_are = "is" if number == 1 else "are"
                yield f"{counted(number, 'delivery')} {is_or_are} {words}{self._such_as(state.value)}"
        for system, number in sorted(self.floods.items()):
            yield (
                f"{counted(number, 'delivery')} of these came from {system} as a flood of old replies: syncd "
                f"deliveries retry or skip --system {system} --because flood, once you know which"
            )
        if number := self.links[LinkState.SUSPENDED.value]:
            is_or_are = "is" if number == 1 else "are"
            yield (
                f"{counted(number, 'link')} {is_or_are} suspended: syncd links show, then resume or remove"
                f"{self._such_as(LinkState.SUSPENDED.value)}"
            )

    def _such_as(self, state: str) -> str:
        # A line end in a vendor's text must not make a line that looks like ours.
        return "".join(f"\n    {harmless(example)}" for example in self.examples[state])

    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "systems": self.systems,
            "apis": self.apis,
            "links": self.links,
            "deliveries": self.deliveries,
            "oldest_pending_seconds": self.oldest_pending_seconds,
            "withheld": self.withheld,
            "workers": self.workers,
            "requests": [
                {
                    "id": one.id,
                    "kind": one.kind,
                    "system": one.system,
                    "state": one.state,
                    "progress": one.progress,
                    "requested_at": one.requested_at,
                }
                for one in self.requests
            ],
            "needs_person": [line.partition("\n")[0] for line in self.needs_person()],
        }


async def read_overview(context: CommandContext, ended: lists.Ended | None = None) -> Overview:
    """Return how everything stands, read in one snapshot; `ended` is what was counted a moment ago, if it was."""
    now = context.clock.now()

    def read(connection: Connection) -> Overview:
        counts = lists.count_all(connection, ended)
        return Overview(
            at=now,
            where=context.database.where,
            systems=read_systems(connection, context.settings),
            apis=read_apis(connection, context.settings, now),
            links={state.value: counts.links.get(state.value, 0) for state in LinkState},
            deliveries={state.value: counts.deliveries.get(state.value, 0) for state in DeliveryState},
            withheld=counts.withheld,
            oldest_pending_at=counts.oldest_pending_at,
            requests=requests.open_requests(connection),
            examples=_examples(connection),
            floods=floods.count_flooded(connection),
            workers=read_workers(connection),
        )

    return await context.database.read(read)


def _examples(connection: Connection) -> dict[str, list[str]]:
    """Return the first few of what stands, in words, by its state."""
    found = {
        state.value: [
            f"delivery {item.id}, ticket {item.ticket_number or '?'} of {item.system}: {item.reason or 'no reason'}"
            for item in lists.list_deliveries(connection, state=state.value, limit=SHOWN_AT_MOST)
        ]
        for state in (DeliveryState.IN_DOUBT, DeliveryState.PARKED)
    }
    suspended = links.listed(connection, state=LinkState.SUSPENDED.value, limit=SHOWN_AT_MOST)
    return found | {
        LinkState.SUSPENDED.value: [
            f"link {link.id}, ticket {link.ticket_name} of {link.system}: {link.reason or link.cause}"
            for link in suspended
        ]
    }


def status(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Show what is stuck, why, since when, and what to do. Exit code 1 if something needs a person."""

    async def work(context: CommandContext) -> tuple[Overview, Shown]:
        return await read_overview(context), Shown(context.zone)

    overview, shown = perform(ctx, work)
    if json:
        print_json(overview.values())
    else:
        _show(overview, shown)
    if overview.needs_person():
        raise typer.Exit(1)


def _show(overview: Overview, shown: Shown) -> None:
    _show_lanes(overview, shown)
    say()
    shown.fields(
        (
            ("links", _counts(overview.links)),
            ("deliveries", _counts(overview.deliveries)),
            ("withheld", counted(overview.withheld, "internal reply") if overview.withheld else None),
            ("oldest pending", _age(overview.oldest_pending_at, overview.at)),
            ("asked for", "; ".join(f"{one.kind} of {one.system}, {one.state}" for one in overview.requests)),
        )
    )
    show_workers(overview.workers, shown)
    say()
    needed = overview.needs_person()
    say("Needs a person:" if needed else "Nothing needs a person.")
    for line in needed:
        head, *examples = line.split("\n")
        say(f"- {head}")
        for example in examples:
            say(example)


def _show_lanes(overview: Overview, shown: Shown) -> None:
    rows = [
        ("system", name, one["state"], "", _age(one["last_success_at"], overview.at), one["reason"])
        for name, one in overview.systems.items()
    ]
    rows += [
        ("api", name, one["state"], str(one["pending"]), _age(one["last_success_at"], overview.at), one["reason"])
        for name, one in overview.apis.items()
    ]
    shown.table(("", "name", "state", "pending", "last success", "reason"), rows)


def _age(instant: datetime | None, now: datetime) -> str | None:
    return None if instant is None else f"{span(max(now - instant, now - now))} ago"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items() if number) or "none"
