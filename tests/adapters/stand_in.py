"""The HTTP that all stand-ins for vendors share: they serve on loopback, keep what they are asked, and fail on command.

A stand-in is strict: it refuses paths, parameters and paces that its vendor does not have, and has its traps.
"""

import asyncio
import json
from collections import deque

from aiohttp import web

from syncd.testing.vendor import Vendor

HTML = "<html><title>Sign in</title><p>Sign in to continue</p></html>"


class StandIn:
    """One account at a vendor. Its base address has the path `prefix`; a subclass answers requests in `answer`.

    `requests` are the paths below the prefix with their queries, in order. `next_answers` go out before anything
    else: a `web.Response`-like tuple (status, headers, body, content type), or "hang".
    """

    prefix = ""

    def __init__(self, clock):
        self.clock = clock
        self.requests = []
        self.next_answers = deque()
        self.meanwhile = {}  # what happens just before the next request to a path is answered

    async def __aenter__(self):
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.base_url = f"{self.origin}{self.prefix}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def answer(self, request, path):
        """Return the answer to a request; `path` is the one below the prefix."""
        raise NotImplementedError

    def count(self, path_part):
        """Return how many requests had this in their path."""
        return sum(path_part in path for path, _ in self.requests)

    def forget(self):
        """Forget the requests so far, to count those that follow."""
        self.requests.clear()

    async def _serve(self, request):
        path = request.path.removeprefix(self.prefix)
        self.requests.append((path, dict(request.query)))
        self.meanwhile.pop(path, lambda: None)()
        if self.next_answers:
            answer = self.next_answers.popleft()
            if answer == "hang":
                await asyncio.Event().wait()
            status, headers, body, kind = answer
            return web.Response(status=status, headers=headers, body=body.encode(), content_type=kind)
        if not request.path.startswith(self.prefix):
            return web.Response(status=404, text=HTML, content_type="text/html")
        return await self.answer(request, path)


class ServedVendor(Vendor):
    """The parts of the suite's `Vendor` that every stand-in offers in the same way."""

    def __init__(self, account):
        self.account = account

    async def throttle_next(self, seconds):
        self.account.next_answers.append((429, {"Retry-After": f"{seconds:g}"}, "{}", "application/json"))

    async def answer_nonsense_next(self):
        self.account.next_answers.append((200, {}, HTML, "text/html"))

    async def redirect_next(self, address):
        self.account.next_answers.append((302, {"Location": address}, "", "text/html"))

    async def hang_next(self):
        self.account.next_answers.append("hang")


def answer_json(value, status=200, headers=None):
    """Return an answer with a JSON body."""
    body = json.dumps(value).encode()
    return web.Response(status=status, headers=headers, body=body, content_type="application/json")


def refuse_surplus(query, known):
    """Return 400 if a query has parameters that the vendor does not know, else None."""
    surplus = set(query) - set(known)
    return answer_json({"error": f"unknown parameters {sorted(surplus)}"}, 400) if surplus else None
