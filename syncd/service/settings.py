"""Loading the settings: files, credentials and environment become one frozen `Settings`, or a list of every mistake.

What is stronger wins: environment variables (settings_environment.py), then credentials (settings_secrets.py), then
the files (settings_files.py) with their `..._file` secrets. pydantic-settings merges the layers. It does not read them
itself: its environment source passes over misspelt variables, cannot reach a name with a `-` in it, and does not know
the options of the adapters.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import PydanticBaseSettingsSource

from syncd.model.errors import Problem, SettingsError, SyncdError
from syncd.service.settings_environment import find_variables, name_variables, read_environment
from syncd.service.settings_files import find_settings_path, is_world_readable, read_settings_files
from syncd.service.settings_models import (
    ApiSettings,
    ConsoleSettings,
    DatabaseSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    RetentionSettings,
    Settings,
    SystemSettings,
)
from syncd.service.settings_places import (
    FILE_SUFFIX,
    Findings,
    Outline,
    Place,
    Tree,
    leaves,
    nearest,
    table_at,
    write_place,
)
from syncd.service.settings_secrets import credentials_directory, put_file_secrets, read_credentials
from syncd.sources import registry
from syncd.sources.adapter import Adapter

__all__ = [
    "ApiSettings",
    "ConsoleSettings",
    "DatabaseSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "RetentionSettings",
    "Settings",
    "SystemSettings",
    "find_settings_path",
    "load_settings",
]

SERVICE_STATE = Path("/var/lib/syncd")
"""The StateDirectory of systemd/syncd.service."""

AdapterLoader = Callable[[str], type[Adapter[Any]]]


def load_settings(
    path: Path | None, environ: Mapping[str, str], load_adapter: AdapterLoader = registry.load_adapter
) -> Settings:
    """Return the settings of a file (None: of the environment alone), its `conf.d`, credentials and variables.

    Raises:
        SettingsError: with every mistake at once, each with its place; no text of it holds a secret.
    """
    findings = Findings()
    files = read_settings_files(path, findings) if path else {}
    variables = name_variables(find_variables(environ), files, findings)
    adapters = _load_adapters(files, variables, environ, load_adapter, findings)
    outline = Outline(Settings, {name: adapter.config for name, adapter in adapters.items()})
    _warn_about_readable_files(path, files, outline, findings)
    given = read_environment(variables, environ, outline, files, findings)
    configured = {table: {**table_at(files, table), **table_at(given, table)} for table in ("api", "systems")}
    credentials = read_credentials(credentials_directory(path, environ), outline, configured, findings)
    layers = [given, credentials, files]
    put_file_secrets(layers, outline, path.parent if path else Path(), findings)
    derived = {"state_directory": _state_directory(layers, environ), "systems": _derived_systems(configured, adapters)}
    settings = _validated([*layers, derived], outline, findings)
    if settings is None or findings.problems:
        raise SettingsError(findings.problems) from None
    return settings.noticing(tuple(findings.warnings))


class _Layer(PydanticBaseSettingsSource):
    """A tree that was read already, as pydantic-settings takes it."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(Settings)
        self._tree = tree

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - its interface
        return self._tree.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._tree


def _validated(layers: list[Tree], outline: Outline, findings: Findings) -> Settings | None:
    # With PYDANTIC_SETTINGS_DEBUG the library logs the values that it merges.
    logging.getLogger("pydantic_settings").setLevel(logging.WARNING)
    try:
        return Settings(_build_sources=(tuple(_Layer(tree) for tree in layers), {}))
    except ValidationError as error:
        for line in error.errors(include_url=False, include_context=False):
            _add_mistake(line, outline, findings)
    return None


def _add_mistake(line: ErrorDetails, outline: Outline, findings: Findings) -> None:
    place = tuple(str(key) for key in line["loc"] if key != "[key]")
    kind, message = line["type"], line["msg"].removeprefix("Value error, ")
    if kind == "missing":
        if place[-1] != "adapter_class":  # it follows from a mistake in `adapter`, which is noted
            findings.add(place, _missing(place, outline))
    elif kind == "extra_forbidden":
        findings.add(place, f"is no setting{_better_place(place, outline)}")
    elif place[0] == "systems" and outline.is_secret(place):
        findings.add(place, "is not what the adapter takes" if kind != "string_type" else "must be a text, in quotes")
    elif kind == "enum":
        hint = nearest(line["input"], _choices(message)) if isinstance(line["input"], str) else ""
        findings.add(place, f"{message.replace('Input should be', 'must be')}{hint}")
    else:
        findings.add(place, message.replace("Input should be", "must be"))


def _choices(message: str) -> list[str]:
    return message.split("'")[1::2]


def _missing(place: Place, outline: Outline) -> str:
    if not outline.is_secret(place):
        return "is missing"
    variable = f"SYNCD_{'__'.join(place).upper().replace('-', '_')}"
    return f"is missing; set it, or {place[-1]}{FILE_SUFFIX}, {variable}, or the credential {write_place(place)}"


def _better_place(place: Place, outline: Outline) -> str:
    """Return a hint at the nearest key, or at the table where this very key is known."""
    if hint := nearest(place[-1], outline.keys_at(place[:-1])):
        return hint
    options = (*place[:-1], "options")
    if place[0] == "systems" and len(place) == 3 and place[-1] in outline.keys_at(options):
        return f"; it belongs in [{write_place(options)}]"
    known = outline.keys_at(place[:-1])
    return f" (known here: {', '.join(known)})" if 0 < len(known) <= 6 else ""


def _load_adapters(
    files: Tree, variables: dict[str, Place], environ: Mapping[str, str], load: AdapterLoader, findings: Findings
) -> dict[str, type[Adapter[Any]]]:
    """Return the adapter class of every system whose adapter could be loaded; the others are noted."""
    wanted: dict[str, Any] = {
        name: table_at(files, "systems", name).get("adapter") for name in table_at(files, "systems")
    }
    for variable, place in variables.items():
        if len(place) == 3 and place[0] == "systems" and place[2] == "adapter":
            wanted[place[1]] = environ[variable]
    loaded: dict[str, type[Adapter[Any]] | SyncdError] = {}
    found: dict[str, type[Adapter[Any]]] = {}
    for system, adapter in wanted.items():
        if not isinstance(adapter, str):
            continue
        if adapter not in loaded:
            try:
                loaded[adapter] = load(adapter)
            except SyncdError as error:
                loaded[adapter] = error
        outcome = loaded[adapter]
        if isinstance(outcome, SyncdError):
            findings.add(("systems", system, "adapter"), _reason(outcome))
        else:
            found[system] = outcome
    return found


def _reason(error: SyncdError) -> str:
    problems = error.problems if isinstance(error, SettingsError) else (Problem("", str(error)),)
    return "; ".join(problem.message for problem in problems)


def _derived_systems(configured: Tree, adapters: Mapping[str, type[Adapter[Any]]]) -> Tree:
    """Return what every system has without saying so: its adapter's class, and options of which none may be set."""
    derived: Tree = {
        name: {"options": {}} for name, system in configured["systems"].items() if isinstance(system, dict)
    }
    for name, adapter in adapters.items():
        derived[name]["adapter_class"] = adapter
    return derived


def _state_directory(layers: list[Tree], environ: Mapping[str, str]) -> Path:
    """Return $STATE_DIRECTORY (its first), else where the SQLite file is, else the user's directory for states."""
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    url = next((found for tree in layers if (found := table_at(tree, "database").get("url"))), None)
    database = _database(url)
    if database.sqlite_path is not None:
        return database.sqlite_path.parent
    # With a server, the service and the commands by hand must agree on where the high-water mark is.
    if SERVICE_STATE.is_dir():
        return SERVICE_STATE
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or "/") / ".local" / "state")
    return Path(home) / "syncd"


def _database(url: Any) -> DatabaseSettings:
    try:
        return DatabaseSettings(url=SecretStr(url)) if isinstance(url, str) else DatabaseSettings()
    except ValidationError:  # it is named when everything is validated
        return DatabaseSettings()


def _warn_about_readable_files(path: Path | None, files: Tree, outline: Outline, findings: Findings) -> None:
    """Note the settings files that hold a secret and can be read by everybody."""
    holding = {findings.origins.get(place, "") for place in _inline_secrets(files, outline)}
    for name in sorted(holding):
        file = path.parent / name if path and name else path
        if file and is_world_readable(file):
            message = "holds a secret and is readable by everybody; chmod o-r it, or use credentials or ..._file keys"
            findings.warnings.append(Problem(str(file), message))


def _inline_secrets(files: Tree, outline: Outline) -> Iterator[Place]:
    for place, value in leaves(files):
        if (
            isinstance(value, str)
            and outline.is_secret(place)
            and (place != ("database", "url") or _has_password(value))
        ):
            yield place


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return True
