"""tap-zendesk, in an environment of its own: `python run_tap_zendesk.py ADDRESS TOKEN lifted|shipped`.

Records go to stdout. It is called as its command does it, with tickets and their comments selected. Two things are
changed, both by setting attributes of its classes: the address, which is https://SUBDOMAIN.zendesk.com, and, if
`lifted`, how many tickets it reads in a minute before it sleeps for the rest of it. The last line of stderr tells the
CPU seconds until its imports were done.
"""

# mypy: ignore-errors
# What is imported stands in another environment than the one that is checked.

import json
import sys
import tempfile
import time
from pathlib import Path

import tap_zendesk
from tap_zendesk import streams

STREAMS = ("tickets", "ticket_comments")


def main(address: str, token: str, throttle: str) -> None:
    """Read everything once."""
    began = time.process_time()
    for stream in (streams.Tickets, streams.TicketAudits):
        stream.endpoint = stream.endpoint.replace("https://{}.zendesk.com", address)
    # It is filled in with the subdomain, which has no place any more, and the ticket.
    streams.TicketAudits.endpoint = streams.TicketAudits.endpoint.replace("/{}/", "/{1}/")
    if throttle == "lifted":
        streams.AUDITS_REQUEST_PER_MINUTE = sys.maxsize
    config = {"start_date": "2026-01-01T00:00:00Z", "subdomain": "acme", "access_token": token}
    with tempfile.TemporaryDirectory() as folder:
        files = {"config": config, "catalog": {"streams": [_selected(name, config) for name in STREAMS]}, "state": {}}
        sys.argv = ["tap-zendesk"]
        for name, told in files.items():
            path = Path(folder) / f"{name}.json"
            path.write_text(json.dumps(told), encoding="utf-8")
            sys.argv += [f"--{name}", str(path)]
        tap_zendesk.main()
    print(f"\nCPU seconds before: {began}", file=sys.stderr)


def _selected(name: str, config: dict[str, str]) -> dict[str, object]:
    import singer  # noqa: PLC0415
    from tap_zendesk.discover import load_shared_schema_refs  # noqa: PLC0415

    stream = streams.STREAMS[name](None, config)
    schema = singer.resolve_schema_references(stream.load_schema(), load_shared_schema_refs())
    metadata = stream.load_metadata()
    for entry in metadata:
        entry["metadata"]["selected"] = True
    return {"stream": name, "tap_stream_id": name, "schema": schema, "metadata": metadata}


if __name__ == "__main__":
    main(*sys.argv[1:])
