"""What is written in ten lines with requests: `python run_requests.py ADDRESS TOKEN`; every ticket's comments by a GET.

The last line of stderr tells the CPU seconds until its imports were done.
"""

import sys
import time

import requests

SECONDS = 30


def main(address: str, token: str) -> None:
    """Read everything once."""
    began = time.process_time()
    headers = {"Authorization": f"Bearer {token}"}
    params, ended, read = {"start_time": "0"}, False, 0
    while not ended:
        export = f"{address}/api/v2/incremental/tickets/cursor"
        page = requests.get(export, params=params, headers=headers, timeout=SECONDS).json()
        params, ended = {"cursor": page["after_cursor"]}, page["end_of_stream"]
        for ticket in page["tickets"]:
            comments = f"{address}/api/v2/tickets/{ticket['id']}/comments"
            answer = requests.get(comments, headers=headers, timeout=SECONDS).json()
            read += len(answer["comments"])
    print(read)
    print(f"\nCPU seconds before: {began}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
