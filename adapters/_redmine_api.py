"""What is asked of a Redmine, and what its answers to that must hold.

Errors have an empty body that calls itself JSON. https://www.redmine.org/projects/redmine/wiki/Rest_api
"""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from adapters._redmine_feed import Changed, ChangedPage
from adapters._redmine_records import NO_ROLES, Statuses, find_user_id, roles_in
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Response
from syncd.sources.records import Record, record_of

MOST_ROWS = 100
"""Redmine gives no more on a page, and cuts a larger wish without a word."""
PROJECTS_KEPT = 500
OTHERS_KEPT = 10_000

_LOST = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
_LOST_STATUSES = frozenset(_LOST)

Params = Mapping[str, str | int]
Key = TypeVar("Key")
Value = TypeVar("Value")


class RedmineApi:
    """The reads of an account. All but `who_am_i` may be answered as to a visitor: it is asked before a loss counts."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def who_am_i(self) -> Record:
        """Return the account with its memberships. Its answer holds the API key: no part of it may be told.

        It is the one request that a wrong key fails at on every site: others may be answered as to a visitor.
        https://www.redmine.org/projects/redmine/wiki/Rest_Users
        """
        response = await self._http.get("/users/current.json", params={"include": "memberships"}, expect={403})
        if response.status == 403:
            raise PauseSystem(
                "Redmine answers 403 to its own account: switch the REST API on (Administration > Settings > API), "
                "and let the account change its password if it must, then resume the system"
            )
        user = record_of(response).get_record("user")
        user.get_key("id")
        return user

    async def issue(self, ticket_id: str, include: str = "") -> Record:
        """Return one issue. A list shows what it may; why it left one out is asked here.

        403 is also what a Redmine says whose REST API was switched off, so it is believed only of a signed-in account.

        Raises:
            TicketUnavailable: gone, or the account may not see it.
        """
        params = {"include": include} if include else None
        response = await self._http.get(f"/issues/{ticket_id}.json", params=params, expect=_LOST_STATUSES)
        if response.status in _LOST:
            await self.who_am_i()
            raise TicketUnavailable(Unavailable(ticket_id, _LOST[response.status]))
        issue = record_of(response).get_record("issue")
        if issue.get_key("id") != ticket_id:
            raise UnexpectedAnswer(f"{response.path} answered another issue")
        return issue

    async def issues(self, ids: Collection[str]) -> list[Record]:
        """Return those of up to a hundred issues that a list shows. Without `status_id=*` closed ones are missing."""
        params: Params = {"issue_id": ",".join(ids), "status_id": "*", "sort": "id", "limit": MOST_ROWS}
        return record_of(await self._listed(params)).get_records("issues")

    async def changed(self, since: datetime, offset: int) -> ChangedPage:
        """Return a page of the issues that changed at an instant or later, oldest change first.

        The filter takes whole seconds with Z and nothing else; Redmine lists closed issues, and this order, only when
        asked. https://www.redmine.org/projects/redmine/wiki/Rest_Issues
        """
        params: Params = {
            "updated_on": f">={since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "status_id": "*",
            "sort": "updated_on,id",
            "limit": MOST_ROWS,
            "offset": offset,
        }
        response = await self._listed(params)
        answer = record_of(response)
        rows = [Changed(row.get_key("id"), row.get_instant("updated_on")) for row in answer.get_records("issues")]
        return ChangedPage(tuple(rows), _is_last(answer, offset, len(rows)), response.answered_at)

    async def statuses(self) -> Statuses:
        """Return what the statuses mean.

        https://www.redmine.org/projects/redmine/wiki/Rest_IssueStatuses and .../Rest_Trackers
        """
        statuses = record_of(await self._http.get("/issue_statuses.json")).get_records("issue_statuses")
        trackers = record_of(await self._http.get("/trackers.json")).get_records("trackers")
        return Statuses.of(statuses, trackers)

    async def members(self, project_id: str) -> dict[str, frozenset[str]]:
        """Return the roles of the members of a project, locked accounts included; nobody's if they are hidden.

        A group is a member beside its people. https://www.redmine.org/projects/redmine/wiki/Rest_Memberships
        """
        found: dict[str, frozenset[str]] = {}
        async for membership in self._memberships(f"/projects/{project_id}/memberships.json"):
            user_id = find_user_id(membership, "user")
            if user_id is not None:
                found[user_id] = roles_in(membership)
        return found

    async def roles_of(self, user_id: str, project_id: str) -> frozenset[str]:
        """Return the roles of one person in a project; none of a visitor, and of one whom the account cannot see."""
        path, params = f"/users/{user_id}.json", {"include": "memberships"}
        response = await self._http.get(path, params=params, expect=_LOST_STATUSES)
        if response.status in _LOST:
            await self.who_am_i()
            return NO_ROLES
        memberships = record_of(response).get_record("user").find_records("memberships")
        here = [one for one in memberships if find_user_id(one, "project") == project_id]
        return frozenset(role for one in here for role in roles_in(one))

    async def role_names(self) -> set[str]:
        """Return the names of all roles. https://www.redmine.org/projects/redmine/wiki/Rest_Roles"""
        return {role.get_text("name") for role in record_of(await self._http.get("/roles.json")).get_records("roles")}

    async def role(self, role_id: str) -> Record:
        """Return a role with its permissions."""
        return record_of(await self._http.get(f"/roles/{role_id}.json")).get_record("role")

    async def count_issues(self) -> int:
        """Return how many issues the account sees; 403 is the answer where no role of it may view any."""
        response = await self._http.get("/issues.json", params={"status_id": "*", "limit": 1}, expect={403})
        return 0 if response.status == 403 else record_of(response).get_int("total_count")

    async def _listed(self, params: Params) -> Response:
        """List issues. Redmine refuses the list as a whole, and never hides that by an empty one."""
        response = await self._http.get("/issues.json", params=params, expect={403})
        if response.status == 403:
            await self.who_am_i()
            raise PauseSystem("the Redmine account may not see issues: give it a role with View issues, then resume")
        return response

    async def _memberships(self, path: str) -> AsyncIterator[Record]:
        offset = 0
        while True:
            params: Params = {"limit": MOST_ROWS, "offset": offset}
            response = await self._http.get(path, params=params, expect=_LOST_STATUSES)
            if response.status in _LOST:
                await self.who_am_i()
                return
            answer = record_of(response)
            rows = answer.get_records("memberships")
            for row in rows:
                yield row
            if _is_last(answer, offset, len(rows)):
                return
            offset += len(rows)


class Memberships:
    """Which roles people have in a project, remembered. Whoever is not in the project's list is asked for by name."""

    def __init__(self, api: RedmineApi) -> None:
        self._api = api
        self._members: dict[str, dict[str, frozenset[str]]] = {}
        self._others: dict[tuple[str, str], frozenset[str]] = {}

    def forget(self) -> None:
        """Forget everything, because roles change."""
        self._members.clear()
        self._others.clear()

    async def roles_of(self, user_id: str, project_id: str) -> frozenset[str]:
        """Return the names of the roles of a person in a project, none if it is no member."""
        members = self._members.get(project_id)
        if members is None:
            members = await self._api.members(project_id)
            _keep(self._members, project_id, members, PROJECTS_KEPT)
        if user_id in members:
            return members[user_id]
        other = self._others.get((user_id, project_id))
        if other is None:
            other = await self._api.roles_of(user_id, project_id)
            _keep(self._others, (user_id, project_id), other, OTHERS_KEPT)
        return other


def _keep(known: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Remember a value; those that are known longest are forgotten where there are too many."""
    known[key] = value
    while len(known) > most:
        del known[next(iter(known))]


def _is_last(answer: Record, offset: int, rows: int) -> bool:
    """Tell whether a page is the last one; its length counts and not the limit that was asked for."""
    total = answer.get_int("total_count")
    if rows == 0 and offset < total:
        raise UnexpectedAnswer(f"{answer.where} counts more rows than it shows")
    return offset + rows >= total
