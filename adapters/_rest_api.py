"""What `rest` asks: requests with their places filled in, and answers that are judged before they are used."""

import json
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from adapters._rest_config import PagingOptions, Request
from adapters._rest_expressions import Expression, Unfit, places_in
from adapters._rest_paging import Paging, Pairs
from adapters._rest_rules import as_rows
from syncd.model.errors import UnexpectedAnswer
from syncd.sources.adapter import Http, Response
from syncd.sources.paging import Pages

Param = str | bool | int
Values = Mapping[str, str | Sequence[str]]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rows: Rows
    response: Response
    is_last: bool

    @property
    def answered_at(self) -> datetime | None:
        """Return the server's own time, if it tells."""
        return self.response.answered_at


class RestApi:
    """The requests of one system; `failed` recognises an answer that tells of a failure with status 200."""

    def __init__(self, http: Http, base_url: str, failed: Expression | None) -> None:
        self._http, self._base_url, self._failed = http, base_url, failed

    async def get(
        self, asked: Request, values: Values, expect: Collection[int] = (), join: str | None = None
    ) -> Response:
        """Ask with the places filled in."""
        params = filled_params(asked, values, join)
        return await self._http.get(filled_path(asked, values, join), params=params or None, expect=expect)

    def value_of(self, response: Response) -> Any:
        """Return the JSON of an answer that tells of no failure.

        Raises:
            UnexpectedAnswer: no JSON, or a failure inside.
        """
        value = response.json()
        if self._failed is not None:
            try:
                failure = self._failed.find(value)
            except Unfit:
                failure = True
            if failure:
                raise UnexpectedAnswer(f"{response.path} answered {response.status} with a failure inside (failed)")
        return value

    def rows_in(self, rows: Expression, response: Response, place: str) -> Rows:
        """Return the records in an answer.

        Raises:
            UnexpectedAnswer: there is no list of objects; that is a failure, never an empty list.
        """
        return _rows_in(rows, self.value_of(response), place, response.path)

    async def pages(
        self,
        asked: Request,
        values: Values,
        options: PagingOptions,
        rows: Expression,
        place: str,
        expect: Collection[int] = (),
    ) -> AsyncGenerator[Page, None]:
        """Yield the pages of a list to its end. An answer with a status in `expect` is the only page, without rows.

        Raises:
            UnexpectedAnswer: a page that is none, or one that comes again and again.
        """
        paging = Paging(options, place, self._base_url)
        turn = paging.first(filled_path(asked, values), filled_params(asked, values))
        tokens, contents = Pages(place), Pages(place)
        while True:
            tokens.turn_to(turn.token)
            statuses = expect if turn.is_first else options.past_the_end
            response = await self._http.get(turn.path, params=[*turn.params, *turn.own] or None, expect=statuses)
            if not 200 <= response.status < 300:
                if turn.is_first:
                    yield Page([], response, True)
                return
            value = self.value_of(response)
            found = _rows_in(rows, value, f"{place}.rows", response.path)
            if found and paging.is_counted:
                contents.turn_to(digest_of(found))  # who ignores the parameter answers the first page for ever
            following = paging.next(turn, response, value, len(found))
            yield Page(found, response, following is None)
            if following is None:
                return
            turn = following


def _rows_in(rows: Expression, value: Any, place: str, path: str) -> Rows:
    try:
        return as_rows(rows.find(value))
    except Unfit as error:
        reason = str(error)
    raise UnexpectedAnswer(f"{place} {reason} (answer of {path})")


def digest_of(value: Any) -> str:
    """Return a short mark of a value, the same for the same value."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def filled_path(asked: Request, values: Values, join: str | None = None) -> str:
    """Return the path of a request with its places filled in."""
    return asked.path.format(**{name: quote(_joined(value, join), safe="") for name, value in values.items()})


def filled_params(asked: Request, values: Values, join: str | None = None) -> Pairs:
    """Return the parameters of a request.

    One whose place has no value is left out: {since} where everything is asked for. One with a place for many values
    is repeated for each of them, unless they are joined.
    """
    pairs: Pairs = []
    for name, given in asked.params.items():
        for template in given if isinstance(given, list) else [given]:
            pairs += [(name, text) for text in _filled_texts(template, values, join)]
    return pairs


def _filled_texts(template: Param, values: Values, join: str | None) -> list[str | int]:
    if isinstance(template, bool):
        return [str(template).lower()]
    if isinstance(template, int):
        return [template]
    if places_in(template) - values.keys():
        return []
    many = next((name for name in places_in(template) if not isinstance(values[name], str)), None)
    plain = {name: _joined(value, join) for name, value in values.items()}
    if many is None or join is not None:
        return [template.format(**plain)]
    return [template.format(**{**plain, many: one}) for one in values[many]]


def _joined(value: str | Sequence[str], join: str | None) -> str:
    return value if isinstance(value, str) else (join or "").join(value)
