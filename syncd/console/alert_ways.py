"""How an alert leaves: as JSON on the stdin of a command, and by POST to a webhook. Each way has its time, and ends."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass

import aiohttp
from loguru import logger

from syncd import __version__
from syncd.model.meter import Meter
from syncd.service.settings_models import AlertSettings

LONGEST_SECONDS = 30.0
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER")
"""What a command gets of our environment: nothing that may be a secret, or lead to one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one way: `failure` is None if the alert was taken."""

    way: str
    failure: str | None


@dataclass(frozen=True, slots=True)
class Ways:
    """Sends alerts in whichever event loop it is called."""

    meter: Meter
    longest_seconds: float = LONGEST_SECONDS

    async def tell(self, settings: AlertSettings, said: bytes) -> bool:
        """Send by every way; say whether one of them has taken it."""
        came = await send(settings, said, self.longest_seconds)
        for one in came:
            self.meter.alerted(one.way, is_taken=one.failure is None)
            if one.failure is not None:
                logger.bind(way=one.way).error("an alert was not taken: {}", one.failure)
        return any(one.failure is None for one in came)


async def send(settings: AlertSettings, said: bytes, longest_seconds: float = LONGEST_SECONDS) -> list[Sent]:
    """Send by every way that is configured, at the same time; return what came of each."""
    ways = []
    if settings.command:
        ways.append(_by_command(settings.command, said, longest_seconds))
    if settings.webhook is not None:
        ways.append(_by_webhook(settings.webhook.get_secret_value(), said, longest_seconds))
    return list(await asyncio.gather(*ways))


async def _by_command(command: tuple[str, ...], said: bytes, longest_seconds: float) -> Sent:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return Sent("command", f"{command[0]} cannot be run: {reason}")
    try:
        async with asyncio.timeout(longest_seconds):
            await process.communicate(said)
    except TimeoutError:
        return Sent("command", f"{command[0]} had not ended after {longest_seconds:g} s, and was killed")
    finally:
        if process.returncode is None:
            # With whatever it has started: that is in its session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    code = process.returncode
    return Sent("command", None if code == 0 else f"{command[0]} ended with exit code {code}")


async def _by_webhook(address: str, said: bytes, longest_seconds: float) -> Sent:
    headers = {"Content-Type": "application/json", "User-Agent": f"syncd/{__version__}"}
    try:
        # The address is the secret: it is in no text of a failure, and is not taken elsewhere by a redirect.
        async with (
            asyncio.timeout(longest_seconds),
            aiohttp.ClientSession() as session,
            session.post(address, data=said, headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
    except TimeoutError:
        return Sent("webhook", f"no answer within {longest_seconds:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Sent("webhook", f"no answer ({type(error).__name__})")
    if 300 <= status < 400:
        return Sent(
            "webhook", f"status {status}: it redirects, which is not followed; set alerts.webhook to the target"
        )
    return Sent("webhook", None if 200 <= status < 300 else f"status {status}")
