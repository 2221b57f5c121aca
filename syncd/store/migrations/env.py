"""Runs migrations on the connection that the store hands over, in the store's own transaction."""

from alembic import context

from syncd.store import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
