"""The names behind HubSpot's ids: stages, owners, agents and channels. Kept in memory for a day of HubSpot's clock."""

from collections.abc import Iterable, Mapping
from datetime import date

from adapters._hubspot_api import HubspotApi
from adapters._hubspot_records import Stage, find_owner_id, parse_stages, stage_key
from syncd.sources.records import Record

MOST_KEPT = 20_000


class Names:
    """What ids are called in one account."""

    def __init__(self, api: HubspotApi) -> None:
        self._api = api
        self._day: date | None = None
        self._stages: dict[tuple[str, str], Stage] = {}
        self._strange: set[tuple[str, str]] = set()
        self._owners: dict[str, str | None] = {}
        self._agents: dict[str, str | None] = {}
        self._channels: dict[str, str] | None = None

    async def find_stage(self, ticket: Record) -> Stage | None:
        """Return the stage of a ticket; for one that is not known the pipelines are read again, once."""
        self._forget_yesterday()
        key = stage_key(ticket)
        if key not in self._stages and key not in self._strange and key[1]:
            self._stages = parse_stages(await self._api.pipelines())
            self._strange = self._strange if len(self._strange) < MOST_KEPT else set()
            self._strange |= {key} - self._stages.keys()
        return self._stages.get(key)

    async def find_owner(self, ticket: Record) -> str | None:
        """Return the name of whom a ticket is assigned to."""
        self._forget_yesterday()
        owner_id = find_owner_id(ticket)
        if owner_id is None or not owner_id.isdecimal():
            return None
        if owner_id not in self._owners:
            owner = await self._api.owner(owner_id)
            _keep(self._owners, {owner_id: _owner_name(owner) if owner is not None else None})
        return self._owners[owner_id]

    async def agents(self, actors: Iterable[str]) -> Mapping[str, str | None]:
        """Return the names of agents by their actor ids; None for those whom HubSpot knows no more."""
        self._forget_yesterday()
        wanted = set(actors)
        unknown = sorted(wanted - self._agents.keys())
        met: dict[str, str | None] = dict.fromkeys(unknown)
        for actor in await self._api.actors(unknown):
            if actor.get_key("id") in met:
                met[actor.get_key("id")] = actor.find_text("name")
        known = {key: name for key, name in self._agents.items() if key in wanted}
        _keep(self._agents, met)
        return known | met

    async def channels(self) -> Mapping[str, str]:
        """Return the names of channels by their ids."""
        self._forget_yesterday()
        if self._channels is None:
            rows = await self._api.channels()
            self._channels = {row.get_key("id"): row.find_text("name") or "" for row in rows}
        return self._channels

    def _forget_yesterday(self) -> None:
        """Forget everything once the day is over: stages are renamed, agents leave."""
        today = self._api.now.date() if self._api.now is not None else None
        if today != self._day:
            self._day, self._channels = today, None
            for kept in (self._stages, self._strange, self._owners, self._agents):
                kept.clear()


def _keep(names: dict[str, str | None], more: Mapping[str, str | None]) -> None:
    names |= more
    while len(names) > MOST_KEPT:
        del names[next(iter(names))]


def _owner_name(owner: Record) -> str | None:
    parts = [owner.find_text("firstName"), owner.find_text("lastName")]
    return " ".join(part for part in parts if part) or owner.find_text("email")
