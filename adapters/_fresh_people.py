"""Who is an agent at Freshdesk and Freshservice, and by what name: read once, remembered in memory.

https://developers.freshdesk.com/api/#list_all_agents: agents but oneself are shown to administrators alone.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from adapters._fresh_api import FreshApi
from syncd.sources.records import Record

STRANGERS_KEPT = 10_000


class Agents:
    """The agents of one account."""

    def __init__(self, api: FreshApi) -> None:
        self._api = api
        self._names: dict[str, str | None] = {}
        self._strangers: set[str] = set()
        self._is_open: bool | None = None

    @property
    def names(self) -> Mapping[str, str | None]:
        """Return the names of the agents that are known, by id."""
        return MappingProxyType(self._names)

    async def load(self) -> bool:
        """Read the list of agents unless that was done; return whether it is open to the key."""
        if self._is_open is None:
            listed = await self._api.agents()
            mine = await self._api.find_me() if listed is None else None
            self._keep(listed if listed is not None else [mine] if mine is not None else [])
            self._is_open = listed is not None
        return self._is_open

    async def meet(self, ids: Iterable[str | None]) -> None:
        """Get to know those agents among these people who are not on the list: new since then, or switched off."""
        if not await self.load():
            return
        for agent_id in sorted({one for one in ids if one} - self._names.keys() - self._strangers):
            found = await self._api.find_agent(agent_id) if agent_id.isdecimal() else None
            if found is not None:
                self._keep([found])
            if agent_id not in self._names:
                self._strangers = self._strangers if len(self._strangers) < STRANGERS_KEPT else set()
                self._strangers.add(agent_id)

    def _keep(self, rows: Iterable[Record]) -> None:
        self._names |= {row.get_key("id"): _name(row) for row in rows}


def _name(row: Record) -> str | None:
    """Return an agent's name: Freshdesk keeps it in the contact that the agent is, Freshservice in two parts."""
    holder = row.find_record("contact") or row
    parts = [holder.find_text(part) for part in ("first_name", "last_name")]
    return holder.find_text("name") or " ".join(part for part in parts if part) or None
