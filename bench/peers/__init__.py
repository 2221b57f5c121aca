"""Reading the same helpdesk with other people's tools, and what that costs beside syncd: `make bench-peers`."""
