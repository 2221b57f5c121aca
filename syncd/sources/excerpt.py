"""The one sentence of a vendor's error that an operator may read: never a whole body, never a secret."""

from collections.abc import Collection
from typing import Any

import orjson

LONGEST_EXCERPT = 160
_LARGEST_BODY = 16_384
_FIELDS = (
    *("message", "error_description", "detail", "description", "title", "error", "errors", "errorMessages"),
    *("errorMessage", "error_human", "msg", "_error", "Error", "ErrorMessage"),
)


def error_excerpt(body: bytes, secrets: Collection[str] = ()) -> str:
    """Return the message inside a JSON error, on one line, or nothing if there is none or it is long or telling."""
    if len(body) > _LARGEST_BODY:
        return ""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    text = " ".join("".join(char if char.isprintable() else " " for char in _message_in(value)).split())
    if len(text) > LONGEST_EXCERPT or any(secret and secret in text for secret in secrets):
        return ""
    return text


def _message_in(value: Any, depth: int = 0) -> str:
    if depth > 3:
        return ""
    if isinstance(value, str):
        return value if depth else ""
    if isinstance(value, list):
        return _message_in(value[0], depth + 1) if value else ""
    if isinstance(value, dict):
        found = (_message_in(value[name], depth + 1) for name in _FIELDS if name in value)
        return next((text for text in found if text), "")
    return ""
