"""Jira's endpoints, of Cloud and of Data Center: what is asked, how lists go on, and which answers are none."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters._jira_feed import Row, milliseconds
from adapters._jira_records import CHANNEL_PROPERTY, STATE_FIELDS, WHOLE_FIELDS, RequestFields
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.paging import Pages
from syncd.sources.records import Record, record_of, records_of

ISSUES_AT_ONCE = 100
ROWS_ON_A_PAGE = {True: 1000, False: 500}  # of a search; both deployments may hand out fewer
COMMENTS_ON_A_PAGE = 100
LONG_AGO_MS = 86_400_000
SERVICE_DESK = "/rest/servicedeskapi"
NOT_SIGNED_IN = frozenset({"AUTHENTICATED_FAILED", "AUTHENTICATION_DENIED", "AUTHORISATION_FAILED"})


class JiraApi:
    """Reads of one site. `projects` bound its searches; empty means all that the account sees."""

    def __init__(self, http: Http, projects: Sequence[str], *, is_cloud: bool) -> None:
        self._http = http
        self._projects = projects
        self._is_cloud = is_cloud
        self._path = "/rest/api/3" if is_cloud else "/rest/api/2"
        self._request_fields = RequestFields()

    async def get(self, path: str, params: Mapping[str, str | int] | None = None, *expect: int) -> Response:
        """Read a path; statuses in `expect` are returned.

        Raises:
            PauseSystem: answered as to an anonymous caller, which Jira does with 200 where a token has ended.
            UnexpectedAnswer: any other status; beside what Http raises.
        """
        try:
            return _signed_in(await self._http.get(path, params=params, expect=expect))
        except Refused as refused:
            message = str(refused)
        raise UnexpectedAnswer(message)

    async def post(self, path: str, body: Mapping[str, Any]) -> Record:
        """Read by POST; raises like `get`."""
        try:
            return record_of(_signed_in(await self._http.post(path, json=body)))
        except Refused as refused:
            message = str(refused)
        raise UnexpectedAnswer(message)

    async def me(self) -> Record:
        """Return who we are; there is no anonymous answer to that.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-myself/

        Raises:
            PauseSystem: nobody, or the other deployment.
        """
        response = await self.get(f"{self._path}/myself", None, 403, 404)
        if response.status != 200:
            raise PauseSystem(
                f"{response.path} answered {response.status}: check base_url and deployment, and that the account may "
                "use Jira (after failed sign-ins a person has to sign in once, to answer the CAPTCHA)"
            )
        me = record_of(response)
        if ("accountId" in me) is not self._is_cloud:
            named = "data_center" if self._is_cloud else "cloud"
            raise PauseSystem(f'{response.path} does not answer like this deployment: set deployment = "{named}"')
        return me

    async def request_fields(self) -> RequestFields:
        """Return the fields that make an issue a request; asked once, or until there are any.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-fields/#api-rest-api-3-field-get
        """
        if self._request_fields.request_type is None:
            self._request_fields = RequestFields.parse(records_of(await self.get(f"{self._path}/field")))
        return self._request_fields

    async def has_service_management(self) -> bool:
        """Tell whether the API of Service Management is there for us; a token without its scope is told 401."""
        return (await self.get(f"{SERVICE_DESK}/info", None, 401, 403, 404)).status == 200

    async def sees_project(self, key: str) -> bool:
        """Tell whether we see a project; a search that names another one is refused as a whole."""
        return (await self.get(f"{self._path}/project/{key}", None, 403, 404)).status == 200

    async def state(self, key: str) -> Record:
        """Return the state of an issue by id or key; a key it had before a move leads to it, too.

        Raises:
            TicketUnavailable: gone, or not ours to see; Jira tells both with the same 404.
        """
        return await self._issue(key, {"fields": ",".join(STATE_FIELDS)})

    async def whole(self, issue_id: str, known: RequestFields) -> Record:
        """Return an issue with description, files and the comments that come along; raises like `state`."""
        fields = (*WHOLE_FIELDS, *known.ids)
        rendered = {} if self._is_cloud else {"expand": "renderedFields"}
        return await self._issue(issue_id, {"fields": ",".join(fields), "properties": CHANNEL_PROPERTY, **rendered})

    async def _issue(self, key: str, params: Mapping[str, str | int]) -> Record:
        """Return an issue.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/#api-rest-api-3-issue-issueidorkey-get
        """
        response = await self.get(f"{self._path}/issue/{key}", params, 403, 404)
        if response.status == 200:
            return record_of(response)
        if "errorMessages" not in record_of(response):
            raise UnexpectedAnswer(f"{response.path} answered {response.status}, but not as Jira does: check base_url")
        await self.me()  # to a caller whose token has ended every issue is gone
        why = Unavailability.FORBIDDEN if response.status == 403 else Unavailability.GONE
        raise TicketUnavailable(Unavailable(key, why))

    async def states(self, ids: Sequence[str]) -> list[Record]:
        """Return the states of up to a hundred issues; what is gone or hidden is left out without a word."""
        if self._is_cloud:
            return await self._fetch(ids, STATE_FIELDS)
        params: dict[str, str | int] = {"jql": f"id in ({','.join(ids)})", "fields": ",".join(STATE_FIELDS)}
        params |= {"startAt": 0, "maxResults": ISSUES_AT_ONCE, "validateQuery": "false"}
        response = await self.get(f"{self._path}/search", params, 400)
        if response.status == 400:  # an id that is gone, and a version that validates all the same
            return []
        return record_of(response).get_records("issues")

    async def whole_many(self, ids: Sequence[str], known: RequestFields) -> list[Record]:
        """Return up to a hundred issues of Cloud with their comments."""
        return await self._fetch(ids, (*WHOLE_FIELDS, *known.ids), [CHANNEL_PROPERTY])

    async def _fetch(self, ids: Sequence[str], fields: Sequence[str], properties: Sequence[str] = ()) -> list[Record]:
        """Return issues in bulk.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/#api-rest-api-3-issue-bulkfetch-post
        """
        body: dict[str, Any] = {"issueIdsOrKeys": list(ids), "fields": list(fields)}
        if properties:
            body["properties"] = list(properties)
        return (await self.post(f"{self._path}/issue/bulkfetch", body)).get_records("issues")

    async def comments(self, issue_id: str, since: datetime | None) -> list[Record]:
        """Return the comments of an issue, newest first, at least those since an instant.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-comments/
        """
        path = f"{self._path}/issue/{issue_id}/comment"
        params: dict[str, str | int] = {"orderBy": "-created", "maxResults": COMMENTS_ON_A_PAGE}
        params |= {} if self._is_cloud else {"expand": "renderedBody"}
        found: dict[str, Record] = {}
        start, least, most = 0, 0, None
        while most is None or start < most:
            page = record_of(_here(await self.get(path, {**params, "startAt": start}, 403, 404), issue_id))
            rows, total = page.get_records("comments"), page.get_int("total")
            fresh = {one.get_key("id"): one for one in rows if one.get_key("id") not in found}
            if total < least or (start < total and not fresh) or page.find_int("startAt") not in {None, start}:
                raise UnexpectedAnswer(f"{path} did not hand out all of the comments that it told of")
            found |= fresh
            start, least, most = start + len(rows), max(least, total if most is None else 0), total
            if since is not None and _reaches_behind(since, found):
                return list(found.values())
        if len(found) < least:
            raise UnexpectedAnswer(f"{path} told of {least} comments and handed out {len(found)}")
        return list(found.values())

    async def public_comments(self, issue_id: str) -> dict[str, bool]:
        """Return what Service Management says of each comment: whether customers see it.

        https://developer.atlassian.com/cloud/jira/service-desk/rest/api-group-request/
        """
        path, start, told = f"{SERVICE_DESK}/request/{issue_id}/comment", 0, dict[str, bool]()
        pages, is_last = Pages(path), False
        while not is_last:
            pages.turn_to(start)
            params: dict[str, str | int] = {"public": "true", "internal": "true", "start": start, "limit": 100}
            response = await self.get(path, params, 403, 404)
            if response.status != 200:
                raise UnexpectedAnswer(f"{path} answered {response.status}: the account has to be an agent there")
            page = record_of(response)
            values, last = page.get_records("values"), page.raw("isLastPage")
            if not isinstance(last, bool):
                raise UnexpectedAnswer(f"{path} does not say whether more is to come")
            told |= {one.get_key("id"): one.is_true("public") for one in values}
            start, is_last = start + len(values), last
        return told

    async def sees_any(self) -> bool:
        """Tell whether a search shows any issue at all."""
        path = f"{self._path}/search/jql" if self._is_cloud else f"{self._path}/search"
        params: dict[str, str | int] = {"jql": self._jql(LONG_AGO_MS), "fields": "updated", "maxResults": 1}
        return bool(_rows(record_of(await self.get(path, params))))

    def changed(self, since_ms: int) -> AsyncIterator[tuple[list[Row], int | None]]:
        """Yield pages of issues changed since then, oldest change first, with Jira's time in milliseconds, if told.

        Times in JQL are read in the zone of the account, except as milliseconds.
        """
        return self._cloud_pages(since_ms) if self._is_cloud else self._data_center_pages(since_ms)

    def _jql(self, since_ms: int) -> str:
        names = ",".join(f'"{key}"' for key in self._projects)  # some keys are words of JQL, such as OR
        return f"{f'project in ({names}) AND ' if names else ''}updated >= {since_ms} ORDER BY updated ASC"

    async def _cloud_pages(self, since_ms: int) -> AsyncIterator[tuple[list[Row], int | None]]:
        """Turn the pages by token; nothing but a missing token tells of the end, and never a short page.

        https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/#api-rest-api-3-search-jql-get
        """
        path = f"{self._path}/search/jql"
        params: dict[str, str | int] = {"jql": self._jql(since_ms), "fields": "updated"}
        params["maxResults"] = ROWS_ON_A_PAGE[True]
        pages, token = Pages(path), ""
        while True:
            response = await self.get(path, params | ({"nextPageToken": token} if token else {}))
            answer = record_of(response)
            rows, is_last = _rows(answer), answer.raw("isLast")
            yield rows, _milliseconds_at(response)
            token = answer.find_text("nextPageToken") or ""
            if not token and is_last is False:
                raise UnexpectedAnswer(f"{path} gave no nextPageToken though more is to come")
            if not token or (is_last is True and not rows):
                return
            pages.turn_to(token)

    async def _data_center_pages(self, since_ms: int) -> AsyncIterator[tuple[list[Row], int | None]]:
        """Turn the pages by the time of the last row, and count rows only within one second.

        Counting further would skip an issue for each one that is changed meanwhile, and so leaves its place.
        https://docs.atlassian.com/software/jira/docs/api/REST/9.17.0/#api/2/search-search
        """
        path, second, start = f"{self._path}/search", since_ms // 1000, 0
        read: set[Row] = set()
        while True:
            params: dict[str, str | int] = {"jql": self._jql(second * 1000), "fields": "updated"}
            response = await self.get(path, {**params, "startAt": start, "maxResults": ROWS_ON_A_PAGE[False]})
            answer = record_of(response)
            rows, total = _rows(answer), answer.get_int("total")
            fresh = [row for row in rows if row not in read]
            if answer.find_int("startAt") not in {None, start} or (not rows and start < total):
                raise UnexpectedAnswer(f"{path} did not hand out the page that was asked for")
            if start and rows and not fresh:
                raise UnexpectedAnswer(f"{path} names a page that was read already as its next one")
            read.update(fresh)
            yield fresh, _milliseconds_at(response)
            if start + len(rows) >= total:
                return
            newest = max(row.updated_ms for row in rows) // 1000
            second, start = (newest, 0) if newest > second else (second, start + len(rows))


def _rows(answer: Record) -> list[Row]:
    issues = answer.get_records("issues")
    return [Row(one.get_key("id"), milliseconds(one.get_record("fields").get_instant("updated"))) for one in issues]


def _signed_in(response: Response) -> Response:
    """Return an answer that was given to us, and not to somebody unknown.

    https://confluence.atlassian.com/jirakb/how-to-interpret-the-x-seraph-loginreason-header.html
    """
    if response.headers.get("X-Seraph-LoginReason", "").strip().upper() in NOT_SIGNED_IN:
        raise PauseSystem(
            f"Jira answers {response.path} as to an anonymous caller: the token has ended or was revoked; make a new "
            "one, then resume the system"
        )
    return response


def _here(response: Response, issue_id: str) -> Response:
    if response.status == 200:
        return response
    raise UnexpectedAnswer(f"the comments of issue {issue_id} are not there ({response.status}), though it was")


def _reaches_behind(since: datetime, comments: Mapping[str, Record]) -> bool:
    """Tell whether comments go back behind an instant, and hold each one that another of them answers."""
    parents: Collection[str | None] = {one.find_key("parentId") for one in comments.values()}
    known = all(parent is None or parent in comments for parent in parents)
    return known and any(one.get_instant("created") < since for one in comments.values())


def _milliseconds_at(response: Response) -> int | None:
    """Return the server's own time of an answer in milliseconds."""
    return None if response.answered_at is None else milliseconds(response.answered_at)
