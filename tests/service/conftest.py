"""Settings in a directory of their own, and an adapter to be configured, which no test of the settings ever asks."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field, SecretStr, model_validator

from syncd.model.errors import Problem, SettingsError
from syncd.model.ticket import Identity, Reply, Ticket, TicketRef, Unavailable
from syncd.service.settings import Settings, load_settings
from syncd.sources.adapter import Adapter, AdapterConfig, Connection, HeaderAuthentication

Load = Callable[..., Settings]
Refused = Callable[..., dict[str, str]]


class DeskConfig(AdapterConfig):
    """Options with a text, a secret, a secret that may be absent, a list and a rule over several of them."""

    client_id: str = Field(description="Who we are.")
    client_secret: SecretStr = Field(description="What only we know.")
    spare_secret: SecretStr | None = Field(None, description="Another one.")
    groups: list[str] = Field(default_factory=list, description="Which groups are read.")

    @model_validator(mode="after")
    def _two_secrets(self) -> "DeskConfig":
        if self.spare_secret and self.spare_secret == self.client_secret:
            raise ValueError(f"the spare secret is the other one: {self.spare_secret.get_secret_value()}")
        return self


class Desk(Adapter[DeskConfig]):
    """An adapter as the settings see it."""

    config: ClassVar[type[AdapterConfig]] = DeskConfig
    title = "Desk"
    documentation = "https://desk.example/api"
    permissions = "none"

    @classmethod
    def connection(cls, options: DeskConfig) -> Connection:
        return Connection(options.base_url, HeaderAuthentication(options.client_secret), requests_per_minute=60)

    @classmethod
    def warnings(cls, options: DeskConfig) -> tuple[str, ...]:
        return ("the client old will end in May",) if options.client_id == "old" else ()

    async def check(self) -> Identity:
        raise NotImplementedError

    async def resolve(self, ref: TicketRef) -> Ticket:
        raise NotImplementedError

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        raise NotImplementedError

    def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        raise NotImplementedError


def load_desk(name: str) -> type[Adapter[Any]]:
    """Know one adapter, as the registry does: another name is refused with the nearest one."""
    if name != "desk":
        raise SettingsError([Problem("", f"no adapter {name} is installed; did you mean desk?")])
    return Desk


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory for config.toml and what lies beside it."""
    return tmp_path


@pytest.fixture
def load(directory: Path) -> Load:
    """Write config.toml (readable by its owner alone) and load it."""

    def write_and_load(toml: str, environ: Mapping[str, str] | None = None) -> Settings:
        path = directory / "config.toml"
        path.write_text(toml, encoding="utf-8")
        path.chmod(0o600)
        return load_settings(path, environ or {}, load_desk)

    return write_and_load


@pytest.fixture
def refused(load: Load) -> Refused:
    """Write config.toml, expect it to be refused, and return the mistakes by place."""

    def write_and_fail(toml: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        with pytest.raises(SettingsError) as caught:
            load(toml, environ)
        return {problem.place: problem.message for problem in caught.value.problems}

    return write_and_fail
