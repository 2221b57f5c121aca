"""Who wrote: ServiceNow names writers by login, and whether one is an agent stands in their roles."""

from collections.abc import Collection, Iterable
from datetime import datetime

from adapters._servicenow_api import IDS_PER_REQUEST, Question, TableApi
from adapters._servicenow_records import GUEST, Entry, SeenTicket, find_value
from syncd.model.ticket import Author, AuthorKind
from syncd.sources.records import Record

PEOPLE_KEPT = 20_000
CUSTOMER_TABLES = frozenset({"customer_contact", "csm_consumer_user"})
"""Kinds of users that are customers of a customer service by what they are."""

USER_FIELDS = ("sys_id", "user_name", "name", "sys_class_name")
ROLE_FIELDS = ("sys_id", "role.name", "user.user_name", "user.name")
SCRIPT = "javascript:"
NOBODY = Author(AuthorKind.UNKNOWN)


class People:
    """The users that were met, by `key`: their login (`user_name`), or their full name (`name`)."""

    def __init__(self, api: TableApi, key: str, agent_roles: Collection[str], automatic: Collection[str]) -> None:
        self.automatic = frozenset(name.casefold() for name in automatic)
        self._api, self._key, self._agent_roles = api, key, frozenset(agent_roles)
        self._known: dict[str, Author] = {}
        self._of_day = 0
        self._sees_roles = False

    def forget_before(self, instant: datetime) -> None:
        """Forget all once a day of the feed, because roles and names change."""
        if instant.toordinal() > self._of_day or len(self._known) > PEOPLE_KEPT:
            self._of_day, self._known = instant.toordinal(), {}

    async def authors(self, entries: Iterable[tuple[Entry, SeenTicket]]) -> list[Author]:
        """Return who wrote each of these entries; only people not met before are asked for."""
        pairs = [(entry.writer, seen) for entry, seen in entries]
        strange = {writer for writer, seen in pairs if self._find_plain(writer, seen) is None and writer}
        await self._meet(sorted(name for name in strange if name.casefold() not in self._known))
        return [self._author(writer, seen) for writer, seen in pairs]

    def _find_plain(self, writer: str, seen: SeenTicket) -> Author | None:
        """Return an author who is known without asking: an automaton, the ticket's customer, or nobody's account."""
        key = writer.casefold()
        if key in self.automatic:
            return Author(AuthorKind.SYSTEM)
        # What comes by mail from a sender whom ServiceNow does not know is written by its guest.
        return Author(AuthorKind.CUSTOMER) if key in seen.customers or key == GUEST else None

    def _author(self, writer: str, seen: SeenTicket) -> Author:
        plain = self._find_plain(writer, seen)
        if plain is not None:
            return plain
        known = self._known.get(writer.casefold(), NOBODY)
        if known.kind is AuthorKind.UNKNOWN and writer.casefold() in seen.assignees:
            return Author(AuthorKind.AGENT, seen.assignee or writer)
        return known

    async def _meet(self, names: list[str]) -> None:
        # A name that would end a part of the query, or be run as a script by it, stays unknown.
        askable = [name for name in names if not set(name) & set("^,\r\n") and not name.lower().startswith(SCRIPT)]
        for place in range(0, len(askable), IDS_PER_REQUEST):
            part = askable[place : place + IDS_PER_REQUEST]
            users = await self._users(part)
            agents = await self._agents(part) if users else frozenset()
            self._known |= {key: self._judged(users[key], key in agents) for key in users}
        for name in names:
            self._known.setdefault(name.casefold(), Author(AuthorKind.UNKNOWN, name))

    async def _users(self, names: list[str]) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        wanted = {name.casefold() for name in names}
        question = Question("sys_user", f"{self._key}IN{','.join(names)}", USER_FIELDS, optional=True)
        async for rows in self._api.pages(question):
            for row in rows:
                if (key := find_value(row, self._key).casefold()) in wanted:
                    found.setdefault(key, []).append(row)
            if rows and not found:
                break  # a part of the query was ignored: these are all users of the instance
        return found

    async def sees_roles(self) -> bool:
        """Tell whether the account sees who has a role of agents."""
        if not self._sees_roles:
            await self._roles(self._role_names(), is_sample=True)
        return self._sees_roles

    def _role_names(self) -> str:
        return f"role.nameIN{','.join(sorted(self._agent_roles))}"

    async def _agents(self, names: list[str]) -> frozenset[str]:
        """Return which of these names have a role of agents; without a view of roles nobody has one."""
        rows = await self._roles(f"user.{self._key}IN{','.join(names)}^{self._role_names()}")
        await self.sees_roles()
        return frozenset(find_value(row, f"user.{self._key}").casefold() for row in rows)

    async def _roles(self, where: str, *, is_sample: bool = False) -> list[Record]:
        """Return who has which role of agents; a sample tells whether the account sees such rows at all."""
        question = Question("sys_user_has_role", where, ROLE_FIELDS, optional=True)
        pages = (
            [(await self._api.page(question)).rows] if is_sample else [page async for page in self._api.pages(question)]
        )
        rows = [row for page in pages for row in page if find_value(row, "role.name") in self._agent_roles]
        self._sees_roles |= bool(rows)
        return rows

    def _judged(self, users: list[Record], is_agent: bool) -> Author:
        if len(users) > 1:
            return Author(AuthorKind.UNKNOWN, find_value(users[0], "name") or None)
        name = find_value(users[0], "name") or find_value(users[0], "user_name") or None
        if find_value(users[0], "sys_class_name") in CUSTOMER_TABLES:
            return Author(AuthorKind.CUSTOMER)
        if is_agent:
            return Author(AuthorKind.AGENT, name)
        return Author(AuthorKind.CUSTOMER) if self._sees_roles else Author(AuthorKind.UNKNOWN, name)
