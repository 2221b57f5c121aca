"""Salesforce's REST API: what is asked in SOQL, and what its refusals mean.

https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_queryall.htm
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters._salesforce_feed import Mark
from adapters._salesforce_records import OPENING, Row, SeenCase, parse_case, parse_comment, parse_mail
from adapters._salesforce_soql import (
    CASE,
    COMMENT,
    MAIL,
    NEEDED,
    WANTED,
    base_field,
    behind,
    instant_literal,
    quoted,
    select_text,
)
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.paging import Pages, path_below
from syncd.sources.records import Record, record_of, records_of

API = "/services/data/v62.0"
CASES_AT_ONCE = 100  # an address may have 16 KB, and every id takes 27 characters of it, twice
QUOTA_WAIT_SECONDS = 900.0  # the quota of a day counts the last 24 hours, so a little of it comes back all the time

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,79}", re.ASCII)
_SCHEMA_CODES = frozenset({"INVALID_FIELD", "INVALID_TYPE"})
_LATER_CODES = frozenset({"INVALID_QUERY_LOCATOR", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"})


class RefusedQuery(UnexpectedAnswer):
    """Salesforce refused a request by one of its codes."""

    def __init__(self, path: str, status: int, code: str) -> None:
        super().__init__(f"{path} answered {status} {code}" + _ADVICE.get(code, ""))
        self.code = code


class SlowQuery(RetryLater):
    """A query took Salesforce too long; a smaller one may not."""


_ADVICE = {
    "OPERATION_TOO_LARGE": ": the user sees mails by sharing rules alone; give it the permission View All Data",
    "INVALID_TYPE": ": the user may not see this object any more",
}


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case, and the cases that were merged into it, as far as Salesforce still has them."""

    case: SeenCase
    merged: tuple[SeenCase, ...]


class SalesforceApi:
    """Reads of one organisation; it remembers which fields the user sees."""

    def __init__(self, http: Http, base_url: str, own_domains: Collection[str]) -> None:
        self._http = http
        self._base_url = base_url
        self._own_domains = own_domains
        self._fields: dict[str, frozenset[str]] = {}
        self._once_seen: set[str] = set()

    async def find_user(self) -> str | None:
        """Return the name of the user that the app runs as, or None if the app's scopes do not tell it.

        https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_using_userinfo_endpoint.htm&type=5
        """
        response = await self._http.get("/services/oauth2/userinfo", expect={403, 404})
        return record_of(response).find_text("preferred_username") if response.status == 200 else None

    async def daily_requests(self) -> tuple[int, int]:
        """Return how many requests are left of how many a day.

        https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_limits.htm
        """
        daily = record_of(await self._get(f"{API}/limits/")).get_record("DailyApiRequests")
        return daily.get_int("Remaining"), daily.get_int("Max")

    async def has(self, kind: str) -> bool:
        """Tell whether the organisation has an object, and the user sees it."""
        return bool(await self._seen_fields(kind))

    async def sees_cases(self) -> bool:
        """Tell whether there is any case that the user may read."""
        return bool(await self._query(f"SELECT Id FROM {CASE} LIMIT 1"))  # noqa: S608 - no text of anybody's

    async def sees_feed(self) -> bool:
        """Tell whether all mails can be asked for, which takes the permission View All Data in a large organisation."""
        if not await self.has(MAIL):
            return True
        try:
            await self._query(f"SELECT Id FROM {MAIL} ORDER BY SystemModstamp DESC, Id DESC LIMIT 1")  # noqa: S608
        except RefusedQuery as refused:
            if refused.code != "OPERATION_TOO_LARGE":
                raise
            return False
        return True

    async def find_numbers(self, condition: str) -> list[SeenCase]:
        """Return the cases whose number fits a condition; deleted ones too."""
        return [self._case(one) for one in await self._select(CASE, f"WHERE {condition} ORDER BY CaseNumber LIMIT 200")]

    async def cases(self, ids: Sequence[str]) -> dict[str, CaseFile]:
        """Return cases by id, deleted ones too, each with what was merged into it; what is not shown is missing."""
        found: dict[str, CaseFile] = {}
        for place in range(0, len(ids), CASES_AT_ONCE):
            batch = ids[place : place + CASES_AT_ONCE]
            names = ",".join(map(quoted, batch))
            records = await self._select(CASE, f"WHERE Id IN ({names}) OR MasterRecordId IN ({names}) ORDER BY Id")
            seen = [self._case(record) for record in records]
            for case in seen:
                if case.id in batch:
                    merged = tuple(one for one in seen if one.merged_into == case.id)
                    found[case.id] = CaseFile(case, merged)
                elif case.merged_into not in batch:
                    raise UnexpectedAnswer("Salesforce answered a case that was not asked for")
        return found

    async def rows(self, case: SeenCase, since: datetime | None) -> list[Row]:
        """Return the mails and comments of a case that were made or touched since, and always those of its opening."""
        rows: list[Row] = []
        for kind in (MAIL, COMMENT):
            if not await self.has(kind):
                continue
            condition = f"ParentId = {quoted(case.id)}"
            if since is not None:
                begin = instant_literal(since.replace(microsecond=0))
                times = ["SystemModstamp", *({"MessageDate"} & set(await self._visible(kind)))]
                opening = f"CreatedDate <= {instant_literal(case.created_at + OPENING)}"
                condition += f" AND ({' OR '.join([*(f'{time} >= {begin}' for time in times), opening])})"
            rows += [
                self._row(kind, one) for one in await self._select(kind, f"WHERE {condition} ORDER BY CreatedDate, Id")
            ]
        if any(row.case_id != case.id for row in rows):
            raise UnexpectedAnswer("Salesforce answered a reply of another case than was asked for")
        return rows

    async def changed_rows(self, kind: str, mark: Mark, limit: int) -> list[Row]:
        """Return the mails or comments behind a mark, in the order of their changes."""
        return [self._row(kind, one) for one in await self._changed(kind, mark, limit)]

    async def changed_cases(self, mark: Mark, limit: int) -> list[SeenCase]:
        """Return the cases behind a mark, in the order of their changes."""
        return [self._case(one) for one in await self._changed(CASE, mark, limit)]

    async def _changed(self, kind: str, mark: Mark, limit: int) -> list[Record]:
        condition = behind(mark)
        if kind == MAIL:
            condition += " AND ParentId != null"  # mails hang on other things than cases, too
        without = {"Description"} if kind == CASE else set()
        return await self._select(kind, f"WHERE {condition} ORDER BY SystemModstamp, Id LIMIT {limit}", without)

    def _case(self, record: Record) -> SeenCase:
        return parse_case(record, self._base_url)

    def _row(self, kind: str, record: Record) -> Row:
        return parse_mail(record, self._own_domains) if kind == MAIL else parse_comment(record)

    async def _select(self, kind: str, rest: str, without: Collection[str] = ()) -> list[Record]:
        """Ask for the fields that the user sees; when the organisation has changed since, for those that it has now."""
        names = await self._visible(kind)
        try:
            return await self._query(select_text(kind, names, rest, without))
        except RefusedQuery as refused:
            if refused.code not in _SCHEMA_CODES:
                raise
            self._fields.pop(kind, None)
            now = await self._visible(kind)
            if now == names:
                raise
        return await self._query(select_text(kind, now, rest, without))

    async def _visible(self, kind: str) -> list[str]:
        """Return the fields to ask for: without one that the user does not see, a whole query would be refused.

        Raises:
            PauseSystem: one is missing that nothing goes without.
        """
        seen = await self._seen_fields(kind)
        hidden = [name for name in NEEDED[kind] if name not in seen]
        if hidden:
            self._fields.pop(kind, None)  # who resumes the system may have mended it
            raise PauseSystem(
                f"the Salesforce user does not see {', '.join(hidden)} of {kind}: give it read access to the object "
                "and to these fields (field-level security)"
            )
        return [*NEEDED[kind], *(name for name in WANTED[kind] if base_field(name) in seen)]

    async def _seen_fields(self, kind: str) -> frozenset[str]:
        """Return the names of the fields that the user sees; none if there is no such object for it.

        https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_sobject_describe.htm

        Raises:
            PauseSystem: there was such an object before; its rows are not gone, but out of sight.
        """
        if kind not in self._fields:
            path = f"{API}/sobjects/{kind}/describe"
            try:
                fields = record_of(await self._get(path)).get_records("fields")
                names = frozenset(field.get_text("name") for field in fields)
            except RefusedQuery as refused:
                if refused.code != "NOT_FOUND":
                    raise
                if kind in self._once_seen:
                    raise PauseSystem(
                        f"the Salesforce user does not see the object {kind} any more: give it read access to it"
                    ) from None
                names = frozenset()
            else:
                if "Id" not in names:
                    raise UnexpectedAnswer(f"{path} describes an object without an Id")
                self._once_seen.add(kind)
            self._fields[kind] = names
        return self._fields[kind]

    async def _query(self, soql: str) -> list[Record]:
        """Return all rows of a query, deleted ones too. How many come on a page is Salesforce's choice.

        https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_queryall.htm
        """
        response = await self._get(f"{API}/queryAll", {"q": soql})
        rows: list[Record] = []
        pages = Pages("a query")
        while True:
            answer = record_of(response)
            rows += answer.get_records("records")
            if answer.raw("done") is True:
                break
            following = path_below(answer.get_text("nextRecordsUrl"), self._base_url)
            if not following.startswith("/services/data/"):
                raise UnexpectedAnswer("the next page of a query is no path of Salesforce's API")
            pages.turn_to(following)
            response = await self._get(following)
        if len(rows) != answer.get_int("totalSize"):
            raise UnexpectedAnswer("a query answered another number of rows than it said")
        return rows

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> Response:
        """Read; what a refusal means stands in its code alone."""
        try:
            response = await self._http.get(path, params=params, expect={400, 403, 404})
        except Refused as refused:
            message = f"{refused.path} answered {refused.status}"
        else:
            if response.status == 200:
                return response
            raise _refusal(response)
        raise UnexpectedAnswer(message)


def _refusal(response: Response) -> Exception:
    """Return what an answer of errors means: a list of objects with a code each.

    https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
    """
    where, status = response.path, response.status
    errors = records_of(response)
    code = (errors[0].find_text("errorCode") if errors else None) or ""
    code = code if _CODE.fullmatch(code) else "without a code of Salesforce's"
    if code == "REQUEST_LIMIT_EXCEEDED":
        return RetryLater("the organisation has used up its requests of the last 24 hours", QUOTA_WAIT_SECONDS)
    if code == "QUERY_TIMEOUT":
        return SlowQuery(f"{where} took Salesforce too long ({code})")
    if code in _LATER_CODES:
        return RetryLater(f"{where} cannot be answered now ({code})")
    if status == 403:
        return PauseSystem(f"{where} answered 403 {code}: check the API access and the permissions of the app's user")
    return RefusedQuery(where, status, code)
