"""Adapters, found by name: the entry point group `syncd.adapters`. Only those that are asked for are imported."""

import ssl
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from syncd.model.clock import Clock
from syncd.model.errors import Problem, SettingsError
from syncd.sources.adapter import Adapter, AdapterConfig
from syncd.sources.address import parse_base_address

if TYPE_CHECKING:  # it imports aiohttp, a sixth of the time of a command that asks no vendor
    from syncd.sources.http import VendorHttp

GROUP = "syncd.adapters"

_SHORTEST_TELLING_INPUT = 4


@dataclass(frozen=True, slots=True)
class OpenedAdapter:
    """An adapter with the HTTP it was given. Close it, or use it as `async with`."""

    adapter: Adapter[Any]
    http: "VendorHttp"

    async def close(self) -> None:
        """Close the connections to the ticketing system."""
        await self.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def adapter_names() -> list[str]:
    """Return the names of all installed adapters, sorted; none is imported."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_adapter(name: str) -> type[Adapter[Any]]:
    """Import and return the adapter of that name.

    Raises:
        SettingsError: there is none (the nearest name is told), or it cannot be imported, or it is no adapter.
    """
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        known = adapter_names()
        hint = _nearest(name, known) or f"; installed are {', '.join(known) or 'none'}"
        raise SettingsError([Problem("adapter", f"there is no adapter {name!r}{hint}")])
    try:
        loaded = points[0].load()
    except (ImportError, AttributeError, SyntaxError) as error:
        problem = Problem("adapter", f"the adapter {name!r} ({points[0].value}) cannot be imported: {error}")
        raise SettingsError([problem]) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise SettingsError([Problem("adapter", f"{points[0].value} is no subclass of syncd.sources.adapter.Adapter")])
    return loaded


def validate_options(adapter: type[Adapter[Any]], options: Mapping[str, Any]) -> AdapterConfig:
    """Return the options as the adapter's own config.

    Raises:
        SettingsError: every mistake at once, each with its place in the options. What was written there is not
            repeated: it may be a secret.
    """
    try:
        config = adapter.config.model_validate(dict(options))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise SettingsError([_problem(adapter.config, detail, options) for detail in details]) from None
    parse_base_address(config.base_url)
    return config


def open_adapter(
    adapter: type[Adapter[Any]],
    options: AdapterConfig,
    *,
    clock: Clock,
    requests_per_minute: float | None = None,
    link_hosts: Collection[str] = (),
    timeout_seconds: float = 30,
    ssl_context: ssl.SSLContext | None = None,
) -> OpenedAdapter:
    """Return an adapter, ready to be asked; no request is sent yet. `requests_per_minute` overrides its own pace.

    Raises:
        SettingsError: an address or a secret that cannot be used.
    """
    from syncd.sources.http import VendorHttp  # noqa: PLC0415 - see above

    http = VendorHttp(
        adapter.connection(options),
        clock=clock,
        requests_per_minute=requests_per_minute,
        timeout_seconds=timeout_seconds,
        ssl_context=ssl_context,
    )
    return OpenedAdapter(adapter(options, http, link_hosts), http)


def _problem(config: type[BaseModel], detail: ErrorDetails, options: Mapping[str, Any]) -> Problem:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return Problem(place, "is missing")
    if detail["type"] == "extra_forbidden":
        hint = _nearest(str(detail["loc"][-1]), _keys_at(config, detail["loc"][:-1]))
        return Problem(place, f"is not a known key{hint}")
    message = detail["msg"].removeprefix("Value error, ")
    for text in sorted(_texts_in(options), key=len, reverse=True):
        message = message.replace(text, "...")
    return Problem(place, message)


def _keys_at(config: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a config knows at a place inside it; none where that place is no config."""
    for part in path:
        field = config.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        config = field.annotation
    return [field.alias or name for name, field in config.model_fields.items()]


def _texts_in(value: Any) -> Iterator[str]:
    """Yield the texts among the options that are long enough to tell something."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_in(inner)
    elif isinstance(value, str) and len(value) >= _SHORTEST_TELLING_INPUT:
        yield value


def _nearest(name: str, known: Collection[str]) -> str:
    """Return a hint at the nearest known name, or nothing."""
    nearest = get_close_matches(name, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
