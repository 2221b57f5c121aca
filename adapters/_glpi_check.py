"""What the session of a GLPI tells about the account: what its profile keeps from it, and whether the zone fits. Pure.

https://github.com/glpi-project/glpi/blob/main/apirest.md#get-full-session
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from adapters._glpi_feed import wall_of
from adapters._glpi_records import parse_wall
from syncd.sources.records import Record

CLOCKS_DIFFER = timedelta(minutes=10)
"""By how much GLPI's clock may differ from the one of the web server before it."""

_SEE_ALL_TICKETS, _SEE_PUBLIC_FOLLOWUPS = 1024, 1  # bits of a profile's rights


def lacks_of(profile: Record) -> list[str]:
    """Return what a profile keeps from the account."""
    lacks = []
    if profile.find_text("interface") == "helpdesk":
        lacks.append("the profile has the simplified interface, which is for customers")
    if not (profile.find_int("ticket") or 0) & _SEE_ALL_TICKETS:
        lacks.append("the profile lacks See all tickets: it sees the account's own alone")
    if not (profile.find_int("followup") or 0) & _SEE_PUBLIC_FOLLOWUPS:
        lacks.append("the profile lacks See public followups: replies would be missing")
    return lacks


def wrong_zone(session: Record, told_at: datetime | None, zone: ZoneInfo) -> list[str]:
    """Hold the time of the session, by GLPI's own clock, against the time at which it was told."""
    told = session.find_text("glpi_currenttime")
    if told is None or told_at is None:
        return []
    if abs(parse_wall(told, session.where) - wall_of(told_at, zone)) < CLOCKS_DIFFER:
        return []
    warning = (
        f"GLPI's clock shows {told[11:16]}, which is not the time in {zone.key}: set the time zone of the account to "
        "that zone, or the option zone to the one of GLPI; else all times are wrong, and replies may be missed"
    )
    return [warning]
