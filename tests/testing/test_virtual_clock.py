"""The virtual clock: time jumps when nothing is left to do, and only then."""

import asyncio
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession, ClientTimeout, web

from syncd.testing.virtual_clock import DEFAULT_START, VirtualClock, VirtualLoop, run_virtual


def virtual_loop(clock: VirtualClock) -> VirtualLoop:
    """Return the clock's loop."""
    assert isinstance(clock.loop, VirtualLoop)
    return clock.loop


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    """Start a server on loopback; return it and its address."""
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


async def test_waiting_takes_no_real_time(clock):
    """A day of waiting moves the virtual clocks by a day and takes no real time to speak of."""
    began = time.monotonic()
    await clock.sleep(86_400)
    assert clock.monotonic() == pytest.approx(86_400)
    assert clock.now() == DEFAULT_START + timedelta(days=1)
    assert time.monotonic() - began < 5


async def test_timers_fire_in_order(clock):
    """Timers fire in the order of their times, each at its own time."""
    seen = []

    async def wait(seconds):
        await clock.sleep(seconds)
        seen.append((seconds, clock.monotonic()))

    await asyncio.gather(wait(30), wait(10), wait(20))
    assert seen == [(10, 10), (20, 20), (30, 30)]


async def test_real_http_keeps_virtual_time(clock):
    """The real aiohttp client and server exchange many answers without any virtual time passing."""

    async def answer(request):
        return web.Response(body=b"x" * 300_000)

    app = web.Application()
    app.router.add_get("/", answer)
    runner, address = await serve(app)
    async with ClientSession() as session:
        for _ in range(20):
            async with session.get(address) as response:
                assert len(await response.read()) == 300_000
    assert clock.monotonic() == 0
    await runner.cleanup()


async def test_a_server_that_answers_late_is_waited_for(clock):
    """A server that sleeps an hour answers after a virtual hour, and a timeout below that fires at its time."""

    async def answer(request):
        await clock.sleep(3600)
        return web.Response(text="late")

    app = web.Application()
    app.router.add_get("/", answer)
    runner, address = await serve(app)
    async with ClientSession(timeout=ClientTimeout(total=None)) as session:
        async with session.get(address) as response:
            assert await response.text() == "late"
        assert clock.monotonic() == pytest.approx(3600)
        with pytest.raises(TimeoutError):
            await session.get(address, timeout=ClientTimeout(total=100))
        assert clock.monotonic() == pytest.approx(3700, abs=2)
    await runner.cleanup()


async def test_threads_stop_the_time(clock):
    """No virtual time passes while a thread of the executor works, so its deadline does not strike."""
    async with asyncio.timeout(0.5):
        result = await asyncio.to_thread(lambda: time.sleep(0.05) or "done")
    assert result == "done"
    assert clock.monotonic() == 0


async def test_an_abandoned_thread_still_counts(clock):
    """A job whose caller was cancelled holds the time until its thread has really ended."""
    go = threading.Event()
    job = asyncio.get_running_loop().run_in_executor(None, go.wait)
    job.cancel()
    await asyncio.sleep(0)
    assert virtual_loop(clock).is_held
    go.set()
    await clock.sleep(1)
    assert not virtual_loop(clock).is_held


async def test_held_keeps_the_time(clock):
    """Inside held() a thread that the loop does not know can take its time."""
    future = clock.loop.create_future()
    thread = threading.Timer(0.05, lambda: clock.loop.call_soon_threadsafe(future.set_result, "from outside"))
    with virtual_loop(clock).held():
        thread.start()
        async with asyncio.timeout(0.01):
            assert await future == "from outside"
    assert clock.monotonic() == 0
    thread.join()


async def test_the_wall_clock_can_jump(clock):
    """A jump moves the wall clock and leaves the monotonic one alone."""
    before = clock.monotonic()
    clock.jump_wall_clock(timedelta(hours=-1))
    assert clock.now() == DEFAULT_START - timedelta(hours=1)
    assert clock.monotonic() == before


async def test_other_tests_run_in_real_time():
    """A test that does not ask for the clock has an ordinary event loop."""
    assert not isinstance(asyncio.get_running_loop(), VirtualLoop)


def test_run_virtual_runs_a_coroutine_from_a_start():
    """run_virtual needs no pytest: it hands in a clock that starts where it is told, and returns the result."""
    start = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    async def main(clock):
        await clock.sleep(7200)
        return clock.now()

    assert run_virtual(main, start=start) == start + timedelta(hours=2)


def test_a_naive_start_is_refused():
    """A clock without a zone would yield naive instants."""

    async def main(clock):
        return None

    with pytest.raises(ValueError, match="time zone"):
        run_virtual(main, start=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test


async def test_only_between_our_own_sockets_is_nothing_waited_for(clock):
    """Time jumps without a real look while each socket talks to another of the loop, and not if one has a stranger."""
    selector = virtual_loop(clock)._selector
    runner, _ = await serve(web.Application())
    own = await asyncio.open_connection(*runner.addresses[0][:2])
    await clock.sleep(1)
    await clock.sleep(1)
    assert selector._is_quiet()
    listening = socket.create_server(("127.0.0.1", 0))
    stranger = await asyncio.open_connection(*listening.getsockname()[:2])
    await clock.sleep(1)
    await clock.sleep(1)
    assert not selector._is_quiet()
    for _, writer in (own, stranger):
        writer.close()
        await writer.wait_closed()
    listening.close()
    await runner.cleanup()
