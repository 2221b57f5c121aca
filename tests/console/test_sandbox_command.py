"""`syncd sandbox` serves the stand-in alone, says how to reach it, and prints no contents unless asked."""

import asyncio
import json
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

FIELDS = {
    "communicationThreadStatus": "ONGOING",
    "subject": "Locker",
    "content": "It does not open,\nnever.",
    "communicationDirection": "INCOMING",
    "communicationChannel": "EMAIL",
}


class Served:
    """A sandbox as a process, with its address."""

    def __init__(self, process) -> None:
        self.process = process
        self.head: list[str] = []

    async def begin(self) -> None:
        """Read up to the end of the example."""
        while not self.head or not self.head[-1].startswith("api_key"):
            self.head.append(await self.line())
        self.address = re.search(r"http://127\.0\.0\.1:\d+", self.head[0])[0]

    async def line(self) -> str:
        """Return the next line that it prints."""
        return (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode().rstrip()

    async def put(self, key: str = "any", **changes: str):
        """Send one communication; return status and answer."""
        url = f"{self.address}/v1/communications/7/threads/500"
        body = json.dumps(FIELDS | changes)
        headers = {"x-api-key": key, "Content-Type": "application/json"}
        async with aiohttp.ClientSession() as session, session.put(url, data=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def end(self) -> tuple[int, str]:
        """Stop it; return its exit code and the rest of what it printed."""
        self.process.send_signal(signal.SIGTERM)
        rest, _ = await self.process.communicate()
        return self.process.returncode, rest.decode()


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[Served]:
    """Run the command on a free port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "syncd", "sandbox", "--listen", "127.0.0.1:0", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    served = Served(process)
    await served.begin()
    try:
        yield served
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_one_line_per_communication_without_contents():
    """The head holds an example for the settings; a communication is one line without texts; SIGTERM ends it well."""
    async with serving() as served:
        assert "[api.sandbox]" in served.head
        assert f'base_url = "{served.address}"' in served.head
        status, answer = await served.put()
        assert (status, answer["communicationId"]) == (200, 1)
        while not (line := await served.line()):
            pass
        assert "customer 7  thread 500  communication 1  ONGOING  INCOMING  EMAIL" in line
        code, rest = await served.end()
        assert code == 0
        assert rest == "1 communications were added.\n"
        assert "open" not in line + rest


async def test_contents_when_asked():
    """--show prints every field, line by line."""
    async with serving("--show") as served:
        await served.put()
        _, rest = await served.end()
        assert "content: It does not open," in rest
        assert "content: never." in rest


async def test_keys_and_the_limit():
    """With --key other keys are refused; past --requests-per-minute the answer is 429."""
    async with serving("--key", "one", "--key", "two", "--requests-per-minute", "2") as served:
        assert 'api_key = "one"' in served.head
        assert (await served.put("three"))[0] == 401
        assert [(await served.put("two"))[0] for _ in range(3)] == [200, 200, 429]
        assert (await served.put("one"))[0] == 200


@pytest.mark.parametrize(("listen", "words"), [("here", "must be host:port"), ("127.0.0.1:x", "must end with a port")])
def test_an_address_that_is_none(syncd, listen, words):
    """A place that is no host and port is refused with 2."""
    ran = syncd("sandbox", "--listen", listen)
    assert ran.code == 2
    assert words in ran.err


def test_a_port_that_is_taken(syncd):
    """A port in use is told with its address, exit code 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = syncd.process("sandbox", "--listen", f"127.0.0.1:{port}")
    assert ran.code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ran.err
