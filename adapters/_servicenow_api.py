"""The Table API of ServiceNow: what is asked, where its lists go on, and which of its answers are none.

https://www.servicenow.com/docs/r/australia/api-reference/rest-apis/c_TableAPI.html
"""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.model.ticket import Unavailability
from syncd.sources.adapter import Http, Refused, Response
from syncd.sources.paging import next_link
from syncd.sources.records import Record, record_of

API = "/api/now/v2/table"
MOST_ROWS = 200
"""Rows of a page: ServiceNow ends a request that takes more than a minute."""
IDS_PER_REQUEST = 100
"""Ids or names in one query, so that its address stays below 8 kB."""

_NEXT_OFFSET = re.compile(r"sysparm_offset=([0-9]{1,12})(?:(?!rel=).)*;\s*rel=\"?next\b")


@dataclass(frozen=True, slots=True)
class Question:
    """What a list is asked: `where` is an encoded query, `display` wants each value as people see it too.

    A table that is `optional` is empty for an account that may not read it.
    """

    table: str
    where: str
    fields: tuple[str, ...]
    limit: int = MOST_ROWS
    display: bool = False
    optional: bool = False

    def params(self, offset: int = 0) -> dict[str, str | int]:
        """Return the parameters of one page."""
        form = form_of(self.fields, display=self.display)
        return {"sysparm_query": self.where, "sysparm_limit": self.limit, "sysparm_offset": offset, **form}


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, perhaps fewer than there are or none, where the list goes on if it does, and when it was answered."""

    rows: list[Record]
    next_offset: int | None
    answered_at: datetime | None = None


class TableApi:
    """Reads of one instance."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def page(self, question: Question, offset: int = 0) -> Page:
        """Return one page of a list.

        Raises:
            PauseSystem: the account may not read the table, or there is no Table API.
            RetryLater, UnexpectedAnswer: as for every answer that is none.
        """
        path = f"{API}/{question.table}"
        response = await self._ask(path, question.params(offset), expect={403, 404})
        if response.status in {403, 404}:
            if question.optional:
                return Page([], None)
            raise PauseSystem(
                f"{path} answered {response.status}: grant the account read access to the table {question.table}, "
                "and check base_url and the option table"
            )
        rows = _result(response).get_records("result")
        return Page(rows, _next_offset(response, offset, question.limit, len(rows)), response.answered_at)

    async def pages(self, question: Question) -> AsyncIterator[list[Record]]:
        """Yield the rows of each page to the end of a list; its fields must name `sys_id`.

        Raises:
            UnexpectedAnswer: a page came again, so that the list would never end; beside what `page` raises.
        """
        seen: set[str] = set()
        offset: int | None = 0
        while offset is not None:
            page = await self.page(question, offset)
            ids = {row.get_text("sys_id") for row in page.rows}
            refuse_repeated(question.table, offset, ids, seen)
            seen |= ids
            yield page.rows
            offset = page.next_offset

    async def find(self, table: str, sys_id: str, fields: tuple[str, ...], *, display: bool) -> Record | Unavailability:
        """Return one record, or why there is none. ServiceNow answers 404 also to who may not see it."""
        path = f"{API}/{table}/{sys_id}"
        response = await self._ask(path, form_of(fields, display=display), expect={403, 404})
        if response.status in {403, 404}:
            if "error" not in record_of(response):
                raise UnexpectedAnswer(f"{path} answered {response.status} without an error of ServiceNow's")
            return Unavailability.FORBIDDEN if response.status == 403 else Unavailability.GONE
        return _result(response).get_record("result")

    async def _ask(self, path: str, params: Mapping[str, str | int], expect: Collection[int]) -> Response:
        try:
            response = await self._http.get(path, params=params, expect={401, *expect})
        except Refused as refused:
            message = str(refused)
        else:
            if response.status == 401:
                await self._sign_in()
                raise RetryLater(f"ServiceNow refused the credentials for {path}, but not a moment later")
            if "html" in response.headers.get("Content-Type", "").lower() and response.status == 200:
                raise RetryLater(
                    f"{path} answered with a web page: the instance hibernates or is being upgraded, or base_url is "
                    "not its address"
                )
            return response
        raise UnexpectedAnswer(message)

    async def _sign_in(self) -> None:
        """Ask for something else, which the Http refuses by name if the credentials are wrong.

        ServiceNow was seen to answer 401 now and then to credentials that are good.
        """
        params: dict[str, str | int] = {"sysparm_limit": 1, "sysparm_fields": "sys_id"}
        await self._http.get(f"{API}/sys_user", params=params, expect={400, 403, 404})


def form_of(fields: tuple[str, ...], *, display: bool) -> dict[str, str]:
    """Return the parameters that give answers their form: raw values, and references without addresses."""
    return {
        "sysparm_fields": ",".join(fields),
        "sysparm_display_value": "all" if display else "false",
        "sysparm_exclude_reference_link": "true",
    }


def refuse_repeated(where: str, offset: int, keys: Collection[object], seen: Collection[object]) -> None:
    """Refuse a later page on which nothing is new: the offset was not heeded.

    Raises:
        UnexpectedAnswer: it is such a page.
    """
    if offset and keys and all(key in seen for key in keys):
        raise UnexpectedAnswer(f"{where} gives the same page again and again")


def _result(response: Response) -> Record:
    """Return an answer with a result; beside an error a result may be a part of one.

    Raises:
        UnexpectedAnswer: an error, with or without a part of the result.
    """
    record = record_of(response)
    if "error" in record or "result" not in record:
        raise UnexpectedAnswer(f"{response.path} answered {response.status} with an error inside")
    return record


def _next_offset(response: Response, offset: int, limit: int, count: int) -> int | None:
    """Return where the list goes on. Rows are cut to the limit before those are left out that may not be seen.

    So a short page is not the last one; the header `Link` tells. Where a proxy has dropped it, the total tells, or a
    page that is full. Of the address there, only the offset is used: it holds the query, whose `>` may stand bare.
    """
    if next_link(response.headers) is None:
        total = response.headers.get("X-Total-Count", "")
        more = count >= limit or (total.isdecimal() and int(total) > offset + limit)
        return offset + limit if more else None
    told = _NEXT_OFFSET.search(response.headers.get("Link", ""))
    if told is None or int(told[1]) <= offset:
        raise UnexpectedAnswer(f"{response.path} names no page after this one as its next one")
    return int(told[1])
