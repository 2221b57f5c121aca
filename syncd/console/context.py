"""What a command works with: the settings, the database, the clock, and who asks."""

import asyncio
import os
import pwd
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import typer

from syncd.model.clock import Clock, SystemClock
from syncd.model.errors import StoreError, UsageError

if TYPE_CHECKING:  # settings and store take half a second to import; a help text needs neither
    from syncd.service.settings import ApiSettings, Settings, SystemSettings
    from syncd.store.database import Database
    from syncd.store.standing import Decision

T = TypeVar("T")
FIRST_YEAR, LAST_YEAR = 1970, 9000


@dataclass(slots=True)
class Invocation:
    """How syncd was called."""

    config: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = field(default_factory=SystemClock)

    def load_settings(self) -> "Settings":
        """Return the settings of `--config`, of $SYNCD_CONFIG, or of the place where they usually are.

        Raises:
            SettingsError: every mistake in them.
        """
        from syncd.service.settings import find_settings_path, load_settings  # noqa: PLC0415 - see above

        return load_settings(find_settings_path(self.config, self.environ), self.environ)


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What a command works with. `who` is the person who called it, as far as the machine knows."""

    settings: "Settings"
    database: "Database"
    clock: Clock
    who: str

    @property
    def database_url(self) -> str:
        """Return the address of the database, with its password."""
        return self.settings.database.url.get_secret_value()

    @property
    def zone(self) -> ZoneInfo:
        """Return the time zone in which instants are shown, and in which one without a zone is read."""
        return self.settings.zone

    def decision(self, reason: str) -> "Decision":
        """Return a decision made now by the person who called."""
        from syncd.store.standing import Decision  # noqa: PLC0415 - see above

        if not reason.strip():
            raise UsageError("a decision needs a reason that says something; it stays in the records")
        return Decision(self.who, self.clock.now(), reason.strip())

    def get_api(self, name: str) -> "ApiSettings":
        """Return a configured api.

        Raises:
            UsageError: there is none of that name; the nearest one is named.
        """
        return _get(self.settings.api, name, "api")

    def get_system(self, name: str) -> "SystemSettings":
        """Return a configured system.

        Raises:
            UsageError: there is none of that name; the nearest one is named.
        """
        return _get(self.settings.systems, name, "systems")


def _get(configured: Mapping[str, T], name: str, table: str) -> T:
    from syncd.service.settings_places import nearest  # noqa: PLC0415 - see above

    if name in configured:
        return configured[name]
    known = ", ".join(sorted(configured)) or "none"
    hint = nearest(name, configured) or f"; configured: {known}"
    raise UsageError(f"there is no [{table}.{name}] in the settings{hint}")


def invocation_of(ctx: typer.Context) -> Invocation:
    """Return how syncd was called."""
    found = ctx.find_root().obj
    if not isinstance(found, Invocation):
        raise TypeError("a command was called outside of the program")
    return found


def perform(ctx: typer.Context, work: Callable[[CommandContext], Awaitable[T]]) -> T:
    """Do a command's work with everything it needs, and close it all after it.

    Raises:
        SyncdError: the settings or the database cannot be used, or the work failed.
    """

    async def run() -> T:
        async with opened(invocation_of(ctx)) as context:
            return await work(context)

    quiet_log()
    return asyncio.run(run())


def quiet_log() -> None:
    """Write warnings and errors alone, for people: a command says itself what it did."""
    from syncd.service.log import configure_log  # noqa: PLC0415 - see above

    configure_log("WARNING", "human", sys.stderr)


@asynccontextmanager
async def opened(invocation: Invocation, *, ensure: bool = True) -> AsyncIterator[CommandContext]:
    """Yield the context of a command; a missing database is created, an older one is refused (`syncd db upgrade`).

    With `ensure` false the database is taken as it is, for commands that are about its version.
    """
    from syncd.store.database import open_database  # noqa: PLC0415 - see above
    from syncd.store.high_water import HighWater, mark_path  # noqa: PLC0415 - see above
    from syncd.store.lost import refuse_lost  # noqa: PLC0415 - see above
    from syncd.store.moved import CommandDatabase  # noqa: PLC0415 - see above
    from syncd.store.schema import ensure_schema  # noqa: PLC0415 - see above

    settings = invocation.load_settings()
    file = settings.database.sqlite_path
    if file is not None and not file.parent.is_dir():
        raise StoreError(
            f"there is no directory {file.parent} for the database; make it (the service has it made by systemd), "
            "or put database.url right"
        )
    database = open_database(settings.database.url.get_secret_value())
    try:
        if ensure:
            await refuse_lost(database, file, HighWater(mark_path(settings.state_directory, file)))
            await ensure_schema(database, migrate=False)
            database = CommandDatabase(database)
        yield CommandContext(settings, database, invocation.clock, who(invocation.environ))
    finally:
        await database.close()


def who(environ: Mapping[str, str]) -> str:
    """Return the login name of the person who called; under sudo the one who called that."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user that exists only while a service runs
        name = f"uid {os.getuid()}"
    # Only root may say so: anybody can set a variable.
    sudo = environ.get("SUDO_USER") if os.getuid() == 0 else None
    return sudo or name


def parse_instant(text: str, zone: ZoneInfo) -> tuple[datetime, bool]:
    """Return an instant of ISO 8601, and whether it had no zone of its own, so that `zone` was taken.

    Raises:
        UsageError: it is none.
    """
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError:
        written = None
    # An instant of the first or the last year could not be moved by a zone or an overlap, and nobody means one.
    if written is None or not FIRST_YEAR <= written.year <= LAST_YEAR:
        raise UsageError(f"{text[:40]!r} is no instant; write it like 2026-05-01T08:00:00+02:00")
    if written.tzinfo is not None:
        return written, False
    return written.replace(tzinfo=zone), True
