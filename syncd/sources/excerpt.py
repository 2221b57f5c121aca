"""The one sentence of a vendor's error that an operator may read: never a whole body, never a secret."""

from collections.abc import Collection
from typing import Any
from urllib.parse import unquote, unquote_plus

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
    return "" if len(text) > LONGEST_EXCERPT or _tells(text, secrets) else text


def _tells(text: str, secrets: Collection[str]) -> bool:
    """Tell whether a secret stands in a text, as it is or as an address has it: vendors quote what they were asked."""
    said = ["".join(one.split()) for one in (text, unquote(text), unquote_plus(text))]
    return any(secret and "".join(secret.split()) in one for secret in secrets for one in said)


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
