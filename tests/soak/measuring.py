"""What must stay level over the days, measured at the same hour of each."""

import asyncio
import gc
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Measured:
    """One look at the process: blocks of Python's allocator, memory in use, open files, tasks and threads."""

    blocks: int
    resident_bytes: int
    descriptors: int
    tasks: int
    threads: int


def measure() -> Measured:
    """Look at this process, after what is garbage was collected."""
    for _ in range(3):
        gc.collect()
    return Measured(
        blocks=sys.getallocatedblocks(),
        resident_bytes=int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES,
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
    )
