"""What it costs to start: `syncd --help`, `syncd status` and the service until it is ready, with a big database.

The floor is the start of the same Python, from the same place: `python -c pass`.
"""

import asyncio
import functools
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench.figures import Better, Figure
from bench.filled import Filling, Waiting, fill
from bench.measure import Cost, Ratio, alternate, cpu_seconds_of, cpu_seconds_of_children, ratio

SYNCD = str(Path(sys.executable).with_name("syncd"))
FLOOR = "python -c pass"
HELP_TARGET, STATUS_TARGET, READY_TARGET_SECONDS = 4.0, 15.0, 2.0
LONGEST_SECONDS = 120.0

Contender = Callable[[], Awaitable[Cost]]

SETTINGS = """\
timezone = "Europe/Berlin"
[database]
url = "sqlite:///{file}"
[api.berlin]
base_url = "http://127.0.0.1:1"
api_key = "key-berlin"
mode = "hold"
[systems.desk]
adapter = "in_memory"
poll_seconds = 3600
[systems.desk.options]
base_url = "http://127.0.0.1:2"
token = "token"
"""


async def run(rounds: int) -> list[Figure]:
    """Measure the starts, in turn with the floor."""
    with tempfile.TemporaryDirectory() as folder:
        idle, outage = Path(folder) / "idle", Path(folder) / "outage"
        await _prepare(idle, Waiting.NONE)
        await _prepare(outage, Waiting.LAST)
        costs = await alternate(
            {
                FLOOR: functools.partial(_command, {}, sys.executable, "-c", "pass"),
                "help": functools.partial(_command, {}, SYNCD, "--help"),
                "status": functools.partial(_command, _environ(idle), SYNCD, "status"),
                "status in an outage": functools.partial(_command, _environ(outage), SYNCD, "status"),
                "ready": functools.partial(_ready, idle),
                "ready in an outage": functools.partial(_ready, outage),
            },
            rounds,
        )
    floor = costs.pop(FLOOR)
    return [
        _to_floor("syncd --help", costs["help"], floor, HELP_TARGET),
        _to_floor("syncd status, 100,000 links", costs["status"], floor, STATUS_TARGET),
        _to_floor("syncd status, 100,000 of them wait", costs["status in an outage"], floor, STATUS_TARGET),
        _absolute("start until ready, 100,000 links", costs["ready"]),
        _absolute("start until ready, 100,000 of them wait", costs["ready in an outage"]),
    ]


async def _prepare(folder: Path, waiting: Waiting) -> None:
    _write_settings(folder)
    await fill(f"sqlite:///{folder / 'syncd.db'}", Filling(waiting=waiting))


def _write_settings(folder: Path) -> None:
    folder.mkdir()
    config = folder / "config.toml"
    config.touch(mode=0o600)
    config.write_text(SETTINGS.format(file=folder / "syncd.db"), encoding="utf-8")


def _environ(folder: Path) -> dict[str, str]:
    return {"SYNCD_CONFIG": str(folder / "config.toml")}


def _whole_environ(more: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")} | more


async def _command(environ: dict[str, str], *arguments: str) -> Cost:
    """Run a command to its end."""
    wall, cpu = time.perf_counter(), cpu_seconds_of_children()
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *arguments, env=_whole_environ(environ), stdin=nothing, stdout=nothing, stderr=nothing
    )
    if code := await process.wait():
        raise RuntimeError(f"{' '.join(arguments)} ended with {code}")
    return Cost(time.perf_counter() - wall, cpu_seconds_of_children() - cpu)


async def _ready(folder: Path) -> Cost:
    """Start the service until it says that it is ready."""
    loop, notify = asyncio.get_running_loop(), folder / "notify"
    nothing = asyncio.subprocess.DEVNULL
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.bind(str(notify))
        environ = _whole_environ(_environ(folder) | {"NOTIFY_SOCKET": str(notify)})
        wall = time.perf_counter()
        process = await asyncio.create_subprocess_exec(SYNCD, "run", env=environ, stdout=nothing, stderr=nothing)
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                while b"READY=1" not in await loop.sock_recv(manager, 4096):
                    pass
            return Cost(time.perf_counter() - wall, cpu_seconds_of(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
            notify.unlink()


def _to_floor(name: str, ours: Sequence[Cost], floor: Sequence[Cost], target: float) -> Figure:
    found = ratio([one.cpu_seconds for one in ours], [one.cpu_seconds for one in floor])
    parts = {"CPU ms": 1000 * _median(ours).cpu_seconds, "wall ms": 1000 * _median(ours).wall_seconds}
    return Figure(name, found.value, "x the CPU", FLOOR, target, Better.LESS, found.low, found.high, parts=parts)


def _absolute(name: str, costs: Sequence[Cost]) -> Figure:
    walls = [one.wall_seconds for one in costs]
    found = Ratio(sorted(walls)[len(walls) // 2], min(walls), max(walls))
    parts = {"CPU ms": 1000 * _median(costs).cpu_seconds}
    return Figure(name, found.value, "s", "", READY_TARGET_SECONDS, Better.LESS, found.low, found.high, 1.0, parts)


def _median(costs: Sequence[Cost]) -> Cost:
    return sorted(costs, key=lambda one: one.cpu_seconds)[len(costs) // 2]
