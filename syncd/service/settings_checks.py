"""What single values of the settings must be: pure checks that return the value or raise ValueError with a sentence.

A sentence never holds the value itself: some values are secrets, and all stand in a file that the reader has open.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from string import Formatter
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from syncd.model.errors import SettingsError
from syncd.service.settings_places import Outline, leaves, nearest
from syncd.sources.address import parse_base_address

HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
HIGHEST_PORT = 65535
SHORTEST_HIDDEN = 4
"""Shorter texts are found in every sentence, and are no secrets."""


def check_address(address: str) -> str:
    """Return an address that is https (plain http on loopback alone), without credentials, query and fragment."""
    try:
        parse_base_address(address)
    except SettingsError as error:
        raise ValueError(error.problems[0].message) from None
    return address.rstrip("/")


def check_api_address(address: str) -> str:
    """Return the base address of the Open API, to which /v1/... will be appended."""
    checked = check_address(address)
    if re.search(r"/v[0-9]+(/|$)", urlsplit(checked).path):
        raise ValueError("must end before /v1, which is appended: https://<tenant>.open-api.magicline.com")
    return checked


def check_database_url(url: SecretStr) -> SecretStr:
    """Return the address of a SQLite file by its absolute path, or of a PostgreSQL database."""
    try:
        parts = urlsplit(url.get_secret_value())
    except ValueError:
        raise ValueError("is no database address: sqlite:////path/to/syncd.db or postgresql://...") from None
    if parts.scheme == "sqlite":
        if parts.netloc or not PurePosixPath(parts.path[1:]).is_absolute() or parts.path.endswith("/"):
            raise ValueError("must name a file by its absolute path, with four slashes: sqlite:////path/to/syncd.db")
        if parts.query or parts.fragment:
            raise ValueError("must be a plain path, without ? or #: sqlite:////path/to/syncd.db")
    elif parts.scheme not in {"postgresql", "postgresql+asyncpg"}:
        raise ValueError("must begin with sqlite:/// or postgresql://")
    elif not parts.path.strip("/"):
        raise ValueError("must name a database: postgresql://user@host/database")
    return url


def check_listen(listen: str) -> str:
    """Return `host:port` (an IPv6 address in brackets), or `unix:/path` of a socket."""
    if listen.startswith("unix:"):
        if not listen.startswith("unix:/") or not re.fullmatch(r"[!-~]{1,100}", listen.removeprefix("unix:")):
            raise ValueError("must name a socket by its whole path, such as unix:/run/syncd/console.sock")
        return listen
    host, _, port = listen.rpartition(":")
    plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or (":" in host and plain == host) or not re.fullmatch(r"[0-9a-zA-Z.:-]+", plain):
        raise ValueError("must be host:port, such as 127.0.0.1:8765 or [::1]:8765, or unix:/path of a socket")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > HIGHEST_PORT:
        raise ValueError(f"must end with a port from 0 to {HIGHEST_PORT}, such as 127.0.0.1:8765")
    return listen


def check_link_host(host: str) -> str:
    """Return a host, or host:port, in small letters; a whole address is refused."""
    lowered = host.lower()
    if not HOST.fullmatch(lowered):
        raise ValueError("must be a host alone, such as tickets.example.org, without https:// and path")
    return lowered


def check_webhook(address: SecretStr) -> SecretStr:
    """Return an address that alerts are posted to: https (plain http on loopback alone), the path being the secret."""
    text = address.get_secret_value()
    try:
        parts = urlsplit(text)
        check_address(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        raise ValueError("must be an address that begins with https://, without user and password") from None
    if parts.fragment or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("has a # or a character in it that no address can have")
    return address


def check_command(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command as the list of its words; it is run without a shell, from wherever the service runs."""
    if command and not PurePosixPath(command[0]).is_absolute():
        raise ValueError("must begin with the absolute path of a program: it is run without a shell")
    if any("\0" in word for word in command):
        raise ValueError("has a NUL in it, which no command can be given")
    return command


def check_note_text(text: str) -> str:
    """Return the text of a status note: not blank, and with no other gap in it than {status}."""
    try:
        gaps = [part[1:] for part in Formatter().parse(text) if part[1] is not None]
    except ValueError:
        raise ValueError("has a single { or } in it; only {status} may stand in braces") from None
    if any(name != "status" or spec or conversion for name, spec, conversion in gaps):
        raise ValueError("may have no other gap in it than {status}")
    if not text.strip():
        raise ValueError("must not be blank: the Open API refuses a communication without content")
    return text


def check_zone(name: str) -> str:
    """Return the name of a time zone that this machine (or the tzdata package) knows."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = nearest(name, sorted(available_timezones()))
        raise ValueError(f"is no time zone that is known here, such as Europe/Berlin{hint}") from None
    return name


def zone_oddity(name: str) -> str | None:
    """Return what is odd about a time zone: valid, and hardly where a studio stands."""
    if name.startswith("Etc/GMT") and name[7:8] in {"+", "-"}:
        return "is a fixed offset whose sign is turned round (Etc/GMT-1 is an hour AHEAD); name a place instead"
    if "/" not in name or name.startswith("Etc/"):
        return "names no place, so its rules for summer time may be none or frozen; a place is safer (Europe/Berlin)"
    return None


def checked_options(config: type[BaseModel], value: Any, check_base: Callable[[str], str]) -> BaseModel:
    """Return the options as the adapter's config class; every mistake is raised at once, without any value.

    `base_url` is held against the same rule as every other address, whatever the adapter checks itself.
    """
    mistakes: list[InitErrorDetails] = []
    options: BaseModel | None = None
    raw = value if isinstance(value, dict) else {}
    try:
        options = config.model_validate(value)
    except ValidationError as error:
        lines = error.errors(include_url=False, include_context=False, include_input=False)
        hidden = _hidden_texts(config, raw)
        mistakes += [_mistake(line["type"], _without(hidden, line["msg"]), line["loc"]) for line in lines]
    if isinstance(raw.get("base_url"), str) and not any(line.get("loc") == ("base_url",) for line in mistakes):
        try:
            check_base(raw["base_url"])
        except ValueError as error:
            mistakes.append(_mistake("address", str(error), ("base_url",)))
    if mistakes or options is None:
        raise ValidationError.from_exception_data(config.__name__, mistakes, hide_input=True) from None
    return options


def _hidden_texts(config: type[BaseModel], raw: Mapping[str, Any]) -> list[str]:
    """Return what no message may repeat, the longest first: secrets, and values of keys that may be misspelt ones."""
    outline = Outline(config, {})
    found = [text for place, text in leaves(dict(raw)) if outline.is_secret(place) or outline.kind_at(place) is None]
    return sorted(
        (text for text in found if isinstance(text, str) and len(text) >= SHORTEST_HIDDEN), key=len, reverse=True
    )


def _without(hidden: list[str], message: str) -> str:
    for text in hidden:
        message = message.replace(text, "...")
    return message


def _mistake(kind: str, message: str, place: tuple[int | str, ...]) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError(kind, "{text}", {"text": message}), loc=place, input=None)
