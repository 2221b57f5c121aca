"""Answers of a vendor, recorded once and played again with one thing wrong in them: what bad input an adapter meets."""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from syncd.sources.adapter import Http, Response

Params = Mapping[str, str | int] | Sequence[tuple[str, str | int]] | None
Key = tuple[str, str, str]
Place = tuple[str | int, ...]

ODD: tuple[Any, ...] = (None, True, 7, "odd", [], {})
MISSING = object()
MOST_PLAYED = 500
"""More answers than this for one reading are an endless one."""


@dataclass(frozen=True, slots=True)
class Distortion:
    """One thing that is wrong: what stands at `place` of an answer is replaced, or missing."""

    key: Key
    place: Place
    value: Any
    was: Any

    def __str__(self) -> str:
        """Say what is wrong, for the message of a test."""
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place)
        return f"{self.key[0]} {self.key[1]} with {where or 'its whole'} {self.wrong}"

    @property
    def wrong(self) -> str:
        """Say what stands there instead."""
        return "missing" if self.value is MISSING else f"= {self.value!r}"

    def apply(self, response: Response) -> Response:
        """Return the answer with it."""
        body = copy.deepcopy(orjson.loads(response.body))
        if not self.place:
            body = self.value
        else:
            inner = body
            for part in self.place[:-1]:
                inner = inner[part]
            if self.value is MISSING:
                del inner[self.place[-1]]
            else:
                inner[self.place[-1]] = self.value
        return Response(response.status, response.headers, orjson.dumps(body), response.path)


class RecordedHttp:
    """An adapter's `Http` that records answers, and once `played` plays them again, changed by what `change` says."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.recorded: dict[Key, Response] = {}
        self.is_played = False
        self.changed: Mapping[Key, Response] = {}
        self.played = 0

    def play(self, changed: Mapping[Key, Response]) -> None:
        """Begin to play, with these answers in the place of those that were recorded."""
        self.is_played, self.changed, self.played = True, changed, 0

    async def get(
        self,
        path: str,
        *,
        params: Params = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
    ) -> Response:
        """Read, or play what was read."""
        key = ("GET", path, _text(params))
        known = self._find(key)
        if known is None:
            known = self._keep(key, await self._http.get(path, params=params, headers=headers, expect=expect))
        return known

    async def post(
        self,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        params: Params = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
    ) -> Response:
        """Read by POST, or play what was read."""
        key = ("POST", path, _text([params, json, form]))
        known = self._find(key)
        if known is None:
            answer = await self._http.post(path, json=json, form=form, params=params, headers=headers, expect=expect)
            known = self._keep(key, answer)
        return known

    def distortions(self) -> Iterator[Distortion]:
        """Yield one by one what can be wrong with the recorded answers: types, nulls, and what is missing."""
        for key, response in self.recorded.items():
            try:
                body = orjson.loads(response.body)
            except orjson.JSONDecodeError:
                continue
            for place, was in _places(body):
                values = [one for one in ODD if type(one) is not type(was)]
                if place and isinstance(place[-1], str):
                    values.append(MISSING)
                for value in values:
                    yield Distortion(key, place, value, was)

    def _find(self, key: Key) -> Response | None:
        if not self.is_played:
            return None
        self.played += 1
        assert self.played <= MOST_PLAYED, "the adapter reads on and on"
        return self.changed.get(key) or self.recorded.get(key)

    def _keep(self, key: Key, response: Response) -> Response:
        if not self.is_played:
            self.recorded[key] = response
        return response


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=list).decode()


def _places(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every place of a JSON value with what stands there; of a list the first two and the last."""
    yield place, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*place, name))
    elif isinstance(value, list):
        for number in sorted({0, 1, len(value) - 1} & set(range(len(value)))):
            yield from _places(value[number], (*place, number))
