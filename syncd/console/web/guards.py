"""Who may ask what: every request passes here before anything else looks at it.

- The Host has to be one of ours, so that no page of another site can talk to it under its own name (DNS rebinding).
- A request that changes something has to come from our own pages or from no page at all (Origin), with the token.
- A request that reads needs the token unless it comes to this machine's own address, under this machine's own name.
- Webhooks have a signature of their own, and no use for the token or for cookies.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from aiohttp import HttpVersion11, web

from syncd.console.web import session
from syncd.console.web.context import WHO, context_of
from syncd.model.clock import Clock
from syncd.model.errors import Problem
from syncd.service.settings_models import ConsoleSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SAFE = frozenset({"GET", "HEAD"})
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_TO_ALL = frozenset({"/healthz", "/login", "/favicon.ico"})
STATIC, HOOKS, CONTROL = "/static/", "/hooks/", "/api/"
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
LONGEST_WHO = 80
FOREIGN = "sent by a page of another site (if it was not: the proxy in front has to pass on the Host as it came)"

REQUESTS_PER_MINUTE = 600
BURST = 60
WRONG_TOKENS_PER_MINUTE = 10
MOST_CLIENTS = 10_000

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a form of ours would be sent with the Origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not answered; `status` is of HTTP, the message says why and what to do."""

    def __init__(self, status: int, message: str, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_seconds = retry_seconds


class Unfit(Refused):
    """What was sent does not fit the model: every mistake, and never a value of it."""

    def __init__(self, status: int, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(status, message)
        self.problems = problems


@dataclass(slots=True)
class Buckets:
    """How many requests each client may still make: `burst` at once, and `per_minute` in the long run."""

    clock: Clock
    per_minute: float
    burst: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, client: str) -> None:
        """Count one request of a client.

        Raises:
            Refused: it has asked too often.
        """
        left = self.left(client)
        if left < 1:
            wait = int((1 - left) * 60 / self.per_minute) + 1
            raise Refused(429, f"too many requests; try again in {wait} s", wait)
        if client not in self._left and len(self._left) >= MOST_CLIENTS:
            self._make_room()
        # Put at the end, so that whoever has asked for nothing for the longest is the first.
        self._left.pop(client, None)
        self._left[client] = left - 1, self.clock.monotonic()

    def _make_room(self) -> None:
        """Forget those who may make all their requests again; if there is none, whoever has been away the longest."""
        full = [client for client in self._left if self.left(client) >= self.burst]
        for client in full or [next(iter(self._left))]:
            del self._left[client]

    def left(self, client: str) -> float:
        """Return how many requests a client may make at once."""
        left, at = self._left.get(client, (self.burst, self.clock.monotonic()))
        return min(self.burst, left + (self.clock.monotonic() - at) * self.per_minute / 60)


class Guard:
    """Holds every request against the rules above."""

    def __init__(self, clock: Clock) -> None:
        self._requests = Buckets(clock, REQUESTS_PER_MINUTE, BURST)
        self._wrong = Buckets(clock, WRONG_TOKENS_PER_MINUTE, WRONG_TOKENS_PER_MINUTE)

    def check(self, request: web.Request) -> None:
        """Let a request pass, with its `WHO` set if the token was right.

        Raises:
            Refused: it breaks a rule.
        """
        console = context_of(request).settings.console
        # Behind one proxy all have the same address: a flood of webhooks must not keep people from the pages.
        kind = HOOKS if request.path.startswith(HOOKS) else ""
        self._requests.take(kind + client_of(request))
        check_host(request, console)
        if request.path.startswith(HOOKS):
            return
        if request.method in SAFE:
            check_embedding(request)
        else:
            check_origin(request)
        if request.path in OPEN_TO_ALL or request.path.startswith(STATIC):
            return
        who = self.find_who(request, console)
        if who is not None:
            request[WHO] = who
        elif request.method not in SAFE or not is_local(request, console):
            raise Refused(401 if console.token else 403, _why_not(console))

    def find_who(self, request: web.Request, console: ConsoleSettings) -> str | None:
        """Return who has shown the token, by a header or by the cookie of a login; None if nobody tried.

        Raises:
            Refused: the token is wrong, or was wrong too often.
        """
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self.check_token(request, given.strip())
            return _named(request)
        if console.token is None:
            return None
        cookie = request.cookies.get(session.COOKIE, "")
        return session.find_who(console.token.get_secret_value(), cookie, context_of(request).clock.now())

    def check_token(self, request: web.Request, given: str) -> None:
        """Compare a token; after some wrong ones from the same client the right one is not looked at either.

        Raises:
            Refused: it is wrong.
        """
        context = context_of(request)
        token = context.settings.console.token
        client = client_of(request)
        if self._wrong.left(client) < 1:
            raise Refused(429, "too many wrong tokens; try again in a minute", 60)
        wanted = secrets.token_hex() if token is None else token.get_secret_value()
        # What is no text at all, such as bytes that are no UTF-8, must still be something to compare.
        if not hmac.compare_digest(given.encode(errors="surrogatepass"), wanted.encode()):
            self._wrong.take(client)
            raise Refused(401, "the token is wrong; it is the one of [console] token")


def _why_not(console: ConsoleSettings) -> str:
    if console.token is None:
        return "set [console] token in the settings, and say it: without one nothing is changed, nor shown to others"
    return "log in, or send the header Authorization: Bearer TOKEN"


def _named(request: web.Request) -> str:
    """Return what a program calls itself, for the records."""
    said = "".join(letter for letter in request.headers.get("X-Syncd-Who", "") if letter.isprintable()).strip()
    return f"{said[:LONGEST_WHO]} (API)" if said else "the control API"


def client_of(request: web.Request) -> str:
    """Return whose requests are counted together: an address, or everybody at the socket.

    Of what a proxy on this machine passes on the address that it names is counted, or one stranger could use up what
    everybody behind that proxy may ask. It is the last one: those before it were written by the client.
    """
    peer = request.remote or ""
    passed = request.headers.getall("X-Forwarded-For", [])
    if passed and (not peer or ip_address(peer).is_loopback):
        return _counted(passed[-1].rpartition(",")[2].strip()) or peer or "socket"
    return _counted(peer) or "socket"


def _counted(address: str) -> str | None:
    """Return an address, and of IPv6 the network of one household or server; None if it is none."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and not found.is_loopback:
        return str(ip_network((found, 64), strict=False))
    return str(found)


def host_of(request: web.Request) -> str:
    """Return the name under which we were asked, in small letters, without the port."""
    try:
        return (urlsplit(f"//{request.headers.get('Host', '')}").hostname or "").lower()
    except ValueError:
        return ""


def check_host(request: web.Request, console: ConsoleSettings) -> None:
    """Refuse a request under a name that is not ours.

    Raises:
        Refused: with what to put into the settings if it should be.
    """
    host = host_of(request)
    listened = {console.address[0].lower()} if console.address else set()
    is_ours = host in listened or (console.is_local and host in LOCAL_NAMES)
    # Under the address of an interface itself no other site's page can have been loaded.
    is_address = not console.is_local and _is_address(host)
    names = {one.rpartition(":")[0] or one for one in console.hosts}
    if not (is_ours or is_address or host in names):
        raise Refused(421, "asked under a name that is not ours; add it to [console] hosts if it should be")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def check_embedding(request: web.Request) -> None:
    """Refuse what a page of another site loads into itself; a link from there is followed.

    Raises:
        Refused: it does.
    """
    is_foreign = request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}
    if is_foreign and request.headers.get("Sec-Fetch-Mode") != "navigate":
        raise Refused(403, FOREIGN)


def check_origin(request: web.Request) -> None:
    """Refuse what a page of another site sends.

    Raises:
        Refused: it does.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            raise Refused(403, FOREIGN)
        return
    try:
        sent_by = urlsplit(origin).netloc.lower()
    except ValueError:
        sent_by = ""
    if sent_by != request.headers.get("Host", "").lower():
        raise Refused(403, FOREIGN)


def is_local(request: web.Request, console: ConsoleSettings) -> bool:
    """Say whether a request comes from this machine itself: not from elsewhere, and not through a proxy."""
    # A proxy that says nothing about itself still speaks HTTP/1.0 to what is behind it, if it is one of the usual.
    is_passed_on = request.version < HttpVersion11 or any(name in request.headers for name in FORWARDED)
    return console.is_local and host_of(request) in LOCAL_NAMES and not is_passed_on
