"""Webhooks: `POST /hooks/SYSTEM` makes the tickets that a vendor names due now, and does nothing else.

Whatever comes here, the worst is that a ticket is read once more. Nothing of it is used, logged or kept.
"""

import asyncio
import math
from dataclasses import dataclass, field

from aiohttp import web
from loguru import logger
from pydantic import SecretStr

from syncd.console.web.context import WebContext, context_of
from syncd.console.web.guards import Refused
from syncd.service.settings_models import SystemSettings
from syncd.sources.webhook import Forged, HookRequest, Named, Unreadable, Webhook
from syncd.store import hooks

BODY_SECONDS = 10.0
WARN_EVERY_SECONDS = 60.0
PATH = "/hooks/{system}"


@dataclass(slots=True)
class Warner:
    """Tells of webhooks that are refused, once a minute for each system, however many there are."""

    _told_at: dict[str, float] = field(default_factory=dict)

    def warn(self, context: WebContext, system: str, reason: str) -> None:
        """Log why a webhook was refused; nothing of the webhook itself."""
        now = context.clock.monotonic()
        if now - self._told_at.get(system, -math.inf) >= WARN_EVERY_SECONDS:
            self._told_at[system] = now
            logger.bind(system=system).warning("webhook refused: {}", reason)


WARNER = web.AppKey("warner", Warner)


def add_routes(app: web.Application) -> None:
    """Add the address of every system. Some vendors look with HEAD or GET whether there is one."""
    app[WARNER] = Warner()
    app.router.add_get(PATH, _greet)
    app.router.add_post(PATH, _receive)


async def _greet(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"webhooks": "send them with POST"})


async def _receive(request: web.Request) -> web.StreamResponse:
    context, name = context_of(request), request.match_info["system"]
    webhook, secret = _get_webhook(context.settings.systems.get(name))
    asked = await _read(request)
    try:
        named = webhook.verify_and_read(asked, secret, context.clock.now())
    except (Forged, Unreadable) as error:
        request.app[WARNER].warn(context, name, str(error))
        raise Refused(401 if isinstance(error, Forged) else 400, str(error)) from None
    if await _make_due(context, name, named):
        context.hooked(name)
    challenge = asked.header(webhook.challenge_header) if webhook.challenge_header else ""
    return web.json_response({"challenge": challenge} if challenge else {}, status=webhook.accepted)


def _get_webhook(system: SystemSettings | None) -> tuple[Webhook, SecretStr]:
    webhook = None if system is None else system.adapter_class.described_webhook(system.options)
    if system is None or system.webhook_secret is None or webhook is None:
        raise Refused(404, "no system of this name takes webhooks; it needs webhook_secret in its settings")
    return webhook, system.webhook_secret


async def _read(request: web.Request) -> HookRequest:
    """Return a webhook as it came, within bounded time; its size is bounded by the server."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_SECONDS:g} s") from None
    hosts = (request.headers.get("Host", ""), *context_of(request).settings.console.hosts)
    return HookRequest(
        method=request.method,
        # Vendors call https addresses alone. A proxy may have put another name into Host; it must leave the path.
        addresses=tuple(dict.fromkeys(f"https://{host}{request.raw_path}" for host in hosts)),
        headers={key.lower(): value for key, value in request.headers.items()},
        query=dict(request.query),
        body=body,
    )


async def _make_due(context: WebContext, system: str, named: Named) -> bool:
    """Make the links to the named tickets due; say whether there are any that were not asked for already."""
    if not (named.ids or named.numbers):
        return False
    found = await context.database.read(lambda c: hooks.find_links(c, system, named.ids, named.numbers))
    if not found:
        return False
    now = context.clock.now()
    return await context.database.write(lambda c: hooks.make_due(c, system, found, now))
