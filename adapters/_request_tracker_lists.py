"""Reading the lists of Request Tracker's REST 2, whose pages do not say where a list ends.

Only root is told totals and next pages of transactions and attachments. For others, rows that they may not see are
cut out after paging: neither a short page, nor an empty one, nor a missing `next_page` is the end. Addresses in
answers (`_url`, `next_page`) are those the server believes in, which behind a proxy lead nowhere: they are never used.
https://docs.bestpractical.com/rt/5.0.8/RT/REST2.html
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any
from urllib.parse import quote

from adapters._request_tracker_records import Transaction
from syncd.model.errors import RetryLater, UnexpectedAnswer
from syncd.sources.adapter import Http
from syncd.sources.records import record_of

API = "/REST/2.0"
MOST_ROWS = 100
"""RT gives no more on a page, and cuts a larger wish without a word."""
LOOK_BACK_PAGES = 10
"""How many pages of hidden rows are looked through for the newest one that the account may see."""

Row = Mapping[str, Any]
Params = list[tuple[str, str | int]]

_ASCENDING: Params = [("orderby", "id"), ("order", "ASC")]
_DESCENDING: Params = [("orderby", "id"), ("order", "DESC")]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `number` is what the server made of the one asked for: beyond the end, the last again.

    `total` is None where the server does not tell; `answered_at` is its own time.
    """

    rows: tuple[Row, ...]
    number: int
    full_at: int
    total: int | None
    has_next: bool
    answered_at: datetime | None


class Lists:
    """The lists and single records that an account may see."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def find(self, path: str) -> Row | None:
        """Return a single record, or None if it does not exist or the account may not see it."""
        response = await self._http.get(f"{API}/{path}", expect=(403, 404))
        data = response.json() if response.status == 200 else None
        return data if isinstance(data, dict) else None

    async def page(self, path: str, params: Params, number: int = 1) -> Page:
        """Return one page. Without `fields` among the params its rows are all but empty."""
        response = await self._http.get(f"{API}/{path}", params=[*params, ("per_page", MOST_ROWS), ("page", number)])
        data = response.json()
        if not isinstance(data, dict) or not isinstance(data.get("items"), list):
            raise UnexpectedAnswer(f"{API}/{path} answered no list")
        record = record_of(response)
        return Page(
            rows=tuple(row for row in data["items"] if isinstance(row, dict)),
            number=record.find_int("page") or number,
            full_at=record.find_int("per_page") or MOST_ROWS,
            total=record.find_int("total"),
            has_next=bool(data.get("next_page")),
            answered_at=response.answered_at,
        )

    async def downward(self, path: str, params: Params) -> AsyncGenerator[Page, None]:
        """Yield the pages with rows that the account may see, from the newest row down, up to the first gap.

        The first of them may be some pages down, LOOK_BACK_PAGES at most; after it, a page without rows may be a gap
        or the end.
        """
        met = False
        async for page in self._pages(path, [*params, *_DESCENDING]):
            if page.rows:
                met = True
                yield page
            elif met or page.total == 0 or page.number >= LOOK_BACK_PAGES:
                return

    async def newest(self, path: str, params: Params) -> Page | None:
        """Return the newest page with rows that the account may see, or None if none is near."""
        async with aclosing(self.downward(path, params)) as pages:
            return await anext(pages, None)

    async def walk(self, path: str, params: Params, latest: int, most_rows: int) -> AsyncIterator[list[Transaction]]:
        """Yield the transactions of each page, ascending, until the newest (the id `latest`) is among them.

        Raises:
            RetryLater: it is not there any more: `most_rows` in a row were hidden, or the list ended before it.
        """
        empty = 0
        async for page in self._pages(path, [*params, *_ASCENDING]):
            empty = 0 if page.rows else empty + 1
            if (empty - 1) * page.full_at > most_rows:
                break
            rows = [Transaction.parse(row) for row in page.rows]
            yield rows
            if any(row.id >= latest for row in rows):
                return
        raise RetryLater(f"{API}/{path} no longer shows its newest transaction; it will be read again")

    async def whole(self, path: str, params: Params) -> AsyncIterator[Row]:
        """Yield all rows of a list that has no holes, or tells its total: a page that is not full is its last."""
        async for page in self._pages(path, [*params, *_ASCENDING]):
            for row in page.rows:
                yield row
            if not page.has_next and (page.total is not None or len(page.rows) < page.full_at):
                return

    async def _pages(self, path: str, params: Params) -> AsyncIterator[Page]:
        """Yield pages until the server gives its last one again and says so; without a word, that is an error."""
        known: set[str] = set()
        for number in count(1):
            page = await self.page(path, params, number)
            if page.number != number:
                return
            keys = {str(row.get("id")) for row in page.rows}
            if keys and keys <= known:
                raise UnexpectedAnswer(f"{API}/{path} gives the same page again and again")
            known |= keys
            yield page


def only(field: str, values: Sequence[str | int]) -> tuple[str, str]:
    """Return the parameter that narrows a list which takes no query language: JSON, as in RT's own interface."""
    return "query", json.dumps([{"field": field, "operator": "IN", "value": list(values)}], separators=(",", ":"))


def in_path(name: str) -> str | None:
    """Return a name as a piece of a path, or None if no path can carry it."""
    return None if not name or "/" in name or "\\" in name or name in {".", ".."} else quote(name, safe="")
