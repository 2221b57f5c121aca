"""Who has logged in, as a cookie says it: signed with the token, so that nothing is stored and a new token ends it.

Pure: the time is given.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta

COOKIE = "syncd_session"
LIFE = timedelta(hours=12)
LONGEST_NAME = 80
_PURPOSE = b"syncd session "


def issue(token: str, who: str, now: datetime) -> str:
    """Return the cookie of somebody who has shown the token, good for twelve hours."""
    ends_at = int((now + LIFE).timestamp())
    payload = f"{ends_at}:{who}".encode()
    return f"{_text(payload)}.{_text(_sign(token, payload))}"


def find_who(token: str, cookie: str, now: datetime) -> str | None:
    """Return who has logged in, None if the cookie is not ours, was changed, or is too old."""
    payload_text, _, signature = cookie.partition(".")
    try:
        payload, given = _bytes(payload_text), _bytes(signature)
    except (ValueError, binascii.Error):
        return None
    if not hmac.compare_digest(given, _sign(token, payload)):
        return None
    ends_at, _, who = payload.decode().partition(":")
    return who if now.timestamp() < int(ends_at) else None


def _sign(token: str, payload: bytes) -> bytes:
    return hmac.digest(_PURPOSE + token.encode(), payload, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
