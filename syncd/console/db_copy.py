"""`syncd db copy`: everything moves to another database, and the one that it was in is never sent from again.

The order of the commits keeps it so that at no instant, a kill included, either of the two can be sent from while the
other one can: the source is set aside, the target is filled and compared, the target becomes whole, the source is
marked as moved. Whatever is cut off is finished, or given up, by the same command. See docs/adr/0013.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from syncd.console.context import CommandContext, invocation_of, opened, quiet_log
from syncd.console.deliveries_bulk import confirm
from syncd.console.locked import locked
from syncd.console.output import notice, say
from syncd.console.progress import ProgressDisplay
from syncd.model.errors import StoreError, SyncdError, UsageError
from syncd.store import copy, leases, moved, restored
from syncd.store.copy import Show
from syncd.store.database import Connection, Database, open_database
from syncd.store.high_water import HighWater, is_behind
from syncd.store.schema import LATEST, SchemaState, compare, database_id, read_version
from syncd.store.standing import Decision

IDLE_SECONDS = 600.0


def copy_command(
    ctx: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The other database, without a password: sqlite:////PATH or postgresql://..."),
    ] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file that holds the URL; with a password, as arguments can be seen."),
    ] = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Use the old database again, after a copy that did not come to its end.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Move everything to another, empty database: SQLite to PostgreSQL, or back. Stop every worker first.

    All rows keep their ids, and are compared at the end. From the old database nothing is sent any more after it; if
    the copy is cut off, neither is used until the same command was run again.
    """
    url = _target_url(to, to_file)

    async def work() -> None:
        async with opened(invocation_of(ctx), ensure=False) as context, _target(url) as target:
            move = Move(context, target, url)
            state = await move.source_state()
            if give_up:
                await move.give_up(state)
                return
            if state is SchemaState.CURRENT:
                question = f"Copy all of {context.database.where} to {target.where}? The old one is not used after it."
                confirm(question, yes=yes)
            with ProgressDisplay(context.clock) as display:
                await move.run(state, display.show)

    quiet_log()
    asyncio.run(work())


def _target_url(to: str | None, to_file: Path | None) -> str:
    if (to is None) == (to_file is None):
        raise UsageError("say where to: --to URL, or --to-file FILE with the URL in it")
    if to_file is not None:
        try:
            return to_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the file {to_file} cannot be read ({type(error).__name__})") from None
    try:
        has_password = urlsplit(str(to)).password is not None
    except ValueError:
        has_password = False  # it is no address at all, and refused as such
    if has_password:
        raise UsageError("a password in an argument can be seen by all of this machine; use --to-file FILE")
    return str(to)


@asynccontextmanager
async def _target(url: str) -> AsyncIterator[Database]:
    database = open_database(url, idle_seconds=IDLE_SECONDS)
    try:
        if database.dialect == "sqlite" and not Path(database.where).parent.is_dir():
            raise UsageError(f"there is no directory {Path(database.where).parent}; make it first")
        yield database
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class Move:
    """One database, and the one that it moves to."""

    context: CommandContext
    target: Database
    target_url: str

    @property
    def source(self) -> Database:
        """Return where everything is."""
        return self.context.database

    async def source_state(self) -> SchemaState:
        """Return how the source stands.

        Raises:
            StoreError: it cannot be copied.
        """
        state = compare(await self.source.read(read_version))
        if state is SchemaState.MISSING:
            raise StoreError(f"there is nothing in the database at {self.source.where}; database.url names the old one")
        if state in {SchemaState.MOVED, SchemaState.UNFINISHED}:
            raise StoreError(await self.source.read(lambda c: moved.explain(c, state, self.source.where)))
        if state in {SchemaState.OLDER, SchemaState.NEWER}:
            raise StoreError(f"the database at {self.source.where} is not of schema {LATEST}; run `syncd db upgrade`")
        return state

    async def run(self, state: SchemaState, show: Show) -> None:
        """Copy, or finish what was cut off."""
        async with self._alone():
            copy_id = await self._copy_id(state)
            if not await self.target.read(lambda c: copy.is_copy(c, copy_id)):
                await self._fill(state, copy_id, show)
            # From here on the target may be in use: the old one, and every backup of it, must not be sent from.
            await self._raise_mark()
            await self.source.write(lambda c: moved.put_version(c, moved.MOVED))
        say(f"everything of {self.source.where} is in {self.target.where} now, and the same; the old one is out of use")
        say("Write the new address into database.url, run `syncd check`, and start syncd.")

    async def give_up(self, state: SchemaState) -> None:
        """Let the source be used again, unless the target is whole.

        Raises:
            SyncdError: no copy was begun, or it is whole, or it cannot be known.
        """
        if state is not SchemaState.MOVING:
            raise UsageError(f"no copy of the database at {self.source.where} was begun; there is nothing to give up")
        async with self._alone():
            copy_id = await self._copy_id(state, give_up=True)
            if await self.target.read(lambda c: copy.is_copy(c, copy_id)):
                raise SyncdError(
                    f"the database at {self.target.where} is whole and may have been sent from, so the old one must "
                    "not be used again; run the same without --give-up"
                )
            await self.source.write(moved.give_back)
        say(f"the database at {self.source.where} is used again; what was copied to {self.target.where} is of no use")

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold the worker's lock of both, so that no worker runs on either."""
        async with AsyncExitStack() as both:
            await both.enter_async_context(locked(self.context.database_url, self.source, self.context.clock))
            await both.enter_async_context(locked(self.target_url, self.target, self.context.clock))
            yield

    async def _copy_id(self, state: SchemaState, *, give_up: bool = False) -> str:
        """Return the id that the target gets; that of a copy which was begun already.

        Raises:
            StoreError: that one went somewhere else, or the source must not be copied as it is.
        """
        if state is SchemaState.MOVING:
            to = await self.source.read(lambda c: moved.find_fact(c, moved.TO))
            if to != self.target.where:
                raise UsageError(f"a copy to {to} was begun; finish that one, or give it up with --give-up first")
            if not give_up and await self.source.read(lambda c: moved.find_fact(c, moved.VERSION)) != LATEST:
                raise StoreError("another version of syncd began this copy; give it up (--give-up), then copy anew")
            return str(await self.source.read(lambda c: moved.find_fact(c, moved.COPY_ID)))
        name = await self.source.read(database_id)
        counter = await self.source.read(restored.attempt_counter)
        if is_behind(self._high_water().read(name), name, counter):
            raise StoreError(
                f"the database at {self.source.where} was restored from a backup, and its copy could not be told to be "
                "one; run `syncd db restored` first. Nothing was changed."
            )
        return secrets.token_hex(16)

    def _high_water(self) -> HighWater:
        from syncd.service.wiring import high_water_path  # noqa: PLC0415 - the vendors' HTTP: no help text needs it

        return HighWater(high_water_path(self.context.settings))

    async def _raise_mark(self) -> None:
        """Let every backup of the source be known as one, also one from after its last attempt."""
        name = await self.source.read(database_id)
        counter = await self.source.read(restored.attempt_counter)
        high_water = self._high_water()
        high_water.open(name, counter + 1)
        high_water.close()

    async def _fill(self, state: SchemaState, copy_id: str, show: Show) -> None:
        """Make the target whole; if that fails before the last commit, the source is used again."""
        by = self.context.decision(f"from {self.source.where} to {self.target.where}")
        await self.target.write(lambda c: copy.begin(c, self.target.where, self.source.where, copy_id))
        await self.source.write(lambda c: self._set_aside(c, state, copy_id, by))
        try:
            await copy.carry_all(self.source, self.target, show)
            given = await self.source.read(copy.read_counters)
        except BaseException:
            await self.source.write(moved.give_back)
            notice(f"the copy failed; the database at {self.source.where} is used as before, the other one cannot be")
            raise
        try:
            await self.target.write(lambda c: copy.finish(c, given, by))
        except BaseException:
            # The commit may be there, so that giving the source back could have both in use.
            notice(
                f"whether {self.target.where} is whole is not known; neither is used until this command is run again"
            )
            raise

    def _set_aside(self, connection: Connection, state: SchemaState, copy_id: str, by: Decision) -> None:
        if state is SchemaState.CURRENT:
            moved.set_aside(connection, self.target.where, copy_id, by.at)
        leases.void_all(connection)
