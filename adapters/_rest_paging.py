"""How lists go on: where the next page is, by each of the ways that `rest` knows. Nothing is asked here."""

from dataclasses import dataclass, field
from typing import Any

from adapters._rest_config import PagingOptions
from adapters._rest_expressions import Expression, Unfit
from adapters._rest_rules import kind_of
from syncd.model.errors import UnexpectedAnswer
from syncd.sources.adapter import Response
from syncd.sources.paging import next_link, path_below

Pairs = list[tuple[str, str | int]]

_COUNTED = {"page_number", "offset"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A page that is about to be read: `token` names it, `rows_before` were read on the pages before it."""

    path: str
    params: Pairs
    token: str | int
    own: Pairs = field(default_factory=list)
    rows_before: int = 0
    is_first: bool = True


class Paging:
    """The ways of one list; `place` is where its settings stand."""

    def __init__(self, options: PagingOptions, place: str, base_url: str) -> None:
        self.options, self._place, self._base_url = options, place, base_url
        self.is_counted = options.kind in _COUNTED

    def first(self, path: str, params: Pairs) -> Turn:
        """Return the first page."""
        options = self.options
        if options.size_parameter and options.size is not None:
            params = [*params, (options.size_parameter, options.size)]
        if not self.is_counted:
            return Turn(path, params, "the first page")
        number = options.first if options.kind == "page_number" else 0
        return Turn(path, params, number, [(options.parameter, number)])

    def next(self, turn: Turn, response: Response, value: Any, found: int) -> Turn | None:
        """Return the page after one that held `found` rows, or None behind the last one.

        Raises:
            UnexpectedAnswer: what should tell cannot be read.
        """
        read = turn.rows_before + found
        if self.is_counted:
            if self._is_last(turn, response, value, found):
                return None
            number = int(turn.token) + (1 if self.options.kind == "page_number" else found)
            return Turn(turn.path, turn.params, number, [(self.options.parameter, number)], read, False)
        token = next_link(response.headers) if self.options.kind == "link_header" else self._token(value, response.path)
        if token is None:
            return None
        if self.options.kind == "cursor":
            return Turn(turn.path, turn.params, token, [(self.options.parameter, token)], read, False)
        return Turn(self._below(token, turn.path), [], token, [], read, False)

    def _is_last(self, turn: Turn, response: Response, value: Any, found: int) -> bool:
        """Tell whether a counted list ends with this page; by default it does with an empty one alone."""
        options = self.options
        if found == 0:
            return True
        if options.more is not None:
            more = self._find(options.more, "more", value, response.path)
            if not isinstance(more, bool):
                raise self._unfit("more", more, "true or false", response.path)
            return not more
        if options.total is not None:
            total = self._find(options.total, "total", value, response.path)
            if isinstance(total, bool) or not isinstance(total, int):
                raise self._unfit("total", total, "a whole number", response.path)
            return turn.rows_before + found >= total
        return options.short_page_ends and found < (options.size or 0)

    def _token(self, value: Any, path: str) -> str | None:
        """Return the next address or cursor; none is null, an empty text, false or nothing at all."""
        if self.options.next is None:
            return None
        token = self._find(self.options.next, "next", value, path)
        if isinstance(token, bool | int | str | None) and not token:
            return None
        if isinstance(token, bool) or not isinstance(token, str | int):
            raise self._unfit("next", token, "a text", path)
        return str(token)

    def _below(self, address: str, path: str) -> str:
        """Return where a next address leads below base_url; the host that it names is never called."""
        return path.partition("?")[0] + address if address.startswith("?") else path_below(address, self._base_url)

    def _find(self, expression: Expression, name: str, value: Any, path: str) -> Any:
        try:
            return expression.find(value)
        except Unfit as error:
            reason = str(error)
        raise UnexpectedAnswer(f"{self._place}.paging.{name} {reason} (answer of {path})")

    def _unfit(self, name: str, found: Any, wanted: str, path: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(
            f"{self._place}.paging.{name} gives {kind_of(found)} where {wanted} is needed (answer of {path})"
        )
