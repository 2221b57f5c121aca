"""What a start looks at: whether the database was restored, what a dead worker left, what has no settings any more."""

from datetime import datetime

from loguru import logger

from syncd.model.health import PauseCause
from syncd.service.settings import Settings
from syncd.store import health, lists, restored, standing
from syncd.store.database import Connection, Database
from syncd.store.high_water import HighWater, is_behind
from syncd.store.schema import database_id


async def is_restored(database: Database, settings: Settings, high_water: HighWater, now: datetime) -> bool:
    """Say whether the database is behind what was sent; nothing leaves from such a one. Else its mark is kept."""
    name = await database.read(database_id)
    counter = await database.read(restored.attempt_counter)
    mark = high_water.read(name)
    if not is_behind(mark, name, counter):
        high_water.open(name, counter)
        return False
    reason = (
        f"this database knows {counter} attempts, {mark.attempts if mark else 0} were made: it was restored from "
        "a backup, and sending from it would send twice. Run `syncd db restored`."
    )

    def pause(connection: Connection) -> None:
        for api in settings.api:
            health.pause_api(connection, api, PauseCause.RESTORED, reason, now)

    await database.write(pause)
    logger.error("restored database: {}", reason)
    return True


async def adopt_orphans(database: Database, settings: Settings, now: datetime) -> None:
    """Put in doubt what was on the wire when the only worker of a database ended."""
    policies = {name: api.in_doubt for name, api in settings.api.items()}
    orphans = await database.write(lambda c: standing.adopt_orphans(c, policies, now))
    if orphans:
        logger.bind(deliveries=orphans).warning("deliveries were on the wire when syncd ended; they are in doubt")


async def find_missing(database: Database, settings: Settings) -> list[str]:
    """Return what has open work or links in the database and no settings any more."""
    known = await database.read(lists.known_names)
    if known.apis <= settings.api.keys() and known.systems <= settings.systems.keys():
        return []  # the counting takes a look at every link
    apis, systems = await database.read(lists.count_open_work)
    missing = [
        f"[api.{name}] has {count} open deliveries or links and is not configured; put it back"
        for name, count in sorted(apis.items())
        if name not in settings.api
    ]
    return missing + [
        f"[systems.{name}] has {count} open deliveries or links and is not configured; put it back"
        for name, count in sorted(systems.items())
        if name not in settings.systems
    ]
