"""What `syncd check` finds, and the checks of what is on this machine: settings, database, mark, directory."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from syncd.model.errors import StoreError, SyncdError
from syncd.service.settings import Settings
from syncd.service.start import find_missing
from syncd.service.wiring import high_water_path
from syncd.store import durability, moved, restored
from syncd.store.database import Database
from syncd.store.high_water import HighWater, is_behind
from syncd.store.lost import refuse_lost
from syncd.store.schema import LATEST, SchemaState, compare, database_id, read_version


class Verdict(StrEnum):
    """Good, good but worth a look, or not good."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its verdict, what was found, and what to do where it is not good."""

    about: str
    verdict: Verdict
    found: str
    advice: str = ""


def settings_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is worth a look in settings that can be used."""
    warnings = settings.warnings()
    if not warnings:
        yield Finding("settings", Verdict.GOOD, f"{len(settings.systems)} systems, {len(settings.api)} apis")
    for problem in warnings:
        yield Finding("settings", Verdict.WARNING, str(problem))


def state_directory_finding(settings: Settings) -> Finding:
    """Return whether the high-water mark can be kept."""
    directory = settings.state_directory
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding("state directory", Verdict.GOOD, str(directory))
    who_may = "this user may not write there" if there.is_dir() else f"{there} is no directory"
    return Finding(
        "state directory",
        Verdict.BAD,
        f"{directory}: {who_may}",
        "run as the service's user, or put state_directory right",
    )


async def database_findings(settings: Settings, database: Database) -> list[Finding]:
    """Return what the database says of itself, and whether it can be worked with."""
    file = settings.database.sqlite_path
    try:
        await refuse_lost(database, file, HighWater(high_water_path(settings)))
        if file is not None and not file.exists():
            return [_missing_file(file)]
        state = compare(version := await database.read(read_version))
        if state.is_set_aside:
            said = await database.read(lambda c: moved.explain(c, state, database.where))
            return [Finding("database", Verdict.BAD, said, "put database.url right, or finish the copy")]
        if state is not SchemaState.CURRENT:
            return [_other_schema(database.where, state, version)]
        findings = [await _durability(database), await _restored(settings, database)]
        findings += [
            Finding("settings", Verdict.BAD, missing, "nothing of it is polled or sent meanwhile")
            for missing in await find_missing(database, settings)
        ]
    except StoreError as error:
        return [Finding("database", Verdict.BAD, str(error), "see database.url, and whether this user may read it")]
    return [*findings, *_open_files(file, high_water_path(settings))]


def _open_files(database: Path | None, mark: Path) -> Iterator[Finding]:
    """Yield the files that others than their owner can read or change."""
    files = {mark: "tells what was sent"}
    if database is not None:
        files[database] = "holds message contents"  # SQLite gives the files beside it the same mode
        files[database.with_name(f"{database.name}.lock")] = "says who works on the database"
    for file, what in files.items():
        with contextlib.suppress(OSError):  # it is not there, or not for this user: others say so
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                said = f"{file} {what} and is open to other users (mode {mode:04o})"
                yield Finding("database", Verdict.WARNING, said, f"chmod 600 {file}")


def _missing_file(file: Path) -> Finding:
    if file.parent.is_dir() and os.access(file.parent, os.W_OK | os.X_OK):
        return Finding("database", Verdict.GOOD, f"{file} is not there yet; the first command makes it")
    return Finding(
        "database", Verdict.BAD, f"{file.parent} is not there, or this user may not write there", "make the directory"
    )


def _other_schema(where: str, state: SchemaState, version: str | None) -> Finding:
    if state is SchemaState.MISSING:
        return Finding("database", Verdict.GOOD, f"{where} is empty; the first command makes the tables")
    found = f"{where} has schema {version}, this syncd needs {LATEST}"
    if state is SchemaState.OLDER:
        return Finding("database", Verdict.BAD, found, "make a backup, then syncd db upgrade (the service does it too)")
    return Finding("database", Verdict.BAD, found, "install the syncd that wrote it")


async def _durability(database: Database) -> Finding:
    kept = await database.read(durability.describe)
    weakness = await database.read(durability.find_weakness)
    found = f"{database.where}: schema {LATEST}, {kept}"
    if weakness is None:
        return Finding("database", Verdict.GOOD, found)
    return Finding("database", Verdict.BAD, found, f"{weakness}; a power cut could make it send twice")


async def _restored(settings: Settings, database: Database) -> Finding:
    mark_at = high_water_path(settings)
    name = await database.read(database_id)
    counter = await database.read(restored.attempt_counter)
    try:
        mark = HighWater(mark_at).read(name)
    except SyncdError as error:
        return Finding("high-water mark", Verdict.BAD, str(error))
    if is_behind(mark, name, counter):
        made = 0 if mark is None else mark.attempts
        found = f"the database knows {counter} attempts and {made} were made: it was restored from a backup"
        return Finding("high-water mark", Verdict.BAD, found, "syncd db restored --reason TEXT; nothing is sent before")
    return Finding("high-water mark", Verdict.GOOD, f"{counter} attempts" if mark else "none yet; nothing was sent")
