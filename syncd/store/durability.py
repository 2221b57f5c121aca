"""What the database promises about a commit: whether it is on disk when it returns."""

from sqlalchemy import Connection, text

_FULL = 2  # PRAGMA synchronous: 0 off, 1 normal, 2 full, 3 extra


def describe(connection: Connection) -> str:
    """Return how commits are kept, in a few words."""
    names = ("journal_mode", "synchronous") if connection.dialect.name == "sqlite" else ("synchronous_commit", "fsync")
    return ", ".join(f"{name} {_setting(connection, name)}" for name in names)


def find_weakness(connection: Connection) -> str | None:
    """Return why a power cut could lose a commit, None if it could not."""
    if connection.dialect.name == "sqlite":
        if _setting(connection, "journal_mode") != "wal":
            return "the file system cannot do write-ahead logging (a network share?); put the database on a local disk"
        if int(_setting(connection, "synchronous")) < _FULL:
            return "synchronous is below FULL"
        return None
    if _setting(connection, "synchronous_commit") == "off":
        return "synchronous_commit is off; ALTER DATABASE ... SET synchronous_commit = on"
    if _setting(connection, "fsync") == "off":
        return "fsync is off on the server"
    return None


def _setting(connection: Connection, name: str) -> str:
    verb = "PRAGMA" if connection.dialect.name == "sqlite" else "SHOW"
    return str(connection.execute(text(f"{verb} {name}")).scalar_one())
