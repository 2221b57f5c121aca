"""Many systems and many apis in one process and virtual time, with a clock hand for each system."""

import asyncio
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from syncd.model.communication import Thread
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.service.settings import Settings, load_settings
from syncd.service.system_lane import SystemLane
from syncd.store import links
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Received, Sandbox
from syncd.testing.virtual_clock import VirtualClock
from tests.conftest import World

POLL_SECONDS = 10.0
PROMPT_SECONDS = POLL_SECONDS + 2.0
"""What a reply may take when nothing is in its way: until the next sweep, until the next look, and two requests."""


class Town(World):
    """A helpdesk for each system, an Open API with a key for each api, and the daemon's parts between them.

    Each system is swept every 10 seconds, as the daemon's schedule does. `written` says when a text was written, so
    that `latencies` can say how long each took to arrive.
    """

    def __init__(self, clock: VirtualClock, folder: Path, systems: Sequence[str], apis: Sequence[str]) -> None:
        super().__init__(clock, folder)
        self.desks = {name: Helpdesk(clock, page_size=500) for name in systems}
        self.apis = list(apis)
        self.sandbox = Sandbox({f"key-{name}": name for name in apis}, clock=clock)
        self.written: dict[str, datetime] = {}
        self._hands: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Start every helpdesk and the sandbox."""
        for desk in self.desks.values():
            await desk.start()
        await self.sandbox.start()

    async def close(self) -> None:
        """Stop everything."""
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)
        await self.end()
        await self.sandbox.stop()
        for desk in self.desks.values():
            await desk.close()

    def settings(self, **changes: object) -> Settings:
        """Return settings for all ends; `changes` are TOML keys of every system or, with api_, of every api."""
        system = {"adapter": "in_memory", "poll_seconds": POLL_SECONDS, "requests_per_minute": 6000}
        system |= {key: value for key, value in changes.items() if not key.startswith("api_")}
        api = {key.removeprefix("api_"): value for key, value in changes.items() if key.startswith("api_")}
        lines = ["[database]", f'url = "sqlite:///{self.folder}/syncd.db"']
        for name in self.apis:
            values: Mapping[str, object] = {"base_url": self.sandbox.base_url, "api_key": f"key-{name}"} | api
            lines += [f"[api.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        for name, desk in self.desks.items():
            lines += [f"[systems.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in system.items())]
            lines += [
                f"[systems.{name}.options]",
                f"base_url = {json.dumps(desk.base_url)}",
                f"token = {json.dumps(desk.token)}",
            ]
        file = self.folder / "config.toml"
        file.write_text("\n".join(lines))
        return load_settings(file, {})

    async def begin(self, **changes: object) -> None:
        """Run the daemon's parts, and sweep every system in its rhythm."""
        await super().begin(**changes)
        for part in self.parts.systems.values():
            self._hands.append(asyncio.create_task(self._keep_sweeping(part.lane)))
        self._hands.append(asyncio.create_task(self._keep_waking()))

    async def _keep_sweeping(self, lane: SystemLane) -> None:
        while True:
            lane.trigger()
            await self.clock.sleep(POLL_SECONDS)

    async def _keep_waking(self) -> None:
        while True:
            self.parts.wake_dispatchers()
            await self.clock.sleep(1.0)

    async def tickets(self, system: str, number: int, api: str, **more: Any) -> list[DeskTicket]:
        """Return new tickets of a system, each linked to a thread of its own at an api."""
        desk, now = self.desks[system], self.clock.now()
        hour_ago = now - timedelta(hours=1)
        made = [desk.create_ticket(f"{system} {one}", "first message", at=hour_ago) for one in range(number)]
        new = [
            NewLink(Thread(api, 7, next(self._threads)), system, TicketRef(number=one.number), more.get("from_at", now))
            for one in made
        ]
        for start in range(0, number, 200):
            some = new[start : start + 200]
            await self.database.write(lambda c: [links.add(c, one, now) for one in some])  # noqa: B023 - awaited at once
        return made

    def write(self, system: str, ticket: DeskTicket, text: str) -> None:
        """Let a customer write a text that no other reply has."""
        self.desks[system].customer_reply(ticket.id, text)
        self.written[text] = self.clock.now()

    def arrived(self, start: str = "") -> list[Received]:
        """Return what the API has added whose text starts so, in order of arrival."""
        return [one for one in self.sandbox.communications if one.body["content"].startswith(start)]

    def latencies(self, start: str = "") -> list[float]:
        """Return how many seconds each text that starts so took to arrive, in order of arrival."""
        return [
            (one.received_at - self.written[one.body["content"]]).total_seconds()
            for one in self.arrived(start)
            if one.body["content"] in self.written
        ]

    async def converse(self, system: str, ticket: DeskTicket, times: int = 5, every: float = 7.0) -> list[float]:
        """Let a customer write now and then, wait a little, and return how long each reply took to arrive."""
        first = len(self.written)
        for number in range(times):
            self.write(system, ticket, f"{system} says {first + number}")
            await self.pass_time(every)
        await self.pass_time(2 * POLL_SECONDS)
        found = self.latencies(f"{system} says")[-times:]
        assert len(found) == times, f"only {len(found)} of {times} arrived"
        return found


def show(name: str, latencies: Sequence[float]) -> None:
    """Print latencies, for whoever runs a test with -s."""
    sys.stdout.write(f"{name}: mean {statistics.fmean(latencies):.1f} s, longest {max(latencies):.1f} s\n")
