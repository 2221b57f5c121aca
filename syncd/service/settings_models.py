"""The settings as values: every key, its default, and what is refused. Where they come from is not known here.

The same defaults stand in config.example.toml (held together by a test), so that file is the documentation of them.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    SecretStr,
    SerializeAsAny,
    SkipValidation,
    ValidationInfo,
    field_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_plain_validator_function
from pydantic_settings import BaseSettings, SettingsConfigDict

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.delivery import InDoubtPolicy
from syncd.model.errors import Problem
from syncd.model.policy import ApiPolicy, Mode, On500, OnEdit, OnMerge, Order, StatusNotes, SystemPolicy
from syncd.service.settings_checks import (
    check_address,
    check_api_address,
    check_command,
    check_database_url,
    check_link_host,
    check_listen,
    check_note_text,
    check_webhook,
    check_zone,
    checked_options,
    zone_oddity,
)
from syncd.sources.adapter import Adapter, AdapterConfig

CONTRACT_REQUESTS_PER_MINUTE = 1000
"""What the Open API allows per endpoint and key; past it every request of the next minute is denied."""

NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
LONGEST_NAME = 64
SHORTEST_TOKEN = 16
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PRINTABLE = re.compile(r"[!-~]+")


def _check_name(name: str) -> str:
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise ValueError(
            "is no name for it: use small letters and digits, with single - or _ between them, such as berlin-mitte"
        )
    return name


def _check_key(key: SecretStr) -> SecretStr:
    if not PRINTABLE.fullmatch(key.get_secret_value()):
        raise ValueError("cannot be a key: it is empty, or has blanks, line breaks or letters outside ASCII in it")
    return key


def _check_token(token: SecretStr) -> SecretStr:
    if len(_check_key(token).get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(
            f"is too short to keep anybody out: {SHORTEST_TOKEN} characters or more (openssl rand -hex 32)"
        )
    return token


def _upper(word: Any) -> Any:
    return word.upper() if isinstance(word, str) else word


Name = Annotated[str, AfterValidator(_check_name)]
ZoneName = Annotated[str, AfterValidator(check_zone)]
Positive = Annotated[float, Field(gt=0)]
LinkHost = Annotated[str, AfterValidator(check_link_host)]


class LogLevel(StrEnum):
    """The least severe lines that are written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """How a line looks: `auto` is human on a terminal and JSON everywhere else."""

    AUTO = "auto"
    HUMAN = "human"
    JSON = "json"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class _AdapterClass:
    """Takes the class that the loader puts in and refuses what is written; pydantic cannot check generic classes."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.check)

    @staticmethod
    def check(value: Any) -> Any:
        if not isinstance(value, type):
            raise PydanticCustomError("extra_forbidden", "is no setting; the key is adapter")
        return value


class DatabaseSettings(_Table):
    """[database]: a file on this machine, or a PostgreSQL server."""

    url: Annotated[SecretStr, AfterValidator(check_database_url)] = SecretStr("sqlite:////var/lib/syncd/syncd.db")
    lease_seconds: Annotated[float, Field(ge=1, le=600)] = 30

    @property
    def sqlite_path(self) -> Path | None:
        """Return the database's file, or None for a server."""
        text = self.url.get_secret_value()
        return Path(urlsplit(text).path[1:]) if text.startswith("sqlite:") else None

    @property
    def shown_url(self) -> str:
        """Return the address for people: without user, password and parameters."""
        parts = urlsplit(self.url.get_secret_value())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class ConsoleSettings(_Table):
    """[console]: where the status page and the control API listen, and who may do what there."""

    listen: Annotated[str, AfterValidator(check_listen)] | None = None
    token: Annotated[SecretStr, AfterValidator(_check_token)] | None = None
    hosts: tuple[LinkHost, ...] = ()

    @property
    def socket(self) -> str | None:
        """Return the path of the Unix socket to listen on, or None."""
        is_socket = self.listen is not None and self.listen.startswith("unix:")
        return self.listen.removeprefix("unix:") if is_socket and self.listen else None

    @property
    def address(self) -> tuple[str, int] | None:
        """Return host and port to listen on, or None."""
        if self.listen is None or self.socket is not None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """Say whether nobody outside of this machine can reach it, as far as it knows."""
        return self.socket is not None or (self.address is not None and self.address[0] in LOOPBACK)


class AlertSettings(_Table):
    """[alerts]: who is told when something does not go on, and how soon."""

    command: Annotated[tuple[str, ...], AfterValidator(check_command)] = ()
    webhook: Annotated[SecretStr, AfterValidator(check_webhook)] | None = None
    after_minutes: Positive = 15
    intervals: Annotated[float, Field(ge=1)] = 5
    repeat_hours: Positive = 24

    @property
    def is_configured(self) -> bool:
        """Say whether anybody is told."""
        return bool(self.command) or self.webhook is not None


class RetentionSettings(_Table):
    """[retention]: how long contents stay after their delivery; ids stay for ever."""

    contents_days: Annotated[float, Field(ge=0)] = 90


class LogSettings(_Table):
    """[log]: how much is written, and how it looks."""

    level: Annotated[LogLevel, BeforeValidator(_upper)] = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO
    verbose: tuple[str, ...] = ()


class ApiSettings(_Table):
    """[api.NAME]: one studio's key of the Open API, with its own pace."""

    base_url: Annotated[str, AfterValidator(check_api_address)]
    api_key: Annotated[SecretStr, AfterValidator(_check_key)]
    requests_per_minute: Positive = 900
    in_flight: Annotated[int, Field(ge=1)] = 64
    timeout_seconds: Positive = 30
    timezone: ZoneName | None = None
    in_doubt: InDoubtPolicy = InDoubtPolicy.HOLD
    on_500: On500 = On500.RETRY
    order: Order = Order.RELAXED
    mode: Mode = Mode.SEND

    def policy(self, name: str, default_zone: ZoneInfo) -> ApiPolicy:
        """Return how deliveries to this api are sent."""
        return ApiPolicy(
            name=name,
            zone=ZoneInfo(self.timezone) if self.timezone else default_zone,
            requests_per_minute=self.requests_per_minute,
            in_flight=self.in_flight,
            in_doubt=self.in_doubt,
            on_500=self.on_500,
            order=self.order,
            mode=self.mode,
        )


class SystemSettings(_Table):
    """[systems.NAME]: one ticketing system. `options` is an instance of the adapter's own config class."""

    adapter: str
    adapter_class: Annotated[type[Adapter[Any]], _AdapterClass()] = Field(repr=False, exclude=True)
    poll_seconds: Annotated[float, Field(ge=1)] = 60
    requests_per_minute: Positive | None = None
    status_notes: StatusNotes = StatusNotes.CLOSED
    status_note_text: Annotated[str, AfterValidator(check_note_text)] = "The ticket was {status}."
    on_edit: OnEdit = OnEdit.IGNORE
    on_merge: OnMerge = OnMerge.SUSPEND
    automatic_messages: bool = False
    link_hosts: tuple[LinkHost, ...] = ()
    active_hours: Annotated[float, Field(ge=0)] = 4
    quiet_poll_seconds: Positive = 6 * 3600
    closed_watch_days: Annotated[float, Field(ge=0)] = 14
    full_sweep_hours: Positive = 24
    sweep_deadline_seconds: Positive = 600
    flood_replies: Annotated[int, Field(ge=0)] = 200
    flood_older_hours: Annotated[float, Field(ge=0)] = 1
    channels: Mapping[str, Channel] = Field(default_factory=dict)
    statuses: Mapping[str, ThreadStatus] = Field(default_factory=dict)
    webhook_secret: Annotated[SecretStr, AfterValidator(_check_key)] | None = None
    options: SkipValidation[SerializeAsAny[AdapterConfig]]

    @field_validator("options", mode="plain")
    @classmethod
    def _check_options(cls, value: Any, info: ValidationInfo) -> Any:
        adapter: type[Adapter[Any]] | None = info.data.get("adapter_class")
        return value if adapter is None else checked_options(adapter.config, value, check_address)

    def policy(self, name: str) -> SystemPolicy:
        """Return how this system is polled and its replies are mapped."""
        return SystemPolicy(
            name=name,
            poll_seconds=self.poll_seconds,
            status_notes=self.status_notes,
            status_note_text=self.status_note_text,
            on_edit=self.on_edit,
            on_merge=self.on_merge,
            automatic_messages=self.automatic_messages,
            channels=self.channels,
            statuses=self.statuses,
            active_hours=self.active_hours,
            quiet_poll_seconds=self.quiet_poll_seconds,
            closed_watch_days=self.closed_watch_days,
            full_sweep_hours=self.full_sweep_hours,
            sweep_deadline_seconds=self.sweep_deadline_seconds,
            flood_replies=self.flood_replies,
            flood_older_hours=self.flood_older_hours,
        )


class Settings(BaseSettings):
    """Everything an operator decides. Made by `load_settings`; frozen; equal when every value is equal."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    timezone: ZoneName = "Europe/Berlin"
    state_directory: Path
    database: DatabaseSettings = DatabaseSettings()
    console: ConsoleSettings = ConsoleSettings()
    alerts: AlertSettings = AlertSettings()
    log: LogSettings = LogSettings()
    retention: RetentionSettings = RetentionSettings()
    api: Mapping[Name, ApiSettings] = Field(default_factory=dict)
    systems: Mapping[Name, SystemSettings] = Field(default_factory=dict)

    _noticed: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def zone(self) -> ZoneInfo:
        """Return the time zone of the apis that have none of their own."""
        return ZoneInfo(self.timezone)

    def api_policies(self) -> dict[str, ApiPolicy]:
        """Return the policy of every api by its name."""
        return {name: api.policy(name, self.zone) for name, api in self.api.items()}

    def system_policies(self) -> dict[str, SystemPolicy]:
        """Return the policy of every system by its name."""
        return {name: system.policy(name) for name, system in self.systems.items()}

    def noticing(self, noticed: tuple[Problem, ...]) -> "Settings":
        """Keep what the loader noticed about the files, for `warnings`. Returns itself."""
        self._noticed = noticed
        return self

    def warnings(self) -> list[Problem]:
        """Return what works and should still be looked at."""
        found = [*self._noticed, *self._odd_zones(), *self._quick_apis(), *self._adapter_warnings()]
        found += self._idle_webhooks()
        unknown = [name for name in self.log.verbose if name not in self.systems and name not in self.api]
        found += [Problem("log.verbose", f"there is no system and no api {name}") for name in unknown]
        for table, empty in (("api", not self.api), ("systems", not self.systems)):
            if empty:
                found.append(Problem(table, f"no [{table}.NAME] is configured, so there is nothing to do"))
        if self.console.listen and not self.console.is_local:
            advice = (
                "put a proxy with TLS before it" if self.console.token else "set console.token: nothing is shown else"
            )
            found.append(Problem("console.listen", f"listens beyond this machine, without TLS; {advice}"))
        return found

    def _odd_zones(self) -> list[Problem]:
        names = {"timezone": self.timezone} | {f"api.{name}.timezone": api.timezone for name, api in self.api.items()}
        return [Problem(place, oddity) for place, name in names.items() if name and (oddity := zone_oddity(name))]

    def _quick_apis(self) -> list[Problem]:
        message = (
            f"is above the {CONTRACT_REQUESTS_PER_MINUTE} that the Open API allows by default; past it every request "
            "of the next minute is denied. Keep it only if a higher limit was agreed on"
        )
        return [
            Problem(f"api.{name}.requests_per_minute", message)
            for name, api in self.api.items()
            if api.requests_per_minute > CONTRACT_REQUESTS_PER_MINUTE
        ]

    def _idle_webhooks(self) -> list[Problem]:
        return [
            Problem(f"systems.{name}.webhook_secret", "no webhook can come; set [console] listen (docs/webhooks.md)")
            for name, system in self.systems.items()
            if system.webhook_secret and not self.console.listen
        ]

    def _adapter_warnings(self) -> list[Problem]:
        return [
            Problem(f"systems.{name}.options", message)
            for name, system in self.systems.items()
            for message in system.adapter_class.warnings(system.options)
        ]
