"""`make bench-peers`: syncd, tap-zendesk, dlt and a loop of requests read the same Zendesk; see docs/performance.md.

Each is a process of its own, of which the CPU of everything that it does after its imports is compared, user and
system; the whole process is told beside it. 2,000 changed tickets with 5 comments each are read from a server on this
machine that answers at once. The peers make records of the answers and write them down, to which "read alone" compares;
what syncd does beyond that, texts of HTML and an outbox on disk, has figures of its own.

Paces are lifted on both sides, so that nobody is asleep; --shipped measures one round with those that each comes with,
too, which takes minutes.
"""

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson

from bench.figures import Better, Figure, table
from bench.measure import ratio
from bench.reading import REPLIES, TICKETS, prepare
from bench.servers import Server
from bench.zendesk_desk import TOKEN, requests_of, served

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = ROOT / ".bench"
"""A virtual environment for each peer, made once for its pinned versions; git ignores it."""

TARGET = 1 / 8
BEFORE = re.compile(r"CPU seconds before: ([0-9.]+)")
READ: dict[str, Callable[[str], bool]] = {
    "syncd, into the outbox": lambda out: out.strip() == str(TICKETS * REPLIES),
    "syncd, read and mapped": lambda out: out.strip() == str(TICKETS * REPLIES),
    "syncd, read alone": lambda out: out.strip() == str(TICKETS * REPLIES),
    "tap-zendesk": lambda out: out.count('"stream": "ticket_comments", "record"') == TICKETS * REPLIES,
    "dlt": lambda out: f"items_count={TICKETS * REPLIES}" in out,
    "requests": lambda out: out.strip() == str(TICKETS * REPLIES),
}
"""Whether what a contender prints says that it has read every comment."""

OURS = [name for name in READ if name.startswith("syncd")]
PEERS = [name for name in READ if name not in OURS]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading took: CPU after the imports, CPU of the whole process, and how often what was asked for."""

    wall_seconds: float
    work_seconds: float
    cpu_seconds: float
    requests: Mapping[str, int]


class Contenders:
    """Who reads, from a Zendesk."""

    def __init__(self, desk: Server, folder: Path) -> None:
        self._desk, self._address = desk, desk.address
        self._folder = folder
        self._pythons = {name: environment(name) for name in ("tap-zendesk", "dlt")}

    async def read(self, name: str, pace: str = "lifted") -> Reading:
        """Let one of them read everything once."""
        command = await self._command(name, pace)
        await requests_of(self._desk)
        cost = await asyncio.to_thread(self._run, name, command)
        return Reading(*cost, Counter(map(_kind, await requests_of(self._desk))))

    async def _command(self, name: str, pace: str) -> list[str]:
        match name:
            case "syncd, into the outbox" | "syncd, read and mapped" | "syncd, read alone":
                how = {"syncd, into the outbox": "swept", "syncd, read and mapped": "mapped"}.get(name, "read")
                folder = self._folder / "syncd"
                shutil.rmtree(folder, ignore_errors=True)
                await asyncio.to_thread(shutil.copytree, self._folder / "prepared", folder)
                return [sys.executable, "-m", "bench.peers.run_syncd", self._address, str(folder), pace, how]
            case "tap-zendesk":
                return [self._pythons[name], str(HERE / "run_tap_zendesk.py"), self._address, TOKEN, pace]
            case "dlt":
                return [self._pythons[name], str(HERE / "run_dlt.py"), self._address, TOKEN]
        # Whoever installs dlt has requests.
        return [self._pythons["dlt"], str(HERE / "run_requests.py"), self._address, TOKEN]

    def _run(self, name: str, command: list[str]) -> tuple[float, float, float]:
        with (self._folder / "out").open("w+b") as out, (self._folder / "err").open("w+b") as err:
            began = time.perf_counter()
            process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            printed, told = Path(out.name).read_text(encoding="utf-8"), Path(err.name).read_text(encoding="utf-8")
        before = BEFORE.search(told)
        if process.returncode or before is None or not READ[name](printed):
            raise RuntimeError(f"{name} did not read everything: {told[-2000:]}")
        cpu = usage.ru_utime + usage.ru_stime
        return wall, cpu - float(before[1]), cpu


def _kind(address: str) -> str:
    """Return what an address asks for, whichever ticket it is about."""
    return re.sub(r"/\d+/", "/", address.partition("?")[0].removeprefix("/api/v2/").removesuffix(".json"))


def environment(name: str) -> str:
    """Return the Python of a peer's environment, which is made if it is missing or has other versions."""
    pinned, folder = HERE / f"{name}.txt", ENVIRONMENTS / name
    stamp, python = folder / "installed.txt", str(folder / "bin" / "python")
    if not stamp.exists() or stamp.read_bytes() != pinned.read_bytes():
        print(f"setting up {folder.relative_to(ROOT)} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "-r", str(pinned)]
        subprocess.run([python, *install], check=True)
        stamp.write_bytes(pinned.read_bytes())
    return python


async def measure(rounds: int, *, shipped: bool) -> list[Figure]:
    """Let all of them read in turn, round after round; the first round, which warms up, is not counted."""
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as name:
        folder = Path(name)
        (folder / "prepared").mkdir()
        await prepare(folder / "prepared" / "syncd.db", TICKETS)
        async with served(TICKETS, REPLIES) as desk:
            contenders = Contenders(desk, folder)
            readings: dict[str, list[Reading]] = {name: [] for name in READ}
            for number in range(rounds + 1):
                for one in READ if number % 2 else reversed(READ):
                    reading = await contenders.read(one)
                    if number:
                        readings[one].append(reading)
            figures = [_figure(ours, peer, readings) for peer in PEERS for ours in OURS]
            figures += [_requests(OURS[0], peer, readings) for peer in PEERS]
            if shipped:
                figures.append(_as_shipped({one: await contenders.read(one, "shipped") for one in (OURS[0], PEERS[0])}))
    return figures


def _figure(who: str, peer: str, readings: Mapping[str, list[Reading]]) -> Figure:
    """Return the CPU of one of ours to that of a peer, after the imports of both."""
    ours, theirs = readings[who], readings[peer]
    cpu = ratio([one.work_seconds for one in ours], [one.work_seconds for one in theirs])
    parts = {}
    for name, its in ((who, ours), (peer, theirs)):
        parts[f"{name}: CPU s"] = median(one.work_seconds for one in its)
        parts[f"{name}: CPU s of the whole process"] = median(one.cpu_seconds for one in its)
        parts[f"{name}: wall s"] = median(one.wall_seconds for one in its)
    target = TARGET if (who, peer) == ("syncd, read alone", "tap-zendesk") else None
    return Figure(
        f"CPU of reading: {who}", cpu.value, "times", peer, target, Better.LESS, cpu.low, cpu.high, parts=parts
    )


def _requests(who: str, peer: str, readings: Mapping[str, list[Reading]]) -> Figure:
    asked_us, asked_them = readings[who][-1].requests, readings[peer][-1].requests
    parts = {
        f"{name}: {kind}": float(n) for name, one in ((who, asked_us), (peer, asked_them)) for kind, n in one.items()
    }
    value = sum(asked_us.values()) / sum(asked_them.values())
    return Figure("requests of reading: syncd", value, "times", peer, None, Better.LESS, tolerance=0, parts=parts)


def _as_shipped(readings: Mapping[str, Reading]) -> Figure:
    wall = {f"{name}: wall s": one.wall_seconds for name, one in readings.items()}
    ours, theirs = readings[OURS[0]].wall_seconds, readings[PEERS[0]].wall_seconds
    name = "wall of reading them at the paces that each comes with"
    return Figure(name, ours / theirs, "times", "tap-zendesk", None, Better.LESS, tolerance=1, parts=wall)


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted, of which medians are taken")
    parser.add_argument("--shipped", action="store_true", help="one round at the paces that each comes with, too")
    parser.add_argument("--json", type=Path, default=ENVIRONMENTS / "peers.json", help="where the figures are written")
    options = parser.parse_args()
    ENVIRONMENTS.mkdir(exist_ok=True)
    figures = asyncio.run(measure(options.rounds, shipped=options.shipped))
    print(table(figures))
    for figure in figures:
        print(figure.name, f"against {figure.against}:", ", ".join(f"{k} {v:.3g}" for k, v in figure.parts.items()))
    told = [figure.as_json() for figure in figures]
    options.json.write_bytes(orjson.dumps({"figures": told}, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
