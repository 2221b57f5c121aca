"""One read as a value, so that it can be sent as often as it takes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from syncd.sources.address import bare_path

Params = Mapping[str, str | int] | Sequence[tuple[str, str | int]]


@dataclass(frozen=True, slots=True)
class Request:
    """A read: where it goes, what it carries, and which statuses its caller wants to see. `path` has no query."""

    method: str
    path: str
    url: str = field(repr=False)
    params: Params | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    expect: frozenset[int] = frozenset()
    signed: bool = True

    @property
    def host(self) -> str:
        """Return the host that it goes to: tokens may be given out by another one than everything else."""
        return urlsplit(self.url).hostname or ""

    def with_json(self, value: Any) -> "Request":
        """Return the request with a JSON body."""
        return replace(self, body=orjson.dumps(value), headers={"Content-Type": "application/json", **self.headers})

    def with_form(self, form: Mapping[str, str | int]) -> "Request":
        """Return the request with a form as its body."""
        kind = "application/x-www-form-urlencoded"
        return replace(self, body=urlencode(form).encode("ascii"), headers={"Content-Type": kind, **self.headers})

    def with_params(self, more: Mapping[str, str]) -> "Request":
        """Return the request with these parameters behind its own, in the place of any others of their names."""
        own = self.params or ()
        pairs = own.items() if isinstance(own, Mapping) else own
        return replace(self, params=[*(pair for pair in pairs if pair[0] not in more), *more.items()])

    def with_header(self, name: str, value: str) -> "Request":
        """Return the request with this header in the place of any other of the name."""
        kept = {key: text for key, text in self.headers.items() if key.lower() != name.lower()}
        return replace(self, headers={**kept, name: value})


def request_for(
    method: str,
    path: str,
    url: str,
    params: Params | None,
    headers: Mapping[str, str] | None,
    expect: Collection[int],
) -> Request:
    """Return the read of a path."""
    return Request(method, bare_path(path), url, params, dict(headers or {}), expect=frozenset(expect))
