"""The API's side: every request that it reads is held against pace, throttle, copies, and what may leave at all."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from syncd.testing.sandbox import Received, Sandbox, _Refused
from tests.machine.diary import Diary, read_text

READ_AGAIN_SECONDS = 600.0
SLACK_SECONDS = 120.0
"""A reading, its retries, and a request on the wire take their time too."""

HAIR = 1e-3
Key = tuple[str, int, int, str]
"""Api, customer, thread, and the reply's id."""


@dataclass
class Wire:
    """What the API was asked, when, and what it added. `limits`: requests a minute of an api since a moment."""

    diary: Diary
    elapsed: Callable[[], float]
    monotonic: Callable[[], float]
    violations: list[str]
    reached: Counter[str]
    limits: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    read_at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    throttled_at: dict[str, float] = field(default_factory=dict)
    arrived: Counter[Key] = field(default_factory=Counter)
    versions: Counter[tuple[Key, int | None]] = field(default_factory=Counter)
    resends: Counter[Key] = field(default_factory=Counter)
    policy_resends: set[str] = field(default_factory=set)
    corrects: bool = False
    on_read: Callable[[], None] = lambda: None

    def read(self, api: str) -> None:
        """Take in that a request was read whole."""
        now = self.monotonic()
        times = self.read_at[api]
        times.append(now)
        since = self.throttled_at.get(api)
        if since is not None and since + HAIR < now < since + 60 - HAIR:
            self.violations.append(f"{api}: a request {now - since:.3f} s after a 429")
        within = sum(1 for at in times if at > now - 60 + HAIR)
        begun = [rate for at, rate in self.limits[api] if at <= now - 60][-1:]
        rate = max([*begun, *(rate for at, rate in self.limits[api] if at > now - 60)])
        most = rate + max(1, min(25, int(rate / 36)))
        if within > most:
            self.violations.append(f"{api}: {within} requests within 60 s, {most:g} are the most")
        if within >= rate:
            self.reached["pace at its limit"] += 1
        self.on_read()

    def throttle(self, api: str) -> None:
        """Take in that a request was answered with 429."""
        self.throttled_at[api] = self.monotonic()
        self.reached["429"] += 1

    def add(self, received: Received) -> None:
        """Take in that a communication was added."""
        content = received.body["content"]
        parsed = read_text(content)
        if parsed is None:
            if not content.startswith("The ticket was "):
                self.violations.append(f"the API has what nobody wrote: {content!r}")
            self.reached["status note added"] += 1
            return
        reply_id, version = parsed
        key = (received.studio, received.customer_id, received.thread_id, reply_id)
        self.arrived[key] += 1
        self.versions[key, version] += 1
        self._once(key, version)
        # What a person wrote in its place is not held against what the vendor shows.
        since = self.elapsed() - READ_AGAIN_SECONDS - SLACK_SECONDS
        if not self.diary.was_shown(reply_id, version, since):
            self.violations.append(f"{key} left in version {version}, which the vendor has not shown lately")
        if self.diary.entries[reply_id][0][1] is False:
            self.reached["note published and sent"] += 1

    def _once(self, key: Key, version: int | None) -> None:
        allowed = 1 + self.resends[key]
        if key[0] in self.policy_resends:
            allowed += 1 + self.diary.hidings(key[3])
        most = allowed + (self.diary.version(key[3]) if self.corrects else 0)
        if self.arrived[key] > most or self.versions[key, version] > allowed:
            self.violations.append(f"{key} is there {self.arrived[key]} times, {most} are the most")
        if self.arrived[key] == 2 and self.resends[key]:
            self.reached["twice, as a person wanted"] += 1


class WatchedSandbox(Sandbox):
    """The sandbox of the API, with a wire that hears of each request, and keys that can be taken back."""

    wire: Wire
    is_revoked: bool = False
    turned_away: int = 0

    def _get_studio(self, request: web.Request) -> str:
        if self.is_revoked:
            self.turned_away += request.method == "PUT"
            self.wire.reached["key refused"] += request.method == "PUT"
            raise _Refused(401, "errormessage.unauthorized", "the key was taken back")
        return super()._get_studio(request)

    async def _read(self, request: web.Request) -> bytes:
        data = await super()._read(request)
        self.wire.read(request.headers["x-api-key"].removeprefix("key-"))
        return data

    async def _put(self, request: web.Request, studio: str) -> web.StreamResponse:
        try:
            return await super()._put(request, studio)
        except _Refused as refused:
            if refused.status == 429:
                self.wire.throttle(studio)
            raise
