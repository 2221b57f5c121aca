"""What a person does to an api or a system: pause it, resume it, release it.

The commands, the status page and the control API do it through these. Each decision is written down in the same
transaction as what it changes.
"""

from syncd.console.context import CommandContext
from syncd.model.errors import Conflict
from syncd.model.health import PauseCause
from syncd.model.policy import Mode
from syncd.store import health, standing
from syncd.store.database import Connection


async def pause_api(context: CommandContext, name: str, reason: str) -> None:
    """Send nothing to an api until it is resumed.

    Raises:
        UsageError: there is none of that name, or it waits because the database was restored.
    """
    context.get_api(name)
    by = context.decision(reason)

    def write(connection: Connection) -> None:
        if health.get_api(connection, name).paused_cause is PauseCause.RESTORED:
            raise Conflict(f"{name} waits already, because the database was restored; `syncd db restored`")
        health.pause_api(connection, name, PauseCause.PERSON, f"{by.who}: {by.reason}", by.at)
        standing.write_decision(connection, "pause", f"api {name}", by)

    await context.database.write(write)


async def resume_api(context: CommandContext, name: str, reason: str) -> bool:
    """Send to a paused api again; return whether it was paused.

    Raises:
        UsageError: there is none of that name, or it waits because the database was restored.
    """
    context.get_api(name)
    by = context.decision(reason)

    def write(connection: Connection) -> bool:
        was_paused = health.resume_api(connection, name)
        if was_paused:
            standing.write_decision(connection, "resume", f"api {name}", by)
        return was_paused

    return await context.database.write(write)


async def release_api(context: CommandContext, name: str, reason: str) -> bool:
    """Let an api with mode = "hold" send from now on; return whether it was held.

    Raises:
        UsageError: there is none of that name, or its mode is send.
    """
    if context.get_api(name).mode is not Mode.HOLD:
        raise Conflict(f"{name} is not held: its mode is send")
    by = context.decision(reason)

    def write(connection: Connection) -> bool:
        if health.get_api(connection, name).released_at is not None:
            return False
        health.release_api(connection, name, by.at)
        standing.write_decision(connection, "release", f"api {name}", by)
        return True

    return await context.database.write(write)


async def pause_system(context: CommandContext, name: str, reason: str) -> None:
    """Ask a system for nothing until it is resumed.

    Raises:
        UsageError: there is none of that name.
    """
    context.get_system(name)
    by = context.decision(reason)

    def write(connection: Connection) -> None:
        health.pause_system(connection, name, health.PERSON, f"{by.who}: {by.reason}", by.at)
        standing.write_decision(connection, "pause", f"system {name}", by)

    await context.database.write(write)


async def resume_system(context: CommandContext, name: str, reason: str) -> bool:
    """Poll a paused system again; return whether it was paused.

    Raises:
        UsageError: there is none of that name.
    """
    context.get_system(name)
    by = context.decision(reason)

    def write(connection: Connection) -> bool:
        was_paused = health.resume_system(connection, name)
        if was_paused:
            standing.write_decision(connection, "resume", f"system {name}", by)
        return was_paused

    return await context.database.write(write)
