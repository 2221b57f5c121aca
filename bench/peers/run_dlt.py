"""dlt's rest_api source, in an environment of its own: `python run_dlt.py ADDRESS TOKEN`; extracted only, into files.

The last line of stderr tells the CPU seconds until its imports were done.
"""

# mypy: ignore-errors
# What is imported stands in another environment than the one that is checked.

import sys
import tempfile
import time

import dlt
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator
from dlt.sources.rest_api import rest_api_source


def main(address: str, token: str) -> None:
    """Read everything once: the export of tickets, and the comments of each."""
    began = time.process_time()
    pages = _UntilEnd(cursor_path="after_cursor", cursor_param="cursor")
    source = rest_api_source(
        {
            "client": {"base_url": f"{address}/api/v2/", "auth": {"type": "bearer", "token": token}},
            "resources": [
                {
                    "name": "tickets",
                    "endpoint": {
                        "path": "incremental/tickets/cursor",
                        "params": {"start_time": 0},
                        "data_selector": "tickets",
                        "paginator": pages,
                    },
                },
                {
                    "name": "comments",
                    "endpoint": {
                        "path": "tickets/{resources.tickets.id}/comments",
                        "data_selector": "comments",
                        "paginator": "single_page",
                    },
                },
            ],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline("peer", pipelines_dir=folder, destination="filesystem", dataset_name="peer")
        pipeline.extract(source)
        counts = pipeline.last_trace.last_extract_info.metrics
        print(counts, file=sys.stdout)
    print(f"\nCPU seconds before: {began}", file=sys.stderr)


class _UntilEnd(JSONResponseCursorPaginator):
    """Zendesk's export names a next cursor always; that it has ended is said by another word."""

    def update_state(self, response, data=None):  # noqa: ANN001, ANN202
        super().update_state(response, data)
        if response.json()["end_of_stream"]:
            self._has_next_page = False


if __name__ == "__main__":
    main(*sys.argv[1:])
