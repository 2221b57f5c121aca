"""Two days with an access token that lives an hour: Zoho Desk's adapter and stand-in, the daemon's parts, one clock.

Tokens come from a server of their own here, as they do from Zoho, so that it can be away while the tickets are there.
"""

import asyncio
import itertools
import json
from collections import Counter
from datetime import timedelta

import pytest
from aiohttp import web

from syncd.model.ticket import TicketRef
from syncd.store import health
from tests.adapters.zoho_desk.stand_in import ZohoDeskStandIn
from tests.conftest import World

HOUR = 3600
LIFE, MARGIN = HOUR, 60
POLL_SECONDS = 595  # 6 are 3570 s: a sweep in the last minute of each token, so that it is the margin which renews it
TICKETS = 5
LONGEST_WAIT = 900  # the longest that a sweep waits after one that failed
BETWEEN_TRIES = 300  # how long a paused system waits before it tries by itself
SECRETS = ("client-hush", "refresh-hush", "1000.access-")


class Desk(ZohoDeskStandIn):
    """The organisation; it counts the reads that it refused because of their token."""

    refused = 0

    async def answer(self, request, path):
        response = await super().answer(request, path)
        response.force_close()  # an idle connection would be looked at all the time, see Life._deliver
        self.refused += response.status == 401
        return response

    def revoke_tokens(self):
        """End every token that was given out, before its time."""
        self.tokens = dict.fromkeys(self.tokens, 0)


class Accounts:
    """Where tokens are given out. `instead` is what it answers in the place of a token, if it is set."""

    def __init__(self, desk):
        self._desk = desk
        self._port = 0
        self.instead = None
        self.asked_at = []

    async def open(self):
        """Listen, at the same port as before."""
        app = web.Application()
        app.router.add_post("/oauth/v2/token", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def close(self):
        """Let nothing listen there."""
        await self._runner.cleanup()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self._port}"

    async def _answer(self, request):
        self.asked_at.append(self._desk.clock.monotonic())
        if self.instead is not None:
            status, body = self.instead
            return web.Response(status=status, body=body.encode(), content_type="application/json")
        return await self._desk.answer(request, "/accounts/oauth/v2/token")


class Life(World):
    """The daemon's parts between the organisation and the API, swept as its schedule would."""

    def __init__(self, clock, folder, desk):
        super().__init__(clock, folder)
        self.desk, self.accounts = desk, Accounts(desk)
        self.written = []
        self._words = itertools.count(1)

    def options(self):
        """Return the options that sign in at the stand-in."""
        desk = self.desk
        return {
            "base_url": desk.base_url,
            "accounts_url": self.accounts.base_url,
            "org_id": desk.org_id,
            "client_id": desk.client_id,
            "client_secret": desk.client_secret,
            "refresh_token": desk.refresh_token,
        }

    async def start(self):
        """Begin with a few tickets that are linked and read."""
        await self.open()
        self._port = int(self.sandbox.base_url.rpartition(":")[2])
        await self.accounts.open()
        opened = [self.desk.open_ticket(self.clock.now() - timedelta(hours=1))[0] for _ in range(TICKETS)]
        await self.begin(adapter="zoho_desk", poll_seconds=POLL_SECONDS)
        await self._rest_dispatchers()
        self.ids = itertools.cycle(opened)
        for ticket_id in opened:
            ref = self.desk.tickets[ticket_id]["ticketNumber"]
            await self.link(TicketRef(number=ref))
        assert await self.sweep()

    async def stop(self):
        """Stop both ends and what is between them."""
        await self.close()
        await self.accounts.close()

    def write(self):
        """Let a customer write to the next ticket."""
        text = f"reply {next(self._words)}"
        self.desk.write(next(self.ids), text, direction="in")
        self.written.append(text)

    async def live(self, seconds, *, writing_every=HOUR, poll_seconds=POLL_SECONDS):
        """Let time pass with a sweep at each turn of the schedule and a reply now and then; return how sweeps ended."""
        ends = []
        began = written_at = self.clock.monotonic()
        while self.clock.monotonic() < began + seconds:
            if self.clock.monotonic() >= written_at + writing_every:
                written_at += writing_every
                self.write()
            next_at = self.clock.monotonic() + poll_seconds
            ends.append(await self.sweep())
            if len(self.sent()) < len(self.written):
                await self._deliver()
            await self.clock.sleep(next_at - self.clock.monotonic())
        return ends

    async def _deliver(self):
        """Run the dispatcher for a moment."""
        running = asyncio.create_task(self.dispatcher.run())
        await self.pass_time(2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        # Ends the idle connection, which aiohttp would look at every 3 s, of two days, by the real clock.
        await self.sandbox.stop()
        await self.sandbox.start(port=self._port)

    async def _rest_dispatchers(self):
        """End the tasks of the dispatchers: with nothing to send, their looks would be most of two days' work."""
        resting = [task for task in asyncio.all_tasks() if task.get_name().startswith("api ")]
        for task in resting:
            task.cancel()
        await asyncio.gather(*resting, return_exceptions=True)

    async def health(self):
        """Return what is stored about the system's health."""
        return await self.database.read(lambda c: health.get_system(c, "desk"))

    async def account(self):
        """Hold what was written against what arrived: each once, in one state."""
        await self.live(3 * POLL_SECONDS)
        assert Counter(self.sent()) == Counter(self.written)
        assert (await self.states()) == {"delivered": len(self.written)}


@pytest.fixture
async def life(clock, tmp_path):
    """The system, signed in a moment ago."""
    async with Desk(clock) as desk:
        world = Life(clock, tmp_path, desk)
        await world.start()
        yield world
        await world.stop()


async def test_tokens_end_every_hour_and_no_sweep_notices(life):
    """Over two days no sweep fails and no read is refused because a token ended, and one is asked for once an hour.

    The bound is the time over (life - margin): 1 + 172,800 s / 3,540 s = 49.
    """
    ends = await life.live(48 * HOUR, poll_seconds=3 * POLL_SECONDS, writing_every=4 * HOUR)
    assert all(ends)
    assert len(ends) == 97
    assert life.desk.refused == 0
    first, *asked_at = life.accounts.asked_at
    assert 48 <= len([first, *asked_at]) <= 1 + 48 * HOUR // (LIFE - MARGIN)
    assert all(LIFE - MARGIN <= later - earlier < LIFE for earlier, later in itertools.pairwise(asked_at))
    await life.account()
    assert len(life.written) == 11


@pytest.mark.parametrize("path", ["/api/v1/myinfo", "/api/v1/tickets/search"])
async def test_a_revoked_token_is_renewed_in_the_sweep_that_finds_it(life, path):
    """A token that the vendor ends before its time, between sweeps or within one, costs one refused read: no sweep
    fails, and nobody has to do anything."""
    await life.live(HOUR // 2)
    life.write()
    life.desk.meanwhile[path] = life.desk.revoke_tokens
    assert await life.sweep()
    assert (life.desk.refused, len(life.accounts.asked_at)) == (1, 2)
    assert all(await life.live(2 * HOUR))
    assert life.desk.refused == 1
    await life.account()


AWAY = {
    "nothing listens": None,
    "its content network cannot reach it": (522, "<html>Connection timed out</html>"),
    "a page about maintenance": (200, "<html>We are back soon</html>"),
}


@pytest.mark.parametrize("answer", AWAY.values(), ids=AWAY)
async def test_a_token_endpoint_that_is_away_for_two_hours_is_got_over(life, answer):
    """Sweeps go on until the token ends, then wait; once tokens are given out again syncd goes on by itself, and what
    was written meanwhile arrives. While it is away nobody is told that the credentials are wrong."""
    await life.live(HOUR // 2)
    if answer is None:
        await life.accounts.close()
    life.accounts.instead = answer
    before = len(life.accounts.asked_at)
    ends = await life.live(2 * HOUR, writing_every=HOUR // 4)
    good = ends.index(False)
    assert good * POLL_SECONDS >= HOUR // 2 - POLL_SECONDS - MARGIN
    assert not any(ends[good:])
    state = await life.health()
    assert (state.paused_by, state.failures > 0) == (None, True)
    assert len(life.sent()) < len(life.written)
    # Each failed sweep tries three times at most, and from the fifth on a quarter of an hour apart.
    assert len(life.accounts.asked_at) - before <= 3 * 12
    if answer is None:
        await life.accounts.open()
    life.accounts.instead = None
    ends = await life.live(LONGEST_WAIT + POLL_SECONDS)
    assert all(ends[ends.index(True) :])
    assert (await life.health()).failures == 0
    await life.account()
    assert len(life.written) >= 7


QUOTING = json.dumps({"error": "invalid_client", "error_description": "no client has the secret client-hush"})
REFUSALS = {
    "200 that quotes the secret": (200, QUOTING),
    "401 that quotes the secret": (401, QUOTING),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_client_secret_pauses_the_system_and_says_so(life, refusal):
    """A secret that is no longer good pauses the system like any wrong credential: it says what to mend and where,
    without the secret, tries now and then, and goes on by itself once the secret is good again."""
    life.accounts.instead = refusal
    ends = await life.live(2 * HOUR)
    assert ends.index(False) == 6
    state = await life.health()
    assert state.paused_by == "syncd"
    assert "mend" in state.reason
    assert "options of the system" in state.reason
    assert not any(secret in state.reason for secret in SECRETS)
    tries = life.accounts.asked_at[1:]
    assert all(later - earlier >= BETWEEN_TRIES for earlier, later in itertools.pairwise(tries))
    assert len(tries) >= 5
    life.write()
    life.accounts.instead = None
    ends = await life.live(BETWEEN_TRIES + 2 * POLL_SECONDS)
    assert ends[-1]
    assert (await life.health()).paused_by is None
    await life.account()
