"""The work between a ticketing system and the store: polling, backfill, links."""
