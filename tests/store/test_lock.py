"""One worker to a database: the lock dies with its process, and a command that tests it does no harm."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.model.clock import SystemClock
from syncd.model.errors import StoreError
from syncd.store.lock import find_lock, take_lock


async def test_a_second_worker_is_refused_and_the_next_one_is_not(database_url: str) -> None:
    """While one holds the lock another gets none; released, it is free at once."""
    first = await find_lock(database_url)
    assert first is not None
    assert await find_lock(database_url) is None
    with pytest.raises(StoreError, match=r"another syncd (works on|holds) the database at here"):
        await take_lock(database_url, "here", SystemClock())
    await first.release()
    second = await find_lock(database_url)
    assert second is not None
    await second.release()


async def test_a_lock_held_for_a_moment_is_waited_for(database_url: str) -> None:
    """A command that looks whether a worker runs does not keep one from starting."""
    passing = await find_lock(database_url)
    assert passing is not None
    starting = asyncio.create_task(take_lock(database_url, "here", SystemClock()))
    await asyncio.sleep(0)
    await passing.release()
    taken = await starting
    assert await find_lock(database_url) is None
    await taken.release()


def test_a_killed_worker_leaves_no_lock(tmp_path: Path) -> None:
    """After kill -9 the next worker has the lock at once."""
    hold = (
        "import asyncio, sys, time\n"
        "from syncd.store.lock import find_lock\n"
        "lock = asyncio.run(find_lock(sys.argv[1]))\n"
        "print('held' if lock else 'refused', flush=True)\n"
        "time.sleep(600)\n"
    )
    url = f"sqlite:///{tmp_path}/syncd.db"
    process = subprocess.Popen([sys.executable, "-c", hold, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert asyncio.run(find_lock(url)) is None
    process.kill()
    process.wait()
    process.stdout.close()
    lock = asyncio.run(find_lock(url))
    assert lock is not None
    asyncio.run(lock.release())
